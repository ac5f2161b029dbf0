//! What can be wrong between headers and body.

use http::HeaderName;

use crate::jsonrpc::{ErrorObject, code};

/// A header that does not say what the body says. The message names the header and never quotes a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The body has the value, the header is not there.
    #[error("header `{0}` is missing: it must mirror the body")]
    Missing(HeaderName),
    /// The header is there, the body has no such value.
    #[error("header `{0}` is present, but the body has nothing that it mirrors")]
    Unexpected(HeaderName),
    /// The header is there more than once.
    #[error("header `{0}` is present more than once")]
    Duplicate(HeaderName),
    /// The value of the header cannot be decoded.
    #[error("header `{0}` is malformed: it must be ASCII, or `=?base64?…?=` around padded base64 of UTF-8")]
    Malformed(HeaderName),
    /// Header and body say different things.
    #[error("header `{0}` differs from the body")]
    Differs(HeaderName),
}

impl Mismatch {
    /// The header that is wrong.
    #[must_use]
    pub fn header(&self) -> &HeaderName {
        match self {
            Self::Missing(name)
            | Self::Unexpected(name)
            | Self::Duplicate(name)
            | Self::Malformed(name)
            | Self::Differs(name) => name,
        }
    }

    /// The error that answers the request, to be sent with HTTP status 400.
    #[must_use]
    pub fn to_error(&self) -> ErrorObject {
        ErrorObject::new(code::HEADER_MISMATCH, format!("Header mismatch: {self}"))
    }
}
