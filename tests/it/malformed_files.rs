//! Files that are damaged by chance or on purpose: whatever they hold, there is an answer, soon and within a
//! known amount of memory. The files are real ones with random changes, always the same; `fuzz/` looks
//! further.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Cursor, Write};
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;

use fastrand::Rng;
use image::codecs::bmp::BmpEncoder;
use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::tiff::TiffEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use impasto::LayerSpec;
use impasto::network::weights::Weights;
use impasto::painting::checkpoint::Checkpoint;
use impasto::painting::provenance::{Record, Start};
use impasto::painting::settings::Settings;
use impasto::picture::Input;
use impasto::picture::{Picture, SaveOptions};

use crate::support::figures::network;
use crate::support::setup::vgg;

/// What one file may make the program ask for at once: what a decoder is allowed, and the planes beside it.
/// All tests of this process are counted together, but the others hold next to nothing compared with that.
const MOST_MEMORY: usize = 5 << 30;
/// Longer than any of these files takes on any machine: then something hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// Changed files of each kind.
const FILES: usize = 150;

/// Refuses requests that are too large; that ends the test with a message.
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

/// A few bytes of it are others, mostly near the beginning, where the descriptions are; or a part is missing
/// or doubled.
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
    let samples: Vec<u8> = (0..37 * 29 * 3).map(|i| (i * i / 7 % 256) as u8).collect();
    let mut bmp = Vec::new();
    BmpEncoder::new(&mut bmp).encode(&samples, 37, 29, ExtendedColorType::Rgb8).unwrap();
    let mut gif = Vec::new();
    let rgba: Vec<u8> = samples.chunks(3).flat_map(|p| [p[0] & 192, p[1] & 192, p[2] & 192, 255]).collect();
    GifEncoder::new(&mut gif).encode(&rgba, 37, 29, ExtendedColorType::Rgba8).unwrap();
    files.extend([bmp, gif]);
    files.extend(tiffs(&samples));
    files
}

/// TIFF files of every compression, and of kinds that the program itself does not write.
fn tiffs(samples: &[u8]) -> Vec<Vec<u8>> {
    let mut jpeg = Vec::new();
    JpegEncoder::new(&mut jpeg).write_image(samples, 37, 29, ExtendedColorType::Rgb8).unwrap();
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    deflate.write_all(samples).unwrap();
    let lzw = weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8).encode(samples).unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(samples, ruzstd::encoding::CompressionLevel::Fastest);
    let packed: Vec<u8> =
        samples.chunks(100).flat_map(|part| [&[part.len() as u8 - 1], part].concat()).collect();
    // Twelve bytes by liblzma, and four rows of 20 pixels by libtiff.
    let xz = [
        253, 55, 122, 88, 90, 0, 0, 0, 255, 18, 217, 65, 2, 1, 3, 1, 0, 33, 1, 22, 121, 32, 196, 238, 224, 0,
        11, 0, 6, 93, 0, 5, 108, 60, 0, 0, 0, 0, 0, 0, 0, 1, 26, 12, 219, 3, 29, 153, 6, 114, 158, 122, 1, 0,
        0, 0, 0, 0, 89, 90,
    ];
    let group3 = [
        0, 19, 89, 231, 158, 112, 1, 53, 221, 62, 62, 233, 241, 192, 4, 215, 29, 15, 142, 135, 199, 67, 227,
        161, 192, 4, 213, 14, 135, 67, 161, 208, 232, 116, 58, 29, 14, 135,
    ];
    let mixed = [
        0, 25, 172, 243, 207, 56, 0, 169, 2, 4, 233, 2, 4, 224, 3, 53, 199, 67, 227, 161, 241, 208, 248, 232,
        112, 1, 82, 72, 32, 189, 36, 130, 11, 192,
    ];
    let aligned = [
        53, 158, 121, 231, 53, 221, 62, 62, 233, 241, 192, 53, 199, 67, 227, 161, 241, 208, 248, 232, 112,
        53, 67, 161, 208, 232, 116, 58, 29, 14, 135, 67, 161, 192,
    ];
    let group4 = [
        38, 177, 120, 188, 94, 210, 4, 9, 210, 4, 9, 244, 130, 8, 46, 144, 65, 5, 210, 72, 32, 189, 36, 130,
        11, 192, 4, 0, 64,
    ];
    let map: Vec<u16> = (0..768).map(|i| i * 85).collect();
    vec![
        tiff((37, 29), [8, 3, 7, 6], &[], &jpeg),
        tiff((37, 29), [8, 3, 8, 2], &[(317, vec![2])], &deflate.finish().unwrap()),
        tiff((37, 29), [8, 3, 5, 2], &[(317, vec![2])], &lzw),
        tiff((37, 29), [8, 3, 50000, 2], &[], &zstd),
        tiff((37, 29), [8, 3, 32773, 2], &[], &packed),
        tiff((12, 1), [8, 1, 34925, 1], &[], &xz),
        tiff((20, 4), [1, 1, 3, 1], &[], &group3),
        tiff((20, 4), [1, 1, 3, 1], &[(292, vec![1])], &mixed),
        tiff((20, 4), [1, 1, 2, 1], &[], &aligned),
        tiff((20, 4), [1, 1, 4, 0], &[(266, vec![2])], &group4.map(u8::reverse_bits)),
        tiff((37, 29), [8, 1, 1, 3], &[(320, map)], samples),
        tiff((36, 28), [8, 3, 1, 6], &[(530, vec![2, 2])], samples),
        tiff((18, 29), [8, 4, 1, 5], &[], samples),
        tiff((37, 20), [12, 1, 1, 1], &[], samples),
        tiff((18, 29), [8, 4, 1, 2], &[(338, vec![1])], samples),
        tiff((32, 16), [8, 3, 1, 2], &[(322, vec![32]), (323, vec![16])], samples),
    ]
}

