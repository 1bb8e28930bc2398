//! Tests of writing: values survive, and files are complete or untouched.

use std::fs;

use super::*;
use crate::disk::{replace_file, same_file};

const EIGHT: SaveOptions = SaveOptions { quality: None, depth16: false, comment: None };
const SIXTEEN: SaveOptions = SaveOptions { depth16: true, ..EIGHT };

fn quality(quality: u8) -> SaveOptions {
    SaveOptions { quality: Some(quality), ..EIGHT }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T>, path: &Path, why: &str) {
    let text = result.unwrap_err().to_string();
    assert!(text.contains(why), "{text}");
    assert_sentence(&text, &format!("cannot write {}: ", path.display()));
}

#[test]
fn lossless_formats_round_trip_by_value() {
    let dir = tempfile::tempdir().unwrap();
    let mut picture = pattern(16, 5);
    for alpha in [None, Some((0..80).map(|i| (i % 51 + 1) as f32 / 51.0).collect())] {
        picture.alpha = alpha;
        for name in ["a.png", "a.PNG", "a.tif", "a.tiff", "a.webp"] {
            let path = dir.path().join(name);
            picture.save(&path, &EIGHT).unwrap();
            let source = Some(Input::new(name, &fs::read(&path).unwrap()));
            assert_eq!(Picture::open(&path).unwrap(), Picture { source, ..picture.clone() }, "{name}");
        }
    }
    let fine = |i: usize| (i * 4099 % 65536) as f32 / 65535.0;
    picture = Picture::new(16, 5, (0..240).map(fine).collect());
    for alpha in [None, Some((0..80).map(|i| fine(i + 1)).collect())] {
        picture.alpha = alpha;
        for name in ["b.png", "b.tif"] {
            let path = dir.path().join(name);
            picture.save(&path, &SIXTEEN).unwrap();
            let read = Picture::open(&path).unwrap();
            assert_eq!((read.rgb, read.alpha), (picture.rgb.clone(), picture.alpha.clone()), "{name}");
        }
    }
}

#[test]
fn values_are_clamped_and_rounded_to_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    let values = [-1.0, 2.0, 0.499 / 255.0, 0.501 / 255.0, f32::NAN, f32::INFINITY];
    Picture::new(2, 1, values.to_vec()).save(&path, &EIGHT).unwrap();
    assert_eq!(Picture::open(&path).unwrap().rgb, [0.0, 1.0, 0.0, 1.0 / 255.0, 0.0, 1.0]);
}

#[test]
fn jpeg_has_a_white_ground_and_a_quality() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jpg");
    let mut picture = Picture::new(8, 8, vec![0.0; 192]);
    picture.alpha = Some(vec![0.25; 64]);
    picture.save(&path, &EIGHT).unwrap();
    let read = Picture::open(&path).unwrap();
    assert_eq!(read.alpha, None);
    assert_near(&read.rgb, &[0.75; 192], 2.0 / 255.0);

    let picture = pattern(64, 64);
    let size = |percent| {
        picture.save(&path, &quality(percent)).unwrap();
        fs::metadata(&path).unwrap().len()
    };
    assert!(size(30) * 2 < size(95));
}

/// A picture as smooth as photographs are.
fn smooth(width: usize, height: usize) -> Picture {
    let wave = |i: usize| {
        let (x, y) = (i % width, i / width % height);
        0.5 + 0.4 * ((x as f32 / 9.0).sin() * (y as f32 / 7.0).cos())
    };
    Picture::new(width, height, (0..3 * width * height).map(wave).collect())
}

#[test]
fn webp_is_lossy_with_a_quality_and_keeps_alpha_and_profile() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.webp");
    let mut picture = smooth(61, 47);
    for alpha in [None, Some((0..61 * 47).map(|i| (i % 51 + 1) as f32 / 51.0).collect())] {
        picture.alpha = alpha;
        let save = |options: &SaveOptions| {
            picture.save(&path, options).unwrap();
            (Picture::open(&path).unwrap(), fs::read(&path).unwrap())
        };
        let (exact, lossless) = save(&EIGHT);
        let (near, fine) = save(&quality(90));
        let (_, coarse) = save(&quality(10));
        assert!(coarse.len() < fine.len() && fine.len() < lossless.len());
        // A step of the coarser chroma equals a few steps of luminance.
        assert!(exact.rgb != near.rgb);
        assert_near(&near.rgb, &exact.rgb, 12.0 / 255.0);
        assert_eq!(near.alpha, exact.alpha, "alpha has no loss");
        let profile = icc::srgb().unwrap();
        assert!(fine.windows(profile.len()).any(|w| w == profile));
    }
}

#[test]
fn files_are_marked_as_srgb_and_do_not_depend_on_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let profile = icc::srgb().unwrap();
    for name in ["a.jpg", "a.tif", "a.webp"] {
        let path = dir.path().join(name);
        pattern(8, 8).save(&path, &EIGHT).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.windows(profile.len()).any(|w| w == profile), "{name}");
    }
    let path = dir.path().join("a.png");
    pattern(8, 8).save(&path, &EIGHT).unwrap();
    assert!(fs::read(&path).unwrap().windows(4).any(|w| w == b"iCCP"));
    // The date field of the header: year, month, day.
    assert_eq!(profile[24..30], [7, 234, 0, 1, 0, 1]);
}

