//! Finding one's way in text that was scanned.

use std::{borrow::Cow, ops::Range};

/// Where a member of an object stands, counted from where the object begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::jsonrpc) struct Place {
    /// The key, its quotes included.
    pub(in crate::jsonrpc) key: Range<usize>,
    /// Whether the key is spelled with escapes.
    pub(in crate::jsonrpc) is_escaped: bool,
    pub(in crate::jsonrpc) value: Range<usize>,
}

/// The text of a string without its escapes. Works on text that was scanned; anything else is returned as it is.
pub(in crate::jsonrpc) fn unescape(inner: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut quoted = Vec::with_capacity(inner.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(inner);
    quoted.push(b'"');
    match serde_json::from_slice::<String>(&quoted) {
        Ok(text) => Cow::Owned(text.into_bytes()),
        Err(_) => Cow::Borrowed(inner),
    }
}

/// How many bytes of a string are looked at word by word before it counts as long.
const SHORT: usize = 32;
/// How many bytes of a long string are looked at together.
const WIDE: usize = 64;

/// How many bytes from the start need no attention inside a string: no quote, no backslash, no control character.
pub(in crate::jsonrpc) fn plain_length(text: &[u8]) -> usize {
    let (start, rest) = text.split_at(text.len().min(SHORT));
    let at = plain_words(start);
    if at < start.len() || rest.is_empty() {
        return at;
    }
    // In wide steps, which the compiler turns into vector instructions.
    let wide = rest
        .chunks_exact(WIDE)
        .take_while(|chunk| !chunk.iter().fold(false, |hit, &b| hit | (b < 0x20) | (b == b'"') | (b == b'\\')));
    let at = SHORT + wide.count() * WIDE;
    at + plain_words(&text[at..])
}

/// The same, eight bytes at a time.
fn plain_words(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let mut at = 0;
    let mut chunks = text.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        let word = u64::from_le_bytes(word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        // The classic "has a byte less than n" trick, exact for its lowest hit.
        let hits = (word.wrapping_sub(ONES * 0x20) & !word
            | quote.wrapping_sub(ONES) & !quote
            | slash.wrapping_sub(ONES) & !slash)
            & HIGH;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + chunks.remainder().iter().take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\').count()
}

/// Where the value that begins at `at` ends. The text must have been scanned.
pub(in crate::jsonrpc) fn value_end(text: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = at;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ if depth == 0 => {
                let rest = &text[at..];
                return at
                    + rest
                        .iter()
                        .position(|b| matches!(b, b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r'))
                        .unwrap_or(rest.len());
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Where the string that begins with the quote at `at` ends, its closing quote included.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < text.len() {
        at += plain_length(&text[at..]);
        match text.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => break,
        }
    }
    text.len()
}

/// The members of a scanned text that is an object.
pub(in crate::jsonrpc) fn members(text: &[u8]) -> Vec<Place> {
    let mut members = Vec::with_capacity(8);
    let mut at = skip_space(text, 1);
    while text.get(at) == Some(&b'"') {
        let key = at..string_end(text, at);
        let is_escaped = memchr::memchr(b'\\', &text[key.clone()]).is_some();
        let colon = skip_space(text, key.end);
        let start = skip_space(text, colon + 1);
        let value = start..value_end(text, start);
        at = skip_space(text, value.end);
        if text.get(at) == Some(&b',') {
            at = skip_space(text, at + 1);
        }
        members.push(Place { key, is_escaped, value });
    }
    members
}

/// The first byte at or after `at` that is not white space.
pub(in crate::jsonrpc) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}
