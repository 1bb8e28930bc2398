//! The library as a page's worker calls it: pictures, a device with the network, and a painter that is
//! stepped.
//!
//! What is fallible fails with a sentence for the page. A device and its network live as long as the worker,
//! which a page ends when it is done with them.
#![deny(missing_docs)]

mod painter;
mod pictures;
mod studio;

use impasto::Preset;
use serde::Serialize;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn complain(text: &str);
}

/// Runs once, before anything else: a panic ends the worker, and its words would be lost.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| complain(&panic.to_string())));
}

/// What the page shows of an error. The library names options of the command line, which are controls on a
/// page.
fn sentence(error: impl std::fmt::Display) -> JsValue {
    let words = [
        ("or another --format", "or another format"),
        ("--style-size", "size of the painting"),
        ("--style-scale", "size of strokes"),
        ("--size ", "size "),
        ("--size", "size"),
    ];
    let text = error.to_string();
    // How to write a size that was just named.
    let said = text.split_once(", which is --size ").map_or(text.as_str(), |(said, _)| said);
    let text = words.iter().fold(said.to_owned(), |text, (option, word)| text.replace(option, word));
    JsValue::from_str(&text)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what goes to a page has nothing that JSON cannot hold")
}

/// A bundled look.
#[derive(Serialize)]
struct Look {
    name: &'static str,
    description: String,
    /// Whose numbers hold, by which the page knows what its controls mean.
    settings: impasto::Settings,
}

/// The bundled looks, as a JSON list of name, description and settings.
#[wasm_bindgen]
pub fn looks() -> String {
    let looks = Preset::names().filter_map(|name| {
        let Preset { description, settings, .. } = Preset::bundled(name)?;
        Some(Look { name, description, settings })
    });
    json(&looks.collect::<Vec<_>>())
}
