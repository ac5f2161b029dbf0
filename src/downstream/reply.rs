//! Answers on the wire, and the one place where faults become words.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Frame, SizeHint};

use crate::{
    hub::Fault,
    jsonrpc::{Encoded, ErrorObject, Raw, RequestId, code, encode_error, encode_result},
    protocol::Era,
};

use super::sse::KeptAlive;

/// The body of an answer: all of it, or a stream of events.
pub struct Body(Kind);

enum Kind {
    Whole(Encoded),
    Events(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl Body {
    /// All of it at once.
    #[must_use]
    pub fn whole(text: impl Into<Encoded>) -> Self {
        Self(Kind::Whole(text.into()))
    }

    /// Chunks as they come. Dropping the body drops the stream.
    pub(super) fn stream(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Kind::Events(Box::pin(chunks)))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Kind::Whole(_) => "Body::Whole",
            Kind::Events(_) => "Body::Events",
        })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(match &mut self.0 {
            Kind::Whole(text) => text.next_piece().map(|b| Ok(Frame::data(b))),
            Kind::Events(events) => ready!(events.as_mut().poll_next(cx)).map(|b| Ok(Frame::data(b))),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Kind::Whole(text) if text.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(text) => SizeHint::with_exact(text.len() as u64),
            Kind::Events(_) => SizeHint::default(),
        }
    }
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// A refusal below the protocol, in words for whoever looks.
pub(super) fn text(status: StatusCode, words: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::whole(Bytes::from_static(words.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The client takes no answer that could be given.
pub(super) fn not_acceptable() -> Response<Body> {
    text(StatusCode::NOT_ACCEPTABLE, "`Accept` must allow application/json and text/event-stream\n")
}

/// A JSON body.
pub(super) fn json(status: StatusCode, text: impl Into<Encoded>) -> Response<Body> {
    let mut response = Response::new(Body::whole(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to request `id`.
pub(super) fn result(id: &RequestId, result: &Raw) -> Response<Body> {
    json(StatusCode::OK, encode_result(id, result))
}

/// An error with the status given.
pub(super) fn error(status: StatusCode, id: Option<&RequestId>, error: &ErrorObject) -> Response<Body> {
    json(status, encode_error(id, error))
}

/// A stream of events, kept alive, that no proxy on the way shall hold back.
pub(super) fn events(chunks: impl Stream<Item = Bytes> + Send + Unpin + 'static) -> Response<Body> {
    let mut response = Response::new(Body::stream(KeptAlive::new(chunks)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The status an error has while nothing was sent. In the legacy era every JSON-RPC error is a 200: a 404 there would mean
/// that the session is gone. In the modern era the protocol's own refusals have statuses of their own
/// (2026-07-28, basic/transports#status-codes), and everything else is a 200: what failed behind the gateway, and what there
/// was no room for. Clients lose the error that comes with another failure (TypeScript), or end all their calls for one such
/// status (Python before 2.0), so that when to come back is said in the error and not in a `Retry-After`.
pub(super) fn status_of(era: Era, error_code: i64) -> StatusCode {
    match (era, error_code) {
        (Era::Modern, code::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        (Era::Modern, code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION) => {
            StatusCode::BAD_REQUEST
        }
        _ => StatusCode::OK,
    }
}

/// A fault as the answer to request `id`, for an answer that is put together elsewhere.
pub(super) fn words(id: &RequestId, fault: &Fault) -> Bytes {
    encode_error(Some(id), &fault.to_error())
}

/// Turns a fault into the answer for request `id`.
pub(super) fn rescue(era: Era, id: &RequestId, fault: &Fault) -> Response<Body> {
    let object = fault.to_error();
    error(status_of(era, object.code), Some(id), &object)
}
