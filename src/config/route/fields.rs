//! Which header fields pass a route, and which a route may set.

use http::HeaderName;

/// Fields of one connection (RFC 9110, section 7.6.1), with those that are only ever meant so.
const HOP: [&str; 8] =
    ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "expect"];

/// What proves to us who calls.
const CREDENTIALS: [&str; 2] = ["authorization", "x-api-key"];

/// What is written anew for the server, and what some servers take for the method, the address or the client, whatever the
/// request itself says.
const OURS: [&str; 12] = [
    "host",
    "content-length",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// Whether a field belongs to one connection.
pub(crate) fn is_hop(name: &HeaderName) -> bool {
    HOP.contains(&name.as_str()) || name.as_str().starts_with("proxy-")
}

/// Whether a field of a client reaches the server of a route.
pub(crate) fn may_pass(name: &HeaderName) -> bool {
    may_set(name) && !CREDENTIALS.contains(&name.as_str())
}

/// Whether a route may set a field.
pub(crate) fn may_set(name: &HeaderName) -> bool {
    !is_hop(name) && !OURS.contains(&name.as_str()) && !name.as_str().starts_with("x-forwarded-")
}
