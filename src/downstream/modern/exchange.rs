//! What is needed to turn the outcome of a call into the answer of a request.

use std::sync::Arc;

use crate::{
    hub::{Caller, Fault, Outcome, Reason},
    jsonrpc::Raw,
    protocol::Method,
};

use super::{Shared, gate, leg::Ending, refused::presentable};

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
    /// The answer that a call's end gives.
    pub(super) fn conclude(&self, outcome: Result<Outcome, Fault>) -> Ending {
        self.result(outcome).map_err(|fault| presentable(fault.to_error()))
    }

    fn result(&self, outcome: Result<Outcome, Fault>) -> Result<Raw, Fault> {
        match outcome? {
            Outcome::Complete(result) => Ok(result),
            Outcome::Task(result) if self.caller.capabilities.extends(gate::TASKS) => Ok(result),
            Outcome::Task(_) => Err(broken("the server created a task for a client that knows none")),
            Outcome::NeedsInput { .. } => Err(broken("the server asked for input where it must not")),
        }
    }
}

fn broken(message: &str) -> Fault {
    Fault::gateway(Reason::UpstreamProtocol, message)
}
