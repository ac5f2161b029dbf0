//! Progress that no client asked for: it shows that a long call is alive.

use std::sync::Arc;

use crate::{
    hub::{Answer, BoxFuture, Call, Peer, Question},
    jsonrpc::{Notification, Raw, RawObject},
    protocol::{Method, meta, method::notification},
};

use super::Inner;

impl Inner {
    /// The client of a call. Where it does not want to hear of progress, and the operator does, the server is asked for it all
    /// the same: each report is a sign of life of the call, which keeps it from being given up for its silence. What is to be
    /// a task says how far it is when it is asked.
    pub(super) fn client_of(&self, call: &Call, params: &mut RawObject) -> Arc<dyn Peer> {
        if !self.terms.synthetic_progress || !call.method.may_ask() {
            return call.peer.clone();
        }
        let is_odd = params.has(meta::META) && meta::of(params).is_none();
        let wants = meta::get(params, meta::PROGRESS_TOKEN).is_some_and(|token| !token.is_null());
        if wants || is_odd {
            return call.peer.clone();
        }
        // The session puts a token of its own in its place.
        meta::edit(params, |keys| keys.set(meta::PROGRESS_TOKEN, Raw::constant("0")));
        Arc::new(Unheard { upstream: self.name.clone(), method: call.method.clone(), client: call.peer.clone() })
    }
}

/// A client that is not told of progress.
struct Unheard {
    upstream: Arc<str>,
    method: Method,
    client: Arc<dyn Peer>,
}

impl Peer for Unheard {
    fn notify(&self, notification: Notification) {
        if notification.method != notification::PROGRESS {
            return self.client.notify(notification);
        }
        let number = |name: &str| notification.params.as_ref()?.get(name)?.parse::<f64>().ok();
        let (progress, total) = (number("progress"), number("total"));
        let (upstream, method) = (&*self.upstream, self.method.as_str());
        tracing::debug!(target: "rialto::progress", upstream, method, progress, total, "a call goes on");
    }

    fn missed(&self, notifications: Vec<Notification>) {
        self.client.missed(notifications);
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        self.client.ask(question)
    }

    fn answers_later(&self) -> bool {
        self.client.answers_later()
    }

    fn hears_logs(&self) -> bool {
        self.client.hears_logs()
    }
}
