//! What the server says.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{EXTENSION, RELATED, SUBSCRIPTION, Speaks, Task, TaskServer, form, said};

/// When every task was made.
const CREATED: &str = "2026-11-20T10:00:00Z";

impl TaskServer {
    pub(super) fn plain(&self, id: &str, task: &Task) -> Value {
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

    pub(super) fn detailed(&self, id: &str, task: &Task) -> Value {
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
                let required = ["must", "late", "first"].map(|name| of(name, "required"));
                let others = [of("may", "optional"), tool("plain")];
                json!({"tools": required.into_iter().chain(others).collect::<Vec<_>>()})
            }
            Speaks::Modern => {
                let names = ["task", "may", "plain", "asks", "rogue", "slow", "list", "first"];
                let mut tools: Vec<_> = names.into_iter().map(tool).collect();
                tools[6]["outputSchema"] = json!({"type": "array", "items": {"type": "integer"}});
                json!({"tools": tools, "resultType": "complete", "ttlMs": 60_000, "cacheScope": "private"})
            }
        }
    }

    fn create(&self, wanted: &Value, token: &Value, home: &mpsc::Sender<Value>) -> Value {
        let mut state = self.lock();
        let id = format!("{}-{}", self.prefix, state.tasks.len() + 1);
        let ttl = self.ttl.clone().unwrap_or_else(|| wanted.get("ttl").cloned().unwrap_or(json!(60_000)));
        let (message, token, home) = (json!("on it"), token.clone(), home.clone());
        let task = Task { status: self.begins, outcome: None, questions: Vec::new(), ttl, message, token, home };
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
                    Ok(self.create(task, token, out))
                }
                ("must" | "may", Some(task)) => Ok(self.create(task, token, out)),
                ("first", Some(task)) => {
                    self.ask_before(out).await;
                    Ok(self.create(task, token, out))
                }
                ("must" | "late" | "first", None) => Err(error(-32601, "requires task augmentation")),
                ("slow", None) => {
                    self.gate.subscribe().wait_for(|open| *open).await.unwrap();
                    Ok(said("at last"))
                }
                (_, Some(_)) => Err(error(-32601, "forbids task augmentation")),
                (_, None) => Ok(said("at once")),
            },
            "tools/call" => match tool {
                "rogue" => Ok(self.create(&json!({}), token, out)),
                "task" | "may" | "list" if !declared.is_null() => Ok(self.create(&json!({}), token, out)),
                "first" if declared.is_object() && params.get("inputResponses").is_none() => Ok(json!({
                    "resultType": "input_required", "requestState": "s", "inputRequests": {"k": form("first")},
                })),
                "first" if declared.is_object() => Ok(self.create(&json!({}), token, out)),
                "task" | "first" => Err(missing()),
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
            _ if self.lost && method.starts_with("tasks/") => Err(error(-32601, "Method not found")),
            "tasks/get" | "tasks/update" | "tasks/cancel" if !legacy && declared.is_null() => Err(missing()),
            "tasks/list" if legacy => {
                let state = self.lock();
                let known = state.tasks.iter().filter(|(_, task)| self.knows(task, out));
                let tasks: Vec<_> = known.map(|(id, task)| self.plain(id, task)).collect();
                Ok(json!({"tasks": tasks}))
            }
            "subscriptions/listen" if !legacy && !self.quiet => return self.listen(message, out).await,
            _ if !method.starts_with("tasks/") => Err(error(-32601, "Method not found")),
            _ if !self.lock().tasks.get(&id).is_some_and(|task| self.knows(task, out)) => {
                Err(error(-32602, &format!("Task not found: {id}")))
            }
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
            "tasks/cancel" if self.stubborn => Ok(json!({"resultType": "complete"})),
            "tasks/cancel" => {
                if matches!(self.status(&id), "completed" | "failed" | "cancelled") && legacy {
                    return Err(error(-32602, "already in a terminal status"));
                }
                self.end(&id, "cancelled", json!({}));
                let task = self.lock().tasks[&id].clone();
                Ok(if legacy { self.plain(&id, &task) } else { json!({"resultType": "complete"}) })
            }
            "tasks/result" if self.seen("tasks/result").len() <= self.deaf => std::future::pending().await,
            "tasks/result" if legacy => return self.result(&id, out).await,
            _ => Err(error(-32601, "Method not found")),
        }
    }

    /// Whether a task is known where a request came from.
    fn knows(&self, task: &Task, out: &mpsc::Sender<Value>) -> bool {
        !self.homebound || task.home.same_channel(out)
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

    /// Asks in the call itself, before there is any task, and waits for the answer.
    async fn ask_before(&self, out: &mpsc::Sender<Value>) {
        let mut request = form("first");
        (request["jsonrpc"], request["id"]) = (json!("2.0"), json!("q-before"));
        out.send(request).await.unwrap();
        self.until("an answer", |s| s.answers.contains_key("q-before")).await;
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
    pub(super) fn questions(&self, id: &str) -> Vec<Value> {
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
    pub(super) fn stray(&self, id: &str) {
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
    pub(super) async fn take(self: Arc<Self>, message: Value, out: mpsc::Sender<Value>) {
        self.lock().seen.push(message.clone());
        self.changed.send_replace(());
        if message.get("method").is_none() {
            let id = message["id"].as_str().unwrap_or_default();
            let asked = self.lock().asked.remove(id);
            if asked.is_none() {
                self.lock().answers.insert(id.to_owned(), message.clone());
                self.changed.send_replace(());
            }
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
}

fn error(code: i64, message: &str) -> Value {
    json!({"code": code, "message": message})
}

fn missing() -> Value {
    let required = json!({"requiredCapabilities": {"extensions": {EXTENSION: {}}}});
    json!({"code": -32021, "message": "it needs tasks", "data": required})
}
