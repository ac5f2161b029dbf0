//! How much a mount holds.

use std::sync::{PoisonError, Weak};

use crate::hub::Holding;

use super::Single;

impl Single {
    /// What the mount holds, in either era.
    pub(super) fn held(&self) -> Holding {
        let inner = &self.inner;
        let topics: Vec<_> = {
            let topics = inner.topics.lock().unwrap_or_else(PoisonError::into_inner);
            topics.values().filter_map(Weak::upgrade).collect()
        };
        let here = Holding {
            sessions: inner.pool.count(),
            listeners: inner.parties.count(),
            resources: topics.iter().map(|topics| topics.count()).sum(),
            tasks: inner.tasks.registry.count(),
        };
        // The tasks of both ways are the same.
        let there = self.legs.made().map_or_else(Holding::default, |other| Holding { tasks: 0, ..other.held() });
        here + there
    }
}
