//! The body of a call: the arguments, as a JSON object.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, header};
use tokio::time::Instant;

use crate::{
    app::problem::{Kind, Problem},
    downstream::{BodyError, Settings, read_body},
    jsonrpc::{Raw, RawObject, scan::ScanLimits},
};

use super::faults;

/// Reads the arguments. No body at all is an empty object; anything else is checked as strictly as an MCP message, and kept
/// as it came.
///
/// # Errors
/// What is wrong with it.
pub(super) async fn arguments(settings: &Settings, headers: &HeaderMap, body: Body) -> Result<Raw, Problem> {
    let is_json = declares_json(headers)?;
    let deadline = Instant::now() + settings.limits.body_time;
    let text = read_body(body, settings.limits.body, deadline).await.map_err(|error| unread(&error))?;
    if text.is_empty() {
        return Ok(RawObject::new().to_raw());
    }
    if !is_json {
        return Err(unsupported());
    }
    let value = Raw::scan(text, ScanLimits::REQUEST)
        .map_err(|error| Problem::new(Kind::MalformedJson, format!("the body is refused: {error}")))?;
    match value.to_object() {
        Some(_) => Ok(value),
        None => Err(faults::invalid_arguments([("", "the arguments must be a JSON object")])),
    }
}

/// Whether the body is declared to be JSON; not saying anything is fine while there is none.
fn declares_json(headers: &HeaderMap) -> Result<bool, Problem> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(unsupported());
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(first) = types.next() else { return Ok(false) };
    let mut parts = first.to_str().unwrap_or_default().split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    // JSON is UTF-8 (RFC 8259, section 8.1), whatever somebody says.
    let is_utf8 = parts.all(|p| match p.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    match is_json && is_utf8 && types.next().is_none() {
        true => Ok(true),
        false => Err(unsupported()),
    }
}

fn unsupported() -> Problem {
    let words = "send the arguments as `Content-Type: application/json`, in UTF-8 and without `Content-Encoding`";
    Problem::new(Kind::UnsupportedMediaType, words)
}

fn unread(error: &BodyError) -> Problem {
    let kind = match error {
        BodyError::TooLarge { .. } => Kind::TooLarge,
        BodyError::TooSlow => Kind::RequestTimeout,
        BodyError::Broken(_) => Kind::InvalidRequest,
    };
    // What is left of the body would be read as the next request.
    Problem::new(kind, error.to_string()).header(header::CONNECTION, HeaderValue::from_static("close"))
}
