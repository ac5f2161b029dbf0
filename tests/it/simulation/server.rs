//! A server of either era that does what the arguments of a call say, and sometimes misbehaves.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{
    ledger::{Ledger, Mark},
    random::Random,
};

/// What a call wants: how many questions, how many words of progress, and how it ends.
pub(super) struct Plan {
    pub(super) mark: Mark,
    pub(super) questions: u64,
    pub(super) together: bool,
    pub(super) progress: u64,
    pub(super) end: String,
}

impl Plan {
    /// One that chance made up.
    pub(super) fn of(mark: Mark, random: &Random) -> Self {
        let questions = random.below(4);
        let end = match random.below(12) {
            0 => "crash",
            1 => "error",
            2 => "twice",
            3 => "never",
            _ => "well",
        };
        Self { mark, questions, together: random.one_in(2), progress: random.below(3), end: end.to_owned() }
    }

    pub(super) fn arguments(&self) -> Value {
        json!({"mark": self.mark.to_string(), "questions": self.questions, "together": self.together,
            "progress": self.progress, "end": self.end})
    }

    fn read(arguments: &Value) -> Option<Self> {
        Some(Self {
            mark: Mark::read(arguments["mark"].as_str()?)?,
            questions: arguments["questions"].as_u64()?,
            together: arguments["together"].as_bool()?,
            progress: arguments["progress"].as_u64()?,
            end: arguments["end"].as_str()?.to_owned(),
        })
    }

    /// The questions of a round, by their numbers.
    fn round(&self, answered: u64) -> std::ops::Range<u64> {
        let last = if self.together { self.questions } else { (answered + 1).min(self.questions) };
        answered..last
    }
}

/// A question as it is asked.
fn question(mark: &Mark, number: u64) -> Value {
    let schema = json!({"type": "object", "properties": {"answer": {"type": "string"}}});
    json!({"mode": "form", "message": format!("{mark}?{number}"), "requestedSchema": schema})
}

/// What an accepted answer to it says.
pub(super) fn answer(message: &str) -> Value {
    json!({"action": "accept", "content": {"answer": format!("{message}!")}})
}

/// What every part of one server shares.
struct Server {
    out: mpsc::Sender<String>,
    asked: std::sync::Mutex<HashMap<String, oneshot::Sender<Value>>>,
    random: Random,
    ledger: Arc<Ledger>,
    crash: mpsc::Sender<()>,
    is_modern: bool,
}

/// Serves until the pipe ends.
pub(super) async fn serve(io: DuplexStream, is_modern: bool, random: Random, ledger: Arc<Ledger>) {
    let counted = ledger.clone();
    let _present = counted.server();
    let (reader, mut writer) = tokio::io::split(io);
    let (out, mut lines) = mpsc::channel::<String>(256);
    let (crash, mut crashed) = mpsc::channel(1);
    let asked = std::sync::Mutex::default();
    let shared = Arc::new(Server { out, asked, random, ledger, crash, is_modern });
    let mut calls: JoinSet<()> = JoinSet::new();
    let mut running: HashMap<Value, tokio::task::AbortHandle> = HashMap::new();
    let mut reader = BufReader::new(reader).lines();
    loop {
        tokio::select! {
            biased;
            _ = crashed.recv() => return,
            line = reader.next_line() => {
                let Ok(Some(line)) = line else { return };
                let message: Value = serde_json::from_str(&line).unwrap();
                if let Some(handle) = shared.take(&message, &mut calls, &shared) {
                    running.insert(message["id"].clone(), handle);
                }
                if message["method"] == "notifications/cancelled"
                    && let Some(call) = running.remove(&message["params"]["requestId"])
                {
                    call.abort();
                }
            }
            Some(line) = lines.recv() => {
                if writer.write_all(line.as_bytes()).await.is_err() { return }
            }
        }
    }
}

