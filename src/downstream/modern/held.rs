//! What modern clients hold across all endpoints of a gateway, and how much of it they may.

use std::sync::Arc;

use super::{parking::Parking, quota::Quota};

/// How many subscriptions one principal may have open.
const LISTENS: usize = 64;
/// How many subscriptions may be open altogether.
const ALL_LISTENS: usize = 10_000;

/// Calls that wait for answers, and open subscriptions. One for a gateway, so that its bounds hold whatever mount they are at.
#[derive(Debug)]
pub struct Held {
    pub(super) parking: Arc<Parking>,
    pub(super) listens: Arc<Quota>,
}

impl Default for Held {
    fn default() -> Self {
        Self { parking: Arc::default(), listens: Quota::new(LISTENS, ALL_LISTENS) }
    }
}

impl Held {
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
