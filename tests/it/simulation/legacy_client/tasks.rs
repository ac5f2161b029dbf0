//! The tasks of a client of 2025-11-25.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    super::{PRINCIPALS, ledger::Event, plan::Plan},
    Client,
};

/// How often a client does something about a task.
const DEEDS: u64 = 8;

impl Client {
    /// A call that shall become a task, and what the client does about it.
    pub(super) async fn task(&self, number: u64) {
        let plan = self.plan();
        let (ledger, random) = (&self.world.ledger, &self.random);
        let ttl = [30_000, 300_000, 3_600_000][random.below(3) as usize];
        let params = json!({"name": plan.tool.name(), "arguments": plan.arguments(), "task": {"ttl": ttl},
            "_meta": {"progressToken": plan.mark.call}});
        let created = self.request(number, "tools/call", &params, &plan, self.patience(&plan)).await;
        let Some(created) = created else { return ledger.gives_up(&plan.mark) };
        let Some(id) = created["result"]["task"]["taskId"].as_str() else {
            ledger.tell(format!("{}: becomes no task: {created}", plan.mark));
            return self.judge(&plan, &created);
        };
        let mut over: Option<String> = None;
        for deed in 0..random.below(DEEDS) {
            random.pause().await;
            let number = number * 100 + deed;
            match random.below(8) {
                0 => self.steal(&plan, id).await,
                1 if random.one_in(2) => {
                    ledger.gives_up(&plan.mark);
                    self.about(number, "tasks/cancel", id, &plan, 4000).await;
                }
                2 => drop(self.about(number, "tasks/list", id, &plan, 4000).await),
                3..=5 => {
                    let patience = if plan.end == "never" { 60 } else { 1 + random.below(4000) };
                    if let Some(end) = self.about(number, "tasks/result", id, &plan, patience).await {
                        self.judge(&plan, &end);
                    }
                }
                _ => {
                    if let Some(seen) = self.about(number, "tasks/get", id, &plan, 4000).await {
                        self.saw(&plan, id, &seen, &mut over);
                    }
                }
            }
        }
        ledger.gives_up(&plan.mark);
    }

    async fn about(&self, number: u64, method: &str, id: &str, plan: &Plan, patience: u64) -> Option<Value> {
        let params = match method {
            "tasks/list" => json!({}),
            _ => json!({"taskId": id}),
        };
        let answer = self.request(number, method, &params, plan, Duration::from_secs(patience)).await?;
        self.world.ledger.tell(format!("{}: {method}: {answer}", plan.mark));
        Some(answer)
    }

    fn saw(&self, plan: &Plan, id: &str, seen: &Value, over: &mut Option<String>) {
        let Some(task) = seen.get("result") else { return };
        let status = task["status"].as_str().unwrap_or_default();
        if task["taskId"] != id || over.as_ref().is_some_and(|over| *over != status) {
            self.fault(format!("the task of {} was {over:?} and is {task}", plan.mark));
        }
        if matches!(status, "completed" | "failed" | "cancelled") && over.replace(status.to_owned()).is_none() {
            self.world.ledger.happened(Event::TaskOver);
        }
    }

    /// Somebody else finds the id, and has a session: it stands for nothing.
    async fn steal(&self, plan: &Plan, id: &str) {
        let Some(thief) = PRINCIPALS.iter().find(|p| **p != self.principal) else { return };
        let Some(session) = super::greet(&self.world, thief, "2025-11-25", &[]).await else { return };
        self.world.ledger.happened(Event::Theft);
        let other = Client {
            world: self.world.clone(),
            principal: thief,
            random: self.random.fork(),
            revision: "2025-11-25",
            kinds: Vec::new(),
            session,
            gone: self.gone.clone(),
            subscribed: Default::default(),
        };
        for (number, method) in (1..).zip(["tasks/get", "tasks/cancel", "tasks/result"]) {
            let wait = Duration::from_secs(600);
            let answer = other.request(number, method, &json!({"taskId": id}), plan, wait).await;
            // It may have lost its stream.
            let is_refused = answer.as_ref().is_none_or(|answer| {
                answer["error"]["code"] == -32602 || answer["error"]["data"]["source"] == "gateway"
            });
            if !is_refused {
                self.fault(format!("{thief} used the task of {}: {answer:?}", plan.mark));
            }
        }
        other.send(http::Method::DELETE, None, None).await;
    }
}
