//! The callers of late, so that a client's next request costs no second reading of what it can do.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use crate::{
    downstream::endpoint::Context,
    hub::{Answering, Caller, Credentials, Scope},
    jsonrpc::{Raw, scan::ScanLimits},
    protocol::{ClientCapabilities, Revision},
};

use super::envelope::Envelope;

/// How many callers are remembered.
const CALLERS: usize = 1024;
/// The largest envelope that is remembered, in bytes.
const LARGEST: usize = 16 * 1024;

/// Remembers callers by the bytes of their envelopes.
#[derive(Default)]
pub(super) struct Callers {
    /// The scope of all of them; each principal has its own where there is none.
    scope: Option<Arc<Scope>>,
    known: Mutex<HashMap<u64, Arc<Caller>>>,
    hasher: RandomState,
}

impl Callers {
    /// Callers that are all in one scope.
    pub(super) fn within(scope: Arc<Scope>) -> Self {
        Self { scope: Some(scope), ..Self::default() }
    }

    fn scope(&self, context: &Context<'_>) -> Arc<Scope> {
        self.scope.clone().unwrap_or_else(|| context.settings.scopes.of(context.principal))
    }

    /// The caller that a principal's envelope describes, and the headers that go on to the server.
    pub(super) fn caller(&self, context: &Context<'_>, envelope: &Envelope) -> Arc<Caller> {
        let credentials = context.credentials();
        // Two unknown callers are not one caller, whatever they say about themselves.
        if context.principal.is_anonymous() {
            return Arc::new(build(context, self.scope(context), credentials, envelope));
        }
        let hash = self.hash(context, &credentials, envelope);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        if let Some(caller) = known.filter(|caller| is(caller, context, &credentials, envelope)) {
            return caller;
        }
        let caller = Arc::new(build(context, self.scope(context), credentials, envelope));
        let length = |raw: &Option<Raw>| raw.as_ref().map_or(0, |r| r.as_bytes().len());
        if envelope.capabilities.as_bytes().len() + length(&envelope.client_info) <= LARGEST {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= CALLERS {
                known.clear();
            }
            known.insert(hash, caller.clone());
        }
        caller
    }

    fn hash(&self, context: &Context<'_>, credentials: &Credentials, envelope: &Envelope) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        context.principal.hash(&mut hasher);
        credentials.hash(&mut hasher);
        envelope.capabilities.as_bytes().hash(&mut hasher);
        for part in [&envelope.client_info, &envelope.log_level] {
            part.as_ref().map(Raw::as_bytes).hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn is(caller: &Caller, context: &Context<'_>, credentials: &Credentials, envelope: &Envelope) -> bool {
    caller.principal == *context.principal
        && caller.credentials == *credentials
        && caller.capabilities.declared().to_raw() == envelope.capabilities
        && caller.client_info == envelope.client_info
        && caller.log_level == envelope.log_level
}

fn build(context: &Context<'_>, scope: Arc<Scope>, credentials: Credentials, envelope: &Envelope) -> Caller {
    let capabilities = ClientCapabilities::new(own(&envelope.capabilities).to_object().unwrap_or_default());
    Caller {
        principal: context.principal.clone(),
        scope,
        credentials,
        revision: Revision::R2026_07_28,
        client_info: envelope.client_info.as_ref().map(own),
        fingerprint: capabilities.fingerprint().into(),
        capabilities,
        log_level: envelope.log_level.as_ref().map(own),
        answers: Answering::Retry,
    }
}

/// A copy that does not keep the whole body of the request in memory.
fn own(raw: &Raw) -> Raw {
    Raw::scan(Bytes::copy_from_slice(raw.as_bytes()), ScanLimits::REQUEST).unwrap_or_else(|_| Raw::null())
}
