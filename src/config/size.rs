//! Sizes as people write them: `512KiB`, `64MiB`, `1GiB`.

/// Reads a whole number, not zero, and its unit, in bytes. `None` for anything else; there is no unit to fall back on.
pub(super) fn parse(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|size| *size > 0)
}

/// Writes one, in the largest unit that leaves a whole number.
pub(super) fn write(size: usize) -> String {
    let unit = [(30, "GiB"), (20, "MiB"), (10, "KiB")].into_iter().find(|(shift, _)| size.is_multiple_of(1 << shift));
    match unit {
        Some((shift, unit)) if size > 0 => format!("{}{unit}", size >> shift),
        _ => format!("{size} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_number_and_a_unit() {
        let cases = [
            ("512KiB", Some(512 << 10)),
            ("64MiB", Some(64 << 20)),
            ("1GiB", Some(1 << 30)),
            ("0MiB", None),
            ("64", None),
            ("64MB", None),
            ("MiB", None),
            ("1.5GiB", None),
            ("-1MiB", None),
            ("99999999999999999999MiB", None),
            ("9999999999999999999GiB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text:?}");
        }
        assert_eq!(
            [0, 1000, 3 << 10, 64 << 20, 1 << 30].map(write),
            ["0 bytes", "1000 bytes", "3KiB", "64MiB", "1GiB"]
        );
    }
}
