//! Files that are damaged by chance or on purpose: whatever they hold, there is an answer, soon and within a known amount of
//! memory. The files are real ones with random changes, always the same; `fuzz/` looks further.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Cursor;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;

use fastrand::Rng;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::tiff::TiffEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use impasto::LayerSpec;
use impasto::network::weights::Weights;
use impasto::painting::checkpoint::Snapshot;
use impasto::painting::provenance::{Record, Start};
use impasto::painting::settings::Settings;
use impasto::picture::Input;
use impasto::picture::{Picture, SaveOptions};

/// What one file may make the program ask for at once: what a decoder is allowed, and the planes beside it. All tests of this
/// process are counted together, but the others hold next to nothing beside that.
const MOST_MEMORY: usize = 5 << 30;
/// Longer than any of these files takes on any machine: then something hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// Changed files of each kind.
const FILES: usize = 150;

/// Refuses what nobody should ask for; that ends the test with a message.
struct Bounded;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

impl Bounded {
    fn take(bytes: usize) -> bool {
        let before = IN_USE.fetch_add(bytes, Relaxed);
        before.saturating_add(bytes) <= MOST_MEMORY || {
            IN_USE.fetch_sub(bytes, Relaxed);
            false
        }
    }
}

// SAFETY: all memory comes from `System` and goes back to it with the same layouts.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !Self::take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: `System` has the same contract.
        unsafe { System.alloc(layout) }
    }

    // Zeroed pages take no memory until they are written to.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !Self::take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as `alloc`.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

/// Reads `FILES` changed forms of every file.
#[track_caller]
fn survive(name: &str, files: &[Vec<u8>], read: fn(&[u8])) {
    let mut random = Rng::with_seed(name.bytes().map(u64::from).sum());
    for (kind, whole) in files.iter().enumerate() {
        read(whole);
        for number in 0..FILES {
            let bytes = changed(whole, &mut random);
            let (sender, receiver) = mpsc::channel();
            let copy = bytes.clone();
            std::thread::spawn(move || {
                let _ = sender.send(catch_unwind(|| read(&copy)).is_ok());
            });
            let keep = || {
                let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{kind}-{number}"));
                std::fs::write(&path, &bytes).unwrap();
                path.display().to_string()
            };
            match receiver.recv_timeout(PATIENCE) {
                Ok(true) => {}
                Ok(false) => panic!("{}: a panic", keep()),
                Err(_) => panic!("{}: no answer", keep()),
            }
        }
    }
}

/// A few bytes of it are others, mostly near the beginning, where the descriptions are; or a part is missing or doubled.
fn changed(whole: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..random.usize(1..5) {
        let reach = if random.bool() { bytes.len().min(600) } else { bytes.len() };
        let at = random.usize(..reach.max(1));
        match random.u8(..8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..(at + random.usize(..40)).min(bytes.len()))),
            2 => {
                let part = bytes[at..(at + 40).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            3 => bytes[at..].iter_mut().take(4).for_each(|b| *b = 0xff),
            4 => bytes[at..].iter_mut().take(4).for_each(|b| *b = 0),
            5 => bytes[at..].iter_mut().take(1).for_each(|b| *b ^= 1 << random.u8(..8)),
            _ => bytes[at..].iter_mut().take(1).for_each(|b| *b = random.u8(..)),
        }
        if bytes.is_empty() {
            break;
        }
    }
    // Else the reader of PNG would look at nothing but the sums.
    if random.u8(..4) > 0 {
        mend_sums(&mut bytes);
    }
    bytes
}

/// Makes the check sums of a PNG right.
fn mend_sums(bytes: &mut [u8]) {
    let mut at = 8;
    while bytes.starts_with(b"\x89PNG") && at + 12 <= bytes.len() {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let Some(end) = at.checked_add(8 + length).filter(|end| end + 4 <= bytes.len()) else { break };
        let mut sum = u32::MAX;
        for byte in &bytes[at + 4..end] {
            sum ^= u32::from(*byte);
            (0..8).for_each(|_| sum = (sum >> 1) ^ (0xedb8_8320 * (sum & 1)));
        }
        bytes[end..end + 4].copy_from_slice(&(!sum).to_be_bytes());
        at = end + 4;
    }
}

/// What the program itself writes, of `format`: with profile, EXIF and a record.
fn written(ending: &str, depth16: bool) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("a.{ending}"));
    let mut picture = Picture::noise(37, 29, 5);
    if ending != "jpg" {
        picture.alpha = Some((0..37 * 29).map(|i| (i % 5) as f32 / 4.0).collect());
    }
    let file = Input::new("a.png", b"a");
    let mut options = SaveOptions::default();
    options.depth16 = depth16;
    let mut record =
        Record::new(Settings::book(), "an adapter".into(), file.clone(), file.clone(), vec![file]);
    record.start = Start::Noise { seed: 3 };
    options.comment = Some(record.comment());
    picture.save(&path, &options).unwrap();
    std::fs::read(path).unwrap()
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn pictures() -> Vec<Vec<u8>> {
    let mut files = vec![fixture("tests/fixtures/content_70x101.png"), fixture("tests/fixtures/recipe.png")];
    for (ending, depth16) in
        [("png", false), ("png", true), ("jpg", false), ("tif", false), ("tif", true), ("webp", false)]
    {
        files.push(written(ending, depth16));
    }
    files
}

