//! A server of either era that does what the arguments of a call say, and sometimes misbehaves. It is reached by a
//! [`pipe`](super::pipe), a session a server, or over [`http`](super::http), where one server has all sessions.

mod calls;
mod changes;
mod tasks;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
};
use tokio_util::sync::CancellationToken;

use self::{changes::Ear, tasks::Task};
use super::{
    Rules,
    ledger::{Event, Gauge, Ledger, Present, lock},
    random::Random,
};

pub(super) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
pub(super) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// Where a server says something.
pub(super) type Line = mpsc::UnboundedSender<Value>;

/// A server, as one process.
pub(super) struct Server {
    pub(super) rules: Rules,
    pub(super) ledger: Arc<Ledger>,
    random: Random,
    /// Fires when it crashes or ends.
    pub(super) over: CancellationToken,
    tasks: Mutex<HashMap<String, Arc<Task>>>,
    ears: Mutex<HashMap<u64, Ear>>,
    next: AtomicU64,
}

/// What it keeps of one client; in the modern era of one pipe, or of one request over HTTP.
pub(super) struct Session {
    name: String,
    /// Whose it is, by the first call that came.
    owner: Mutex<Option<String>>,
    /// Where it hears what belongs to no call.
    pub(super) standing: Mutex<Option<Line>>,
    asked: Mutex<HashMap<String, oneshot::Sender<Value>>>,
    subscribed: Mutex<HashMap<String, Present>>,
    running: Mutex<HashMap<String, AbortHandle>>,
    pub(super) over: CancellationToken,
}

impl Session {
    pub(super) fn of(server: &Server) -> Arc<Self> {
        Arc::new(Self {
            name: format!("session {}", server.number()),
            owner: Mutex::default(),
            standing: Mutex::default(),
            asked: Mutex::default(),
            subscribed: Mutex::default(),
            running: Mutex::default(),
            over: server.over.child_token(),
        })
    }

    /// Ends everything that goes on in it.
    pub(super) fn end(&self, server: &Server) {
        server.ledger.tell(format!("server: {} ends", self.name));
        self.over.cancel();
        lock(&self.subscribed).clear();
        lock(&self.asked).clear();
    }

    fn says(&self, message: Value) {
        if let Some(line) = &*lock(&self.standing) {
            let _ = line.send(message);
        }
    }
}

impl Server {
    pub(super) fn new(rules: Rules, random: Random, ledger: Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self {
            rules,
            ledger,
            random,
            over: CancellationToken::new(),
            tasks: Mutex::default(),
            ears: Mutex::default(),
            next: AtomicU64::new(1),
        })
    }

    /// A session of one principal is used by nobody else.
    fn belongs(&self, session: &Session, owner: &str) {
        let mut first = lock(&session.owner);
        let first = first.get_or_insert_with(|| owner.to_owned());
        if *first != owner && !self.rules.is_shared() {
            self.ledger.fault(format!("{owner} is in the session of {first}"));
        }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn crash(&self) {
        self.ledger.happened(Event::Crash);
        self.over.cancel();
    }

    fn capabilities(&self) -> Value {
        let list = json!({"listChanged": true});
        match self.rules.is_modern {
            true => json!({"tools": list, "resources": {"listChanged": true, "subscribe": true},
                "extensions": {EXTENSION: {}}}),
            false => json!({"tools": list, "resources": {"listChanged": true, "subscribe": true},
                "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}}),
        }
    }

    fn tools(&self) -> Value {
        let tool = |name: &str, support: &str| {
            let mut tool = json!({"name": name, "inputSchema": {"type": "object"}});
            if !self.rules.is_modern {
                tool["execution"] = json!({"taskSupport": support});
            }
            tool
        };
        json!([tool("work", "optional"), tool("job", "required")])
    }

    /// Takes a message of a client; what is said because of it goes to `line`.
    pub(super) fn take(self: &Arc<Self>, session: &Arc<Session>, message: Value, line: Line) {
        let Some(method) = message["method"].as_str().map(str::to_owned) else {
            let waiting = lock(&session.asked).remove(message["id"].as_str().unwrap_or_default());
            match waiting {
                Some(waiting) => drop(waiting.send(message.get("result").cloned().unwrap_or(Value::Null))),
                None => self.ledger.tell(format!("server: an answer to {}, which waits for none", message["id"])),
            }
            return;
        };
        if message.get("id").is_none() {
            if method == "notifications/cancelled" {
                let call = lock(&session.running).remove(&message["params"]["requestId"].to_string());
                if let Some(call) = call {
                    call.abort();
                }
            }
            return;
        }
        if let Some(answer) = self.at_once(session, &method, &message) {
            let _ = line.send(answered(&message["id"], answer));
            return;
        }
        let (server, within, id) = (self.clone(), session.clone(), message["id"].to_string());
        let present = (method != "subscriptions/listen").then(|| self.ledger.present(Gauge::Running));
        let over = session.over.clone();
        let call = tokio::spawn(async move {
            let gone = line.clone();
            tokio::select! {
                biased;
                () = over.cancelled() => {}
                () = gone.closed() => {}
                () = server.work(&within, &method, &message, line) => {}
            }
            lock(&within.running).remove(&message["id"].to_string());
            drop(present);
        });
        lock(&session.running).insert(id, call.abort_handle());
    }

    /// The answer to what takes no time.
    fn at_once(&self, session: &Session, method: &str, message: &Value) -> Option<Result<Value, Value>> {
        let (modern, params) = (self.rules.is_modern, &message["params"]);
        let complete = |mut result: Value| {
            if modern {
                result["resultType"] = json!("complete");
                result["ttlMs"] = json!(60_000);
                result["cacheScope"] = json!("private");
            }
            Some(Ok(result))
        };
        match (modern, method) {
            (false, "initialize") => complete(json!({"protocolVersion": params["protocolVersion"],
                "capabilities": self.capabilities(), "serverInfo": {"name": "work", "version": "1"}})),
            (true, "server/discover") => complete(json!({"supportedVersions": ["2026-07-28"],
                "capabilities": self.capabilities(),
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "work", "version": "1"}}})),
            (_, "tools/list") => complete(json!({"tools": self.tools()})),
            (_, "resources/list") => complete(json!({"resources": []})),
            (false, "ping" | "logging/setLevel") => Some(Ok(json!({}))),
            (false, "resources/subscribe" | "resources/unsubscribe") => {
                Some(self.subscribing(session, method == "resources/subscribe", params))
            }
            (true, "tools/call" | "subscriptions/listen") | (false, "tools/call" | "tasks/result") => None,
            (_, method) if method.starts_with("tasks/") => Some(self.about_task(session, method, params)),
            _ => Some(Err(error(-32601, "Method not found"))),
        }
    }

    /// Does what takes time, and answers.
    async fn work(self: &Arc<Self>, session: &Arc<Session>, method: &str, message: &Value, line: Line) {
        let random = self.random.fork();
        match method {
            "subscriptions/listen" => self.listen(message, &line, &random).await,
            "tasks/result" => self.task_result(session, message, &line).await,
            _ => self.call(session, message, &line, &random).await,
        }
    }
}

/// A response.
fn answered(id: &Value, answer: Result<Value, Value>) -> Value {
    match answer {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    }
}

fn error(code: i64, message: &str) -> Value {
    json!({"code": code, "message": message})
}

fn notification(method: &str, params: &Value) -> Value {
    let mut said = json!({"jsonrpc": "2.0", "method": method});
    if !params.is_null() {
        said["params"] = params.clone();
    }
    said
}
