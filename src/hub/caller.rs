//! Who calls: the principal, the scope that may share upstream sessions, and what the client can do.

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    jsonrpc::{Raw, RawObject},
    protocol::{ClientCapabilities, Revision, ladder::Plan},
};

use super::{Credentials, Peer, SilentPeer};

/// Who is calling, as the authentication layer established it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal(Arc<str>);

impl Principal {
    /// A principal by its name. An empty name is [`Principal::anonymous`].
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The one user of a listener on loopback without authentication.
    #[must_use]
    pub fn local() -> Self {
        Self::new("local")
    }

    /// Somebody of whom nothing is known. Requests of such callers share nothing: each has a scope of its own.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::new("")
    }

    /// Whether nothing is known of the caller.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.0.is_empty()
    }

    /// Its name; empty for somebody of whom nothing is known.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the client answers questions on the spot (legacy) or by sending the call again (modern).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// By a response, while the call waits.
    Inline,
    /// By a retry with the answers.
    Retry,
}

/// The sender of a call.
#[derive(Clone)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// With whom it shares upstream sessions.
    pub scope: Arc<Scope>,
    /// What it sends along to the server. Those who send different things share nothing there, in one scope as well.
    pub credentials: Credentials,
    /// What it speaks.
    pub revision: Revision,
    /// Who the client says it is; for display and for the server, never for a decision.
    pub client_info: Option<Raw>,
    /// What it can do.
    pub capabilities: ClientCapabilities,
    /// [`ClientCapabilities::fingerprint`], computed once.
    pub fingerprint: Arc<str>,
    /// From which level on it wants log messages, as a JSON string.
    pub log_level: Option<Raw>,
    /// How it answers questions.
    pub answers: Answering,
}

impl Caller {
    /// The gateway itself, calling in the name of `principal`: it declares nothing, can be asked nothing, and has a scope of
    /// its own, so that what is opened for it ends with it.
    #[must_use]
    pub fn gateway(principal: Principal) -> Arc<Self> {
        Self::gateway_in(principal, Scope::shared(Arc::new(SilentPeer)))
    }

    /// The same in a scope that is given.
    #[must_use]
    pub fn gateway_in(principal: Principal, scope: Arc<Scope>) -> Arc<Self> {
        Arc::new(Self {
            principal,
            scope,
            credentials: Credentials::default(),
            revision: Revision::NEWEST_MODERN,
            client_info: None,
            capabilities: ClientCapabilities::default(),
            fingerprint: "".into(),
            log_level: None,
            answers: Answering::Retry,
        })
    }

    /// The same caller with what it sends along now.
    #[must_use]
    pub fn sending(self: Arc<Self>, credentials: &Credentials) -> Arc<Self> {
        if self.credentials == *credentials {
            return self;
        }
        Arc::new(Self { credentials: credentials.clone(), ..(*self).clone() })
    }

    /// The same caller, who can do what another one can.
    #[must_use]
    pub fn declaring(&self, other: &Self) -> Arc<Self> {
        let (capabilities, fingerprint) = (other.capabilities.clone(), other.fingerprint.clone());
        Arc::new(Self { capabilities, fingerprint, ..self.clone() })
    }

    /// Whether this question of a modern server can be put to the client: it declared that it answers such questions, and its
    /// revision has words for this one.
    #[must_use]
    pub fn can_be_asked(&self, method: &str, params: Option<&RawObject>) -> bool {
        self.capabilities.answers(method, params).is_ok()
            && Plan::between(self.revision, Revision::NEWEST_MODERN).can_ask(method, params)
    }

    /// The same caller for whoever must not keep its scope from ending.
    #[must_use]
    pub fn downgrade(&self) -> WeakCaller {
        WeakCaller {
            principal: self.principal.clone(),
            scope: Arc::downgrade(&self.scope),
            credentials: self.credentials.clone(),
            revision: self.revision,
            client_info: self.client_info.clone(),
            capabilities: self.capabilities.clone(),
            fingerprint: self.fingerprint.clone(),
            log_level: self.log_level.clone(),
            answers: self.answers,
        }
    }
}

/// A caller whose scope may have ended.
pub struct WeakCaller {
    principal: Principal,
    scope: Weak<Scope>,
    credentials: Credentials,
    revision: Revision,
    client_info: Option<Raw>,
    capabilities: ClientCapabilities,
    fingerprint: Arc<str>,
    log_level: Option<Raw>,
    answers: Answering,
}

impl WeakCaller {
    /// What the caller speaks.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The caller, while its scope exists.
    #[must_use]
    pub fn upgrade(&self) -> Option<Arc<Caller>> {
        Some(Arc::new(Caller {
            principal: self.principal.clone(),
            scope: self.scope.upgrade()?,
            credentials: self.credentials.clone(),
            revision: self.revision,
            client_info: self.client_info.clone(),
            capabilities: self.capabilities.clone(),
            fingerprint: self.fingerprint.clone(),
            log_level: self.log_level.clone(),
            answers: self.answers,
        }))
    }
}

impl std::fmt::Debug for WeakCaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeakCaller").field("principal", &self.principal).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller")
            .field("principal", &self.principal)
            .field("scope", &self.scope.id())
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// How many parts of one scope are known at once, the longest unused being forgotten first.
const PARTS: usize = 256;

static NEXT_SCOPE: AtomicU64 = AtomicU64::new(1);

