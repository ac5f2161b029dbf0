//! What a stream of events has said: one reader at a time follows it, and one that lost its connection may come back.
//!
//! Every event has a number in its stream, and its id on the wire is `<stream>-<number>` (2025-11-25,
//! basic/transports#resumability-and-redelivery). A reader that names the last id it saw gets what came after it, of that
//! stream and no other.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{protocol::Revision, seal::random_token};

use super::{
    super::{
        sse,
        way::{Way, Weight},
    },
    pulse::Open,
};

/// How many events a stream keeps.
const EVENTS: usize = 256;
/// How many bytes of events a stream keeps, beside the newest one while nobody has read it.
pub(super) const BYTES: usize = 1 << 20;
/// How long an event that was read, or a stream that is over, is kept for a reader that comes back.
pub(super) const KEPT: Duration = Duration::from_secs(300);
/// When a reader that lost its connection shall come back.
const RETRY: Duration = Duration::from_secs(1);

/// One stream of events.
pub(super) struct StreamLog {
    id: String,
    /// Events carry ids since 2025-03-26.
    has_ids: bool,
    /// A stream begins with an empty event since 2025-11-25; older readers would choke on it.
    is_primed: bool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    kept: VecDeque<Event>,
    bytes: usize,
    /// The number of the newest event.
    newest: u64,
    /// The number of the newest event that was handed to a reader.
    read: u64,
    /// The reader that may read: a newer one takes the place of an older one.
    reader: u64,
    is_read: bool,
    waker: Option<Waker>,
    over: Option<Over>,
}

struct Event {
    number: u64,
    text: Bytes,
    at: Instant,
    weight: Weight,
}

#[derive(Clone, Copy)]
struct Over {
    at: Instant,
    /// There is no answer and there will be none.
    was_cut: bool,
}

/// Where a reader goes on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// At the first event that nobody has read.
    Unread,
    /// After the event with this number.
    After(u64),
}

impl StreamLog {
    /// A stream for a client of `revision`.
    pub(super) fn new(revision: Revision) -> Arc<Self> {
        Arc::new(Self {
            id: random_token::<12>(),
            has_ids: revision >= Revision::R2025_03_26,
            is_primed: revision >= Revision::R2025_11_25,
            inner: Mutex::default(),
        })
    }

    /// What names the stream in event ids.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether a reader can come back to it.
    pub(super) fn is_resumable(&self) -> bool {
        self.has_ids
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event_id(&self, number: u64) -> String {
        format!("{}-{number}", self.id)
    }

    /// Ends the stream: its reader ends after the last event.
    pub(super) fn end(&self) {
        self.finish(false);
    }

    /// Ends the stream without an answer.
    pub(super) fn cut(&self) {
        self.finish(true);
    }

    fn finish(&self, was_cut: bool) {
        let mut inner = self.lock();
        if inner.over.is_none() {
            inner.over = Some(Over { at: Instant::now(), was_cut });
        }
        inner.wake();
    }

    /// Whether the stream ended without an answer.
    pub(super) fn was_cut(&self) -> bool {
        self.lock().over.is_some_and(|o| o.was_cut)
    }

    /// Whether the stream is over.
    pub(super) fn is_over(&self) -> bool {
        self.lock().over.is_some()
    }

    /// Lets go of what was kept too long; `false` when nothing of the stream is worth keeping.
    pub(super) fn tidy(&self, now: Instant) -> bool {
        let mut inner = self.lock();
        inner.trim(now);
        inner.is_read || inner.over.is_none_or(|o| now < o.at + KEPT)
    }

    /// Attaches a reader; the one before it ends. `None` for a place that the stream never reached.
    pub(super) fn attach(self: &Arc<Self>, place: Place, open: Open) -> Option<Reader> {
        let mut inner = self.lock();
        if let Place::After(number) = place {
            if number > inner.newest {
                return None;
            }
            inner.read = number;
        }
        inner.reader += 1;
        inner.is_read = true;
        inner.wake();
        let greeting = self.is_primed.then(|| sse::priming(&self.event_id(inner.read), Some(RETRY)));
        Some(Reader { log: self.clone(), number: inner.reader, greeting, draining: None, _open: open })
    }
}

impl Way for StreamLog {
    fn push(&self, weight: Weight, message: Bytes) -> bool {
        let mut inner = self.lock();
        if inner.over.is_some() {
            return false;
        }
        inner.newest += 1;
        let number = inner.newest;
        let id = self.has_ids.then(|| self.event_id(number));
        let text = sse::event(id.as_deref(), &message);
        inner.bytes += text.len();
        let now = Instant::now();
        inner.kept.push_back(Event { number, text, at: now, weight });
        inner.trim(now);
        inner.wake();
        true
    }

    fn push_once(&self, message: Bytes) {
        let waits = {
            let inner = self.lock();
            // They differ in the id, which stands before the message.
            let event = sse::event(None, &message);
            let end = event.strip_prefix(sse::MESSAGE).unwrap_or(&event);
            inner.kept.iter().rev().take_while(|e| e.number > inner.read).any(|e| e.text.ends_with(end))
        };
        if !waits {
            self.push(Weight::Heavy, message);
        }
    }

    fn has_reader(&self) -> bool {
        self.lock().is_read
    }
}

impl Inner {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Drops what is over the limits: first what may be left out, then the oldest. That something was handed to a reader does
    /// not mean that it arrived, so it is kept like everything else until it is old.
    fn trim(&mut self, now: Instant) {
        while let Some(oldest) = self.kept.front() {
            // A large answer pushes nothing out before anybody could read it.
            let newest = self.kept.back().filter(|e| e.number > self.read).map_or(0, |e| e.text.len());
            let at = if oldest.number <= self.read && now >= oldest.at + KEPT {
                0
            } else if self.kept.len() > EVENTS || self.bytes - newest > BYTES {
                self.kept.iter().position(|e| e.weight == Weight::Light).unwrap_or(0)
            } else {
                return;
            };
            if let Some(event) = self.kept.remove(at) {
                self.bytes -= event.text.len();
            }
        }
    }
}

/// Follows a stream until it ends, or until somebody else does.
pub(super) struct Reader {
    log: Arc<StreamLog>,
    number: u64,
    greeting: Option<Bytes>,
    draining: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    _open: Open,
}

impl Reader {
    /// Ends the reader when the gateway stops.
    pub(super) fn until(mut self, draining: &CancellationToken) -> Self {
        self.draining = Some(Box::pin(draining.clone().cancelled_owned()));
        self
    }
}

impl Stream for Reader {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(greeting) = self.greeting.take() {
            return Poll::Ready(Some(greeting));
        }
        let log = self.log.clone();
        let mut inner = log.lock();
        if inner.reader != self.number {
            return Poll::Ready(None);
        }
        let at = inner.kept.partition_point(|e| e.number <= inner.read);
        if let Some(event) = inner.kept.get(at) {
            let (number, text) = (event.number, event.text.clone());
            inner.read = number;
            inner.trim(Instant::now());
            return Poll::Ready(Some(text));
        }
        if inner.over.is_some() {
            return Poll::Ready(None);
        }
        inner.waker = Some(cx.waker().clone());
        drop(inner);
        match &mut self.draining {
            Some(draining) => draining.as_mut().poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut inner = self.log.lock();
        if inner.reader == self.number {
            inner.is_read = false;
            inner.waker = None;
        }
    }
}
