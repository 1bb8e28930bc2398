//! Files that no encoder at hand makes, put together byte by byte.

/// What one entry of a TIFF directory holds.
pub struct Entry(pub u16, pub u16, pub Vec<u64>);

/// A TIFF file of one or more pages.
#[derive(Clone, Copy, Default)]
pub struct Layout {
    pub big_endian: bool,
    /// BigTIFF.
    pub big: bool,
}

impl Layout {
    fn number(self, value: u64, bytes: usize) -> Vec<u8> {
        let little = &value.to_le_bytes()[..bytes];
        if self.big_endian { little.iter().rev().copied().collect() } else { little.to_vec() }
    }

    fn wide(self) -> usize {
        if self.big { 8 } else { 4 }
    }

    /// A file of these pages, each with its entries and its strips or tiles; where those are is filled in.
    /// `below` are directories that the first page points at.
    pub fn file(self, pages: &[(Vec<Entry>, Vec<Vec<u8>>)], below: usize) -> Vec<u8> {
        let mut file = if self.big_endian { b"MM".to_vec() } else { b"II".to_vec() };
        file.extend(self.number(if self.big { 43 } else { 42 }, 2));
        if self.big {
            file.extend([self.number(8, 2), self.number(0, 2)].concat());
        }
        let first = file.len();
        file.extend(self.number(0, self.wide()));
        let mut places = Vec::new();
        let mut nexts = Vec::new();
        for (entries, chunks) in pages {
            let mut starts = Vec::new();
            for chunk in chunks {
                starts.push(file.len() as u64);
                file.extend(chunk);
            }
            let mut entries: Vec<_> =
                entries.iter().map(|Entry(tag, kind, v)| (*tag, *kind, v.clone())).collect();
            let tiles = entries.iter().any(|entry| entry.0 == 322);
            let lengths = chunks.iter().map(|chunk| chunk.len() as u64).collect();
            let (start_tag, length_tag) = if tiles { (324, 325) } else { (273, 279) };
            entries.extend([(start_tag, 4, starts), (length_tag, 4, lengths)]);
            if places.is_empty() && below > 0 {
                entries.push((330, 4, vec![0; below]));
            }
            entries.sort_by_key(|entry| entry.0);
            let mut directory = self.number(entries.len() as u64, if self.big { 8 } else { 2 });
            let mut pointers = 0;
            for (tag, kind, values) in entries {
                let size = match kind {
                    1 | 2 | 7 => 1,
                    3 => 2,
                    // Two numbers of four bytes.
                    5 => 4,
                    16 => 8,
                    _ => 4,
                };
                let bytes: Vec<u8> = values.iter().flat_map(|v| self.number(*v, size)).collect();
                let count = values.len() / if kind == 5 { 2 } else { 1 };
                directory.extend([self.number(tag.into(), 2), self.number(kind.into(), 2)].concat());
                directory.extend(self.number(count as u64, self.wide()));
                if bytes.len() <= self.wide() {
                    let mut field = bytes;
                    field.resize(self.wide(), 0);
                    directory.extend(field);
                } else {
                    let at = file.len() as u64;
                    if tag == 330 {
                        pointers = file.len();
                    }
                    file.extend(bytes);
                    directory.extend(self.number(at, self.wide()));
                }
            }
            places.push((file.len(), pointers, directory.len()));
            nexts.push(file.len() + directory.len());
            file.extend(directory);
            file.extend(self.number(0, self.wide()));
        }
        let put = |file: &mut Vec<u8>, at: usize, value: usize, bytes: usize| {
            file[at..at + bytes].copy_from_slice(&self.number(value as u64, bytes));
        };
        put(&mut file, first, places[0].0, self.wide());
        // The last `below` pages hang under the first; the others are in a row.
        let in_row = pages.len() - below;
        for i in 1..in_row {
            put(&mut file, nexts[i - 1], places[i].0, self.wide());
        }
        for i in 0..below {
            // One pointer stands in the entry itself, in the file's last place of that directory's tag order.
            let (start, pointers, length) = places[0];
            let at = if pointers > 0 {
                pointers + 4 * i
            } else {
                let entry = 2 + if self.big { 6 } else { 0 };
                let size = if self.big { 20 } else { 12 };
                (0..(length - entry) / size)
                    .map(|k| start + entry + size * k)
                    .find(|at| file[*at..*at + 2] == self.number(330, 2))
                    .map(|at| at + size - self.wide())
                    .expect("it is there")
            };
            put(&mut file, at, places[in_row + i].0, 4);
        }
        file
    }

    /// A file of one page.
    pub fn page(self, entries: Vec<Entry>, chunks: Vec<Vec<u8>>) -> Vec<u8> {
        self.file(&[(entries, chunks)], 0)
    }
}

