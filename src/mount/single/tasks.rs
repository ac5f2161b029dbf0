//! Calls of tools that become tasks, or are seen through as tasks for clients that know none.

use std::sync::Arc;

use crate::{
    hub::{Call, Caller, Description, Fault, Oddity, Outcome, Reason},
    jsonrpc::{Raw, RawObject, code},
    protocol::{
        Method, Revision,
        ladder::Plan,
        meta::{self, RELATED_TASK},
        tasks::{self, EXTENSION, Support, TASK, TASK_ID},
    },
    upstream::Session,
};

use super::{
    super::{
        beside::Beside,
        catalog::Tool,
        tasks::{End, Owned, Polling, Related, advertise, follow},
    },
    Inner,
    sending::{Hop, Wish},
};

mod about;
mod making;

/// A call on its way that nobody else holds.
struct Journey {
    call: Call,
    session: Arc<dyn Session>,
    beside: Arc<Beside>,
    plan: Plan,
    name: Option<String>,
    tool: Option<Tool>,
}

impl Journey {
    fn of(hop: Hop<'_>, call: Call) -> Self {
        Self {
            call,
            session: hop.session.clone(),
            beside: hop.beside.clone(),
            plan: hop.plan,
            name: hop.name.map(str::to_owned),
            tool: hop.tool.cloned(),
        }
    }

    fn hop(&self) -> Hop<'_> {
        let Self { call, session, beside, plan, name, tool } = self;
        Hop { call, session, beside, plan: *plan, name: name.as_deref(), tool: tool.as_ref() }
    }
}

/// Whether a caller gets the ids of tasks that a modern server makes.
fn knows(caller: &Caller) -> bool {
    caller.revision.is_modern() && caller.capabilities.extends(EXTENSION)
}

/// Whether a client of 2025-11-25 wants its call to be a task.
fn wants_task(call: &Call) -> bool {
    call.caller.revision == Revision::R2025_11_25 && call.params.get_object(TASK).is_some()
}

impl Inner {
    /// Says what this mount offers in the way of tasks, beside what the server's own words already say.
    pub(super) fn advertise_tasks(
        &self,
        caller: &Caller,
        server: &Description,
        plan: Plan,
        capabilities: &mut RawObject,
    ) {
        match (caller.revision, plan.server.is_modern()) {
            (Revision::R2026_07_28, false) if tasks::offered_by_legacy(&server.capabilities) => {
                advertise(capabilities, true, false);
            }
            (Revision::R2025_11_25, true) if tasks::extended(&server.capabilities) => {
                advertise(capabilities, false, self.tasks.can_list(&caller.principal));
            }
            // What strangers have in common is not listed to any of them.
            (Revision::R2025_11_25, false) if caller.principal.is_anonymous() => {
                if let Some(mut own) = capabilities.get_object("tasks")
                    && own.remove("list").is_some()
                {
                    capabilities.set("tasks", own.to_raw());
                }
            }
            (Revision::R2025_11_25 | Revision::R2026_07_28, _) => {}
            // Older revisions have no tasks.
            _ => drop(capabilities.remove("tasks")),
        }
    }

    /// Sends a call, as a task where that is called for.
    pub(super) async fn call_or_task(self: &Arc<Self>, hop: Hop<'_>) -> Result<Outcome, Fault> {
        match (&hop.call.method, hop.session.revision().is_modern()) {
            (Method::ToolsCall, true) => self.at_modern(hop).await,
            (Method::ToolsCall, false) => self.at_legacy(hop).await,
            _ => self.attempt(hop, &Wish::Plain).await,
        }
    }

    /// A modern server decides by itself whether a call becomes a task.
    async fn at_modern(self: &Arc<Self>, hop: Hop<'_>) -> Result<Outcome, Fault> {
        let caller = &hop.call.caller;
        if wants_task(hop.call) && tasks::extended(&hop.session.description().capabilities) {
            return self.as_task(hop).await;
        }
        match self.attempt(hop, &Wish::Plain).await {
            Ok(Outcome::Task(created)) if knows(caller) => self.hand_out(hop, &created),
            Ok(Outcome::Task(created)) => {
                hop.call.life.odd(Oddity::UndeclaredTask);
                tracing::debug!(mount = &*self.name, "the server made a task for a client that knows none");
                self.drive(hop, &created).await
            }
            // The server has run nothing: it needs a client that knows tasks.
            Err(Fault::Answered(error))
                if tasks::are_missing(&error)
                    && !knows(caller)
                    && (!caller.revision.is_modern() || self.tasks.tasking.drive_for_modern) =>
            {
                match self.attempt(hop, &Wish::Declared).await? {
                    Outcome::Task(created) => self.drive(hop, &created).await,
                    other => Ok(other),
                }
            }
            other => other,
        }
    }

