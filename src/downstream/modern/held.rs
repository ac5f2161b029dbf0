//! What modern clients hold across all endpoints of a gateway, and how much of it they may.

use std::{sync::Arc, time::Duration};

use super::{parking::Parking, quota::Quota};

/// How much modern clients may hold.
#[derive(Clone, Copy, Debug)]
pub struct HeldLimits {
    /// Calls of one principal that may wait for answers at once. One more goes on without an answer.
    pub parked_each: usize,
    /// Calls that may wait for answers altogether.
    pub parked_all: usize,
    /// How long a retry whose stream was closed before its answer may come again, with the same answers, to find its call still
    /// running. Zero ends the call at once, as the protocol says (2026-07-28, basic/transports: a server must treat a closed
    /// stream as a cancellation); more is for networks that lose connections.
    pub reattach: Duration,
    /// Subscriptions that one principal may have open. One more is refused as busy.
    pub listens_each: usize,
    /// Subscriptions that may be open altogether.
    pub listens_all: usize,
}

/// Calls that wait for answers, and open subscriptions. One for a gateway, so that its bounds hold whatever mount they are at.
#[derive(Debug)]
pub struct Held {
    pub(super) parking: Arc<Parking>,
    pub(super) listens: Arc<Quota>,
}

impl Default for HeldLimits {
    fn default() -> Self {
        Self { parked_each: 16, parked_all: 1000, reattach: Duration::ZERO, listens_each: 64, listens_all: 10_000 }
    }
}

impl Default for Held {
    fn default() -> Self {
        Self::new(HeldLimits::default())
    }
}

impl Held {
    /// Nothing is held yet, and no more than `limits` ever will be.
    #[must_use]
    pub fn new(limits: HeldLimits) -> Self {
        let parking = Parking::new(Quota::new(limits.parked_each, limits.parked_all), limits.reattach);
        Self { parking: Arc::new(parking), listens: Quota::new(limits.listens_each, limits.listens_all) }
    }

    /// How many calls wait for the answers of a client.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.parking.taken()
    }

    /// How many subscriptions are open.
    #[must_use]
    pub fn listens(&self) -> usize {
        self.listens.taken()
    }
}
