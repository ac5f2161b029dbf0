//! A legacy server over HTTP whose tools are written by the test: it keeps sessions, has a stream for what belongs to no
//! call, and asks wherever it is told to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    support::wait::soon,
    upstream_http::scripted::{Piece, Reply, Scripted, Seen, send},
};

use super::BoxFuture;

type Handler = dyn Fn(Arrived) -> BoxFuture<Result<Value, Value>> + Send + Sync;
type Greeter = dyn Fn(Outside) -> BoxFuture<()> + Send + Sync;

/// What the server is like.
#[derive(Clone)]
pub(super) struct Like {
    /// The revision it speaks.
    pub(super) revision: &'static str,
    /// What it says that it can do.
    pub(super) capabilities: Value,
    /// Its tools.
    pub(super) tools: Value,
    /// Whether it has a stream for what belongs to no call.
    pub(super) stands: bool,
    /// Whether it keeps sessions.
    pub(super) sessions: bool,
    /// What it answers before all that, where it is more than a legacy server.
    pub(super) also: fn(&Seen) -> Option<Reply>,
}

impl Default for Like {
    fn default() -> Self {
        Self {
            revision: "2025-11-25",
            capabilities: json!({"tools": {}, "prompts": {}, "resources": {}, "logging": {}, "completions": {}}),
            tools: json!([{"name": "t", "inputSchema": {"type": "object"}}]),
            stands: true,
            sessions: true,
            also: |_| None,
        }
    }
}

/// The running server.
pub(super) struct Old {
    pub(super) scripted: Scripted,
    pub(super) state: Arc<State>,
}

/// What its sessions and questions are.
pub(super) struct State {
    like: Like,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    answers: Mutex<HashMap<String, oneshot::Sender<Value>>>,
    asked: Mutex<u64>,
    greeter: OnceLock<Box<Greeter>>,
}

/// One session, as the server keeps it.
struct Session {
    stream: watch::Sender<Option<mpsc::Sender<Piece>>>,
}

/// The side of a session that belongs to no call.
#[derive(Clone)]
pub(super) struct Outside {
    pub(super) session: String,
    state: Arc<State>,
}

/// A call that arrived.
pub(super) struct Arrived {
    pub(super) seen: Seen,
    pub(super) outside: Outside,
    stream: mpsc::Sender<Piece>,
}

impl Old {
    /// A server that runs calls by `call`.
    pub(super) async fn start<F>(like: Like, call: impl Fn(Arrived) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Value, Value>> + Send + 'static,
    {
        Self::greeting(like, |_| async {}, call).await
    }

    /// The same, which does something in each session as soon as it is initialized.
    pub(super) async fn greeting<G, F>(
        like: Like,
        greet: impl Fn(Outside) -> G + Send + Sync + 'static,
        call: impl Fn(Arrived) -> F + Send + Sync + 'static,
    ) -> Self
    where
        G: Future<Output = ()> + Send + 'static,
        F: Future<Output = Result<Value, Value>> + Send + 'static,
    {
        let greeter: Box<Greeter> = Box::new(move |outside| Box::pin(greet(outside)));
        let state = Arc::new(State {
            like,
            sessions: Mutex::default(),
            answers: Mutex::default(),
            asked: Mutex::default(),
            greeter: OnceLock::from(greeter),
        });
        let handler: Arc<Handler> = Arc::new(move |arrived| Box::pin(call(arrived)));
        let own = state.clone();
        let scripted = Scripted::start(move |seen| {
            let (state, handler) = (own.clone(), handler.clone());
            async move { state.answer(seen, &handler) }
        })
        .await;
        Self { scripted, state }
    }

    /// The calls of tools that arrived.
    pub(super) fn calls(&self) -> Vec<Seen> {
        self.scripted.seen().into_iter().filter(|seen| seen.method() == "tools/call").collect()
    }

    /// The sessions that were opened and not ended.
    pub(super) fn sessions(&self) -> Vec<String> {
        self.state.sessions.lock().unwrap().keys().cloned().collect()
    }

    /// Waits until so many sessions are open.
    pub(super) async fn until_sessions(&self, count: usize) {
        crate::matrix::process::until("sessions to be ended", || async { self.sessions().len() == count }).await;
    }

    /// One of them.
    pub(super) fn outside(&self, session: &str) -> Outside {
        Outside { session: session.to_owned(), state: self.state.clone() }
    }
}

impl State {
    fn answer(self: &Arc<Self>, seen: Seen, handler: &Arc<Handler>) -> Reply {
        if let Some(reply) = (self.like.also)(&seen) {
            return reply;
        }
        let session = seen.header("mcp-session-id").unwrap_or_default().to_owned();
        let outside = Outside { session: session.clone(), state: self.clone() };
        let known = self.sessions.lock().unwrap().get(&session).cloned();
        match (seen.verb.as_str(), seen.method()) {
            ("GET", _) => match known.filter(|_| self.like.stands) {
                Some(known) => {
                    let (reply, pieces) = Reply::events();
                    known.stream.send_replace(Some(pieces));
                    reply
                }
                None => Reply::empty(405),
            },
            ("DELETE", _) => {
                self.sessions.lock().unwrap().remove(&session);
                Reply::empty(204)
            }
            (_, "initialize") => self.initialize(&seen),
            (_, "") => {
                let id = seen.body["id"].as_str().unwrap_or_default();
                if let Some(waits) = self.answers.lock().unwrap().remove(id) {
                    let _ = waits.send(seen.body.clone());
                }
                Reply::empty(202)
            }
            (_, "server/discover") => Reply::json(404, &seen.error(-32601, "Method not found")),
            (_, "notifications/initialized") => {
                tokio::spawn((self.greeter.get().unwrap())(outside));
                Reply::empty(202)
            }
            (_, method) if method.starts_with("notifications/") => Reply::empty(202),
            _ if self.like.sessions && known.is_none() => Reply::empty(404),
            (_, "ping" | "logging/setLevel") => Reply::json(200, &seen.result(json!({}))),
            (_, "tools/list") => Reply::json(200, &seen.result(json!({"tools": self.like.tools}))),
            _ => {
                let (reply, stream) = Reply::events();
                let arrived = Arrived { seen: seen.clone(), outside, stream: stream.clone() };
                let running = handler(arrived);
                tokio::spawn(async move {
                    let mut response = json!({"jsonrpc": "2.0", "id": seen.body["id"]});
                    match running.await {
                        Ok(result) => response["result"] = result,
                        Err(error) => response["error"] = error,
                    }
                    send(&stream, &response).await;
                });
                reply
            }
        }
    }

