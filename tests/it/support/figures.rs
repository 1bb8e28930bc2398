//! The figures that PyTorch computed, and the pictures that they are of: see `tests/fixtures/README.md`.

use std::path::{Path, PathBuf};

use impasto::painting::session::Losses;
use impasto::picture::Picture;
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The file of the network that ships, which stands in the repository in two halves.
pub fn network() -> Vec<u8> {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights");
    ["first/network", "second/network"].map(|half| std::fs::read(weights.join(half)).unwrap()).concat()
}

/// A picture of the fixtures.
pub fn open(name: &str) -> Picture {
    Picture::open(&fixture(name)).unwrap()
}

/// The report of a recipe, `NAME.json`.
pub fn report(recipe: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture(&format!("{recipe}.json"))).unwrap()).unwrap()
}

/// A tensor of `RECIPE.safetensors` (`3 x height x width`) in this crate's order (`height x 3 x width`).
pub fn tensor(recipe: &str, name: &str) -> Vec<f64> {
    let bytes = std::fs::read(fixture(&format!("{recipe}.safetensors"))).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor(name).unwrap();
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(tensor.data());
    let (height, width) = (tensor.shape()[1], tensor.shape()[2]);
    let planes: Vec<&[f32]> = values.chunks_exact(width).collect();
    (0..height * 3).flat_map(|row| planes[row % 3 * height + row / 3].iter().map(|v| f64::from(*v))).collect()
}

/// Every loss that was found, beside the one that a row of a report expects.
pub fn pairs(found: &Losses, expected: &Value) -> Vec<(f64, f64)> {
    let value = |key: &str| expected[key].as_f64().unwrap();
    let mut pairs = vec![
        (found.content, value("content")),
        (found.style, value("style")),
        (found.tv, value("tv")),
        (found.total, value("total")),
    ];
    let layers = expected["style_layers"].as_array().unwrap();
    assert_eq!(found.style_layers.len(), layers.len());
    pairs.extend(found.style_layers.iter().zip(layers).map(|(f, e)| (*f, e.as_f64().unwrap())));
    pairs
}

/// A variable (`height x 3 x width`) as a picture of the size of `like`, values beyond black and white
/// included. `rgb` brings a value of a channel to 0..1.
pub fn picture(variable: &[f64], like: &Picture, rgb: impl Fn(usize, f64) -> f64) -> Picture {
    let (width, plane) = (like.width, like.width * like.height);
    let mut planes = vec![0.0; 3 * plane];
    for (i, value) in variable.iter().enumerate() {
        let (row, c, column) = (i / (3 * width), i / width % 3, i % width);
        planes[c * plane + row * width + column] = rgb(c, *value) as f32;
    }
    Picture::new(width, like.height, planes)
}
