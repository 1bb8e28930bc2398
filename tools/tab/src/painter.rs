//! A run in steps: between two of them a worker hears what the page wants.

use impasto::painting::capacity;
use impasto::painting::choices::{Colours, Recipe};
use impasto::painting::provenance::{Record, Start};
use impasto::painting::result::as_result;
use impasto::painting::stages::Stage;
use impasto::painting::steering::{Adjustment, Change};
use impasto::painting::tiling::Tiling;
use impasto::picture::Input;
use impasto::{Format, Picture, SaveOptions, Session, Settings, Size, Store};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use crate::pictures::{Opened, Pixels};
use crate::studio::{Request, Studio};
use crate::{json, sentence};

/// A picture that is being painted.
#[wasm_bindgen]
pub struct Painter {
    session: Session<'static>,
    /// The photograph at the result's size, whose transparency and metadata the result gets.
    content: Picture,
    record: Record,
}

/// A part of a run, as a page shows it.
#[derive(Serialize)]
struct Part {
    width: usize,
    height: usize,
    first: usize,
    iterations: usize,
    finish: bool,
}

/// Where a run is.
#[derive(Serialize)]
struct Progress {
    stages: Vec<Part>,
    /// Which of the stages runs.
    stage: usize,
    /// The size that is painted.
    width: usize,
    height: usize,
    /// Iterations that the device has done, and those of the whole run.
    iteration: usize,
    iterations: usize,
    /// The work that is left, in a unit of its own.
    left: f64,
}

/// Settings, and the strength that they have.
#[derive(Serialize)]
struct Now<'a> {
    #[serde(flatten)]
    settings: &'a Settings,
    strength: Option<f64>,
}

/// A change, for people.
#[derive(Serialize)]
struct Told {
    iteration: usize,
    text: String,
}

/// Width and height of the result.
pub(crate) fn size_of(request: &Request, content: &Opened) -> (usize, usize) {
    let Picture { width, height, .. } = content.picture;
    Size::Longest(request.size).of(width, height, true)
}

/// The picture that a run starts from, if it is not the photograph.
fn start_of(start: &Start, content: &Picture, painting: &Picture) -> Option<Picture> {
    let Picture { width, height, .. } = *content;
    match start {
        Start::Matched => Some(content.with_colours_of(&[(painting, 1.0)], 1.0)),
        Start::Gray => Some(Picture::new(width, height, vec![0.5; 3 * width * height])),
        Start::Noise { seed } => Some(Picture::noise(width, height, *seed)),
        _ => None,
    }
}

impl Painter {
    pub(crate) async fn begin(
        studio: &Studio,
        request: &Request,
        content: &Opened,
        style: &Opened,
    ) -> Result<Self, JsValue> {
        let look = request.look()?;
        let settings = look.settings;
        let (width, height) = size_of(request, content);
        let scale = look.style_scale.unwrap_or(1.0);
        let longest = (width.max(height) as f64 * scale).round() as usize;
        let painting_size = Size::Longest(longest.max(1));
        let painting_sides = painting_size.of(style.picture.width, style.picture.height, true);
        // Before anything is enlarged, which may take more memory than there is.
        capacity::check_sizes(
            studio.gpu,
            studio.vgg,
            &settings,
            (width, height),
            &[painting_sides],
            (Tiling::Off, &Store::memory()),
        )
        .map_err(sentence)?;
        let filter = settings.recipe.filter();
        let photo = content.picture.resampled(Size::Exact { width, height }, true, filter);
        let painting = style.picture.resampled(painting_size, true, filter);
        // As the command line does.
        let usual = match (settings.recipe, settings.colours) {
            (Recipe::Painterly, Colours::Painting) => Start::Matched,
            _ => Start::Content,
        };
        let start = look.start.unwrap_or(usual);
        let begun = start_of(&start, &photo, &painting);
        let mut builder = Session::builder(studio.gpu, studio.vgg)
            .content(&photo)
            .style(&painting, 1.0)
            .settings(settings.clone());
        if let Some(begun) = &begun {
            builder = builder.start(begun);
        }
        let session = builder.build_async().await.map_err(sentence)?;
        let mut network = Input::new("built-in", &[]);
        network.sha256 = studio.vgg.digest().to_owned();
        let unnamed = |opened: &Opened| opened.picture.source.clone().unwrap_or_else(|| Input::new("", &[]));
        let (adapter, sources) = (studio.gpu.description(), (unnamed(content), vec![unnamed(style)]));
        let mut record = Record::new(settings.clone(), adapter, network, sources.0, sources.1);
        record.size = Some(Size::Longest(request.size));
        record.style_scale = look.style_scale;
        record.style_weights = vec![1.0];
        record.start = start;
        record.variant = studio.variant.clone();
        Ok(Self { session, content: photo, record })
    }

