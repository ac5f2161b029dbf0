//! What a server says and asks outside any call.

use std::sync::{Arc, Weak};

use crate::{
    hub::{Answer, BoxFuture, Caller, Peer, Question, Refusal, Scope},
    jsonrpc::Notification,
    protocol::{Revision, ladder::Plan, method::notification, tasks},
};

use super::{catalog::Catalog, listens::Listens, pool::Key, tasks::Tasks, translate::Translated};

/// Hears a session for the scope it was opened for. Holds the scope weakly: the session ends with it.
pub(super) struct Outside {
    pub(super) scope: Weak<Scope>,
    pub(super) client: Revision,
    pub(super) catalog: Arc<Catalog>,
    pub(super) listens: Arc<Listens>,
    /// The tasks of the mount, and by what the session is shared.
    pub(super) tasks: (Weak<Tasks>, Option<Key>),
}

impl Outside {
    pub(super) fn of(
        caller: &Caller,
        catalog: &Arc<Catalog>,
        listens: &Arc<Listens>,
        tasks: (Weak<Tasks>, Option<Key>),
    ) -> Arc<dyn Peer> {
        Arc::new(Self {
            scope: Arc::downgrade(&caller.scope),
            client: caller.revision,
            catalog: catalog.clone(),
            listens: listens.clone(),
            tasks,
        })
    }

    /// What concerns tasks, while there is anybody who knows them.
    fn tasks(&self) -> Option<(Arc<Tasks>, &Key)> {
        Some((self.tasks.0.upgrade()?, self.tasks.1.as_ref()?))
    }

    fn client(&self) -> Option<Arc<dyn Peer>> {
        let scope = self.scope.upgrade()?;
        // Only legacy servers speak outside calls, and their revisions differ in no such message.
        let plan = Plan::between(self.client, Revision::NEWEST_LEGACY);
        scope.is_session().then(|| Translated::peer(plan, scope.peer().clone()))
    }
}

impl Peer for Outside {
    fn notify(&self, notification: Notification) {
        match &*notification.method {
            // What is known is forgotten before anybody is told, so that nobody lists the old state again.
            notification::TOOLS_CHANGED | notification::PROMPTS_CHANGED | notification::RESOURCES_CHANGED => {
                self.catalog.changed(&notification.method);
                self.listens.announce(&notification.method);
            }
            method if method == notification::TASK_STATUS || tasks::related(notification.params.as_ref()).is_some() => {
                if let Some((tasks, place)) = self.tasks()
                    && let Some((client, notification)) = tasks.heard(place, notification)
                {
                    client.notify(notification);
                }
                return;
            }
            _ => {}
        }
        if let Some(client) = self.client() {
            client.notify(notification);
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
