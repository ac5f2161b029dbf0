//! Whose line it is that cannot be read as a message: too long, or broken.
//!
//! A guess only ends something early that somebody waits for: one of our own calls, whose ids are drawn at random, or a
//! request of the client that wrote the line itself.

use bytes::Bytes;

use super::{Raw, RequestId, scan::ScanLimits};

/// The id at the top level of a JSON object of which only both ends are known. Most write it first or last.
pub(crate) fn in_ends(head: &[u8], tail: &[u8]) -> Option<RequestId> {
    in_head(head).or_else(|| in_tail(tail))
}

/// The id in a line that is there as a whole.
pub(crate) fn in_line(line: &[u8]) -> Option<RequestId> {
    in_ends(line, line)
}

fn in_head(head: &[u8]) -> Option<RequestId> {
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
                    return first(rest[1..].trim_ascii_start());
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

/// The id at the start of `text`, which is followed by the next member or the end.
fn first(text: &[u8]) -> Option<RequestId> {
    let end = match text.first()? {
        b'"' => string_end(text, 0)?,
        _ => text.iter().take_while(|b| b.is_ascii_digit() || **b == b'-').count(),
    };
    let next = text[end..].trim_ascii_start().first();
    next.filter(|b| matches!(b, b',' | b'}')).and_then(|_| whole(&text[..end]))
}

fn whole(text: &[u8]) -> Option<RequestId> {
    let value = Raw::scan(Bytes::copy_from_slice(text), ScanLimits::REQUEST).ok()?;
    RequestId::new(&value).ok()
}

/// An id that is the last member: what follows it is the brace that closes the message.
fn in_tail(tail: &[u8]) -> Option<RequestId> {
    let inner = tail.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end();
    let start = match inner.strip_suffix(b"\"") {
        Some(text) => memchr::memrchr(b'"', text)?,
        None => inner.len() - inner.iter().rev().take_while(|b| b.is_ascii_digit() || **b == b'-').count(),
    };
    let name = inner[..start].trim_ascii_end().strip_suffix(b":")?.trim_ascii_end().strip_suffix(b"\"id\"")?;
    matches!(name.trim_ascii_end().last(), Some(b',' | b'{')).then(|| whole(&inner[start..])).flatten()
}

#[cfg(test)]
mod tests {
    use super::{RequestId, in_ends, in_line};

    fn written(id: Option<RequestId>) -> Option<String> {
        id.map(|id| String::from_utf8_lossy(id.raw().as_bytes()).into_owned())
    }

    #[test]
    fn finds_the_id_at_either_end_of_the_message() {
        for (line, id) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"x":NaN}}"#, Some("7")),
            (r#"{"jsonrpc":"2.0", "id" : "7", "result":{}}"#, Some("\"7\"")),
            (r#"{"result":{"id":3},"jsonrpc":"2.0","id":7}"#, Some("7")),
            (r#"{"result":{"a":"\"id\":4"},"jsonrpc":"2.0","id":"7"} "#, Some("\"7\"")),
            (r#"{"jsonrpc":"2.0","method":"x","params":{"id":7}}"#, None),
            (r#"{"params":{"id":3},"id" : "a:b"}"#, Some("\"a:b\"")),
            (r#"{"params":1,"id":-7}"#, Some("-7")),
            (r#"{"id":7.5,"result":1"#, None),
            (r#"{"id":null,"error":{}}"#, None),
            ("npm warn something {", None),
            ("", None),
        ] {
            assert_eq!(written(in_line(line.as_bytes())).as_deref(), id, "{line}");
        }
        let found = in_ends(br#"{"result":{"content":["#, br#"xxx"]},"jsonrpc":"2.0","id":9}"#);
        assert_eq!(written(found).as_deref(), Some("9"));
        assert!(in_ends(br#"{"params":{"content":["#, br#"xxx"],"id":9}}"#).is_none());
    }
}
