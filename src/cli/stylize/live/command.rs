//! What a page asks of a run, as it comes in JSON.

use impasto::painting::settings::Settings;
use serde::Deserialize;
use tokio::sync::oneshot;

/// Something that a page asks for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Other weights.
    Set(Weights),
    /// What a button does.
    Act(Action),
}

/// Weights that change; those that are `None` stay.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    strength: Option<f64>,
    content_weight: Option<f64>,
    style_weight: Option<f64>,
    tv_weight: Option<f64>,
    learning_rate: Option<f64>,
    style_layer_weights: Option<Vec<f64>>,
}

/// What a button does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing more is submitted.
    Pause,
    /// It goes on.
    Resume,
    /// The iterations of this size end.
    EndSize,
    /// The run ends, and its picture is the result.
    Finish,
    /// The picture is saved beside the result, and the run goes on.
    Copy,
}

impl Weights {
    /// Settings with these weights.
    ///
    /// # Errors
    /// Those of [`Settings::set_strength`]. Whether the weights make sense, the session says.
    pub fn applied(&self, settings: &Settings) -> impasto::Result<Settings> {
        let mut settings = settings.clone();
        if let Some(strength) = self.strength {
            settings.set_strength(strength)?;
        }
        let set = |target: &mut f64, asked: Option<f64>| *target = asked.unwrap_or(*target);
        set(&mut settings.content_weight, self.content_weight);
        set(&mut settings.style_weight, self.style_weight);
        set(&mut settings.tv_weight, self.tv_weight);
        set(&mut settings.learning_rate, self.learning_rate);
        self.style_layer_weights.iter().for_each(|weights| settings.style_layer_weights.clone_from(weights));
        Ok(settings)
    }
}

/// A command, and where its answer goes: what was done or why it was not, as a sentence.
pub struct Asked {
    pub command: Command,
    pub answer: Answer,
}

/// Where an answer goes. Nobody may wait for it any more.
pub type Answer = oneshot::Sender<Result<String, String>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pages_send_is_understood_and_nothing_else() {
        let read = |text: &str| serde_json::from_str::<Command>(text).ok();
        assert_eq!(read(r#"{"act":"end_size"}"#), Some(Command::Act(Action::EndSize)));
        let Some(Command::Set(weights)) = read(r#"{"set":{"strength":1,"tv_weight":0.25}}"#) else {
            panic!()
        };
        let settings = weights.applied(&Settings::painterly()).unwrap();
        assert_eq!((settings.strength(), settings.tv_weight), (Some(1.0), 0.25));
        for text in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"act":"explode"}"#,
            r#"{"set":{"size":9}}"#,
            r#"{"set":{"tv_weight":"1"}}"#,
            r#"{"act":"pause","set":{}}"#,
            r#"{"set":{"tv_weight":1e999}}"#,
            r#"{"set":{"tv_weight":NaN}}"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let wild = Weights { strength: Some(7.0), ..Weights::default() };
        assert!(wild.applied(&Settings::painterly()).is_err());
    }
}
