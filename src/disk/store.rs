//! Long rows of numbers in the machine's memory or, where that is too small for them, in files.

use std::convert::Infallible;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Result;

/// Where a run keeps what is long: the state and the features of a large picture.
#[derive(Clone, Debug, Default)]
pub struct Store(Option<Arc<Folder>>);

/// A folder of files.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// Bytes that lie in it now.
    held: AtomicU64,
}

/// The words that are handled at a time: 16 MiB. The number is even, so that no float64 is cut.
const PART: usize = if cfg!(test) { 16 } else { 1 << 22 };

/// 32-bit words, see [`Store`]. A clone shares them until one of both is changed.
#[derive(Clone)]
pub(crate) struct Words(Arc<Place>);

enum Place {
    Memory(Vec<f32>),
    #[cfg(feature = "native")]
    File(file::Mapped),
}

impl Store {
    /// The machine's memory.
    pub const fn memory() -> Self {
        Self(None)
    }

    /// Files of this folder, which are mapped into memory. They have no names there, so that the system removes them even
    /// after a process that was killed. A disk that fails while they are in use ends the process, as it does for all
    /// mapped files.
    #[cfg(feature = "native")]
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self(Some(Arc::new(Folder { path: path.into(), held: AtomicU64::new(0) })))
    }

    /// The folder, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.0.as_ref().map(|folder| folder.path.as_path())
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// [`Error::Write`](crate::Error::Write) if the folder's disk has no room for them, or if nothing can be written there.
    pub(crate) fn zeros(&self, len: usize) -> Result<Words> {
        Ok(Words(Arc::new(match &self.0 {
            #[cfg(feature = "native")]
            Some(folder) => Place::File(file::Mapped::new(folder.clone(), len)?),
            _ => Place::Memory(vec![0.0; len]),
        })))
    }

    /// Bytes that a run may have here, as far as the system tells: what is free, and what it has already.
    pub(crate) fn room(&self) -> Option<u64> {
        match &self.0 {
            None => free_memory(),
            #[cfg(feature = "native")]
            Some(folder) => {
                let free = fs4::available_space(&folder.path).ok()?;
                Some(free + folder.held.load(Ordering::Relaxed))
            }
            #[cfg(not(feature = "native"))]
            Some(_) => None,
        }
    }

    /// Finds out, before a long run, whether anything can be kept here.
    ///
    /// # Errors
    /// [`Error::Write`](crate::Error::Write) says what stands in the way.
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
    /// Stops sharing, by a copy in the same place if need be. Call this before changing words that lie in a file:
    /// changing shared ones moves them into memory.
    ///
    /// # Errors
    /// As [`Store::zeros`].
    pub(crate) fn own(&mut self) -> Result<()> {
        if Arc::get_mut(&mut self.0).is_some() {
            return Ok(());
        }
        let mut copy = match &*self.0 {
            Place::Memory(_) => Store::memory().zeros(self.len())?,
            #[cfg(feature = "native")]
            Place::File(mapped) => mapped.store().zeros(self.len())?,
        };
        copy.copy_from(self);
        *self = copy;
        Ok(())
    }

    /// Takes the values of others, of which there are as many.
    pub(crate) fn copy_from(&mut self, others: &Self) {
        let mut begin = 0;
        let copied = self.each_part_mut(|part| {
            part.copy_from_slice(&others[begin..][..part.len()]);
            begin += part.len();
            others.unload();
            Ok::<(), Infallible>(())
        });
        let Ok(()) = copied;
    }

    /// Calls `look` with all of them, some at a time, until it fails.
    pub(crate) fn each_part<E>(&self, mut look: impl FnMut(&[f32]) -> Result<(), E>) -> Result<(), E> {
        for part in self.chunks(PART) {
            look(part)?;
            self.unload();
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
            self.unload();
        }
        Ok(())
    }

    /// Lets the process's memory go of words that lie in a file. Using them again reads them back.
    pub(crate) fn unload(&self) {
        #[cfg(feature = "native")]
        if let Place::File(mapped) = &*self.0 {
            mapped.unload();
        }
    }
}

impl From<Vec<f32>> for Words {
    fn from(words: Vec<f32>) -> Self {
        Self(Arc::new(Place::Memory(words)))
    }
}

impl Deref for Words {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.0 {
            Place::Memory(words) => words,
            #[cfg(feature = "native")]
            Place::File(mapped) => mapped.words(),
        }
    }
}

impl DerefMut for Words {
    fn deref_mut(&mut self) -> &mut [f32] {
        match Arc::make_mut(&mut self.0) {
            Place::Memory(words) => words,
            #[cfg(feature = "native")]
            Place::File(mapped) => mapped.words_mut(),
        }
    }
}

