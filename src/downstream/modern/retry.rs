//! Which leg of a call a request is (2026-07-28, basic/patterns/mrtr).

use crate::{
    hub::{Attempt, RequestState},
    jsonrpc::RawObject,
    protocol::Method,
    seal::Purpose,
};

use super::{
    digest::{INPUT_RESPONSES, REQUEST_STATE},
    exchange::Exchange,
    refused::Refused,
    state::State,
};

/// Where a request goes.
pub(super) enum Next {
    /// To the mount.
    Call(Attempt),
    /// To a call that waits here.
    Attach {
        /// Which one.
        call: String,
        /// The generation that is answered.
        generation: u32,
        /// The answers by key.
        answers: RawObject,
    },
}

/// Takes the answers and the state out of the parameters.
pub(super) fn read(exchange: &Exchange, params: &mut RawObject) -> Result<Next, Refused> {
    // What answers the questions of a task is no retry.
    let is_other = matches!(exchange.method, Method::Other(_) | Method::TasksUpdate);
    if is_other || !(params.has(INPUT_RESPONSES) || params.has(REQUEST_STATE)) {
        return Ok(Next::Call(Attempt::First));
    }
    let responses = params.remove(INPUT_RESPONSES).filter(|r| !r.is_null());
    let state = params.remove(REQUEST_STATE).filter(|s| !s.is_null());
    if !exchange.method.may_ask() {
        // Nobody ever asked: there is nothing that these could answer.
        return Ok(Next::Call(Attempt::First));
    }
    let given = responses.is_some();
    let responses = match responses {
        None => RawObject::new(),
        Some(responses) => {
            responses.to_object().ok_or_else(|| Refused::params("`inputResponses` must be an object"))?
        }
    };
    let Some(state) = state else {
        // A server that keeps no state may have asked without one.
        let attempt = if given { Attempt::Answers { responses, state: None } } else { Attempt::First };
        return Ok(Next::Call(attempt));
    };
    // What looks like ours is ours: such a state of a server is never given out as it is.
    let is_bare = state.as_text().is_some_and(|text| !Purpose::RequestState.marks(&text));
    if is_bare && exchange.shared.mount.passes_state(&exchange.caller) {
        return Ok(Next::Call(Attempt::Answers { responses, state: Some(RequestState::Bare(state)) }));
    }
    match exchange.seals().open(&state, &exchange.digest()) {
        None => Err(RequestState::invalid().into()),
        Some(State::Relay { upstream }) => {
            Ok(Next::Call(Attempt::Answers { responses, state: Some(RequestState::Sealed(upstream)) }))
        }
        // Whoever held the connection to the server has ended, and the call with it.
        Some(State::Parked { owner, .. }) if owner != exchange.shared.settings.held.parking.owner() => {
            Err(exchange.lost().into())
        }
        Some(State::Parked { call, generation, .. }) => Ok(Next::Attach { call, generation, answers: responses }),
    }
}
