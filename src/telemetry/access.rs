//! What the access log says about a request, beside what HTTP says.

use std::sync::{Arc, OnceLock};

use crate::{
    hub::Principal,
    jsonrpc::{Message, Payload},
    protocol::{Method, trace::Trace},
};

/// What is learned about a request on its way in. A request extension, which is there only while somebody reads the access
/// log; whoever learns something notes it.
#[derive(Clone, Debug, Default)]
pub struct Note(Arc<Learned>);

#[derive(Debug, Default)]
struct Learned {
    principal: OnceLock<Principal>,
    method: OnceLock<&'static str>,
    trace: OnceLock<Trace>,
}

impl Note {
    /// Notes who sent the request. The first word counts.
    pub fn principal(&self, principal: &Principal) {
        let _ = self.0.principal.set(principal.clone());
    }

    /// Notes what the body asks for: a method that some revision defines, or in one word what else it is; and the trace that
    /// it says it belongs to. The client's own words never come into the log.
    pub fn payload(&self, payload: &Payload) {
        let word = match payload {
            Payload::One(Message::Request(request)) => {
                let method = Method::parse(&request.method);
                Method::KNOWN.iter().find(|known| **known == method).map_or("other", Method::as_str)
            }
            Payload::One(Message::Notification(_)) => "notification",
            Payload::One(Message::Response(_)) => "response",
            Payload::Batch(_) => "batch",
        };
        let _ = self.0.method.set(word);
        if let Payload::One(Message::Request(request)) = payload
            && let Some(trace) = request.params.as_ref().and_then(Trace::of_params)
        {
            let _ = self.0.trace.set(trace);
        }
    }

    /// Who sent the request, as far as that was found out.
    #[must_use]
    pub fn sender(&self) -> Option<&Principal> {
        self.0.principal.get()
    }

    /// The trace that the body says the request belongs to.
    #[must_use]
    pub fn trace(&self) -> Option<&Trace> {
        self.0.trace.get()
    }

    /// What the body asked for.
    #[must_use]
    pub fn method(&self) -> Option<&'static str> {
        self.0.method.get().copied()
    }
}
