//! Reading what a caller shows: a pure function of the request head.

use std::borrow::Cow;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::AUTHORIZATION};
use url::form_urlencoded;

use super::key::{LONGEST_KEY, is_token};

/// The header of those who cannot set `Authorization`.
pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The headers that show who asks, as `Vary` names them: on them depends every answer, once there are keys.
pub(crate) const SHOWN_IN: HeaderValue = HeaderValue::from_static("authorization, x-api-key");

/// Browsers write base64 with its padding, people in scripts do not always.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    /// Nothing that counts here.
    Nothing,
    /// Something that may be a key.
    Key(Cow<'a, [u8]>),
    /// A name and password that nobody can read.
    Unreadable,
}

/// Credentials that are none, whatever the keys are (RFC 6750, section 3.1: `invalid_request`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// There is more than one.
    Several,
    /// There is nothing after `Bearer`, or in `X-Api-Key`.
    Empty,
    /// It has characters that no token has.
    Characters,
    /// It is longer than any key.
    Long,
}

/// Reads the credentials of a request. With `takes_password`, the password of HTTP Basic is one; otherwise that scheme is as
/// good as nothing, like any other that is not known.
///
/// A token in the query is never taken: addresses end up in logs, histories and referrers (RFC 6750, section 5.3).
pub(super) fn read<'a>(headers: &'a HeaderMap, uri: &Uri, takes_password: bool) -> Result<Shown<'a>, Malformed> {
    let authorization = only(headers, &AUTHORIZATION)?;
    let api_key = only(headers, &X_API_KEY)?;
    let (scheme, rest) = authorization.map_or((&b""[..], &b""[..]), split);
    let bearer = scheme.eq_ignore_ascii_case(b"bearer").then_some(rest);
    let token = match (bearer, api_key) {
        (Some(_), Some(_)) => return Err(Malformed::Several),
        (Some(token), None) | (None, Some(token)) => token,
        (None, None) if takes_password && scheme.eq_ignore_ascii_case(b"basic") => return Ok(password(rest)),
        (None, None) => return Ok(Shown::Nothing),
    };
    if has_token(uri) {
        return Err(Malformed::Several);
    }
    match token {
        [] => Err(Malformed::Empty),
        token if token.len() > LONGEST_KEY => Err(Malformed::Long),
        token if !is_token(token) => Err(Malformed::Characters),
        token => Ok(Shown::Key(Cow::Borrowed(token))),
    }
}

/// The one value of a header.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Malformed> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Malformed::Several),
        (value, None) => Ok(value),
    }
}

/// A scheme, and what follows it (RFC 9110, section 11.4).
fn split(value: &[u8]) -> (&[u8], &[u8]) {
    match value.iter().position(|b| *b == b' ') {
        Some(space) => (&value[..space], value[space..].trim_ascii()),
        None => (value, b""),
    }
}

/// The password of a user, whatever the name of the user (RFC 7617, section 2).
fn password(encoded: &[u8]) -> Shown<'static> {
    if encoded.len() > LONGEST_KEY {
        return Shown::Unreadable;
    }
    let Ok(decoded) = BASE64.decode(encoded) else { return Shown::Unreadable };
    match decoded.iter().position(|b| *b == b':') {
        Some(colon) => Shown::Key(Cow::Owned(decoded[colon + 1..].to_vec())),
        None => Shown::Unreadable,
    }
}

/// Whether there is a token in the query (RFC 6750, section 2.3).
fn has_token(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_with<'a>(headers: &'a HeaderMap, takes_password: bool) -> Result<Shown<'a>, Malformed> {
        read(headers, &Uri::from_static("/docs"), takes_password)
    }

    fn authorization(value: &[u8]) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap())])
    }

    #[test]
    fn a_password_counts_only_where_it_may() {
        let cases: [(&str, Shown<'_>); 6] = [
            ("Basic dXNlcjprZXk=", Shown::Key(b"key"[..].into())),
            ("bAsIc dXNlcjprZXk", Shown::Key(b"key"[..].into())),
            ("Basic Om86awo=", Shown::Key(b"o:k\n"[..].into())),
            ("Basic dXNlcg==", Shown::Unreadable),
            ("Basic ***", Shown::Unreadable),
            ("Basic", Shown::Unreadable),
        ];
        for (value, expected) in cases {
            let headers = authorization(value.as_bytes());
            assert_eq!(read_with(&headers, true), Ok(expected), "{value}");
            assert_eq!(read_with(&headers, false), Ok(Shown::Nothing), "{value}");
        }
    }

    proptest! {
        /// Whatever stands there, it is read as a token only where it is one.
        #[test]
        fn no_value_panics(value in "(?s)[ -~\\x80-\\xff]{0,40}", takes_password: bool) {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
                if let Ok(Shown::Key(Cow::Borrowed(token))) = read_with(&headers, takes_password) {
                    prop_assert!(is_token(token));
                }
            }
        }
    }
}
