//! All tasks of a principal (2025-11-25, basic/utilities/tasks#listing-tasks).

use std::{collections::HashSet, future::ready, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::timeout;

use crate::{
    hub::{Call, Fault, Outcome, SilentPeer},
    jsonrpc::{Raw, RawObject, code},
    protocol::{ClientCapabilities, Method, tasks::TASK_ID},
    upstream::{Outgoing, Session},
};

use super::super::super::{
    super::{
        pool::Opened,
        tasks::{Design, Entry, Handle, Kind},
    },
    Inner, own_headers,
    sending::Hop,
};

/// How many pages of a legacy server's tasks are looked at.
const PAGES: usize = 50;
/// How long a modern server has to say how far one task of a list is.
const LOOK: Duration = Duration::from_secs(5);
/// How many of them are asked about at a time.
const AT_ONCE: usize = 8;

impl Inner {
    /// The tasks of the caller's principal that were made with what the caller sends along, on one page.
    pub(super) async fn list_tasks(&self, call: &Call) -> Result<Outcome, Fault> {
        if call.params.get("cursor").is_some_and(|cursor| !cursor.is_null()) {
            return Err(Fault::error(code::INVALID_PARAMS, "invalid or expired cursor"));
        }
        let opened = self.opened(&call.caller).await?;
        let tasks = match opened.session.revision().is_modern() {
            true => self.own_tasks(call, &opened).await,
            false => {
                // Some servers list the same in every session.
                let (mut tasks, mut listed) = (Vec::new(), HashSet::new());
                for opened in std::iter::once(opened).chain(self.pool.further(&call.caller)) {
                    let more = self.servers_tasks(call, &opened.session).await?.into_iter();
                    tasks.extend(more.filter(|(id, _)| listed.insert(id.clone())).map(|(_, task)| task));
                }
                tasks
            }
        };
        Ok(Outcome::Complete(RawObject::from([("tasks", Raw::array(&tasks))]).to_raw()))
    }

    /// The tasks that are known here, each as its server says it is by now.
    async fn own_tasks(&self, call: &Call, Opened { session, beside }: &Opened) -> Vec<Raw> {
        let plan = self.plan(&call.caller, session.revision());
        let hop = Hop { call, session, beside, plan, name: None, tool: None };
        let entries = self.tasks.registry.list(&call.caller.principal);
        let is_shown = |entry: &Entry| entry.is_shown_to(&call.caller.credentials);
        let legacy = entries.into_iter().filter(|entry| entry.speaks(Design::Legacy) && is_shown(entry));
        let looking = legacy.map(|entry| {
            let at = match &entry {
                Entry::Remote(remote) if !remote.is_over() => Some(self.at(hop, remote.task.clone())),
                _ => None,
            };
            async move {
                match (entry, at) {
                    (Entry::Kept(kept), _) => Some(kept.task().to_raw()),
                    (Entry::Remote(remote), None) => Some(remote.task().to_raw()),
                    (Entry::Remote(remote), Some(at)) => {
                        let handle = Handle { kind: remote.kind, id: remote.task.clone(), tool: None };
                        match timeout(LOOK, self.look(call, &handle, &at, plan, &remote.handle)).await {
                            Ok(Ok(task)) => drop(remote.note(&task)),
                            Ok(Err(Fault::Answered(error))) if error.code == code::INVALID_PARAMS => return None,
                            _ => {}
                        }
                        Some(remote.task().to_raw())
                    }
                }
            }
            .boxed()
        });
        let looking: Vec<_> = looking.collect();
        stream::iter(looking).buffered(AT_ONCE).filter_map(ready).collect().await
    }

    /// What a legacy server lists of what this principal has made through here, by our ids. Others may share its session, or
    /// its credential.
    async fn servers_tasks(&self, call: &Call, session: &Arc<dyn Session>) -> Result<Vec<(String, Raw)>, Fault> {
        let (mut own, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES {
            let mut params = RawObject::new();
            if let Some(cursor) = cursor.take() {
                params.set("cursor", cursor);
            }
            let outgoing = Outgoing {
                method: Method::TasksList,
                params,
                headers: own_headers(call),
                peer: Arc::new(SilentPeer),
                capabilities: ClientCapabilities::default(),
                life: call.life.clone(),
            };
            let page = session.call(outgoing).await?.to_object().unwrap_or_default();
            for task in page.get("tasks").and_then(Raw::to_array).into_iter().flatten() {
                let Some(mut task) = task.to_object() else { continue };
                let Some(id) = task.get(TASK_ID).and_then(Raw::as_text).map(std::borrow::Cow::into_owned) else {
                    continue;
                };
                let handle = Handle { kind: Kind::Passed, id, tool: None };
                let known = self.tasks.registry.find(&call.caller.principal, &handle);
                if let Some(Entry::Remote(remote)) = known.filter(|entry| entry.is_shown_to(&call.caller.credentials)) {
                    task.set(TASK_ID, Raw::from(&*remote.handle));
                    remote.note(&task);
                    own.push((remote.handle.clone(), task.to_raw()));
                }
            }
            cursor = page.get("nextCursor").filter(|cursor| !cursor.is_null()).cloned();
            if cursor.is_none() {
                return Ok(own);
            }
        }
        Err(self.broken("its list of tasks has too many pages"))
    }
}
