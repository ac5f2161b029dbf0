//! A client of the modern era: patient, hasty, forgetful or confused, as chance has it.

mod listening;
mod tasks;

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Full};
use rialto::{downstream::Body, hub::Principal};
use serde_json::{Value, json};

use super::{
    PRINCIPALS, World,
    ledger::{Event, Mark},
    plan::{self, Kind, Plan, ROUNDS},
    random::Random,
    server::EXTENSION,
};

/// How many things a client does.
const DEEDS: u64 = 6;

pub(super) async fn live(world: World, principal: &'static str, random: Random) {
    let kinds = match random.below(6) {
        0 => vec![],
        1 => vec![Kind::Form],
        _ => vec![Kind::Form, Kind::Sample, Kind::Roots],
    };
    let knows_tasks = random.one_in(2);
    let client = Client { world, principal, random, kinds, knows_tasks };
    for _ in 0..1 + client.random.below(DEEDS) {
        client.random.pause().await;
        match client.random.below(6) {
            0 => client.listen(Vec::new()).await,
            1 if client.knows_tasks => client.task().await,
            _ => client.call().await,
        }
        client.world.check();
    }
}

struct Client {
    world: World,
    principal: &'static str,
    random: Random,
    /// What it answers.
    kinds: Vec<Kind>,
    knows_tasks: bool,
}

/// A retry: the state, and the answers.
type Retry = (Value, Value);

/// How one request of a call ended.
enum Ended {
    Asked {
        state: Value,
        requests: Value,
    },
    Task(Value),
    Over,
    /// The client went away.
    Left,
}

impl Client {
    fn plan(&self) -> Plan {
        let plan = Plan::of(self.world.ledger.mark(self.principal), &self.kinds, &self.random);
        if self.kinds.is_empty() {
            // It gets no further than its first question.
            self.world.ledger.gives_up(&plan.mark);
        }
        plan
    }

    fn fault(&self, words: String) {
        self.world.ledger.fault(words);
    }

    /// A call, to its end if the client stays so long.
    async fn call(&self) {
        let plan = self.plan();
        let (mark, random, ledger) = (&plan.mark, &self.random, &self.world.ledger);
        let (mut retry, mut before): (Option<Retry>, Option<Retry>) = (None, None);
        for round in 0..ROUNDS {
            let (state, requests) = match self.leg(&plan, &retry, round).await {
                Ended::Asked { state, requests } => (state, requests),
                Ended::Task(created) => return self.follow(&plan, &created).await,
                Ended::Over | Ended::Left => return,
            };
            let responses = self.answers(&plan, &requests);
            if random.one_in(6) {
                ledger.tell(format!("{mark}: the client never answers"));
                ledger.gives_up(mark);
                return;
            }
            if random.one_in(4) {
                self.steal(&plan, &state, &responses).await;
            }
            if random.one_in(8)
                && let Some(older) = before.as_ref().or(retry.as_ref())
            {
                // An answer to a question of long ago brings what it brought, or nothing.
                ledger.sent(mark, round.saturating_sub(1));
                ledger.sent(mark, round);
                let older = Some(older.clone());
                self.try_briefly(&plan, &older, round).await;
            }
            random.pause().await;
            let next = Some((state, responses));
            if random.one_in(5) {
                // The same retry twice: both get an answer, and what the first brings is not brought again.
                ledger.sent(mark, round + 1);
                self.try_briefly(&plan, &next, round).await;
            }
            before = std::mem::replace(&mut retry, next);
        }
        self.fault(format!("{mark} asks for ever"));
    }

    /// Sends a retry and does not wait for long: who leaves a stream on which the call is awaited gives the call up.
    async fn try_briefly(&self, plan: &Plan, retry: &Option<Retry>, round: u64) {
        if tokio::time::timeout(Duration::from_secs(5), self.post(plan, retry, round)).await.is_err() {
            self.world.ledger.gives_up(&plan.mark);
        }
    }

    /// Sends one leg of a call.
    async fn leg(&self, plan: &Plan, retry: &Option<Retry>, round: u64) -> Ended {
        let (mark, ledger) = (&plan.mark, &self.world.ledger);
        ledger.sent(mark, round);
        // Some clients go away in the middle; a call that never ends leaves them no choice.
        let patience = match plan.end == "never" || self.random.one_in(8) {
            true => Duration::from_millis(self.random.below(60_000)),
            false => Duration::from_secs(4000),
        };
        let Ok(answer) = tokio::time::timeout(patience, self.post(plan, retry, round)).await else {
            ledger.tell(format!("{mark}: the client leaves"));
            ledger.gives_up(mark);
            return Ended::Left;
        };
        if let Some(error) = answer.get("error") {
            ledger.tell(format!("{mark}: ends with {error}"));
            ledger.gives_up(mark);
            return Ended::Over;
        }
        let result = &answer["result"];
        match result["resultType"].as_str() {
            Some("input_required") => {
                Ended::Asked { state: result["requestState"].clone(), requests: result["inputRequests"].clone() }
            }
            Some("task") if self.knows_tasks => Ended::Task(result.clone()),
            _ => {
                self.judge(plan, result);
                Ended::Over
            }
        }
    }

    /// Answers to the questions of a call. It is asked nothing that it did not say it answers.
    fn answers(&self, plan: &Plan, requests: &Value) -> Value {
        if self.kinds.is_empty() && requests.as_object().is_some_and(|requests| !requests.is_empty()) {
            self.fault(format!("{} was asked {requests}, and its client answers nothing", plan.mark));
        }
        self.answered(plan, requests)
    }

