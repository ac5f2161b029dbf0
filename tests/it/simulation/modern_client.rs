//! A client of the modern era: patient, hasty, forgetful or confused, as chance has it.

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Full};
use rialto::hub::Principal;
use serde_json::{Value, json};

use super::{
    PRINCIPALS, World,
    ledger::Mark,
    random::Random,
    server::{self, Plan},
};

/// How many calls a client makes.
const CALLS: u64 = 6;
/// How often a client answers within one call.
const ROUNDS: usize = 8;

pub(super) async fn live(world: World, principal: &'static str, random: Random) {
    for _ in 0..1 + random.below(CALLS) {
        random.pause().await;
        let plan = Plan::of(world.ledger.mark(principal), &random);
        Calling { world: &world, principal, random: &random, plan: &plan }.run().await;
    }
}

struct Calling<'a> {
    world: &'a World,
    principal: &'static str,
    random: &'a Random,
    plan: &'a Plan,
}

impl Calling<'_> {
    async fn run(&self) {
        let (mark, random) = (&self.plan.mark, self.random);
        let mut retry: Option<(Value, Value)> = None;
        for round in 0..ROUNDS {
            self.world.ledger.sent(mark, leg(&retry));
            // Some clients go away in the middle; a call that never ends leaves them no choice.
            let patience = match self.plan.end == "never" || random.one_in(8) {
                true => Duration::from_millis(random.below(60_000)),
                false => Duration::from_secs(4000),
            };
            let answer = tokio::time::timeout(patience, self.post(self.principal, &retry, round)).await;
            let Ok(answer) = answer else {
                self.world.ledger.tell(format!("{mark}: the client leaves"));
                return;
            };
            if let Some(error) = answer.get("error") {
                return self.judge_error(error);
            }
            let result = &answer["result"];
            if result["resultType"] != "input_required" {
                return self.judge(result);
            }
            let state = result["requestState"].clone();
            let responses = self.answers(&result["inputRequests"]);
            if random.one_in(6) {
                self.world.ledger.tell(format!("{mark}: the client never answers"));
                return;
            }
            if random.one_in(4) {
                self.steal(&state, &responses).await;
            }
            random.pause().await;
            if random.one_in(5) {
                // The same retry twice at once: both get an answer, and what the first brings is not brought again.
                let twice = Some((state.clone(), responses.clone()));
                self.world.ledger.sent(mark, leg(&twice));
                let _ = tokio::time::timeout(Duration::from_secs(5), self.post(self.principal, &twice, round)).await;
            }
            retry = Some((state, responses));
        }
        self.world.ledger.fault(format!("{mark} asks for ever"));
    }

    /// Answers to the questions, each of which has to be about this call.
    fn answers(&self, requests: &Value) -> Value {
        let mut answers = serde_json::Map::new();
        for (key, request) in requests.as_object().into_iter().flatten() {
            let message = request["params"]["message"].as_str().unwrap_or_default();
            // A legacy server does not say which call it asks for, so calls of one principal may carry each other's questions:
            // the person is the same, and the answer goes to the question by its id.
            let is_own =
                message.split('?').next().and_then(Mark::read).is_some_and(|about| match self.world.is_modern {
                    true => about == self.plan.mark,
                    false => about.owner == self.plan.mark.owner,
                });
            if !is_own {
                self.world.ledger.fault(format!("{} was asked {message}", self.plan.mark));
            }
            let answer = if self.random.one_in(10) { json!({"action": "decline"}) } else { server::answer(message) };
            answers.insert(key.clone(), answer);
        }
        Value::Object(answers)
    }

    /// Somebody else finds the state and tries it: it opens nothing, and spoils nothing.
    async fn steal(&self, state: &Value, responses: &Value) {
        let Some(thief) = PRINCIPALS.iter().find(|p| **p != self.principal) else { return };
        let answer = self.post(thief, &Some((state.clone(), responses.clone())), 99).await;
        if answer["error"]["code"] != -32602 {
            self.world.ledger.fault(format!("{thief} used the state of {}: {answer}", self.plan.mark));
        }
    }

    fn judge_error(&self, error: &Value) {
        let words = error.to_string();
        for other in PRINCIPALS.iter().filter(|p| **p != self.principal) {
            if words.contains(&format!("{other}/")) {
                self.world.ledger.fault(format!("{} heard of {other}: {words}", self.plan.mark));
            }
        }
        self.world.ledger.tell(format!("{}: ends with {words}", self.plan.mark));
    }

    fn judge(&self, result: &Value) {
        let text = result["content"][0]["text"].as_str().unwrap_or_default();
        let own = self.plan.mark.to_string();
        if !(text == format!("{own} done") || text == format!("{own} refused")) {
            self.world.ledger.fault(format!("{own} got {result}"));
        }
        self.world.ledger.tell(format!("{own}: ends with {text}"));
    }

    /// Sends a leg and reads its answer to the end: events about this call alone, then exactly one response.
    async fn post(&self, principal: &str, retry: &Option<(Value, Value)>, round: usize) -> Value {
        let id = format!("{}-{round}", self.plan.mark);
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "simulated", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}, "progressToken": "t"});
        let mut params = json!({"name": "work", "arguments": self.plan.arguments(), "_meta": meta});
        if let Some((state, responses)) = retry {
            params["requestState"] = state.clone();
            params["inputResponses"] = responses.clone();
        }
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string();
        let request = Request::post("/mcp/work")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "work")
            .body(Full::from(body))
            .unwrap();
        let response = self.world.endpoint.serve(request, &Principal::new(principal)).await;
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut ends = Vec::new();
        for message in messages(&text) {
            if message.get("method").is_some() {
                self.heard(&message);
            } else {
                ends.push(message);
            }
        }
        let [end] = ends.as_slice() else {
            self.world.ledger.fault(format!("{id} ended {} times: {text}", ends.len()));
            return json!({"error": {"code": 0}});
        };
        if end["id"] != id {
            self.world.ledger.fault(format!("{id} was answered with {end}"));
        }
        end.clone()
    }

    fn heard(&self, message: &Value) {
        let own = self.plan.mark.to_string();
        if message["method"] != "notifications/progress" || message["params"]["message"] != own {
            self.world.ledger.fault(format!("{own} heard {message}"));
        }
    }
}

/// Which leg a retry asks for at a modern server: it is not to be read out of a sealed state, so legs are counted by the
/// answers they bring.
fn leg(retry: &Option<(Value, Value)>) -> u64 {
    let numbers = retry.iter().flat_map(|(_, responses)| responses.as_object().into_iter().flatten());
    numbers.filter_map(|(key, _)| key.trim_start_matches('q').parse::<u64>().ok()).max().map_or(0, |n| n + 1)
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
