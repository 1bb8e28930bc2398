//! Parsing numbers as people write them, with errors that say what to write instead.

use std::str::FromStr;

use impasto::painting::tiling::Tiling;

/// A count: also `1e3`.
///
/// # Errors
/// Says what to write instead.
pub fn count(text: &str) -> Result<usize, String> {
    let exact = |value: &f64| value.fract() == 0.0 && (0.0..=9e15).contains(value);
    let written = text.parse().ok().or_else(|| text.parse().ok().filter(exact).map(|value| value as usize));
    written.ok_or_else(|| "write a whole number, 0 or more, such as 500".into())
}

/// A count of at least one.
///
/// # Errors
/// Says what to write instead.
pub fn positive(text: &str) -> Result<usize, String> {
    let sound = count(text).ok().filter(|count| *count > 0);
    sound.ok_or_else(|| "write a whole number, 1 or more, such as 50".into())
}

/// A number that chooses noise.
///
/// # Errors
/// Says what to write instead.
pub fn seed(text: &str) -> Result<u64, String> {
    let most = i64::MAX as u64;
    let seed = text.parse().ok().filter(|seed| *seed <= most);
    seed.ok_or_else(|| format!("write a whole number from 0 to {most}; which one does not matter"))
}

/// A number with a point.
///
/// # Errors
/// Says what to write instead.
pub fn real(text: &str) -> Result<f64, String> {
    let pointed = text.replace(',', ".");
    match text.parse() {
        Ok(value) => Ok(value),
        Err(_) if f64::from_str(&pointed).is_ok() => {
            Err(format!("write it with a point, not a comma: {pointed}"))
        }
        Err(_) => Err("write a number, such as 0.5 or 1e4".into()),
    }
}

/// A share: `0.5` or `50%`.
///
/// # Errors
/// Says what to write instead.
pub fn share(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%') {
        Some(percent) => Ok(real(percent.trim_end())? / 100.0),
        None => real(text),
    }
}

/// Bytes: `2GiB`, `500 MB`, `1.5g`. Without a letter they are bytes.
///
/// # Errors
/// Says what to write instead.
pub fn bytes(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.to_lowercase();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => Some(0),
        "k" => Some(1),
        "m" => Some(2),
        "g" => Some(3),
        "t" => Some(4),
        _ => None,
    };
    let base = if unit.ends_with("ib") || !unit.ends_with('b') { 1024f64 } else { 1000f64 };
    let value = real(number.trim()).ok().zip(power).map(|(value, power)| value * base.powi(power));
    let value = value.filter(|value| *value >= 1.0 && *value <= u64::MAX as f64);
    value.map(|value| value as u64).ok_or_else(|| "write an amount of memory, such as 2GiB or 500MB".into())
}

/// What `--tile` says: the side of the tiles, or off.
///
/// # Errors
/// Says what to write instead.
pub fn tile(text: &str) -> Result<Tiling, String> {
    if text == "off" {
        return Ok(Tiling::Off);
    }
    let side = count(text).ok().filter(|side| *side > 0);
    side.map(Tiling::Side).ok_or_else(|| "write the pixels along a tile's side, such as 1024, or off".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory_are_read() {
        for (text, value) in [
            ("2GiB", 2 << 30),
            ("2g", 2 << 30),
            ("500 MB", 500_000_000),
            ("1.5 MiB", 3 << 19),
            ("4096", 4096),
        ] {
            assert_eq!(bytes(text), Ok(value), "{text}");
        }
        for text in ["", "GiB", "2 pints", "-1G", "0", "1e99T"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!((tile("off"), tile("1024")), (Ok(Tiling::Off), Ok(Tiling::Side(1024))));
        assert!(tile("0").is_err() && tile("on").is_err());
    }

    #[test]
    fn what_is_clear_is_read() {
        for (text, value) in [("0", 0), ("500", 500), ("1e3", 1000), ("1.5e3", 1500), ("2.0", 2)] {
            assert_eq!(count(text), Ok(value), "{text}");
        }
        for (text, value) in [("0.5", 0.5), ("50%", 0.5), ("7 %", 0.07), ("1", 1.0), ("-3", -3.0)] {
            assert!((share(text).unwrap() - value).abs() < 1e-15, "{text}");
        }
        assert_eq!((real("1e4"), positive("1e2")), (Ok(1e4), Ok(100)));
        assert_eq!(seed("7"), Ok(7));
    }

    #[test]
    fn what_is_not_clear_is_refused_with_what_to_write() {
        for text in ["-1", "1.5", "many", "1e300", "", "NaN"] {
            assert!(count(text).unwrap_err().contains("whole number"), "{text}");
        }
        for text in ["0", "-1", "1.5", "some"] {
            assert!(positive(text).unwrap_err().contains("1 or more"), "{text}");
        }
        for text in ["-1", "1.5", "x", "18446744073709551615"] {
            assert!(seed(text).unwrap_err().contains("from 0 to 9223372036854775807"), "{text}");
        }
        assert!(real("0,5").unwrap_err().ends_with(": 0.5"));
        assert!(real("1,000,000").unwrap_err().contains("write a number"));
        assert!(share("half").unwrap_err().contains("write a number"));
    }
}
