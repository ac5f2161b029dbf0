//! What modern clients hold across all endpoints of a gateway.

use std::sync::Arc;

use super::{parking::Parking, quota::Quota};

/// Calls that wait for answers, and open subscriptions. One for a gateway, so that its [limits](crate::Limits) hold whatever
/// mount they are at.
#[derive(Debug, Default)]
pub struct Held {
    pub(super) parking: Arc<Parking>,
    pub(super) listens: Arc<Quota>,
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