impl Clone for Place {
    /// Always in memory, see [`Words::own`].
    fn clone(&self) -> Self {
        match self {
            Self::Memory(words) => Self::Memory(words.clone()),
            #[cfg(feature = "native")]
            Self::File(mapped) => Self::Memory(mapped.words().to_vec()),
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
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use fs4::FileExt;
    use memmap2::{MmapMut, MmapOptions};

    use super::{Folder, Store};
    use crate::{Error, Result};

    /// Words in a file without a name.
    pub(super) struct Mapped {
        /// At least a byte, because nothing cannot be mapped.
        map: MmapMut,
        len: usize,
        folder: Arc<Folder>,
    }

    /// Why a file of so many bytes cannot be made in a folder.
    fn explained(folder: &Path, bytes: u64, e: &io::Error) -> Error {
        let mib = bytes.div_ceil(1 << 20);
        let why = match e.kind() {
            ErrorKind::NotFound => "there is no such folder; create it first".into(),
            ErrorKind::NotADirectory => "it is a file; name a folder".into(),
            ErrorKind::PermissionDenied => "it does not allow new files; choose another folder".into(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!(
                "its disk has no room for {mib} MiB more; free some space, choose another folder or a smaller --size"
            ),
            ErrorKind::FileTooLarge => format!(
                "{mib} MiB are more than the system allows a file to have (see `ulimit -f`); raise that limit, or choose a \
                 smaller --size"
            ),
            _ => format!("the system says: {e}; choose another folder"),
        };
        Error::write(folder, why)
    }

    /// Gives an empty file its length and its room on the disk. Of a disk that is found full only when a page is
    /// written back, the process could not be told.
    fn reserve(mut file: &File, folder: &Path, bytes: u64) -> io::Result<()> {
        // Some systems would take all the room there is before they say that it is not enough.
        if fs4::available_space(folder).is_ok_and(|free| free < bytes) {
            return Err(ErrorKind::StorageFull.into());
        }
        loop {
            match FileExt::allocate(file, bytes) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // Some file systems give room only to what is written.
                Err(e) if e.kind() == ErrorKind::Unsupported => {
                    return io::copy(&mut io::repeat(0).take(bytes), &mut file).map(drop);
                }
                other => return other.and_then(|()| file.set_len(bytes)),
            }
        }
    }

    impl Mapped {
        /// `len` zeros in a file of `folder`.
        pub(super) fn new(folder: Arc<Folder>, len: usize) -> Result<Self> {
            let bytes = 4 * len as u64;
            let map = || {
                let file = tempfile::tempfile_in(&folder.path)?;
                reserve(&file, &folder.path, bytes.max(1))?;
                // SAFETY: nobody else opens the file, which has no name, so nobody changes it or cuts it short.
                unsafe { MmapOptions::new().map_mut(&file) }
            };
            let map = map().map_err(|e| explained(&folder.path, bytes, &e))?;
            folder.held.fetch_add(bytes, Ordering::Relaxed);
            Ok(Self { map, len, folder })
        }

        /// Where it lies.
        pub(super) fn store(&self) -> Store {
            Store(Some(self.folder.clone()))
        }

        pub(super) fn words(&self) -> &[f32] {
            bytemuck::cast_slice(&self.map[..4 * self.len])
        }

        pub(super) fn words_mut(&mut self) -> &mut [f32] {
            bytemuck::cast_slice_mut(&mut self.map[..4 * self.len])
        }

        #[cfg(target_os = "linux")]
        pub(super) fn unload(&self) {
            // SAFETY: the map is shared with its file, so what was written stays and is read again from there. A
            // refusal changes nothing.
            let _ = unsafe { self.map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }

        /// Other systems take back what they need.
        #[cfg(not(target_os = "linux"))]
        pub(super) fn unload(&self) {}
    }

    impl Drop for Mapped {
        fn drop(&mut self) {
            self.folder.held.fetch_sub(4 * self.len as u64, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;

    #[test]
    fn words_in_files_are_those_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path());
        let values: Vec<f32> = (0..5000).map(|i| i as f32).collect();
        for len in [0, 1, PART - 1, PART, 1023, 1024, 5000] {
            let mut words = store.zeros(len).unwrap();
            words.copy_from(&values[..len].to_vec().into());
            assert_eq!(*words, values[..len]);
            words.iter_mut().for_each(|v| *v += 1.0);
            words.unload();
            assert!(words.iter().zip(&values).all(|(word, value)| *word == value + 1.0));
            assert!(store.zeros(len).unwrap().iter().all(|v| v.to_bits() == 0));
            let mut seen = Vec::new();
            let all = words.each_part(|part| {
                seen.extend_from_slice(part);
                Ok::<(), ()>(())
            });
            all.unwrap();
            assert_eq!(words, Words::from(seen));
        }
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 0, "files have names");
    }

    #[test]
    fn clones_share_a_file_until_one_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path());
        let held = || store.0.as_ref().unwrap().held.load(Ordering::Relaxed);
        let mut words = store.zeros(100).unwrap();
        words.fill(1.0);
        words.own().unwrap();
        let copy = words.clone();
        assert_eq!(held(), 400);
        words.own().unwrap();
        words[3] = 2.0;
        assert_eq!((held(), copy[3], words[3]), (800, 1.0, 2.0));
        // Changing a shared one without `own` costs memory, but is right.
        let mut other = words.clone();
        other[3] = 5.0;
        assert_eq!((held(), other[3], words[3]), (800, 5.0, 2.0));
        drop((words, copy));
        assert_eq!(held(), 0);
    }

    #[test]
    fn folders_that_cannot_keep_anything_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let why = |folder: PathBuf| Store::folder(folder).check().unwrap_err().to_string();
        assert!(why(folder.path().join("none")).contains("there is no such folder"));
        assert!(why(file).contains("it is a file"));
        let store = Store::folder(folder.path());
        let full = store.zeros(store.room().unwrap() as usize).unwrap_err().to_string();
        assert!(full.contains("its disk has no room for "), "{full}");
    }
}
