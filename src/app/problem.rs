//! What goes wrong over REST, in words for people and programs (RFC 9457).
//!
//! Every error of Rialto's own routes is `application/problem+json`. Its `type` is `urn:rialto:problem:` and a kind out of
//! this list, which only grows:
//!
//! | kind | status | meaning | more members |
//! |---|---|---|---|
//! | `malformed-json` | 400 | the body is no JSON, or JSON that parsers disagree about: a key twice, nested too deeply | |
//! | `invalid-request` | 400 | the query or the framing of the request is wrong | |
//! | `unauthenticated` | 401 | nobody knows who calls | |
//! | `forbidden` | 403 | the caller is known and may not use this mount or route | `mount`, where it is one |
//! | `refused` | 403 | a rule of the operator refuses the call | `reason`, `retryable`, `upstream` |
//! | `not-found` | 404 | there is no such route | |
//! | `unknown-mount` | 404 | there is no mount of this name | `mount` |
//! | `unknown-tool` | 404 | the mount lists no such tool | `mount`, `tool` |
//! | `unknown-prompt` | 404 | the mount lists no such prompt | `mount`, `prompt` |
//! | `unknown-resource` | 404 | the server has no such resource | `mount`, `uri`, `error` |
//! | `method-not-allowed` | 405 | the route has other methods; `Allow` names them | |
//! | `not-acceptable` | 406 | `Accept` allows nothing that could be answered | |
//! | `request-timeout` | 408 | the body did not arrive in time | |
//! | `too-large` | 413 | the body is longer than allowed | |
//! | `unsupported-media-type` | 415 | the body is not declared as plain `application/json` | |
//! | `invalid-arguments` | 422 | the arguments are not what the tool or prompt takes | `errors`, or the server's `error` |
//! | `tool-error` | 422 | the tool ran and failed | `content`, `structuredContent` |
//! | `input-required` | 422 | the tool asks a question, and nobody can be asked over REST | `inputRequests`, `content`, `error` |
//! | `rate-limited` | 429 | too many requests in a time; `Retry-After` says when to come back | |
//! | `internal` | 500 | a defect of the gateway | `reason`, `retryable` |
//! | `upstream-unreachable` | 502 | the server cannot be reached | `reason`, `retryable`, `upstream` |
//! | `upstream-failed` | 502 | the server was reached and did not hold to the protocol, or was lost on the way | `reason`, `retryable`, `upstream` |
//! | `upstream-error` | 502 | the server answered with an error of its own | `error` |
//! | `busy` | 503 | too much at once; `Retry-After` says when to come back | `reason`, `retryable` |
//! | `upstream-timeout` | 504 | the server did not answer in time; the call may have run | `reason`, `retryable`, `upstream` |
//!
//! What is refused at the door, before any route is looked at, has kinds of its own: `key-missing` and `key-invalid` (401), and
//! `credentials-malformed` (400) where there is more than one key, or something that cannot be one.
//!
//! `errors` is a list of `{"pointer", "detail"}`, where `pointer` is a JSON Pointer (RFC 6901) into the arguments. `error` is
//! the error object of JSON-RPC as the server sent it. `reason` is one of [`Reason`](crate::hub::Reason)'s words.

use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::jsonrpc::{Raw, RawObject};

/// The members that every problem has, and nothing else may stand for.
const OWN: [&str; 5] = ["type", "title", "status", "detail", "instance"];

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $kind:literal, $status:ident, $title:literal;)*) => {
        /// The kinds of problem; see the [table](self).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its `type`.
            #[must_use]
            pub const fn urn(self) -> &'static str {
                match self { $(Self::$name => concat!("urn:rialto:problem:", $kind),)* }
            }

            /// Its status.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// Its title, the same for every problem of the kind.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

