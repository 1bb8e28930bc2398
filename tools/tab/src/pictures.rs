//! Pictures of the page: read by the library, and shown again.

use std::path::Path;

use impasto::picture::Input;
use impasto::{Error, Picture, Size};
use wasm_bindgen::prelude::*;

use crate::{json, sentence};

/// A picture that was read.
#[wasm_bindgen]
pub struct Opened {
    pub(crate) picture: Picture,
}

/// Pixels for a canvas: four bytes each, red, green, blue and opaque.
#[wasm_bindgen]
pub struct Pixels {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    bytes: Vec<u8>,
}

impl Pixels {
    /// All of a picture.
    pub(crate) fn of(picture: &Picture) -> Self {
        let n = picture.width * picture.height;
        let byte = |v: f32| (v.clamp(0.0, 1.0) * 255.0).round() as u8;
        let mut bytes = Vec::with_capacity(4 * n);
        for i in 0..n {
            bytes.extend((0..3).map(|c| byte(picture.rgb[c * n + i])));
            let alpha = picture.alpha.as_ref().map_or(1.0, |alpha| alpha[i]);
            bytes.push(byte(alpha));
        }
        Self { width: picture.width as u32, height: picture.height as u32, bytes }
    }
}

#[wasm_bindgen]
impl Pixels {
    /// The bytes, which are handed over: a second call gets none.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

/// Width and height that a file declares, before its pixels take memory.
#[wasm_bindgen]
pub fn declared(name: &str, bytes: &[u8]) -> Result<Vec<u32>, JsValue> {
    let (width, height) = Picture::declared_size(name, bytes).map_err(sentence)?;
    Ok(vec![width as u32, height as u32])
}

#[wasm_bindgen]
impl Opened {
    /// Reads the bytes of a picture file.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, JsValue> {
        let picture = Picture::from_bytes(name, bytes).map_err(sentence)?;
        Ok(Self { picture })
    }

    /// Takes pixels that the browser has decoded and scaled, four bytes each. `bytes` are those of the file.
    pub fn scaled(name: &str, bytes: &[u8], width: usize, pixels: &[u8]) -> Result<Self, JsValue> {
        let n = pixels.len() / 4;
        if width == 0 || n == 0 || !n.is_multiple_of(width) || !pixels.len().is_multiple_of(4) {
            let why = "the browser gave it no pixels; convert it to PNG or JPEG first";
            return Err(sentence(Error::picture(Path::new(name), why)));
        }
        let plane = |c: usize| pixels.iter().skip(c).step_by(4).map(|v| f32::from(*v) / 255.0);
        let mut picture = Picture::new(width, n / width, (0..3).flat_map(plane).collect());
        picture.alpha = Some(plane(3).collect()).filter(|alpha: &Vec<f32>| alpha.iter().any(|a| *a < 1.0));
        picture.source = Some(Input::new(name, bytes));
        picture.notes.push(format!(
            "it is large, so the browser scaled it to {width} x {} pixels before it was used",
            n / width
        ));
        Ok(Self { picture })
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.picture.width as u32
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.picture.height as u32
    }

    /// What is to be known of how it was read, as a JSON list of sentences.
    pub fn notes(&self) -> String {
        json(&self.picture.notes)
    }

    /// It in small, with a longest side of at most `longest` pixels.
    pub fn small(&self, longest: usize) -> Pixels {
        Pixels::of(&self.picture.resized(Size::Longest(longest.max(1)), false))
    }
}
