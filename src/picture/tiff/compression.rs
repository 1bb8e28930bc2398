//! The compression of a piece of a page. The output is never longer than the requested length, whatever the
//! bytes claim.

use std::io::Read;

use super::Fault;

/// The largest dictionary of LZMA, in KiB; its strongest preset has 64 MiB.
const MAX_DICTIONARY: u32 = 80 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// Fax without marks between rows.
    Rle,
    Group3,
    Group4,
    Lzw,
    Jpeg,
    Deflate,
    PackBits,
    Lzma,
    Zstd,
}

impl Compression {
    pub fn of(code: u64) -> Result<Self, Fault> {
        let name = match code {
            1 => return Ok(Self::None),
            2 => return Ok(Self::Rle),
            3 => return Ok(Self::Group3),
            4 => return Ok(Self::Group4),
            5 => return Ok(Self::Lzw),
            7 => return Ok(Self::Jpeg),
            8 | 32946 => return Ok(Self::Deflate),
            32773 => return Ok(Self::PackBits),
            34925 => return Ok(Self::Lzma),
            50000 => return Ok(Self::Zstd),
            6 => "the old kind of JPEG in TIFF",
            9 | 10 => "JBIG",
            34676 | 34677 => "SGI's logarithms",
            34712 | 33003 | 33005 => "JPEG 2000",
            34887 => "LERC",
            50001 => "WebP in TIFF",
            50002 | 52546 => "JPEG XL",
            _ => return Err(Fault::unread(&format!("it is a TIFF with compression {code}"))),
        };
        Err(Fault::unread(&format!("it is a TIFF compressed by {name}")))
    }

    /// Whether a predictor may have subtracted neighbours before the compression.
    pub fn has_predictor(self) -> bool {
        matches!(self, Self::Lzw | Self::Deflate | Self::Lzma | Self::Zstd)
    }

    /// The first `length` decompressed bytes, or fewer if the data end before. JPEG and fax are not handled
    /// here.
    pub fn expand(self, bytes: &[u8], length: usize) -> Result<Vec<u8>, Fault> {
        match self {
            Self::None => Ok(bytes[..length.min(bytes.len())].to_vec()),
            Self::PackBits => Ok(unpack(bytes, length)),
            Self::Lzw => lzw(bytes, length),
            Self::Deflate => Ok(take(flate2::read::ZlibDecoder::new(bytes), length)),
            Self::Lzma => Ok(take(lzma_rust2::XzReader::new_mem_limit(bytes, false, MAX_DICTIONARY), length)),
            Self::Zstd => {
                let reader = ruzstd::decoding::StreamingDecoder::new(bytes).map_err(|_| Fault::Damaged)?;
                Ok(take(reader, length))
            }
            Self::Jpeg | Self::Rle | Self::Group3 | Self::Group4 => Err(Fault::Damaged),
        }
    }
}

/// At most `length` bytes, up to the end or an error: both mean that the rest is missing.
fn take(reader: impl Read, length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    // The bytes before an error stay in `out`.
    let _ = reader.take(length as u64).read_to_end(&mut out);
    out
}

/// TIFF 6.0, section 9: runs of equal bytes, and literal bytes.
fn unpack(mut bytes: &[u8], length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while let [count, rest @ ..] = bytes
        && out.len() < length
    {
        let count = i16::from(*count as i8);
        let used = match (count, rest) {
            (-128, _) | (_, []) => 0,
            (0.., _) => {
                let literal = &rest[..rest.len().min(count as usize + 1)];
                out.extend(literal);
                literal.len()
            }
            (_, [byte, ..]) => {
                out.extend(std::iter::repeat_n(*byte, (1 - count) as usize));
                1
            }
        };
        bytes = &rest[used..];
    }
    out.truncate(length);
    out
}

/// TIFF 6.0, section 13, and the older kind with the other bit order. The first code distinguishes them.
fn lzw(bytes: &[u8], length: usize) -> Result<Vec<u8>, Fault> {
    use weezl::BitOrder;
    use weezl::decode::Decoder;
    let old = matches!(bytes, [0, second, ..] if second & 1 == 1);
    let mut decoder = match old {
        true => Decoder::new(BitOrder::Lsb, 8),
        false => Decoder::with_tiff_size_switch(BitOrder::Msb, 8),
    };
    let mut out = vec![0; length];
    let (mut read, mut written) = (0, 0);
    while written < length {
        let step = decoder.decode_bytes(&bytes[read..], &mut out[written..]);
        read += step.consumed_in;
        written += step.consumed_out;
        if step.status.is_err() || (step.consumed_in == 0 && step.consumed_out == 0) {
            break;
        }
        if matches!(step.status, Ok(weezl::LzwStatus::Done)) {
            break;
        }
    }
    out.truncate(written);
    Ok(out)
}
