//! What the guard lets in: pure decisions on a request head.

use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, CONTENT_TYPE, EXPECT, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use url::Url;

use crate::config::{Authority, HostName};

/// Bytes of path and query. Nothing that Rialto serves comes near it.
const LONGEST_URL: usize = 8 * 1024;

/// Who may be addressed, and by whom, at one listener.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// How people allow a host and say where the application is published.
    pub(super) settings: Settings,
    loopback: bool,
    /// The one address that is listened on, outside loopback.
    own: Option<IpAddr>,
    hosts: Vec<HostName>,
    public: Option<PublicOrigin>,
}

#[derive(Clone, Debug)]
struct PublicOrigin {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// How an application is told which hosts are its own: what a person has to do about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settings {
    /// By a config file.
    File,
    /// By a Rust program.
    Program,
}

/// Why a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    UrlTooLong,
    Repeated(&'static str),
    NotAscii(&'static str),
    HostMissing,
    HostMalformed,
    HostAmbiguous,
    HostNotAllowed,
    OriginNotAllowed,
    UnknownExpectation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// The (scheme, host, port) that an `Origin` stands for, its default port spelled out (RFC 6454,
/// section 4).
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    scheme: Scheme,
    host: &'a str,
    port: u16,
}

// === impl Rules ===

impl Rules {
    pub(super) fn new(listener: SocketAddr, hosts: &[HostName], public_url: Option<&Url>) -> Self {
        let ip = listener.ip().to_canonical();
        Self {
            settings: Settings::File,
            loopback: ip.is_loopback(),
            own: (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip),
            hosts: hosts.to_vec(),
            public: public_url.and_then(PublicOrigin::of),
        }
    }

    /// Decides on a request head. The order is part of the contract: the Host's framing and name
    /// come before the Origin, which is only meaningful once the Host is known to be ours.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        if uri.path_and_query().is_some_and(|target| target.as_str().len() > LONGEST_URL) {
            return Err(Refusal::UrlTooLong);
        }
        // The map knows how many fields it has and how many names; only if they differ is anything
        // there twice.
        if headers.len() != headers.keys_len() {
            only_once(headers)?;
        }
        ascii(headers.get(AUTHORIZATION), "authorization")?;
        ascii(headers.get(CONTENT_TYPE), "content-type")?;

        let host = headers.get(HOST).ok_or(Refusal::HostMissing)?;
        let host = host.to_str().map_err(|_| Refusal::HostMalformed)?;
        // RFC 9112, section 3.2.2: in absolute form the target's authority is the one that counts,
        // and Host must repeat it.
        if uri.authority().is_some_and(|target| !target.as_str().eq_ignore_ascii_case(host)) {
            return Err(Refusal::HostAmbiguous);
        }
        let host = Authority::parse(host).ok_or(Refusal::HostMalformed)?;
        if !self.allows_host(host) {
            return Err(Refusal::HostNotAllowed);
        }

        match headers.get(ORIGIN) {
            None => {}
            Some(origin) if self.allows_origin(origin, host) => {}
            Some(_) => return Err(Refusal::OriginNotAllowed),
        }
        // There is one expectation (RFC 9110, section 10.1.1), and it is met by reading the body.
        match headers.get(EXPECT) {
            Some(expected) if !expected.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
                Err(Refusal::UnknownExpectation)
            }
            _ => Ok(()),
        }
    }

    /// Whether the page asking is one that was loaded from here. Assumes a request that passed
    /// [`check`](Self::check).
    pub(super) fn is_same_origin(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        match (host.and_then(Authority::parse), origin.and_then(Origin::parse)) {
            (Some(host), Some(origin)) => self.is_public(origin) || self.is_own(origin, host),
            _ => false,
        }
    }

    fn allows_host(&self, host: Authority<'_>) -> bool {
        (self.loopback && is_loopback_name(host.host))
            || self.hosts.iter().any(|allowed| allowed.matches(host))
            || self.public.as_ref().is_some_and(|public| public.is_host(host.host))
            || self.is_own_address(host.host)
    }

    /// Whether the host is the address that is listened on, where there is one alone. No page can rebind an address.
    fn is_own_address(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        self.own.is_some_and(|own| bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == own))
    }

    fn allows_origin(&self, origin: &HeaderValue, host: Authority<'_>) -> bool {
        let Some(origin) = origin.to_str().ok().and_then(Origin::parse) else {
            return false;
        };
        self.is_public(origin) || (self.loopback && is_loopback_name(origin.host)) || self.is_own(origin, host)
    }

    fn is_public(&self, origin: Origin<'_>) -> bool {
        self.public.as_ref().is_some_and(|public| {
            public.scheme == origin.scheme && public.port == origin.port && public.is_host(origin.host)
        })
    }

    /// Whether the Origin is this listener, which speaks plain HTTP, under the name that the
    /// request used. Under the name of `public_url` only its own scheme and port count: a page from
    /// `http://` must not reach what is published as `https://`.
    fn is_own(&self, origin: Origin<'_>, host: Authority<'_>) -> bool {
        origin.scheme == Scheme::Http
            && origin.port == host.port.unwrap_or(80)
            && origin.host.eq_ignore_ascii_case(host.host)
            && !self.public.as_ref().is_some_and(|public| public.is_host(host.host))
    }
}

fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]"
}

/// Refuses two of a field that decides who is asking, for what, or how the body is read: two
/// readers would pick differently. The fields of MCP are left to its handlers, whose answer for
/// this is a JSON-RPC error.
fn only_once(headers: &HeaderMap) -> Result<(), Refusal> {
    let singletons =
        [(HOST, "host"), (ORIGIN, "origin"), (AUTHORIZATION, "authorization"), (CONTENT_TYPE, "content-type")];
    for (field, name) in singletons {
        if headers.get_all(field).iter().nth(1).is_some() {
            return Err(Refusal::Repeated(name));
        }
    }
    Ok(())
}

fn ascii(value: Option<&HeaderValue>, name: &'static str) -> Result<(), Refusal> {
    match value {
        Some(value) if !value.as_bytes().is_ascii() => Err(Refusal::NotAscii(name)),
        _ => Ok(()),
    }
}

// === impl Settings ===

impl Settings {
    fn hosts(self) -> &'static str {
        match self {
            Self::File => "the setting `rialto.hosts`",
            Self::Program => "`.hosts(…)`",
        }
    }

    fn public_url(self) -> &'static str {
        match self {
            Self::File => "the setting `rialto.public_url`",
            Self::Program => "`.public_url(…)`",
        }
    }
}

// === impl PublicOrigin ===

impl PublicOrigin {
    fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: Scheme::parse(url.scheme())?,
            host: url.host_str()?.to_ascii_lowercase(),
            port: url.port_or_known_default()?,
        })
    }

    fn is_host(&self, host: &str) -> bool {
        self.host.eq_ignore_ascii_case(host)
    }
}

// === impl Origin ===

impl<'a> Origin<'a> {
    /// Reads `scheme "://" host [":" port]` and nothing else: no path, no user, not `null`.
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = Scheme::parse(scheme)?;
        let authority = Authority::parse(rest)?;
        Some(Self {
            scheme,
            host: authority.host,
            port: authority.port.unwrap_or(match scheme {
                Scheme::Http => 80,
                Scheme::Https => 443,
            }),
        })
    }
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::UrlTooLong => StatusCode::URI_TOO_LONG,
            Self::HostNotAllowed | Self::OriginNotAllowed => StatusCode::FORBIDDEN,
            Self::UnknownExpectation => StatusCode::EXPECTATION_FAILED,
            Self::Repeated(_) | Self::NotAscii(_) | Self::HostMissing | Self::HostMalformed | Self::HostAmbiguous => {
                StatusCode::BAD_REQUEST
            }
        }
    }

    /// What the client is told. It never repeats what the client sent.
    pub(super) fn message(self, settings: Settings) -> String {
        match self {
            Self::UrlTooLong => format!("the URL is longer than {LONGEST_URL} bytes"),
            Self::Repeated(name) => format!("more than one `{name}` header"),
            Self::NotAscii(name) => format!("the `{name}` header is not ASCII"),
            Self::HostMissing => "no `host` header".to_owned(),
            Self::HostMalformed => "the `host` header is not a host with an optional port".to_owned(),
            Self::HostAmbiguous => "the `host` header differs from the host in the URL".to_owned(),
            Self::HostNotAllowed => {
                format!("this host is not served here; hosts are allowed with {}", settings.hosts())
            }
            Self::OriginNotAllowed => "this origin is not allowed".to_owned(),
            Self::UnknownExpectation => "only `100-continue` can be expected".to_owned(),
        }
    }

    /// Whether it is the credentials that are not in order.
    pub(super) fn is_of_credentials(self) -> bool {
        matches!(self, Self::Repeated(name) | Self::NotAscii(name) if name == AUTHORIZATION)
    }

    /// Tells the operator. What a person can mend by configuration is a warning, the rest is the
    /// client's affair.
    pub(super) fn log(self, headers: &HeaderMap, settings: Settings) {
        match self {
            Self::HostNotAllowed => tracing::warn!(
                host = %shown(headers, &HOST),
                "refused a request for a host that is not ours; if it is, allow it with {}",
                settings.hosts(),
            ),
            Self::OriginNotAllowed => tracing::warn!(
                origin = %shown(headers, &ORIGIN),
                host = %shown(headers, &HOST),
                "refused a request from a foreign web page; if it is this gateway's own address, set it with {}",
                settings.public_url(),
            ),
            other => tracing::debug!("refused a request: {}", other.message(settings)),
        }
    }
}

