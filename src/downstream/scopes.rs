//! The scopes that modern requests share: one per principal.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::hub::{Principal, Scope, SilentPeer};

/// How many principals are kept at once.
const PRINCIPALS: usize = 10_000;

/// The scope of each principal. Modern requests of one principal share upstream sessions, whatever connection they come on;
/// questions outside a call have nobody to go to in that era.
#[derive(Debug, Default)]
pub struct Scopes {
    known: Mutex<HashMap<Principal, Arc<Scope>>>,
}

impl Scopes {
    /// The scope of a principal, and one of its own for each request of somebody unknown. When there are too many, those
    /// that nothing uses are let go.
    #[must_use]
    pub fn of(&self, principal: &Principal) -> Arc<Scope> {
        if principal.is_anonymous() {
            return Scope::shared(Arc::new(SilentPeer));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scope) = known.get(principal) {
            return scope.clone();
        }
        if known.len() >= PRINCIPALS {
            known.retain(|_, scope| Arc::strong_count(scope) > 1);
        }
        let scope = Scope::shared(Arc::new(SilentPeer));
        known.insert(principal.clone(), scope.clone());
        scope
    }
}
