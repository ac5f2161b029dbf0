//! Entries with a URL.

use http::{HeaderName, HeaderValue};
use url::Url;

use super::unavailable;
use crate::config::Kind;
use crate::config::fault::Key;
use crate::config::reader::Reader;
use crate::config::tree::{Entry, Node};

/// Headers that belong to the protocol. Files of other clients do set some of them; what they set
/// is left out.
const OURS: [&str; 15] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn read_http(reader: &mut Reader<'_>, entry: &Entry, address: &Entry, key: &Key) -> Option<Kind> {
    let headers = match entry.node.get("headers") {
        Some(headers) => read_headers(reader, &headers.node, &key.child("headers"), may_set),
        None => Some(Vec::new()),
    };
    let url = read_url(reader, &address.node, &key.child(&address.key));
    match url? {
        url if matches!(url.scheme(), "ws" | "wss") => Some(unavailable("the WebSocket transport")),
        url => Some(Kind::Http { url, headers: headers? }),
    }
}

fn read_url(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Url> {
    const HINT: &str = "write the whole address, such as `https://docs.example/mcp`";
    let text = reader.text(node, key)?;
    let mut url = match Url::parse(&text.value) {
        Ok(url) => url,
        Err(error) => {
            reader.fault(node.at, key, format!("not a URL: {error}")).hint(HINT);
            return None;
        }
    };
    if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") || !url.has_host() {
        reader.fault(node.at, key, "not an `http` or `https` URL").hint(HINT);
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        reader
            .fault(node.at, key, "a user or password in a URL is not sent")
            .hint("put an `Authorization` header into `headers`");
        return None;
    }
    url.set_fragment(None);
    Some(url)
}

/// Whether a file may set a header of the requests to a server.
fn may_set(name: &HeaderName) -> bool {
    !OURS.contains(&name.as_str()) && !name.as_str().starts_with("mcp-param-")
}

/// Reads headers for the requests to a server. What `may_set` refuses is left out with a warning.
pub(in crate::config) fn read_headers(
    reader: &mut Reader<'_>,
    node: &Node,
    key: &Key,
    may_set: fn(&HeaderName) -> bool,
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    let faults = reader.faults().len();
    for field in reader.map(node, key)? {
        let key = key.child(&field.key);
        let Ok(name) = HeaderName::try_from(&field.key) else {
            reader
                .fault(field.at, &key, "not the name of a header")
                .hint("use letters, digits and `-`; references are not expanded in names");
            continue;
        };
        if headers.iter().any(|(other, _)| *other == name) {
            reader.fault(field.at, &key, "this header is there twice, in another case").hint("keep one of the two");
            continue;
        }
        let Some(text) = reader.text(&field.node, &key) else {
            continue;
        };
        let Ok(mut value) = HeaderValue::from_str(&text.value) else {
            reader
                .fault(field.node.at, &key, "its value has characters that a header cannot carry")
                .hint("printable ASCII only, and no line breaks");
            continue;
        };
        if !may_set(&name) {
            reader.warn(field.at, &key, "Rialto sets this header itself; this one is not sent");
            continue;
        }
        value.set_sensitive(true);
        headers.push((name, value));
    }
    (reader.faults().len() == faults).then_some(headers)
}
