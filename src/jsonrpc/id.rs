//! The id of a request: a string or an integer, its type kept.

use super::{Kind, Raw};

/// The longest id that is accepted, in bytes of its JSON text.
const MAX_LENGTH: usize = 1024;

/// A request id (MCP 2025-06-18, basic/index#requests): a string or an integer, never `null`. `1` and `"1"` differ.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(Raw);

/// Why a value is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is a string or an integer of at most {MAX_LENGTH} bytes")]
pub struct IdError;

impl RequestId {
    /// Reads an id.
    ///
    /// # Errors
    /// When the value is anything but a string or an integer, or too long.
    pub fn new(value: &Raw) -> Result<Self, IdError> {
        let text = value.as_bytes();
        if text.len() > MAX_LENGTH {
            return Err(IdError);
        }
        match value.kind() {
            // One spelling for each string, so that ids can be compared as bytes.
            Kind::String if memchr::memchr(b'\\', text).is_some() => {
                value.as_text().map(|t| Self(Raw::from(&*t))).ok_or(IdError)
            }
            Kind::String => Ok(Self(value.clone())),
            Kind::Number if text.iter().all(|b| matches!(b, b'-' | b'0'..=b'9')) => Ok(Self(value.clone())),
            _ => Err(IdError),
        }
    }

    /// An integer id.
    #[must_use]
    pub fn number(n: u64) -> Self {
        Self(Raw::of(&n))
    }

    /// The integer, when it is one that fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        std::str::from_utf8(self.0.as_bytes()).ok()?.parse().ok()
    }

    /// The integer, also where a peer spelled it as a string (some servers answer `"7"` to `7`).
    #[must_use]
    pub fn as_u64_lenient(&self) -> Option<u64> {
        self.as_u64().or_else(|| self.0.as_text()?.parse().ok())
    }

    /// The id as JSON.
    #[must_use]
    pub fn raw(&self) -> &Raw {
        &self.0
    }
}

impl std::hash::Hash for RequestId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.as_bytes().hash(state);
    }
}

impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
