//! Which headers of a client may reach a server.

use http::{HeaderMap, HeaderName, header};

/// Headers that prove who the caller is to the gateway and to nobody else, or belong to the connection or the message.
const NEVER: [&str; 21] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether an operator may let a header of clients pass to a server. Credentials, session ids, what frames a message and
/// what belongs to one connection never do, and the protocol's own headers are written anew for every hop.
#[must_use]
pub fn may_forward(name: &HeaderName) -> bool {
    !NEVER.contains(&name.as_str()) && !name.as_str().starts_with("mcp-")
}

/// Headers that differ from request to request of the same sender.
const OF_A_REQUEST: [&str; 8] =
    ["b3", "baggage", "idempotency-key", "request-id", "traceparent", "tracestate", "x-correlation-id", "x-request-id"];

/// Whether a header names one request, and says nothing about who sends it: those of W3C Trace Context and Baggage, of B3,
/// and what is in common use beside them.
#[must_use]
pub fn names_a_request(name: &HeaderName) -> bool {
    OF_A_REQUEST.contains(&name.as_str()) || name.as_str().starts_with("x-b3-")
}

/// Whether `Connection` says that a header is for this hop alone (RFC 9110, section 7.6.1).
#[must_use]
pub fn is_nominated(headers: &HeaderMap, name: &HeaderName) -> bool {
    let mut options =
        headers.get_all(header::CONNECTION).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}
