//! A client of the legacy era with a session of its own.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use rialto::{downstream::Body, hub::Principal};
use serde_json::{Value, json};

use super::{
    World,
    ledger::Mark,
    modern_client::messages,
    random::Random,
    server::{self, Plan},
};

/// How many calls a client makes.
const CALLS: u64 = 6;

pub(super) async fn live(world: World, principal: &'static str, random: Random) {
    let mut client = Client { world, principal, session: String::new() };
    let capabilities = json!({"elicitation": {}});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities,
        "clientInfo": {"name": "simulated", "version": "1"}});
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let response = client.send(Method::POST, Some(&hello)).await;
    let Some(session) = response.headers().get("mcp-session-id").and_then(|id| id.to_str().ok()) else {
        client.world.ledger.fault(format!("no session: {}", response.status()));
        return;
    };
    client.session = session.to_owned();
    drop(response.into_body().collect().await);
    client.send(Method::POST, Some(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))).await;
    for number in 1..=1 + random.below(CALLS) {
        random.pause().await;
        let plan = Plan::of(client.world.ledger.mark(principal), &random);
        client.call(number, &plan, &random).await;
    }
    if random.one_in(2) {
        client.send(Method::DELETE, None).await;
    }
}

struct Client {
    world: World,
    principal: &'static str,
    session: String,
}

impl Client {
    async fn send(&self, verb: Method, body: Option<&Value>) -> http::Response<Body> {
        let mut request = Request::builder()
            .method(verb)
            .uri("/mcp/work")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if !self.session.is_empty() {
            request = request.header("mcp-session-id", &self.session).header("mcp-protocol-version", "2025-11-25");
        }
        let request = request.body(Full::from(body.map(Value::to_string).unwrap_or_default())).unwrap();
        self.world.endpoint.serve(request, &Principal::new(self.principal)).await
    }

    async fn call(&self, number: u64, plan: &Plan, random: &Random) {
        let (mark, ledger) = (&plan.mark, &self.world.ledger);
        // The gateway asks in the client's name, so each leg that a modern server sees is the gateway's to send once.
        for leg in 0..=plan.questions {
            ledger.sent(mark, leg);
        }
        let params = json!({"name": "work", "arguments": plan.arguments(), "_meta": {"progressToken": number}});
        let body = json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params});
        let patience = match plan.end == "never" || random.one_in(8) {
            true => Duration::from_millis(random.below(60_000)),
            false => Duration::from_secs(4000),
        };
        match tokio::time::timeout(patience, self.follow(number, &body, plan, random)).await {
            Ok(ends) if ends.len() == 1 => {
                if ends[0]["id"] != number {
                    ledger.fault(format!("{mark} was answered with {}", ends[0]));
                }
                judge(&self.world, plan, &ends[0]);
            }
            Ok(ends) => ledger.fault(format!("{mark} ended {} times", ends.len())),
            Err(_) => {
                ledger.tell(format!("{mark}: the client cancels"));
                let params = json!({"requestId": number, "reason": "tired"});
                let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
                self.send(Method::POST, Some(&cancel)).await;
            }
        }
    }

    /// Sends a call and reads its stream to the end, answering questions on the way.
    async fn follow(&self, number: u64, body: &Value, plan: &Plan, random: &Random) -> Vec<Value> {
        let response = self.send(Method::POST, Some(body)).await;
        if response.status() != StatusCode::OK {
            self.world.ledger.fault(format!("{} was answered with {}", plan.mark, response.status()));
            return Vec::new();
        }
        let (mut body, mut text, mut ends) = (response.into_body(), String::new(), Vec::new());
        while let Some(Ok(frame)) = body.frame().await {
            text.push_str(&String::from_utf8_lossy(frame.data_ref().map_or(&[][..], |d| d)));
            let whole = match text.starts_with('{') {
                true => continue,
                false => text.rfind("\n\n").map_or(0, |at| at + 2),
            };
            let rest = text.split_off(whole);
            for message in messages(&std::mem::replace(&mut text, rest)) {
                self.heard(number, message, plan, random, &mut ends).await;
            }
        }
        for message in messages(&text) {
            self.heard(number, message, plan, random, &mut ends).await;
        }
        ends
    }

    async fn heard(&self, number: u64, message: Value, plan: &Plan, random: &Random, ends: &mut Vec<Value>) {
        let (mark, ledger) = (&plan.mark, &self.world.ledger);
        match message["method"].as_str() {
            None => ends.push(message),
            Some("notifications/progress") => {
                let params = &message["params"];
                if params["progressToken"] != number || params["message"] != mark.to_string() {
                    ledger.fault(format!("{mark} heard {message}"));
                }
            }
            Some("notifications/cancelled") => {}
            Some("elicitation/create") => {
                let words = message["params"]["message"].as_str().unwrap_or_default();
                if words.split('?').next().and_then(Mark::read).as_ref() != Some(mark) {
                    ledger.fault(format!("{mark} was asked {words}"));
                }
                random.pause().await;
                let result = if random.one_in(10) { json!({"action": "decline"}) } else { server::answer(words) };
                let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
                // An answer that comes twice is an answer that came once.
                for _ in 0..1 + u64::from(random.one_in(5)) {
                    self.send(Method::POST, Some(&answer)).await;
                }
            }
            Some(_) => ledger.fault(format!("{mark} was sent {message}")),
        }
    }
}

fn judge(world: &World, plan: &Plan, end: &Value) {
    let own = plan.mark.to_string();
    let text = end["result"]["content"][0]["text"].as_str().unwrap_or_default();
    let good = text == format!("{own} done") || text == format!("{own} refused");
    // Words of the gateway about the call name nobody's.
    let foreign = super::PRINCIPALS.iter().any(|p| *p != plan.mark.owner && end.to_string().contains(&format!("{p}/")));
    let failed = end.get("error").is_some() || end["result"]["isError"] == true;
    if foreign || !(good || failed) {
        world.ledger.fault(format!("{own} got {end}"));
    }
    world.ledger.tell(format!("{own}: ends with {end}"));
}
