//! Long rows of numbers in the machine's memory or, where that is too small for them, in files.

use std::convert::Infallible;
use std::ops::{Deref, DerefMut};
#[cfg(feature = "native")]
use std::path::PathBuf;

use crate::{Error, Result};

/// Where a run keeps what it has many of for each pixel of a large picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Store {
    /// In the machine's memory.
    #[default]
    Memory,
    /// In files of this folder. They have no names there, so that nothing is left even of a killed process. A disk
    /// that fails while they are in use ends the process, as it does for all files that are mapped into memory.
    #[cfg(feature = "native")]
    Folder(PathBuf),
}

/// How many words are looked at at once: 16 MiB.
const PART: usize = 1 << 22;

/// 32-bit words, see [`Store`].
pub(crate) struct Words(Place);

enum Place {
    Memory(Vec<f32>),
    #[cfg(feature = "native")]
    File(file::Mapped),
}

impl Store {
    /// `len` zeros.
    ///
    /// # Errors
    /// [`Error::Write`] if the folder's disk has no room for them, or if nothing can be written there.
    pub(crate) fn zeros(&self, len: usize) -> Result<Words> {
        match self {
            Self::Memory => Ok(vec![0.0; len].into()),
            #[cfg(feature = "native")]
            Self::Folder(folder) => file::Mapped::new(folder, len).map(|mapped| Words(Place::File(mapped))),
        }
    }

    /// A copy of `words`.
    ///
    /// # Errors
    /// As [`Self::zeros`].
    pub(crate) fn copy(&self, words: &Words) -> Result<Words> {
        let mut copy = self.zeros(words.len())?;
        copy.take(words);
        Ok(copy)
    }

    /// `words` themselves, or a copy of them where they are to be kept in a file.
    ///
    /// # Errors
    /// As [`Self::zeros`].
    pub(crate) fn keep(&self, words: Vec<f32>) -> Result<Words> {
        match self {
            Self::Memory => Ok(words.into()),
            #[cfg(feature = "native")]
            Self::Folder(_) => self.copy(&words.into()),
        }
    }

    /// Bytes that can still be kept here, as far as the system tells.
    pub(crate) fn free(&self) -> Option<u64> {
        match self {
            Self::Memory => free_memory(),
            #[cfg(feature = "native")]
            Self::Folder(folder) => fs4::available_space(folder).ok(),
        }
    }

    /// Finds out, before a long run, whether anything can be kept here.
    ///
    /// # Errors
    /// [`Error::Write`] says what stands in the way.
    pub fn check(&self) -> Result<()> {
        self.zeros(1).map(drop)
    }
}

/// The machine's memory that is free, where the system tells.
fn free_memory() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let about = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = about.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

impl Words {
    /// Becomes a copy of `words`, of which there are as many.
    pub(crate) fn take(&mut self, words: &Words) {
        let mut begin = 0;
        let copied = self.each_part_mut(|part| {
            part.copy_from_slice(&words[begin..][..part.len()]);
            begin += part.len();
            words.rest();
            Ok::<(), Infallible>(())
        });
        let Ok(()) = copied;
    }

    /// Calls `look` with all of them, some at a time, until it fails.
    pub(crate) fn each_part<E>(&self, mut look: impl FnMut(&[f32]) -> Result<(), E>) -> Result<(), E> {
        for part in self.chunks(PART) {
            look(part)?;
            self.rest();
        }
        Ok(())
    }

    /// Calls `change` with all of them, some at a time, until it fails.
    pub(crate) fn each_part_mut<E>(
        &mut self,
        mut change: impl FnMut(&mut [f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        for begin in (0..self.len()).step_by(PART) {
            let end = (begin + PART).min(self.len());
            change(&mut self[begin..end])?;
            self.rest();
        }
        Ok(())
    }

    /// Says that they are not needed for a while: what lies in a file leaves the process's memory.
    pub(crate) fn rest(&self) {
        #[cfg(feature = "native")]
        if let Place::File(mapped) = &self.0 {
            mapped.rest();
        }
    }
}

impl From<Vec<f32>> for Words {
    fn from(words: Vec<f32>) -> Self {
        Self(Place::Memory(words))
    }
}

impl Deref for Words {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.0 {
            Place::Memory(words) => words,
            #[cfg(feature = "native")]
            Place::File(mapped) => mapped.words(),
        }
    }
}

impl DerefMut for Words {
    fn deref_mut(&mut self) -> &mut [f32] {
        match &mut self.0 {
            Place::Memory(words) => words,
            #[cfg(feature = "native")]
            Place::File(mapped) => mapped.words_mut(),
        }
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} words", self.len())
    }
}

