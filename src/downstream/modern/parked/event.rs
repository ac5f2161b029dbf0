//! What happens to a call that waits for answers, and what has to be done then.

use crate::{
    downstream::modern::digest::Digest,
    hub::{Question, Refusal},
    jsonrpc::RawObject,
    protocol::ClientCapabilities,
};

/// What happens to a call.
#[derive(Clone, Debug)]
pub(in crate::downstream::modern) enum Event<O> {
    /// The server asks.
    Asked(u64, Question),
    /// The server takes a question back.
    Withdrawn(u64),
    /// The client sends the call again.
    Retry(Retry),
    /// A request of the client does not wait any more.
    Left(u64),
    /// The call is done; with the size of its outcome in bytes.
    Finished(O, usize),
    /// Time has passed.
    Tick,
    /// The gateway is about to stop: questions that nobody has seen are not shown any more.
    Stop,
    /// The gateway stops.
    Drain,
    /// Nobody drives the call any more.
    Lost,
}

/// A request that brings answers.
#[derive(Clone, Debug)]
pub(in crate::downstream::modern) struct Retry {
    /// The request, while it waits.
    pub(in crate::downstream::modern) waiter: u64,
    /// The generation that it answers.
    pub(in crate::downstream::modern) generation: u32,
    /// The answers by key.
    pub(in crate::downstream::modern) answers: RawObject,
    /// Their digest.
    pub(in crate::downstream::modern) digest: Digest,
    /// What the client says it can do now.
    pub(in crate::downstream::modern) capabilities: ClientCapabilities,
}

/// What has to be done.
#[derive(Clone, Debug)]
pub(in crate::downstream::modern) enum Action<O> {
    /// The server gets an answer.
    Answer(u64, RawObject),
    /// The server gets none.
    Refuse(u64, Refusal),
    /// A request waits for the call now.
    Accept(u64),
    /// A request is answered.
    Reply(u64, Reply<O>),
    /// The call is to be dropped, for this reason. Nothing else follows.
    End(&'static str),
    /// The call is over; what is left serves retries that come twice, and may take this many bytes.
    Linger(usize),
    /// There is nothing left to keep.
    Forget,
}

/// What a request is answered.
#[derive(Clone, Debug)]
pub(in crate::downstream::modern) enum Reply<O> {
    /// With questions.
    Ask {
        /// What a retry has to name.
        generation: u32,
        /// Key to question.
        requests: RawObject,
    },
    /// With the outcome of the call.
    Done(O),
    /// Its state is not the one to be answered now.
    Stale,
    /// The answer under this key is useless, again.
    Useless(String),
    /// The time of the call is over.
    Expired,
    /// The gateway lost the call.
    Lost,
}