/// A header as a log may show it: short, and with everything unprintable escaped.
fn shown(headers: &HeaderMap, name: &HeaderName) -> String {
    const MOST: usize = 120;
    let bytes = headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
    bytes[..bytes.len().min(MOST)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(rules: &Rules, host: &str, origin: Option<&[u8]>) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_bytes(origin).unwrap());
        }
        rules.check(&Uri::from_static("/mcp/docs"), &headers)
    }

    /// A listener that is not on loopback, published as `https://gw.example`.
    fn published() -> Rules {
        let url = Url::parse("https://gw.example").unwrap();
        Rules::new(([192, 0, 2, 1], 443).into(), &[], Some(&url))
    }

    #[test]
    fn loopback_names_are_ours_only_on_loopback() {
        for host in ["localhost", "127.0.0.1", "[::1]:80", "0.0.0.0", "192.0.2.2"] {
            assert_eq!(check(&published(), host, None), Err(Refusal::HostNotAllowed));
        }
        let origin = Some(&b"http://localhost"[..]);
        assert_eq!(check(&published(), "gw.example", origin), Err(Refusal::OriginNotAllowed));
    }

    #[test]
    fn sec_009_an_address_is_ours_where_it_is_the_only_one() {
        let own = Rules::new(([192, 0, 2, 1], 8000).into(), &[], None);
        assert_eq!(check(&own, "192.0.2.1:8000", Some(b"http://192.0.2.1:8000")), Ok(()));
        assert_eq!(check(&own, "[::ffff:192.0.2.1]", None), Ok(()));
        let everywhere = Rules::new(([0, 0, 0, 0], 8000).into(), &[], None);
        for host in ["0.0.0.0:8000", "[::]:8000", "192.0.2.1:8000", "127.0.0.1:8000"] {
            assert_eq!(check(&everywhere, host, None), Err(Refusal::HostNotAllowed), "{host}");
        }
        let loopback = Rules::new(([127, 0, 0, 1], 8000).into(), &[], None);
        assert_eq!(check(&loopback, "192.0.2.1:8000", None), Err(Refusal::HostNotAllowed));
    }

    #[test]
    fn a_configured_port_is_the_only_one() {
        let hosts = ["gw.example:8443", "proxied.example:443"].map(|host| host.parse().unwrap());
        let rules = Rules::new(([192, 0, 2, 1], 80).into(), &hosts, None);
        let cases = [
            ("gw.example:8443", true),
            ("gw.example", false),
            ("gw.example:443", false),
            ("proxied.example", true),
            ("proxied.example:443", true),
            ("proxied.example:80", false),
        ];
        for (host, is_allowed) in cases {
            assert_eq!(check(&rules, host, None).is_ok(), is_allowed, "{host}");
        }
    }

    proptest! {
        /// Whatever is written around or instead of the one good origin, nothing but that origin
        /// passes.
        #[test]
        fn sec_003_no_other_origin_passes(
            before in "[a-z.:/@]{0,8}",
            middle in prop_oneof![Just("https://gw.example"), Just("gw.example"), Just("https://GW.EXAMPLE")],
            after in "[ -~\\x80-\\xff]{0,8}",
        ) {
            let origin = format!("{before}{middle}{after}");
            let is_good = matches!(
                origin.to_ascii_lowercase().as_str(),
                "https://gw.example" | "https://gw.example:443"
            ) && origin.starts_with("https://");
            let is_port = origin.to_ascii_lowercase().strip_prefix("https://gw.example:")
                .is_some_and(|port| port.trim_start_matches('0') == "443");
            if let Ok(value) = HeaderValue::from_bytes(origin.as_bytes()) {
                let checked = check(&published(), "gw.example", Some(value.as_bytes()));
                prop_assert_eq!(checked.is_ok(), is_good || is_port, "{}", origin);
            }
        }

        #[test]
        fn no_head_panics(host in prop::collection::vec(any::<u8>(), 0..40), origin in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut headers = HeaderMap::new();
            for (name, bytes) in [(HOST, host), (ORIGIN, origin)] {
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    headers.insert(name, value);
                }
            }
            if let Err(refusal) = published().check(&Uri::from_static("/"), &headers) {
                refusal.log(&headers, Settings::File);
            }
        }
    }
}
