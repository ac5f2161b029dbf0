//! What waits to be written to a client that is there over one connection: everything that is said to it goes one way.
//!
//! Answers and questions are never left out. Whoever reads too slowly loses progress and log messages, the oldest first; its
//! own next messages are not read while much waits ([`Outbox::room`]); and in the end it is told that an answer was too much.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{
    hub::{Fault, Reason},
    jsonrpc::{Encoded, RequestId, encode_error},
};

use super::way::{Way, Weight};

/// How many progress and log messages may wait.
const LIGHT: usize = 256;
/// How many bytes of them.
const LIGHT_BYTES: usize = 1 << 20;
/// How many bytes may wait before nothing more is read from the client.
const PLENTY: usize = 8 << 20;
/// How many bytes may wait before an answer is too much.
const TOO_MUCH: usize = 64 << 20;

/// The messages that wait.
#[derive(Default)]
pub(super) struct Outbox {
    inner: Mutex<Inner>,
    /// Something was put in, or nothing more will be.
    filled: Notify,
    /// Something was taken out, or nothing more will be.
    drained: Notify,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<(Weight, Encoded)>,
    bytes: usize,
    light: usize,
    light_bytes: usize,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in; `false` when nothing will be written any more.
    pub(super) fn put(&self, weight: Weight, message: Encoded) -> bool {
        if self.is_closed.load(Ordering::Acquire) {
            return false;
        }
        let mut inner = self.lock();
        let length = message.len();
        inner.bytes += length;
        if weight == Weight::Light {
            inner.light += 1;
            inner.light_bytes += length;
        }
        inner.waiting.push_back((weight, message));
        while inner.light > LIGHT || inner.light_bytes > LIGHT_BYTES {
            let Some(at) = inner.waiting.iter().position(|(weight, _)| *weight == Weight::Light) else { break };
            inner.remove(at);
        }
        drop(inner);
        self.filled.notify_one();
        true
    }

    /// Puts the answer to a request in, or what stands for it where too much waits already.
    pub(super) fn answer(&self, id: Option<&RequestId>, answer: Encoded) {
        let waiting = self.lock().bytes;
        if waiting > 0 && waiting.saturating_add(answer.len()) > TOO_MUCH {
            let fault = Fault::gateway(Reason::Limit, "too much waits for the client, which does not read");
            self.put(Weight::Heavy, encode_error(id, &fault.to_error()).into());
        } else {
            self.put(Weight::Heavy, answer);
        }
    }

    /// Waits until the client has read most of what was said, or will read nothing more.
    pub(super) async fn room(&self) {
        loop {
            let mut drained = std::pin::pin!(self.drained.notified());
            // From here on nothing is missed.
            drained.as_mut().enable();
            if self.lock().bytes <= PLENTY || self.is_closed.load(Ordering::Acquire) {
                return;
            }
            drained.await;
        }
    }

    /// The next message; `None` when there will be none. For one reader.
    pub(super) async fn next(&self) -> Option<Encoded> {
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            if self.is_closed.load(Ordering::Acquire) {
                // What was put in before it was closed is still read.
                return self.take();
            }
            self.filled.notified().await;
        }
    }

    /// The next message, if one waits.
    pub(super) fn take(&self) -> Option<Encoded> {
        let message = self.lock().remove(0)?;
        self.drained.notify_waiters();
        Some(message)
    }

    /// Nothing is put in any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.filled.notify_one();
        self.drained.notify_waiters();
    }
}

impl Inner {
    fn remove(&mut self, at: usize) -> Option<Encoded> {
        let (weight, message) = self.waiting.remove(at)?;
        self.bytes -= message.len();
        if weight == Weight::Light {
            self.light -= 1;
            self.light_bytes -= message.len();
        }
        Some(message)
    }
}

impl Way for Outbox {
    fn push(&self, weight: Weight, message: Bytes) -> bool {
        self.put(weight, message.into())
    }

    fn push_once(&self, message: Bytes) {
        let is_same = |waiting: &Encoded| waiting.pieces().eq([&message]);
        let waits = self.lock().waiting.iter().any(|(_, waiting)| is_same(waiting));
        if !waits {
            self.push(Weight::Heavy, message);
        }
    }

    fn has_reader(&self) -> bool {
        !self.is_closed.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(outbox: &Outbox) -> Vec<Bytes> {
        std::iter::from_fn(|| outbox.take()).map(Encoded::into_bytes).collect()
    }

    #[test]
    fn whoever_does_not_read_loses_progress_and_no_answer() {
        let outbox = Outbox::default();
        for n in 0..2 * LIGHT {
            outbox.push(Weight::Light, format!("progress {n}").into());
            outbox.push(Weight::Heavy, format!("answer {n}").into());
        }
        let waiting = text(&outbox);
        assert_eq!(waiting.len(), 3 * LIGHT);
        assert_eq!(waiting.iter().filter(|w| w.starts_with(b"answer")).count(), 2 * LIGHT);
        assert_eq!(waiting.last().unwrap(), &format!("answer {}", 2 * LIGHT - 1));
        for _ in 0..2 {
            outbox.push_once(Bytes::from_static(b"changed"));
        }
        assert_eq!(text(&outbox), ["changed"]);
    }

    #[tokio::test]
    async fn there_is_room_again_when_it_was_read() {
        let outbox = Outbox::default();
        outbox.push(Weight::Heavy, vec![b' '; PLENTY + 1].into());
        let (_, read) = tokio::join!(outbox.room(), outbox.next());
        assert_eq!(read.map(|read| read.len()), Some(PLENTY + 1));
        for length in [TOO_MUCH + 1, TOO_MUCH + 1] {
            outbox.answer(Some(&RequestId::number(1)), Bytes::from(vec![b' '; length]).into());
        }
        let waiting = text(&outbox);
        assert_eq!(waiting[0].len(), TOO_MUCH + 1, "the first one passes, however long");
        assert!(waiting[1].starts_with(b"{") && waiting[1].len() < 1024);
        outbox.close();
        assert!(!outbox.push(Weight::Heavy, Bytes::from_static(b"late")) && outbox.next().await.is_none());
    }
}
