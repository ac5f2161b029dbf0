//! Tasks: calls of tools that a client comes back for.
//!
//! There are two designs. In 2025-11-25 (basic/utilities/tasks) the client asks for a task and waits for its result, and is
//! asked questions while it waits. In the extension of the modern era (`io.modelcontextprotocol/tasks`) the server decides,
//! and the client looks at the task from time to time, questions and result included.
//!
//! Where both ends speak the same design, requests pass and only the ids change: a client's id is sealed, and opens for its
//! principal at its mount alone. A task of a legacy server that a modern client is to see is *kept* here: one wait for its
//! result stays open at the server, and what the server asks on it is shown to the client. A call that a legacy client wants
//! as a task and a modern server answers at once, or with questions, is kept as well. And for a client that knows no tasks the
//! gateway sees the task through itself and answers the call.
//!
//! Invariant: whether an id is somebody else's, of another mount, expired or made up, the answer is the same.

mod at;
mod drive;
mod handle;
mod kept;
mod listen;
mod record;
mod registry;
mod related;
mod room;
mod rows;
mod waits;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    hub::{Answer, BoxFuture, Counts, Fault, Peer, Principal, Question, Reason, Refusal},
    jsonrpc::{Notification, Raw, RawObject, code, scan::ScanLimits},
    protocol::{
        Loss, Revision,
        ladder::Plan,
        meta,
        method::notification,
        tasks::{self, EXTENSION, TASK_ID},
    },
    seal::{Sealer, random_token},
};

pub(super) use at::TaskAt;
pub(super) use drive::{Owned, Polling, cancel_later, ended, follow};
pub(super) use handle::{Handle, Kind};
pub(super) use kept::{Design, Facts, Kept, Making, Told, Wait};
pub(super) use record::End;
pub(super) use registry::{Entry, LONGEST, Registry, Remote, Seat, lifetime};
pub(super) use related::{Related, relate};

use super::pool::Key as Place;

/// How long a question waits for the task that it names to be known here: some servers ask before they have answered the call
/// which creates the task.
const CREATED: Duration = Duration::from_secs(5);

/// How much of what is said of a task is remembered, in bytes.
const REMEMBERED: usize = 16 * 1024;

/// How a mount treats tasks, and how many of them it bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tasking {
    /// Whether a modern client that knows tasks gets one for every tool of a legacy server that may be one, and not only for
    /// those that have to be.
    pub prefer: bool,
    /// Whether the gateway sees a task through for a modern client that does not know tasks, where a modern server would refuse
    /// the call.
    pub drive_for_modern: bool,
    /// How long a legacy server is asked to keep a task that the gateway wants of it, and how long a task is kept here whose
    /// client does not say.
    pub ttl: Duration,
    /// How many tasks one principal may have.
    pub each: usize,
    /// How many everybody together may have at one mount.
    pub all: usize,
    /// How many bytes of results are kept for one principal.
    pub kept_each: usize,
    /// How many bytes of results are kept altogether. When that is full, whoever holds the most gives up its oldest result for
    /// a new one of somebody else.
    pub kept_all: usize,
}

impl Default for Tasking {
    fn default() -> Self {
        Self {
            prefer: false,
            drive_for_modern: false,
            ttl: Duration::from_secs(3600),
            each: 128,
            all: 4096,
            kept_each: 16 << 20,
            kept_all: 64 << 20,
        }
    }
}

/// The tasks of one mount.
pub(super) struct Tasks {
    pub(super) tasking: Tasking,
    pub(super) registry: Arc<Registry>,
    mount: Arc<str>,
    sealer: Arc<Sealer>,
    closing: CancellationToken,
}

impl Tasks {
    /// The work on tasks ends when `closing` fires.
    pub(super) fn new(mount: Arc<str>, sealer: Arc<Sealer>, tasking: Tasking, closing: CancellationToken) -> Arc<Self> {
        Arc::new(Self { tasking, registry: Registry::new(tasking), mount, sealer, closing })
    }

