//! The meaning of a page's samples: gray, colours, inks or indices into a palette, and alpha.

use image::{DynamicImage, ImageBuffer, Luma, LumaA, Rgb, Rgba};

use super::{Directory, Fault, Pixels, tag};

const EXTRA_NOTE: &str = "it has an extra channel that is not declared as transparency, which was left out";

/// The most channels of a page.
const MAX_CHANNELS: usize = 64;

/// Whole numbers of at most 8 or 16 bits.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

impl Samples {
    pub fn zeros(count: usize, meaning: &Meaning) -> Self {
        if meaning.bits <= 8 { Self::Eight(vec![0; count]) } else { Self::Sixteen(vec![0; count]) }
    }

    /// Copies `count` values of `chunk` from `from` on to every `step`-th place from `to` on.
    pub fn put(&mut self, to: usize, step: usize, chunk: &Self, from: usize, count: usize) {
        fn copy<T: Copy>(to: &mut [T], step: usize, from: &[T]) {
            match step {
                1 => to[..from.len()].copy_from_slice(from),
                _ => to.iter_mut().step_by(step).zip(from).for_each(|(to, from)| *to = *from),
            }
        }
        match (self, chunk) {
            (Self::Eight(all), Self::Eight(chunk)) => copy(&mut all[to..], step, &chunk[from..from + count]),
            (Self::Sixteen(all), Self::Sixteen(chunk)) => {
                copy(&mut all[to..], step, &chunk[from..from + count])
            }
            _ => unreachable!("a chunk has the depth of its page"),
        }
    }

    /// Unpacks values of `bits` bits, highest bit first: `count` from each row of `row` bytes.
    pub fn unpack(raw: &[u8], row: usize, count: usize, bits: usize) -> Self {
        let value = |row: &[u8], i: usize| {
            (i * bits..(i + 1) * bits)
                .fold(0u16, |value, bit| value << 1 | u16::from(row[bit / 8] >> (7 - bit % 8) & 1))
        };
        let values = raw.chunks_exact(row).flat_map(|row| (0..count).map(move |i| value(row, i)));
        if bits <= 8 {
            Self::Eight(values.map(|value| value as u8).collect())
        } else {
            Self::Sixteen(values.collect())
        }
    }
}

/// The meaning of the colour channels.
#[derive(Clone, Debug, PartialEq)]
enum Colours {
    Gray {
        white_is_zero: bool,
    },
    Rgb,
    /// Red, green and blue of all entries.
    Palette(Vec<u16>),
    Inks,
    YCbCr(Weights),
}

/// The weights of colours in luminance, and black and white of each channel.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Weights {
    red: f64,
    green: f64,
    blue: f64,
    range: [f64; 6],
}

/// The number of pixels, across and down, that share one chroma.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shares {
    across: usize,
    down: usize,
}

/// The meaning of a page's samples.
pub(super) struct Meaning {
    pub bits: usize,
    pub channels: usize,
    /// For samples with luminance and chroma that are not in a JPEG.
    pub shares: Option<Shares>,
    /// Whether the samples are in JPEG files that have luminance and chroma.
    pub ycbcr_in_jpeg: bool,
    colours: Colours,
    /// Which channel is alpha, and whether colours are multiplied by it.
    alpha: Option<(usize, bool)>,
    /// Whether a channel of unknown meaning is left out.
    unknown: bool,
}

