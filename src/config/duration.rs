//! Durations as people write them: `500ms`, `60s`, `5m`, `1h`, `7d`.

use std::time::Duration;

/// Reads a whole number and its unit. `None` for anything else; there is no unit to fall back on.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(24 * 3600),
        _ => None,
    }
}

/// Writes one, in the largest unit that leaves a whole number.
pub(super) fn write(duration: Duration) -> String {
    let (millis, seconds) = (duration.as_millis(), duration.as_secs());
    if !millis.is_multiple_of(1000) {
        return format!("{millis}ms");
    }
    let unit = [(24 * 3600, "d"), (3600, "h"), (60, "m")].into_iter().find(|(each, _)| seconds.is_multiple_of(*each));
    match unit {
        Some((each, unit)) if seconds > 0 => format!("{}{unit}", seconds / each),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let cases = [
            ("500ms", Some(Duration::from_millis(500))),
            ("60s", Some(Duration::from_secs(60))),
            ("5m", Some(Duration::from_secs(300))),
            ("1h", Some(Duration::from_secs(3600))),
            ("60", None),
            ("s", None),
            ("", None),
            ("-1s", None),
            ("1.5s", None),
            ("5 m", None),
            ("7d", Some(Duration::from_secs(604_800))),
            ("1w", None),
            ("99999999999999999999s", None),
            ("9999999999999999999h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text:?}");
        }
        for text in ["0s", "500ms", "61s", "5m", "23h", "7d"] {
            assert_eq!(parse(text).map(write).as_deref(), Some(text));
        }
    }
}
