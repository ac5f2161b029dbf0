//! Making a task of a call, at its server or here.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    hub::{BoxFuture, Call, Fault, Outcome, rounds},
    jsonrpc::{Notification, Raw, RawObject},
    protocol::{
        Method,
        meta::{self, HOP_LOCAL, PROGRESS_TOKEN, RELATED_TASK, SERVER_INFO},
        method::notification,
        tasks::{self, Status, TASK, TASK_ID},
    },
};

use super::{
    super::{
        super::{
            tasks::{
                Design, End, Entry, Facts, Handle, Kept, Kind, LONGEST, Making, Owned, Polling, Related, Remote, Seat,
                cancel_later, compact, follow, kept_words, lifetime,
            },
            translate::own_words,
        },
        Inner,
        sending::{Hop, Wish},
    },
    Journey,
};

/// How long a legacy client that wants a task waits for a modern server to say whether it makes one, before it gets a task of
/// the gateway's own.
const PROMPT: Duration = Duration::from_secs(3);

/// How often whoever listens to a task for a client looks whether that client is still there.
const ORPHANED: Duration = Duration::from_secs(30);

impl Inner {
    // === tasks at the server ===

    /// A modern server's task for a modern client, which knows it by our id.
    pub(super) fn hand_out(&self, hop: Hop<'_>, created: &Raw) -> Result<Outcome, Fault> {
        let handle = Handle { kind: Kind::Extension, id: self.task_id(created)?, tool: None };
        let sealed = self.sealed(hop, &handle)?;
        let mut created = created.to_object().unwrap_or_default();
        created.set(TASK_ID, Raw::from(&*sealed));
        Ok(Outcome::Task(created.to_raw()))
    }

    /// A client of 2025-11-25 wants a task of a server that has them as well.
    pub(super) async fn pass_on(&self, hop: Hop<'_>) -> Result<Outcome, Fault> {
        let seat = self.tasks.registry.reserve(&hop.call.caller.principal)?;
        let created = match self.attempt(hop, &Wish::Task(None)).await? {
            Outcome::Task(created) => created,
            other => return Ok(other),
        };
        let (id, task) = self.legacy_task(&created)?;
        let handle = Handle { kind: Kind::Passed, id, tool: None };
        let (task, _) = self.remember(hop, seat, &handle, task)?;
        let mut created = created.to_object().unwrap_or_default();
        if let Some(id) = task.get(TASK_ID).filter(|_| meta::get(&created, RELATED_TASK).is_some()).cloned() {
            meta::edit(&mut created, |meta| meta.set(RELATED_TASK, RawObject::from([(TASK_ID, id)]).to_raw()));
        }
        created.set(TASK, task.to_raw());
        Ok(Outcome::Task(created.to_raw()))
    }

    /// A modern server's task for a client of 2025-11-25.
    fn nest(&self, hop: Hop<'_>, seat: Seat, created: &Raw) -> Result<Outcome, Fault> {
        let id = self.task_id(created)?;
        let wrapped = hop.tool.is_some_and(|tool| tool.wrapped);
        let tool = hop.name.filter(|_| wrapped).map(str::to_owned);
        let handle = Handle { kind: Kind::Extension, id, tool };
        let mut task = hop.plan.task(created.to_object().unwrap_or_default());
        let own = task.remove(meta::META).and_then(|meta| meta.to_object());
        let (mut task, remote) = self.remember(hop, seat, &handle, task)?;
        self.overhear(hop, &remote);
        // So every task begins for these clients, whatever has become of it by now (2025-11-25,
        // basic/utilities/tasks#task-status-lifecycle).
        task.set("status", Raw::from(Status::Working.as_str()));
        let mut result = RawObject::from([(TASK, task.to_raw())]);
        if let Some(mut own) = own {
            own.retain(|key| !HOP_LOCAL.contains(&key));
            if !own.is_empty() {
                result.set(meta::META, own.to_raw());
            }
        }
        Ok(Outcome::Task(result.to_raw()))
    }

