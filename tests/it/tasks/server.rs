//! A server with tasks, of either design, over HTTP or over lines, whose tasks do what the test says.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use rialto::upstream::in_process::InProcessConnector;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream},
    sync::{mpsc, watch},
};

use crate::{
    support::wait::soon,
    upstream_http::scripted::{Reply, Scripted, send},
};

pub(super) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const RELATED: &str = "io.modelcontextprotocol/related-task";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const CREATED: &str = "2026-11-20T10:00:00Z";

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
    standing: Option<mpsc::Sender<Value>>,
    listens: Vec<(Value, Vec<String>, mpsc::Sender<Value>)>,
}

/// The server.
pub(super) struct TaskServer {
    speaks: Speaks,
    /// The `ttl` of its tasks, where it has an opinion.
    pub(super) ttl: Option<Value>,
    /// Whether a question goes to the standing stream, and not to whoever waits.
    pub(super) astray: bool,
    /// The capabilities that it declares beside tools.
    pub(super) capabilities: Value,
    /// Whether calls of `slow` and `late` go on.
    pub(super) gate: watch::Sender<bool>,
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
            astray: false,
            capabilities,
            gate: watch::Sender::new(false),
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
        let id = format!("raw-{n}");
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

    // === what the server says ===

    fn plain(&self, id: &str, task: &Task) -> Value {
        let modern = self.speaks == Speaks::Modern;
        let (ttl, poll) = if modern { ("ttlMs", "pollIntervalMs") } else { ("ttl", "pollInterval") };
        let mut shape = json!({
            "taskId": id, "status": task.status, "createdAt": CREATED, "lastUpdatedAt": CREATED, "x-kept": {"a": 1.0},
        });
        shape[ttl] = task.ttl.clone();
        if self.ttl.is_none() {
            shape[poll] = json!(500);
        }
        if !task.message.is_null() {
            shape["statusMessage"] = task.message.clone();
        }
        shape
    }

    fn detailed(&self, id: &str, task: &Task) -> Value {
        let mut shape = self.plain(id, task);
        for (key, value) in task.outcome.iter().filter_map(Value::as_object).flatten() {
            shape[key] = value.clone();
        }
        if task.status == "input_required" {
            let open = task.questions.iter().filter(|q| q.answer.is_none());
            shape["inputRequests"] =
                open.map(|q| (q.key.clone(), q.request.clone())).collect::<serde_json::Map<_, _>>().into();
        }
        shape
    }

    fn tools(&self) -> Value {
        let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
        match self.speaks {
            Speaks::Legacy => {
                let of = |name: &str, support: &str| {
                    let mut tool = tool(name);
                    tool["execution"] = json!({"taskSupport": support});
                    tool
                };
                json!({"tools": [of("must", "required"), of("late", "required"), of("may", "optional"), tool("plain")]})
            }
            Speaks::Modern => {
                let names = ["task", "may", "plain", "asks", "rogue", "slow", "list"];
                let mut tools: Vec<_> = names.into_iter().map(tool).collect();
                tools[6]["outputSchema"] = json!({"type": "array", "items": {"type": "integer"}});
                json!({"tools": tools, "resultType": "complete", "ttlMs": 60_000, "cacheScope": "private"})
            }
        }
    }

    fn create(&self, wanted: &Value, token: &Value) -> Value {
        let mut state = self.lock();
        let id = format!("raw-{}", state.tasks.len() + 1);
        let ttl = self.ttl.clone().unwrap_or_else(|| wanted.get("ttl").cloned().unwrap_or(json!(60_000)));
        let (message, token) = (json!("on it"), token.clone());
        let task = Task { status: "working", outcome: None, questions: Vec::new(), ttl, message, token };
        let shape = self.plain(&id, &task);
        state.tasks.insert(id, task);
        drop(state);
        self.changed.send_replace(());
        match self.speaks {
            Speaks::Legacy => {
                json!({"task": shape, "_meta": {"io.modelcontextprotocol/model-immediate-response": "wait"}})
            }
            Speaks::Modern => {
                let mut shape = shape;
                shape["resultType"] = json!("task");
                shape
            }
        }
    }