#[test]
fn what_a_format_cannot_hold_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refuse = |name: &str, options: &SaveOptions, why: &str| {
        let path = dir.path().join(name);
        for result in [options.check(&path), pattern(2, 2).save(&path, options)] {
            let text = result.unwrap_err().to_string();
            assert!(text.contains(why), "{text}");
            assert_sentence(&text, "");
        }
    };
    for name in ["a.jpg", "a.webp"] {
        refuse(name, &SIXTEEN, "8 bits per sample");
        refuse(name, &quality(0), "no quality 0");
        refuse(name, &quality(101), "no quality 101");
    }
    for name in ["a.png", "a.tif"] {
        refuse(name, &quality(90), "without loss");
    }
    let path = dir.path().join("a.webp");
    assert_refused(pattern(16384, 1).save(&path, &EIGHT), &path, "more than the 16383");
    for options in [EIGHT, quality(80)] {
        pattern(16383, 1).save(&path, &options).unwrap();
    }
    assert_eq!(names(dir.path()), ["a.webp"]);
}

#[test]
fn the_target_is_checked_before_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let check = |name: &str, why: &str| {
        let path = dir.path().join(name);
        assert_refused(check_writable(&path), &path, why);
    };
    check("a", "no file extension");
    check("a.gif", "`.gif` is not a known file extension");
    check("none/a.png", "there is no folder");
    fs::create_dir(dir.path().join("d.png")).unwrap();
    check("d.png", "it is a folder");
    fs::write(dir.path().join("f"), "").unwrap();
    check("f/a.png", "");

    let path = dir.path().join("r.png");
    fs::write(&path, "kept").unwrap();
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    check("r.png", "read-only");
    assert_refused(pattern(1, 1).save(&path, &EIGHT), &path, "read-only");
    assert_eq!(fs::read(&path).unwrap(), b"kept");

    assert_eq!(check_writable(&dir.path().join("a.JPEG")).unwrap(), Format::Jpeg);
    assert_eq!(names(dir.path()), ["d.png", "f", "r.png"]);
}

#[cfg(unix)]
#[test]
fn permissions_and_links_are_those_of_the_target() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;

    let (ordinary, new) = (dir.path().join("ordinary"), dir.path().join("new.png"));
    fs::write(&ordinary, "").unwrap();
    pattern(1, 1).save(&new, &EIGHT).unwrap();
    assert_eq!(mode(&new), mode(&ordinary));

    fs::set_permissions(&new, fs::Permissions::from_mode(0o640)).unwrap();
    let link = dir.path().join("link.png");
    symlink("new.png", &link).unwrap();
    pattern(3, 2).save(&link, &EIGHT).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!((Picture::open(&new).unwrap().width, mode(&new)), (3, 0o640));
    assert!(same_file(&link, &new) && !same_file(&link, &ordinary) && !same_file(&new, Path::new("none")));

    let dangling = dir.path().join("dangling.png");
    symlink("later.png", &dangling).unwrap();
    pattern(1, 1).save(&dangling, &EIGHT).unwrap();
    assert!(dir.path().join("later.png").is_file());

    let circle = dir.path().join("circle.png");
    symlink("circle.png", &circle).unwrap();
    assert_refused(check_writable(&circle), &circle, "circle");
    let device = dir.path().join("device.png");
    symlink("/dev/null", &device).unwrap();
    assert_refused(check_writable(&device), &device, "not a regular file");
    let expected =
        ["circle.png", "dangling.png", "device.png", "later.png", "link.png", "new.png", "ordinary"];
    assert_eq!(names(dir.path()), expected);
}

#[test]
fn replacing_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    replace_file(&path, b"one").unwrap();
    replace_file(&path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(names(dir.path()), ["a.json"]);
    let missing = dir.path().join("none").join("a.json");
    assert_refused(replace_file(&missing, b"three"), &missing, "there is no folder");
}

#[cfg(unix)]
#[test]
fn only_what_nobody_writes_any_more_is_swept() {
    use crate::disk::unfinished::{Part, sticks};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    let part = Part::beside(&path).unwrap();
    let [used] = names(dir.path()).try_into().unwrap();
    let left = format!("{}left.part", &used[..used.rfind('-').unwrap() + 1]);
    fs::write(dir.path().join(&left), "half").unwrap();
    fs::write(dir.path().join("kept.part"), "").unwrap();
    // A leftover of another picture is left to that picture's next run.
    check_writable(&dir.path().join("b.png")).unwrap();
    assert_eq!(names(dir.path()).len(), 3);
    check_writable(&path).unwrap();
    let mut expected = vec![used, "kept.part".into()];
    expected.sort();
    assert_eq!(names(dir.path()), expected);
    part.persist(&path).unwrap();
    assert_eq!(names(dir.path()), ["a.png", "kept.part"]);

    // The owner of the folder, the owner of the file, and the user.
    for (mode, users, stuck) in [
        (0o1777, [1, 2, 3], true),
        (0o777, [1, 2, 3], false),
        (0o1777, [3, 2, 3], false),
        (0o1777, [1, 3, 3], false),
        (0o1777, [1, 2, 0], false),
    ] {
        assert_eq!(sticks(mode, users[0], users[1], users[2]), stuck, "{mode:o} {users:?}");
    }
}
