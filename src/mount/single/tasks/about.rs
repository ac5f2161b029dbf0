//! Requests about tasks that were made before.

use std::{sync::Arc, time::SystemTime};

use crate::{
    hub::{Call, Fault, Outcome},
    jsonrpc::{Raw, RawObject, code},
    protocol::{
        Method,
        ladder::Plan,
        meta,
        tasks::{self, Status, TASK_ID},
    },
};

use super::{
    super::{
        super::{
            pool::{Key, Opened},
            tasks::{
                Design, End, Entry, Handle, Kind, Owned, Polling, Related, Remote, TaskAt, ended, follow, not_found,
                relate,
            },
        },
        Inner,
        sending::{Hop, Wish},
    },
    Journey,
};

mod kept;
mod listing;

impl Inner {
    /// Answers a request about a task, or about all of them.
    pub(in crate::mount::single) async fn about_task(self: &Arc<Self>, call: &Call) -> Result<Outcome, Fault> {
        let caller = &call.caller;
        // What may be asked by whom was settled at the door for modern clients.
        if !caller.revision.is_modern() {
            let offered = self.describe(caller).await?.capabilities.get_object("tasks");
            let is_known = match call.method {
                Method::TasksUpdate => false,
                Method::TasksList => offered.is_some_and(|offered| offered.has("list")),
                Method::TasksCancel => offered.is_some_and(|offered| offered.has("cancel")),
                _ => offered.is_some(),
            };
            if !is_known {
                return Err(Fault::method_not_found(call.method.as_str()));
            }
        }
        if call.method == Method::TasksList {
            return self.list_tasks(call).await;
        }
        let (handle, id) = self.tasks.open(&caller.principal, call.params.get(TASK_ID))?;
        let entry = self.tasks.registry.find(&caller.principal, &handle);
        let design = if caller.revision.is_modern() { Design::Extension } else { Design::Legacy };
        match (handle.kind, entry) {
            (_, Some(entry)) if !entry.speaks(design) => Err(not_found()),
            (Kind::Kept, Some(Entry::Kept(kept))) => self.about_kept(call, &handle, &kept).await,
            (Kind::Passed, Some(Entry::Remote(remote))) => self.about_passed(call, &handle, &remote).await,
            (Kind::Extension, _) if caller.revision.is_modern() => self.about_handed_out(call, handle, &id).await,
            (Kind::Extension, Some(Entry::Remote(remote))) => self.about_nested(call, &handle, &remote).await,
            (Kind::Extension, None) if self.tasks.outlive_restarts() => {
                let remote = self.recall(call, &handle, id).await?;
                self.about_nested(call, &handle, &remote).await
            }
            (Kind::Kept | Kind::Passed, None) => {
                tracing::info!(
                    mount = &*self.name,
                    "a task is not known any more: it expired, or an earlier process had it"
                );
                Err(not_found())
            }
            _ => Err(not_found()),
        }
    }

    /// A hop for the call that made the task: what its result is shaped by.
    async fn journey(&self, call: &Call, handle: &Handle, modern: bool, place: Option<&Key>) -> Result<Journey, Fault> {
        let Opened { session, beside } = match place.filter(|place| place.is_further()) {
            // The others know nothing of it.
            Some(place) => self.pool.ready_at(place).ok_or_else(not_found)?,
            None => self.opened(&call.caller).await?,
        };
        if session.revision().is_modern() != modern {
            return Err(not_found());
        }
        let tool = match &handle.tool {
            Some(name) => self.tool(&call.caller, name, &[]).await?,
            None => None,
        };
        let plan = self.plan(&call.caller, session.revision());
        let call = Call { method: Method::ToolsCall, ..call.clone() };
        Ok(Journey { call, session, beside, plan, name: handle.tool.clone(), tool })
    }

    // === a modern server's task, modern client ===

    async fn about_handed_out(self: &Arc<Self>, call: &Call, handle: Handle, id: &str) -> Result<Outcome, Fault> {
        let Opened { session, beside } = self.opened(&call.caller).await?;
        if !session.revision().is_modern() {
            return Err(not_found());
        }
        let mut sent = call.clone();
        sent.params.set(TASK_ID, Raw::from(&*handle.id));
        let plan = self.plan(&call.caller, session.revision());
        let hop = Hop { call: &sent, session: &session, beside: &beside, plan, name: None, tool: None };
        match self.attempt(hop, &Wish::Plain).await {
            Ok(Outcome::Complete(result)) => {
                let Some(mut object) = result.to_object().filter(|result| result.has(TASK_ID)) else {
                    return Ok(Outcome::Complete(result));
                };
                object.set(TASK_ID, Raw::from(id));
                Ok(Outcome::Complete(object.to_raw()))
            }
            Ok(_) => Err(self.broken("it answered a request about a task with something else")),
            Err(fault) => Err(unknown_at_server(fault)),
        }
    }

    // === a modern server's task, client of 2025-11-25 ===

