//! What a legacy client subscribes to, and what it hears outside its calls.

use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    super::{
        ledger::{Event, Gauge, lock},
        modern_client::messages,
        plan,
    },
    Client, Subscribed, last_id,
};

/// For how long something may still be on its way.
const UNDER_WAY: Duration = Duration::from_secs(60);

impl Client {
    /// The response to something that says nothing before it.
    async fn ask(&self, number: u64, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": number, "method": method, "params": params});
        let response = self.send(Method::POST, Some(&body), None).await;
        let text = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        self.world.ledger.reads(self.principal, &text);
        let mut answers = messages(&text);
        if answers.len() != 1 || answers[0]["id"] != number {
            self.fault(format!("{method} of {} was answered with {text}", self.principal));
        }
        answers.pop().unwrap_or_default()
    }

    pub(super) async fn subscribe(&self, number: u64) {
        let uri = plan::uri(self.principal, &self.random);
        let wanted = Some(self.world.ledger.present(Gauge::Wanted));
        lock(&self.subscribed).insert(uri.clone(), Subscribed { wanted, since: None });
        let answer = self.ask(number, "resources/subscribe", json!({"uri": uri})).await;
        self.world.ledger.tell(format!("{}: subscribes to {uri}: {answer}", self.principal));
        if answer.get("result").is_some() {
            self.world.ledger.happened(Event::Acknowledged);
        }
    }

    pub(super) async fn unsubscribe(&self, number: u64) {
        let uris: Vec<_> = lock(&self.subscribed).keys().cloned().collect();
        let Some(uri) = self.random.pick(&uris) else { return };
        let answer = self.ask(number, "resources/unsubscribe", json!({"uri": uri})).await;
        self.world.ledger.tell(format!("{}: unsubscribes from {uri}: {answer}", self.principal));
        if answer.get("result").is_some()
            && let Some(known) = lock(&self.subscribed).get_mut(uri)
        {
            known.since.get_or_insert_with(Instant::now);
            known.wanted = None;
        }
    }

    /// Keeps a stream open for what belongs to no call, and loses it now and then.
    pub(super) async fn hear_outside(&self) {
        let mut last = None;
        loop {
            let from = last.clone().filter(|_| self.random.one_in(2));
            let response = self.send(Method::GET, None, from.as_deref()).await;
            if response.status() != StatusCode::OK {
                return self.fault(format!("{} may not listen: {}", self.principal, response.status()));
            }
            let opened = Instant::now();
            let (mut body, mut text) = (response.into_body(), String::new());
            let reading = async {
                while let Some(Ok(frame)) = body.frame().await {
                    text.push_str(&String::from_utf8_lossy(frame.data_ref().map_or(&[][..], |d| d)));
                    let rest = text.split_off(text.rfind("\n\n").map_or(0, |at| at + 2));
                    let said = std::mem::replace(&mut text, rest);
                    self.world.ledger.reads(self.principal, &said);
                    last = last_id(&said).or(last.take());
                    for message in messages(&said) {
                        self.hears(&message, opened).await;
                    }
                }
            };
            let lasts = Duration::from_millis(self.random.below(600_000));
            let _ = tokio::time::timeout(lasts, reading).await;
            if self.world.rules.draining.is_cancelled() {
                // It ended because the gateway does.
                return;
            }
            self.random.pause().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn hears(&self, message: &Value, opened: Instant) {
        let (ledger, params) = (&self.world.ledger, &message["params"]);
        match message["method"].as_str() {
            Some("notifications/resources/updated") => {
                ledger.happened(Event::Update);
                let uri = params["uri"].as_str().unwrap_or_default();
                let may_come = lock(&self.subscribed).get(uri).is_some_and(|known| {
                    // What was said while nobody heard it comes late.
                    known.since.is_none_or(|since| since.max(opened) + UNDER_WAY > Instant::now())
                });
                if !may_come {
                    self.fault(format!("{} heard of {uri}, to which it is not subscribed", self.principal));
                }
            }
            Some("notifications/tools/list_changed" | "notifications/resources/list_changed") => {
                ledger.happened(Event::ListChange);
            }
            // Those of its tasks name no call; that they are its own is seen by their words.
            Some("notifications/tasks/status" | "notifications/progress" | "notifications/cancelled") => {}
            Some(method) if message.get("id").is_some() => self.asked(method, message, None).await,
            _ => self.fault(format!("{} heard {message}", self.principal)),
        }
    }
}
