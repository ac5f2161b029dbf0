//! What a modern server wants echoed with the answers to its questions (`requestState`).
//!
//! A server binds its state to whoever it takes the caller for. Where all callers of the gateway are one to it, one caller
//! could use the state of another, so that the gateway seals it. Where each caller sends a credential of its own along, the
//! operator may leave it to the server: but for calls in which a layer has put something else in the place of that credential.

use std::sync::Arc;

use crate::{
    hub::{Attempt, Call, Caller, Fault, RequestState},
    jsonrpc::Raw,
    seal::Purpose,
    upstream::Session,
};

use super::{
    Inner,
    travelling::{is_special, own_headers},
};

impl Inner {
    /// Whether a caller may be given the server's states as they are.
    pub(super) fn passes_state(&self, caller: &Caller) -> bool {
        self.terms.pass_request_state && caller.revision.is_modern() && !caller.credentials.is_empty()
    }

    /// Whether the server is shown with this call who its caller is, and nobody else.
    fn passes_state_of(&self, call: &Call) -> bool {
        self.passes_state(&call.caller) && !is_special(&call.caller, &own_headers(call))
    }

    /// A state on its way to the caller. One that looks like ours, as that of another gateway does, is sealed: what comes back
    /// looking so is never anything else than what was sealed here.
    pub(super) fn state(&self, call: &Call, state: Raw) -> RequestState {
        let is_other = || state.as_text().is_some_and(|text| !Purpose::RequestState.marks(&text));
        match self.passes_state_of(call) && is_other() {
            true => RequestState::Bare(state),
            false => RequestState::Sealed(state),
        }
    }

    /// Whether a call brings nothing back that only a server could judge which is not asked.
    pub(super) fn check_state(&self, call: &Call, session: &Arc<dyn Session>) -> Result<(), Fault> {
        let is_bare = matches!(&call.attempt, Attempt::Answers { state: Some(RequestState::Bare(_)), .. });
        if !is_bare || session.revision().is_modern() && self.passes_state_of(call) {
            return Ok(());
        }
        let (mount, principal) = (&*self.name, call.caller.principal.as_str());
        tracing::info!(event = "request_state_refused", mount, principal, cause = "no server has given it out");
        Err(Fault::Answered(RequestState::invalid()))
    }
}