#[test]
fn pictures_of_every_kind() {
    survive("picture", &pictures(), |bytes| {
        let _ = Picture::from_bytes("malformed", bytes);
    });
}

#[test]
fn records_in_pictures() {
    survive("record", &pictures()[2..], |bytes| {
        let _ = Record::from_bytes("malformed", bytes);
    });
}

/// Compressed or with sums, they would hardly ever be reached by changes of the file.
#[test]
fn profiles_and_exif() {
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    survive("profile", &[profile], |profile| {
        let mut file = Cursor::new(Vec::new());
        let mut encoder = PngEncoder::new(&mut file);
        encoder.set_icc_profile(profile.to_vec()).unwrap();
        encoder.write_image(&[100; 3 * 16], 4, 4, ExtendedColorType::Rgb8).unwrap();
        Picture::from_bytes("malformed", file.get_ref()).unwrap();
    });

    // A TIFF without its pixels is what EXIF is.
    let mut tiff = Cursor::new(Vec::new());
    TiffEncoder::new(&mut tiff).write_image(&[9; 12], 2, 2, ExtendedColorType::Rgb8).unwrap();
    let exif = written("tif", false);
    survive("exif", &[tiff.into_inner(), exif], |exif| {
        // As long as a JPEG allows.
        let exif = exif[..exif.len().min(60_000)].to_vec();
        let mut file = Cursor::new(Vec::new());
        let mut encoder = JpegEncoder::new(&mut file);
        encoder.set_exif_metadata(exif.clone()).unwrap();
        encoder.write_image(&[100; 3 * 64], 8, 8, ExtendedColorType::Rgb8).unwrap();
        let picture = Picture::from_bytes("malformed", file.get_ref()).unwrap();
        // What was accepted can be written again.
        let folder = tempfile::tempdir().unwrap();
        for ending in ["jpg", "png", "tif", "webp"] {
            picture.save(&folder.path().join(format!("a.{ending}")), &SaveOptions::default()).unwrap();
        }
        let mut file = Cursor::new(Vec::new());
        let mut encoder = WebPEncoder::new_lossless(&mut file);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(&[100; 3 * 64], 8, 8, ExtendedColorType::Rgb8).unwrap();
        Picture::from_bytes("malformed", file.get_ref()).unwrap();
    });
}

#[test]
fn weights_of_networks() {
    // The real file's header, and a small one whose tensors are reached, too.
    let real = fixture("weights/vgg19.safetensors");
    let header = 8 + u64::from_le_bytes(real[..8].try_into().unwrap()) as usize;
    let small = {
        use safetensors::{Dtype, tensor::TensorView};
        let (weight, bias) = (vec![0u8; 2 * 3 * 9 * 4], vec![0u8; 2 * 2]);
        let tensors = [
            ("features.0.weight", TensorView::new(Dtype::F32, vec![2, 3, 3, 3], &weight).unwrap()),
            ("features.0.bias", TensorView::new(Dtype::F16, vec![2], &bias).unwrap()),
        ];
        let metadata = [("input_mean".to_owned(), "[0.5, 0.5, 0.5]".to_owned())].into();
        safetensors::serialize(tensors, Some(metadata)).unwrap()
    };
    let specs = || [LayerSpec::new("features.0", 3, 2)];
    Weights::from_bytes("small", &small, &specs()).unwrap();
    survive("weights", &[small, real[..header + 2000].to_vec()], |bytes| {
        let specs = [LayerSpec::new("features.0", 3, 2), LayerSpec::new("features.0", 3, 64)];
        for spec in specs {
            let _ = Weights::from_bytes("malformed", bytes, &[spec]);
        }
    });
}

#[test]
fn checkpoints() {
    use impasto::Network;
    use impasto::network::tuning::Tuning;
    use impasto::network::vgg::Vgg;
    use impasto::painting::session::Session;
    let gpu = impasto::engine::gpu::Gpu::new(None).unwrap();
    let network = Network::vgg19();
    let weights = Weights::embedded(&network.specs(&Settings::book().taps()).unwrap()).unwrap();
    let vgg = Vgg::new(&gpu, network, &weights, &Tuning::default()).unwrap();
    let picture = Picture::noise(16, 16, 1);
    let mut settings = Settings::book();
    settings.iterations = 2;
    let builder = Session::builder(&gpu, &vgg).content(&picture).style(&picture, 1.0);
    let mut session = builder.settings(settings).build().unwrap();
    while session.step().unwrap().is_some() {}
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c");
    session.snapshot().unwrap().save(&path).unwrap();
    let bytes = std::fs::read(path).unwrap();
    Snapshot::from_bytes("whole", &bytes).unwrap();
    survive("checkpoint", &[bytes], |bytes| {
        let _ = Snapshot::from_bytes("malformed", bytes);
    });
}
