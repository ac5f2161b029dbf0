//! Text of a server, made fit for a line of the log.

use std::fmt::Write;

/// The text without anything that could end the line, move the cursor or change the direction of reading.
pub(crate) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => shown.push(' '),
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                let _ = write!(shown, "{}", c.escape_unicode());
            }
            c if c.is_control() => {
                let _ = write!(shown, "{}", c.escape_default());
            }
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(super::printable(b"a\x1b[31mred\r\n\x00\xff"), "a\\u{1b}[31mred\\r\\n\\u{0}\u{fffd}");
        assert_eq!(super::printable("x\u{202e}y\u{85}".as_bytes()), "x\\u{202e}y\\u{85}");
    }
}
