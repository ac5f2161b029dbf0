//! What the guard answers by itself.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CONNECTION,
    CONTENT_TYPE, ORIGIN, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::rules::{Refusal, Rules, Settings};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE, OPTIONS");
const EXPOSED: HeaderValue = HeaderValue::from_static("mcp-session-id, mcp-protocol-version, www-authenticate");

/// Two credentials, or none that can be read, are no credentials (RFC 6750, section 3.1).
const MALFORMED: HeaderValue = HeaderValue::from_static(
    r#"Bearer realm="Rialto", error="invalid_request", error_description="The credentials are malformed""#,
);

/// A refusal as plain text. The connection is closed: a client that sends such a request is
/// confused or hostile, and its body is not worth reading.
pub(super) fn refuse(refusal: Refusal, settings: Settings) -> Response<Body> {
    let mut response = Response::new(Body::from(refusal.message(settings) + "\n"));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if refusal.is_of_credentials() {
        headers.insert(WWW_AUTHENTICATE, MALFORMED);
    }
    response
}

/// Whether a browser asks before it sends the real request (Fetch, section 3.2.2).
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Answers a preflight of an origin that passed the rules.
///
/// Only an origin that *is* this gateway is allowed by name. Other loopback origins get no
/// `Access-Control-Allow-Origin`, so that their browser stops there: sharing answers between
/// origins is off until origins can be named.
pub(super) fn preflight(rules: &Rules, request: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("origin"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if let Some(allowed) = allowed_headers(request) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    if rules.is_same_origin(request)
        && let Some(origin) = request.get(ORIGIN)
    {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    response
}

/// The requested header names that MCP has a use for.
fn allowed_headers(request: &HeaderMap) -> Option<HeaderValue> {
    let mut allowed = String::new();
    for field in request.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        let names = field.to_str().unwrap_or_default().split(',').map(str::trim);
        for name in names.filter(|name| is_mcp_header(name)) {
            if !allowed.is_empty() {
                allowed.push_str(", ");
            }
            allowed.push_str(name);
        }
    }
    HeaderValue::try_from(allowed).ok().filter(|value| !value.is_empty())
}

fn is_mcp_header(name: &str) -> bool {
    const NAMED: [&str; 5] = ["authorization", "x-api-key", "content-type", "accept", "last-event-id"];
    let is_token = http::HeaderName::try_from(name).is_ok();
    let is_mcp = name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("mcp-"));
    is_token && (is_mcp || NAMED.iter().any(|known| known.eq_ignore_ascii_case(name)))
}
