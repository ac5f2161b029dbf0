//! What a server says and asks outside any call.

use std::sync::{Arc, Weak};

use crate::{
    hub::{Answer, BoxFuture, Caller, Counts, Peer, Question, Refusal, Scope},
    jsonrpc::{Notification, Raw},
    protocol::{Loss, ladder::Plan, method::notification, tasks},
};

use super::{
    changes::{Changes, Client, GATHERED, Kinds, Parties, topics::Topics},
    pool::Key,
    tasks::Tasks,
    translate::Translated,
};

/// Hears one session of a legacy server: modern ones say nothing outside calls and listens.
pub(super) struct Outside {
    /// The client whose own session it is. Held weakly: the session ends with the scope.
    own: Option<Own>,
    changes: Arc<Changes>,
    topics: Arc<Topics>,
    /// The tasks of the mount, and by what the session is shared.
    tasks: (Weak<Tasks>, Option<Key>),
    counts: Arc<Counts>,
}

struct Own {
    scope: Weak<Scope>,
    /// What the client is found by.
    id: u64,
    plan: Plan,
}

impl Outside {
    /// Hears a session that is opened for `caller`, and for others as well unless it is the caller's `own`: then that is the
    /// way to it.
    pub(super) fn of(
        caller: &Caller,
        own: Option<Plan>,
        parties: &Arc<Parties>,
        (topics, counts): (Arc<Topics>, Arc<Counts>),
        tasks: (Weak<Tasks>, Option<Key>),
    ) -> Arc<dyn Peer> {
        if own.is_some() {
            parties.client(caller);
        }
        let own = own.map(|plan| Own { scope: Arc::downgrade(&caller.scope), id: caller.scope.id(), plan });
        Arc::new(Self { own, changes: parties.of(caller), topics, tasks, counts })
    }

    /// What concerns tasks, while there is anybody who knows them.
    fn tasks(&self) -> Option<(Arc<Tasks>, &Key)> {
        Some((self.tasks.0.upgrade()?, self.tasks.1.as_ref()?))
    }

    fn client(&self) -> Option<Arc<dyn Peer>> {
        let own = self.own.as_ref()?;
        Some(Translated::peer(own.plan, own.scope.upgrade()?.peer().clone(), &self.counts))
    }

    /// The client whose session it is, as far as it is told of changes.
    fn told(&self) -> Option<(Arc<Client>, Plan)> {
        let own = self.own.as_ref()?;
        Some((self.changes.told(own.id)?, own.plan))
    }

    fn updated(&self, Notification { params, .. }: Notification) {
        let Some(uri) = params.as_ref().and_then(|p| Some(p.get("uri").and_then(Raw::as_text)?.into_owned())) else {
            return;
        };
        self.topics.updated(&uri, params.as_ref());
        if let Some((client, plan)) = self.told() {
            client.updated(&uri, plan.notification(notification::RESOURCE_UPDATED, params), GATHERED);
        }
    }
}

impl Peer for Outside {
    fn notify(&self, notification: Notification) {
        if let Some(kinds) = Kinds::announced(&notification.method) {
            let Notification { method, params } = notification;
            match self.told() {
                Some((client, plan)) => {
                    let params = plan.notification(&method, params);
                    self.changes.announce(kinds, Some((&client, params.as_ref())));
                }
                None => self.changes.announce(kinds, None),
            }
        } else if notification.method == notification::RESOURCE_UPDATED {
            self.updated(notification);
        } else if notification.method == notification::TASK_STATUS
            || tasks::related(notification.params.as_ref()).is_some()
        {
            let heard = self.tasks().and_then(|(tasks, place)| tasks.heard(place, notification, &self.counts));
            if let Some((client, notification)) = heard {
                client.notify(notification);
            }
        } else if let Some(client) = self.client() {
            client.notify(notification);
        } else if self.own.is_none() {
            // Whoever it was meant for is not said.
            self.counts.lost(match &*notification.method {
                notification::MESSAGE => Loss::LogMessage,
                _ => Loss::Notification,
            });
        }
    }

    fn missed(&self, notifications: Vec<Notification>) {
        let mut lists = Kinds::default();
        for notification in notifications {
            match Kinds::announced(&notification.method) {
                Some(kinds) => lists |= kinds,
                None => self.updated(notification),
            }
        }
        self.changes.forget(lists);
        // Not everybody at the mount: others have heard their own sessions.
        self.topics.lists_missed(lists);
        if let Some((client, _)) = self.told() {
            client.changed(lists);
        }
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        if let Some(task) = tasks::related(question.params.as_ref())
            && let Some((tasks, place)) = self.tasks()
        {
            return tasks.asked(place, task, question);
        }
        match self.client() {
            Some(client) => client.ask(question),
            None => Box::pin(std::future::ready(Err(Refusal::NoOne))),
        }
    }
}
