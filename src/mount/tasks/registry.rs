//! The tasks that one mount knows: those it keeps, and those at servers that it has to remember. Each belongs to a principal.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    hub::{Credentials, Fault, Principal, Reason, Scope},
    jsonrpc::{Raw, RawObject},
    mount::pool::Key as Place,
    protocol::tasks::{self, Status, timestamp},
};

use super::{
    Tasking, compact,
    drive::Claims,
    handle::{Handle, Kind},
    kept::{Design, Kept, is_error},
    record::End,
    rows::{Row, Rows},
    waits::Waits,
};

/// The longest that a task is remembered, whatever its server says.
pub(in crate::mount) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A task at a server that its client asks about there.
pub(in crate::mount) struct Remote {
    /// The client's id.
    pub(in crate::mount) handle: String,
    pub(in crate::mount) kind: Kind,
    /// The server's id.
    pub(in crate::mount) task: String,
    /// In whose sessions it is.
    pub(in crate::mount) place: Option<Place>,
    /// What its client sent along to the server: to whom else it is listed.
    pub(in crate::mount) credentials: Credentials,
    /// Where its client hears of it.
    pub(in crate::mount) owner: Weak<Scope>,
    /// Under which token that client wants to hear of progress.
    pub(in crate::mount) token: Option<Raw>,
    /// Which of its questions are being put to the client.
    pub(in crate::mount) claims: Arc<Claims>,
    /// Who waits for its result.
    pub(in crate::mount) waits: Waits,
    seen: Mutex<Seen>,
}

/// What was last heard of a task.
struct Seen {
    /// In the words of a legacy client.
    task: RawObject,
    until: Instant,
}

impl Remote {
    pub(in crate::mount) fn new(
        (handle, sealed): (&Handle, String),
        place: Option<Place>,
        (owner, credentials): (Weak<Scope>, Credentials),
        token: Option<Raw>,
        task: RawObject,
    ) -> Arc<Self> {
        let until = lifetime(&task);
        Arc::new(Self {
            handle: sealed,
            kind: handle.kind,
            task: handle.id.clone(),
            place,
            credentials,
            owner,
            token,
            claims: Arc::default(),
            waits: Waits::default(),
            seen: Mutex::new(Seen { task: compact(&task), until }),
        })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was last heard of it, in the words of a legacy client.
    pub(in crate::mount) fn task(&self) -> RawObject {
        self.seen().task.clone()
    }

    /// Notes what was heard. A task that is over stays as it ended; whether there is anything new.
    pub(in crate::mount) fn note(&self, task: &RawObject) -> bool {
        let mut seen = self.seen();
        let (before, now) = (Status::of(&seen.task), Status::of(task));
        if before.is_some_and(Status::is_terminal) && before != now || seen.task == *task {
            return false;
        }
        seen.task = compact(task);
        true
    }

    /// Notes how it ended, as whoever waited for its result heard.
    pub(in crate::mount) fn ended(&self, end: &End) {
        let status = match end {
            End::Completed(result) if is_error(result) => Status::Failed,
            end => end.status(),
        };
        let mut task = self.task();
        if Status::of(&task) != Some(status) {
            task.set("status", Raw::from(status.as_str()));
            task.set("lastUpdatedAt", Raw::from(&*timestamp(SystemTime::now())));
            self.note(&task);
        }
    }

    /// Whether it is over, as far as is known.
    pub(in crate::mount) fn is_over(&self) -> bool {
        Status::of(&self.seen().task).is_some_and(Status::is_terminal)
    }

    /// Whether its client cancelled it.
    pub(in crate::mount) fn is_cancelled(&self) -> bool {
        Status::of(&self.seen().task) == Some(Status::Cancelled)
    }
}

/// When a task is forgotten that begins now, by its `ttl`.
pub(in crate::mount) fn lifetime(task: &RawObject) -> Instant {
    let ttl = task.get("ttl").or_else(|| task.get("ttlMs")).and_then(tasks::millis);
    Instant::now() + ttl.unwrap_or(LONGEST).min(LONGEST)
}

#[derive(Clone)]
pub(in crate::mount) enum Entry {
    Kept(Arc<Kept>),
    Remote(Arc<Remote>),
}

impl Entry {
    pub(in crate::mount) fn handle(&self) -> &str {
        match self {
            Self::Kept(kept) => &kept.handle,
            Self::Remote(remote) => &remote.handle,
        }
    }

