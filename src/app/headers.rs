//! What every answer tells browsers and caches about itself.
//!
//! Each is a default: a page says of itself what it may load, an event stream how it may be kept. The values are static, so
//! that an MCP call pays for them with their bytes and nothing else.

use std::convert::Infallible;

use axum::{extract::Request, response::Response};
use http::{
    HeaderName, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS},
};
use tower::{Layer, Service, util::MapResponseLayer};

use crate::auth::SHOWN_IN;

/// Nothing may be loaded by what is shown, and nobody may frame it (Content Security Policy Level 3).
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'");
/// What an answer says that does not say it otherwise.
const DEFAULTS: [(HeaderName, HeaderValue); 4] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// Lets every answer of `service` say it. To be put outermost, so that refusals say it too.
pub(super) fn hardened<S>(
    service: S,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
{
    MapResponseLayer::new(say as fn(Response) -> Response).layer(service)
}

fn say(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if headers.get_all(VARY).iter().all(|value| *value != SHOWN_IN) {
        headers.append(VARY, SHOWN_IN);
    }
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(value);
    }
    response
}
