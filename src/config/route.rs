//! `rialto.routes`: plain HTTP routes to servers elsewhere.

pub(crate) mod fields;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::fault::Key;
use super::name::suggest;
use super::reader::Reader;
use super::server::read_headers;
use super::settings::read_duration;
use super::size;
use super::tree::{Entry, Node, Value};

const KEYS: [&str; 4] = ["url", "headers", "timeout", "body_limit"];

/// The longest path of a route, in bytes.
const LONGEST: usize = 200;

/// What Rialto serves itself, with everything below. Its page at `/` has nothing below it.
const OWN: [&str; 10] = [
    "/mcp",
    "/api/mounts",
    "/docs",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/metrics",
    "/assets",
    "/favicon.ico",
    "/.well-known",
];

/// One entry of `rialto.routes`. Its debug form shows no values that may be secret.
#[derive(Clone)]
pub struct Route {
    /// Where it is.
    pub path: RoutePath,
    /// Where it leads: `http` or `https`, with a host and without a user, a query or a fragment.
    pub url: Url,
    /// Sent with every request. The values are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long the server may take to begin its answer, where the file says so.
    pub timeout: Option<Duration>,
    /// The largest body of a request in bytes, where the file says so.
    pub body_limit: Option<u64>,
}

/// The path of a route, such as `/reports`: everything below it belongs to the route as well. It overlaps with nothing that
/// Rialto serves itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoutePath(String);

/// A text is not a [`RoutePath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {hint}")]
pub struct NotARoutePath {
    what: String,
    hint: &'static str,
}

// === impl RoutePath ===

impl RoutePath {
    /// The path: it begins with a slash and ends without one.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RoutePath {
    type Err = NotARoutePath;

    fn from_str(text: &str) -> Result<Self, NotARoutePath> {
        let fail = |what: &str, hint| Err(NotARoutePath { what: what.to_owned(), hint });
        let Some(rest) = text.strip_prefix('/') else {
            return fail("does not begin with `/`", "write the path as `/reports`");
        };
        if rest.is_empty() {
            return fail("`/` is a page of Rialto's own", "choose a path below it, such as `/reports`");
        }
        if rest.ends_with('/') {
            return fail("ends with `/`", "leave the slash out; the route is found with and without it");
        }
        if text.len() > LONGEST {
            return fail("longer than 200 characters", "shorten it");
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        if !rest.bytes().all(is_plain) {
            return fail(
                "has characters that the path of a route cannot have",
                "use letters, digits, `-`, `_`, `.` and `~` between the slashes",
            );
        }
        if rest.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return fail("has a segment that is empty, `.` or `..`", "write the path out");
        }
        let is_below = |path: &str, other: &str| path.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'));
        let clash = OWN.iter().find(|own| **own == text || is_below(text, own) || is_below(own, text));
        if let Some(own) = clash {
            let what = format!("overlaps with `{own}`, a path of Rialto's own");
            return Err(NotARoutePath { what, hint: "choose another path" });
        }
        Ok(Self(text.to_owned()))
    }
}