/// Who shares upstream sessions: one legacy session, or one principal of the modern era. When the last holder lets go of
/// it, the upstream sessions opened for it are closed.
pub struct Scope {
    id: u64,
    /// Where things go that an upstream says or asks outside any call.
    peer: Arc<dyn Peer>,
    /// Whether the scope is one client's own session, whose upstream sessions end with it.
    own_session: bool,
    /// Whether it is a part of another one.
    is_part: bool,
    /// The parts of it, the one that was used last at the end.
    parts: Mutex<Vec<(PartName, Arc<Scope>)>>,
    /// What each holder does when the scope ends, by the holder's address.
    closing: Mutex<Vec<(usize, Closing)>>,
}

/// What a part of a scope is found by.
type PartName = [u8; 32];
type Closing = Box<dyn FnOnce() + Send>;

impl Scope {
    /// The scope of one client's session: it has upstream sessions of its own.
    #[must_use]
    pub fn session(peer: Arc<dyn Peer>) -> Arc<Self> {
        Self::with(peer, true)
    }

    /// The scope that all modern requests of one principal share.
    #[must_use]
    pub fn shared(peer: Arc<dyn Peer>) -> Arc<Self> {
        Self::with(peer, false)
    }

    fn with(peer: Arc<dyn Peer>, own_session: bool) -> Arc<Self> {
        let id = NEXT_SCOPE.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { id, peer, own_session, is_part: false, parts: Mutex::default(), closing: Mutex::default() })
    }

    /// The part of this scope that `name` names, for whom even this scope holds too many: it shares nothing with the others,
    /// nor with the whole. It ends with the scope, or when too many others were used since.
    #[must_use]
    pub fn part(&self, name: PartName) -> Arc<Self> {
        // Dropped after the lock: the end of a scope has consequences.
        let _forgotten;
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let part = match parts.iter().position(|(known, _)| *known == name) {
            Some(at) => parts.remove(at).1,
            None => {
                let id = NEXT_SCOPE.fetch_add(1, Ordering::Relaxed);
                let (parts, closing) = (Mutex::default(), Mutex::default());
                Arc::new(Self { id, peer: self.peer.clone(), own_session: false, is_part: true, parts, closing })
            }
        };
        _forgotten = (parts.len() >= PARTS).then(|| parts.remove(0));
        parts.push((name, part.clone()));
        part
    }

    /// Whether it is a part of another scope.
    #[must_use]
    pub fn is_part(&self) -> bool {
        self.is_part
    }

    /// A number that no other scope of this process has.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Who hears what belongs to no call.
    #[must_use]
    pub fn peer(&self) -> &Arc<dyn Peer> {
        &self.peer
    }

    /// How many hooks it keeps.
    #[cfg(test)]
    pub(crate) fn hooks(&self) -> usize {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether this is one client's own session.
    #[must_use]
    pub fn is_session(&self) -> bool {
        self.own_session
    }

    /// Runs `hook` when the scope ends, if `holder` still exists then. One hook a holder is kept, the first: scopes live as
    /// long as their principal comes back, and what is opened for them comes and goes.
    pub fn on_close<T: Send + Sync + 'static>(&self, holder: &Arc<T>, hook: impl FnOnce(&T) + Send + 'static) {
        let address = Arc::as_ptr(holder).addr();
        let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        if closing.iter().any(|(known, _)| *known == address) {
            return;
        }
        // Held weakly, which also keeps the address from being given to somebody else.
        let holder = Arc::downgrade(holder);
        let run = move || {
            if let Some(holder) = holder.upgrade() {
                hook(&holder);
            }
        };
        closing.push((address, Box::new(run)));
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        for (_, hook) in self.closing.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            hook();
        }
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn parts_of_a_scope_are_kept_as_long_as_they_are_used() {
        let scope = Scope::shared(Arc::new(SilentPeer));
        let (first, ended) = (scope.part([0; 32]), Arc::new(AtomicUsize::new(0)));
        assert_ne!(first.id(), scope.id());
        first.on_close(&ended, |n| {
            n.fetch_add(1, Ordering::Relaxed);
        });
        let id = first.id();
        drop(first);
        let fill = |with: u8| {
            for n in 1..PARTS {
                let mut name = [with; 32];
                name[..2].copy_from_slice(&u16::try_from(n).unwrap().to_be_bytes());
                drop(scope.part(name));
            }
        };
        fill(1);
        assert_eq!(scope.part([0; 32]).id(), id, "it was used last of all");
        fill(2);
        assert_eq!(ended.load(Ordering::Relaxed), 0);
        drop(scope.part([9; 32]));
        assert_eq!(ended.load(Ordering::Relaxed), 1);
        assert_ne!(scope.part([0; 32]).id(), id);
        assert_eq!(scope.parts.lock().unwrap().len(), PARTS);
    }

    #[test]
    fn a_scope_keeps_one_hook_a_holder_and_none_for_those_that_are_gone() {
        let scope = Scope::shared(Arc::new(SilentPeer));
        let (kept, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..1000 {
            scope.on_close(&kept, |n| {
                n.fetch_add(1, Ordering::Relaxed);
            });
        }
        scope.on_close(&gone, |_| panic!("nobody is there"));
        drop(gone);
        assert_eq!(scope.closing.lock().unwrap().len(), 2);
        drop(scope);
        assert_eq!(kept.load(Ordering::Relaxed), 1);
    }
}
