//! Names for what has names of its own: tools and definitions may be called anything, and a document takes little.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};

/// How many hexadecimal digits tell apart what would have one name.
const DIGITS: usize = 10;

/// A name of letters, digits, `_` and `-`, and for a text that is something else also a `.` and what tells it from others.
/// As no text that stands as it is has a `.`, the two kinds never meet.
pub(super) fn slug(text: &str) -> String {
    let clean = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !text.is_empty() && text.len() <= 128 && text.chars().all(clean) {
        return text.to_owned();
    }
    let short: String = text.chars().take(64).map(|c| if clean(c) { c } else { '_' }).collect();
    format!("{short}.{}", tag(&[text]))
}

/// What tells parts from other parts.
pub(super) fn tag(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        // With its length, so that no two lists of parts read the same.
        let _ = write!(text, "{} {part}", part.len());
    }
    hex(digest(&SHA256, text.as_bytes()).as_ref())[..DIGITS].to_owned()
}

/// Bytes in hexadecimal.
pub(in crate::app) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The id of a tool's operation: `{mount}_{tool}`, the same whatever else is mounted or listed, and no other tool's.
///
/// `a` with the tool `b_c` and `a_b` with the tool `c` would share `a_b_c`. Where a mount is called so that this may happen,
/// the one with the shorter name gives way, whether the other lists such a tool or not: `mounts` are all of the gateway.
pub(super) fn operation_id(mount: &str, tool: &str, mounts: &[&str]) -> String {
    let id = format!("{mount}_{}", slug(tool));
    let is_taken =
        |other: &&&str| other.len() > mount.len() && id.strip_prefix(**other).is_some_and(|r| r.starts_with('_'));
    match mounts.iter().find(is_taken) {
        Some(_) => format!("{id}.{}", tag(&[mount, tool])),
        None => id,
    }
}

/// A text as one segment of a path (RFC 3986, section 3.3): everything but unreserved characters is encoded. `None` for
/// what clients would take for a step up or for nothing at all.
pub(super) fn segment(text: &str) -> Option<String> {
    if matches!(text, "" | "." | "..") {
        return None;
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    Some(encoded)
}

/// A JSON Pointer as the fragment of a URI (RFC 6901, section 6).
pub(super) fn fragment<'a>(tokens: impl IntoIterator<Item = &'a str>) -> String {
    let mut pointer = String::new();
    for token in tokens {
        pointer.push('/');
        for byte in token.bytes() {
            match byte {
                b'~' => pointer.push_str("~0"),
                b'/' => pointer.push_str("~1"),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'$' => pointer.push(byte.into()),
                _ => {
                    let _ = write!(pointer, "%{byte:02X}");
                }
            }
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn sec_124_no_two_tools_share_an_operation() {
        let long = "é".repeat(128);
        let mounts = ["a", "a_b", "a_b_c", "docs"];
        let tools =
            ["b_c", "c", "b_c_d", "d", "a b", "a.b", "a_b", "../../admin", "__proto__", "tools/{x}", &long, "", "."];
        let mut seen = HashSet::new();
        for mount in mounts {
            for tool in tools {
                let id = operation_id(mount, tool, &mounts);
                assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')), "{id}");
                assert!(seen.insert(id.clone()), "{mount} {tool}: {id} twice");
                assert_eq!(id, operation_id(mount, tool, &mounts), "it is always the same");
            }
        }
        assert_eq!(operation_id("docs", "search", &mounts), "docs_search");
        assert_eq!(operation_id("a_b", "c", &mounts), "a_b_c");
        assert!(operation_id("a", "b_c", &mounts).starts_with("a_b_c."));
    }

    #[test]
    fn segments_and_fragments_keep_what_they_name() {
        assert_eq!(segment("read_file").as_deref(), Some("read_file"));
        assert_eq!(segment("../../admin").as_deref(), Some("..%2F..%2Fadmin"));
        assert_eq!(segment("tools/{x}").as_deref(), Some("tools%2F%7Bx%7D"));
        assert_eq!(segment("a b%é").as_deref(), Some("a%20b%25%C3%A9"));
        assert_eq!(segment(".."), None);
        assert_eq!(fragment(["$defs", "a/b~c d", "%"]), "/$defs/a~1b~0c%20d/%25");
    }
}
