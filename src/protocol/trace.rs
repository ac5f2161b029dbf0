//! The trace that a request belongs to (W3C Trace Context), in `_meta` (2026-07-28, basic/index#meta; SEP-414) and in headers.
//!
//! A client says where its trace stands; every request that goes to a server because of it says so too, with a span of its
//! own. `_meta` carries the context from end to end, whatever the revision and the transport; the headers serve those on the
//! way that look at nothing else. `_meta` speaks of the message and a header of the exchange that brings it, so `_meta` wins.

use std::num::NonZeroU64;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::jsonrpc::{Raw, RawObject};

use super::meta::{self, META};

/// What a trace is named by, as a header and as a key of `_meta`.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What systems on the way add to it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The flags that level 2 of the recommendation defines: sampled, and that the trace id is random.
const FLAGS: u8 = 0b11;
/// The only flag that a later version promises to keep.
const SAMPLED: u8 = 0b01;
/// How long the text of a version that is not known may be.
const LONGEST: usize = 256;
/// The most members of a state (section 3.3.1.1), and its most bytes: what is longer may be left out (section 3.3.1.5).
const MEMBERS: usize = 32;
const STATE: usize = 512;

/// A place in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Thirty-two digits.
    id: Box<str>,
    /// Sixteen digits.
    span: Box<str>,
    flags: u8,
    state: Option<Box<str>>,
}

impl Trace {
    /// What the parameters of a request say of its trace. A `traceparent` that is none (section 3.2) says nothing, and a
    /// `tracestate` says nothing without it.
    #[must_use]
    pub fn of_params(params: &RawObject) -> Option<Self> {
        let meta = meta::of(params)?;
        let state = meta.get(TRACESTATE.as_str()).and_then(Raw::as_text);
        Self::parse(&meta.get(TRACEPARENT.as_str())?.as_text()?, state.as_deref())
    }

    /// What the headers of a request say of its trace.
    #[must_use]
    pub fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
        // Several headers are one list (section 3.3.1.1).
        let states: Option<Vec<_>> = headers.get_all(TRACESTATE).iter().map(|v| v.to_str().ok()).collect();
        let state = states.filter(|s| !s.is_empty()).map(|s| s.join(","));
        Self::parse(parent.to_str().ok()?.trim_matches([' ', '\t']), state.as_deref())
    }

    fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let (version, rest) = split_hex(parent, 2)?;
        let (id, rest) = split_hex(rest.strip_prefix('-')?, 32)?;
        let (span, rest) = split_hex(rest.strip_prefix('-')?, 16)?;
        let (flags, rest) = split_hex(rest.strip_prefix('-')?, 2)?;
        let is_whole = rest.is_empty() || version != "00" && rest.starts_with('-') && parent.len() <= LONGEST;
        if version == "ff" || is_zero(id) || is_zero(span) || !is_whole {
            return None;
        }
        let known = if version == "00" { FLAGS } else { SAMPLED };
        let flags = u8::from_str_radix(flags, 16).ok()? & known;
        let state = state.map(|s| s.trim_matches([' ', '\t'])).filter(|s| is_state(s)).map(Box::from);
        Some(Self { id: id.into(), span: span.into(), flags, state })
    }

    /// The same trace, one span further.
    #[must_use]
    pub fn next(&self, span: NonZeroU64) -> Self {
        Self { span: format!("{span:016x}").into(), ..self.clone() }
    }

    /// The id of the trace: thirty-two hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id of the span: sixteen hexadecimal digits.
    #[must_use]
    pub fn span(&self) -> &str {
        &self.span
    }

    fn parent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.id, self.span, self.flags)
    }

    /// Both headers, for a request over HTTP.
    #[must_use]
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let texts = [(TRACEPARENT, Some(self.parent())), (TRACESTATE, self.state.as_deref().map(str::to_owned))];
        texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text?).ok()?))).collect()
    }

    fn write(&self, meta: &mut RawObject) {
        meta.set(TRACEPARENT.as_str(), Raw::from(&*self.parent()));
        match &self.state {
            Some(state) => meta.set(TRACESTATE.as_str(), Raw::from(&**state)),
            None => drop(meta.remove(TRACESTATE.as_str())),
        }
    }
}