/// Reads the address that a route leads to. The error is what is wrong, and what to do about it.
pub(crate) fn route_url(text: &str) -> Result<Url, (String, &'static str)> {
    const HINT: &str = "write the whole address, such as `http://127.0.0.1:9000/reports`";
    let url = Url::parse(text).map_err(|error| (format!("not a URL: {error}"), HINT))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(("not an `http` or `https` URL".to_owned(), HINT));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let what = "a user or password in a URL is not sent";
        return Err((what.to_owned(), "put an `Authorization` header into `headers`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        let what = "a query or a fragment cannot be part of it";
        return Err((what.to_owned(), "end it with the path; queries of clients are passed on"));
    }
    Ok(url)
}

/// Reads all routes.
pub(super) fn read_routes(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Vec<Route> {
    let mut routes = Vec::new();
    for entry in reader.map(node, key).unwrap_or_default() {
        let key = key.child(&entry.key);
        let path = match entry.key.parse::<RoutePath>() {
            Ok(path) => Some(path),
            Err(error) => {
                reader.fault(entry.at, &key, error.what).hint(error.hint);
                None
            }
        };
        let route = match &entry.node.value {
            Value::Text(_) => read_url(reader, &entry.node, &key).map(Target::new),
            Value::Map(_) => read_target(reader, entry, &key),
            _ => {
                let what = format!("must be a URL or a map, but is {}", entry.node.kind());
                reader.fault(entry.node.at, &key, what).hint("write `\"/reports\": \"http://127.0.0.1:9000/reports\"`");
                None
            }
        };
        if let (Some(path), Some(Target { url, headers, timeout, body_limit })) = (path, route) {
            routes.push(Route { path, url, headers, timeout, body_limit });
        }
    }
    routes
}

/// A route without its path.
struct Target {
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Option<Duration>,
    body_limit: Option<u64>,
}

impl Target {
    fn new(url: Url) -> Self {
        Self { url, headers: Vec::new(), timeout: None, body_limit: None }
    }
}

fn read_target(reader: &mut Reader<'_>, entry: &Entry, key: &Key) -> Option<Target> {
    let (mut url, mut headers, mut timeout, mut body_limit) = (None, Some(Vec::new()), None, None);
    for field in reader.map(&entry.node, key)? {
        let key = key.child(&field.key);
        match field.key.as_str() {
            "url" => url = read_url(reader, &field.node, &key),
            "headers" => headers = read_headers(reader, &field.node, &key, fields::may_set),
            "timeout" => timeout = read_duration(reader, &field.node, &key),
            "body_limit" => body_limit = read_size(reader, &field.node, &key),
            _ => {
                reader.fault(field.at, &key, "unknown key").hint(suggest(&field.key, &KEYS));
            }
        }
    }
    if entry.node.get("url").is_none() {
        reader.fault(entry.at, key, "`url` is missing").hint("add `url`, the address that the route leads to");
    }
    Some(Target { url: url?, headers: headers?, timeout, body_limit })
}

fn read_url(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Url> {
    let text = reader.text(node, key)?;
    match route_url(&text.value) {
        Ok(url) => Some(url),
        Err((what, hint)) => {
            reader.fault(node.at, key, what).hint(hint);
            None
        }
    }
}

fn read_size(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<u64> {
    let text = reader.text(node, key)?;
    let size = size::parse(&text.value);
    if size.is_none() {
        reader
            .fault(node.at, key, "not a size")
            .hint("write a whole number with its unit, such as `512KiB`, `64MiB` or `1GiB`");
    }
    size
}

// === impl Route ===

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Route")
            .field("path", &self.path.as_str())
            .field("url", &self.url.as_str())
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .field("body_limit", &self.body_limit)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_plain_and_nobody_elses() {
        for path in ["/reports", "/api/reports", "/a.b/c~d/e_f", "/mcpx", "/api", "/Docs2"] {
            let parsed = path.parse::<RoutePath>();
            // `/api` has `/api/mounts` below it.
            assert_eq!(parsed.is_ok(), path != "/api", "{path}: {parsed:?}");
        }
        for path in [
            "",
            "/",
            "reports",
            "/reports/",
            "//a",
            "/a//b",
            "/a/../b",
            "/./a",
            "/a%2fb",
            "/a\\b",
            "/a?b",
            "/{a}",
            "/a b",
            "/grüße",
            "/mcp",
            "/mcp/docs",
            "/docs",
            "/docs/x",
            "/metrics",
            "/.well-known/x",
            "/assets",
            "/healthz",
        ] {
            assert!(path.parse::<RoutePath>().is_err(), "{path}");
        }
        assert!(format!("/{}", "a".repeat(200)).parse::<RoutePath>().is_err());
    }
}