    /// Whether everything that a legacy client can ask about is known here, so that it can be listed as well (2025-11-25,
    /// basic/utilities/tasks#task-listing): ids that outlive the process do not tell what they stand for before they come.
    pub(super) fn can_list(&self, principal: &Principal) -> bool {
        !principal.is_anonymous() && !self.sealer.is_lasting()
    }

    /// Whether ids are good after a restart.
    pub(super) fn outlive_restarts(&self) -> bool {
        self.sealer.is_lasting()
    }

    /// The id that a client of `principal` gets.
    ///
    /// # Errors
    /// When the server's own is too long.
    pub(super) fn seal(&self, principal: &Principal, handle: &Handle) -> Result<String, Fault> {
        handle
            .seal(&self.sealer, principal.as_str(), &self.mount)
            .ok_or_else(|| Fault::upstream(Reason::UpstreamProtocol, &self.mount, "the id of its task is too long"))
    }

    /// What the id of a client stands for.
    ///
    /// # Errors
    /// [`not_found`], for every id that stands for nothing here.
    pub(super) fn open(&self, principal: &Principal, id: Option<&Raw>) -> Result<(Handle, String), Fault> {
        let id =
            id.and_then(Raw::as_text).ok_or_else(|| Fault::error(code::INVALID_PARAMS, "`taskId` must be a string"))?;
        let handle = Handle::open(&self.sealer, principal.as_str(), &self.mount, &id).ok_or_else(not_found)?;
        Ok((handle, id.into_owned()))
    }

    /// A handle for a task that will be kept here.
    pub(super) fn fresh(&self, principal: &Principal) -> Result<(Handle, String), Fault> {
        let handle = Handle { kind: Kind::Kept, id: random_token::<16>(), tool: None };
        let sealed = self.seal(principal, &handle)?;
        Ok((handle, sealed))
    }

    /// Keeps a task: enters it, and does its work until it ends, is cancelled, or has lived too long. What is kept of it
    /// afterwards is forgotten in time.
    pub(super) fn keep(&self, seat: Seat, kept: &Arc<Kept>, work: BoxFuture<Result<End, Fault>>) {
        let (registry, principal) = (self.registry.clone(), seat.principal().clone());
        let (kept, closing) = (kept.clone(), self.closing.clone());
        seat.sit(Entry::Kept(kept.clone()));
        tokio::spawn(async move {
            let until = kept.until;
            let end = tokio::select! {
                biased;
                () = closing.cancelled() => return,
                () = kept.stop.cancelled() => None,
                end = work => Some(end.unwrap_or_else(|fault| End::Failed(fault.to_error()))),
                () = sleep_until(until) => None,
            };
            // By now the work is dropped, and with it what it held open at the server.
            match end {
                Some(end) => registry.finish(&principal, &kept, end),
                None => kept.cancel(),
            }
            tokio::select! {
                () = closing.cancelled() => {}
                () = sleep_until(until) => {
                    registry.forget(&principal, &Handle { kind: Kind::Kept, id: kept.id.clone(), tool: None });
                }
            }
        });
    }

    /// A server says something about a task outside every call: whom it goes to, and what that one is told.
    pub(super) fn heard(
        &self,
        place: &Place,
        mut said: Notification,
        counts: &Counts,
    ) -> Option<(Arc<dyn Peer>, Notification)> {
        let params = said.params.as_mut()?;
        if said.method == notification::TASK_STATUS {
            let task = params.get(TASK_ID)?.as_text()?.into_owned();
            match self.registry.of_server(place, &task)? {
                Entry::Kept(kept) => {
                    kept.refresh(&kept_words(params.clone()));
                    None
                }
                Entry::Remote(remote) => {
                    params.set(TASK_ID, Raw::from(&*remote.handle));
                    relate(params, None);
                    remote.note(params);
                    Some((remote.owner.upgrade()?.peer().clone(), said))
                }
            }
        } else {
            let task = tasks::related(Some(params))?;
            let remote = match self.registry.of_server(place, &task)? {
                Entry::Remote(remote) => remote,
                // Its client hears nothing but what becomes of it.
                Entry::Kept(_) => {
                    counts.lost(Loss::TaskMessage);
                    return None;
                }
            };
            match &remote.token {
                Some(token) => params.set(meta::PROGRESS_TOKEN, token.clone()),
                None if said.method == notification::PROGRESS => return None,
                None => {}
            }
            relate(params, Some(&remote.handle));
            Some((remote.owner.upgrade()?.peer().clone(), said))
        }
    }

