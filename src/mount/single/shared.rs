//! What a request of one of several has to see to before it goes to the session that they share at a legacy server.

use std::sync::Arc;

use crate::{
    hub::{BoxFuture, Call, Caller, Life, Question, SilentPeer},
    jsonrpc::{Raw, RawObject},
    protocol::{ClientCapabilities, Family, Method, ladder::Plan, level::severity, method::question},
    upstream::Outgoing,
};

use super::{
    super::{
        beside::Wish,
        pool::{Opened, Share},
    },
    Inner,
};

impl Inner {
    /// Whether the session of this caller is its own.
    pub(super) fn is_own(&self, caller: &Caller) -> bool {
        caller.scope.is_session() && self.terms.share != Share::Everybody
    }

    /// Has the client asked for its roots where the server waits for them.
    pub(super) async fn adopt_roots(&self, call: &Call, Opened { session, beside }: &Opened, plan: Plan) {
        let Some(roots) = &beside.roots else { return };
        let ping = async {
            let _ = session.call(own_request(Method::Ping, RawObject::new())).await;
        };
        let ask = || -> BoxFuture<_> {
            let question = Question { method: question::ROOTS.to_owned(), params: None, key: None };
            let asked = self.translated(plan, call.peer.clone()).ask(question);
            let asking = call.life.asking();
            Box::pin(async move {
                let answer = asked.await;
                drop(asking);
                answer
            })
        };
        roots.adopt(ping, ask).await;
    }

    /// Has the server log what the call wants to hear, for as long as what is returned is kept.
    pub(super) async fn wish(&self, call: &Call, Opened { session, beside }: &Opened) -> Option<Wish> {
        let level = call.caller.log_level.as_ref().and_then(severity)?;
        if !session.description().offers(Family::Logging) {
            return None;
        }
        let tell = |level: &'static str| async move {
            let params = RawObject::from([("level", Raw::from(level))]);
            let _ = session.call(own_request(Method::SetLevel, params)).await;
        };
        Some(beside.levels.want(level, tell).await)
    }
}

/// A request that the gateway makes for itself.
fn own_request(method: Method, params: RawObject) -> Outgoing {
    Outgoing {
        method,
        params,
        headers: Vec::new(),
        peer: Arc::new(SilentPeer),
        capabilities: ClientCapabilities::default(),
        life: Life::default(),
    }
}
