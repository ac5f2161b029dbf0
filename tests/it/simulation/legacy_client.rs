//! A client of the legacy era with a session of its own.

mod outside;
mod tasks;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use rialto::{downstream::Body, hub::Principal};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    World,
    ledger::{Event, Gauge, Mark, Present, lock},
    modern_client::messages,
    plan::{self, Kind, Plan, ROUNDS},
    random::Random,
};

/// How many things a client does.
const DEEDS: u64 = 6;
const REVISIONS: [&str; 6] = ["2025-11-25", "2025-11-25", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

pub(super) async fn live(world: World, principal: &'static str, random: Random) {
    let revision = REVISIONS[random.below(REVISIONS.len() as u64) as usize];
    let kinds = match random.below(6) {
        0 => vec![],
        _ if revision < "2025-06-18" => vec![Kind::Sample, Kind::Roots],
        _ => vec![Kind::Form, Kind::Sample, Kind::Roots],
    };
    let Some(session) = greet(&world, principal, revision, &kinds).await else { return };
    let _present = world.ledger.present(Gauge::Clients);
    let (gone, subscribed) = (CancellationToken::new(), Mutex::default());
    let client = Arc::new(Client { world, principal, random, revision, kinds, session, gone, subscribed });
    if client.random.one_in(2) {
        let (client, gone) = (client.clone(), client.gone.clone());
        tokio::spawn(gone.run_until_cancelled_owned(async move { client.hear_outside().await }));
    }
    for number in 1..=1 + client.random.below(DEEDS) {
        client.random.pause().await;
        match client.random.below(8) {
            0 | 1 => client.subscribe(number).await,
            2 => client.unsubscribe(number).await,
            3 if client.revision == "2025-11-25" => client.task(number).await,
            _ => client.call(number).await,
        }
        client.world.check();
    }
    client.gone.cancel();
    if client.random.one_in(2) {
        client.send(Method::DELETE, None, None).await;
        lock(&client.subscribed).clear();
    } else {
        // It walks away, and its session ends in time.
        client.world.leaves(std::mem::take(&mut *lock(&client.subscribed)).into_values().map(|s| s.wanted));
    }
}

/// What a client knows of something that it subscribed to.
struct Subscribed {
    wanted: Option<Present>,
    /// Since when it is not subscribed any more, by the server's own word.
    since: Option<Instant>,
}

struct Client {
    world: World,
    principal: &'static str,
    random: Random,
    revision: &'static str,
    kinds: Vec<Kind>,
    session: String,
    /// Fires when it is gone.
    gone: CancellationToken,
    subscribed: Mutex<HashMap<String, Subscribed>>,
}

/// What of one request's stream was read.
#[derive(Default)]
struct Followed {
    ends: Vec<Value>,
    last: Option<String>,
    /// It left the stream before the end.
    left: bool,
}

/// Shakes hands. The id of the session, if there is one.
async fn greet(world: &World, principal: &str, revision: &str, kinds: &[Kind]) -> Option<String> {
    let mut capabilities = json!({});
    for kind in kinds {
        match kind {
            Kind::Form => capabilities["elicitation"] = json!({}),
            Kind::Sample => capabilities["sampling"] = json!({}),
            Kind::Roots => capabilities["roots"] = json!({}),
        }
    }
    let params = json!({"protocolVersion": revision, "capabilities": capabilities,
        "clientInfo": {"name": "simulated", "version": "1"}});
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string();
    let request = Request::post("/mcp/work")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(Full::from(hello))
        .unwrap();
    let response = world.endpoint.serve(request, &Principal::new(principal)).await;
    let session = response.headers().get("mcp-session-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let text = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    world.ledger.reads(principal, &text);
    let is_error = messages(&text).iter().any(|m| m.get("error").is_some());
    if session.is_some() == is_error {
        world.ledger.fault(format!("the handshake of {principal} was answered with {text}"));
    }
    session
}

impl Client {
    fn fault(&self, words: String) {
        self.world.ledger.fault(words);
    }

    async fn send(&self, verb: Method, body: Option<&Value>, last: Option<&str>) -> http::Response<Body> {
        let mut request = Request::builder()
            .method(verb)
            .uri("/mcp/work")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-session-id", &self.session);
        if self.revision >= "2025-06-18" {
            request = request.header("mcp-protocol-version", self.revision);
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Full::from(body.map(Value::to_string).unwrap_or_default())).unwrap();
        self.world.endpoint.serve(request, &Principal::new(self.principal)).await
    }

    async fn tell(&self, message: &Value) {
        drop(self.send(Method::POST, Some(message), None).await);
    }

    fn plan(&self) -> Plan {
        let (ledger, random) = (&self.world.ledger, &self.random);
        let plan = Plan::of(ledger.mark(self.principal), &self.kinds, random);
        // The gateway asks in the client's name, so each leg that a modern server sees is the gateway's to send once.
        (0..ROUNDS).for_each(|leg| ledger.sent(&plan.mark, leg));
        if self.kinds.is_empty() {
            ledger.gives_up(&plan.mark);
        }
        plan
    }

    fn patience(&self, plan: &Plan) -> Duration {
        match plan.end == "never" || self.random.one_in(8) {
            true => Duration::from_millis(self.random.below(60_000)),
            false => Duration::from_secs(4000),
        }
    }

    async fn call(&self, number: u64) {
        let plan = self.plan();
        let params = json!({"name": plan.tool.name(), "arguments": plan.arguments(),
            "_meta": {"progressToken": plan.mark.call}});
        if let Some(end) = self.request(number, "tools/call", &params, &plan, self.patience(&plan)).await {
            self.judge(&plan, &end);
        }
        self.world.ledger.gives_up(&plan.mark);
    }

    /// Sends a request of a call, or about its task, and gives the one response to it, if the client stays so long.
    async fn request(
        &self,
        number: u64,
        method: &str,
        params: &Value,
        plan: &Plan,
        patience: Duration,
    ) -> Option<Value> {
        let ledger = &self.world.ledger;
        let body = json!({"jsonrpc": "2.0", "id": number, "method": method, "params": params});
        let mut followed = Followed::default();
        match tokio::time::timeout(patience, self.follow(&body, plan, &mut followed)).await {
            Ok(()) if followed.left => None,
            Ok(()) if followed.ends.len() == 1 => {
                let end = followed.ends.remove(0);
                if end["id"] != number {
                    self.fault(format!("{method} of {} was answered with {end}", plan.mark));
                }
                Some(end)
            }
            Ok(()) => {
                self.fault(format!("{method} of {} ended {} times", plan.mark, followed.ends.len()));
                None
            }
            Err(_) => {
                ledger.tell(format!("{}: the client cancels {method}", plan.mark));
                if method == "tools/call" {
                    ledger.gives_up(&plan.mark);
                }
                let params = json!({"requestId": number, "reason": "tired"});
                self.tell(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})).await;
                None
            }
        }
    }

    /// Sends a request and reads its stream to the end, answering questions on the way. It may lose the stream, and take it
    /// up again.
    async fn follow(&self, body: &Value, plan: &Plan, followed: &mut Followed) {
        let response = self.send(Method::POST, Some(body), None).await;
        if response.status() != StatusCode::OK {
            return self.fault(format!("{} was answered with {}", plan.mark, response.status()));
        }
        let mut stream = response.into_body();
        loop {
            if self.read(stream, plan, followed).await {
                return;
            }
            let Some(last) = followed.last.clone() else {
                self.world.ledger.tell(format!("{}: the client loses the stream for good", plan.mark));
                self.world.ledger.gives_up(&plan.mark);
                followed.left = true;
                return;
            };
            tokio::time::sleep(Duration::from_millis(self.random.below(20_000))).await;
            self.world.ledger.happened(Event::Resumed);
            let response = self.send(Method::GET, None, Some(&last)).await;
            if response.status() != StatusCode::OK {
                return self.fault(format!("the stream of {} is gone: {}", plan.mark, response.status()));
            }
            stream = response.into_body();
        }
    }

    /// Reads a stream; `false` where its connection is lost before its end.
    async fn read(&self, mut body: Body, plan: &Plan, followed: &mut Followed) -> bool {
        let mut text = String::new();
        loop {
            let frame = body.frame().await;
            let is_over = frame.is_none();
            if let Some(Ok(frame)) = frame {
                text.push_str(&String::from_utf8_lossy(frame.data_ref().map_or(&[][..], |d| d)));
            }
            let whole = match is_over {
                true => text.len(),
                false if text.starts_with('{') => 0,
                false => text.rfind("\n\n").map_or(0, |at| at + 2),
            };
            let rest = text.split_off(whole);
            let said = std::mem::replace(&mut text, rest);
            self.world.ledger.reads(self.principal, &said);
            followed.last = last_id(&said).or(followed.last.take());
            for message in messages(&said) {
                match message.get("method") {
                    None => followed.ends.push(message),
                    Some(_) => self.heard(&message, plan).await,
                }
            }
            if is_over {
                return true;
            }
            if followed.ends.is_empty() && self.random.one_in(25) {
                return false;
            }
        }
    }

    /// Something on the stream of a call.
    async fn heard(&self, message: &Value, plan: &Plan) {
        let (mark, params) = (&plan.mark, &message["params"]);
        match message["method"].as_str() {
            Some("notifications/progress") => {
                // The progress of a task has the token of the call that made it.
                if params["progressToken"] != plan.mark.call || params["message"] != mark.to_string() {
                    self.fault(format!("{mark} heard {message}"));
                }
            }
            Some("notifications/cancelled") => {}
            Some(method) if message.get("id").is_some() => {
                let strict = self.world.rules.is_modern.then_some(mark);
                self.asked(method, message, strict).await;
            }
            _ => self.fault(format!("{mark} was sent {message}")),
        }
    }

    /// A question, which is about one of its own calls: about this one, where a server says which it asks for.
    async fn asked(&self, method: &str, message: &Value, of: Option<&Mark>) {
        let params = &message["params"];
        if self.kinds.is_empty() {
            self.fault(format!("{} was asked {message}, and answers nothing", self.principal));
        }
        if let Some(words) = plan::asked_about(method, params) {
            let about = words.split('?').next().and_then(Mark::read);
            let is_own = about.is_some_and(|about| match of {
                Some(mark) => about == *mark,
                None => about.owner == self.principal,
            });
            if !is_own {
                self.fault(format!("{} was asked {words}, and {of:?} is its own", self.principal));
            }
        }
        self.random.pause().await;
        let result = plan::answer(method, params, self.principal, &self.random);
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        // An answer that comes twice is an answer that came once.
        for _ in 0..1 + u64::from(self.random.one_in(5)) {
            self.tell(&answer).await;
        }
    }

    fn judge(&self, plan: &Plan, end: &Value) {
        let own = plan.mark.to_string();
        let text = end["result"]["content"][0]["text"].as_str().unwrap_or_default();
        let is_own = ["done", "refused", "failed"].iter().any(|how| text == format!("{own} {how}"));
        let failed = end.get("error").is_some() || end["result"]["isError"] == true;
        if !(is_own || failed) {
            self.fault(format!("{own} got {end}"));
        }
        self.world.ledger.tell(format!("{own}: ends with {end}"));
    }
}

/// The id of the last event.
fn last_id(said: &str) -> Option<String> {
    said.lines().rev().find_map(|line| line.strip_prefix("id: ")).map(str::to_owned)
}
