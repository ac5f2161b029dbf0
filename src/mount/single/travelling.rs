//! The headers that a call takes along to a server over HTTP.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::{
    hub::{Call, Caller, Credentials},
    jsonrpc::RawObject,
    protocol::headers::PARAM_PREFIX,
    upstream::Session,
};

use super::super::catalog::Tool;

pub(super) type Header = (HeaderName, HeaderValue);

/// The headers of one request: the arguments that the server wants mirrored, computed here, and what goes on of the
/// client's.
pub(super) fn travelling(
    call: &Call,
    session: &Arc<dyn Session>,
    tool: Option<&Tool>,
    params: &RawObject,
) -> Vec<Header> {
    let mirrors = session.mirrors_headers();
    let mut headers = match tool {
        Some(tool) if mirrors && !tool.headers.is_empty() => {
            tool.headers.encode(&params.get_object("arguments").unwrap_or_default())
        }
        _ => Vec::new(),
    };
    let goes_on =
        |name: &HeaderName| !is_param(name) || mirrors && !tool.is_some_and(|tool| tool.headers.mirrors(name));
    headers.extend(call.headers.iter().filter(|(name, _)| goes_on(name)).cloned());
    headers
}

/// The client's headers that the operator lets pass, which the server may answer a list by.
pub(super) fn own_headers(call: &Call) -> Vec<Header> {
    call.headers.iter().filter(|(name, _)| !is_param(name)).cloned().collect()
}

/// Whether these headers of a call, as a layer of the operator's may have written them, are others than those that its
/// caller is known by.
pub(super) fn is_special(caller: &Caller, headers: &[Header]) -> bool {
    Credentials::of(headers) != caller.credentials
}

fn is_param(name: &HeaderName) -> bool {
    name.as_str().starts_with(PARAM_PREFIX)
}