impl Meaning {
    pub fn of(page: &Directory) -> Result<Self, Fault> {
        let channels = page.number(tag::CHANNELS).unwrap_or(1);
        let channels = usize::try_from(channels)
            .ok()
            .filter(|n| (1..=MAX_CHANNELS).contains(n))
            .ok_or(Fault::Damaged)?;
        let all_bits = page.numbers(tag::BITS, MAX_CHANNELS);
        let bits = all_bits.first().copied().unwrap_or(1);
        if all_bits.iter().any(|other| *other != bits) {
            return Err(Fault::unread("it is a TIFF whose channels have different depths"));
        }
        let why = match page.numbers(tag::FORMAT, MAX_CHANNELS).iter().find(|format| !matches!(format, 1 | 4))
        {
            None => None,
            Some(2) => Some("its samples have signs; export it with 16 bits per channel and no signs"),
            Some(_) => Some("its samples are not 8- or 16-bit integers; export it with 16 bits per channel"),
        };
        if let Some(why) = why {
            return Err(Fault::Unread(why.into()));
        }
        if !(1..=16).contains(&bits) {
            let why = format!("it has {bits} bits per sample, and at most 16 are read; export it with 16");
            return Err(Fault::Unread(why));
        }
        let bits = bits as usize;
        let colours = colours(page, bits)?;
        let own = match colours {
            Colours::Gray { .. } | Colours::Palette(_) => 1,
            Colours::Rgb | Colours::YCbCr(_) => 3,
            Colours::Inks => 4,
        };
        if channels < own {
            return Err(Fault::Damaged);
        }
        let extra = page.numbers(tag::EXTRA, MAX_CHANNELS);
        let kind = |i: usize| extra.get(i).copied();
        // 1 is multiplied alpha, 2 is unmultiplied alpha, 0 is unspecified. Old files with one channel more
        // than their colours need declare nothing and mean alpha.
        let alpha = (0..channels - own).find_map(|i| match kind(i) {
            Some(1) => Some((own + i, true)),
            Some(2) => Some((own + i, false)),
            None if extra.is_empty() && channels == own + 1 => Some((own, false)),
            _ => None,
        });
        let in_jpeg = page.number(tag::COMPRESSION) == Some(7);
        let is_ycbcr = matches!(colours, Colours::YCbCr(_));
        let unusual = bits != 8 || channels != 3 || page.number(tag::PLANAR) == Some(2);
        if is_ycbcr && unusual {
            return Err(Fault::unread("it is a TIFF with luminance and chroma in an unusual layout"));
        }
        let shares = if is_ycbcr && !in_jpeg { Some(Shares::of(page)?) } else { None };
        let unknown = channels - own > usize::from(alpha.is_some());
        // A JPEG's decoder converts luminance and chroma to red, green and blue.
        let ycbcr_in_jpeg = is_ycbcr && in_jpeg;
        let colours = if ycbcr_in_jpeg { Colours::Rgb } else { colours };
        Ok(Self { bits, channels, shares, ycbcr_in_jpeg, colours, alpha, unknown })
    }

    /// Bytes of a sample in memory.
    pub fn bytes(&self) -> usize {
        if self.bits <= 8 { 1 } else { 2 }
    }

    /// Converts `samples` to a picture of `width x height`.
    pub fn pixels(&self, width: u32, height: u32, samples: Samples) -> Result<Pixels, Fault> {
        let most = (1u32 << self.bits) - 1;
        let image = match samples {
            Samples::Eight(samples) => match &self.colours {
                Colours::Palette(map) => {
                    let samples: Vec<u16> = samples.into_iter().map(u16::from).collect();
                    image16(width, height, self.palette(map, &samples)?)
                }
                Colours::YCbCr(weights) => image8(width, height, (weights.to_rgb(&samples), 3)),
                _ => image8(
                    width,
                    height,
                    self.straight(&samples, |v| ((u32::from(v) * 255 + most / 2) / most) as u8, u8::MAX),
                ),
            },
            Samples::Sixteen(samples) => {
                // Depths between 8 and 16 bits are rounded to 16.
                let scale = |v: u16| ((u32::from(v) * 65535 + most / 2) / most) as u16;
                match &self.colours {
                    Colours::Palette(map) => image16(width, height, self.palette(map, &samples)?),
                    Colours::YCbCr(_) => return Err(Fault::Damaged),
                    _ => image16(width, height, self.straight(&samples, scale, u16::MAX)),
                }
            }
        };
        Ok(Pixels {
            image: image.ok_or(Fault::Damaged)?,
            multiplied: self.alpha.is_some_and(|(_, multiplied)| multiplied),
            inks: self.colours == Colours::Inks,
            notes: self.unknown.then(|| EXTRA_NOTE.to_owned()).into_iter().collect(),
        })
    }

