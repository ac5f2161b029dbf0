//! A call as a stream of server-sent events (WHATWG HTML, server-sent events): `progress` and `message` while it runs, then
//! `result` or `problem`, and nothing after it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};

use crate::{app::problem::Problem, hub::BoxFuture};

use super::audience::Audience;

/// An answer, as the one JSON value of its body.
pub(super) type Ending = Result<Bytes, Problem>;

/// One event. A JSON text may hold line breaks between its tokens: each line becomes a `data` line, which a reader joins
/// again.
pub(super) fn event(name: &str, data: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(data.len() + name.len() + 24);
    text.extend_from_slice(b"event: ");
    text.extend_from_slice(name.as_bytes());
    text.push(b'\n');
    for line in data.split(|&b| b == b'\n' || b == b'\r') {
        text.extend_from_slice(b"data: ");
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.push(b'\n');
    Bytes::from(text)
}

enum Run {
    On(BoxFuture<Ending>),
    Done(Ending),
    Over,
}

/// The events of a call. The stream owns the call: whoever drops it, because the client has left, abandons the call.
pub(super) fn of(call: BoxFuture<Ending>, audience: Arc<Audience>) -> impl Stream<Item = Bytes> + Send + Unpin {
    Box::pin(stream::unfold((Run::On(call), audience), |(mut run, audience)| async move {
        loop {
            // What was said before the result goes before it.
            if let Some(event) = audience.take() {
                return Some((event, (run, audience)));
            }
            match &mut run {
                Run::On(call) => tokio::select! {
                    biased;
                    ending = call => run = Run::Done(ending),
                    () = audience.more() => {}
                },
                Run::Done(Ok(result)) => {
                    let last = event("result", result);
                    return Some((last, (Run::Over, audience)));
                }
                Run::Done(Err(problem)) => {
                    let last = event("problem", problem.to_raw().as_bytes());
                    return Some((last, (Run::Over, audience)));
                }
                Run::Over => return None,
            }
        }
    }))
}
