//! Named looks: settings in a TOML file, for people to write, keep and share.

use toml::{Table, Value};

use crate::painting::provenance::Start;
use crate::painting::settings::{self, Settings};
use crate::{Error, Result};

/// The name and text of every bundled preset.
const BUNDLED: [(&str, &str); 8] = [
    ("bold", include_str!("../../presets/bold.toml")),
    ("book", include_str!("../../presets/book.toml")),
    ("broad", include_str!("../../presets/broad.toml")),
    ("fine", include_str!("../../presets/fine.toml")),
    ("painterly", include_str!("../../presets/painterly.toml")),
    ("portrait", include_str!("../../presets/portrait.toml")),
    ("quick", include_str!("../../presets/quick.toml")),
    ("subtle", include_str!("../../presets/subtle.toml")),
];

/// The keys of a preset that are not fields of [`Settings`].
const BESIDE_SETTINGS: [&str; 5] = ["description", "strength", "style_scale", "init", "seed"];

/// The largest factor between the longest sides of painting and result; the smallest is 1 divided by it.
const MAX_SCALE: f64 = 16.0;

/// A look: settings, and the other choices that belong to it. Sizes are not part of it, so that it can be used at every
/// size.
///
/// In TOML it has a `description`, the fields of [`Settings`], `strength` (in place of `content_weight`; see
/// [`Settings::set_strength`]), `style_scale`, and `init` (`content`, `matched`, `gray`, or `noise` with `seed`). All of them are
/// optional; `recipe` says whose defaults hold for what is left out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Preset {
    /// A sentence for people.
    pub description: String,
    /// The settings of the run.
    pub settings: Settings,
    /// The painting's longest side as a multiple of the result's: above 1 for broader strokes. `None` is 1.
    pub style_scale: Option<f64>,
    /// Where the run starts, if the preset says so. It is never a picture file.
    pub start: Option<Start>,
}