    /// Whether it may be listed to who sends this along. Where a server knows its users by that, they are not one user,
    /// whoever they are to the gateway; and asked with somebody else's, it would not know the task.
    pub(in crate::mount) fn is_shown_to(&self, credentials: &Credentials) -> bool {
        match self {
            Self::Kept(kept) => kept.credentials == *credentials,
            Self::Remote(remote) => remote.credentials == *credentials,
        }
    }

    fn is(&self, handle: &Handle) -> bool {
        match self {
            Self::Kept(kept) => handle.kind == Kind::Kept && kept.id == handle.id,
            Self::Remote(remote) => remote.kind == handle.kind && remote.task == handle.id,
        }
    }

    /// Whether it may be forgotten for another: it is over, or the session of the client that made it is.
    pub(super) fn gives_way(&self) -> bool {
        match self {
            Self::Kept(kept) => kept.end().is_some(),
            Self::Remote(remote) => remote.is_over() || remote.owner.strong_count() == 0,
        }
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        match self {
            Self::Kept(kept) => kept.until <= now,
            Self::Remote(remote) => remote.seen().until <= now,
        }
    }

    /// By which id it is known at the server, and in whose sessions.
    fn named(&self) -> Option<(Place, String)> {
        match self {
            Self::Kept(kept) => kept.at().and_then(|at| Some((at.place?, at.task))),
            Self::Remote(remote) => Some((remote.place.clone()?, remote.task.clone())),
        }
    }