    /// At a legacy server the caller decides, within what the tool says of itself.
    async fn at_legacy(self: &Arc<Self>, hop: Hop<'_>) -> Result<Outcome, Fault> {
        let caller = &hop.call.caller;
        if !tasks::offered_by_legacy(&hop.session.description().capabilities) {
            return self.attempt(hop, &Wish::Plain).await;
        }
        if wants_task(hop.call) {
            return self.pass_on(hop).await;
        }
        match hop.tool.map(|tool| tool.tasks).unwrap_or_default() {
            Support::Required if !knows(caller) => self.drive_legacy(hop).await,
            Support::Required => self.keep(hop).await,
            Support::Optional if knows(caller) && self.tasks.tasking.prefer => self.keep(hop).await,
            _ if hop.call.params.has(TASK) => {
                // Not by the words of a revision that has no tasks.
                let mut call = hop.call.clone();
                call.params.remove(TASK);
                self.attempt(Hop { call: &call, ..hop }, &Wish::Plain).await
            }
            _ => self.attempt(hop, &Wish::Plain).await,
        }
    }

    // === seen through for a client that knows no tasks ===

    async fn drive(&self, hop: Hop<'_>, created: &Raw) -> Result<Outcome, Fault> {
        let at = self.at(hop, self.task_id(created)?);
        let peer = self.translated(hop.plan, hop.call.peer.clone());
        let (life, claims) = (&hop.call.life, Arc::default());
        let followed = Polling { at: &at, peer, life, claims, owned: Owned::Alone }.follow().await;
        let end = followed.map_err(|fault| match fault {
            // The client has not asked about any task: to it that is no answer.
            Fault::Answered(error) => {
                self.broken(&format!("it made a task of the call, and does not tell of it: {}", error.message))
            }
            fault => self.after_it_ran(fault),
        })?;
        self.concluded(hop, end)
    }

    async fn drive_legacy(&self, hop: Hop<'_>) -> Result<Outcome, Fault> {
        let Outcome::Task(created) = self.attempt(hop, &self.our_wish()).await? else {
            return Err(self.no_task());
        };
        let at = self.at(hop, self.legacy_task(&created)?.0);
        let peer = Related::peer(&at.task, None, self.translated(hop.plan, hop.call.peer.clone()));
        let followed = follow(&at, &peer, &hop.call.life, Owned::Alone).await;
        self.concluded(hop, followed.map_err(|fault| self.after_it_ran(fault))?)
    }

    /// What it means to a call that has become a task when the server cannot be asked about it. The call has run: that the
    /// server speaks the other era by now must not be taken for a reason to send it once more.
    fn after_it_ran(&self, fault: Fault) -> Fault {
        match fault.reason() {
            Some(Reason::UpstreamVersion) => self.broken(
                "it has changed to another protocol revision, and does not tell of the task that the call became",
            ),
            _ => fault,
        }
    }

    /// What the end of a task means to the client that made the call.
    fn concluded(&self, hop: Hop<'_>, end: End) -> Result<Outcome, Fault> {
        let server = hop.session.description();
        match end {
            End::Completed(result) => match self.answered(hop, &server, unrelated(result))? {
                Outcome::Complete(result) => Ok(Outcome::Complete(result)),
                _ => Err(self.broken("the result of its task is none")),
            },
            End::Failed(error) => self.failed(hop, &server, error),
            End::Cancelled => Err(Fault::error(code::INTERNAL, "the server cancelled the task that the call became")),
        }
    }

    /// The same for a task that is kept.
    fn kept_end(&self, hop: Hop<'_>, end: End) -> Result<End, Fault> {
        if end == End::Cancelled {
            return Ok(end);
        }
        Ok(match self.concluded(hop, end) {
            Ok(Outcome::Complete(result)) => End::Completed(result),
            Ok(_) => return Err(self.broken("the result of its task is none")),
            Err(Fault::Answered(error)) => End::Failed(error),
            Err(fault) => return Err(fault),
        })
    }

    /// What a legacy server is asked for where the gateway wants a task.
    fn our_wish(&self) -> Wish {
        let ttl = u64::try_from(self.tasks.tasking.ttl.as_millis()).unwrap_or(u64::MAX);
        Wish::Task(Some(RawObject::from([("ttl", Raw::of(&ttl))]).to_raw()))
    }

    /// The id of the task that a modern server made.
    fn task_id(&self, created: &Raw) -> Result<String, Fault> {
        let id = created.to_object().and_then(|task| Some(task.get(TASK_ID)?.as_text()?.into_owned()));
        id.ok_or_else(|| self.broken("it made a task without an id"))
    }

    /// The task that a legacy server made.
    fn legacy_task(&self, created: &Raw) -> Result<(String, RawObject), Fault> {
        let task = created.to_object().and_then(|created| created.get_object(TASK)).unwrap_or_default();
        let id = task.get(TASK_ID).and_then(Raw::as_text).map(std::borrow::Cow::into_owned);
        Ok((id.ok_or_else(|| self.broken("it made a task without an id"))?, task))
    }

    fn no_task(&self) -> Fault {
        self.broken("its tool has to be called as a task, and it made none of the call")
    }

    fn broken(&self, what: &str) -> Fault {
        Fault::upstream(Reason::UpstreamProtocol, &self.name, what)
    }
}

/// A result without the task that it belongs to.
fn unrelated(result: Raw) -> Raw {
    if memchr::memmem::find(result.as_bytes(), RELATED_TASK.as_bytes()).is_none() {
        return result;
    }
    let Some(mut object) = result.to_object() else { return result };
    meta::edit(&mut object, |meta| drop(meta.remove(RELATED_TASK)));
    object.to_raw()
}