/// A little-endian file of one page with one strip or tile: bits, channels, compression and meaning.
fn tiff(size: (u16, u16), kinds: [u16; 4], more: &[(u16, Vec<u16>)], data: &[u8]) -> Vec<u8> {
    let [bits, channels, compression, photometric] = kinds;
    let tiles = more.iter().any(|(tag, _)| *tag == 322);
    let mut entries = vec![
        (256, vec![size.0]),
        (257, vec![size.1]),
        (258, vec![bits; channels.into()]),
        (259, vec![compression]),
        (262, vec![photometric]),
        (277, vec![channels]),
        (if tiles { 324 } else { 273 }, vec![8]),
        (if tiles { 325 } else { 279 }, vec![data.len() as u16]),
    ];
    entries.extend(more.iter().cloned());
    entries.sort();
    let directory = 8 + data.len().next_multiple_of(2);
    let mut values = directory + 2 + 12 * entries.len() + 4;
    let mut file = [b"II*\0", &(directory as u32).to_le_bytes()[..], data].concat();
    file.resize(directory, 0);
    file.extend((entries.len() as u16).to_le_bytes());
    let bytes = |values: &[u16]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    for (tag, list) in &entries {
        file.extend([bytes(&[*tag, 3]), (list.len() as u32).to_le_bytes().to_vec()].concat());
        let mut field = bytes(list);
        if list.len() > 2 {
            field = (values as u32).to_le_bytes().to_vec();
            values += 2 * list.len();
        }
        field.resize(4, 0);
        file.extend(field);
    }
    file.extend([0; 4]);
    entries.iter().filter(|(_, list)| list.len() > 2).for_each(|(_, list)| file.extend(bytes(list)));
    Picture::from_bytes("whole", &file).unwrap_or_else(|e| panic!("{kinds:?}: {e}"));
    file
}

#[test]
fn pictures_of_every_kind() {
    survive("picture", &pictures(), |bytes| {
        let _ = Picture::from_bytes("malformed", bytes);
    });
}

/// The size that counts is that of the frame which is decoded, whatever other frames claim.
#[test]
fn a_jpeg_of_several_frames_gets_no_more_memory_than_one() {
    let samples = [100; 3 * 64];
    let mut small = Vec::new();
    JpegEncoder::new(&mut small).write_image(&samples, 8, 8, ExtendedColorType::Rgb8).unwrap();
    let frame = small.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    let scan = small.windows(2).position(|two| two == [0xff, 0xda]).unwrap();
    // Progressive and as large as can be said: 25 GB of coefficients.
    let mut large = small[frame..frame + 19].to_vec();
    large[1] = 0xc2;
    large[5..9].fill(0xff);
    let head = [&small[scan..scan + 11], &[0, 0, 0], &small[scan + 14..]].concat();
    for file in [
        [&small[..frame], &large, &head, &small[2..]].concat(),
        [&small[..frame], &large, &small[2..]].concat(),
        [&small[..scan], &large, &small[scan..]].concat(),
    ] {
        let text = Picture::from_bytes("frames", &file).unwrap_err().to_string();
        assert!(text.contains("damaged") || text.contains("65535 x 65535"), "{text}");
    }
}

#[test]
fn records_in_pictures() {
    survive("record", &pictures()[2..8], |bytes| {
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
    let real = network();
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
    use impasto::painting::session::Session;
    let gpu = impasto::engine::gpu::Gpu::new(None).unwrap();
    let vgg = vgg(&gpu, &Settings::book());
    let picture = Picture::noise(16, 16, 1);
    let mut settings = Settings::book();
    settings.iterations = 2;
    let builder = Session::builder(&gpu, &vgg).content(&picture).style(&picture, 1.0);
    let mut session = builder.settings(settings).build().unwrap();
    while session.step().unwrap().is_some() {}
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c");
    session.checkpoint().unwrap().save(&path).unwrap();
    let bytes = std::fs::read(path).unwrap();
    Checkpoint::from_bytes("whole", &bytes).unwrap();
    survive("checkpoint", &[bytes], |bytes| {
        let _ = Checkpoint::from_bytes("malformed", bytes);
    });
}
