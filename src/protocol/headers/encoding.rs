//! How a value travels in a header (2026-07-28, basic/transports#value-encoding): as it is where it is plain ASCII, else as
//! `=?base64?…?=`.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// A header value that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a header value is ASCII text, or `=?base64?…?=` around padded base64 of UTF-8")]
pub struct Malformed;

/// The text as it may stand in a header.
#[must_use]
pub fn encode_value(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let plain = bytes.iter().all(|b| matches!(b, 0x20..=0x7E));
    let padded = bytes.first() == Some(&b' ') || bytes.last() == Some(&b' ');
    let looks_encoded = text.starts_with(PREFIX) && text.ends_with(SUFFIX);
    if plain && !padded && !looks_encoded {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(text)))
    }
}

/// The text as a header value.
#[must_use]
pub fn header_value(text: &str) -> HeaderValue {
    // What `encode_value` writes is printable ASCII, which a header value always takes.
    HeaderValue::from_str(&encode_value(text)).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The text that a header value stands for; white space around it is no part of it (RFC 9110, section 5.5).
///
/// # Errors
/// When the value holds bytes beyond ASCII, or base64 that is not canonical, or not UTF-8 inside.
pub fn decode_value(value: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    let text = plain_text(value)?;
    match text.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)) {
        Some(payload) => {
            let bytes = STANDARD.decode(payload).map_err(|_| Malformed)?;
            String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Malformed)
        }
        None => Ok(Cow::Borrowed(text)),
    }
}

/// The text of a header value without the white space around it, not decoded.
pub(super) fn plain_text(value: &[u8]) -> Result<&str, Malformed> {
    let text = std::str::from_utf8(value).map_err(|_| Malformed)?.trim_matches([' ', '\t']);
    if text.is_ascii() { Ok(text) } else { Err(Malformed) }
}
