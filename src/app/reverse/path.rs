//! From the path of a request to the address at the server, and back.
//!
//! Invariant: whatever a client writes, the address stays under the one that the route was given. What could be read in two
//! ways (`..` in any spelling, encoded slashes, backslashes, overlong characters) is refused rather than made sense of, because the server may
//! make another sense of it than we do.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use url::Url;

/// How often a path is decoded in search of tricks. What is still encoded then is refused.
const LAYERS: usize = 3;

/// A path that is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadPath;

/// The address at the server: `base`, and below it `rest`, which is empty or begins with a slash.
pub(super) fn address(base: &Url, rest: &str, query: Option<&str>) -> Result<Url, BadPath> {
    check(rest)?;
    let mut url = base.clone();
    if !rest.is_empty() {
        url.set_path(&format!("{}{rest}", root(base)));
    }
    url.set_query(query);
    // The crate that reads URLs has opinions of its own on dots and slashes. Nothing that passed the check gives it cause
    // for one; this is what must hold even so.
    if url.origin() == base.origin() && below(&url, base).is_some() { Ok(url) } else { Err(BadPath) }
}

/// Where a redirect of the server leads for the client: `None` where it is to stay as it is, because it leads elsewhere or
/// is relative to where the client already is.
pub(super) fn location(given: &str, sent: &Url, base: &Url, public: &str) -> Option<String> {
    let is_relative = !given.starts_with('/') && Url::parse(given).is_err();
    let target = sent.join(given).ok()?;
    if is_relative || target.origin() != base.origin() {
        return None;
    }
    let mut rewritten = format!("{public}{}", below(&target, base)?);
    for (mark, part) in [('?', target.query()), ('#', target.fragment())] {
        if let Some(part) = part {
            rewritten.push(mark);
            rewritten.push_str(part);
        }
    }
    Some(rewritten)
}

/// The path of a base without its last slash.
fn root(base: &Url) -> &str {
    base.path().trim_end_matches('/')
}

/// What of a path lies below that of the base.
fn below<'a>(url: &'a Url, base: &Url) -> Option<&'a str> {
    let rest = url.path().strip_prefix(root(base))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn check(rest: &str) -> Result<(), BadPath> {
    let slashes = count(rest.as_bytes());
    let mut text = Cow::Borrowed(rest.as_bytes());
    for _ in 0..LAYERS {
        // Decoding must not bring forth a separator, nor anything that ends a path or a header.
        if count(&text) != slashes || text.iter().any(|b| *b == b'\\' || b.is_ascii_control()) {
            return Err(BadPath);
        }
        // Some servers cut parameters (`;x`) off a segment before they look at its dots.
        let dots = |segment: &[u8]| {
            let name = segment.split(|b| *b == b';').next().unwrap_or_default();
            matches!(name, b"." | b"..")
        };
        if text.split(|b| *b == b'/').any(dots) || text.windows(2).any(is_overlong) {
            return Err(BadPath);
        }
        // Borrowed where there was nothing to decode.
        match Cow::from(percent_decode(&text)) {
            Cow::Borrowed(_) => return Ok(()),
            Cow::Owned(next) => text = Cow::Owned(next),
        }
    }
    Err(BadPath)
}

/// Whether these bytes begin a character that is written with more bytes than it needs (RFC 3629, section 10). Lenient
/// decoders make a dot or a slash of such.
fn is_overlong(bytes: &[u8]) -> bool {
    matches!(bytes, [0xC0 | 0xC1, 0x80..=0xBF] | [0xE0, 0x80..=0x9F] | [0xF0, 0x80..=0x8F])
}