    /// The answer to a request.
    async fn answer_to(&self, message: &Value, out: &mpsc::Sender<Value>) -> Result<Value, Value> {
        let params = &message["params"];
        let tool = params["name"].as_str().unwrap_or_default();
        let token = &params["_meta"]["progressToken"];
        let declared = &params["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"][EXTENSION];
        let id = params["taskId"].as_str().unwrap_or_default().to_owned();
        let (legacy, method) = (self.speaks == Speaks::Legacy, message["method"].as_str().unwrap_or_default());
        match method {
            "initialize" if legacy => Ok(json!({
                "protocolVersion": params["protocolVersion"], "capabilities": self.capabilities,
                "serverInfo": {"name": "tasks", "version": "1"},
            })),
            "server/discover" if !legacy => Ok(json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 60_000, "cacheScope": "public",
                "capabilities": self.capabilities,
            })),
            "tools/list" => Ok(self.tools()),
            "tools/call" if legacy => match (tool, params.get("task")) {
                ("late", Some(task)) => {
                    self.gate.subscribe().wait_for(|open| *open).await.unwrap();
                    Ok(self.create(task, token))
                }
                ("must" | "may", Some(task)) => Ok(self.create(task, token)),
                ("must" | "late", None) => Err(error(-32601, "requires task augmentation")),
                (_, Some(_)) => Err(error(-32601, "forbids task augmentation")),
                (_, None) => Ok(said("at once")),
            },
            "tools/call" => match tool {
                "rogue" => Ok(self.create(&json!({}), token)),
                "task" | "may" | "list" if !declared.is_null() => Ok(self.create(&json!({}), token)),
                "task" => Err(missing()),
                "asks" if params.get("inputResponses").is_none() => Ok(json!({
                    "resultType": "input_required", "requestState": "s", "inputRequests": {"k": form("first")},
                })),
                "asks" => Ok(said(&params["inputResponses"]["k"]["content"]["name"].to_string())),
                "slow" => {
                    self.gate.subscribe().wait_for(|open| *open).await.unwrap();
                    Ok(said("at last"))
                }
                _ => Ok(said("at once")),
            },
            "tasks/get" | "tasks/update" | "tasks/cancel" if !legacy && declared.is_null() => Err(missing()),
            "tasks/list" if legacy => {
                let state = self.lock();
                let tasks: Vec<_> = state.tasks.iter().map(|(id, task)| self.plain(id, task)).collect();
                Ok(json!({"tasks": tasks}))
            }
            "subscriptions/listen" if !legacy => return self.listen(message, out).await,
            _ if !method.starts_with("tasks/") => Err(error(-32601, "Method not found")),
            _ if !self.lock().tasks.contains_key(&id) => Err(error(-32602, &format!("Task not found: {id}"))),
            "tasks/get" => {
                let task = self.lock().tasks[&id].clone();
                let mut shape = if legacy { self.plain(&id, &task) } else { self.detailed(&id, &task) };
                if !legacy {
                    shape["resultType"] = json!("complete");
                }
                Ok(shape)
            }
            "tasks/update" if !legacy => {
                for (key, answer) in params["inputResponses"].as_object().into_iter().flatten() {
                    self.answered(&id, key, answer.clone());
                }
                Ok(json!({"resultType": "complete"}))
            }
            "tasks/cancel" => {
                if matches!(self.status(&id), "completed" | "failed" | "cancelled") && legacy {
                    return Err(error(-32602, "already in a terminal status"));
                }
                self.end(&id, "cancelled", json!({}));
                let task = self.lock().tasks[&id].clone();
                Ok(if legacy { self.plain(&id, &task) } else { json!({"resultType": "complete"}) })
            }
            "tasks/result" if legacy => return self.result(&id, out).await,
            _ => Err(error(-32601, "Method not found")),
        }
    }

    async fn listen(&self, message: &Value, out: &mpsc::Sender<Value>) -> Result<Value, Value> {
        let (id, filter) = (message["id"].clone(), &message["params"]["notifications"]);
        let tasks: Vec<String> = serde_json::from_value(filter["taskIds"].clone()).unwrap_or_default();
        let params = json!({"notifications": {"taskIds": tasks}, "_meta": {SUBSCRIPTION: id}});
        let method = "notifications/subscriptions/acknowledged";
        out.send(json!({"jsonrpc": "2.0", "method": method, "params": params})).await.unwrap();
        self.lock().listens.push((id, tasks, out.clone()));
        self.changed.send_replace(());
        out.closed().await;
        Err(Value::Null)
    }

    /// Sends the questions of a task to whoever waits for it, and the result once it is there.
    async fn result(&self, id: &str, out: &mpsc::Sender<Value>) -> Result<Value, Value> {
        let mut changed = self.changed.subscribe();
        loop {
            if !self.astray {
                for question in self.questions(id) {
                    let _ = out.send(question).await;
                }
            }
            let task = self.lock().tasks.get(id).cloned();
            let Some(task) = task else { return Err(error(-32602, "gone")) };
            match (task.status, task.outcome) {
                ("cancelled", _) => return Err(error(-32602, "it has no result")),
                ("completed" | "failed", Some(outcome)) if outcome.get("error").is_some() => {
                    return Err(outcome["error"].clone());
                }
                ("completed" | "failed", Some(mut outcome)) => {
                    let mut result = outcome["result"].take();
                    result["_meta"] = json!({RELATED: {"taskId": id}});
                    return Ok(result);
                }
                _ => {}
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = out.closed() => return Err(Value::Null),
            }
        }
    }

    /// The questions of a task that were not sent, as requests.
    fn questions(&self, id: &str) -> Vec<Value> {
        let mut state = self.lock();
        let mut requests = Vec::new();
        let Some(task) = state.tasks.get_mut(id) else { return requests };
        for question in task.questions.iter_mut().filter(|q| !q.sent) {
            question.sent = true;
            let mut request = question.request.clone();
            (request["jsonrpc"], request["id"]) = (json!("2.0"), json!(format!("q-{id}-{}", question.key)));
            request["params"]["_meta"] = json!({RELATED: {"taskId": id}});
            requests.push(request);
        }
        for request in &requests {
            let (of, key) = (id.to_owned(), request["id"].as_str().unwrap().rsplit('-').next().unwrap().to_owned());
            state.asked.insert(request["id"].as_str().unwrap().to_owned(), (of, key));
        }
        requests
    }

    /// Sends the questions of a task where nobody waits.
    fn stray(&self, id: &str) {
        let questions = self.questions(id);
        let standing = self.lock().standing.clone().unwrap();
        for question in questions {
            standing.try_send(question).unwrap();
        }
    }

    fn answered(&self, task: &str, key: &str, answer: Value) {
        self.change(task, |t| {
            let Some(open) = t.questions.iter_mut().find(|q| q.key == key && q.answer.is_none()) else { return };
            open.answer = Some(answer);
            if t.questions.iter().all(|q| q.answer.is_some()) {
                t.status = "working";
            }
        });
    }

    /// Takes a message; what the server says because of it goes to `out`.
    async fn take(self: Arc<Self>, message: Value, out: mpsc::Sender<Value>) {
        self.lock().seen.push(message.clone());
        self.changed.send_replace(());
        if message.get("method").is_none() {
            let asked = self.lock().asked.remove(message["id"].as_str().unwrap_or_default());
            if let Some((task, key)) = asked {
                let answer = message.get("result").or(message.get("error")).cloned().unwrap_or_default();
                self.answered(&task, &key, answer);
            }
            return;
        }
        if message.get("id").is_none() {
            return;
        }
        let frame = match self.answer_to(&message, &out).await {
            Ok(result) => json!({"jsonrpc": "2.0", "id": message["id"], "result": result}),
            Err(Value::Null) => return,
            Err(error) => json!({"jsonrpc": "2.0", "id": message["id"], "error": error}),
        };
        let _ = out.send(frame).await;
    }

    // === how it is reached ===

    /// Over HTTP. A legacy server has a session and a standing stream.
    pub(super) async fn over_http(self: &Arc<Self>) -> Scripted {
        let server = self.clone();
        Scripted::start(move |seen| {
            let server = server.clone();
            async move {
                let legacy = server.speaks == Speaks::Legacy;
                match seen.verb.as_str() {
                    "DELETE" => return Reply::empty(204),
                    "GET" if !legacy => return Reply::empty(405),
                    _ => {}
                }
                let (reply, pieces) = Reply::events();
                let (out, mut said) = mpsc::channel(64);
                if let Some(name) = seen.header("mcp-name") {
                    server.lock().headers.push((seen.method().to_owned(), name.to_owned()));
                }
                let reply = match seen.method() {
                    "initialize" => reply.with("mcp-session-id", "s-1"),
                    _ => reply,
                };
                if seen.verb == http::Method::GET {
                    server.lock().standing = Some(out);
                    server.changed.send_replace(());
                } else if seen.body.get("id").is_none() || seen.body.get("method").is_none() {
                    server.take(seen.body, out).await;
                    return Reply::empty(202);
                } else {
                    tokio::spawn(server.take(seen.body, out));
                }
                tokio::spawn(async move {
                    loop {
                        tokio::select! {
                            next = said.recv() => match next {
                                Some(message) => send(&pieces, &message).await,
                                None => return,
                            },
                            () = pieces.closed() => return,
                        }
                    }
                });
                reply
            }
        })
        .await
    }

    /// Over lines, as a process or a server in this process is.
    pub(super) fn over_lines(self: &Arc<Self>) -> InProcessConnector {
        let server = self.clone();
        InProcessConnector::new("docs", move |io: DuplexStream| {
            let server = server.clone();
            async move {
                let (reader, mut writer) = tokio::io::split(io);
                let (out, mut said) = mpsc::channel::<Value>(64);
                server.lock().standing = Some(out.clone());
                server.changed.send_replace(());
                let writing = async {
                    while let Some(message) = said.recv().await {
                        let line = format!("{message}\n");
                        if writer.write_all(line.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                };
                let reading = async {
                    let mut lines = BufReader::new(reader).lines();
                    while let Ok(Some(line)) = lines.next_line().await {
                        let message: Value = serde_json::from_str(&line).unwrap();
                        // Everything in order, other than what has to wait.
                        tokio::spawn(server.clone().take(message, out.clone()));
                    }
                };
                tokio::select! {
                    () = writing => {}
                    () = reading => {}
                }
            }
        })
    }
}

fn error(code: i64, message: &str) -> Value {
    json!({"code": code, "message": message})
}

fn missing() -> Value {
    let required = json!({"requiredCapabilities": {"extensions": {EXTENSION: {}}}});
    json!({"code": -32021, "message": "it needs tasks", "data": required})
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
