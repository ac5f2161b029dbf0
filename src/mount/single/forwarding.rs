//! The way of one call to a session, and what has to be known and seen to before.

use std::sync::Arc;

use crate::{
    hub::{Answering, Attempt, Call, Caller, Description, Fault, Outcome, Reason},
    jsonrpc::Raw,
    protocol::{Family, Method, ladder::Envelope, tasks::offered_by_legacy},
    upstream::Session,
};

use super::{
    super::{changes::watch_lists, pool::Opened},
    Inner,
    sending::Hop,
    travelling::own_headers,
};

impl Inner {
    /// Forwards a call that is no list and not about a task.
    pub(super) async fn forward(self: &Arc<Self>, call: &Call) -> Result<Outcome, Fault> {
        let (opened, lease) = self.opened_for(call).await?;
        if let Some(changes) = self.parties.known(&call.caller) {
            watch_lists::start(self, &changes, Some(&opened.session));
        }
        let ended = match self.forward_to(&opened, call).await {
            // The server speaks the other era by now and has run nothing: in that era the call is sent once more.
            Err(fault) if has_changed(&opened.session, &fault) && matches!(call.attempt, Attempt::First) => {
                // Before it waits for its turn in the next one.
                drop(lease);
                let (opened, _lease) = self.opened_for(call).await?;
                self.forward_to(&opened, call).await
            }
            ended => ended,
        };
        self.lingers(&call.caller, opened.session);
        ended
    }

    async fn forward_to(self: &Arc<Self>, opened: &Opened, call: &Call) -> Result<Outcome, Fault> {
        let Opened { session, beside } = opened;
        self.check_state(call, session)?;
        if matches!(call.method, Method::ResourcesSubscribe | Method::ResourcesUnsubscribe) {
            return self.subscribing(opened, call).await;
        }
        let plan = self.plan(&call.caller, session.revision());
        if !call.method.exists_in(session.revision().era()) {
            return match &call.method {
                // The level is the session's downstream; a modern server hears of it with each request.
                Method::SetLevel | Method::Ping => Ok(Outcome::Complete(Raw::constant("{}"))),
                method => Err(Fault::method_not_found(method.as_str())),
            };
        }
        let is_shared = !session.revision().is_modern() && !self.is_own(&call.caller);
        if is_shared && call.method == Method::SetLevel {
            // What one of several wants goes with each of its requests.
            return Ok(Outcome::Complete(Raw::constant("{}")));
        }
        let named = match call.method {
            Method::ToolsCall => call.params.get("name").and_then(Raw::as_text),
            _ => None,
        };
        let own = own_headers(call);
        let tool = match &named {
            Some(name)
                if session.mirrors_headers()
                    || plan.crosses_eras()
                    || runs_tasks(session)
                    || self.terms.reissue_idempotent_tools =>
            {
                self.tool(&call.caller, name, &own).await?
            }
            _ => None,
        };
        if is_shared && call.caller.answers == Answering::Retry && call.method.may_ask() {
            self.adopt_roots(call, opened, plan).await;
        }
        let _wish = match is_shared {
            true => self.wish(call, opened).await,
            false => None,
        };
        let tool = tool.as_ref();
        self.call_or_task(Hop { call, session, beside, plan, name: named.as_deref(), tool }).await
    }

    /// The envelope of a request to `server`. A legacy client that never chose a level gets log messages from `info` on
    /// where the server logs: in its era servers may log unasked.
    pub(super) fn envelope<'a>(&'a self, caller: &'a Caller, server: &Description) -> Envelope<'a> {
        let logs = !caller.revision.is_modern() && server.offers(Family::Logging);
        Envelope {
            client_info: caller.client_info.as_ref(),
            capabilities: &caller.capabilities,
            log_level: caller.log_level.as_ref().or(logs.then_some(&self.unasked_level)),
            tasks: false,
            ours: &[],
        }
    }
}

/// Whether a session failed because its server speaks another revision by now.
pub(super) fn has_changed(session: &Arc<dyn Session>, fault: &Fault) -> bool {
    fault.reason() == Some(Reason::UpstreamVersion) && !session.is_open()
}

/// Whether a legacy server runs tools as tasks, so that has to be known which.
fn runs_tasks(session: &Arc<dyn Session>) -> bool {
    !session.revision().is_modern() && offered_by_legacy(&session.description().capabilities)
}
