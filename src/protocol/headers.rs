//! The headers that mirror a modern request's body (2026-07-28, basic/transports#standard-mcp-request-headers).

/// The arguments of one tool that its callers mirror in headers, by `x-mcp-header` annotations of its input schema.
#[derive(Clone, Debug, Default)]
pub struct ToolHeaders;

/// The revision of a request.
pub const PROTOCOL_VERSION: http::HeaderName = http::HeaderName::from_static("mcp-protocol-version");
/// The legacy session.
pub const SESSION_ID: http::HeaderName = http::HeaderName::from_static("mcp-session-id");
