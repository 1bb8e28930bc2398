//! What a page asks of a run, as it comes in JSON.

use impasto::painting::steering::Adjustment;
use serde::Deserialize;
use tokio::sync::oneshot;

/// Something that a page asks for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Other weights.
    Set(Adjustment),
    /// What a button does.
    Act(Action),
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
        let asked = Adjustment { strength: Some(1.0), tv_weight: Some(0.25), ..Adjustment::default() };
        assert_eq!(read(r#"{"set":{"strength":1,"tv_weight":0.25}}"#), Some(Command::Set(asked)));
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
    }
}