    async fn about_nested(&self, call: &Call, handle: &Handle, remote: &Arc<Remote>) -> Result<Outcome, Fault> {
        let journey = self.journey(call, handle, true, None).await?;
        let hop = journey.hop();
        let at = self.at(hop, remote.task.clone());
        match call.method {
            Method::TasksGet if remote.is_cancelled() => Ok(Outcome::Complete(remote.task().to_raw())),
            Method::TasksGet => {
                let task = self.look(call, handle, &at, hop.plan, &remote.handle).await?;
                remote.note(&task);
                Ok(Outcome::Complete(remote.task().to_raw()))
            }
            Method::TasksCancel => {
                if !remote.is_over() {
                    let task = self.look(call, handle, &at, hop.plan, &remote.handle).await?;
                    remote.note(&task);
                }
                if remote.is_over() {
                    return Err(cannot_cancel(&remote.task()));
                }
                match at.cancel(&call.life).await {
                    Ok(_) | Err(Fault::Answered(_)) => {}
                    Err(fault) => return Err(fault),
                }
                // For the client it is cancelled from now on, whatever the server makes of it (2025-11-25,
                // basic/utilities/tasks#task-cancellation).
                let mut task = remote.task();
                task.set("status", Raw::from(Status::Cancelled.as_str()));
                task.set("lastUpdatedAt", Raw::from(&*tasks::timestamp(SystemTime::now())));
                remote.note(&task);
                Ok(Outcome::Complete(remote.task().to_raw()))
            }
            Method::TasksResult => {
                if remote.is_cancelled() {
                    return Err(was_cancelled());
                }
                let _place = remote.waits.enter()?;
                let peer = self.translated(hop.plan, call.peer.clone());
                let peer = Related::peer(&remote.task, Some(remote), peer);
                let (life, claims) = (&call.life, remote.claims.clone());
                let polling = Polling { at: &at, peer, life, claims, owned: Owned::ByClient };
                let end = polling.follow().await.map_err(unknown_at_server)?;
                remote.ended(&end);
                if remote.is_cancelled() || end == End::Cancelled {
                    return Err(was_cancelled());
                }
                self.concluded(hop, end).map(|outcome| belonging(outcome, &remote.handle))
            }
            _ => Err(Fault::method_not_found(call.method.as_str())),
        }
    }

    /// How far a modern server's task is, in the words and by the id of its legacy client.
    async fn look(&self, call: &Call, handle: &Handle, at: &TaskAt, plan: Plan, id: &str) -> Result<RawObject, Fault> {
        let task = at.get(&call.life).await.map_err(|fault| {
            let fault = unknown_at_server(fault);
            if matches!(&fault, Fault::Answered(error) if error.code == code::INVALID_PARAMS) {
                self.tasks.registry.forget(&call.caller.principal, handle);
            }
            fault
        })?;
        ended(at, &task)?;
        let mut task = plan.task(task);
        task.remove(meta::META);
        task.set(TASK_ID, Raw::from(id));
        Ok(task)
    }

    /// A task that an earlier process handed out: its id says what it is.
    async fn recall(&self, call: &Call, handle: &Handle, id: String) -> Result<Arc<Remote>, Fault> {
        let (registry, principal, place) = (&self.tasks.registry, &call.caller.principal, self.pool.key(&call.caller));
        // By now the server may have given the id to a task of somebody else, who must not lose it to an old one.
        let is_taken = place.as_ref().is_some_and(|place| registry.of_server(place, &handle.id).is_some());
        if is_taken && registry.find(principal, handle).is_none() {
            return Err(not_found());
        }
        let seat = registry.reserve(principal)?;
        let journey = self.journey(call, handle, true, None).await?;
        let at = self.at(journey.hop(), handle.id.clone());
        let task = self.look(call, handle, &at, journey.plan, &id).await?;
        let owner = (Arc::downgrade(&call.caller.scope), call.caller.credentials.clone());
        let remote = Remote::new((handle, id), place, owner, None, task);
        seat.sit(Entry::Remote(remote.clone()));
        Ok(remote)
    }

    // === a legacy server's task, client of 2025-11-25 ===

    async fn about_passed(&self, call: &Call, handle: &Handle, remote: &Arc<Remote>) -> Result<Outcome, Fault> {
        let journey = self.journey(call, handle, false, remote.place.as_ref()).await?;
        let hop = journey.hop();
        let at = self.at(hop, remote.task.clone());
        let asked = match call.method {
            Method::TasksGet => at.get(&call.life).await.map_err(unknown_at_server),
            Method::TasksCancel => at.cancel(&call.life).await,
            Method::TasksResult => {
                let _place = remote.waits.enter()?;
                let peer = self.translated(hop.plan, call.peer.clone());
                let peer = Related::peer(&remote.task, Some(remote), peer);
                let end = follow(&at, &peer, &call.life, Owned::ByClient).await?;
                remote.ended(&end);
                return match end {
                    End::Cancelled => Err(was_cancelled()),
                    end => self.concluded(hop, end).map(|outcome| belonging(outcome, &remote.handle)),
                };
            }
            _ => return Err(Fault::method_not_found(call.method.as_str())),
        };
        let mut task = asked?;
        task.set(TASK_ID, Raw::from(&*remote.handle));
        remote.note(&task);
        Ok(Outcome::Complete(task.to_raw()))
    }
}

/// A result that says which task it is of.
fn belonging(outcome: Outcome, task: &str) -> Outcome {
    let Outcome::Complete(result) = &outcome else { return outcome };
    let Some(mut object) = result.to_object() else { return outcome };
    relate(&mut object, Some(task));
    Outcome::Complete(object.to_raw())
}

/// A server that does not know a task says so in words of its own.
fn unknown_at_server(fault: Fault) -> Fault {
    match fault {
        Fault::Answered(error) if error.code == code::INVALID_PARAMS => not_found(),
        fault => fault,
    }
}

fn cannot_cancel(task: &RawObject) -> Fault {
    let status = Status::of(task).unwrap_or(Status::Completed).as_str();
    Fault::error(code::INVALID_PARAMS, format!("Cannot cancel task: already in terminal status '{status}'"))
}

fn was_cancelled() -> Fault {
    Fault::error(code::INVALID_PARAMS, "the task was cancelled")
}
