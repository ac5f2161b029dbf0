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
use tower::{Service, ServiceBuilder};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::auth::SHOWN_IN;

/// Nothing may be loaded by what is shown, and nobody may frame it (Content Security Policy Level 3).
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'");

/// Lets every answer of `service` say it. To be put outermost, so that refusals say it too.
pub(super) fn hardened<S>(
    service: S,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
{
    ServiceBuilder::new()
        .layer(default(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .layer(default(REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
        .layer(default(CONTENT_SECURITY_POLICY, POLICY))
        .layer(default(CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .layer(SetResponseHeaderLayer::appending(VARY, who as fn(&Response) -> Option<HeaderValue>))
        .service(service)
}

fn default(name: HeaderName, value: HeaderValue) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, value)
}

fn who(response: &Response) -> Option<HeaderValue> {
    let is_said = response.headers().get_all(VARY).iter().any(|value| *value == SHOWN_IN);
    (!is_said).then_some(SHOWN_IN)
}