    /// Answers to questions, each of which has to be about this call.
    fn answered(&self, plan: &Plan, requests: &Value) -> Value {
        let mut answers = serde_json::Map::new();
        for (key, request) in requests.as_object().into_iter().flatten() {
            let (method, params) = (request["method"].as_str().unwrap_or_default(), &request["params"]);
            self.is_asked(plan, method, params);
            answers.insert(key.clone(), plan::answer(method, params, self.principal, &self.random));
        }
        Value::Object(answers)
    }

    fn is_asked(&self, plan: &Plan, method: &str, params: &Value) {
        let Some(words) = plan::asked_about(method, params) else { return };
        // A legacy server does not say which call it asks for, so calls of one principal may carry each other's questions:
        // the person is the same, and the answer goes to the question by its id.
        let is_own =
            words.split('?').next().and_then(Mark::read).is_some_and(|about| match self.world.rules.is_modern {
                true => about == plan.mark,
                false => about.owner == plan.mark.owner,
            });
        if !is_own {
            self.fault(format!("{} was asked {words}", plan.mark));
        }
    }

    fn thief(&self) -> &'static str {
        PRINCIPALS.iter().find(|p| **p != self.principal).copied().unwrap_or_default()
    }

    /// Somebody else finds the state and tries it: it opens nothing, and spoils nothing.
    async fn steal(&self, plan: &Plan, state: &Value, responses: &Value) {
        self.world.ledger.happened(Event::Theft);
        let thief = self.thief();
        let mut params = json!({"name": plan.tool.name(), "arguments": plan.arguments()});
        params["requestState"] = state.clone();
        params["inputResponses"] = responses.clone();
        let messages = self.exchange(thief, "stolen", "tools/call", plan.tool.name(), params).await;
        if messages.len() != 1 || messages[0]["error"]["code"] != -32602 {
            self.fault(format!("{thief} used the state of {}: {messages:?}", plan.mark));
        }
    }

    fn judge(&self, plan: &Plan, result: &Value) {
        let text = result["content"][0]["text"].as_str().unwrap_or_default();
        let own = plan.mark.to_string();
        let is_own = ["done", "refused", "failed"].iter().any(|how| text == format!("{own} {how}"));
        if !is_own && result["isError"] != true {
            self.fault(format!("{own} got {result}"));
        }
        self.world.ledger.tell(format!("{own}: ends with {text}"));
    }

    /// Sends a leg and reads its answer to the end: events about this call alone, then exactly one response.
    async fn post(&self, plan: &Plan, retry: &Option<Retry>, round: u64) -> Value {
        let id = format!("{}-{round}", plan.mark);
        let mut params = json!({"name": plan.tool.name(), "arguments": plan.arguments()});
        if let Some((state, responses)) = retry {
            params["requestState"] = state.clone();
            if responses.as_object().is_some_and(|responses| !responses.is_empty()) {
                params["inputResponses"] = responses.clone();
            }
        }
        let messages = self.exchange(self.principal, &id, "tools/call", plan.tool.name(), params).await;
        let own = plan.mark.to_string();
        let (told, ends): (Vec<_>, Vec<_>) = messages.into_iter().partition(|m| m.get("method").is_some());
        for message in told {
            if message["method"] != "notifications/progress" || message["params"]["message"] != own {
                self.fault(format!("{own} heard {message}"));
            }
        }
        let [end] = ends.as_slice() else {
            self.fault(format!("{id} ended {} times: {ends:?}", ends.len()));
            return json!({"error": {"code": 0}});
        };
        if end["id"] != id {
            self.fault(format!("{id} was answered with {end}"));
        }
        end.clone()
    }

    /// Sends a request and gives every message of its answer.
    async fn exchange(&self, principal: &str, id: &str, method: &str, name: &str, params: Value) -> Vec<Value> {
        let response = self.send(principal, id, method, name, params).await;
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        if principal == self.principal {
            self.world.ledger.reads(principal, &text);
        }
        messages(&text)
    }

    async fn send(
        &self,
        principal: &str,
        id: &str,
        method: &str,
        name: &str,
        mut params: Value,
    ) -> http::Response<Body> {
        let mut capabilities = json!({});
        for kind in &self.kinds {
            match kind {
                Kind::Form => capabilities["elicitation"] = json!({"form": {}}),
                Kind::Sample => capabilities["sampling"] = json!({}),
                Kind::Roots => capabilities["roots"] = json!({}),
            }
        }
        if self.knows_tasks {
            capabilities["extensions"] = json!({EXTENSION: {}});
        }
        params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "simulated", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": capabilities, "progressToken": "t"});
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        let mut request = Request::post("/mcp/work")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        if !name.is_empty() {
            request = request.header("mcp-name", name);
        }
        let request = request.body(Full::from(body)).unwrap();
        self.world.endpoint.serve(request, &Principal::new(principal)).await
    }
}

/// The messages of a body, be it one object or a stream of events.
pub(super) fn messages(text: &str) -> Vec<Value> {
    if text.starts_with('{') {
        return serde_json::from_str(text).into_iter().collect();
    }
    let data = text.split("\n\n").map(|event| {
        let lines = event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start);
        lines.collect::<Vec<_>>().join("\n")
    });
    data.filter(|data| !data.is_empty()).filter_map(|data| serde_json::from_str(&data).ok()).collect()
}