/// Puts what the headers say of a trace into the parameters of a request that come without, so that it goes on with them.
pub fn adopt(params: &mut RawObject, headers: &HeaderMap) {
    let is_open = params.get(META).is_none_or(|meta| meta.to_object().is_some());
    if headers.contains_key(TRACEPARENT)
        && is_open
        && Trace::of_params(params).is_none()
        && let Some(trace) = Trace::of_headers(headers)
    {
        meta::edit(params, |meta| trace.write(meta));
    }
}

/// Makes a request that is sent because of another part of the same trace.
pub fn inherit(params: &mut RawObject, cause: &RawObject) {
    if let Some(trace) = Trace::of_params(cause) {
        meta::edit(params, |meta| trace.write(meta));
    }
}

/// Leads the trace of a request on: the span in its parameters gives way to that of the request which is about to be sent, and
/// what is malformed is left out. Returns where the trace stood, and where it stands.
pub fn proceed(params: &mut RawObject, span: impl FnOnce() -> NonZeroU64) -> Option<(Trace, Trace)> {
    let meta = meta::of(params)?;
    if !meta.has(TRACEPARENT.as_str()) && !meta.has(TRACESTATE.as_str()) {
        return None;
    }
    let places = Trace::of_params(params).map(|before| (before.clone(), before.next(span())));
    meta::edit(params, |meta| match &places {
        Some((_, next)) => next.write(meta),
        None => meta.retain(|key| key != TRACEPARENT.as_str() && key != TRACESTATE.as_str()),
    });
    places
}

/// The first `length` characters, where they are lower-case hexadecimal digits, and what follows them.
fn split_hex(text: &str, length: usize) -> Option<(&str, &str)> {
    let (digits, rest) = text.split_at_checked(length)?;
    digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some((digits, rest))
}

fn is_zero(digits: &str) -> bool {
    digits.bytes().all(|b| b == b'0')
}

