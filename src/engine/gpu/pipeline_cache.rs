//! Compiled pipelines on disk, for drivers that hand them out. There is one file per adapter, driver and text
//! of the shaders.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::Gpu;
use crate::disk::replace_file;
use crate::disk::sha256;

/// The beginning of a file.
const MAGIC: &str = "impasto pipelines 1";
/// The length of the magic and of two digests in hexadecimal digits, each on a line.
const HEAD: usize = MAGIC.len() + 1 + 2 * 65;
/// Larger files are not read. All pipelines of a run take a few megabytes.
const MOST: u64 = 256 << 20;

/// A cache for compiling pipelines, and its file.
pub(super) struct PipelineCache {
    cache: wgpu::PipelineCache,
    path: PathBuf,
    key: String,
    /// The data of the cache when it was last compared with the file.
    held: Mutex<Option<Vec<u8>>>,
}

impl Gpu {
    /// Uses compiled pipelines from `folder`, which need not exist yet, and stores there what is compiled
    /// from now on, if the backend has pipeline caches. Returns a note if a file cannot be used.
    ///
    /// This only saves time, so nothing about it is an error. Pipelines that cannot be read are compiled, and
    /// those that cannot be written will be compiled again by the next run.
    pub fn keep_pipelines(&mut self, folder: &Path) -> Option<String> {
        if !self.device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        // Only Vulkan has a key for its caches.
        wgpu::util::pipeline_cache_key(&self.info)?;
        let (_, key) = self.identity();
        let path = folder.join(format!("pipelines-{}.bin", &key[..16]));
        let (data, mut note) = match read(&path, &key) {
            Ok(data) => (data, None),
            Err(why) => {
                (None, Some(format!("the compiled shaders in {} are ignored: {why}", path.display())))
            }
        };
        let (cache, refused) = self.pipeline_cache(data.as_deref());
        if refused {
            note = Some(format!("the driver does not take the compiled shaders in {}", path.display()));
        }
        self.host.cache =
            cache.map(|cache| PipelineCache { held: Mutex::new(cache.get_data()), cache, path, key });
        note
    }

    /// A cache with `data`, and whether it had to be made without them.
    fn pipeline_cache(&self, data: Option<&[u8]>) -> (Option<wgpu::PipelineCache>, bool) {
        let create = |data| {
            let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
            let description =
                wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data, fallback: true };
            // SAFETY: the data come from a cache of this adapter and driver, both of which are part of the
            // key they were stored with. Their digest says that they have not changed since.
            let cache = unsafe { self.device.create_pipeline_cache(&description) };
            pollster::block_on(scope.pop()).is_none().then_some(cache)
        };
        match (create(data), data) {
            (None, Some(_)) => (create(None), true),
            (cache, _) => (cache, false),
        }
    }
}

impl PipelineCache {
    pub(super) fn cache(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Replaces the file if anything was added to the cache. Some drivers never add anything.
    pub(super) fn keep(&self) {
        let mut held = self.held.lock().expect("no panic holds this lock");
        let now = self.cache.get_data();
        if now == *held {
            return;
        }
        if let (Some(data), Some(folder)) = (&now, self.path.parent()) {
            // If this fails, the next run compiles again.
            let _ = fs::create_dir_all(folder)
                .is_ok_and(|()| replace_file(&self.path, &pack(&self.key, data)).is_ok());
        }
        *held = now;
    }
}

/// The data in a file; `None` if there is no file.
fn read(path: &Path, key: &str) -> Result<Option<Vec<u8>>, String> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(about) if about.len() > MOST => return Err("the file is too large".into()),
        _ => {}
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    unpack(key, &bytes).map(|data| Some(data.to_vec())).map_err(str::to_owned)
}

/// The content of a file: format, key, digest of the data, data.
fn pack(key: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{MAGIC}\n{key}\n{}\n", sha256::bytes(data)).into_bytes();
    bytes.extend(data);
    bytes
}

