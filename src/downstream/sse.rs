//! Writing server-sent events (WHATWG HTML, server-sent events).

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep};

/// How the event of a message begins.
pub(super) const MESSAGE: &[u8] = b"event: message\n";

/// One message event. A JSON text may hold line breaks between its tokens: each line becomes a `data` line, which a reader
/// joins again.
pub(super) fn event(id: Option<&str>, data: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(data.len() + 32 + id.map_or(0, str::len));
    text.extend_from_slice(MESSAGE);
    put_id(&mut text, id);
    text.extend_from_slice(b"data: ");
    let mut start = 0;
    for end in memchr::memchr2_iter(b'\n', b'\r', data) {
        text.extend_from_slice(&data[start..end]);
        text.extend_from_slice(b"\ndata: ");
        start = end + 1;
    }
    text.extend_from_slice(&data[start..]);
    text.extend_from_slice(b"\n\n");
    Bytes::from(text)
}

/// An event that says nothing but where the stream is, and when to come back (2025-11-25, basic/transports).
pub(super) fn priming(id: &str, retry: Option<Duration>) -> Bytes {
    let mut text = Vec::with_capacity(48);
    put_id(&mut text, Some(id));
    if let Some(retry) = retry {
        text.extend_from_slice(format!("retry: {}\n", retry.as_millis()).as_bytes());
    }
    text.extend_from_slice(b"data:\n\n");
    Bytes::from(text)
}

/// A line that readers ignore.
pub(super) fn comment() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}

fn put_id(text: &mut Vec<u8>, id: Option<&str>) {
    if let Some(id) = id {
        text.extend_from_slice(b"id: ");
        text.extend_from_slice(id.as_bytes());
        text.push(b'\n');
    }
}

/// A stream of events that never falls silent for longer than some time: a comment keeps it alive.
pub(crate) struct KeptAlive<S> {
    events: S,
    every: Duration,
    silence: Pin<Box<Sleep>>,
}

impl<S> KeptAlive<S> {
    pub(crate) fn new(events: S, every: Duration) -> Self {
        Self { events, every, silence: Box::pin(tokio::time::sleep(every)) }
    }
}

impl<S: Stream<Item = Bytes> + Unpin> Stream for KeptAlive<S> {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let next = match Pin::new(&mut self.events).poll_next(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                ready!(self.silence.as_mut().poll(cx));
                Some(comment())
            }
        };
        let next_comment = Instant::now() + self.every;
        self.silence.as_mut().reset(next_comment);
        Poll::Ready(next)
    }
}