/// Whether a state is one that is passed on: a list of members (section 3.3.1) within bounds.
fn is_state(text: &str) -> bool {
    let members = || text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|m| !m.is_empty());
    (1..=MEMBERS).contains(&members().count()) && text.len() <= STATE && members().all(is_member)
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let in_key = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let in_value = |b: u8| matches!(b, b' '..=b'~') && b != b',' && b != b'=';
    (1..=256).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && key.bytes().all(in_key)
        && (1..=256).contains(&value.len())
        && value.bytes().all(in_value)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::jsonrpc::scan::ScanLimits;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

    const SPAN: NonZeroU64 = NonZeroU64::MIN;

    fn object(text: &str) -> RawObject {
        Raw::scan(Bytes::copy_from_slice(text.as_bytes()), ScanLimits::REQUEST).unwrap().to_object().unwrap()
    }

    fn text(object: &RawObject) -> String {
        String::from_utf8(object.to_raw().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn era_435_sec_156_what_is_no_traceparent_is_none() {
        for (parent, flags) in [
            (PARENT.to_owned(), "01"),
            (PARENT.replace("-01", "-00"), "00"),
            (PARENT.replace("-01", "-03"), "03"),
            // What nobody has defined yet is not passed on (section 3.2.2.5).
            (PARENT.replace("-01", "-ff"), "03"),
            (PARENT.replace("00-0a", "01-0a"), "01"),
            (PARENT.replace("00-0a", "cc-0a") + "-what-the-future-will-be-like", "01"),
        ] {
            let trace = Trace::parse(&parent, None).unwrap_or_else(|| panic!("{parent}"));
            let next = trace.next(SPAN);
            assert_eq!((trace.id(), next.id(), trace.span()), (ID, ID, "00f067aa0ba902b7"));
            assert_eq!(next.parent(), format!("00-{ID}-0000000000000001-{flags}"), "{parent}");
            assert!(Trace::parse(&next.parent(), None).is_some());
        }
        let long = format!("01{}-{}", &PARENT[2..], "x".repeat(LONGEST));
        for parent in [
            "",
            "00",
            "00-1",
            &PARENT[..54],
            &PARENT.replace("00-0a", "ff-0a"),
            &PARENT.replace("00-0a", "0-0a"),
            &PARENT.to_uppercase(),
            &PARENT.replace("0af7", "0xf7"),
            &PARENT.replace(ID, &"0".repeat(32)),
            &PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &PARENT.replace('-', "_"),
            &format!("{PARENT}-"),
            &format!("{PARENT}-00"),
            &format!(" {PARENT}"),
            &PARENT.replace("0af7", "é7"),
            &long,
        ] {
            assert_eq!(Trace::parse(parent, Some("a=1")), None, "{parent}");
        }
    }

    #[test]
    fn era_435_sec_156_a_state_is_kept_as_it_is_or_not_at_all() {
        let many = vec!["a=1"; MEMBERS].join(",");
        let long = format!("a={}", "x".repeat(256));
        for state in ["rojo=00f067aa0ba902b7", "a=1, b@c=2,", "t0/*-_=!~ x", &many, &long] {
            assert_eq!(Trace::parse(PARENT, Some(state)).unwrap().state.as_deref(), Some(state));
        }
        let (too_many, too_long) = (many + ",a=1", format!("{long},{long}"));
        for state in ["", " ,, ", "a", "a=", "=1", "A=1", "a=1=2", "a=\u{e9}", "a=\r\nx: 1", &too_many, &too_long] {
            let trace = Trace::parse(PARENT, Some(state)).unwrap();
            assert_eq!(trace.state, None, "{state}");
            assert_eq!(trace.headers().len(), 1);
        }
    }

    #[test]
    fn era_435_a_trace_goes_on_in_its_place() {
        let words =
            format!(r#"{{"x":1.0,"_meta":{{"a":1,"traceparent":"{PARENT}","tracestate":"k=v","baggage":"b"}}}}"#);
        let mut params = object(&words);
        let (before, next) = proceed(&mut params, || SPAN).unwrap();
        assert_eq!(text(&params), words.replace(before.span(), next.span()));
        // Nothing is made of nothing, and what is malformed takes the state along.
        for (words, left) in [
            (r#"{"_meta":{"a":1}}"#, r#"{"_meta":{"a":1}}"#),
            (r#"{"_meta":{"a":1,"traceparent":"00-1","tracestate":"k=v"}}"#, r#"{"_meta":{"a":1}}"#),
            (r#"{"x":1,"_meta":{"traceparent":7}}"#, r#"{"x":1}"#),
            (r#"{"_meta":{"tracestate":"k=v"},"x":1}"#, r#"{"x":1}"#),
            (r#"{"_meta":5}"#, r#"{"_meta":5}"#),
        ] {
            let mut params = object(words);
            assert_eq!(proceed(&mut params, || SPAN), None);
            assert_eq!(text(&params), left);
        }
    }

    #[test]
    fn era_435_headers_speak_where_meta_does_not() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(PARENT));
        headers.append(TRACESTATE, HeaderValue::from_static("a=1"));
        headers.append(TRACESTATE, HeaderValue::from_static("b=2"));
        let adopted = |words: &str, headers: &HeaderMap| {
            let mut params = object(words);
            adopt(&mut params, headers);
            text(&params)
        };
        let whole = format!(r#"{{"_meta":{{"traceparent":"{PARENT}","tracestate":"a=1,b=2"}}}}"#);
        assert_eq!(adopted("{}", &headers), whole);
        assert_eq!(adopted(r#"{"_meta":{"traceparent":"junk","tracestate":"c=3"}}"#, &headers), whole);
        let own = PARENT.replace("00f067", "11f067");
        let own = format!(r#"{{"_meta":{{"traceparent":"{own}"}}}}"#);
        for words in [own.as_str(), r#"{"_meta":[]}"#] {
            assert_eq!(adopted(words, &headers), words);
        }
        headers.append(TRACEPARENT, HeaderValue::from_static(PARENT));
        assert_eq!(adopted("{}", &headers), "{}", "which of two is meant nobody can tell");
    }
}
