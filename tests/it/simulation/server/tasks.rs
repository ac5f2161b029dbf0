//! Its tasks, of the design of its era.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        ledger::{Event, lock},
        plan::Plan,
        random::Random,
    },
    Line, RELATED, Server, Session, answered,
    calls::said,
    error, notification,
};

/// How long tasks live whose client does not say.
const TTL: u64 = 300_000;

pub(super) struct Task {
    id: String,
    plan: Plan,
    /// The token of the call that made it.
    token: Value,
    ttl: u64,
    session: Arc<Session>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    cancelled: CancellationToken,
}

struct State {
    status: &'static str,
    /// `{"result": …}` or `{"error": …}`.
    outcome: Value,
    /// The questions that are open, and the answers so far.
    open: Vec<u64>,
    answers: HashMap<u64, Value>,
}

impl State {
    fn is_over(&self) -> bool {
        matches!(self.status, "completed" | "failed" | "cancelled")
    }
}

impl Task {
    fn related(&self) -> Value {
        json!({RELATED: {"taskId": self.id}})
    }
}

impl Server {
    /// Makes a task of a call.
    pub(super) fn create(self: &Arc<Self>, session: &Arc<Session>, plan: Plan, message: &Value, line: &Line) {
        self.ledger.started(&plan.mark, 0);
        self.ledger.happened(Event::TaskMade);
        let params = &message["params"];
        let task = Arc::new(Task {
            id: format!("task-{}-{}", plan.mark, self.number()),
            plan,
            token: params["_meta"]["progressToken"].clone(),
            ttl: params["task"]["ttl"].as_u64().unwrap_or(TTL),
            session: session.clone(),
            state: Mutex::new(State {
                status: "working",
                outcome: Value::Null,
                open: Vec::new(),
                answers: HashMap::new(),
            }),
            changed: watch::Sender::new(()),
            cancelled: CancellationToken::new(),
        });
        self.ledger.tell(format!("server: makes {} of {}", task.id, task.plan.mark));
        lock(&self.tasks).insert(task.id.clone(), task.clone());
        let shape = self.plain(&task);
        let result = match self.rules.is_modern {
            true => {
                let mut shape = shape;
                shape["resultType"] = json!("task");
                shape
            }
            false => json!({"task": shape}),
        };
        let _ = line.send(answered(&message["id"], Ok(result)));
        let (server, random) = (self.clone(), self.random.fork());
        tokio::spawn(async move {
            let ttl = Duration::from_millis(task.ttl);
            let work = async {
                tokio::select! {
                    () = task.cancelled.cancelled() => {}
                    () = server.run(&task, &random) => {}
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = server.over.cancelled() => {}
                _ = tokio::time::timeout(ttl, work) => {}
            }
            lock(&server.tasks).remove(&task.id);
            task.changed.send_replace(());
        });
    }

    async fn run(&self, task: &Arc<Task>, random: &Random) {
        let plan = &task.plan;
        for step in 0..plan.progress {
            random.pause().await;
            if !self.rules.is_modern && !task.token.is_null() {
                let params = json!({"progressToken": task.token, "progress": step, "message": plan.mark.to_string(),
                    "_meta": task.related()});
                task.session.says(notification("notifications/progress", &params));
            }
        }
        random.pause().await;
        let (mut answered, mut refused) = (0, false);
        while answered < plan.questions && !refused {
            let round = plan.round(answered);
            answered = round.end;
            self.change(task, |state| {
                state.status = "input_required";
                state.open = round.clone().collect();
            });
            let mut changed = task.changed.subscribe();
            while !lock(&task.state).open.is_empty() {
                let _ = changed.changed().await;
            }
            for number in round {
                // There is none where the task was cancelled.
                let answer = lock(&task.state).answers.get(&number).cloned().unwrap_or_default();
                refused |= self.is_refused(plan, number, &answer);
            }
        }
        random.pause().await;
        let result = said(plan, refused);
        let (status, outcome) = match plan.end.as_str() {
            "crash" => {
                self.ledger.tell(format!("server: crashes in the task of {}", plan.mark));
                return self.crash();
            }
            "never" => return,
            "error" => ("failed", json!({"error": error(-32000, &plan.mark.to_string())})),
            "failed" if !self.rules.is_modern && !refused => ("failed", json!({"result": result})),
            _ => ("completed", json!({"result": result})),
        };
        self.change(task, |state| {
            state.status = status;
            state.outcome = outcome;
        });
    }

    /// Changes a task that is not over, and tells of it.
    fn change(&self, task: &Task, change: impl FnOnce(&mut State)) {
        {
            let mut state = lock(&task.state);
            if state.is_over() {
                return;
            }
            change(&mut state);
        }
        task.changed.send_replace(());
        if self.rules.is_modern {
            let shape = self.detailed(task);
            for ear in lock(&self.ears).values() {
                let named = ear.filter["taskIds"].as_array();
                if named.is_some_and(|named| named.iter().any(|id| *id == task.id.as_str())) {
                    ear.says("notifications/tasks", shape.clone());
                }
            }
        } else {
            task.session.says(notification("notifications/tasks/status", &self.plain(task)));
        }
    }

    /// Takes an answer; the last of a round lets the task go on.
    fn answers(&self, task: &Task, number: u64, answer: Value) {
        let is_open = lock(&task.state).open.contains(&number);
        if is_open {
            self.change(task, |state| {
                state.open.retain(|open| *open != number);
                state.answers.insert(number, answer);
                if state.open.is_empty() {
                    state.status = "working";
                }
            });
        }
    }

    fn plain(&self, task: &Task) -> Value {
        let (ttl, poll) = match self.rules.is_modern {
            true => ("ttlMs", "pollIntervalMs"),
            false => ("ttl", "pollInterval"),
        };
        let at = "2026-11-20T10:00:00Z";
        let mut shape =
            json!({"taskId": task.id, "status": lock(&task.state).status, "createdAt": at, "lastUpdatedAt": at});
        shape[ttl] = json!(task.ttl);
        shape[poll] = json!(500);
        shape
    }

    fn detailed(&self, task: &Task) -> Value {
        let mut shape = self.plain(task);
        let state = lock(&task.state);
        for (key, value) in state.outcome.as_object().into_iter().flatten() {
            shape[key] = value.clone();
        }
        if state.status == "input_required" {
            let request = |number: &u64| {
                let (method, params) = task.plan.question(*number);
                (format!("q{number}"), json!({"method": method, "params": params}))
            };
            shape["inputRequests"] = state.open.iter().map(request).collect::<serde_json::Map<_, _>>().into();
        }
        shape
    }

    /// `tasks/get`, `tasks/cancel`, `tasks/update` and `tasks/list`.
    pub(super) fn about_task(&self, session: &Session, method: &str, params: &Value) -> Result<Value, Value> {
        let modern = self.rules.is_modern;
        if method == "tasks/list" && !modern {
            let tasks: Vec<_> = lock(&self.tasks).values().cloned().collect();
            return Ok(json!({"tasks": tasks.iter().map(|task| self.plain(task)).collect::<Vec<_>>()}));
        }
        let task = lock(&self.tasks).get(params["taskId"].as_str().unwrap_or_default()).cloned();
        let Some(task) = task else { return Err(error(-32602, "Task not found")) };
        if !modern {
            self.belongs(session, &task.plan.mark.owner);
        }
        match method {
            "tasks/get" if !modern => Ok(self.plain(&task)),
            "tasks/get" => {
                let mut shape = self.detailed(&task);
                shape["resultType"] = json!("complete");
                Ok(shape)
            }
            "tasks/update" if modern => {
                for (key, answer) in params["inputResponses"].as_object().into_iter().flatten() {
                    let number = key.trim_start_matches('q').parse().unwrap_or(u64::MAX);
                    self.answers(&task, number, answer.clone());
                }
                Ok(json!({"resultType": "complete"}))
            }
            "tasks/cancel" => {
                let mark = &task.plan.mark;
                if self.rules.calm && !self.ledger.is_given_up(mark) && !self.rules.draining.is_cancelled() {
                    self.ledger.fault(format!("the task of {mark} is cancelled, and its client wants it"));
                }
                if lock(&task.state).is_over() && !modern {
                    return Err(error(-32602, "already in a terminal status"));
                }
                self.change(&task, |state| {
                    state.status = "cancelled";
                    state.open.clear();
                });
                task.cancelled.cancel();
                Ok(if modern { json!({"resultType": "complete"}) } else { self.plain(&task) })
            }
            _ => Err(error(-32601, "Method not found")),
        }
    }

    /// `tasks/result`: sends the open questions to whoever waits, and the result once it is there.
    pub(super) async fn task_result(self: &Arc<Self>, session: &Arc<Session>, message: &Value, line: &Line) {
        let random = self.random.fork();
        let id = message["params"]["taskId"].as_str().unwrap_or_default();
        let mut asked = Vec::new();
        let answer = loop {
            let Some(task) = lock(&self.tasks).get(id).cloned() else { break Err(error(-32602, "Task not found")) };
            self.belongs(session, &task.plan.mark.owner);
            let mut changed = task.changed.subscribe();
            let (open, status, outcome) = {
                let state = lock(&task.state);
                (state.open.clone(), state.status, state.outcome.clone())
            };
            match status {
                "cancelled" => break Err(error(-32602, "it has no result")),
                "completed" | "failed" => match outcome.get("error") {
                    Some(error) => break Err(error.clone()),
                    None => {
                        let mut result = outcome["result"].clone();
                        result["_meta"] = task.related();
                        break Ok(result);
                    }
                },
                _ => {}
            }
            for number in open {
                if asked.contains(&number) {
                    continue;
                }
                asked.push(number);
                let answer = self.put(session, &task.plan, number, (line, Some(&task.related())), &random);
                let (server, task) = (self.clone(), task.clone());
                tokio::spawn(async move {
                    if let Ok(answer) = answer.await {
                        server.answers(&task, number, answer);
                    }
                });
            }
            let _ = changed.changed().await;
        };
        let _ = line.send(answered(&message["id"], answer));
    }
}
