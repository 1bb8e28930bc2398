//! Tests of reading weights: both forms of a layer, and every way in which a file can be wrong.

use std::collections::HashMap;

use proptest::prelude::*;
use safetensors::tensor::TensorView;

use super::*;

/// A tensor that is to be written: name, type, shape, bytes.
type Tensor = (&'static str, Dtype, Vec<usize>, Vec<u8>);

fn f32s(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Two layers, one in each form, as a user's file might mix them with others.
fn tensors() -> Vec<Tensor> {
    vec![
        ("features.0.weight", Dtype::F32, vec![2, 3, 3, 3], f32s((0..54).map(|i| i as f32 / 8.0))),
        ("features.0.bias", Dtype::F32, vec![2], f32s([1.0, -1.0])),
        ("features.2.weight.index", Dtype::U8, vec![1, 2, 3, 3], (238..=255).collect()),
        ("features.2.weight.palette", Dtype::F32, vec![256], f32s((0..256).map(|i| i as f32))),
        ("features.2.bias", Dtype::F32, vec![1], f32s([0.5])),
        ("classifier.0.bias", Dtype::I64, vec![1], vec![0; 8]),
    ]
}

fn specs() -> Vec<LayerSpec> {
    let spec = |name: &str, c_in, c_out| LayerSpec { name: name.into(), c_in, c_out };
    vec![spec("features.0", 3, 2), spec("features.2", 2, 1)]
}

fn file(tensors: &[Tensor], metadata: &[(&str, &str)]) -> Vec<u8> {
    let views =
        tensors.iter().map(|(n, d, s, b)| (*n, TensorView::new(*d, s.clone(), b).expect("sizes agree")));
    let metadata: HashMap<_, _> = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    safetensors::serialize(views, Some(metadata)).expect("a valid file")
}

/// The two-layer file with one tensor replaced.
fn with(name: &str, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Vec<u8> {
    let mut tensors = tensors();
    let slot = tensors.iter_mut().find(|t| t.0 == name).expect("a tensor of the file");
    (slot.1, slot.2, slot.3) = (dtype, shape.to_vec(), bytes);
    file(&tensors, &[])
}

fn message(bytes: &[u8]) -> String {
    Weights::from_bytes("w", bytes, &specs()).expect_err("the file is wrong").to_string()
}

#[track_caller]
fn assert_message(bytes: &[u8], parts: &[&str]) {
    let text = message(bytes);
    assert!(text.starts_with("cannot use weights w: "), "{text}");
    assert!(text.contains("; ") && !text.ends_with('.'), "says no remedy: {text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[test]
fn both_forms_are_read_and_other_tensors_ignored() {
    let w = Weights::from_bytes("w", &file(&tensors(), &[]), &specs()).unwrap();
    assert_eq!((w.input_mean, w.input_std), (IMAGENET_MEAN, IMAGENET_STD));
    assert_eq!((w.layers[0].c_out, w.layers[0].c_in), (2, 3));
    assert_eq!(w.layers[0].weight, (0..54).map(|i| i as f32 / 8.0).collect::<Vec<_>>());
    assert_eq!(w.layers[0].bias, [1.0, -1.0]);
    assert_eq!(w.layers[1].weight, (238..256).map(|i| i as f32).collect::<Vec<_>>());
    assert_eq!(w.layers[1].name, "features.2");
}

#[test]
fn the_half_precision_types_are_widened() {
    let values: Vec<f32> = (0..54).map(|i| i as f32 / 8.0 - 3.0).collect();
    let halves = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
    let brains = values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
    for (dtype, bytes) in [(Dtype::F16, halves), (Dtype::BF16, brains)] {
        let bytes = with("features.0.weight", dtype, &[2, 3, 3, 3], bytes);
        let w = Weights::from_bytes("w", &bytes, &specs()).unwrap();
        assert_eq!(w.layers[0].weight, values, "{dtype}");
    }
}

#[test]
fn the_input_convention_comes_from_the_metadata() {
    let read = |mean: &str, std: &str| {
        let bytes = file(&tensors(), &[("input_mean", mean), ("input_std", std)]);
        Weights::from_bytes("w", &bytes, &specs())
    };
    let w = read("[0.5, 0.25, 0]", "[1, 2, 0.5]").unwrap();
    assert_eq!((w.input_mean, w.input_std), ([0.5, 0.25, 0.0], [1.0, 2.0, 0.5]));
    for (mean, std, key) in [
        ("[0, 0]", "[1, 1, 1]", "`input_mean`"),
        ("[0, 0, 1e99]", "[1, 1, 1]", "`input_mean`"),
        ("[0, 0, 0]", "1", "`input_std`"),
        ("[0, 0, 0]", "[1, 0, 1]", "`input_std` is not positive"),
    ] {
        let text = read(mean, std).expect_err(mean).to_string();
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn the_built_in_network_is_whole() {
    let channels = [3, 64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512];
    let names = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28];
    let specs: Vec<_> = std::iter::zip(names, channels.windows(2))
        .map(|(n, c)| LayerSpec { name: format!("features.{n}"), c_in: c[0], c_out: c[1] })
        .collect();
    let w = Weights::embedded(&specs).unwrap();
    let parameters: usize = w.layers.iter().map(|l| l.weight.len() + l.bias.len()).sum();
    assert_eq!(parameters, 12_944_960);
    // rgb * 255 - (123.68, 116.779, 103.939)
    for (mean, expected) in w.input_mean.iter().zip([123.68, 116.779, 103.939]) {
        assert!((mean * 255.0 - expected).abs() < 1e-4);
    }
    assert!(w.input_std.iter().all(|s| (s * 255.0 - 1.0).abs() < 1e-6));

    let missing = [LayerSpec { name: "features.30".into(), c_in: 512, c_out: 512 }];
    let text = Weights::embedded(&missing).unwrap_err().to_string();
    assert!(text.contains("the built-in network ends at conv5_1"), "{text}");
}

#[test]
fn files_that_cannot_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let text = |path: &Path| Weights::from_file(path, &specs()).unwrap_err().to_string();
    assert!(text(&dir.path().join("none.safetensors")).contains("no such file"));
    assert!(text(dir.path()).contains("it is a folder"));
    let path = dir.path().join("w.safetensors");
    std::fs::write(&path, file(&tensors(), &[])).unwrap();
    assert_eq!(Weights::from_file(&path, &specs()).unwrap().layers.len(), 2);
}

#[test]
fn files_that_are_no_safetensors() {
    assert_message(b"", &["empty"]);
    assert_message(b"abc", &["not a safetensors file"]);
    assert_message(&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".repeat(9), &["not a safetensors file"]);
    assert_message(b"PK\x03\x04 and the rest of an archive", &["PyTorch", "save_file"]);
    assert_message(b"\x02\0\0\0\0\0\0\0{x", &["header makes no sense"]);
}

#[test]
fn truncated_anywhere_is_an_error() {
    let whole = file(&tensors(), &[]);
    assert_message(&whole[..whole.len() - 1], &["cut short"]);
    assert_message(&whole[..100], &["ends inside its header"]);
    for length in 0..whole.len() {
        message(&whole[..length]);
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert_message(&longer, &["damaged"]);
}

#[test]
fn headers_that_lie() {
    let lie = |header: &str| [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    // The header promises exabytes that do not exist. Nothing may be allocated for the promise.
    assert_message(b"\xff\xff\xff\xff\xff\xff\xff\x7f{", &["header claims"]);
    let huge =
        r#"{"features.0.weight":{"dtype":"F32","shape":[2,3,3,3],"data_offsets":[0,9007199254740992]}}"#;
    assert_message(&lie(huge), &["header makes no sense"]);
    let huge = r#"{"features.0.weight":{"dtype":"U8","shape":[1152921504606846976],
        "data_offsets":[0,1152921504606846976]}}"#;
    assert_message(&lie(huge), &["cut short"]);
    let overflow = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,0]}}"#;
    assert_message(&lie(overflow), &["header makes no sense"]);
    let backwards = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}"#;
    assert_message(&lie(backwards), &["header makes no sense"]);
    let overlap = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
        "b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
    assert_message(&[lie(overlap), vec![0; 6]].concat(), &["header makes no sense"]);
}

#[test]
fn a_missing_tensor_is_named_with_what_is_expected() {
    for name in ["features.0.weight", "features.0.bias", "features.2.weight.palette", "features.2.bias"] {
        let rest: Vec<_> = tensors().into_iter().filter(|t| t.0 != name).collect();
        assert_message(&file(&rest, &[]), &[&format!("`{name}` is missing"), "features.0, features.2"]);
    }
    let rest: Vec<_> = tensors().into_iter().filter(|t| t.0 != "features.2.weight.index").collect();
    assert_message(&file(&rest, &[]), &["`features.2.weight` is missing", "`.weight.index`"]);
}

#[test]
fn tensors_of_wrong_shape_or_type() {
    let bytes = with("features.0.weight", Dtype::F32, &[3, 2, 3, 3], vec![0; 216]);
    assert_message(&bytes, &["`features.0.weight`", "[3, 2, 3, 3]", "[2, 3, 3, 3] is expected"]);
    let bytes = with("features.2.weight.palette", Dtype::F32, &[255], vec![0; 1020]);
    assert_message(&bytes, &["`features.2.weight.palette`", "[255]", "[256]"]);
    let bytes = with("features.0.weight", Dtype::F64, &[2, 3, 3, 3], vec![0; 432]);
    assert_message(&bytes, &["`features.0.weight`", "type F64", "F32 or F16 or BF16"]);
    let bytes = with("features.2.weight.index", Dtype::I8, &[1, 2, 3, 3], vec![0; 18]);
    assert_message(&bytes, &["`features.2.weight.index`", "type I8", "U8 is expected"]);
}

#[test]
fn weights_from_elsewhere_are_checked_like_a_files() {
    let layer = |weights: usize, bias: f32| {
        ConvWeights::new(LayerSpec::new("features.0", 3, 2), vec![0.5; weights], vec![bias; 2])
    };
    let whole = layer(54, 0.0).unwrap();
    assert!(Weights::new(vec![whole.clone()], [0.5; 3], [1.0; 3]).is_ok());
    for (refused, part) in [
        (layer(53, 0.0).unwrap_err(), "53 weights and 2 biases were given, and it takes 54 and 2"),
        (layer(54, f32::NAN).unwrap_err(), "not all of its values are finite"),
        (Weights::new(vec![whole.clone()], [0.5; 3], [1.0, 0.0, 1.0]).unwrap_err(), "not usable"),
        (Weights::new(vec![whole], [f32::INFINITY; 3], [1.0; 3]).unwrap_err(), "not usable"),
    ] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
}

#[test]
fn values_that_are_not_finite() {
    let bytes = with("features.0.bias", Dtype::F32, &[2], f32s([0.0, f32::NAN]));
    assert_message(&bytes, &["`features.0.bias` holds NaN at position 1"]);
    let bytes = with("features.0.bias", Dtype::F16, &[2], vec![0, 0x7c, 0, 0]);
    assert_message(&bytes, &["`features.0.bias` holds inf at position 0"]);
    let palette = f32s((0..256).map(|i| if i == 7 { f32::NEG_INFINITY } else { 0.0 }));
    let bytes = with("features.2.weight.palette", Dtype::F32, &[256], palette);
    assert_message(&bytes, &["`features.2.weight.palette` holds -inf at position 7"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a file contains, reading it gives finite weights of the right shape or an error, and never a
    /// panic.
    #[test]
    fn damage_never_panics(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = file(&tensors(), &[("input_mean", "[0.5, 0.5, 0.5]")]);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(weights) = Weights::from_bytes("w", &bytes, &specs()) {
            prop_assert_eq!(weights.layers[0].weight.len(), 54);
            prop_assert!(weights.layers.iter().flat_map(|l| &l.weight).all(|v| v.is_finite()));
        }
    }
}
