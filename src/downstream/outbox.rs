//! What waits to be written to a client that is there over one connection: everything that is said to it goes one way.
//!
//! Answers are never left out. Whoever reads too slowly loses progress and log messages, the oldest first; its own next
//! messages are not read while much waits ([`Outbox::room`]); while too much waits, no question is put to it, it hears of no
//! changes, and it is told that an answer was too much.

use std::{
    collections::{HashSet, VecDeque},
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
/// How many bytes may wait before an answer is too much, and everything that is none.
const TOO_MUCH: usize = 64 << 20;
/// How many different changes may wait. A client that has not heard of so many does not look after them.
const CHANGES: usize = 4096;

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
    /// What of it is as true when it is said once.
    once: HashSet<Bytes>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the answer to a request in, or what stands for it where too much waits already.
    pub(super) fn answer(&self, id: Option<&RequestId>, answer: Encoded) {
        let mut inner = self.lock();
        let answer = match inner.is_too_much(answer.len()) {
            false => answer,
            // Whoever asks more is not read any more, so that these are few.
            true => {
                let fault = Fault::gateway(Reason::Limit, "too much waits for the client, which does not read");
                encode_error(id, &fault.to_error()).into()
            }
        };
        self.put(&mut inner, Weight::Heavy, answer);
    }

    /// Puts a message in; `false` when nothing will be written any more.
    fn put(&self, inner: &mut Inner, weight: Weight, message: Encoded) -> bool {
        if self.is_closed.load(Ordering::Acquire) {
            return false;
        }
        inner.add(weight, message);
        self.filled.notify_one();
        true
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
    /// Whether so many bytes more are too many. What waits alone never is, however long.
    fn is_too_much(&self, length: usize) -> bool {
        self.bytes > 0 && self.bytes.saturating_add(length) > TOO_MUCH
    }

    fn add(&mut self, weight: Weight, message: Encoded) {
        let length = message.len();
        self.bytes += length;
        if weight == Weight::Light {
            self.light += 1;
            self.light_bytes += length;
        }
        self.waiting.push_back((weight, message));
        while self.light > LIGHT || self.light_bytes > LIGHT_BYTES {
            let Some(at) = self.waiting.iter().position(|(weight, _)| *weight == Weight::Light) else { break };
            self.remove(at);
        }
    }

    fn remove(&mut self, at: usize) -> Option<Encoded> {
        let (weight, message) = self.waiting.remove(at)?;
        self.bytes -= message.len();
        if weight == Weight::Light {
            self.light -= 1;
            self.light_bytes -= message.len();
        }
        if !self.once.is_empty()
            && let Some(text) = message.pieces().next()
        {
            self.once.remove(text);
        }
        Some(message)
    }
}

impl Way for Outbox {
    fn push(&self, weight: Weight, message: Bytes) -> bool {
        let mut inner = self.lock();
        !inner.is_too_much(message.len()) && self.put(&mut inner, weight, message.into())
    }

    fn push_once(&self, message: Bytes) {
        let mut inner = self.lock();
        let is_new = !inner.once.contains(&message) && inner.once.len() < CHANGES;
        if is_new && !inner.is_too_much(message.len()) && self.put(&mut inner, Weight::Heavy, message.clone().into()) {
            inner.once.insert(message);
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
        outbox.push_once(Bytes::from_static(b"changed"));
        assert_eq!(text(&outbox), ["changed"], "it was read, and has changed again");
    }

    #[test]
    fn whoever_does_not_read_is_asked_and_told_no_more_than_so_much() {
        let outbox = Outbox::default();
        for n in 0..2 * CHANGES {
            outbox.push_once(format!("changed {n}").into());
        }
        assert_eq!(text(&outbox).len(), CHANGES);
        assert!(outbox.lock().once.is_empty());

        let piece = Bytes::from(vec![b' '; 1 << 20]);
        let taken = (0..100).filter(|_| outbox.push(Weight::Heavy, piece.clone())).count();
        assert_eq!(taken, TOO_MUCH >> 20);
        outbox.push_once(Bytes::from_static(b"changed"));
        outbox.answer(Some(&RequestId::number(1)), Bytes::from_static(b"{}").into());
        let waiting = text(&outbox);
        assert_eq!(waiting.len(), taken + 1);
        assert!(waiting[taken].starts_with(b"{\"jsonrpc\""), "an answer is never left out");
        assert!(outbox.push(Weight::Heavy, piece));
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
