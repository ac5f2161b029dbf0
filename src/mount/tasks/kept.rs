//! A task that the gateway keeps: its work runs here, and its client comes back for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::SystemTime,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    hub::{Answer, Asks, BoxFuture, Counts, Credentials, OpenQuestion, Peer, Question, Refusal, Scope},
    jsonrpc::{Notification, Raw, RawObject},
    mount::pool::Key as Place,
    protocol::{
        Loss, meta,
        method::notification,
        tasks::{Status, TASK_ID, timestamp},
    },
};

use super::{
    at::TaskAt,
    compact,
    record::{Action, End, Event, Record},
    related::relate,
    waits::Waits,
};

/// How much one wait may be told before it takes notice; more than a task can have questions.
const TOLD: usize = 256;

/// In which words the client of a task speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mount) enum Design {
    /// Those of 2025-11-25.
    Legacy,
    /// Those of the modern extension.
    Extension,
}

/// What a task says beside its status, in the words of its client.
#[derive(Clone, Debug, Default)]
pub(in crate::mount) struct Facts(RawObject);

impl Facts {
    /// A task that begins now.
    pub(in crate::mount) fn begun(design: Design, ttl: Raw) -> Self {
        let now = Raw::from(&*timestamp(SystemTime::now()));
        let name = if design == Design::Legacy { "ttl" } else { "ttlMs" };
        Self(RawObject::from([("createdAt", now.clone()), ("lastUpdatedAt", now), (name, ttl)]))
    }
}

/// One task.
pub(in crate::mount) struct Kept {
    /// The client's id.
    pub(in crate::mount) handle: String,
    /// Ours, sealed in it.
    pub(in crate::mount) id: String,
    pub(in crate::mount) design: Design,
    /// Who the server says it is.
    pub(in crate::mount) server_info: Option<Raw>,
    /// What its client sent along to the server: to whom else it is listed.
    pub(in crate::mount) credentials: Credentials,
    /// Where a legacy client hears of it.
    pub(in crate::mount) owner: Weak<Scope>,
    /// Under which token that client wants to hear of progress.
    pub(in crate::mount) token: Option<Raw>,
    /// When it is forgotten.
    pub(in crate::mount) until: Instant,
    /// Who waits for its result.
    pub(in crate::mount) waits: Waits,
    /// Ends the work.
    pub(super) stop: CancellationToken,
    counts: Arc<Counts>,
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
}

struct Inner {
    record: Record,
    facts: Facts,
    /// The task at a legacy server that this one is, until it is over: it holds the session with the server.
    at: Option<TaskAt>,
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    waits: HashMap<u64, mpsc::Sender<Told>>,
    /// The last number given to a question or a wait.
    last: u64,
}

/// What one wait is told.
pub(in crate::mount) enum Told {
    /// Put this question to the client.
    Put(u64, Question),
    /// Take it back.
    Take(u64),
}

/// What a task is made of.
pub(in crate::mount) struct Making {
    pub(in crate::mount) handle: String,
    pub(in crate::mount) id: String,
    pub(in crate::mount) design: Design,
    pub(in crate::mount) facts: Facts,
    pub(in crate::mount) at: Option<TaskAt>,
    pub(in crate::mount) server_info: Option<Raw>,
    pub(in crate::mount) credentials: Credentials,
    pub(in crate::mount) owner: Weak<Scope>,
    pub(in crate::mount) token: Option<Raw>,
    pub(in crate::mount) until: Instant,
    pub(in crate::mount) counts: Arc<Counts>,
}

