//! Calls of its tools, and what it asks in them.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{
    super::{
        ledger::{Event, lock},
        plan::{Kind, Plan, Tool},
        random::Random,
    },
    EXTENSION, Line, Server, Session, answered, error, notification,
};

/// Where a call stands at a modern server: how many questions are answered, and how often it was called.
#[derive(Clone, Copy)]
struct Stand {
    answered: u64,
    round: u64,
}

impl Server {
    pub(super) async fn call(self: &Arc<Self>, session: &Arc<Session>, message: &Value, line: &Line, random: &Random) {
        let params = &message["params"];
        let Some(plan) = Plan::read(&params["arguments"]) else {
            self.ledger.fault(format!("a server got arguments that nobody sent: {params}"));
            return;
        };
        if !self.rules.is_modern {
            self.belongs(session, &plan.mark.owner);
        }
        let Some(stand) = self.stand(&plan, params) else { return };
        match self.becomes_task(&plan, params, stand) {
            Err(refusal) => return drop(line.send(answered(&message["id"], Err(refusal)))),
            Ok(true) => return self.create(session, plan, message, line),
            Ok(false) => {}
        }
        self.ledger.started(&plan.mark, if self.rules.is_modern { stand.round } else { 0 });
        self.ledger.tell(format!("server: runs {} round {}", plan.mark, stand.round));
        self.progress(session, &plan, &params["_meta"]["progressToken"], line, random).await;
        let refused = if self.rules.is_modern {
            let refused = stand.answered > 0 && self.answers_are_wrong(&plan, &params["inputResponses"]);
            if !refused && (stand.round < plan.again || stand.answered < plan.questions) {
                self.need(message, &plan, stand, line);
                return;
            }
            refused
        } else {
            self.ask(session, &plan, line, random).await
        };
        random.pause().await;
        self.end(message, &plan, refused, line, random).await;
    }

    fn stand(&self, plan: &Plan, params: &Value) -> Option<Stand> {
        let Some(state) = params["requestState"].as_str() else { return Some(Stand { answered: 0, round: 0 }) };
        let read = state.strip_prefix(&format!("{}#", plan.mark)).and_then(|rest| {
            let (answered, round) = rest.split_once('#')?;
            Some(Stand { answered: answered.parse().ok()?, round: round.parse().ok()? })
        });
        if read.is_none() {
            self.ledger.fault(format!("{} came with the state {state:?}", plan.mark));
        }
        read
    }

    /// Whether a call is made a task of.
    fn becomes_task(&self, plan: &Plan, params: &Value, stand: Stand) -> Result<bool, Value> {
        if !self.rules.is_modern {
            return match (plan.tool, params.get("task").is_some()) {
                (Tool::Job, false) => Err(error(-32601, "requires task augmentation")),
                (_, is_task) => Ok(is_task),
            };
        }
        let meta = &params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        let knows = meta["extensions"].get(EXTENSION).is_some();
        match plan.tool {
            Tool::Job if !knows => {
                let data = json!({"requiredCapabilities": {"extensions": {EXTENSION: {}}}});
                Err(json!({"code": -32021, "message": "it needs tasks", "data": data}))
            }
            Tool::Job => Ok(true),
            Tool::Work => Ok(knows && stand.round == 0 && plan.mark.call.is_multiple_of(2)),
        }
    }

    pub(super) async fn progress(&self, session: &Session, plan: &Plan, token: &Value, line: &Line, random: &Random) {
        for step in 0..plan.progress {
            random.pause().await;
            if !token.is_null() {
                let params = json!({"progressToken": token, "progress": step, "message": plan.mark.to_string()});
                self.say(session, line, notification("notifications/progress", &params));
            }
        }
        random.pause().await;
    }

    /// Says something of a call, on its own line or on the one that stands open.
    fn say(&self, session: &Session, line: &Line, message: Value) {
        let standing = lock(&session.standing).clone().filter(|_| self.rules.astray);
        let _ = standing.as_ref().unwrap_or(line).send(message);
    }