    /// Pixels of gray or colour, with alpha if there is any, and the number of samples of each.
    fn straight<T>(&self, samples: &[T], scale: impl Fn(T) -> T, most: T) -> (Vec<T>, usize)
    where
        T: Copy + std::ops::Sub<Output = T> + Into<u32> + TryFrom<u32>,
    {
        let alpha = self.alpha.map(|(channel, _)| channel);
        let own = if matches!(self.colours, Colours::Gray { .. }) { 1 } else { 3 };
        let per_pixel = own + usize::from(alpha.is_some());
        let mut out = Vec::with_capacity(samples.len() / self.channels * per_pixel);
        for pixel in samples.chunks_exact(self.channels) {
            match self.colours {
                Colours::Gray { white_is_zero: true } => out.push(most - scale(pixel[0])),
                Colours::Gray { .. } => out.push(scale(pixel[0])),
                Colours::Inks => {
                    let left = |ink: T| -> u64 { (most - scale(ink)).into().into() };
                    let white: u64 = most.into().into();
                    let mix = |ink: T| (left(ink) * left(pixel[3]) + white / 2) / white;
                    out.extend(pixel[..3].iter().map(|ink| T::try_from(mix(*ink) as u32).unwrap_or(most)));
                }
                _ => out.extend(pixel[..3].iter().map(|v| scale(*v))),
            }
            out.extend(alpha.map(|channel| scale(pixel[channel])));
        }
        (out, per_pixel)
    }

    /// The colours at these indices of a palette.
    fn palette(&self, map: &[u16], samples: &[u16]) -> Result<(Vec<u16>, usize), Fault> {
        let places = 1usize << self.bits;
        let most = (places - 1) as u32;
        let mut out = Vec::with_capacity(samples.len() / self.channels * 3);
        for pixel in samples.chunks_exact(self.channels) {
            let place = usize::from(pixel[0]);
            out.extend([map[place], map[places + place], map[2 * places + place]]);
            out.extend(self.alpha.map(|(channel, _)| (u32::from(pixel[channel]) * 65535 / most) as u16));
        }
        Ok((out, 3 + usize::from(self.alpha.is_some())))
    }
}

fn image8(width: u32, height: u32, (samples, channels): (Vec<u8>, usize)) -> Option<DynamicImage> {
    Some(match channels {
        1 => ImageBuffer::<Luma<u8>, _>::from_raw(width, height, samples)?.into(),
        2 => ImageBuffer::<LumaA<u8>, _>::from_raw(width, height, samples)?.into(),
        3 => ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, samples)?.into(),
        _ => ImageBuffer::<Rgba<u8>, _>::from_raw(width, height, samples)?.into(),
    })
}

fn image16(width: u32, height: u32, (samples, channels): (Vec<u16>, usize)) -> Option<DynamicImage> {
    Some(match channels {
        1 => ImageBuffer::<Luma<u16>, _>::from_raw(width, height, samples)?.into(),
        2 => ImageBuffer::<LumaA<u16>, _>::from_raw(width, height, samples)?.into(),
        3 => ImageBuffer::<Rgb<u16>, _>::from_raw(width, height, samples)?.into(),
        _ => ImageBuffer::<Rgba<u16>, _>::from_raw(width, height, samples)?.into(),
    })
}

/// The meaning of a page's colour channels.
fn colours(page: &Directory, bits: usize) -> Result<Colours, Fault> {
    let name = match page.number(tag::PHOTOMETRIC) {
        Some(0) => return Ok(Colours::Gray { white_is_zero: true }),
        // Old programs omit it.
        Some(1) | None => return Ok(Colours::Gray { white_is_zero: false }),
        Some(2) => return Ok(Colours::Rgb),
        Some(3) => {
            let mut map: Vec<u16> =
                page.numbers(tag::COLOUR_MAP, 3 << bits).iter().map(|v| *v as u16).collect();
            if map.len() != 3 << bits {
                return Err(Fault::Damaged);
            }
            // Some programs write 8 bits where the specification asks for 16, in the lower half or in the
            // upper one.
            let shift = match () {
                () if map.iter().all(|v| *v < 256) => 0,
                () if map.iter().all(|v| v % 256 == 0) => 8,
                () => return Ok(Colours::Palette(map)),
            };
            map.iter_mut().for_each(|v| *v = (*v >> shift) * 257);
            return Ok(Colours::Palette(map));
        }
        Some(5) if page.number(tag::INKS).unwrap_or(1) == 1 => return Ok(Colours::Inks),
        Some(5) => "inks other than cyan, magenta, yellow and black",
        Some(6) => return Ok(Colours::YCbCr(Weights::of(page)?)),
        Some(4) => "a mask for transparency, and nothing else",
        Some(8..=10) => "CIE L*a*b* colours",
        Some(32844 | 32845) => "logarithmic luminance",
        Some(code) => return Err(Fault::unread(&format!("it is a TIFF with colours of kind {code}"))),
    };
    Err(Fault::unread(&format!("it is a TIFF with {name}")))
}

