//! Requests about tasks that were made before.

use std::time::{Duration, SystemTime};

use futures_util::{
    FutureExt, StreamExt,
    future::{AbortHandle, Abortable},
    stream::{self, FuturesUnordered},
};

use crate::{
    hub::{Answer, Question, SilentPeer},
    protocol::{ClientCapabilities, tasks::Status},
    upstream::Outgoing,
};

use super::{
    super::super::tasks::{Told, Wait, ended, not_found, relate},
    *,
};

/// How many pages of a legacy server's tasks are looked at.
const PAGES: usize = 50;
/// How long a modern server has to say how far the tasks of a list are.
const LIST: Duration = Duration::from_secs(5);
/// How long a task that its server says is over may take to bring its result.
const RESULT: Duration = Duration::from_secs(5);
/// How often whoever waits for a task gives a sign of life.
const PULSE: Duration = Duration::from_secs(60);

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
    async fn journey(&self, call: &Call, handle: &Handle, modern: bool) -> Result<Journey, Fault> {
        let session = self.session(&call.caller).await?;
        if session.revision().is_modern() != modern {
            return Err(not_found());
        }
        let tool = match &handle.tool {
            Some(name) => self.tool(&call.caller, name, &[]).await?,
            None => None,
        };
        let plan = Plan::between(call.caller.revision, session.revision());
        let call = Call { method: Method::ToolsCall, ..call.clone() };
        Ok(Journey { call, session, plan, name: handle.tool.clone(), tool })
    }

    // === a modern server's task, modern client ===

    async fn about_handed_out(self: &Arc<Self>, call: &Call, handle: Handle, id: &str) -> Result<Outcome, Fault> {
        let session = self.session(&call.caller).await?;
        if !session.revision().is_modern() {
            return Err(not_found());
        }
        let mut sent = call.clone();
        sent.params.set(TASK_ID, Raw::from(&*handle.id));
        let plan = Plan::between(call.caller.revision, session.revision());
        let hop = Hop { call: &sent, session: &session, plan, name: None, tool: None };
        match self.attempt(hop, Wish::Plain).await {
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
        let journey = self.journey(call, handle, true).await?;
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
                let peer = Translated::peer(hop.plan, call.peer.clone());
                let peer = Related::new(&remote.task, Some(remote), peer);
                let (life, claims) = (&call.life, remote.claims.clone());
                let polling = Polling { at: &at, peer, life, claims, owned: Owned::ByClient };
                let end = polling.to_the_end().await.map_err(unknown_at_server)?;
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
        let seat = self.tasks.registry.reserve(&call.caller.principal)?;
        let journey = self.journey(call, handle, true).await?;
        let at = self.at(journey.hop(), handle.id.clone());
        let task = self.look(call, handle, &at, journey.plan, &id).await?;
        let owner = Arc::downgrade(&call.caller.scope);
        let remote = Remote::new((handle, id), self.pool.key(&call.caller), owner, None, task);
        seat.sit(Entry::Remote(remote.clone()));
        Ok(remote)
    }

    // === a legacy server's task, client of 2025-11-25 ===

    async fn about_passed(&self, call: &Call, handle: &Handle, remote: &Arc<Remote>) -> Result<Outcome, Fault> {
        let journey = self.journey(call, handle, false).await?;
        let hop = journey.hop();
        let at = self.at(hop, remote.task.clone());
        let asked = match call.method {
            Method::TasksGet => at.get(&call.life).await.map_err(unknown_at_server),
            Method::TasksCancel => at.cancel(&call.life).await,
            Method::TasksResult => {
                let peer = Translated::peer(hop.plan, call.peer.clone());
                let peer = Related::new(&remote.task, Some(remote), peer);
                let end = follow(&at, &peer, &call.life, Owned::ByClient).await?;
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

    // === tasks that are kept here ===

    async fn about_kept(&self, call: &Call, handle: &Handle, kept: &Arc<Kept>) -> Result<Outcome, Fault> {
        match (&call.method, kept.design) {
            (Method::TasksGet, Design::Legacy) => Ok(Outcome::Complete(kept.task().to_raw())),
            (Method::TasksGet, Design::Extension) => {
                self.freshen(call, handle, kept).await?;
                Ok(Outcome::Complete(with_info(detailed(kept, &call.caller.capabilities), kept)))
            }
            (Method::TasksUpdate, Design::Extension) => {
                let Some(answers) = call.params.get_object("inputResponses") else {
                    return Err(Fault::error(code::INVALID_PARAMS, "`inputResponses` must be an object"));
                };
                kept.answer(answers);
                Ok(Outcome::Complete(with_info(RawObject::new(), kept)))
            }
            (Method::TasksCancel, Design::Extension) => {
                if let Some(at) = kept.at() {
                    match at.can_cancel() {
                        true => match at.cancel(&call.life).await {
                            Ok(_) => kept.cancel(),
                            // It is over already, and its result on the way.
                            Err(Fault::Answered(_)) => {}
                            Err(fault) => return Err(fault),
                        },
                        false => kept.cancel(),
                    }
                }
                Ok(Outcome::Complete(with_info(RawObject::new(), kept)))
            }
            (Method::TasksCancel, Design::Legacy) => {
                if kept.end().is_some() {
                    return Err(cannot_cancel(&kept.task()));
                }
                kept.cancel();
                Ok(Outcome::Complete(kept.task().to_raw()))
            }
            (Method::TasksResult, Design::Legacy) => match wait(call, kept).await {
                End::Completed(result) => Ok(belonging(Outcome::Complete(result), &kept.handle)),
                End::Failed(error) => Err(Fault::Answered(error)),
                End::Cancelled => Err(was_cancelled()),
            },
            _ => Err(Fault::method_not_found(call.method.as_str())),
        }
    }

    /// Asks the legacy server how far a kept task is.
    async fn freshen(&self, call: &Call, handle: &Handle, kept: &Arc<Kept>) -> Result<(), Fault> {
        let Some(at) = kept.at() else { return Ok(()) };
        match at.get(&call.life).await {
            Ok(task) => {
                let is_over = Status::of(&task).is_some_and(Status::is_terminal);
                kept.refresh(&kept_words(task));
                if is_over {
                    let mut changes = kept.watch();
                    let ends = async { while kept.end().is_none() && changes.changed().await.is_ok() {} };
                    let _ = timeout(RESULT, ends).await;
                }
                Ok(())
            }
            // The server forgot it, and there will be no result.
            Err(Fault::Answered(error)) if error.code == code::INVALID_PARAMS && kept.end().is_none() => {
                self.tasks.registry.forget(&call.caller.principal, handle);
                Err(not_found())
            }
            // Whoever waits for the result there finds out what that means.
            Err(_) => Ok(()),
        }
    }

    // === all of a principal's ===

    /// The tasks of the caller's principal, on one page (2025-11-25, basic/utilities/tasks#listing-tasks).
    async fn list_tasks(&self, call: &Call) -> Result<Outcome, Fault> {
        if call.params.get("cursor").is_some_and(|cursor| !cursor.is_null()) {
            return Err(Fault::error(code::INVALID_PARAMS, "invalid or expired cursor"));
        }
        let session = self.session(&call.caller).await?;
        let tasks = match session.revision().is_modern() {
            true => self.own_tasks(call, &session).await,
            false => self.servers_tasks(call, &session).await?,
        };
        Ok(Outcome::Complete(RawObject::from([("tasks", Raw::array(&tasks))]).to_raw()))
    }

    /// The tasks that are known here, each as its server says it is by now.
    async fn own_tasks(&self, call: &Call, session: &Arc<dyn Session>) -> Vec<Raw> {
        let plan = Plan::between(call.caller.revision, session.revision());
        let hop = Hop { call, session, plan, name: None, tool: None };
        let entries = self.tasks.registry.list(&call.caller.principal);
        let legacy = entries.into_iter().filter(|entry| entry.speaks(Design::Legacy));
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
                        match timeout(LIST, self.look(call, &handle, &at, plan, &remote.handle)).await {
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
        stream::iter(looking).buffered(8).filter_map(std::future::ready).collect().await
    }

    /// What a legacy server lists of what this principal has made through here. Others may share its session, or its credential.
    async fn servers_tasks(&self, call: &Call, session: &Arc<dyn Session>) -> Result<Vec<Raw>, Fault> {
        let (mut own, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES {
            let mut params = RawObject::new();
            if let Some(cursor) = cursor.take() {
                params.set("cursor", cursor);
            }
            let outgoing = Outgoing {
                method: Method::TasksList,
                params,
                headers: super::super::own_headers(call),
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
                if let Some(Entry::Remote(remote)) = self.tasks.registry.find(&call.caller.principal, &handle) {
                    task.set(TASK_ID, Raw::from(&*remote.handle));
                    remote.note(&task);
                    own.push(task.to_raw());
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

/// A kept task as a modern client sees it that declared these capabilities.
fn detailed(kept: &Kept, capabilities: &ClientCapabilities) -> RawObject {
    kept.detailed(|question| capabilities.answers(&question.method, question.params.as_ref()).is_ok())
}

/// A complete result of the modern era.
fn with_info(task: RawObject, kept: &Kept) -> Raw {
    let mut result = RawObject::from([("resultType", Raw::from("complete"))]);
    for (name, value) in task.iter() {
        result.set(&name, value.clone());
    }
    if let Some(info) = &kept.server_info {
        result.set(meta::META, RawObject::from([(SERVER_INFO, info.clone())]).to_raw());
    }
    result.to_raw()
}

/// Waits until a kept task is over, and puts its questions to the client that waits.
async fn wait(call: &Call, kept: &Arc<Kept>) -> End {
    let mut wait: Wait = kept.join();
    let mut changes = kept.watch();
    let mut open = FuturesUnordered::new();
    let mut put: Vec<(u64, AbortHandle)> = Vec::new();
    loop {
        if let Some(end) = kept.end() {
            return end;
        }
        tokio::select! {
            biased;
            Some(told) = wait.told.recv() => match told {
                Told::Put(serial, question) => {
                    let asking = ask(call, kept, question);
                    let (abort, registration) = AbortHandle::new_pair();
                    put.push((serial, abort));
                    open.push(Abortable::new(asking.map(move |answer| (serial, answer)), registration));
                }
                Told::Take(serial) => {
                    if let Some(at) = put.iter().position(|(own, _)| *own == serial) {
                        put.swap_remove(at).1.abort();
                    }
                }
            },
            Some(Ok((serial, answer))) = open.next(), if !open.is_empty() => {
                put.retain(|(own, _)| *own != serial);
                wait.answered(serial, answer);
            }
            _ = changes.changed() => {}
            () = sleep(PULSE) => call.life.touch(),
        }
    }
}

/// Puts a question of a kept task to the client that waits for it.
fn ask(call: &Call, kept: &Kept, mut question: Question) -> BoxFuture<Answer> {
    let mut params = question.params.take().unwrap_or_default();
    relate(&mut params, Some(&kept.handle));
    question.params = Some(params);
    let asked = call.peer.ask(question);
    let asking = call.life.asking();
    Box::pin(async move {
        let answer = asked.await;
        drop(asking);
        answer
    })
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
