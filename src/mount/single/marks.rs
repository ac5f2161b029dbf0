//! What the operator says about a server that is not to be seen from the outside: that its lists are for everybody, what
//! tells conversations apart, and whether its word on its tools is good.

use std::sync::Arc;

use aws_lc_rs::digest;

use crate::{
    hub::{Call, Caller},
    protocol::meta,
};

use super::{Inner, Single};

impl Single {
    /// Says whether what a legacy server lists and says about itself is the same for everybody, so that it may be kept for
    /// everybody: here, and by caches on the way to the clients. A modern server says so itself. For a mount that nobody uses
    /// yet.
    #[must_use]
    pub fn public(mut self, public: bool) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.public = public;
        }
        self
    }

    /// Has the call of a tool sent once more whose answer was lost on its way, where the server annotates the tool as one that
    /// changes nothing, or nothing more when it is called again. These are the server's words, which have to be trusted. For a
    /// mount that nobody uses yet.
    #[must_use]
    pub fn reissuing(mut self, reissues: bool) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.reissues = reissues;
        }
        self
    }

    /// Tells the conversations of one principal's modern clients apart by what they say under this key of `_meta`: each has
    /// upstream sessions of its own. Without it, or where a request says nothing, they share.
    #[must_use]
    pub fn affinity(self, key: Option<&str>) -> Self {
        Self { affinity: key.map(Into::into), ..self }
    }

    /// The call in the part of its caller's scope that it names.
    pub(super) fn refined(&self, mut call: Call) -> Call {
        let caller = &call.caller;
        let named = self.affinity.as_ref().and_then(|key| meta::get(&call.params, key)).filter(|name| !name.is_null());
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
        self.public && self.catalog.spoken().is_some_and(|revision| !revision.is_modern())
    }
}