impl Weights {
    /// TIFF 6.0, section 21, with its defaults.
    fn of(page: &Directory) -> Result<Self, Fault> {
        let fractions = |tag, default: &[f64]| {
            let found = page.get(tag).map(|entry| entry.fractions()).unwrap_or_default();
            let sound = found.len() == default.len() && found.iter().all(|v| v.is_finite());
            if sound { found } else { default.to_vec() }
        };
        let weights = fractions(tag::YCBCR_WEIGHTS, &[0.299, 0.587, 0.114]);
        let range = fractions(tag::YCBCR_RANGE, &[0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
        let [red, green, blue] = weights[..] else { return Err(Fault::Damaged) };
        let range: [f64; 6] = range.try_into().map_err(|_| Fault::Damaged)?;
        let sound = green > 0.0 && range.chunks_exact(2).all(|pair| pair[1] > pair[0]);
        if sound { Ok(Self { red, green, blue, range }) } else { Err(Fault::Damaged) }
    }

    fn to_rgb(self, samples: &[u8]) -> Vec<u8> {
        let [black, white, cb0, cb1, cr0, cr1] = self.range;
        let full = |v: u8, zero: f64, one: f64, most: f64| (f64::from(v) - zero) * most / (one - zero);
        let byte = |v: f64| v.clamp(0.0, 255.0).round() as u8;
        samples
            .as_chunks()
            .0
            .iter()
            .flat_map(|&[y, cb, cr]| {
                let y = full(y, black, white, 255.0);
                let (cb, cr) = (full(cb, cb0, cb1, 127.0), full(cr, cr0, cr1, 127.0));
                let red = cr * (2.0 - 2.0 * self.red) + y;
                let blue = cb * (2.0 - 2.0 * self.blue) + y;
                let green = (y - self.blue * blue - self.red * red) / self.green;
                [byte(red), byte(green), byte(blue)]
            })
            .collect()
    }
}

impl Shares {
    fn of(page: &Directory) -> Result<Self, Fault> {
        match page.numbers(tag::YCBCR_SHARES, 2)[..] {
            [] => Ok(Self { across: 2, down: 2 }),
            [across @ (1 | 2 | 4), down @ (1 | 2 | 4)] => {
                Ok(Self { across: across as usize, down: down as usize })
            }
            _ => Err(Fault::Damaged),
        }
    }

    /// The bytes of a chunk: units of luminances and the two chromas that they share.
    pub fn bytes(self, columns: usize, rows: usize) -> usize {
        columns.div_ceil(self.across) * rows.div_ceil(self.down) * (self.across * self.down + 2)
    }

    /// Repeats chroma so that each pixel of a chunk has its own.
    pub fn spread(self, raw: &[u8], columns: usize, rows: usize) -> Vec<u8> {
        let luminances = self.across * self.down;
        let mut out = vec![0; columns * rows * 3];
        for (i, unit) in raw.chunks_exact(luminances + 2).enumerate() {
            let across = columns.div_ceil(self.across);
            let (x0, y0) = (i % across * self.across, i / across * self.down);
            for j in 0..luminances {
                let (x, y) = (x0 + j % self.across, y0 + j / self.across);
                if x < columns && y < rows {
                    let pixel = [unit[j], unit[luminances], unit[luminances + 1]];
                    out[(y * columns + x) * 3..][..3].copy_from_slice(&pixel);
                }
            }
        }
        out
    }
}
