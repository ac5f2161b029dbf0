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
    match () {
        () if size == 0 || size % (1 << 10) != 0 => format!("{size} bytes"),
        () if size % (1 << 30) == 0 => format!("{}GiB", size >> 30),
        () if size % (1 << 20) == 0 => format!("{}MiB", size >> 20),
        () => format!("{}KiB", size >> 10),
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
    }
}
