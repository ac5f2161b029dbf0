//! Who holds which topic.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    hub::{Principal, WeakCaller},
    protocol::ladder::Plan,
};

use super::{
    super::{client::Client, listener::Listener},
    Ear, Whose,
};

/// How many resources may stay subscribed to that nobody wants any more.
pub(super) const LINGERING: usize = 1000;

#[derive(Default)]
pub(super) struct Table {
    pub(super) topics: HashMap<Arc<str>, Topic>,
    pub(super) holders: HashMap<u64, Holder>,
    pub(super) held: HashMap<Principal, usize>,
    pub(super) lingering: usize,
    /// What was given up in this session. The server may go on to speak of it: it was told only as well as that could be done.
    given_up: HashSet<Arc<str>>,
    pub(super) next: u64,
    pub(super) is_kept: bool,
    /// How long a resource stays subscribed to that nobody wants any more: clients come back.
    linger: Duration,
}

pub(super) struct Topic {
    pub(super) turn: Arc<tokio::sync::Mutex<Taken>>,
    pub(super) holders: HashSet<u64>,
    /// Nobody holds it, and then it goes.
    pub(super) until: Option<Instant>,
}

pub(super) struct Holder {
    pub(super) ear: Ear,
    pub(super) caller: WeakCaller,
    pub(super) principal: Principal,
    pub(super) topics: HashSet<Arc<str>>,
}

/// Whether the server sends updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Taken {
    #[default]
    No,
    /// It was asked and has not answered.
    Maybe,
    Yes,
}

pub(super) enum Told {
    Listener(Arc<Listener>),
    Client(Arc<Client>),
}

impl Holder {
    pub(super) fn told(&self) -> Option<(Told, Plan)> {
        let to = match &self.ear.whose {
            Whose::Listener(listener) => Told::Listener(listener.clone()),
            Whose::Client(client) => Told::Client(client.upgrade()?),
        };
        Some((to, self.ear.plan))
    }

    /// Whether the session is kept open for it: a client that has given up everything has a session of its own, or none.
    pub(super) fn needs_session(&self) -> bool {
        matches!(self.ear.whose, Whose::Listener(_)) || !self.topics.is_empty()
    }

    pub(super) fn client(&self) -> Option<Arc<Client>> {
        match &self.ear.whose {
            Whose::Client(client) => client.upgrade(),
            Whose::Listener(_) => None,
        }
    }
}

/// What becomes of a topic that nobody holds any more.
#[derive(Clone, Copy)]
pub(super) enum End {
    Lingers,
    /// The server is told at once, where there is anything to tell.
    Now,
    /// The server is told nothing.
    Forgotten,
}

impl Table {
    /// Nothing is held yet. What nobody wants any more stays subscribed to for `linger`.
    pub(super) fn new(linger: Duration) -> Self {
        Self { linger, ..Self::default() }
    }

    /// Forgets what nobody holds any more, for the session is over.
    pub(super) fn forget_unheld(&mut self) {
        self.topics.retain(|_, topic| topic.until.is_none());
        self.lingering = 0;
        self.given_up.clear();
    }

    /// Takes a topic out that nobody holds any more.
    pub(super) fn give_up(&mut self, uri: &Arc<str>) {
        self.topics.remove(uri);
        self.lingering -= 1;
        if self.given_up.len() < LINGERING {
            self.given_up.insert(uri.clone());
        }
    }

    /// Whether this was subscribed to in this session, or may have been, and is not any more.
    pub(super) fn was_given_up(&self, uri: &str) -> bool {
        self.given_up.contains(uri) || self.given_up.len() >= LINGERING
    }

    pub(super) fn leave(&mut self, id: u64, uri: &str, end: End) {
        let Some(holder) = self.holders.get_mut(&id) else { return };
        if !holder.topics.remove(uri) {
            return;
        }
        if let Some(held) = self.held.get_mut(&holder.principal) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&holder.principal);
            }
        }
        let Some(topic) = self.topics.get_mut(uri) else { return };
        topic.holders.remove(&id);
        if !topic.holders.is_empty() {
            return;
        }
        let now = Instant::now();
        let until = match end {
            End::Lingers if self.lingering < LINGERING => now + self.linger,
            End::Lingers | End::Now => now,
            End::Forgotten => {
                self.topics.remove(uri);
                return;
            }
        };
        topic.until = Some(until);
        self.lingering += 1;
    }
}

/// The URI, and what it may be a part of: it may be cut before and after `/`, `?` and `#`. The longest first.
pub(super) fn cuts(uri: &str) -> impl Iterator<Item = &str> {
    let ends = uri.char_indices().rev().filter(|(_, c)| matches!(c, '/' | '?' | '#'));
    std::iter::once(uri)
        .chain(ends.flat_map(|(at, c)| [&uri[..at + c.len_utf8()], &uri[..at]]))
        .filter(|u| !u.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_belongs_to_what_it_is_a_part_of() {
        let cut = |uri| cuts(uri).collect::<Vec<_>>();
        assert_eq!(
            cut("file:///a/b"),
            ["file:///a/b", "file:///a/", "file:///a", "file:///", "file://", "file://", "file:/", "file:/", "file:"]
        );
        assert_eq!(cut("a:b?c#d"), ["a:b?c#d", "a:b?c#", "a:b?c", "a:b?", "a:b"]);
        assert_eq!(cut("urn:isbn:1"), ["urn:isbn:1"]);
    }
}
