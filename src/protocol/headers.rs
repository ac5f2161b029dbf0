//! The headers that mirror a modern request's body (2026-07-28, basic/transports#standard-mcp-request-headers).
//!
//! The body is the truth, the headers are what proxies route by. Downstream they are checked against the body, upstream
//! they are computed from it; nothing is ever decided from a header alone.

use http::HeaderName;

mod annotations;
mod encoding;
mod forward;
mod mismatch;
mod standard;
mod tool;

pub use annotations::{InvalidAnnotation, may_annotate, repair};
pub use encoding::{Malformed, decode_value, encode_value, header_value};
pub use forward::{is_nominated, may_forward, names_a_request};
pub use mismatch::Mismatch;
pub use standard::{check_standard, standard};
pub use tool::ToolHeaders;

/// The revision of a request, both eras.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The method of a modern request.
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// The tool, prompt, resource or task of a modern request.
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// The session of a legacy request.
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// What the name of every header begins with that mirrors an argument of a tool, in lower case.
pub const PARAM_PREFIX: &str = "mcp-param-";

#[cfg(test)]
mod tests;
