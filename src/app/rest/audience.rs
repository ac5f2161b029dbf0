//! The REST caller as a server sees it while a call runs: it may be told things, and can be asked nothing.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{
    hub::{Answer, BoxFuture, Peer, Question, Refusal},
    jsonrpc::Notification,
    protocol::{ClientCapabilities, meta, method::notification},
};

use super::events::event;

/// How many events may wait for a slow reader; the oldest give way.
const EVENTS: usize = 64;
/// How many bytes of them.
const BYTES: usize = 256 * 1024;

/// Hears what belongs to one call.
#[derive(Debug)]
pub(super) struct Audience {
    /// Whether there is a stream to say it on.
    streams: bool,
    queue: Mutex<Queue>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    asked: bool,
}

impl Audience {
    pub(super) fn new(streams: bool) -> Self {
        Self { streams, queue: Mutex::default(), more: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server asked something.
    pub(super) fn was_asked(&self) -> bool {
        self.lock().asked
    }

    /// The next event, if one waits.
    pub(super) fn take(&self) -> Option<Bytes> {
        let mut queue = self.lock();
        let event = queue.waiting.pop_front()?;
        queue.bytes -= event.len();
        Some(event)
    }

    /// Completes when there may be another event.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }
}

impl Peer for Audience {
    fn notify(&self, notification: Notification) {
        let Some(mut params) = notification.params.filter(|_| self.streams) else { return };
        let name = match &*notification.method {
            notification::PROGRESS => "progress",
            notification::MESSAGE => "message",
            _ => return,
        };
        // The call has one caller, who never chose a token.
        params.remove(meta::PROGRESS_TOKEN);
        let event = event(name, params.to_raw().as_bytes());
        if event.len() > BYTES {
            return;
        }
        let mut queue = self.lock();
        queue.bytes += event.len();
        queue.waiting.push_back(event);
        while queue.waiting.len() > EVENTS || queue.bytes > BYTES {
            let Some(oldest) = queue.waiting.pop_front() else { break };
            queue.bytes -= oldest.len();
        }
        drop(queue);
        self.more.notify_one();
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        self.lock().asked = true;
        let declared = ClientCapabilities::default().answers(&question.method, question.params.as_ref());
        let refusal = declared.err().map_or(Refusal::NoOne, Refusal::Undeclared);
        Box::pin(std::future::ready(Err(refusal)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonrpc::{Raw, RawObject};

    fn say(audience: &Audience, n: usize, size: usize) {
        let data = Raw::of(&format!("{n} {}", "x".repeat(size)));
        let params = RawObject::from([("level", Raw::from("info")), ("data", data)]);
        audience.notify(Notification { method: notification::MESSAGE.to_owned(), params: Some(params) });
    }

    #[test]
    fn a_slow_reader_loses_the_oldest() {
        let audience = Audience::new(true);
        for n in 0..EVENTS + 10 {
            say(&audience, n, 1);
        }
        let first = audience.take().unwrap();
        assert!(first.starts_with(b"event: message\ndata: {\"level\":\"info\",\"data\":\"10 x"), "{first:?}");
        for n in 0..10 {
            say(&audience, n, BYTES / 4);
        }
        let mut bytes = 0;
        while let Some(event) = audience.take() {
            bytes += event.len();
        }
        assert!(bytes <= BYTES && bytes > BYTES / 2);
        say(&audience, 0, BYTES);
        assert!(audience.take().is_none(), "what is too large is not said at all");
    }

    #[test]
    fn without_a_stream_nothing_is_kept() {
        let audience = Audience::new(false);
        say(&audience, 1, 1);
        assert!(audience.take().is_none());
    }
}
