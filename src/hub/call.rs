//! A call and its outcome.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::{
    jsonrpc::{Raw, RawObject},
    protocol::Method,
};

use super::{Caller, Life, Peer};

/// One client request on its way through a mount.
#[derive(Clone)]
pub struct Call {
    /// Who calls.
    pub caller: Arc<Caller>,
    /// What is called.
    pub method: Method,
    /// The parameters in the shape of the caller's revision, without `inputResponses` and `requestState`.
    pub params: RawObject,
    /// The first leg, or the answers to questions of an earlier one.
    pub attempt: Attempt,
    /// Who is told about progress and asked questions while the call runs.
    pub peer: Arc<dyn Peer>,
    /// Headers of the client's request for a server over HTTP: those that [`Mount::forwards`](super::Mount::forwards) names,
    /// and `Mcp-Param-*` that mirror nothing known here. Never credentials.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long the call may last, and why it ended early.
    pub life: Life,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("method", &self.method).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

/// Which leg of a call this is (2026-07-28, basic/patterns/mrtr).
#[derive(Clone, Debug)]
pub enum Attempt {
    /// The call is new.
    First,
    /// The call is sent again with answers.
    Answers {
        /// Key to answer, as the server named the keys.
        responses: RawObject,
        /// What the server asked to be echoed, byte for byte.
        state: Option<RequestState>,
    },
}

/// What a modern server wants echoed with the answers. Nobody but that server can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestState(pub Raw);

/// How a call ended. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A final result, in the shape of the caller's revision.
    Complete(Raw),
    /// A modern server asks before it goes on.
    NeedsInput {
        /// Key to question (`{method, params}`).
        requests: RawObject,
        /// What has to be echoed with the answers.
        state: Option<RequestState>,
    },
    /// A task was created instead of an answer.
    Task(Raw),
}
