//! The headers of a request that go on to a server.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    hub::Credentials,
    protocol::{
        headers::{self, PARAM_PREFIX, ToolHeaders},
        trace::{TRACEPARENT, TRACESTATE},
    },
};

/// How many `Mcp-Param-*` go on with one request.
const PARAMS: usize = 32;
/// How long their names and values may be together, in bytes.
const PARAM_BYTES: usize = 8 * 1024;

/// The headers that the operator lets pass, without what the client says is for this hop alone. A trace goes on by itself, and
/// never as it came.
pub(crate) fn named(headers: &HeaderMap, names: &[HeaderName]) -> Vec<(HeaderName, HeaderValue)> {
    let mut named = Vec::new();
    let is_trace = |name: &HeaderName| *name == TRACEPARENT || *name == TRACESTATE;
    let goes_on = |name: &HeaderName| headers.contains_key(name) && !headers::is_nominated(headers, name);
    for name in names.iter().filter(|name| goes_on(name) && !is_trace(name)) {
        named.extend(headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
    }
    named
}

/// What of it says who the client is to the server.
pub(super) fn credentials(headers: &HeaderMap, names: &[HeaderName]) -> Credentials {
    Credentials::of(&named(headers, names))
}

/// Adds the `Mcp-Param-*` that mirror nothing the gateway knows of: others on the way may know them, so they are passed on
/// (2026-07-28, basic/transports#custom-headers-from-tool-parameters). What is no valid value, or too much, is left out.
pub(super) fn add_unrecognised(
    to: &mut Vec<(HeaderName, HeaderValue)>,
    headers: &HeaderMap,
    recognised: Option<&ToolHeaders>,
) {
    let (mut left, mut bytes) = (PARAMS, PARAM_BYTES);
    for (name, value) in headers.iter().filter(|(name, _)| name.as_str().starts_with(PARAM_PREFIX)) {
        if recognised.is_some_and(|tool| tool.mirrors(name)) || headers::is_nominated(headers, name) {
            continue;
        }
        let size = name.as_str().len() + value.len();
        if left == 0 || size > bytes || headers::decode_value(value.as_bytes()).is_err() {
            tracing::debug!(%name, "left out an `Mcp-Param` header that nobody here knows: too many, too long or malformed");
            continue;
        }
        left -= 1;
        bytes -= size;
        to.push((name.clone(), value.clone()));
    }
}
