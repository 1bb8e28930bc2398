//! What pages are told, as they get it in JSON: `page/components.js` says what it is for.

use serde::Serialize;

/// A picture that begins.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Start {
    /// Counted from 1.
    pub number: usize,
    pub title: String,
    /// Of the result.
    pub width: usize,
    pub height: usize,
    /// Of the curves; the first is the sum.
    pub names: Vec<String>,
    /// The style's.
    pub layers: Vec<String>,
    pub weights: Weights,
}

/// The weights as they are.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Weights {
    pub strength: Option<f64>,
    pub content_weight: f64,
    pub style_weight: f64,
    pub tv_weight: f64,
    pub learning_rate: f64,
    pub style_layer_weights: Vec<f64>,
}

/// What a run does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Preparing,
    Painting,
    Paused,
    Finishing,
    Done,
    Stopped,
    Failed,
}

/// One of the run's stages.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    pub width: usize,
    pub height: usize,
    pub first: usize,
    pub iterations: usize,
    pub finish: bool,
}

/// A change, in words.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    pub iteration: usize,
    pub text: String,
}

/// How far a run is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct State {
    pub status: Status,
    /// Of the running stage.
    pub width: usize,
    pub height: usize,
    /// How many are done, and of how many.
    pub iteration: usize,
    pub iterations: usize,
    pub stage: usize,
    pub stages: Vec<Part>,
    pub seconds_left: Option<f64>,
    /// What became of the picture.
    pub result: Option<String>,
    pub weights: Weights,
    pub changes: Vec<Changed>,
}

/// A picture among all of the run.
#[derive(Clone, Debug, Serialize)]
pub struct Queued {
    pub name: String,
    pub state: &'static str,
}
