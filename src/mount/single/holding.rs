//! How much a mount holds.

use std::sync::{PoisonError, Weak};

use super::Single;

/// What a mount holds at the moment beside the calls that run. All of it is let go of in time when nobody comes any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Sessions with the server that others may use, and clients' own: in use, idle, or being opened.
    pub sessions: usize,
    /// Clients that are told of changes: sessions of legacy ones, and subscriptions of modern ones.
    pub listeners: usize,
    /// Resources that are subscribed to at a legacy server, those included that nobody has wanted since a moment ago.
    pub resources: usize,
    /// Tasks that have not lived as long as they may.
    pub tasks: usize,
}

impl Single {
    /// What the mount holds, in either era.
    #[must_use]
    pub fn holding(&self) -> Holding {
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
        match self.legs.made().map(Self::holding) {
            // The tasks of both ways are the same.
            Some(there) => Holding {
                sessions: here.sessions + there.sessions,
                listeners: here.listeners + there.listeners,
                resources: here.resources + there.resources,
                ..here
            },
            None => here,
        }
    }
}
