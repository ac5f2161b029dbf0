//! Servers over streamable HTTP: how their era is found, and how both eras are spoken with them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rialto::{
    hub::{
        Answer, Answering, BoxFuture, Caller, Credentials, Fault, Life, Peer, Principal, Question, Reason, Refusal,
        Scope, SilentPeer,
    },
    jsonrpc::Notification,
    protocol::{ClientCapabilities, Method, Revision},
    upstream::{
        Connector, Opening, Outgoing, Session,
        http::{HttpConnector, HttpSettings, HttpTarget},
    },
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

mod legacy;
mod modern;
mod probe;
pub(crate) mod scripted;

use crate::support::{
    json::{object, raw, value},
    wait::within,
};
use scripted::{Piece, Reply, Scripted, Seen};

fn settings() -> HttpSettings {
    HttpSettings { backoff: Duration::from_millis(50), ..HttpSettings::default() }
}

fn connector(url: &str, settings: HttpSettings) -> HttpConnector {
    let headers = vec![(http::HeaderName::from_static("x-key"), http::HeaderValue::from_static("secret"))];
    let target = HttpTarget { url: url.parse().unwrap(), headers };
    HttpConnector::new("docs".into(), target, settings).unwrap()
}

fn caller(revision: Revision, capabilities: &Value, own_session: bool) -> Arc<Caller> {
    let silent: Arc<dyn Peer> = Arc::new(SilentPeer);
    let capabilities = ClientCapabilities::new(object(capabilities));
    Arc::new(Caller {
        principal: Principal::local(),
        scope: if own_session { Scope::session(silent) } else { Scope::shared(silent) },
        credentials: Credentials::default(),
        revision,
        client_info: Some(raw(&json!({"name": "client", "version": "3", "x": 1.0}))),
        fingerprint: capabilities.fingerprint().into(),
        capabilities,
        log_level: None,
        answers: if revision.is_modern() { Answering::Retry } else { Answering::Inline },
    })
}

/// A client that notes what it is told and answers what it is asked.
struct Client {
    heard: Mutex<Vec<Value>>,
    told: mpsc::UnboundedSender<Value>,
    answer: Option<Value>,
    withdrawn: Arc<Mutex<usize>>,
}

struct Asked(Arc<Mutex<usize>>, bool);

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.1 {
            *self.0.lock().unwrap() += 1;
        }
    }
}

impl Client {
    /// It gives this answer to every question, or never answers.
    fn new(answer: Option<Value>) -> (Arc<Self>, mpsc::UnboundedReceiver<Value>) {
        let (told, hears) = mpsc::unbounded_channel();
        (Arc::new(Self { heard: Mutex::default(), told, answer, withdrawn: Arc::default() }), hears)
    }

    fn hear(&self, what: Value) {
        self.heard.lock().unwrap().push(what.clone());
        let _ = self.told.send(what);
    }
}

impl Peer for Client {
    fn notify(&self, said: Notification) {
        let params = said.params.map(|p| value(&p.to_raw()));
        self.hear(json!({"method": said.method, "params": params}));
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        let params = question.params.map(|p| value(&p.to_raw()));
        self.hear(json!({"method": question.method, "params": params}));
        let answer = self.answer.clone();
        let mut asked = Asked(self.withdrawn.clone(), false);
        Box::pin(async move {
            let answer = match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            };
            asked.1 = true;
            drop(asked);
            answer.as_object().map(|_| object(&answer)).ok_or(Refusal::NoOne)
        })
    }
}

async fn open_for(connector: &HttpConnector, caller: Arc<Caller>) -> Result<Arc<dyn Session>, Fault> {
    let opening = Opening { caller, outside: Arc::new(SilentPeer), counts: Arc::default(), alone: false, lent: false };
    within(connector.open(opening)).await
}

async fn open(connector: &HttpConnector) -> Result<Arc<dyn Session>, Fault> {
    open_for(connector, caller(Revision::R2026_07_28, &json!({}), false)).await
}

fn outgoing(method: Method, params: &Value) -> Outgoing {
    let peer = Arc::new(SilentPeer);
    let (params, capabilities) = (object(params), ClientCapabilities::default());
    Outgoing { method, params, headers: Vec::new(), peer, capabilities, life: Life::default() }
}

fn tool(name: &str) -> Outgoing {
    outgoing(Method::ToolsCall, &json!({"name": name, "arguments": {}}))
}

async fn call(session: &Arc<dyn Session>, outgoing: Outgoing) -> Result<Value, Fault> {
    within(session.call(outgoing)).await.map(|result| value(&result))
}

/// What went wrong: the reason, or the code of the error.
fn wrong<T>(outcome: Result<T, Fault>) -> String {
    match outcome {
        Ok(_) => "nothing".into(),
        Err(Fault::Answered(error) | Fault::Undeclared { cause: error, .. }) => error.code.to_string(),
        Err(Fault::Gateway(fault)) => {
            assert!(!fault.message.contains("127.0.0.1"), "a message for people holds an address: {}", fault.message);
            fault.reason.as_str().into()
        }
    }
}

/// The answer of a modern server to the question who it is.
pub(crate) fn discovered(seen: &Seen) -> Reply {
    Reply::json(
        200,
        &seen.result(json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28", "2099-01-01"], "ttlMs": 60000,
            "cacheScope": "public", "capabilities": {"tools": {}}, "instructions": "Be nice.",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s", "version": "1"}}})),
    )
}

/// The answers of a legacy server to all that is no call: the handshake, notifications, replies, the end of a session.
/// `GET` and calls are left to the test.
pub(crate) fn housekeeping(seen: &Seen, version: &str, session: Option<&str>) -> Option<Reply> {
    match (seen.verb.as_str(), seen.method()) {
        ("DELETE", _) => Some(Reply::empty(204)),
        ("POST", "initialize") => {
            let reply = Reply::json(
                200,
                &seen.result(json!({
                    "protocolVersion": version, "capabilities": {"tools": {}, "logging": {}},
                    "serverInfo": {"name": "old", "version": "1"}, "instructions": "Read me."})),
            );
            Some(match session {
                Some(session) => reply.with("mcp-session-id", session),
                None => reply,
            })
        }
        ("POST", "server/discover") => Some(Reply::json(404, &seen.error(-32601, "Method not found"))),
        ("POST", "") => Some(Reply::empty(202)),
        ("POST", method) if method.starts_with("notifications/") => Some(Reply::empty(202)),
        _ => None,
    }
}

/// A legacy server with sessions and without a `GET` stream, whose calls are answered by `call`.
async fn legacy<F>(call: impl Fn(Seen) -> F + Send + Sync + 'static) -> Scripted
where
    F: Future<Output = Reply> + Send + 'static,
{
    let greets = |seen: &Seen| match seen.verb {
        http::Method::GET => Some(Reply::empty(405)),
        _ => housekeeping(seen, "2025-11-25", Some("s-1")),
    };
    Scripted::greeting(greets, call).await
}
