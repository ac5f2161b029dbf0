//! What those hear who may not come in (RFC 6750, section 3; RFC 9457).
//!
//! Everything here is the same for every cause of its kind, says nothing about the keys, and repeats nothing of the request.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, VARY, WWW_AUTHENTICATE},
};

use super::credential::{Malformed, SHOWN_IN};

const PASSWORD: HeaderValue = HeaderValue::from_static(r#"Basic realm="Rialto", charset="UTF-8""#);

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It shows no key.
    NoKey,
    /// What it shows is no key of ours.
    WrongKey,
    /// What it shows cannot be a key.
    Malformed(Malformed),
    /// There is nothing here.
    Nowhere,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::NoKey | Self::WrongKey => StatusCode::UNAUTHORIZED,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Nowhere => StatusCode::NOT_FOUND,
        }
    }

    fn challenge(self) -> Option<HeaderValue> {
        let challenge = match self {
            // Who shows nothing did nothing wrong: no error is named (RFC 6750, section 3.1).
            Self::NoKey => r#"Bearer realm="Rialto""#,
            Self::WrongKey => {
                r#"Bearer realm="Rialto", error="invalid_token", error_description="The key is not valid""#
            }
            Self::Malformed(_) => {
                r#"Bearer realm="Rialto", error="invalid_request", error_description="The credentials are malformed""#
            }
            Self::Nowhere => return None,
        };
        Some(HeaderValue::from_static(challenge))
    }

    fn body(self) -> &'static str {
        match self {
            Self::NoKey => {
                r#"{"type":"urn:rialto:problem:key-missing","title":"A key is needed","status":401,"detail":"send a key as `Authorization: Bearer` or as `X-Api-Key`"}"#
            }
            Self::WrongKey => {
                r#"{"type":"urn:rialto:problem:key-invalid","title":"The key is not valid","status":401,"detail":"the key that was sent is none of those configured"}"#
            }
            Self::Malformed(Malformed::Several) => {
                r#"{"type":"urn:rialto:problem:credentials-malformed","title":"The credentials are malformed","status":400,"detail":"there is more than one: send one key, in one header, and none in the URL"}"#
            }
            Self::Malformed(Malformed::Empty) => {
                r#"{"type":"urn:rialto:problem:credentials-malformed","title":"The credentials are malformed","status":400,"detail":"the header for the key is there, and the key is not"}"#
            }
            Self::Malformed(Malformed::Characters) => {
                r#"{"type":"urn:rialto:problem:credentials-malformed","title":"The credentials are malformed","status":400,"detail":"a key is made of letters, digits and `-._~+/`, with `=` at the end"}"#
            }
            Self::Malformed(Malformed::Long) => {
                r#"{"type":"urn:rialto:problem:credentials-malformed","title":"The credentials are malformed","status":400,"detail":"a key is not longer than 16 KiB"}"#
            }
            Self::Nowhere => {
                r#"{"type":"urn:rialto:problem:not-found","title":"Not found","status":404,"detail":"there is nothing at this path"}"#
            }
        }
    }

    /// The answer. With `takes_password`, browsers are told that they may ask their user for a password.
    pub(super) fn answer<B: From<Bytes>>(self, takes_password: bool) -> Response<B> {
        let mut response = Response::new(B::from(Bytes::from_static(self.body().as_bytes())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, SHOWN_IN);
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if takes_password && self.status() == StatusCode::UNAUTHORIZED {
            headers.append(WWW_AUTHENTICATE, PASSWORD);
        }
        response
    }
}