kinds! {
    /// The body is no JSON, or JSON that is not accepted.
    MalformedJson = "malformed-json", BAD_REQUEST, "The body is not acceptable JSON";
    /// The query or the framing is wrong.
    InvalidRequest = "invalid-request", BAD_REQUEST, "The request is wrong";
    /// Nobody knows who calls.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A key is needed";
    /// The caller may not use this mount or route.
    Forbidden = "forbidden", FORBIDDEN, "You may not use this";
    /// A rule of the operator refuses the call.
    Refused = "refused", FORBIDDEN, "The call is refused";
    /// No such route.
    NotFound = "not-found", NOT_FOUND, "There is nothing here";
    /// No mount of this name.
    UnknownMount = "unknown-mount", NOT_FOUND, "There is no such mount";
    /// No such tool.
    UnknownTool = "unknown-tool", NOT_FOUND, "There is no such tool";
    /// No such prompt.
    UnknownPrompt = "unknown-prompt", NOT_FOUND, "There is no such prompt";
    /// No such resource.
    UnknownResource = "unknown-resource", NOT_FOUND, "There is no such resource";
    /// The route has other methods.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not allowed here";
    /// `Accept` allows nothing that could be answered.
    NotAcceptable = "not-acceptable", NOT_ACCEPTABLE, "Nothing that could be answered is accepted";
    /// The body did not arrive in time.
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, "The body did not arrive in time";
    /// The body is longer than allowed.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The body is not declared as JSON.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body must be application/json";
    /// The arguments are not what the tool or prompt takes.
    InvalidArguments = "invalid-arguments", UNPROCESSABLE_ENTITY, "The arguments are not valid";
    /// The tool ran and failed.
    ToolError = "tool-error", UNPROCESSABLE_ENTITY, "The tool failed";
    /// The tool asks a question.
    InputRequired = "input-required", UNPROCESSABLE_ENTITY, "The tool asks a question that cannot be answered over REST";
    /// Too many requests in a time.
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, "Too many requests";
    /// A defect of the gateway.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong in the gateway";
    /// The server cannot be reached.
    UpstreamUnreachable = "upstream-unreachable", BAD_GATEWAY, "The server cannot be reached";
    /// The server was lost, or did not hold to the protocol.
    UpstreamFailed = "upstream-failed", BAD_GATEWAY, "The exchange with the server failed";
    /// The server answered with an error of its own.
    UpstreamError = "upstream-error", BAD_GATEWAY, "The server answered with an error";
    /// Too much at once.
    Busy = "busy", SERVICE_UNAVAILABLE, "Too much at once";
    /// The server did not answer in time.
    UpstreamTimeout = "upstream-timeout", GATEWAY_TIMEOUT, "The server did not answer in time";
}

/// One problem, on its way to a client.
///
/// ```
/// use axum::response::IntoResponse;
/// use rialto::app::problem::{Kind, Problem};
///
/// let response = Problem::new(Kind::UnknownMount, "there is no mount `books`").into_response();
/// assert_eq!(response.status(), 404);
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// ```
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    kind: Kind,
    detail: String,
    members: RawObject,
    headers: HeaderMap,
}

// === impl Problem ===

impl Problem {
    /// A problem of this kind; `detail` says what was wrong this time and what to do.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let parts = Parts { kind, detail: detail.into(), members: RawObject::new(), headers: HeaderMap::new() };
        Self(Box::new(parts))
    }

    /// The same with one more member. The members that every problem has cannot be set.
    #[must_use]
    pub fn with(mut self, name: &str, value: Raw) -> Self {
        if !OWN.contains(&name) {
            self.0.members.set(name, value);
        }
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// The same with the time after which trying again makes sense, as `Retry-After` (RFC 9110, section 10.2.3): whole
    /// seconds, at least one.
    #[must_use]
    pub fn retry_after(self, time: Duration) -> Self {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.kind.status()
    }

    /// What was wrong this time.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The problem as a JSON object.
    #[must_use]
    pub fn to_raw(&self) -> Raw {
        let mut object = RawObject::from([
            ("type", Raw::from(self.0.kind.urn())),
            ("title", Raw::from(self.0.kind.title())),
            ("status", Raw::of(&self.status().as_u16())),
            ("detail", Raw::from(&*self.0.detail)),
        ]);
        for (name, value) in self.0.members.iter() {
            object.set(&name, value.clone());
        }
        object.to_raw()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_raw().bytes()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.extend(self.0.headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_is_in_the_table_with_its_status() {
        let page = include_str!("problem.rs");
        let mut urns = HashSet::new();
        for kind in Kind::ALL {
            let name = kind.urn().strip_prefix("urn:rialto:problem:").unwrap();
            assert!(urns.insert(name), "{name} twice");
            let row = format!("//! | `{name}` | {} |", kind.status().as_u16());
            assert!(page.lines().any(|line| line.starts_with(&row)), "{row} is not in the table");
        }
        let rows = page.lines().filter(|line| line.starts_with("//! | `")).count();
        assert_eq!(rows, urns.len());
    }

    #[test]
    fn a_problem_keeps_its_own_members_and_takes_others() {
        let problem = Problem::new(Kind::Busy, "too many calls")
            .with("status", Raw::constant("200"))
            .with("type", Raw::constant("\"about:blank\""))
            .with("n", Raw::constant("123456789012345678901234567890"));
        let text = problem.to_raw();
        assert_eq!(
            format!("{text:?}"),
            r#"{"type":"urn:rialto:problem:busy","title":"Too much at once","status":503,"detail":"too many calls","n":123456789012345678901234567890}"#
        );
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds() {
        for (millis, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (90_000, "90")] {
            let problem = Problem::new(Kind::Busy, "").retry_after(Duration::from_millis(millis));
            assert_eq!(problem.into_response().headers()["retry-after"], seconds, "{millis} ms");
        }
    }
}
