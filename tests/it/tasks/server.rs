//! A server with tasks, of either design, over HTTP or over lines, whose tasks do what the test says.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard},
};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::support::wait::soon;

mod wire;
mod words;

pub(super) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const RELATED: &str = "io.modelcontextprotocol/related-task";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// Which design the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Legacy,
    Modern,
}

/// One task of the server.
#[derive(Clone, Debug)]
struct Task {
    status: &'static str,
    /// `{"result": …}` or `{"error": …}`.
    outcome: Option<Value>,
    questions: Vec<Asked>,
    ttl: Value,
    message: Value,
    /// The token of the call that made it.
    token: Value,
    /// Where the call came from that made it.
    home: mpsc::Sender<Value>,
}

#[derive(Clone, Debug)]
struct Asked {
    key: String,
    request: Value,
    /// Legacy: whether it was sent.
    sent: bool,
    answer: Option<Value>,
}

#[derive(Default)]
struct State {
    seen: Vec<Value>,
    headers: Vec<(String, String)>,
    tasks: BTreeMap<String, Task>,
    /// Legacy: the id of a question, and the task and key that it is.
    asked: HashMap<String, (String, String)>,
    /// Legacy: what a question that is of no task was answered with.
    answers: HashMap<String, Value>,
    standing: Option<mpsc::Sender<Value>>,
    listens: Vec<(Value, Vec<String>, mpsc::Sender<Value>)>,
}

