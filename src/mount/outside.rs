//! What a server says and asks outside any call.

use std::sync::{Arc, Weak};

use crate::{
    hub::{Answer, BoxFuture, Caller, Peer, Question, Refusal, Scope},
    jsonrpc::{Notification, Raw},
    protocol::{Revision, ladder::Plan, method::notification},
};

use super::{
    changes::{Changes, Client, GATHERED, Kinds, topics::Topics},
    translate::Translated,
};

/// Hears one session of a legacy server: modern ones say nothing outside calls and listens.
pub(super) struct Outside {
    /// The client whose own session it is. Held weakly: the session ends with the scope.
    own: Option<Own>,
    changes: Arc<Changes>,
    topics: Arc<Topics>,
}

struct Own {
    scope: Weak<Scope>,
    client: Weak<Client>,
    plan: Plan,
}

impl Outside {
    /// Hears a session that is opened for `caller`, and for others as well unless it is `own`.
    pub(super) fn of(caller: &Caller, own: bool, changes: &Arc<Changes>, topics: Arc<Topics>) -> Arc<dyn Peer> {
        let own = own.then(|| Own {
            scope: Arc::downgrade(&caller.scope),
            client: Arc::downgrade(&changes.client(caller)),
            // The revisions of the legacy era differ in no message of this kind.
            plan: Plan::between(caller.revision, Revision::NEWEST_LEGACY),
        });
        Arc::new(Self { own, changes: changes.clone(), topics })
    }

    fn client(&self) -> Option<Arc<dyn Peer>> {
        let own = self.own.as_ref()?;
        Some(Translated::peer(own.plan, own.scope.upgrade()?.peer().clone()))
    }

    fn updated(&self, Notification { params, .. }: Notification) {
        let Some(uri) = params.as_ref().and_then(|p| Some(p.get("uri").and_then(Raw::as_text)?.into_owned())) else {
            return;
        };
        self.topics.updated(&uri, params.as_ref());
        if let Some(Own { client, plan, .. }) = &self.own
            && let Some(client) = client.upgrade()
        {
            client.updated(&uri, plan.notification(notification::RESOURCE_UPDATED, params), GATHERED);
        }
    }
}

impl Peer for Outside {
    fn notify(&self, notification: Notification) {
        if let Some(kinds) = Kinds::announced(&notification.method) {
            let own = self.own.as_ref().and_then(|own| Some((own.client.upgrade()?, own.plan)));
            let Notification { method, params } = notification;
            match own {
                Some((client, plan)) => {
                    let params = plan.notification(&method, params);
                    self.changes.announce(kinds, Some((&client, params.as_ref())));
                }
                None => self.changes.announce(kinds, None),
            }
        } else if notification.method == notification::RESOURCE_UPDATED {
            self.updated(notification);
        } else if let Some(client) = self.client() {
            client.notify(notification);
        }
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        match self.client() {
            Some(client) => client.ask(question),
            None => Box::pin(std::future::ready(Err(Refusal::NoOne))),
        }
    }
}