/// What every page of `width x height` says: bits of each channel, compression, meaning of the colours.
pub fn entries(width: u64, height: u64, bits: &[u64], compression: u64, photometric: u64) -> Vec<Entry> {
    vec![
        Entry(256, 3, vec![width]),
        Entry(257, 3, vec![height]),
        Entry(258, 3, bits.to_vec()),
        Entry(259, 3, vec![compression]),
        Entry(262, 3, vec![photometric]),
        Entry(277, 3, vec![bits.len() as u64]),
        Entry(278, 3, vec![height]),
    ]
}

/// A JPEG of flat blocks.
pub struct Jpeg<'a> {
    pub size: (u16, u16),
    /// Blocks across and down per unit, for each component.
    pub sampling: &'a [(u8, u8)],
    /// Which components each scan has.
    pub scans: &'a [&'a [usize]],
    /// The transform that Adobe's marker announces.
    pub adobe: Option<u8>,
    /// What stands between the start and the tables.
    pub before: Vec<u8>,
}

impl Jpeg<'_> {
    /// The file; `value` gives the samples of a component's block by its column and row.
    pub fn bytes(&self, value: impl Fn(usize, usize, usize) -> u8) -> Vec<u8> {
        let mut file = vec![0xff, 0xd8];
        file.extend(&self.before);
        let segment = |file: &mut Vec<u8>, marker: u8, body: &[u8]| {
            file.extend([0xff, marker, 0, body.len() as u8 + 2]);
            file.extend(body);
        };
        if let Some(transform) = self.adobe {
            segment(&mut file, 0xee, &[b"Adobe\0d\0\0\0\0".as_slice(), &[transform]].concat());
        }
        // All quantisers 8, which is what the transform multiplies a block's mean by.
        segment(&mut file, 0xdb, &[&[0], [8; 64].as_slice()].concat());
        let count = self.sampling.len() as u8;
        let (width, height) = (self.size.0.to_be_bytes(), self.size.1.to_be_bytes());
        let frame = [8, height[0], height[1], width[0], width[1], count];
        let parts: Vec<u8> =
            self.sampling.iter().zip(1..).flat_map(|((h, v), name)| [name, h << 4 | v, 0]).collect();
        segment(&mut file, 0xc0, &[frame.as_slice(), &parts].concat());
        // Sizes 0 to 8 in four bits each; for the other coefficients one code, "end of block", a single 0.
        segment(
            &mut file,
            0xc4,
            &[&[0, 0, 0, 0, 9], [0; 12].as_slice(), &[0, 1, 2, 3, 4, 5, 6, 7, 8]].concat(),
        );
        segment(&mut file, 0xc4, &[&[0x10, 1], [0; 15].as_slice(), &[0]].concat());
        for scan in self.scans {
            let names: Vec<u8> = scan.iter().flat_map(|c| [*c as u8 + 1, 0]).collect();
            segment(&mut file, 0xda, &[&[scan.len() as u8], names.as_slice(), &[0, 63, 0]].concat());
            file.extend(self.entropy(scan, &value));
        }
        file.extend([0xff, 0xd9]);
        file
    }

    fn entropy(&self, scan: &[usize], value: &impl Fn(usize, usize, usize) -> u8) -> Vec<u8> {
        let most = |axis: fn(&(u8, u8)) -> u8| usize::from(self.sampling.iter().map(axis).max().unwrap());
        let (across, down) = (most(|s| s.0), most(|s| s.1));
        let (width, height) = (usize::from(self.size.0), usize::from(self.size.1));
        let mut last = vec![128; self.sampling.len()];
        let mut bits = String::new();
        let mut block = |c: usize, x: usize, y: usize| {
            let value = i32::from(value(c, x, y));
            let step = value - std::mem::replace(&mut last[c], value);
            let size = 32 - step.unsigned_abs().leading_zeros();
            bits += &format!("{size:04b}");
            if size > 0 {
                let code = if step < 0 { step + (1 << size) - 1 } else { step };
                bits += &format!("{code:0width$b}", width = size as usize);
            }
            bits.push('0');
        };
        if let [c] = *scan {
            // Alone, a component has just the blocks that hold its own samples.
            let (h, v) = (usize::from(self.sampling[c].0), usize::from(self.sampling[c].1));
            let blocks = |side: usize, own: usize, most: usize| (side * own).div_ceil(most).div_ceil(8);
            for y in 0..blocks(height, v, down) {
                (0..blocks(width, h, across)).for_each(|x| block(c, x, y));
            }
        } else {
            for unit in 0..width.div_ceil(8 * across) * height.div_ceil(8 * down) {
                let (ux, uy) = (unit % width.div_ceil(8 * across), unit / width.div_ceil(8 * across));
                for &c in scan {
                    let (h, v) = (usize::from(self.sampling[c].0), usize::from(self.sampling[c].1));
                    for i in 0..h * v {
                        block(c, ux * h + i % h, uy * v + i / h);
                    }
                }
            }
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        let byte = |byte: &[u8]| byte.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
        let bytes = bits.as_bytes().chunks(8).map(byte);
        bytes.flat_map(|byte| if byte == 0xff { vec![byte, 0] } else { vec![byte] }).collect()
    }
}
