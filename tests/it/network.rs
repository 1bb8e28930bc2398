//! Options of the network on the command line: layers, pooling, edge, and which network a file of weights
//! holds.

use std::fs;
use std::path::Path;

use crate::support::studio::Studio;
use impasto::painting::provenance::Record;
use impasto::{Edge, Network, Pooling};
use safetensors::{Dtype, tensor::TensorView};

const RUN: &str = "stylize photo.png painting.png -q --iterations 2 --size 24 -o";

/// The pixels of a result.
fn pixels(studio: &Studio, arguments: &str) -> Vec<u8> {
    let output = studio.run(&format!("{RUN} out.png {arguments}"));
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    image::open(studio.path("out.png")).unwrap().into_rgb8().into_raw()
}

#[test]
fn options_change_the_picture_and_are_kept() {
    let studio = Studio::new();
    let default = pixels(&studio, "");
    let layers = "--content-layers relu4_4 --style-layers relu1_1,relu2_1,relu3_1,relu4_1,conv5_1";
    assert!(default == pixels(&studio, &format!("--pooling max --edge zeros {layers}")));
    let mut seen = vec![default];
    for options in [
        "--pooling average",
        "--pooling l2",
        "--edge replicate",
        "--content-layers relu2_1",
        "--style-layers relu1_1,conv2_2",
    ] {
        let found = pixels(&studio, options);
        assert!(!seen.contains(&found), "{options}");
        seen.push(found);
    }
    let all = "--pooling l2 --edge replicate --content-layers conv2_2,relu3_1 --style-layers relu2_1,relu1_1";
    let found = pixels(&studio, all);
    let settings = Record::open(&studio.path("out.png")).unwrap().settings;
    assert_eq!((settings.pooling, settings.edge), (Pooling::L2, Edge::Replicate));
    let names: Vec<String> = settings.taps().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["conv2_2", "relu3_1", "relu2_1", "relu1_1"]);
    fs::rename(studio.path("out.png"), studio.path("first.png")).unwrap();
    assert!(found == pixels(&studio, "--settings-from first.png"));
    let written = studio.run(&format!("{RUN} out.png {all} --write-preset look.toml"));
    assert!(written.status.success());
    assert!(found == pixels(&studio, "--preset look.toml"));
}

#[test]
fn a_checkpoint_goes_on_with_the_same_options_only() {
    let studio = Studio::new();
    pixels(&studio, "--pooling average --checkpoint c");
    let other = format!("{RUN} out.png --iterations 3 --resume c");
    let other = other.replacen("--iterations 2 ", "", 1);
    studio.refuses(1, "it was made with pooling \"average\", and this run has \"max\"", &other);
    studio.refuses(1, "it was made with edge", &format!("{other} --pooling average --edge replicate"));
}

#[test]
fn what_is_no_option_is_refused_with_what_is() {
    let studio = Studio::new();
    let run = format!("{RUN} new.png");
    for (text, options) in [
        ("[possible values: max, average, l2]", "--pooling mean"),
        ("[possible values: zeros, replicate, margin]", "--edge mirror"),
        ("write for example relu4_1 or conv4_1", "--content-layers pool1"),
        ("a style layer is named twice", "--style-layers relu1_1,relu1_1"),
        ("give one for each", "--style-layers relu1_1 --layer-weights 1,2"),
        ("[possible values: vgg16, vgg19]", "--network resnet"),
        ("VGG-19 has no layer relu3_9; its block 3 ends at conv3_4", "--content-layers relu3_9"),
        ("VGG-16 has no layer relu4_4; its block 4 ends at conv4_3", "--network vgg16"),
        ("name a file that holds VGG-16", "--network vgg16 --content-layers relu4_2"),
    ] {
        studio.refuses(2, text, &format!("{run} {options}"));
    }
}

/// A file of random weights as torchvision would write it.
fn write_weights(network: &Network, deepest: &str, path: &Path) {
    let mut random = fastrand::Rng::with_seed(1);
    let mut parts = Vec::new();
    for spec in network.specs(&[deepest.parse().unwrap()]).unwrap() {
        let scale = (2.0 / (9 * spec.c_in) as f32).sqrt();
        let mut draw = |n: usize| -> Vec<u8> {
            (0..n).flat_map(|_| ((random.f32() * 2.0 - 1.0) * scale).to_le_bytes()).collect()
        };
        let (weight, bias) = (draw(9 * spec.c_in * spec.c_out), draw(spec.c_out));
        parts.push((format!("{}.weight", spec.name), vec![spec.c_out, spec.c_in, 3, 3], weight));
        parts.push((format!("{}.bias", spec.name), vec![spec.c_out], bias));
    }
    let views = parts.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_file_of_vgg16_needs_its_name() {
    let studio = Studio::new();
    // The first layer whose number differs between the networks.
    write_weights(&Network::vgg16(), "conv4_1", &studio.path("16.safetensors"));
    let layers = "--weights 16.safetensors --content-layers relu2_1 --style-layers relu1_1,relu4_1";
    studio.refuses(1, "--network", &format!("{RUN} new.png {layers}"));
    pixels(&studio, &format!("{layers} --network vgg16"));
}