/// Files that are mapped into memory.
#[cfg(feature = "native")]
mod file {
    use std::fs::File;
    use std::io::{self, ErrorKind, Read};
    use std::path::Path;

    use fs4::FileExt;
    use memmap2::{MmapMut, MmapOptions};

    use super::{Error, Result};

    /// Words in a file without a name.
    pub(super) struct Mapped {
        /// A page more than nothing, which cannot be mapped.
        map: MmapMut,
        len: usize,
    }

    /// Gives an empty file its length and its room on the disk. Of a disk that is found full only when a page is
    /// written back, the process could not be told.
    fn reserve(mut file: &File, bytes: u64) -> io::Result<()> {
        match FileExt::allocate(file, bytes) {
            // Some file systems give room only to what is written.
            Err(e) if e.kind() == ErrorKind::Unsupported => {
                io::copy(&mut io::repeat(0).take(bytes), &mut file).map(drop)
            }
            other => other.and_then(|()| file.set_len(bytes)),
        }
    }

    impl Mapped {
        /// `len` zeros in a file of `folder`.
        pub(super) fn new(folder: &Path, len: usize) -> Result<Self> {
            let bytes = 4 * len as u64;
            let fail = |e: io::Error| {
                let why = match e.kind() {
                    ErrorKind::NotFound => "there is no such folder; create it first".into(),
                    ErrorKind::NotADirectory => "it is a file; name a folder".into(),
                    ErrorKind::PermissionDenied => {
                        "it does not allow new files; choose another folder".into()
                    }
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!(
                        "its disk has no room for {} MiB more; free some space, choose another folder or a smaller --size",
                        bytes.div_ceil(1 << 20)
                    ),
                    ErrorKind::FileTooLarge => format!(
                        "{} MiB are more than the system allows a file to have (see `ulimit -f`); raise that limit, or choose a smaller --size",
                        bytes.div_ceil(1 << 20)
                    ),
                    _ => format!("the system says: {e}; choose another folder"),
                };
                Error::write(folder, why)
            };
            let file = tempfile::tempfile_in(folder).map_err(fail)?;
            reserve(&file, bytes.max(1)).map_err(fail)?;
            // SAFETY: nobody else can open a file without a name, so nobody changes it or cuts it short.
            let map = unsafe { MmapOptions::new().map_mut(&file) }.map_err(fail)?;
            Ok(Self { map, len })
        }

        pub(super) fn words(&self) -> &[f32] {
            bytemuck::cast_slice(&self.map[..4 * self.len])
        }

        pub(super) fn words_mut(&mut self) -> &mut [f32] {
            bytemuck::cast_slice_mut(&mut self.map[..4 * self.len])
        }

        #[cfg(target_os = "linux")]
        pub(super) fn rest(&self) {
            // SAFETY: the map is shared with its file, so what was written stays and is read again from there. A
            // refusal changes nothing.
            let _ = unsafe { self.map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }

        /// Other systems take back what they need.
        #[cfg(not(target_os = "linux"))]
        pub(super) fn rest(&self) {}
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;

    #[test]
    fn words_in_files_are_those_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::Folder(folder.path().to_owned());
        let values: Vec<f32> = (0..5000).map(|i| i as f32).collect();
        for len in [0, 1, 1023, 1024, 5000] {
            let mut words = store.keep(values[..len].to_vec()).unwrap();
            assert_eq!(*words, values[..len]);
            words.iter_mut().for_each(|v| *v += 1.0);
            words.rest();
            assert!(words.iter().zip(&values).all(|(word, value)| *word == value + 1.0));
            assert_eq!(words, Store::Memory.copy(&words).unwrap());
            assert!(store.zeros(len).unwrap().iter().all(|v| v.to_bits() == 0));
        }
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 0, "files have names");
    }

    #[test]
    fn folders_that_cannot_keep_anything_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let why = |folder: PathBuf| Store::Folder(folder).check().unwrap_err().to_string();
        assert!(why(folder.path().join("none")).contains("there is no such folder"));
        assert!(why(file).contains("it is a file"));
        let store = Store::Folder(folder.path().to_owned());
        let much = store.free().unwrap() as usize;
        let full = store.zeros(much).unwrap_err().to_string();
        assert!(full.contains("no room for") || full.contains("ulimit"), "{full}");
        assert!(store.free().unwrap() as usize > much / 2, "room was taken");
    }
}
