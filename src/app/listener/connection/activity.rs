//! What a connection is doing and since when, and what it has been told to do.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::Limits;

/// What the listener wants of a connection. Orders only ever get stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Order {
    /// Serve requests as they come.
    Serve,
    /// Finish the request under way, then close.
    Drain,
    /// Close now.
    Cut,
}

/// What the timer finds when it looks.
#[derive(Debug)]
pub(super) enum Expiry {
    /// A limit has passed; close the connection.
    Over(&'static str),
    /// Nothing yet.
    LookAgain(Instant),
}

/// Shared by the connection's socket, service, bodies and timer. All of them run in the
/// connection's own task, but for [`order`](Self::order), so relaxed loads and stores are enough
/// for the notes.
#[derive(Debug)]
pub(in super::super) struct Activity {
    accepted: Instant,
    /// The phase in the low two bits, above it the millisecond since `accepted` at which the phase
    /// began.
    phase: AtomicU64,
    /// The millisecond at which writing came to a halt, plus one; zero while it flows.
    stalled: AtomicU64,
    order: AtomicU8,
    waker: AtomicWaker,
}

const HEAD: u64 = 0;
const BUSY: u64 = 1;
const IDLE: u64 = 2;

// === impl Activity ===

impl Activity {
    /// A connection just accepted: its first head is being read, even while nothing has come.
    pub(super) fn new() -> Self {
        Self {
            accepted: Instant::now(),
            phase: AtomicU64::new(HEAD),
            stalled: AtomicU64::new(0),
            order: AtomicU8::new(Order::Serve as u8),
            waker: AtomicWaker::new(),
        }
    }

    pub(super) fn bytes_arrived(&self) {
        if self.phase.load(Ordering::Relaxed) & 0b11 == IDLE {
            self.enter(HEAD);
        }
    }

    pub(super) fn request_began(&self) {
        // No limit counts from here: bodies and calls have deadlines of their own.
        self.phase.store(BUSY, Ordering::Relaxed);
    }

    pub(super) fn response_ended(&self) {
        self.enter(IDLE);
    }

    pub(super) fn write_stalled(&self) {
        if self.stalled.load(Ordering::Relaxed) == 0 {
            self.stalled.store(self.now() + 1, Ordering::Relaxed);
        }
    }

    pub(super) fn write_progressed(&self) {
        if self.stalled.load(Ordering::Relaxed) != 0 {
            self.stalled.store(0, Ordering::Relaxed);
            // The end of a response may sit in the write buffer for long when the client reads
            // slowly. That is not idleness.
            if self.phase.load(Ordering::Relaxed) & 0b11 == IDLE {
                self.enter(IDLE);
            }
        }
    }

    pub(super) fn first_alarm(&self, limits: &Limits) -> Instant {
        self.accepted + shortest(limits)
    }

    pub(super) fn expiry(&self, limits: &Limits) -> Expiry {
        let now = self.now();
        let word = self.phase.load(Ordering::Relaxed);
        let since = word >> 2;
        let mut next = now + millis(shortest(limits));
        let mut passed = |begun: u64, limit: Duration| {
            let end = begun + millis(limit);
            next = next.min(end);
            end <= now
        };
        match word & 0b11 {
            HEAD if passed(since, limits.head_time) => {
                return Expiry::Over("no complete request head in time");
            }
            IDLE if passed(since, limits.idle) => return Expiry::Over("idle for too long"),
            _ => {}
        }
        let stalled = self.stalled.load(Ordering::Relaxed);
        if stalled != 0 && passed(stalled - 1, limits.write_stall) {
            return Expiry::Over("the client does not read its response");
        }
        Expiry::LookAgain(self.accepted + Duration::from_millis(next))
    }

    /// Gives the connection an order and wakes it.
    pub(in super::super) fn order(&self, order: Order) {
        self.order.store(order as u8, Ordering::Release);
        self.waker.wake();
    }

    /// The order in force. The waker is woken when it changes.
    pub(super) fn orders(&self, waker: &Waker) -> Order {
        self.waker.register(waker);
        match self.order.load(Ordering::Acquire) {
            0 => Order::Serve,
            1 => Order::Drain,
            _ => Order::Cut,
        }
    }

    fn enter(&self, phase: u64) {
        self.phase.store(self.now() << 2 | phase, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        millis(self.accepted.elapsed())
    }
}

fn shortest(limits: &Limits) -> Duration {
    limits.head_time.min(limits.idle).min(limits.write_stall).max(Duration::from_millis(1))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX >> 3)
}