impl Preset {
    /// Names of the bundled presets.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUNDLED.iter().map(|(name, _)| *name)
    }

    /// The bundled preset of this name.
    pub fn bundled(name: &str) -> Option<Self> {
        let (name, text) = BUNDLED.iter().find(|(n, _)| *n == name)?;
        Some(Self::parse(name, text).expect("bundled presets are tested"))
    }

    /// Reads the TOML text of the preset `name`; the name is used in messages.
    ///
    /// # Errors
    /// [`Error::Setting`] if the text is not TOML, has an unknown key, or a value that makes no sense.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        Self::from_toml(text).map_err(|why| {
            // The parser's own report quotes lines; it is reduced to one sentence.
            let why = why.trim().split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
            Error::Setting(format!(
                "cannot use preset {name}: {why}; correct that line or start from --write-preset"
            ))
        })
    }

    fn from_toml(text: &str) -> Result<Self, String> {
        let place = |e: &toml::de::Error| {
            let line = e.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            line.map(|line| format!("line {line}: ")).unwrap_or_default() + e.message()
        };
        let mut table: Table = toml::from_str(text).map_err(|e| place(&e))?;
        let description = match table.remove("description") {
            None => String::new(),
            Some(Value::String(text)) => text,
            Some(_) => return Err("`description` is not a text".into()),
        };
        let strength = number(&mut table, "strength")?;
        let style_scale = number(&mut table, "style_scale")?;
        let start = start(&mut table)?;
        let mut base = match table.get("recipe").and_then(Value::as_str) {
            Some("book") => Settings::book(),
            _ => Settings::painterly(),
        };
        let optimizer = table.get("optimizer").and_then(Value::as_str).and_then(|name| name.parse().ok());
        optimizer.into_iter().for_each(|optimizer| base.set_optimizer(optimizer));
        let mut known = Table::try_from(&base).expect("settings are a table");
        // Records leave it out where it is the default.
        known.entry("tile_statistics").or_insert_with(|| Value::String("exact".into()));
        if let Some(key) = table.keys().find(|key| !known.contains_key(key.as_str())) {
            let names = BESIDE_SETTINGS.into_iter().chain(known.keys().map(String::as_str));
            let names = names.collect::<Vec<_>>().join(", ");
            return Err(format!("it has a line for `{key}`, which is none of {names}"));
        }
        if strength.is_some() && table.contains_key("content_weight") {
            return Err("`strength` and `content_weight` were both given, and one sets the other".into());
        }
        let has_rate = table.contains_key("learning_rate");
        let mut complete = known;
        complete.extend(table);
        let mut settings: Settings = complete.try_into().map_err(|e: toml::de::Error| e.to_string())?;
        let rate = settings.learning_rate;
        strength.map_or(Ok(()), |s| settings.set_strength(s)).map_err(|e| e.to_string())?;
        // As on the command line, a learning rate takes precedence over the one that a strength may set.
        if has_rate {
            settings.learning_rate = rate;
        }
        settings.validate().map_err(|e| e.to_string())?;
        style_scale.map_or(Ok(1.0), check_scale).map_err(|e| e.to_string())?;
        Ok(Self { description, settings, style_scale, start })
    }

    /// A preset of these settings.
    ///
    /// # Errors
    /// [`Error::Setting`] if `start` is a picture, which a preset cannot hold.
    pub fn new(settings: Settings, style_scale: Option<f64>, start: Start) -> Result<Self> {
        if let Start::Picture(file) = &start {
            return Err(Error::Setting(format!(
                "a preset cannot hold the picture {:?} that the run starts from; write the preset without --init",
                file.name
            )));
        }
        // Regions are pictures, too: a preset is used with others, or with none.
        let settings = Settings { regions: 0, ..settings };
        Ok(Self { description: String::new(), settings, style_scale, start: Some(start) })
    }

    /// The text that [`Preset::parse`] reads.
    pub fn to_toml(&self) -> String {
        let mut text = String::from(
            "# A look for impasto: `impasto stylize --preset FILE`. Lines that are left out take the default.\n",
        );
        let mut line = |key: &str, value: Value| text += &format!("{key} = {value}\n");
        line("description", self.description.clone().into());
        match &self.start {
            Some(Start::Noise { seed }) => {
                line("init", "noise".into());
                line("seed", Value::Integer(i64::try_from(*seed).unwrap_or(i64::MAX)));
            }
            Some(Start::Matched) => line("init", "matched".into()),
            Some(Start::Gray) => line("init", "gray".into()),
            Some(_) => line("init", "content".into()),
            None => {}
        }
        if let Some(scale) = self.style_scale {
            line("style_scale", scale.into());
        }
        match Value::try_from(&self.settings).expect("settings are a table of numbers and names") {
            Value::Table(table) => table.into_iter().for_each(|(key, value)| line(&key, value)),
            _ => unreachable!("settings are a table of numbers and names"),
        }
        text
    }
}

/// Takes a number out of a table.
fn number(table: &mut Table, key: &str) -> Result<Option<f64>, String> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::Float(x)) => Ok(Some(x)),
        Some(Value::Integer(n)) => Ok(Some(n as f64)),
        Some(_) => Err(format!("`{key}` is not a number")),
    }
}

/// Takes `init` and `seed` out of a table.
fn start(table: &mut Table) -> Result<Option<Start>, String> {
    let seed = match table.remove("seed") {
        None => None,
        Some(Value::Integer(seed)) if seed >= 0 => Some(seed as u64),
        Some(_) => return Err("`seed` is not a whole number from 0".into()),
    };
    match (table.remove("init"), seed) {
        (None, None) => Ok(None),
        (Some(Value::String(init)), None) if init == "content" => Ok(Some(Start::Content)),
        (Some(Value::String(init)), None) if init == "matched" => Ok(Some(Start::Matched)),
        (Some(Value::String(init)), None) if init == "gray" => Ok(Some(Start::Gray)),
        (Some(Value::String(init)), seed) if init == "noise" => {
            Ok(Some(Start::Noise { seed: seed.unwrap_or(0) }))
        }
        (None, Some(_)) => Err("`seed` needs `init = \"noise\"`".into()),
        _ => Err("`init` is none of \"content\", \"matched\", \"gray\" and \"noise\", of which only the last takes a `seed`".into()),
    }
}