    /// A picture of the run as a result.
    fn dressed(&self, picture: Picture) -> Picture {
        as_result(picture, &self.content, self.record.settings.colours)
    }

    /// What made the picture that is there now.
    fn record(&self) -> Record {
        let size = (self.content.width, self.content.height);
        self.record.after(self.session.submitted(), size, self.session.changes())
    }
}

#[wasm_bindgen]
impl Painter {
    /// The losses of the next iteration as JSON, or nothing when all are done.
    pub async fn step(&mut self) -> Result<Option<String>, JsValue> {
        let losses = self.session.step_async().await.map_err(sentence)?;
        Ok(losses.map(|losses| json(&losses)))
    }

    /// Where the run is, as JSON.
    pub fn progress(&self) -> String {
        let part = |stage: &Stage| {
            let (width, height) = stage.inner();
            let Stage { first, iterations, finish, .. } = *stage;
            Part { width, height, first, iterations, finish }
        };
        let (stages, now) = (self.session.stages(), self.session.stage());
        let (width, height) = now.inner();
        json(&Progress {
            stages: stages.iter().map(part).collect(),
            stage: stages.iter().position(|stage| stage.first == now.first).unwrap_or(0),
            width,
            height,
            iteration: self.session.landed(),
            iterations: self.session.iterations(),
            left: self.session.work_left(),
        })
    }

    /// The settings as they are now, as JSON, with the strength that they have, if it is one.
    pub fn settings(&self) -> String {
        let settings = self.session.settings();
        json(&Now { settings, strength: settings.strength() })
    }

    /// What was changed so far, as a JSON list of iterations and texts.
    pub fn changes(&self) -> String {
        let told = |change: &Change| Told { iteration: change.iteration, text: change.to_string() };
        json(&self.session.changes().iter().map(told).collect::<Vec<_>>())
    }

    /// Gives the rest of the run other weights.
    pub fn turn(&mut self, turn: &str) -> Result<(), JsValue> {
        let asked: Adjustment = serde_json::from_str(turn)
            .map_err(|why| sentence(format!("the page turned something unknown ({why}); reload it")))?;
        let settings = asked.applied(self.session.settings()).map_err(sentence)?;
        self.session.set_weights(&settings).map_err(sentence)
    }

    /// From now on every `n`-th picture can be taken by [`Self::copy`].
    pub fn copy_every(&mut self, n: usize) {
        self.session.copy_every(n);
    }

    /// The latest picture that has come, without waiting for one.
    pub fn copy(&mut self) -> Result<Option<Pixels>, JsValue> {
        let mut latest = None;
        while let Some((_, picture)) = self.session.take_copy().map_err(sentence)? {
            latest = Some(picture);
        }
        Ok(latest.map(|picture| Pixels::of(&self.dressed(picture))))
    }

    /// The picture after all that was submitted.
    pub async fn picture(&mut self) -> Result<Pixels, JsValue> {
        let picture = self.session.picture_async().await.map_err(sentence)?;
        Ok(Pixels::of(&self.dressed(picture)))
    }

    /// The same as a PNG file with what made it inside.
    pub async fn png(&mut self) -> Result<Vec<u8>, JsValue> {
        let picture = self.session.picture_async().await.map_err(sentence)?;
        let mut options = SaveOptions::default();
        options.comment = Some(self.record().comment());
        self.dressed(picture).to_bytes(Format::Png, &options).map_err(sentence)
    }

    /// Ends the iterations of this stage; the run goes on with the next one.
    pub fn end_size(&mut self) {
        self.session.end_size();
    }

    /// Ends the run as if it were complete. [`Self::step`] still gives the losses of what was submitted.
    pub fn finish(&mut self) {
        self.session.finish();
    }
}
