//! Answers that are no problems.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, Response, header};

use crate::downstream::KeptAlive;

/// A JSON answer. It is about the moment and for one caller, so nobody keeps it.
pub(super) fn json(text: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A stream of events, kept alive so often, that no proxy on the way shall hold back.
pub(super) fn events(
    events: impl Stream<Item = Bytes> + Send + Unpin + 'static,
    keep_alive: Duration,
) -> Response<Body> {
    use futures_util::StreamExt;
    let events = KeptAlive::new(events, keep_alive).map(Ok::<_, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
