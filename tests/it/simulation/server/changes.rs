//! What changes at it, and who is told.

use std::{sync::Arc, time::Duration};

use rialto::mount::Share;
use serde_json::{Value, json};

use super::{
    super::{
        ledger::{Gauge, lock},
        random::Random,
    },
    Line, SUBSCRIPTION, Server, Session, answered, error, notification,
};

const UPDATED: &str = "notifications/resources/updated";
/// The lists that change: how that is announced, and what asks for the announcement.
pub(super) const LISTS: [(&str, &str); 2] = [
    ("notifications/tools/list_changed", "toolsListChanged"),
    ("notifications/resources/list_changed", "resourcesListChanged"),
];

/// A listen that is open.
pub(super) struct Ear {
    pub(super) id: Value,
    pub(super) filter: Value,
    pub(super) line: Line,
}

/// The ear is closed when nobody listens any more, however that comes about.
struct Closing<'a>(&'a Server, u64);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        lock(&self.0.ears).remove(&self.1);
    }
}

impl Ear {
    pub(super) fn says(&self, method: &str, mut params: Value) {
        params["_meta"] = json!({SUBSCRIPTION: self.id});
        let _ = self.line.send(notification(method, &params));
    }
}

impl Server {
    /// `resources/subscribe` and `resources/unsubscribe`.
    pub(super) fn subscribing(&self, session: &Session, begins: bool, params: &Value) -> Result<Value, Value> {
        let Some(uri) = params["uri"].as_str() else { return Err(error(-32602, "no `uri`")) };
        let owner = uri.split('/').nth(2).unwrap_or_default();
        // Those who share no session share the one in which they listen.
        if owner != "all" && self.rules.share != Share::Nobody {
            self.belongs(session, owner);
        }
        let mut subscribed = lock(&session.subscribed);
        self.ledger.tell(format!("server: {} to {uri}, begins: {begins}", session.name));
        if begins {
            if self.random.one_in(12) {
                return Err(error(-32002, "no such resource"));
            }
            subscribed.entry(uri.to_owned()).or_insert_with(|| self.ledger.present(Gauge::Subscribed));
        } else {
            subscribed.remove(uri);
        }
        Ok(json!({}))
    }

    /// Tells a legacy client of changes, until its session ends or the world does.
    pub(in crate::simulation) fn changes_for(self: &Arc<Self>, session: &Arc<Session>) {
        let (server, session, random) = (self.clone(), session.clone(), self.random.fork());
        let over = session.over.clone();
        tokio::spawn(over.run_until_cancelled_owned(async move {
            while server.goes_on(&random).await {
                let uris: Vec<_> = lock(&session.subscribed).keys().cloned().collect();
                match random.pick(&uris).filter(|_| !random.one_in(4)) {
                    Some(uri) => session.says(notification(UPDATED, &json!({"uri": uri}))),
                    None => {
                        let (method, _) = LISTS[usize::from(random.one_in(2))];
                        session.says(notification(method, &Value::Null));
                    }
                }
            }
        }));
    }

    /// Waits for the next change. Whether there is one.
    async fn goes_on(&self, random: &Random) -> bool {
        tokio::select! {
            () = self.rules.ending.cancelled() => false,
            () = tokio::time::sleep(Duration::from_millis(random.below(40_000))) => true,
        }
    }

    /// `subscriptions/listen`.
    pub(super) async fn listen(&self, message: &Value, line: &Line, random: &Random) {
        let _present = self.ledger.present(Gauge::Ears);
        random.moment().await;
        let (id, filter) = (message["id"].clone(), message["params"]["notifications"].clone());
        let ear = Ear { id: id.clone(), filter: filter.clone(), line: line.clone() };
        ear.says("notifications/subscriptions/acknowledged", json!({"notifications": filter}));
        let number = self.number();
        lock(&self.ears).insert(number, ear);
        let _closing = Closing(self, number);
        let wants = |name: &str| filter[name] == true;
        let uris = filter["resourceSubscriptions"].as_array().cloned().unwrap_or_default();
        while self.goes_on(random).await {
            let said = match random.pick(&uris).filter(|_| !random.one_in(4)) {
                Some(uri) => (UPDATED, json!({"uri": uri})),
                None => match LISTS.iter().find(|(_, key)| wants(key)) {
                    Some((method, _)) => (*method, json!({})),
                    None => continue,
                },
            };
            if let Some(ear) = lock(&self.ears).get(&number) {
                ear.says(said.0, said.1);
            }
            if random.one_in(30) {
                // It has enough of it.
                let result = json!({"resultType": "complete", "_meta": {SUBSCRIPTION: id}});
                let _ = line.send(answered(&id, Ok(result)));
                return;
            }
        }
        std::future::pending().await
    }
}
