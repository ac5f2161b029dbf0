//! Which call a line answers that cannot be read as a message: too long, or broken.
//!
//! A guess only ends one of our own pending calls early, never anything else, and those ids are drawn at random.

/// The id at the top level of a JSON object of which only both ends are known. Servers write it first or last.
pub(super) fn in_ends(head: &[u8], tail: &[u8]) -> Option<u64> {
    in_head(head).or_else(|| in_tail(tail))
}

/// The id in a line that is there as a whole.
pub(super) fn in_line(line: &[u8]) -> Option<u64> {
    in_ends(line, line)
}

fn in_head(head: &[u8]) -> Option<u64> {
    let mut at = head.iter().position(|b| !b.is_ascii_whitespace())?;
    if head[at] != b'{' {
        return None;
    }
    let mut depth = 0_usize;
    while let Some(&byte) = head.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let end = string_end(head, at)?;
                let rest = head[end..].trim_ascii_start();
                if depth == 1 && &head[at..end] == b"\"id\"" && rest.first() == Some(&b':') {
                    return number(rest[1..].trim_ascii_start());
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the string that begins at `at` ends.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A number at the start of `text`, with or without quotes, that is followed by the next member or the end.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.strip_prefix(b"\"").unwrap_or(text);
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    text.get(digits).filter(|b| matches!(b, b',' | b'}' | b'"' | b' '))?;
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

/// An id that is the last member: what follows it is the brace that closes the message.
fn in_tail(tail: &[u8]) -> Option<u64> {
    let inner = tail.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end();
    let colon = memchr::memrchr(b':', inner)?;
    let name = inner[..colon].trim_ascii_end().strip_suffix(b"\"id\"")?.trim_ascii_end();
    if !matches!(name.last(), Some(b',' | b'{')) {
        return None;
    }
    let mut value = inner[colon + 1..].trim_ascii().to_vec();
    value.push(b' ');
    number(&value).filter(|_| value.iter().all(|b| b.is_ascii_digit() || matches!(b, b'"' | b' ')))
}

#[cfg(test)]
mod tests {
    use super::{in_ends, in_line};

    #[test]
    fn finds_the_id_at_either_end_of_the_message() {
        for (line, id) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"x":NaN}}"#, Some(7)),
            (r#"{"jsonrpc":"2.0", "id" : "7", "result":{"#, Some(7)),
            (r#"{"result":{"id":3},"jsonrpc":"2.0","id":7}"#, Some(7)),
            (r#"{"result":{"a":"\"id\":4"},"jsonrpc":"2.0","id":"7"} "#, Some(7)),
            (r#"{"jsonrpc":"2.0","method":"x","params":{"id":7}}"#, None),
            (r#"{"id":7.5,"result":1"#, None),
            (r#"{"id":null,"error":{}}"#, None),
            ("npm warn something {", None),
            ("", None),
        ] {
            assert_eq!(in_line(line.as_bytes()), id, "{line}");
        }
        assert_eq!(in_ends(br#"{"result":{"content":["#, br#"xxx"]},"jsonrpc":"2.0","id":9}"#), Some(9));
        assert_eq!(in_ends(br#"{"params":{"content":["#, br#"xxx"],"id":9}}"#), None);
    }
}