fn count(text: &[u8]) -> usize {
    text.iter().filter(|b| **b == b'/').count()
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn base(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn what_is_below_a_route_goes_below_its_address() {
        let cases = [
            ("http://h/reports", "", "http://h/reports"),
            ("http://h/reports", "/", "http://h/reports/"),
            ("http://h/reports", "/a/b%20c", "http://h/reports/a/b%20c"),
            ("http://h/reports/", "", "http://h/reports/"),
            ("http://h/reports/", "/a", "http://h/reports/a"),
            ("http://h", "", "http://h/"),
            ("http://h", "/a", "http://h/a"),
            ("http://h/r", "/a..b/...;v=1/100%25", "http://h/r/a..b/...;v=1/100%25"),
            ("http://h/r", "//a", "http://h/r//a"),
            ("http://h/r", "/gr%C3%BC%C3%9Fe", "http://h/r/gr%C3%BC%C3%9Fe"),
            ("http://h/r", "/gr%FC%DFe/%E0%A4%95", "http://h/r/gr%FC%DFe/%E0%A4%95"),
        ];
        for (route, rest, expected) in cases {
            assert_eq!(address(&base(route), rest, None).map(String::from), Ok(expected.to_owned()), "{route} {rest}");
        }
        let url = address(&base("http://h/r"), "/a", Some("x=..%2f&y=\\")).unwrap();
        assert_eq!(url.as_str(), "http://h/r/a?x=..%2f&y=\\");
    }

    #[test]
    fn sec_057_no_path_leaves_its_route() {
        let games = [
            "/..",
            "/../admin",
            "/a/../../admin",
            "/.",
            "/./a",
            "/%2e%2e/admin",
            "/%2E%2e/admin",
            "/.%2e/admin",
            "/%252e%252e/admin",
            "/%25252e%25252e/admin",
            "/..%2fadmin",
            "/a%2fb",
            "/a%2Fb",
            "/a%252fb",
            "/..;/admin",
            "/..;x=1/admin",
            "/%2e%2e;/admin",
            "/\\..\\admin",
            "/a\\b",
            "/%5c..%5cadmin",
            "/a%00",
            "/a%0d%0aX:1",
            "/%25%32%65%25%32%65/admin",
            "/%c0%ae%c0%ae/admin",
            "/%25c0%25ae/admin",
            "/%e0%80%af",
            "/%f0%80%80%af",
        ];
        for game in games {
            assert_eq!(address(&base("http://h/reports"), game, None), Err(BadPath), "{game}");
            assert_eq!(address(&base("http://h"), game, None), Err(BadPath), "{game}");
        }
    }

    #[test]
    fn redirects_lead_back_through_the_route() {
        let base = base("http://10.0.0.1:9000/reports");
        let sent = Url::parse("http://10.0.0.1:9000/reports/2026/").unwrap();
        let cases = [
            ("http://10.0.0.1:9000/reports/login?next=%2F#top", Some("/gw/r/login?next=%2F#top")),
            ("/reports", Some("/gw/r")),
            ("/reports/", Some("/gw/r/")),
            ("//10.0.0.1:9000/reports/a", Some("/gw/r/a")),
            ("/reportsx", None),
            ("/elsewhere", None),
            ("https://10.0.0.1:9000/reports", None),
            ("https://login.example/", None),
            ("index.html", None),
            ("?page=2", None),
            ("http://", None),
        ];
        for (given, expected) in cases {
            assert_eq!(location(given, &sent, &base, "/gw/r").as_deref(), expected, "{given}");
        }
    }

    proptest! {
        /// Whatever is sent, the address begins as the route's does, and a server that decodes once sees no dots.
        #[test]
        fn sec_081_every_address_stays_under_its_route(
            rest in "(/([a-z.;%/\\\\ ]|%2e|%2f|%5c|%25|\\.\\.){0,12}){1,3}",
        ) {
            if let Ok(url) = address(&base("http://h/reports/v1"), &rest, None) {
                prop_assert!(url.as_str() == "http://h/reports/v1" || url.as_str().starts_with("http://h/reports/v1/"));
                let seen: Vec<u8> = percent_decode_str(url.path()).collect();
                prop_assert!(!seen.split(|b| *b == b'/' || *b == b'\\').any(|s| s == b".." || s == b"."));
            }
        }
    }
}
