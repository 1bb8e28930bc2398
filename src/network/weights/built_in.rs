//! The network inside the program: one file in two halves.

use std::io::{Read, Result, Seek, SeekFrom};

use impasto_network_first::BYTES as FIRST;
use impasto_network_second::BYTES as SECOND;

/// A reader of VGG-19 up to conv5_1 as it ships; `weights/README.md` tells its origin and licence.
///
/// The halves are read in place. To join them in a constant would take the compiler minutes.
#[derive(Default)]
pub(super) struct BuiltIn {
    at: u64,
}

impl Read for BuiltIn {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let at = self.at as usize;
        let mut rest = match FIRST.get(at..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => SECOND.get(at - FIRST.len()..).unwrap_or_default(),
        };
        let count = rest.read(into)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for BuiltIn {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let length = (FIRST.len() + SECOND.len()) as u64;
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(offset) => length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        self.at = place.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole file, and parts around the place where the halves meet.
    #[test]
    fn the_halves_are_one_file() {
        let whole = [FIRST, SECOND].concat();
        let mut read = Vec::new();
        BuiltIn::default().read_to_end(&mut read).unwrap();
        assert!(read == whole);
        for start in [0, 5, FIRST.len() - 3, FIRST.len(), FIRST.len() + 1, whole.len() - 2] {
            let mut file = BuiltIn::default();
            file.seek(SeekFrom::Start(start as u64)).unwrap();
            let mut some = vec![0; 7.min(whole.len() - start)];
            file.read_exact(&mut some).unwrap();
            assert!(some == whole[start..start + some.len()], "{start}");
        }
        let mut file = BuiltIn::default();
        assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), whole.len() as u64);
        assert_eq!(file.read(&mut [0; 4]).unwrap(), 0);
        file.seek(SeekFrom::End(99)).unwrap();
        assert_eq!(file.read(&mut [0; 4]).unwrap(), 0);
    }
}
