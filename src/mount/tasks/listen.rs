//! Subscriptions to tasks (tasks extension, Task Status Notifications).

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::{
    hub::{Caller, Filter, Listening},
    jsonrpc::{Notification, Raw},
    protocol::{
        method::notification,
        tasks::{Status, TASK_ID},
    },
};

use super::{Design, Entry, Handle, Kept, Kind, Tasks};

/// The member of the filter that names tasks.
const TASK_IDS: &str = "taskIds";
/// How many changes may wait for one listener.
const WAITING: usize = 16;

/// The tasks that a client wants to hear of.
#[derive(Default)]
pub(in crate::mount) struct Named {
    /// Those that are kept here.
    kept: Vec<Arc<Kept>>,
    /// Those at the server: the server's id, and the client's.
    remote: HashMap<String, String>,
}

impl Tasks {
    /// The tasks that a filter names. What stands for nothing is left out: the acknowledgement says so.
    pub(in crate::mount) fn named(&self, caller: &Caller, filter: &Filter) -> Named {
        let mut named = Named::default();
        for id in filter.0.get(TASK_IDS).and_then(Raw::to_array).iter().flatten() {
            let Ok((handle, id)) = self.open(&caller.principal, Some(id)) else { continue };
            match handle {
                Handle { kind: Kind::Extension, id: task, .. } => drop(named.remote.insert(task, id)),
                handle => match self.registry.find(&caller.principal, &handle) {
                    Some(Entry::Kept(kept)) if kept.design == Design::Extension && !named.has(&kept) => {
                        named.kept.push(kept);
                    }
                    _ => {}
                },
            }
        }
        named
    }
}

impl Named {
    /// Whether a task that is kept here was named already.
    fn has(&self, kept: &Arc<Kept>) -> bool {
        self.kept.iter().any(|known| Arc::ptr_eq(known, kept))
    }

    /// The filter for a modern server: with the tasks that it knows, by its own ids.
    pub(in crate::mount) fn for_server(&self, filter: &Filter) -> Filter {
        let mut filter = filter.0.clone();
        if filter.remove(TASK_IDS).is_some() && !self.remote.is_empty() {
            let ids: Vec<_> = self.remote.keys().map(|id| Raw::from(&**id)).collect();
            filter.set(TASK_IDS, Raw::array(&ids));
        }
        Filter(filter)
    }

    /// What a modern server delivers, with the client's ids.
    pub(in crate::mount) fn renamed(self, listening: Listening) -> Listening {
        if self.remote.is_empty() {
            return listening;
        }
        let Listening { honoured: Filter(mut honoured), mut events } = listening;
        if let Some(ids) = honoured.get(TASK_IDS).and_then(Raw::to_array) {
            let ids: Vec<_> =
                ids.iter().filter_map(|id| Some(Raw::from(&**self.remote.get(&*id.as_text()?)?))).collect();
            honoured.set(TASK_IDS, Raw::array(&ids));
        }
        let (forward, forwarded) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    () = forward.closed() => return,
                    event = events.recv() => event,
                };
                let Some(mut event) = event else { return };
                if event.method == notification::TASK_CHANGED && !self.rename(&mut event) {
                    continue;
                }
                if forward.send(event).await.is_err() {
                    return;
                }
            }
        });
        Listening { honoured: Filter(honoured), events: forwarded }
    }

    /// Writes the client's id into a notification; `false` for one of a task that the client did not name.
    fn rename(&self, event: &mut Notification) -> bool {
        let Some(params) = &mut event.params else { return false };
        let id = params.get(TASK_ID).and_then(Raw::as_text).and_then(|id| self.remote.get(&*id));
        let Some(id) = id else { return false };
        params.set(TASK_ID, Raw::from(&**id));
        true
    }

    /// Adds the tasks that are kept here to what a legacy server delivers.
    pub(in crate::mount) fn beside(self, caller: Arc<Caller>, listening: Listening) -> Listening {
        if self.kept.is_empty() {
            return listening;
        }
        let Listening { honoured: Filter(mut honoured), mut events } = listening;
        let ids: Vec<_> = self.kept.iter().map(|kept| Raw::from(&*kept.handle)).collect();
        honoured.set(TASK_IDS, Raw::array(&ids));
        let (forward, forwarded) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let mut changes =
                stream::select_all(self.kept.into_iter().map(|kept| changes(kept, caller.clone()).boxed()));
            loop {
                let event = tokio::select! {
                    () = forward.closed() => return,
                    event = events.recv() => match event {
                        Some(event) => event,
                        None => return,
                    },
                    Some(event) = changes.next(), if !changes.is_empty() => event,
                };
                if forward.send(event).await.is_err() {
                    return;
                }
            }
        });
        Listening { honoured: Filter(honoured), events: forwarded }
    }
}

/// What a task says of itself, each time it changes and for as long as it can. What has happened already is said at once.
fn changes(kept: Arc<Kept>, caller: Arc<Caller>) -> impl futures_util::Stream<Item = Notification> + Send {
    let mut watch = kept.watch();
    watch.mark_changed();
    stream::unfold(Some((kept, caller, watch, true)), |state| async move {
        let (kept, caller, mut watch, mut first) = state?;
        loop {
            watch.changed().await.ok()?;
            let task = kept.detailed(|q| caller.capabilities.answers(&q.method, q.params.as_ref()).is_ok());
            let status = Status::of(&task);
            if std::mem::take(&mut first) && status == Some(Status::Working) {
                continue;
            }
            let is_over = status.is_some_and(Status::is_terminal);
            let event = Notification { method: notification::TASK_CHANGED.to_owned(), params: Some(task) };
            return Some((event, (!is_over).then_some((kept, caller, watch, false))));
        }
    })
}