    fn initialize(&self, seen: &Seen) -> Reply {
        let mut sessions = self.sessions.lock().unwrap();
        let Like { revision, capabilities, .. } = &self.like;
        let hello = json!({"protocolVersion": revision, "capabilities": capabilities,
            "serverInfo": {"name": "old", "version": "1", "title": "Old", "icons": [{"src": "https://icons.example/a.png"}]},
            "instructions": "Read me."});
        let reply = Reply::json(200, &seen.result(hello));
        if !self.like.sessions {
            return reply;
        }
        let mut number = self.asked.lock().unwrap();
        *number += 1;
        let id = format!("s-{number}");
        sessions.insert(id.clone(), Arc::new(Session { stream: watch::channel(None).0 }));
        reply.with("mcp-session-id", &id)
    }

    async fn ask(self: &Arc<Self>, stream: &mpsc::Sender<Piece>, method: &str, params: Value) -> Value {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut number = self.asked.lock().unwrap();
            *number += 1;
            format!("q-{number}")
        };
        self.answers.lock().unwrap().insert(id.clone(), answer);
        let mut question = json!({"jsonrpc": "2.0", "id": id, "method": method});
        if !params.is_null() {
            question["params"] = params;
        }
        send(stream, &question).await;
        answered.await.unwrap_or(Value::Null)
    }
}

impl Outside {
    /// The stream of the session, once it is open.
    async fn stream(&self) -> mpsc::Sender<Piece> {
        let session = self.state.sessions.lock().unwrap().get(&self.session).cloned().expect("a session");
        let mut stream = session.stream.subscribe();
        let open = soon("the GET stream", stream.wait_for(Option::is_some)).await.unwrap();
        open.clone().unwrap()
    }

    /// Asks outside every call, and gives the whole response.
    pub(super) async fn ask(&self, method: &str, params: Value) -> Value {
        self.state.ask(&self.stream().await, method, params).await
    }

    /// Says something outside every call.
    pub(super) async fn say(&self, method: &str, params: Value) {
        send(&self.stream().await, &notification(method, params)).await;
    }
}

impl Arrived {
    /// Asks on the call's own stream, and gives the whole response.
    pub(super) async fn ask(&self, method: &str, params: Value) -> Value {
        self.outside.state.ask(&self.stream, method, params).await
    }

    /// Says something on the call's own stream.
    pub(super) async fn say(&self, method: &str, params: Value) {
        send(&self.stream, &notification(method, params)).await;
    }

    /// The name of the tool or prompt.
    pub(super) fn name(&self) -> &str {
        self.seen.body["params"]["name"].as_str().unwrap_or_default()
    }

    /// One argument.
    pub(super) fn argument(&self, name: &str) -> &Value {
        &self.seen.body["params"]["arguments"][name]
    }

    /// A log message on the call's own stream.
    pub(super) async fn log(&self, level: &str, data: &str) {
        self.say("notifications/message", json!({"level": level, "data": data})).await;
    }
}

fn notification(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

/// A tool's result in words of the legacy era.
pub(super) fn text(text: impl std::fmt::Display) -> Result<Value, Value> {
    Ok(json!({"content": [{"type": "text", "text": text.to_string()}]}))
}