impl Server {
    /// Deals with a message. The handle of the call that it starts.
    fn take(&self, message: &Value, calls: &mut JoinSet<()>, shared: &Arc<Self>) -> Option<tokio::task::AbortHandle> {
        let Some(method) = message["method"].as_str() else {
            let id = message["id"].as_str().unwrap_or_default();
            let waiting = self.asked.lock().unwrap().remove(id);
            match waiting {
                Some(waiting) => drop(waiting.send(message.get("result").cloned().unwrap_or(Value::Null))),
                None => self.ledger.tell(format!("server: an answer to {id}, which waits for none")),
            }
            return None;
        };
        let tools = json!([{"name": "work", "inputSchema": {"type": "object"}}]);
        let result = match method {
            "initialize" => json!({"protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}}, "serverInfo": {"name": "work", "version": "1"}}),
            "server/discover" if self.is_modern => {
                json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}}, "ttlMs": 60_000, "cacheScope": "private",
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "work", "version": "1"}}})
            }
            "tools/list" if self.is_modern => {
                json!({"resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": "private"})
            }
            "tools/list" => json!({"tools": tools}),
            "ping" => json!({}),
            "tools/call" => {
                let (shared, message, random) = (shared.clone(), message.clone(), self.random.fork());
                return Some(calls.spawn(async move { shared.call(&message, &random).await }));
            }
            _ => return None,
        };
        self.send(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
        None
    }

    fn send(&self, message: Value) {
        if self.out.try_send(format!("{message}\n")).is_err() {
            self.ledger.fault("the gateway reads too slowly".to_owned());
        }
    }

    async fn call(&self, message: &Value, random: &Random) {
        let _present = self.ledger.run();
        let params = &message["params"];
        let Some(plan) = Plan::read(&params["arguments"]) else {
            self.ledger.fault(format!("a server got arguments that nobody sent: {params}"));
            return;
        };
        let (leg, state) = match params["requestState"].as_str() {
            None => (0, None),
            Some(state) => (state.rsplit('#').next().and_then(|n| n.parse().ok()).unwrap_or(u64::MAX), Some(state)),
        };
        if state.is_some_and(|state| *state != format!("{}#{leg}", plan.mark)) {
            self.ledger.fault(format!("{} came with the state {state:?}", plan.mark));
        }
        self.ledger.started(&plan.mark, if self.is_modern { leg } else { 0 });
        self.ledger.tell(format!("server: runs {} leg {leg}", plan.mark));
        let token = &params["_meta"]["progressToken"];
        for step in 0..plan.progress {
            random.pause().await;
            if !token.is_null() {
                let params = json!({"progressToken": token, "progress": step, "message": plan.mark.to_string()});
                self.send(json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
            }
        }
        random.pause().await;
        let refused = if self.is_modern {
            let answers = params["inputResponses"].as_object();
            let refused = leg > 0 && self.answers_are_wrong(&plan, answers);
            if !refused && leg < plan.questions {
                self.need(message, &plan, leg);
                return;
            }
            refused
        } else {
            self.ask(&plan, random).await
        };
        random.pause().await;
        self.end(message, &plan, refused, random).await;
    }

    /// A modern server says what it needs.
    fn need(&self, message: &Value, plan: &Plan, leg: u64) {
        let round = plan.round(leg);
        let next = round.end;
        let key =
            |n: u64| (format!("q{n}"), json!({"method": "elicitation/create", "params": question(&plan.mark, n)}));
        let requests: serde_json::Map<_, _> = round.map(key).collect();
        self.ledger.asked();
        let result = json!({"resultType": "input_required", "inputRequests": requests,
            "requestState": format!("{}#{next}", plan.mark)});
        self.send(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
    }

    /// Whether an answer is not an acceptance; that it belongs to another question is a fault.
    fn answers_are_wrong(&self, plan: &Plan, answers: Option<&serde_json::Map<String, Value>>) -> bool {
        let Some(answers) = answers.filter(|a| !a.is_empty()) else { return true };
        answers.iter().any(|(key, answer)| {
            let number = key.trim_start_matches('q').parse().unwrap_or(u64::MAX);
            self.is_refused(&plan.mark, number, answer)
        })
    }

    fn is_refused(&self, mark: &Mark, number: u64, answer: &Value) -> bool {
        if answer["action"] != "accept" {
            return true;
        }
        if answer["content"]["answer"] != format!("{mark}?{number}!") {
            self.ledger.fault(format!("the question {mark}?{number} was answered with {answer}"));
        }
        false
    }

    /// A legacy server asks while the call runs. Whether anything was refused.
    async fn ask(&self, plan: &Plan, random: &Random) -> bool {
        let mut answered = 0;
        while answered < plan.questions {
            let round = plan.round(answered);
            answered = round.end;
            let mut waiting = Vec::new();
            for number in round {
                let id = format!("ask-{}-{number}-{}", plan.mark, random.next());
                let (answer, answers) = oneshot::channel();
                self.asked.lock().unwrap().insert(id.clone(), answer);
                self.ledger.asked();
                let params = question(&plan.mark, number);
                self.send(json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": params}));
                waiting.push((number, answers));
                if random.one_in(3) {
                    random.pause().await;
                }
            }
            for (number, answer) in waiting {
                match answer.await {
                    Ok(answer) if !self.is_refused(&plan.mark, number, &answer) => {}
                    _ => return true,
                }
            }
        }
        false
    }

    async fn end(&self, message: &Value, plan: &Plan, refused: bool, random: &Random) {
        let id = &message["id"];
        let words = format!("{} {}", plan.mark, if refused { "refused" } else { "done" });
        let mut result = json!({"content": [{"type": "text", "text": words}]});
        if self.is_modern {
            result["resultType"] = json!("complete");
        }
        let done = json!({"jsonrpc": "2.0", "id": id, "result": result});
        match plan.end.as_str() {
            "crash" => {
                self.ledger.tell(format!("server: crashes in {}", plan.mark));
                let _ = self.crash.try_send(());
            }
            "never" => std::future::pending().await,
            "error" => {
                let error = json!({"code": -32000, "message": plan.mark.to_string()});
                self.send(json!({"jsonrpc": "2.0", "id": id, "error": error}));
            }
            "twice" => {
                self.send(done.clone());
                random.pause().await;
                self.send(done);
            }
            _ => self.send(done),
        }
    }
}