/// The inverse of [`pack`]. Drivers trust the data, so they must be exactly what was written.
fn unpack<'b>(key: &str, bytes: &'b [u8]) -> Result<&'b [u8], &'static str> {
    let damaged = "the file is damaged";
    let (head, data) = bytes.split_at_checked(HEAD).ok_or(damaged)?;
    let mut lines = head.split(|byte| *byte == b'\n');
    if lines.next() != Some(MAGIC.as_bytes()) {
        return Err(damaged);
    }
    let (whose, sum) = (lines.next(), lines.next());
    if sum != Some(sha256::bytes(data).as_bytes()) {
        return Err(damaged);
    }
    if whose != Some(key.as_bytes()) {
        return Err("they are of another device, driver or version");
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kernel::kernel;
    use crate::engine::tape::Tape;

    /// Bytes that wgpu puts before the driver's data.
    const HEADER: usize = 64;

    /// Opens a device that keeps pipelines in `folder`, compiles one, and returns the device and the note.
    fn compile(folder: &Path) -> (Gpu, Option<String>) {
        let mut gpu = Gpu::new(None).unwrap();
        let note = gpu.keep_pipelines(folder);
        let mut tape = Tape::forward_only(&gpu);
        let (x, y) = (tape.state("x", 4), tape.state("y", 4));
        tape.forward(kernel!("bench_copy", "forward")).bind("x", x).bind("y", y).grid([1; 3]);
        tape.finish().unwrap();
        (gpu, note)
    }

    /// The file in which this device keeps its pipelines; `None` if its backend has no caches.
    fn file(folder: &Path) -> Option<(PathBuf, String)> {
        compile(folder).0.host.cache.map(|cache| (cache.path, cache.key))
    }

    #[test]
    fn only_what_was_packed_is_unpacked() {
        let key = sha256::words("this device");
        let data: Vec<u8> = (0..=255).collect();
        let packed = pack(&key, &data);
        assert_eq!(unpack(&key, &packed), Ok(&data[..]));
        assert_eq!(unpack(&key, &pack(&key, &[])), Ok(&[][..]));
        assert!(unpack(&sha256::words("another"), &packed).unwrap_err().contains("another device"));
        for end in 0..packed.len() {
            assert!(unpack(&key, &packed[..end]).is_err(), "cut at {end}");
        }
        for place in 0..packed.len() {
            let mut changed = packed.clone();
            changed[place] ^= 1;
            assert!(unpack(&key, &changed).is_err(), "changed at {place}");
        }
    }

    #[test]
    fn useless_files_are_ignored_with_a_note() {
        let folder = tempfile::tempdir().unwrap();
        let Some((path, key)) = file(folder.path()) else {
            println!("this backend has no pipeline caches");
            return;
        };
        let mut packed = pack(&key, b"what a driver might say");
        packed[HEAD + 3] ^= 1;
        for (bytes, why) in [
            (Vec::new(), "damaged"),
            (b"not at all\n".repeat(40), "damaged"),
            (packed, "damaged"),
            (pack(&sha256::words("another"), b"of another device"), "another device"),
        ] {
            fs::write(&path, bytes).unwrap();
            let note = compile(folder.path()).1.expect("a note");
            assert!(note.contains(why) && note.contains("ignored"), "{note}");
        }
        // Meaningless data: whether the driver takes them as empty or refuses them, shaders are compiled.
        fs::write(&path, pack(&key, b"no driver ever said this")).unwrap();
        compile(folder.path());
        fs::remove_file(&path).unwrap();
        assert_eq!(compile(folder.path()).1, None);
    }

    #[test]
    fn what_a_driver_gives_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let Some(cache) = compile(folder.path()).0.host.cache else {
            println!("this backend has no pipeline caches");
            return;
        };
        // This holds for drivers that store nothing but a header, too.
        let data = cache.cache.get_data().unwrap();
        println!("{} bytes of compiled shaders", data.len());
        fs::write(&cache.path, pack(&cache.key, &data)).unwrap();
        let (gpu, note) = compile(folder.path());
        assert_eq!(note, None);
        // Everything is there; SwiftShader puts one more header in front.
        let now = gpu.host.cache.unwrap().cache.get_data().unwrap();
        assert!(
            now == data || now.len() > data.len() && now.ends_with(&data[HEADER..]),
            "{now:?} of {data:?}"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        fs::write(&blocked, "in the way").unwrap();
        for place in [blocked.clone(), blocked.join("below")] {
            let (gpu, _) = compile(&place);
            // As if something had been added to the cache.
            if let Some(cache) = gpu.host.cache {
                *cache.held.lock().unwrap() = None;
                cache.keep();
            }
        }
        assert_eq!(fs::read_to_string(blocked).unwrap(), "in the way");
    }
}