impl Kept {
    pub(in crate::mount) fn new(making: Making) -> Arc<Self> {
        let Making { handle, id, design, facts, at, server_info, credentials, owner, token, until, counts } = making;
        let inner =
            Inner { record: Record::default(), facts, at, answers: HashMap::new(), waits: HashMap::new(), last: 0 };
        let (stop, changed) = (CancellationToken::new(), watch::Sender::new(()));
        let inner = Mutex::new(inner);
        let waits = Waits::default();
        Arc::new(Self {
            handle,
            id,
            design,
            server_info,
            credentials,
            owner,
            token,
            until,
            waits,
            stop,
            counts,
            inner,
            changed,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended, if it did.
    pub(in crate::mount) fn end(&self) -> Option<End> {
        self.lock().record.end().cloned()
    }

    /// The task at a legacy server that this one is, while it is not over.
    pub(in crate::mount) fn at(&self) -> Option<TaskAt> {
        self.lock().at.clone()
    }

    /// Whether it is the server's task `task` in the sessions of `place`, and not over.
    pub(super) fn is_at(&self, place: &Place, task: &str) -> bool {
        self.lock().at.as_ref().is_some_and(|at| at.task == task && at.place.as_ref() == Some(place))
    }

    /// Notes how it ended. The first end stays.
    pub(in crate::mount) fn finish(&self, end: End) {
        self.on(Event::Ended(end));
    }

    /// Ends the work, if it is not over.
    pub(in crate::mount) fn cancel(&self) {
        self.on(Event::Cancelled);
    }

    /// Takes the answers of a modern client.
    pub(in crate::mount) fn answer(&self, answers: RawObject) {
        self.on(Event::Answers(answers));
    }

    /// Hears of every change from now on.
    pub(in crate::mount) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Takes in what its server says of it, in the words of the client.
    pub(in crate::mount) fn refresh(&self, task: &RawObject) {
        const KNOWN: [&str; 7] =
            ["statusMessage", "createdAt", "lastUpdatedAt", "ttl", "ttlMs", "pollInterval", "pollIntervalMs"];
        let mut inner = self.lock();
        if inner.record.end().is_some() {
            return;
        }
        let mut facts = task.clone();
        facts.retain(|name| KNOWN.contains(&name));
        let facts = compact(&facts);
        if facts != inner.facts.0 {
            inner.facts.0 = facts;
            drop(inner);
            self.changed.send_replace(());
            self.tell();
        }
    }

    /// The task by itself, with the status that the extension or 2025-11-25 gives it.
    pub(in crate::mount) fn task(&self) -> RawObject {
        let inner = self.lock();
        self.shaped(&inner, self.status(&inner.record))
    }

    /// The task with what belongs to its status, as the extension has it. Questions that `may_be_asked` passes over are not
    /// shown.
    pub(in crate::mount) fn detailed(&self, may_be_asked: impl Fn(&Question) -> bool) -> RawObject {
        let inner = self.lock();
        let mut requests = RawObject::new();
        for (key, question) in inner.record.questions().filter(|(_, question)| may_be_asked(question)) {
            let mut request = RawObject::from([("method", Raw::from(&*question.method))]);
            if let Some(params) = &question.params {
                request.set("params", params.to_raw());
            }
            requests.set(key, request.to_raw());
        }
        let status = match inner.record.status() {
            Status::InputRequired if requests.is_empty() => Status::Working,
            status => status,
        };
        let mut task = self.shaped(&inner, status);
        if !requests.is_empty() {
            task.set("inputRequests", requests.to_raw());
        }
        match inner.record.end() {
            Some(End::Completed(result)) => task.set("result", result.clone()),
            Some(End::Failed(error)) => task.set("error", error.to_raw()),
            Some(End::Cancelled) | None => {}
        }
        task
    }

    fn status(&self, record: &Record) -> Status {
        match record.end() {
            Some(End::Completed(result)) if self.design == Design::Legacy && is_error(result) => Status::Failed,
            _ => record.status(),
        }
    }

    fn shaped(&self, inner: &Inner, status: Status) -> RawObject {
        let mut task = RawObject::from([(TASK_ID, Raw::from(&*self.handle)), ("status", Raw::from(status.as_str()))]);
        for (name, value) in inner.facts.0.iter() {
            task.set(&name, value.clone());
        }
        task
    }

    fn on(&self, event: Event) {
        let changed = self.carry_out(&mut self.lock(), event);
        if changed {
            self.changed.send_replace(());
            self.tell();
        }
    }

    /// Carries out what an event calls for; whether anything changed that can be seen.
    fn carry_out(&self, inner: &mut Inner, event: Event) -> bool {
        let mut changed = false;
        for action in inner.record.on(event) {
            match action {
                Action::Answer(serial, answer) => {
                    if let Some(waiting) = inner.answers.remove(&serial) {
                        let _ = waiting.send(answer);
                    }
                }
                Action::Put(wait, serial, question) => inner.tell(wait, Told::Put(serial, question)),
                Action::Take(wait, serial) => inner.tell(wait, Told::Take(serial)),
                Action::Stop => self.stop.cancel(),
                Action::Changed => changed = true,
            }
        }
        if inner.record.end().is_some() {
            inner.at = None;
        }
        if changed {
            inner.facts.0.set("lastUpdatedAt", Raw::from(&*timestamp(SystemTime::now())));
        }
        changed
    }

    /// Tells a legacy client that the task changed.
    fn tell(&self) {
        if self.design == Design::Legacy
            && let Some(owner) = self.owner.upgrade()
        {
            let method = notification::TASK_STATUS.to_owned();
            owner.peer().notify(Notification { method, params: Some(self.task()) });
        }
    }

    /// Its client as its work sees it.
    pub(in crate::mount) fn peer(self: &Arc<Self>) -> Arc<dyn Peer> {
        Arc::new(KeptPeer(Arc::downgrade(self)))
    }

    /// A legacy client waits for the result.
    pub(in crate::mount) fn join(self: &Arc<Self>) -> Wait {
        let (tell, told) = mpsc::channel(TOLD);
        let mut inner = self.lock();
        inner.last += 1;
        let number = inner.last;
        inner.waits.insert(number, tell);
        self.carry_out(&mut inner, Event::Joined(number));
        drop(inner);
        Wait { task: self.clone(), number, told }
    }
}

/// Whether a tool's result says that the tool failed.
pub(in crate::mount) fn is_error(result: &Raw) -> bool {
    result.to_object().is_some_and(|result| result.get("isError").and_then(Raw::as_bool) == Some(true))
}

impl Inner {
    fn tell(&self, wait: u64, told: Told) {
        if let Some(tell) = self.waits.get(&wait) {
            // A wait that takes no notice of so much will be told no more; its questions are free when it leaves.
            let _ = tell.try_send(told);
        }
    }
}

/// A legacy client's wait for the result. Dropping it leaves its questions to the next.
pub(in crate::mount) struct Wait {
    task: Arc<Kept>,
    number: u64,
    /// What the wait is told.
    pub(in crate::mount) told: mpsc::Receiver<Told>,
}

impl Wait {
    /// The client answered.
    pub(in crate::mount) fn answered(&self, serial: u64, answer: Answer) {
        self.task.on(Event::Told(self.number, serial, answer));
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.task.lock().waits.remove(&self.number);
        self.task.on(Event::Left(self.number));
    }
}

/// The client of a task that is kept: what it is asked waits until the client looks.
struct KeptPeer(Weak<Kept>);

impl Peer for KeptPeer {
    /// A modern client hears neither progress nor log messages of a task; a legacy client hears of progress with the token of
    /// the call that created the task.
    fn notify(&self, mut notification: Notification) {
        let Some(task) = self.0.upgrade() else { return };
        if task.design == Design::Extension {
            if matches!(&*notification.method, notification::PROGRESS | notification::MESSAGE) {
                task.counts.lost(Loss::TaskMessage);
            }
            return;
        }
        let Some(owner) = task.owner.upgrade() else { return };
        let params = notification.params.get_or_insert_default();
        match (&*notification.method, &task.token) {
            (notification::PROGRESS, Some(token)) => params.set(meta::PROGRESS_TOKEN, token.clone()),
            (notification::MESSAGE, _) => {}
            _ => return,
        }
        relate(params, Some(&task.handle));
        owner.peer().notify(notification);
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        let Some(task) = self.0.upgrade() else { return Box::pin(std::future::ready(Err(Refusal::NoOne))) };
        let (answer, answered) = oneshot::channel();
        let serial = {
            let mut inner = task.lock();
            inner.last += 1;
            let serial = inner.last;
            inner.answers.insert(serial, answer);
            serial
        };
        task.on(Event::Asked(serial, question));
        Box::pin(OpenQuestion::new(self.0.clone(), serial, answered))
    }
}

impl Asks for Kept {
    fn withdrawn(&self, serial: u64) {
        self.lock().answers.remove(&serial);
        self.on(Event::Withdrawn(serial));
    }
}
