//! The client as a server of another revision sees it.

use std::sync::Arc;

use crate::{
    hub::{Answer, BoxFuture, Counts, Peer, Question, Refusal},
    jsonrpc::Notification,
    protocol::{Loss, Losses, Revision, ladder::Plan},
    seal::random_token,
};

/// Passes what a server says and asks on to a client of another revision.
pub(super) struct Translated {
    plan: Plan,
    client: Arc<dyn Peer>,
    /// Where it is counted what is lost on the way.
    counts: Arc<Counts>,
}

impl Translated {
    /// The client behind the plan; the client itself where there is nothing to change.
    pub(super) fn peer(plan: Plan, client: Arc<dyn Peer>, counts: &Arc<Counts>) -> Arc<dyn Peer> {
        if plan.is_empty() { client } else { Arc::new(Self { plan, client, counts: counts.clone() }) }
    }
}

impl Peer for Translated {
    fn notify(&self, notification: Notification) {
        if !self.plan.can_tell(&notification.method) {
            return self.counts.lost(Loss::Notification);
        }
        let params = self.plan.notification(&notification.method, notification.params);
        self.client.notify(Notification { method: notification.method, params });
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        let plan = self.plan;
        if !plan.can_ask(&question.method, question.params.as_ref()) {
            return Box::pin(std::future::ready(Err(Refusal::NoOne)));
        }
        let method = question.method.clone();
        let mut losses = Losses::default();
        let params = plan.question(&question.method, question.params, fresh_elicitation_id, &mut losses);
        self.counts.lost(losses);
        let (asked, counts) = (self.client.ask(Question { params, ..question }), self.counts.clone());
        Box::pin(async move {
            let mut losses = Losses::default();
            let answer = asked.await.map(|answer| plan.answer(&method, answer, &mut losses));
            counts.lost(losses);
            answer
        })
    }

    fn answers_later(&self) -> bool {
        self.client.answers_later()
    }

    fn hears_logs(&self) -> bool {
        self.client.hears_logs()
    }
}

/// The plan for requests that the gateway itself words: they have no envelope yet.
pub(super) fn own_words(server: Revision) -> Plan {
    Plan::between(Revision::NEWEST_LEGACY, server)
}

/// An id for a URL elicitation that a modern server did not name: a UUID of version 4 (RFC 9562).
pub(super) fn fresh_elicitation_id() -> String {
    let token = random_token::<16>();
    format!("{}-{}-4{}-a{}-{}", &token[..8], &token[8..12], &token[13..16], &token[17..20], &token[20..])
}
