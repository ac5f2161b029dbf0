//! The three headers that every modern request carries over HTTP.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    METHOD, Mismatch, NAME, PROTOCOL_VERSION,
    encoding::{decode_value, header_value, plain_text},
};

/// The standard headers of a request to a modern server; `name` is what `Mcp-Name` mirrors, where the method has it.
pub fn standard(
    method: &str,
    name: Option<&str>,
    version: &str,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
    let version = (PROTOCOL_VERSION, header_value(version));
    let method = (METHOD, header_value(method));
    [version, method].into_iter().chain(name.map(|name| (NAME, header_value(name))))
}

/// Checks the standard headers of a client's request against its body. `name` is the member of the params that the method
/// mirrors in `Mcp-Name`; for other methods it is `None` and the header is not looked at, since some clients send it
/// anyway. For `tasks/*` the header is checked only where it is present, since not every client sends it.
///
/// # Errors
/// The first header that is missing, repeated, malformed or different.
pub fn check_standard(headers: &HeaderMap, method: &str, name: Option<&str>, version: &str) -> Result<(), Mismatch> {
    literal(headers, &PROTOCOL_VERSION, version)?;
    literal(headers, &METHOD, method)?;
    let Some(name) = name else { return Ok(()) };
    match only(headers, &NAME)? {
        Some(value) => match decode_value(value.as_bytes()) {
            Ok(text) if text == name => Ok(()),
            Ok(_) => Err(Mismatch::Differs(NAME)),
            Err(_) => Err(Mismatch::Malformed(NAME)),
        },
        None if method.starts_with("tasks/") => Ok(()),
        None => Err(Mismatch::Missing(NAME)),
    }
}

/// The value of a header that may be there once.
pub(super) fn only<'h>(headers: &'h HeaderMap, header: &HeaderName) -> Result<Option<&'h HeaderValue>, Mismatch> {
    let mut values = headers.get_all(header).iter();
    let first = values.next();
    if values.next().is_some() { Err(Mismatch::Duplicate(header.clone())) } else { Ok(first) }
}

/// A header that is never encoded: another proxy on the way reads it as it stands.
fn literal(headers: &HeaderMap, header: &HeaderName, expected: &str) -> Result<(), Mismatch> {
    let value = only(headers, header)?.ok_or_else(|| Mismatch::Missing(header.clone()))?;
    match plain_text(value.as_bytes()) {
        Ok(text) if text == expected => Ok(()),
        Ok(_) => Err(Mismatch::Differs(header.clone())),
        Err(_) => Err(Mismatch::Malformed(header.clone())),
    }
}
