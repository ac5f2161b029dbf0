//! What follows from the terms: what tells conversations apart, whether lists are for everybody, and how much older clients
//! are sent.

use std::sync::Arc;

use aws_lc_rs::digest;

use crate::{
    hub::{Call, Caller},
    protocol::{Revision, ladder::Plan, meta},
};

use super::{Inner, Single};

impl Single {
    /// The call in the part of its caller's scope that it names.
    pub(super) fn refined(&self, mut call: Call) -> Call {
        let caller = &call.caller;
        let named = self
            .inner
            .terms
            .affinity
            .as_ref()
            .and_then(|key| meta::get(&call.params, key))
            .filter(|name| !name.is_null());
        if let Some(name) = named
            && !caller.scope.is_session()
            && !caller.principal.is_anonymous()
        {
            let mut digest = [0; 32];
            digest.copy_from_slice(digest::digest(&digest::SHA256, name.as_bytes()).as_ref());
            call.caller = Arc::new(Caller { scope: caller.scope.part(digest), ..(**caller).clone() });
        }
        call
    }
}

impl Inner {
    /// Whether what the server lists may be shown to anybody.
    pub(super) fn is_public(&self) -> bool {
        self.terms.public_lists && self.catalog.spoken().is_some_and(|revision| !revision.is_modern())
    }

    /// The way between a caller and a session that speaks `server`.
    pub(super) fn plan(&self, caller: &Caller, server: Revision) -> Plan {
        Plan { strict: self.terms.strict_downlevel, ..Plan::between(caller.revision, server) }
    }
}