/// The server.
pub(super) struct TaskServer {
    speaks: Speaks,
    /// The `ttl` of its tasks, where it has an opinion.
    pub(super) ttl: Option<Value>,
    /// Whether it acknowledges that a task shall be cancelled, and goes on with it.
    pub(super) stubborn: bool,
    /// Whether a question goes to the standing stream, and not to whoever waits.
    pub(super) astray: bool,
    /// Whether it says nothing of its tasks unless it is asked.
    pub(super) quiet: bool,
    /// Over lines: whether it knows a task in the session alone in which it was made.
    pub(super) homebound: bool,
    /// Whether it has lost what it had for tasks.
    pub(super) lost: bool,
    /// How many requests for a result it never answers.
    pub(super) deaf: usize,
    /// How its tasks begin.
    pub(super) begins: &'static str,
    /// What the ids of its tasks begin with.
    pub(super) prefix: String,
    /// The capabilities that it declares beside tools.
    pub(super) capabilities: Value,
    /// Whether calls of `slow` and `late` go on.
    pub(super) gate: watch::Sender<bool>,
    /// Changes when the sessions over lines that are open shall end.
    pub(super) hung_up: watch::Sender<()>,
    /// How many sessions over lines are open.
    pub(super) open: watch::Sender<usize>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl TaskServer {
    pub(super) fn new(speaks: Speaks) -> Self {
        let capabilities = match speaks {
            Speaks::Legacy => {
                json!({"tools": {}, "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}})
            }
            Speaks::Modern => json!({"tools": {}, "extensions": {EXTENSION: {}}}),
        };
        Self {
            speaks,
            ttl: None,
            stubborn: false,
            astray: false,
            quiet: false,
            homebound: false,
            lost: false,
            deaf: 0,
            begins: "working",
            prefix: "raw".to_owned(),
            capabilities,
            gate: watch::Sender::new(false),
            hung_up: watch::Sender::new(()),
            open: watch::Sender::new(0),
            state: Mutex::default(),
            changed: watch::Sender::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    // === what the test does ===

    /// Everything that arrived with this method.
    pub(super) fn seen(&self, method: &str) -> Vec<Value> {
        self.lock().seen.iter().filter(|m| m["method"] == method).cloned().collect()
    }

    /// The values of a header, of everything that arrived over HTTP with this method.
    pub(super) fn names(&self, method: &str) -> Vec<String> {
        self.lock().headers.iter().filter(|(m, _)| m == method).map(|(_, name)| name.clone()).collect()
    }

    /// How often a tool was called.
    pub(super) fn calls(&self, tool: &str) -> usize {
        self.seen("tools/call").iter().filter(|m| m["params"]["name"] == tool).count()
    }

    async fn until(&self, what: &str, mut is_so: impl FnMut(&State) -> bool) {
        let mut changed = self.changed.subscribe();
        soon(what, async {
            while !is_so(&self.lock()) {
                changed.changed().await.unwrap();
            }
        })
        .await;
    }

    /// Waits until so many messages with this method have arrived.
    pub(super) async fn arrived(&self, method: &str, count: usize) -> Value {
        self.until(method, |s| s.seen.iter().filter(|m| m["method"] == method).count() >= count).await;
        self.seen(method).swap_remove(count - 1)
    }

    /// Waits for the `n`th task and gives its id.
    pub(super) async fn task(&self, n: usize) -> String {
        let id = format!("{}-{n}", self.prefix);
        self.until("a task", |s| s.tasks.contains_key(&id)).await;
        id
    }

    /// The task asks.
    pub(super) fn ask(&self, task: &str, key: &str, request: Value) {
        self.change(task, |t| {
            t.status = "input_required";
            t.questions.push(Asked { key: key.to_owned(), request, sent: false, answer: None });
        });
        if self.astray {
            self.stray(task);
        }
    }

    /// Waits for the answer to a question.
    pub(super) async fn answer(&self, task: &str, key: &str) -> Value {
        let find = |s: &State| s.tasks[task].questions.iter().find(|q| q.key == key).and_then(|q| q.answer.clone());
        self.until("an answer", |s| find(s).is_some()).await;
        find(&self.lock()).unwrap()
    }

    /// The task completes with a text.
    pub(super) fn complete(&self, task: &str, text: &str) {
        self.end(task, "completed", json!({"result": said(text)}));
    }

    /// The task ends.
    pub(super) fn end(&self, task: &str, status: &'static str, outcome: Value) {
        self.change(task, |t| {
            t.status = status;
            t.outcome = Some(outcome);
        });
    }

    /// The server forgets the task.
    pub(super) fn forget(&self, task: &str) {
        self.lock().tasks.remove(task);
        self.changed.send_replace(());
    }

    pub(super) fn status(&self, task: &str) -> &'static str {
        self.lock().tasks[task].status
    }

    /// Reports progress of the call that made the task.
    pub(super) async fn progress(&self, task: &str, progress: f64) {
        let (token, standing) = {
            let state = self.lock();
            (state.tasks[task].token.clone(), state.standing.clone().unwrap())
        };
        let params = json!({"progressToken": token, "progress": progress, "_meta": {RELATED: {"taskId": task}}});
        standing.send(json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})).await.unwrap();
    }

    fn change(&self, task: &str, change: impl FnOnce(&mut Task)) {
        let mut state = self.lock();
        let changed = state.tasks.get_mut(task).unwrap();
        if !matches!(changed.status, "completed" | "failed" | "cancelled") {
            change(changed);
        }
        let now = changed.clone();
        match self.speaks {
            _ if self.quiet => {}
            Speaks::Legacy => {
                let params = self.plain(task, &now);
                if let Some(standing) = &state.standing {
                    let method = "notifications/tasks/status";
                    let _ = standing.try_send(json!({"jsonrpc": "2.0", "method": method, "params": params}));
                }
            }
            Speaks::Modern => {
                for (id, _, to) in state.listens.iter().filter(|(_, tasks, _)| tasks.iter().any(|t| t == task)) {
                    let mut params = self.detailed(task, &now);
                    params["_meta"] = json!({SUBSCRIPTION: id});
                    let _ = to.try_send(json!({"jsonrpc": "2.0", "method": "notifications/tasks", "params": params}));
                }
            }
        }
        drop(state);
        self.changed.send_replace(());
    }
}

/// The result of a tool that says `text`, in words that both eras take.
pub(super) fn said(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

/// A question for a form.
pub(super) fn form(message: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    json!({"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}})
}