/// Refuses factors between painting and result that make no sense.
///
/// # Errors
/// [`Error::Setting`].
pub fn check_scale(scale: f64) -> Result<f64> {
    match (1.0 / MAX_SCALE..=MAX_SCALE).contains(&scale) {
        true => Ok(scale),
        false => Err(Error::Setting(format!(
            "the style scale is {}; it must be from 1/{MAX_SCALE} (fine strokes) to {MAX_SCALE} (broad ones)",
            settings::written(scale)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::painting::choices::TileStatistics;

    #[test]
    fn bundled_presets_are_read_and_described() {
        for (name, text) in BUNDLED {
            let preset = Preset::parse(name, text).unwrap();
            assert!(!preset.description.is_empty(), "{name}");
        }
        assert_eq!(Preset::bundled("painterly").unwrap().settings, Settings::default());
        assert_eq!(Preset::bundled("book").unwrap().settings, Settings::book());
    }

    #[test]
    fn what_is_written_is_read_again() {
        for name in Preset::names() {
            let preset = Preset::bundled(name).unwrap();
            assert_eq!(Preset::parse(name, &preset.to_toml()).unwrap(), preset);
        }
        let quick = TileStatistics::Quick;
        let mut settings = Settings { tv_weight: 0.1 + 0.2, tile_statistics: quick, ..Settings::default() };
        settings.style_layer_weights = vec![1.0, 0.5, 1e-7, 0.0, 3.0];
        let preset = Preset::new(settings, Some(1.5), Start::Noise { seed: 9 }).unwrap();
        assert_eq!(Preset::parse("it", &preset.to_toml()).unwrap(), preset);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (text, part) in [
            ("style_wait = 3", "`style_wait`, which is none of description, strength,"),
            ("style_wait = 3", ", style_weight,"),
            ("style_weight = \"much\"", "style_weight"),
            ("style_weight = -1", "style weight is -1"),
            ("strength = 2", "strength is 2"),
            ("strength = 0.5\ncontent_weight = 1", "both given"),
            ("style_scale = 0", "style scale is 0"),
            ("learning_rate = 1e300", "rate is 1e300;"),
            ("style_scale = nan", "style scale is NaN"),
            ("style_layer_weights = [1, 2]", "2 layer weights"),
            ("style_layer_weights = [1, 1, 1, 1, -1]", "a layer weight is -1"),
            ("style_layers = [\"relu9_9x\"]", "is no layer"),
            ("init = \"middle\"", "init"),
            ("seed = 4", "needs `init"),
            ("description = 4", "description"),
            ("strength = 0.5\nstyle weight = 4", "line 2"),
            ("<html>", "line 1"),
        ] {
            let message = Preset::parse("it", text).unwrap_err().to_string();
            assert!(message.contains(part) && !message.contains('\n'), "{text}: {message}");
        }
    }

    /// As on the command line, where `--learning-rate` takes precedence over what `--strength` would set.
    #[test]
    fn a_learning_rate_wins_over_that_of_a_strength() {
        let preset = Preset::parse("it", "recipe = \"book\"\nstrength = 0.2\nlearning_rate = 0.05").unwrap();
        let alone = Preset::parse("it", "recipe = \"book\"\nstrength = 0.2").unwrap();
        assert_eq!(preset.settings.learning_rate, 0.05);
        assert_eq!(preset.settings.content_weight, alone.settings.content_weight);
        assert!(alone.settings.learning_rate < Settings::book().learning_rate);
    }

    #[test]
    fn strength_is_the_default_in_the_middle_and_never_turns_back() {
        for default in [Settings::book(), Settings::painterly()] {
            let at = |strength: f64| {
                let mut settings = default.clone();
                settings.set_strength(strength).map(|()| (settings.content_weight, settings.learning_rate))
            };
            assert_eq!(at(0.5).unwrap(), (default.content_weight, default.learning_rate));
            for i in 0..20 {
                let (low, high) = (at(f64::from(i) / 20.0).unwrap(), at(f64::from(i + 1) / 20.0).unwrap());
                assert!(low.0 > high.0 && low.1 <= high.1, "{i}");
            }
            assert!(at(-0.1).is_err() && at(1.1).is_err() && at(f64::NAN).is_err());
        }
    }

    /// In the painterly recipe a strength moves the content weight and nothing else.
    #[test]
    fn a_painterly_strength_is_a_content_weight() {
        let mut settings = Settings::painterly();
        settings.set_strength(1.0).unwrap();
        assert!((settings.content_weight - 0.08 / 6.0).abs() < 1e-12);
        settings.content_weight = Settings::painterly().content_weight;
        assert_eq!(settings, Settings::painterly());
    }
}
