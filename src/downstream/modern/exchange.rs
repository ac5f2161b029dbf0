//! What is needed to turn the end of a call into the answer of a request.

use std::sync::Arc;

use crate::{
    hub::{Caller, Fault, Outcome, Reason, RequestState},
    jsonrpc::{ErrorObject, Raw, RawObject, code},
    protocol::{Loss, Method, meta, method::question, tasks},
};

use super::{
    Shared,
    digest::{self, Digest},
    leg::Ending,
    parked::Reply,
    refused::presentable,
    state::{Seals, State},
};

/// One request: who asked for what, in which words.
pub(super) struct Exchange {
    pub(super) shared: Arc<Shared>,
    pub(super) caller: Arc<Caller>,
    pub(super) method: Method,
    /// The parameters as they came.
    pub(super) text: Raw,
    /// Who the server says it is.
    pub(super) server_info: Option<Raw>,
}

impl Exchange {
    /// The answer that the end of a call gives.
    pub(super) fn conclude(&self, outcome: Result<Outcome, Fault>) -> Ending {
        self.result(outcome).map_err(|fault| presentable(fault.to_error()))
    }

    /// The answer that a call gives which waited for answers.
    pub(super) fn settle(&self, call: &str, reply: Reply<Result<Outcome, Fault>>) -> Ending {
        let fault = match reply {
            Reply::Done(outcome) => return self.conclude(outcome),
            Reply::Ask { generation, requests } => {
                let owner = self.shared.settings.held.parking.owner().to_owned();
                let state = State::Parked { owner, call: call.to_owned(), generation };
                let asked = self.sealed(&state).map(|sealed| self.ask(&requests, Some(sealed)));
                return asked.map_err(|fault| fault.to_error());
            }
            Reply::Stale => {
                self.seals().refused("its questions are not the ones to be answered now");
                return Err(RequestState::invalid());
            }
            Reply::Useless(key) => {
                let message = format!("the answer under `{key}` in `inputResponses` does not answer the question");
                return Err(ErrorObject::new(code::INVALID_PARAMS, message));
            }
            Reply::Expired => Fault::gateway(Reason::Timeout, "the call took too long"),
            Reply::Lost => self.lost(),
        };
        Err(fault.to_error())
    }

    /// What all legs of the call have in common.
    pub(super) fn digest(&self) -> Digest {
        digest::of_call(&self.method, &self.text)
    }

    pub(super) fn seals(&self) -> Seals<'_> {
        Seals {
            sealer: &self.shared.settings.sealer,
            clock: &self.shared.clock,
            principal: self.caller.principal.as_str(),
            mount: self.shared.mount.name(),
        }
    }

    /// The call that a state stands for is gone, with whatever the server did for it; it may be made anew.
    pub(super) fn lost(&self) -> Fault {
        if let Some(counts) = self.shared.mount.counts() {
            counts.lost(Loss::ParkedCall);
        }
        Fault::gateway(Reason::SuspensionLost, "the call was lost while it waited for answers")
    }

    fn result(&self, outcome: Result<Outcome, Fault>) -> Result<Raw, Fault> {
        match outcome? {
            Outcome::Complete(result) => Ok(result),
            Outcome::Task(result) if self.caller.capabilities.extends(tasks::EXTENSION) => Ok(result),
            Outcome::Task(_) => Err(broken("the server created a task for a client that knows none")),
            Outcome::NeedsInput { requests, state } => {
                self.check(&requests, state.as_ref())?;
                let state = match state {
                    Some(RequestState::Bare(state)) => Some(state),
                    Some(RequestState::Sealed(upstream)) => Some(self.sealed(&State::Relay { upstream })?),
                    None => None,
                };
                Ok(self.ask(&requests, state))
            }
        }
    }

    /// Whether a server may ask this, now and of this client.
    fn check(&self, requests: &RawObject, state: Option<&RequestState>) -> Result<(), Fault> {
        if !self.method.may_ask() {
            return Err(broken("the server asked for input where the protocol does not let it"));
        }
        if requests.is_empty() && state.is_none() {
            return Err(broken("the server asked for input without saying which"));
        }
        for (_, request) in requests.iter() {
            let request = request.to_object().unwrap_or_default();
            let method = request.get("method").and_then(Raw::as_text).unwrap_or_default();
            if !matches!(&*method, question::ELICIT | question::SAMPLE | question::ROOTS) {
                return Err(broken("the server asked something that no client answers"));
            }
            if self.caller.capabilities.answers(&method, request.get_object("params").as_ref()).is_err() {
                return Err(broken("the server asked for something that the client did not declare"));
            }
        }
        Ok(())
    }

    /// A state as the client gets it.
    fn sealed(&self, state: &State) -> Result<Raw, Fault> {
        let sealed = self.seals().seal(state, &self.digest());
        let sealed = sealed.ok_or_else(|| Fault::gateway(Reason::Limit, "the server's requestState is too large"))?;
        Ok(Raw::from(&*sealed))
    }

    /// An `input_required` result.
    fn ask(&self, requests: &RawObject, state: Option<Raw>) -> Raw {
        let mut result = RawObject::from([("resultType", Raw::from("input_required"))]);
        if !requests.is_empty() {
            result.set("inputRequests", requests.to_raw());
        }
        if let Some(state) = state {
            result.set(digest::REQUEST_STATE, state);
        }
        if let Some(server_info) = &self.server_info {
            result.set(meta::META, RawObject::from([(meta::SERVER_INFO, server_info.clone())]).to_raw());
        }
        result.to_raw()
    }
}

fn broken(message: &str) -> Fault {
    Fault::gateway(Reason::UpstreamProtocol, message)
}
