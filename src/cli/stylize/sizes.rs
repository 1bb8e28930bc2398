//! The options for the sizes of pictures.

use impasto::Error;
use impasto::painting::preset::{Preset, check_scale};
use impasto::painting::provenance::Record;
use impasto::picture::{Picture, Size};

use super::numbers;

/// The longest side if no size is given.
const DEFAULT_SIDE: usize = 512;

/// How large the pictures are made.
#[derive(clap::Args)]
#[command(next_help_heading = "Size")]
pub struct Sizes {
    /// Size of the result: N for the longest side, or WxH exactly [default: longest side 512, never enlarged]
    #[arg(long, value_name = "N|WxH", allow_negative_numbers = true)]
    pub size: Option<Size>,

    /// Size of the painting, which sets the size of the strokes [default: the result's longest side]
    #[arg(long, value_name = "N|WxH", allow_negative_numbers = true)]
    pub style_size: Option<Size>,

    /// The same as a multiple of the result's longest side: 2 for strokes twice as broad, 0.5 for finer ones
    /// [default: 1]
    #[arg(long, value_name = "X", conflicts_with = "style_size", allow_negative_numbers = true, value_parser = scale)]
    pub style_scale: Option<f64>,
}

fn scale(text: &str) -> anyhow::Result<f64> {
    Ok(check_scale(numbers::real(text).map_err(anyhow::Error::msg)?)?)
}

impl Sizes {
    /// The width and height of the content.
    pub fn of_content(&self, content: &Picture) -> (usize, usize) {
        let size = self.size.unwrap_or(Size::Longest(DEFAULT_SIDE));
        size.of(content.width, content.height, self.size.is_some())
    }

    /// The size of the styles for a content of `width x height`.
    pub fn of_styles(&self, (width, height): (usize, usize)) -> Size {
        let scaled = (width.max(height) as f64 * self.style_scale.unwrap_or(1.0)).round() as usize;
        self.style_size.unwrap_or(Size::Longest(scaled.max(1)))
    }

    /// Refuses sizes whose shorter side is below `least`. The error names the smallest size that works.
    ///
    /// # Errors
    /// [`Error::Setting`] if the content or one of `styles` would be too small for the network.
    pub fn check(&self, content: &Picture, styles: &[Picture], least: usize) -> Result<(), Error> {
        let size = self.of_content(content);
        let of_styles = self.of_styles(size);
        let styles =
            styles.iter().map(|s| ("style", "--style-size", s, of_styles.of(s.width, s.height, true)));
        for (name, option, picture, (width, height)) in
            [("content", "--size", content, size)].into_iter().chain(styles)
        {
            if width.min(height) >= least {
                continue;
            }
            let shorter = |side: usize| {
                let (width, height) = Size::Longest(side).of(picture.width, picture.height, true);
                width.min(height)
            };
            let smallest = (least..).find(|side| shorter(*side) >= least).unwrap_or(least);
            return Err(Error::Setting(format!(
                "the {name} picture would be {width} x {height} pixels, but the network halves it until nothing is left \
                 below {least} x {least}; {option} {smallest} is the smallest that works"
            )));
        }
        Ok(())
    }

    /// Applies the sizes of another picture, where none are given.
    pub fn adopt(&mut self, record: &Record) {
        self.size = self.size.or(record.size);
        if (self.style_size, self.style_scale) == (None, None) {
            (self.style_size, self.style_scale) = (record.style_size, record.style_scale);
        }
    }

    /// Applies the sizes of a preset, where none are given.
    pub fn take_preset(&mut self, preset: &Preset) {
        if self.style_size.is_none() {
            self.style_scale = self.style_scale.or(preset.style_scale);
        }
    }
}
