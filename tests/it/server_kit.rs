//! Playing the gateway's part towards one server: callers, peers and calls for the tests of the servers' side.

use std::sync::{Arc, Mutex};

use rialto::{
    hub::{
        Answer, Answering, BoxFuture, Caller, Credentials, Fault, Life, Peer, Principal, Question, Refusal, Scope,
        SilentPeer,
    },
    jsonrpc::Notification,
    protocol::{ClientCapabilities, Method, Revision},
    upstream::{Opening, Outgoing, Session},
};
use serde_json::Value;
use tokio::sync::mpsc;

pub(crate) use crate::support::{
    json::{object, raw, value},
    wait::soon,
};

/// Every capability that a server can make use of.
pub(crate) fn able() -> Value {
    serde_json::json!({"elicitation": {}, "sampling": {}, "roots": {}})
}

/// A caller of a shared scope.
pub(crate) fn caller(revision: Revision, capabilities: &Value) -> Arc<Caller> {
    caller_in(Scope::shared(Arc::new(SilentPeer)), revision, capabilities)
}

/// A caller in a scope.
pub(crate) fn caller_in(scope: Arc<Scope>, revision: Revision, capabilities: &Value) -> Arc<Caller> {
    let capabilities = ClientCapabilities::new(object(capabilities));
    let fingerprint = capabilities.fingerprint().into();
    Arc::new(Caller {
        principal: Principal::local(),
        scope,
        credentials: Credentials::default(),
        revision,
        client_info: Some(raw(&serde_json::json!({"name": "test-client", "version": "3"}))),
        capabilities,
        fingerprint,
        log_level: None,
        answers: if revision.is_modern() { Answering::Retry } else { Answering::Inline },
    })
}

/// An opening for a modern caller who can do everything, and what is heard outside its calls.
pub(crate) fn opening() -> (Opening, Arc<Recorder>, mpsc::UnboundedReceiver<Heard>) {
    let (outside, heard) = Recorder::new();
    let caller = caller(Revision::R2026_07_28, &able());
    (Opening { caller, outside: outside.clone(), counts: Arc::default(), alone: false, lent: false }, outside, heard)
}

/// An opening of which nobody hears anything.
pub(crate) fn quiet_opening() -> Opening {
    Opening {
        caller: caller(Revision::R2026_07_28, &able()),
        outside: Arc::new(SilentPeer),
        counts: Arc::default(),
        alone: false,
        lent: false,
    }
}

/// A call of a tool.
pub(crate) fn tool(name: &str, peer: Arc<dyn Peer>) -> Outgoing {
    request(Method::ToolsCall, &serde_json::json!({"name": name, "arguments": {}}), peer)
}

pub(crate) fn request(method: Method, params: &Value, peer: Arc<dyn Peer>) -> Outgoing {
    Outgoing {
        method,
        params: object(params),
        headers: Vec::new(),
        peer,
        capabilities: ClientCapabilities::new(object(&able())),
        life: Life::default(),
    }
}

/// Calls a tool and waits for its result.
pub(crate) async fn call_tool(session: &dyn Session, name: &str) -> Result<Value, Fault> {
    soon(name, session.call(tool(name, Arc::new(SilentPeer)))).await.map(|result| value(&result))
}

/// What a peer hears.
#[derive(Debug)]
pub(crate) enum Heard {
    Told(Notification),
    Asked(Question),
    /// The question was taken back.
    Withdrawn,
}

impl Heard {
    pub(crate) fn told(self) -> (String, Value) {
        match self {
            Self::Told(n) => (n.method, n.params.map(|p| value(&p.to_raw())).unwrap_or_default()),
            other => panic!("expected a notification: {other:?}"),
        }
    }

    pub(crate) fn asked(self) -> String {
        match self {
            Self::Asked(question) => question.method,
            other => panic!("expected a question: {other:?}"),
        }
    }
}

/// A peer that writes down what it hears, and answers what it is told to.
pub(crate) struct Recorder {
    heard: mpsc::UnboundedSender<Heard>,
    answer: Mutex<Option<Value>>,
}

impl Recorder {
    /// A peer that leaves questions open.
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Heard>) {
        let (heard, out) = mpsc::unbounded_channel();
        (Arc::new(Self { heard, answer: Mutex::default() }), out)
    }

    /// A peer that answers every question so.
    pub(crate) fn answering(answer: Value) -> (Arc<Self>, mpsc::UnboundedReceiver<Heard>) {
        let (peer, out) = Self::new();
        *peer.answer.lock().expect("no panic") = Some(answer);
        (peer, out)
    }
}

impl Peer for Recorder {
    fn notify(&self, notification: Notification) {
        let _ = self.heard.send(Heard::Told(notification));
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        struct Open(mpsc::UnboundedSender<Heard>);
        impl Drop for Open {
            fn drop(&mut self) {
                let _ = self.0.send(Heard::Withdrawn);
            }
        }
        let answer = self.answer.lock().expect("no panic").clone();
        let _ = self.heard.send(Heard::Asked(question));
        if let Some(answer) = answer {
            return Box::pin(std::future::ready(if answer.is_null() {
                Err(Refusal::Lapsed)
            } else {
                Ok(object(&answer))
            }));
        }
        let open = Open(self.heard.clone());
        Box::pin(async move {
            let _open = open;
            std::future::pending().await
        })
    }
}
