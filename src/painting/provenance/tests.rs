//! Records in files, and what tells two runs apart.

use std::fs;

use super::*;
use crate::picture::exif::read;
use crate::picture::tests::exif::camera;
use crate::picture::tests::{assert_sentence, pattern};
use crate::picture::{Exif, Picture, SaveOptions};

fn record(styles: usize) -> Record {
    // A number that a careless reader gets wrong in the last bit.
    let settings = Settings { style_weight: 0.1 + 0.2, ..Settings::book() };
    let input = |name: &str| Input::new(name, name.as_bytes());
    let styles = (0..styles).map(|i| input(&format!("{i}, \"Sturm\" 嵐 🌊.jpg"))).collect();
    let mut record = Record::new(settings, "adapter".into(), input("net"), input("Straße\u{7f}.png"), styles);
    record.size = Some(Size::Exact { width: 5, height: 4 });
    record.start = Start::Noise { seed: u64::MAX };
    record
}

#[test]
fn the_record_comes_back_from_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = SaveOptions { comment: Some(record(3).comment()), ..SaveOptions::default() };
    assert!(record(3).to_json().bytes().all(|b| b.is_ascii_graphic() || b == b' '));
    let exif = read(&camera(true)).exif;
    for exif in [exif, Exif::default()] {
        for name in ["a.png", "a.jpg", "a.tif", "a.webp", "lossy.webp"] {
            let path = dir.path().join(name);
            options.quality = name.starts_with("lossy").then_some(80);
            Picture { exif: exif.clone(), ..pattern(8, 6) }.save(&path, &options).unwrap();
            assert_eq!(Record::open(&path).unwrap(), record(3), "{name}");
            assert_eq!(Picture::open(&path).unwrap().exif.value(0x010f), exif.value(0x010f), "{name}");
        }
    }
    // More than a JPEG has room for: the picture is worth more.
    options = SaveOptions { comment: Some(record(1000).comment()), ..SaveOptions::default() };
    let path = dir.path().join("many.jpg");
    pattern(8, 6).save(&path, &options).unwrap();
    assert!(Record::open(&path).is_err());
    let path = dir.path().join("many.png");
    pattern(8, 6).save(&path, &options).unwrap();
    assert_eq!(Record::open(&path).unwrap(), record(1000));
}

#[test]
fn files_without_a_record_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refuse = |name: &str, why: &str| {
        let path = dir.path().join(name);
        let text = Record::open(&path).unwrap_err().to_string();
        assert!(text.contains(why), "{text}");
        assert_sentence(&text, &format!("cannot use picture {}: ", path.display()));
    };
    for name in ["a.png", "a.jpg", "a.tif", "a.webp"] {
        pattern(4, 4).save(&dir.path().join(name), &SaveOptions::default()).unwrap();
        refuse(name, "no settings are in it");
    }
    refuse("none.png", "no such file");
    let mut newer = record(1);
    newer.version = "9.0.0".into();
    let json = newer.to_json().replacen("\"iterations\"", "\"sweetness\":1,\"iterations\"", 1);
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, 1, 1);
    encoder.add_itxt_chunk("impasto".into(), json).unwrap();
    encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
    fs::write(dir.path().join("newer.png"), &png).unwrap();
    refuse("newer.png", "impasto 9.0.0");
    fs::write(dir.path().join("cut.png"), &png[..png.len() - 20]).unwrap();
    refuse("cut.png", "damaged or cut short");
}

#[test]
fn differences_between_runs_are_named() {
    let old = record(2);
    assert!(old.differences(&record(2)).is_empty());
    let mut new = record(2);
    new.adapter = "faster".into();
    new.content = Input::new("b.png", b"b");
    let notes = old.differences(&new);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(notes[0], "another adapter: adapter then, faster now");
    assert!(notes[1].starts_with("another content: \"Straße\\u{7f}.png\" (SHA-256 "), "{notes:?}");
    assert_eq!(old.differences(&record(3)).len(), 1);
    // Known from elsewhere.
    assert_eq!(
        Input::new("", b"abc").sha256,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
