//! Who shares which session.

use std::{num::NonZeroUsize, sync::Arc};

use crate::{
    hub::{Caller, Credentials},
    protocol::{Era, Revision},
    upstream::Sharing,
};

/// Who shares the upstream sessions of a server that needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// The calls of one principal, or of one legacy client's session.
    #[default]
    Principal,
    /// Everybody. Nobody can be asked anything then: a question could not be told whose it is.
    Everybody,
    /// Everybody whose clients declare the same capabilities, one at a time: a call in which the server may ask something has
    /// a session for itself until it ends, and others wait for their turn. Lists, subscriptions and the like pass meanwhile,
    /// and so do the calls of clients that cannot be asked anything, which share a session as with [`Share::Everybody`].
    ///
    /// Where a call leaves something behind in its session that could reach the next, that session is closed: after a call
    /// that the server did not answer, for one, or when the server was told somebody's roots.
    Leased {
        /// How many sessions there may be for those who declare the same. With more than one, that many calls run at once, in
        /// a session each.
        at_most: NonZeroUsize,
    },
    /// Nobody: each request of a modern client has a session of its own. A legacy client keeps its own.
    Nobody,
}

impl Share {
    /// One session for all who declare the same, lent to one of them at a time.
    pub const LEASED: Self = Self::Leased { at_most: NonZeroUsize::MIN };

    /// Whether principals share sessions.
    pub(in crate::mount) fn is_everybodys(self) -> bool {
        matches!(self, Self::Everybody | Self::Leased { .. })
    }
}

/// What a session may be shared by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::mount) struct Key {
    /// The scope, or 0 for everybody.
    pub(super) scope: u64,
    /// What is sent along with everything that is said in it: nobody else's calls are sent in its name.
    pub(super) credentials: Credentials,
    /// The declared capabilities, where they matter.
    fingerprint: Option<Arc<str>>,
    /// The revision of a client's own legacy session, which the server is greeted with.
    revision: Option<Revision>,
    /// Which of those it is that are lent to the same callers.
    pub(super) number: usize,
}

impl Key {
    pub(super) fn of(caller: &Caller, sharing: Sharing, share: Share) -> Self {
        let credentials = caller.credentials.clone();
        let is_everybodys = match sharing {
            Sharing::Everybody => true,
            Sharing::Sessionless => !caller.scope.is_session(),
            Sharing::Scope | Sharing::ScopeAndCapabilities => false,
        };
        if share.is_everybodys() || is_everybodys {
            // Where somebody can be asked, the session declares what they can do and no more.
            let is_lent = !is_everybodys && matches!(share, Share::Leased { .. }) && caller.capabilities.can_be_asked();
            let fingerprint = is_lent.then(|| caller.fingerprint.clone());
            return Self { scope: 0, credentials, fingerprint, revision: None, number: 0 };
        }
        let (scope, fingerprint) = match sharing {
            Sharing::Scope => (caller.scope.id(), None),
            _ => (caller.scope.id(), Some(caller.fingerprint.clone())),
        };
        let own = caller.scope.is_session() && caller.revision.era() == Era::Legacy;
        Self { scope, credentials, fingerprint, revision: own.then_some(caller.revision), number: 0 }
    }

    /// Another one of those that are lent to the same callers.
    pub(in crate::mount) fn numbered(&self, number: usize) -> Self {
        Self { number, ..self.clone() }
    }

    /// Whether it is one more than the first of those.
    pub(in crate::mount) fn is_further(&self) -> bool {
        self.number > 0
    }

    /// Whether it is lent to one of those who share it at a time.
    pub(super) fn is_lent(&self) -> bool {
        self.is_everybodys() && self.fingerprint.is_some()
    }

    /// Whether everybody shares it.
    pub(in crate::mount) fn is_everybodys(&self) -> bool {
        self.scope == 0
    }

    /// Whether it is the one session of all who send nothing along.
    pub(super) fn is_of_all(&self) -> bool {
        self.is_everybodys() && self.credentials.is_empty() && self.fingerprint.is_none()
    }

    /// Whether it is the session of one legacy client alone.
    pub(in crate::mount) fn is_own(&self) -> bool {
        self.revision.is_some()
    }
}
