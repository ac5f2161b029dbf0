//! The headers that pass a route, in both directions.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, OriginalUri};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use url::Url;

use crate::config::fields;

/// The fields that `Connection` says are for this hop alone. A client cannot nominate away what it is authenticated or
/// checked by: all of that happens before, and on the fields as they came.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let options = headers.get_all(header::CONNECTION).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    options.filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok()).collect()
}

/// What the server of a route is to see of a request.
pub(super) fn of_request(
    head: &Parts,
    own: &[(HeaderName, HeaderValue)],
    route: &str,
    public: Option<&Url>,
) -> HeaderMap {
    let nominated = nominated(&head.headers);
    let mut headers = HeaderMap::with_capacity(head.headers.len() + own.len() + 6);
    for (name, value) in &head.headers {
        if fields::may_pass(name) && !nominated.contains(name) {
            headers.append(name, value.clone());
        }
    }
    add_forwarded(&mut headers, head, route, public);
    for (name, value) in own {
        headers.insert(name, value.clone());
    }
    headers
}

/// What the client is to see of an answer.
pub(super) fn of_response(headers: &mut HeaderMap) {
    for name in nominated(headers) {
        headers.remove(name);
    }
    let hop: Vec<_> = headers.keys().filter(|name| fields::is_hop(name)).cloned().collect();
    for name in hop {
        headers.remove(name);
    }
}

/// Who asked for what, for the server (RFC 7239, and the older fields that more servers read).
fn add_forwarded(headers: &mut HeaderMap, head: &Parts, route: &str, public: Option<&Url>) {
    let client = head.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_public = |url: &&Url| url.host_str().is_some_and(|name| without_port(host).eq_ignore_ascii_case(name));
    let proto = public.filter(is_public).map_or("http", Url::scheme);

    let by = match client {
        Some(IpAddr::V6(address)) => format!("\"[{address}]\""),
        Some(IpAddr::V4(address)) => address.to_string(),
        None => "unknown".to_owned(),
    };
    let mut set = |name: &'static str, value: &str| {
        // A host has been read as one by the guard; what is no value all the same is left out.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("forwarded", &format!("for={by};host=\"{host}\";proto={proto}"));
    if let Some(client) = client {
        set("x-forwarded-for", &client.to_string());
    }
    set("x-forwarded-host", host);
    set("x-forwarded-proto", proto);
    set("x-forwarded-prefix", &public_path(head, route));
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The path of a route as clients see it: where the application is nested in another one, the route's is a part of it.
pub(super) fn public_path(head: &Parts, route: &str) -> String {
    let whole = head.extensions.get::<OriginalUri>().map_or("", |uri| uri.0.path());
    let prefix = whole.strip_suffix(head.uri.path()).unwrap_or_default();
    format!("{prefix}{route}")
}
