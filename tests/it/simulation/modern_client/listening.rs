//! A modern client's subscriptions.

use std::{collections::HashSet, time::Duration};

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{
    super::{
        ledger::{Event, Gauge},
        plan,
        server::SUBSCRIPTION,
    },
    Client, messages,
};

impl Client {
    /// Listens for a while: to lists, to resources, and to these tasks.
    pub(super) async fn listen(&self, tasks: Vec<Value>) {
        let (random, ledger) = (&self.random, &self.world.ledger);
        let wants = |_| if random.one_in(2) { Value::Bool(true) } else { Value::Bool(random.one_in(2)) };
        let mut filter = json!({"toolsListChanged": wants(0), "resourcesListChanged": wants(1)});
        let uris: HashSet<_> = (0..random.below(4)).map(|_| plan::uri(self.principal, random)).collect();
        if !uris.is_empty() {
            filter["resourceSubscriptions"] = uris.iter().cloned().collect();
        }
        if !tasks.is_empty() {
            filter["taskIds"] = Value::Array(tasks);
        }
        let id = format!("listen-{}", random.next());
        let patience = Duration::from_millis(random.below(400_000));
        let _listening = ledger.present(Gauge::Listening);
        let heard = tokio::time::timeout(patience, self.hear(&id, &filter)).await;
        ledger.tell(format!("{}: {id} is over: {heard:?}", self.principal));
    }

    /// Hears what a subscription brings: first what is honoured, then nothing but that, and then the end.
    async fn hear(&self, id: &str, filter: &Value) {
        let ledger = &self.world.ledger;
        let params = json!({"notifications": filter});
        let response = self.send(self.principal, id, "subscriptions/listen", "", params).await;
        let (mut body, mut text, mut honoured, mut ends) = (response.into_body(), String::new(), Value::Null, 0);
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
            ledger.reads(self.principal, &said);
            for message in messages(&said) {
                if ends > 0 {
                    self.fault(format!("{id} heard {message} after its end"));
                }
                match message["method"].as_str() {
                    None if message["id"] == id => {
                        ends += 1;
                        if message.get("result").is_some() && honoured.is_null() {
                            self.fault(format!("{id} ended before it was acknowledged: {message}"));
                        }
                    }
                    Some("notifications/subscriptions/acknowledged") if honoured.is_null() => {
                        ledger.happened(Event::Acknowledged);
                        honoured = message["params"]["notifications"].clone();
                        self.is_within(id, filter, &honoured);
                    }
                    _ if self.is_honoured(id, &honoured, &message) => {}
                    _ => self.fault(format!("{id} heard {message}, and {honoured} is honoured")),
                }
            }
            self.world.check();
            if is_over {
                break;
            }
        }
        if ends != 1 {
            self.fault(format!("{id} ended {ends} times"));
        }
    }

    /// No more is honoured than was wanted.
    fn is_within(&self, id: &str, filter: &Value, honoured: &Value) {
        for (key, value) in honoured.as_object().into_iter().flatten() {
            let is_within = match value.as_array() {
                Some(names) => {
                    names.iter().all(|name| filter[key].as_array().is_some_and(|wanted| wanted.contains(name)))
                }
                None => *value == false || filter[key] == *value,
            };
            if !is_within {
                self.fault(format!("{id} wanted {filter}, and is promised {honoured}"));
            }
        }
    }

    fn is_honoured(&self, id: &str, honoured: &Value, message: &Value) -> bool {
        let (ledger, params) = (&self.world.ledger, &message["params"]);
        let names = |key: &str, name: &Value| honoured[key].as_array().is_some_and(|names| names.contains(name));
        params["_meta"][SUBSCRIPTION] == id
            && match message["method"].as_str() {
                Some("notifications/resources/updated") => {
                    ledger.happened(Event::Update);
                    names("resourceSubscriptions", &params["uri"])
                }
                Some("notifications/tools/list_changed") => {
                    ledger.happened(Event::ListChange);
                    honoured["toolsListChanged"] == true
                }
                Some("notifications/resources/list_changed") => {
                    ledger.happened(Event::ListChange);
                    honoured["resourcesListChanged"] == true
                }
                Some("notifications/tasks") => names("taskIds", &params["taskId"]),
                _ => false,
            }
    }
}