    /// A server asks something about a task outside every call: that goes to the task's own peer.
    pub(super) fn asked(self: &Arc<Self>, place: &Place, task: String, question: Question) -> BoxFuture<Answer> {
        let (registry, place) = (self.registry.clone(), place.clone());
        Box::pin(async move {
            let peer = match registry.soon_of_server(&place, &task, CREATED).await {
                Some(Entry::Kept(kept)) => Related::peer(&task, None, kept.peer()),
                Some(Entry::Remote(remote)) => match remote.owner.upgrade() {
                    Some(owner) => Related::peer(&task, Some(&remote), owner.peer().clone()),
                    None => return Err(Refusal::NoOne),
                },
                None => return Err(Refusal::NoOne),
            };
            peer.ask(question).await
        })
    }
}

/// What is remembered of a task for long, or of a call that made one: without the message that it was cut from, and without
/// words for people that are too long to keep.
pub(super) fn compact(object: &RawObject) -> RawObject {
    let mut object = object.clone();
    if object.written_length() > REMEMBERED {
        object.remove("statusMessage");
    }
    let text = Bytes::copy_from_slice(object.to_raw().as_bytes());
    let kept = Raw::scan(text, ScanLimits::ANSWER).ok().filter(|_| object.written_length() <= REMEMBERED);
    kept.and_then(|kept| kept.to_object()).unwrap_or_default()
}

/// The answer for an id that stands for nothing.
pub(super) fn not_found() -> Fault {
    Fault::error(code::INVALID_PARAMS, "Failed to retrieve task: Task not found")
}

/// A task of a legacy server in the words of the extension.
pub(super) fn kept_words(task: RawObject) -> RawObject {
    Plan::between(Revision::NEWEST_MODERN, Revision::R2025_11_25).task(task)
}

/// Runs the call that creates a task, to its end whatever becomes of its client: a call that was to be a task must not be
/// cancelled as a call (2025-11-25, basic/utilities/tasks; basic/utilities/cancellation). When nobody waits for the task any
/// more by the time it exists, it is cancelled.
pub(super) async fn created(
    creating: BoxFuture<Result<Raw, Fault>>,
    at: impl FnOnce(String) -> TaskAt + Send + 'static,
    upstream: &Arc<str>,
) -> Result<Raw, Fault> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let Ok(result) = timeout(LONGEST, creating).await else { return };
        if let Err(Ok(unwanted)) = answer.send(result)
            && let Some(task) = task_of(&unwanted)
        {
            cancel_later(at(task));
        }
    });
    let lost = || Fault::upstream(Reason::Internal, upstream, "the call was cut off");
    answered.await.unwrap_or_else(|_| Err(lost()))
}

/// The id of the task that a result of a legacy server names.
pub(super) fn task_of(created: &Raw) -> Option<String> {
    let task = created.to_object()?.get_object(tasks::TASK)?;
    task.get(TASK_ID)?.as_text().map(std::borrow::Cow::into_owned)
}

/// What an advertised set of capabilities says about tasks beyond what the ladder makes of the server's.
pub(super) fn advertise(capabilities: &mut RawObject, as_extension: bool, can_list: bool) {
    if as_extension {
        let mut extensions = capabilities.get_object("extensions").unwrap_or_default();
        extensions.set(EXTENSION, RawObject::new().to_raw());
        capabilities.set("extensions", extensions.to_raw());
        return;
    }
    let mut own = RawObject::new();
    if can_list {
        own.set("list", Raw::constant("{}"));
    }
    own.set("cancel", Raw::constant("{}"));
    own.set("requests", Raw::constant(r#"{"tools":{"call":{}}}"#));
    capabilities.set("tasks", own.to_raw());
}
