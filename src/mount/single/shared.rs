//! What a request of one of several has to see to before it goes to the session that they share at a legacy server.

use crate::{
    hub::{BoxFuture, Call, Caller, Fault, Question},
    jsonrpc::{Raw, RawObject},
    protocol::{Family, Method, ladder::Plan, level::severity, method::question},
    upstream::Outgoing,
};

use super::{
    super::{
        beside::{Beside, Wish},
        pool::{Key, Lease, Opened, Share},
    },
    Inner,
};

impl Inner {
    /// Whether the session of this caller is its own.
    pub(super) fn is_own(&self, caller: &Caller) -> bool {
        caller.scope.is_session() && !self.terms.share.is_everybodys()
    }

    /// Has the client asked for its roots where the server waits for them.
    pub(super) async fn adopt_roots(&self, call: &Call, Opened { session, beside }: &Opened, plan: Plan) {
        let Some(roots) = &beside.roots else { return };
        let ping = async {
            let _ = session.call(Outgoing::own(Method::Ping, RawObject::new())).await;
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
        let level = call.caller.log_level.as_ref().and_then(severity);
        if level.is_none() && beside.lent.is_none() || !session.description().offers(Family::Logging) {
            return None;
        }
        let tell = |level: &'static str| async move {
            let params = RawObject::from([("level", Raw::from(level))]);
            let _ = session.call(Outgoing::own(Method::SetLevel, params)).await;
        };
        if beside.lent.is_none() {
            return Some(beside.levels.want(level?, tell).await);
        }
        // What runs beside the one who has the session leaves the level as it is.
        if may_be_asked(call) {
            beside.levels.set(level, tell).await;
        }
        None
    }

    /// The session that a call goes to. Where it is lent to one caller at a time who can be asked something in it, the call
    /// has it until what comes along is dropped.
    pub(super) async fn opened_for(&self, call: &Call) -> Result<(Opened, Option<Lease>), Fault> {
        if matches!(self.terms.share, Share::Leased { .. })
            && may_be_asked(call)
            && let Some(lease) =
                self.pool.lease(&call.caller, &self.counts, |key| self.outside(key, &call.caller)).await?
        {
            let opened = lease.opened().clone();
            self.catalog.speaks(opened.session.revision());
            return Ok((opened, Some(lease)));
        }
        Ok((self.opened(&call.caller).await?, None))
    }

    /// What the session is known by that a call goes to.
    pub(super) fn place(&self, caller: &Caller, beside: &Beside) -> Option<Key> {
        let place = self.pool.key(caller)?;
        Some(match &beside.lent {
            Some(lent) => place.numbered(lent.number()),
            None => place,
        })
    }
}

/// Whether somebody can be asked something in a call.
fn may_be_asked(call: &Call) -> bool {
    call.method.may_ask() && call.caller.capabilities.can_be_asked()
}