    /// A modern server says what it needs.
    fn need(&self, message: &Value, plan: &Plan, stand: Stand, line: &Line) {
        let next = |answered| format!("{}#{answered}#{}", plan.mark, stand.round + 1);
        let result = if stand.round < plan.again {
            self.ledger.happened(Event::Round);
            json!({"resultType": "input_required", "requestState": next(stand.answered)})
        } else {
            let round = plan.round(stand.answered);
            let state = next(round.end);
            let key = |n: u64| {
                let (method, params) = plan.question(n);
                (format!("q{n}"), json!({"method": method, "params": params}))
            };
            let requests: serde_json::Map<_, _> = round.map(key).collect();
            self.ledger.happened(Event::Question);
            json!({"resultType": "input_required", "inputRequests": requests, "requestState": state})
        };
        let _ = line.send(answered(&message["id"], Ok(result)));
    }

    /// Whether an answer refuses, or there is none; that it belongs to another question is a fault.
    fn answers_are_wrong(&self, plan: &Plan, answers: &Value) -> bool {
        let Some(answers) = answers.as_object().filter(|a| !a.is_empty()) else { return true };
        let mut refused = false;
        for (key, answer) in answers {
            let number = key.trim_start_matches('q').parse().unwrap_or(u64::MAX);
            refused |= self.is_refused(plan, number, answer);
        }
        refused
    }

    pub(super) fn is_refused(&self, plan: &Plan, number: u64, answer: &Value) -> bool {
        if plan.kind == Kind::Roots {
            self.ledger.happened(Event::Roots);
        }
        plan.refuses(number, answer).unwrap_or_else(|words| {
            self.ledger.fault(words);
            true
        })
    }

    /// Asks something, under an id that nobody else has.
    pub(super) fn put(
        &self,
        session: &Session,
        plan: &Plan,
        number: u64,
        (line, task): (&Line, Option<&Value>),
        random: &Random,
    ) -> oneshot::Receiver<Value> {
        let id = format!("ask-{}-{number}-{}", plan.mark, random.next());
        let (answer, answers) = oneshot::channel();
        lock(&session.asked).insert(id.clone(), answer);
        self.ledger.happened(Event::Question);
        let (method, mut params) = plan.question(number);
        if let Some(task) = task {
            params["_meta"] = task.clone();
        }
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.say(session, line, request.clone());
        if random.one_in(12) {
            // The same question twice is asked once.
            self.say(session, line, request);
        }
        answers
    }

    /// A legacy server asks while the call runs. Whether anything was refused.
    async fn ask(&self, session: &Session, plan: &Plan, line: &Line, random: &Random) -> bool {
        let mut answered = 0;
        while answered < plan.questions {
            let round = plan.round(answered);
            answered = round.end;
            let mut waiting = Vec::new();
            for number in round {
                waiting.push((number, self.put(session, plan, number, (line, None), random)));
                if random.one_in(3) {
                    random.pause().await;
                }
            }
            for (number, answer) in waiting {
                match answer.await {
                    Ok(answer) if !self.is_refused(plan, number, &answer) => {}
                    _ => return true,
                }
            }
        }
        false
    }

    async fn end(&self, message: &Value, plan: &Plan, refused: bool, line: &Line, random: &Random) {
        let id = &message["id"];
        let mut result = said(plan, refused);
        if self.rules.is_modern {
            result["resultType"] = json!("complete");
        }
        let done = answered(id, Ok(result));
        match plan.end.as_str() {
            "crash" => {
                self.ledger.tell(format!("server: crashes in {}", plan.mark));
                self.crash();
                std::future::pending().await
            }
            "never" => std::future::pending().await,
            "error" => {
                let _ = line.send(answered(id, Err(error(-32000, &plan.mark.to_string()))));
            }
            "twice" => {
                let _ = line.send(done.clone());
                random.pause().await;
                let _ = line.send(done);
            }
            _ => drop(line.send(done)),
        }
    }
}

/// What a tool says in the end.
pub(super) fn said(plan: &Plan, refused: bool) -> Value {
    let how = match refused {
        true => "refused",
        false if plan.end == "failed" => "failed",
        false => "done",
    };
    let mut result = json!({"content": [{"type": "text", "text": format!("{} {how}", plan.mark)}]});
    if how == "failed" {
        result["isError"] = json!(true);
    }
    result
}