    /// Whether it is the server's task `task` in the sessions of `place`.
    pub(super) fn stands_for(&self, place: &Place, task: &str) -> bool {
        match self {
            Self::Kept(kept) => kept.is_at(place, task),
            Self::Remote(remote) => remote.task == task && remote.place.as_ref() == Some(place),
        }
    }
}

/// All of them, oldest first.
pub(in crate::mount) struct Registry {
    tasking: Tasking,
    rows: Mutex<Rows>,
    added: Notify,
}

/// Room for one more task. Dropping it gives it back.
pub(in crate::mount) struct Seat {
    registry: Arc<Registry>,
    principal: Principal,
}

impl Registry {
    pub(super) fn new(tasking: Tasking) -> Arc<Self> {
        Arc::new(Self { tasking, rows: Mutex::default(), added: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many tasks there are, those to come included.
    pub(in crate::mount) fn count(&self) -> usize {
        let mut rows = self.lock();
        rows.purge_all();
        rows.total
    }

    /// Takes room for a task of this principal. Where there is none, the oldest is forgotten that is over: of this principal,
    /// if it has as many as it may, and otherwise of whoever has the most.
    ///
    /// # Errors
    /// When none of those is over.
    pub(in crate::mount) fn reserve(self: &Arc<Self>, principal: &Principal) -> Result<Seat, Fault> {
        let mut rows = self.lock();
        rows.purge(principal);
        if !rows.make_seat(principal, (self.tasking.each, self.tasking.all)) {
            let message = "too many tasks are under way; cancel some or wait for their end";
            return Err(Fault::gateway(Reason::Busy, message));
        }
        rows.of.entry(principal.clone()).or_default().seats += 1;
        rows.total += 1;
        Ok(Seat { registry: self.clone(), principal: principal.clone() })
    }

    /// The task that a handle of this principal stands for.
    pub(in crate::mount) fn find(&self, principal: &Principal, handle: &Handle) -> Option<Entry> {
        let mut rows = self.lock();
        rows.purge(principal);
        let own = rows.of.get(principal)?;
        own.rows.iter().find(|row| row.entry.is(handle)).map(|row| row.entry.clone())
    }

    /// All tasks of a principal, oldest first.
    pub(in crate::mount) fn list(&self, principal: &Principal) -> Vec<Entry> {
        let mut rows = self.lock();
        rows.purge(principal);
        rows.of.get(principal).map(|own| own.rows.iter().map(|row| row.entry.clone()).collect()).unwrap_or_default()
    }

    /// Whose task a server means that speaks of it outside every call. There are never so many that looking at all of them
    /// would take long.
    pub(in crate::mount) fn of_server(&self, place: &Place, task: &str) -> Option<Entry> {
        let rows = self.lock();
        let mut all = rows.of.values().flat_map(|own| &own.rows);
        all.find(|row| row.entry.stands_for(place, task)).map(|row| row.entry.clone())
    }

    /// The same, waiting a moment for a task whose creation is still on its way back from the server.
    pub(in crate::mount) async fn soon_of_server(
        &self,
        place: &Place,
        task: &str,
        patience: Duration,
    ) -> Option<Entry> {
        let until = Instant::now() + patience;
        loop {
            let mut added = std::pin::pin!(self.added.notified());
            added.as_mut().enable();
            if let Some(entry) = self.of_server(place, task) {
                return Some(entry);
            }
            tokio::time::timeout_at(until, added).await.ok()?;
        }
    }

    /// Notes how the work of a kept task ended. Its result is kept where there is room: for that the oldest results of its
    /// principal are forgotten, or those of whoever holds the most.
    pub(super) fn finish(&self, principal: &Principal, kept: &Arc<Kept>, end: End) {
        let bytes = match &end {
            End::Completed(result) => result.as_bytes().len(),
            End::Failed(error) => error.to_raw().as_bytes().len(),
            End::Cancelled => 0,
        };
        let mut rows = self.lock();
        let fits = rows.make_room(principal, bytes, (self.tasking.kept_each, self.tasking.kept_all));
        if fits && let Some(own) = rows.of.get_mut(principal) {
            let own_row = own.rows.iter_mut().find(|r| matches!(&r.entry, Entry::Kept(k) if Arc::ptr_eq(k, kept)));
            if let Some(row) = own_row {
                row.bytes = bytes;
                own.bytes += bytes;
                rows.bytes += bytes;
            }
        }
        drop(rows);
        kept.finish(if fits {
            end
        } else {
            End::Failed(Fault::gateway(Reason::Limit, "the result of the task is too large to be kept").to_error())
        });
    }

    /// Forgets a task.
    pub(in crate::mount) fn forget(&self, principal: &Principal, handle: &Handle) {
        self.lock().remove(principal, |row| row.entry.is(handle));
    }
}

impl Seat {
    /// Whose it is.
    pub(in crate::mount) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Takes the seat for good. Whatever had the same id at the server is none of its tasks any more, and nobody may be told by
    /// that id of a task of somebody else: a server that counts its tasks begins anew when it is started anew.
    pub(in crate::mount) fn sit(self, entry: Entry) {
        let mut rows = self.registry.lock();
        if let Some((place, task)) = entry.named() {
            rows.forget_all(&place, &task);
        }
        // The seat itself is given back when it is dropped.
        rows.total += 1;
        rows.of.entry(self.principal.clone()).or_default().rows.push(Row { entry, bytes: 0 });
        drop(rows);
        self.registry.added.notify_waiters();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut rows = self.registry.lock();
        rows.total -= 1;
        if let Some(own) = rows.of.get_mut(&self.principal) {
            own.seats -= 1;
        }
        rows.tidy(&self.principal);
    }
}

impl Entry {
    /// Whether clients of this design may ask about it.
    pub(in crate::mount) fn speaks(&self, design: Design) -> bool {
        match self {
            Self::Kept(kept) => kept.design == design,
            Self::Remote(remote) => remote.kind == Kind::Extension || design == Design::Legacy,
        }
    }
}
