//! A modern client's tasks.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    super::{
        ledger::Event,
        plan::{self, Plan},
    },
    Client, Ended,
};

/// How often a client looks at a task.
const LOOKS: usize = 12;

impl Client {
    /// A call that shall become a task.
    pub(super) async fn task(&self) {
        let plan = self.plan();
        match self.leg(&plan, &None, 0).await {
            Ended::Task(created) => self.follow(&plan, &created).await,
            // It did not; what it asks is not answered.
            Ended::Asked { .. } => self.world.ledger.gives_up(&plan.mark),
            Ended::Over | Ended::Left => {}
        }
    }

    /// Looks at a task from time to time.
    pub(super) async fn follow(&self, plan: &Plan, created: &Value) {
        let (mark, random, ledger) = (&plan.mark, &self.random, &self.world.ledger);
        let id = created["taskId"].as_str().unwrap_or_default().to_owned();
        if id.is_empty() {
            return self.fault(format!("{mark} became a task without an id: {created}"));
        }
        // The status that it ended with.
        let mut over = None;
        for _ in 0..LOOKS {
            random.pause().await;
            match random.below(10) {
                0 => self.steal_task(plan, &id).await,
                1 => self.listen(vec![json!(id)]).await,
                2 if random.one_in(3) => {
                    ledger.gives_up(mark);
                    self.about(self.principal, "tasks/cancel", &id, json!({})).await;
                }
                _ => {}
            }
            if !self.look(plan, &id, &mut over).await {
                break;
            }
        }
        ledger.gives_up(mark);
    }

    /// Looks once, and answers what is asked. Whether there is more to see.
    async fn look(&self, plan: &Plan, id: &str, over: &mut Option<String>) -> bool {
        let ledger = &self.world.ledger;
        let looking = self.about(self.principal, "tasks/get", id, json!({}));
        let Ok(answer) = tokio::time::timeout(Duration::from_secs(4000), looking).await else {
            self.fault(format!("nobody says how far the task of {} is", plan.mark));
            return false;
        };
        let Some(task) = answer.get("result") else {
            ledger.tell(format!("{}: its task is gone: {answer}", plan.mark));
            return false;
        };
        if task["taskId"] != id {
            self.fault(format!("the task of {} is {task}", plan.mark));
        }
        let status = task["status"].as_str().unwrap_or_default().to_owned();
        if let Some(before) = &*over
            && *before != status
        {
            self.fault(format!("the task of {} was {before} and is {status}", plan.mark));
        }
        match &*status {
            "completed" => self.judge(plan, &task["result"]),
            "failed" if task["error"].is_object() => {}
            "cancelled" | "working" => {}
            "input_required" => {
                // What a modern server shows of its task passes as it is; it knows what the client declares.
                let answers = match self.world.rules.is_modern {
                    true => self.answered(plan, &task["inputRequests"]),
                    false => self.answers(plan, &task["inputRequests"]),
                };
                let times = 1 + usize::from(self.random.one_in(5));
                for _ in 0..times {
                    self.about(self.principal, "tasks/update", id, json!({"inputResponses": answers})).await;
                }
            }
            _ => self.fault(format!("the task of {} is {task}", plan.mark)),
        }
        let is_over = matches!(&*status, "completed" | "failed" | "cancelled");
        if is_over && over.replace(status).is_none() {
            ledger.happened(Event::TaskOver);
        }
        true
    }

    /// Somebody else finds the id: it stands for nothing.
    async fn steal_task(&self, plan: &Plan, id: &str) {
        self.world.ledger.happened(Event::Theft);
        let thief = self.thief();
        for (method, more) in [
            ("tasks/get", json!({})),
            ("tasks/cancel", json!({})),
            ("tasks/update", json!({"inputResponses": {"q0": plan::answer("", &Value::Null, thief, &self.random)}})),
        ] {
            let answer = self.about(thief, method, id, more).await;
            // Where the server cannot be asked what it offers, nobody gets as far as the id.
            if answer["error"]["code"] != -32602 && answer["error"]["data"]["source"] != "gateway" {
                self.fault(format!("{thief} used the task of {}: {answer}", plan.mark));
            }
        }
    }

    async fn about(&self, principal: &str, method: &str, id: &str, mut params: Value) -> Value {
        params["taskId"] = json!(id);
        let request = format!("{method}-{}", self.random.next());
        let mut messages = self.exchange(principal, &request, method, id, params).await;
        if messages.len() != 1 || messages[0]["id"] != request {
            self.fault(format!("{request} was answered with {messages:?}"));
        }
        messages.pop().unwrap_or_default()
    }
}