    /// Enters a task at a server that a legacy client will ask about, under our id.
    fn remember(
        &self,
        hop: Hop<'_>,
        seat: Seat,
        handle: &Handle,
        mut task: RawObject,
    ) -> Result<(RawObject, Arc<Remote>), Fault> {
        let sealed = self.sealed(hop, handle)?;
        task.set(TASK_ID, Raw::from(&*sealed));
        let caller = &hop.call.caller;
        let owner = (Arc::downgrade(&caller.scope), caller.credentials.clone());
        let token = token_of(hop.call);
        let remote = Remote::new((handle, sealed), self.place(caller, hop.beside), owner, token, task.clone());
        seat.sit(Entry::Remote(remote.clone()));
        Ok((task, remote))
    }

    /// Seals the id of a task. One that cannot be told to anybody is cancelled.
    fn sealed(&self, hop: Hop<'_>, handle: &Handle) -> Result<String, Fault> {
        let sealed = self.tasks.seal(&hop.call.caller.principal, handle);
        sealed.inspect_err(|_| cancel_later(self.at(hop, handle.id.clone())))
    }

    /// Listens to a modern server's task for the legacy client that has it, where the server announces changes, until the task
    /// is over or the client is gone.
    fn overhear(&self, hop: Hop<'_>, remote: &Arc<Remote>) {
        let (session, plan, caller) = (hop.session.clone(), hop.plan, hop.call.caller.clone());
        let ids = Raw::array(&[Raw::from(&*remote.task)]);
        let filter = RawObject::from([("taskIds", ids)]);
        let mut params = RawObject::from([("notifications", filter.to_raw())]);
        let mut envelope = self.envelope(&caller, &hop.session.description());
        envelope.tasks = true;
        own_words(session.revision()).request(&Method::Listen, &mut params, &envelope);
        drop(caller);
        let (remote, until) = (Arc::downgrade(remote), lifetime(&remote.task()));
        let overhearing = async move {
            let Ok(mut listening) = session.listen(params).await else { return };
            if !listening.honoured.0.has("taskIds") {
                return;
            }
            while let Some(said) = listening.events.recv().await {
                let Some(remote) = remote.upgrade() else { return };
                let Some(owner) = remote.owner.upgrade() else { return };
                let Some(params) = said.params.filter(|_| said.method == notification::TASK_CHANGED) else { continue };
                let mut task = plan.task(params);
                task.remove(meta::META);
                task.set(TASK_ID, Raw::from(&*remote.handle));
                if remote.note(&task) {
                    let method = notification::TASK_STATUS.to_owned();
                    owner.peer().notify(Notification { method, params: Some(task) });
                }
                if remote.is_over() {
                    return;
                }
            }
        };
        let (closing, owner) = (self.closing.clone(), Arc::downgrade(&hop.call.caller.scope));
        let orphaned = async move {
            while owner.strong_count() > 0 {
                sleep(ORPHANED).await;
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                () = overhearing => {}
                () = orphaned => {}
                () = closing.cancelled() => {}
                () = sleep_until(until) => {}
            }
        });
    }

    // === tasks that are kept here ===

    /// A legacy server's task for a modern client.
    pub(super) async fn keep(self: &Arc<Self>, hop: Hop<'_>) -> Result<Outcome, Fault> {
        let principal = &hop.call.caller.principal;
        let seat = self.tasks.registry.reserve(principal)?;
        let Outcome::Task(created) = self.attempt(hop, &self.our_wish()).await? else {
            return Err(self.no_task());
        };
        let (id, task) = self.legacy_task(&created)?;
        let server = hop.session.description();
        let (handle, sealed) = self.tasks.fresh(principal)?;
        let at = self.at(hop, id);
        let task = kept_words(task);
        let kept = Kept::new(Making {
            handle: sealed,
            id: handle.id,
            design: Design::Extension,
            until: lifetime(&task),
            facts: Facts::default(),
            at: Some(at.clone()),
            server_info: server.server_info.clone(),
            credentials: hop.call.caller.credentials.clone(),
            owner: Weak::new(),
            token: None,
            counts: self.counts.clone(),
        });
        kept.refresh(&task);
        let peer = Related::peer(&at.task, None, self.translated(hop.plan, kept.peer()));
        let (inner, journey) =
            (self.clone(), Journey::of(hop, Call { peer: kept.peer(), params: RawObject::new(), ..hop.call.clone() }));
        let life = self.counts.life();
        let work: BoxFuture<Result<End, Fault>> = Box::pin(async move {
            let end = follow(&at, &peer, &life, Owned::ByClient).await?;
            inner.kept_end(journey.hop(), end)
        });
        let mut result = RawObject::from([("resultType", Raw::from(TASK))]);
        for (name, value) in kept.task().iter() {
            result.set(&name, value.clone());
        }
        let mut own = created.to_object().and_then(|created| meta::of(&created)).unwrap_or_default();
        own.retain(|key| key != RELATED_TASK && !HOP_LOCAL.contains(&key));
        if let Some(info) = &kept.server_info {
            own.set(SERVER_INFO, info.clone());
        }
        if !own.is_empty() {
            result.set(meta::META, own.to_raw());
        }
        self.tasks.keep(seat, &kept, work);
        Ok(Outcome::Task(result.to_raw()))
    }

    /// A client of 2025-11-25 wants a task of a modern server. Where the server makes one, that is it. Where it answers at once,
    /// with questions, or not soon, the call becomes a task here: it begins as `working`, and goes on from there.
    pub(super) async fn as_task(self: &Arc<Self>, hop: Hop<'_>) -> Result<Outcome, Fault> {
        let caller = &hop.call.caller;
        let seat = self.tasks.registry.reserve(&caller.principal)?;
        let (handle, sealed) = self.tasks.fresh(&caller.principal)?;
        let wanted = hop.call.params.get_object(TASK).and_then(|task| tasks::millis(task.get("ttl")?));
        let ttl = wanted.unwrap_or(self.tasks.tasking.ttl).min(LONGEST);
        let facts = Facts::begun(Design::Legacy, Raw::of(&u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)));
        let kept = Kept::new(Making {
            handle: sealed,
            id: handle.id,
            design: Design::Legacy,
            until: Instant::now() + ttl,
            facts,
            at: None,
            server_info: None,
            credentials: caller.credentials.clone(),
            owner: Arc::downgrade(&caller.scope),
            token: token_of(hop.call),
            counts: self.counts.clone(),
        });
        let call = Call { peer: kept.peer(), life: self.counts.life(), ..hop.call.clone() };
        let journey = Arc::new(Journey::of(hop, call.clone()));
        let again = {
            let (inner, journey) = (self.clone(), journey.clone());
            move |call: Call| -> BoxFuture<Result<Outcome, Fault>> {
                let (inner, journey) = (inner.clone(), journey.clone());
                Box::pin(async move { inner.attempt(Hop { call: &call, ..journey.hop() }, &Wish::Declared).await })
            }
        };
        let mut first = again(call.clone());
        // A task that is wanted for a moment must not be over before it is told of.
        let first: BoxFuture<Result<Outcome, Fault>> = match timeout(PROMPT.min(ttl / 2), &mut first).await {
            Ok(Err(fault)) => return Err(fault),
            Ok(Ok(Outcome::Task(created))) => return self.nest(hop, seat, &created),
            Ok(answered) => Box::pin(std::future::ready(answered)),
            Err(_) => first,
        };
        let inner = self.clone();
        let work: BoxFuture<Result<End, Fault>> = Box::pin(async move {
            match rounds(call, first, again, inner.limits.rounds).await? {
                Outcome::Complete(result) => Ok(End::Completed(result)),
                Outcome::Task(created) => {
                    let hop = journey.hop();
                    let at = inner.at(hop, inner.task_id(&created)?);
                    let peer = inner.translated(hop.plan, hop.call.peer.clone());
                    let (life, claims) = (&hop.call.life, Arc::default());
                    let end = Polling { at: &at, peer, life, claims, owned: Owned::Alone }.follow().await?;
                    inner.kept_end(hop, end)
                }
                Outcome::NeedsInput { .. } => Err(inner.broken("it asks and asks")),
            }
        });
        // As it begins, whatever has become of it by now.
        let result = RawObject::from([(TASK, kept.task().to_raw())]);
        self.tasks.keep(seat, &kept, work);
        Ok(Outcome::Task(result.to_raw()))
    }
}

/// The token under which a call wants to hear of progress, without the call that it was cut from.
fn token_of(call: &Call) -> Option<Raw> {
    let token = meta::get(&call.params, PROGRESS_TOKEN)?;
    compact(&RawObject::from([(PROGRESS_TOKEN, token)])).get(PROGRESS_TOKEN).cloned()
}
