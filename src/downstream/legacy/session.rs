//! One client's session: who it is, the calls that run in it, the questions that are open, and its streams.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::SystemTime,
};

use tokio::time::Instant;

use crate::{
    hub::{Answering, Caller, Credentials, Description, Principal, Scope},
    jsonrpc::{Notification, Raw, RequestId},
    protocol::{ClientCapabilities, Family, Method, Revision, method::notification},
    seal::random_token,
};

use super::{
    super::{outbox::Outbox, way::Way},
    call::Calling,
    log::{Place, Reader, StreamLog},
    outside::{Opening, Outside, Waiting},
    pulse::Pulse,
    question::Pending,
    sessions::Seat,
};

/// How many calls may run in one session.
const CALLS: usize = 1000;
/// How many streams are kept after their end, for readers that come back.
const ENDED_STREAMS: usize = 32;

/// A legacy session, or the passing stand-in for one that a client without a session gets for a single request.
pub(in crate::downstream) struct Session {
    principal: Principal,
    mount: Box<str>,
    caller: Mutex<Arc<Caller>>,
    families: OnceLock<Vec<Family>>,
    pulse: Arc<Pulse>,
    /// Set where the session began in an earlier process: until when it must be remembered that it ended.
    remembered_until: Option<SystemTime>,
    /// Ids of questions begin with it, so that they are never used twice, whatever process the session lives in.
    pub(super) nonce: String,
    inner: Mutex<Inner>,
    opening: Arc<Opening>,
    seat: Mutex<Option<Seat>>,
}

#[derive(Default)]
pub(super) struct Inner {
    has_ended: bool,
    calls: HashMap<RequestId, Arc<Calling>>,
    pub(super) questions: HashMap<String, Pending>,
    /// Numbers questions.
    pub(super) asked: u64,
    streams: Vec<Arc<StreamLog>>,
    standalone: Option<Arc<StreamLog>>,
    /// Where everything goes that is said to a client on one connection, once it is ready for more than answers.
    line: Option<Arc<Outbox>>,
    pub(super) waiting: Waiting,
}

/// What the client said about itself in `initialize`.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) revision: Revision,
    pub(super) capabilities: ClientCapabilities,
    pub(super) client_info: Option<Raw>,
}

/// Why a call cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A call with this id runs.
    Duplicate,
    /// Too many run.
    Busy,
    /// The session is over.
    Ended,
}

impl Session {
    /// A session with a scope of its own.
    pub(super) fn new(
        (principal, mount): (&Principal, &str),
        (identity, credentials): (Identity, Credentials),
        pulse: Arc<Pulse>,
        seat: Seat,
        remembered_until: Option<SystemTime>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|session: &Weak<Self>| {
            let scope = Scope::session(Arc::new(Outside(session.clone())));
            Self::with((principal, mount), (identity, credentials), scope, pulse, Some(seat), remembered_until)
        })
    }

    /// A session for one request of a client that keeps none: it can be asked nothing.
    pub(super) fn passing(principal: &Principal, mount: &str, revision: Revision, scope: Arc<Scope>) -> Arc<Self> {
        let identity = Identity { revision, capabilities: ClientCapabilities::default(), client_info: None };
        let pulse = Pulse::new(std::time::Duration::from_secs(24 * 3600));
        Arc::new(Self::with((principal, mount), (identity, Credentials::default()), scope, pulse, None, None))
    }

    fn with(
        (principal, mount): (&Principal, &str),
        (identity, credentials): (Identity, Credentials),
        scope: Arc<Scope>,
        pulse: Arc<Pulse>,
        seat: Option<Seat>,
        remembered_until: Option<SystemTime>,
    ) -> Self {
        let fingerprint = identity.capabilities.fingerprint().into();
        let caller = Caller {
            principal: principal.clone(),
            scope,
            credentials,
            revision: identity.revision,
            client_info: identity.client_info,
            capabilities: identity.capabilities,
            fingerprint,
            log_level: None,
            answers: Answering::Inline,
        };
        Self {
            principal: principal.clone(),
            mount: mount.into(),
            caller: Mutex::new(Arc::new(caller)),
            families: OnceLock::new(),
            pulse,
            remembered_until,
            nonce: random_token::<6>(),
            inner: Mutex::default(),
            opening: Opening::new(),
            seat: Mutex::new(seat),
        }
    }

    /// Whether this principal may use it at this mount.
    pub(super) fn belongs_to(&self, principal: &Principal, mount: &str) -> bool {
        self.principal == *principal && *self.mount == *mount
    }

    /// The mount it is at.
    pub(super) fn mount(&self) -> &str {
        &self.mount
    }

    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    pub(super) fn remembered_until(&self) -> Option<SystemTime> {
        self.remembered_until
    }

    /// The client outside its requests, as of now.
    pub(super) fn caller(&self) -> Arc<Caller> {
        self.caller.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The client as it is in one of its requests, which may send something else along to the server than `initialize` did.
    /// Where nothing `can_be_asked` during the request, the client declares nothing that could be asked then, so that a
    /// server does without instead of waiting.
    pub(super) fn caller_of(&self, credentials: &Credentials, can_be_asked: bool) -> Arc<Caller> {
        let caller = self.caller().sending(credentials);
        if can_be_asked {
            return caller;
        }
        let capabilities = caller.capabilities.unasked();
        if capabilities == caller.capabilities {
            return caller;
        }
        Arc::new(Caller { fingerprint: capabilities.fingerprint().into(), capabilities, ..(*caller).clone() })
    }

    pub(super) fn revision(&self) -> Revision {
        self.caller().revision
    }

    /// Calls from now on carry this log level.
    pub(super) fn set_level(&self, level: Raw) {
        let mut caller = self.caller.lock().unwrap_or_else(PoisonError::into_inner);
        *caller = Arc::new(Caller { log_level: Some(level), ..(**caller).clone() });
    }

    /// Notes what the server offers. The client of a session that began in an earlier process is told that every list whose
    /// changes the server announces may have changed: nobody knows what it missed.
    pub(super) fn learn(&self, description: &Description) {
        const FAMILIES: [Family; 5] =
            [Family::Tools, Family::Prompts, Family::Resources, Family::Completions, Family::Logging];
        let offered = FAMILIES.into_iter().filter(|f| description.offers(*f)).collect();
        // The first answer stays: it is what the client was told.
        if self.families.set(offered).is_err() || self.remembered_until.is_none() {
            return;
        }
        let caller = self.caller();
        let lists = [
            (Family::Tools, notification::TOOLS_CHANGED),
            (Family::Prompts, notification::PROMPTS_CHANGED),
            (Family::Resources, notification::RESOURCES_CHANGED),
        ];
        for (family, method) in lists {
            let offered = description.capabilities.get_object(family.as_str());
            if offered.and_then(|f| f.get("listChanged").and_then(Raw::as_bool)) == Some(true) {
                caller.scope.peer().notify(Notification { method: method.to_owned(), params: None });
            }
        }
    }

    /// Whether the server offers what `method` needs; `None` while nobody knows. Completion was not advertised in
    /// 2024-11-05, so the server decides about that itself.
    pub(super) fn offers(&self, method: &Method) -> Option<bool> {
        match method.family() {
            None | Some(Family::Completions) => Some(true),
            Some(family) => self.families.get().map(|offered| offered.contains(&family)),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session: its calls are cancelled, its streams end.
    pub(in crate::downstream) fn close(&self, reason: &str) {
        let (calls, streams, standalone) = {
            let mut inner = self.lock();
            inner.has_ended = true;
            inner.waiting = Waiting::default();
            inner.questions.clear();
            let calls: Vec<_> = inner.calls.values().cloned().collect();
            (calls, std::mem::take(&mut inner.streams), inner.standalone.take())
        };
        for call in calls {
            call.cancel(reason);
        }
        for stream in streams.iter().chain(&standalone) {
            stream.cut();
        }
        self.opening.tell();
        self.seat.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    /// What waits for the client to open its stream.
    pub(super) fn opening(&self) -> &Arc<Opening> {
        &self.opening
    }

    /// Lets go of what was kept too long.
    pub(super) fn tidy(&self) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.streams.retain(|s| s.tidy(now));
        if let Some(standalone) = &inner.standalone {
            standalone.tidy(now);
        }
    }
}

// Calls.
impl Session {
    /// Enters a call.
    pub(super) fn enter(&self, call: &Arc<Calling>) -> Result<(), Refused> {
        let mut inner = self.lock();
        if inner.has_ended {
            return Err(Refused::Ended);
        }
        if inner.calls.contains_key(call.id()) {
            return Err(Refused::Duplicate);
        }
        if inner.calls.len() >= CALLS {
            return Err(Refused::Busy);
        }
        inner.calls.insert(call.id().clone(), call.clone());
        Ok(())
    }

    /// The call that runs under `id`.
    pub(super) fn call(&self, id: &RequestId) -> Option<Arc<Calling>> {
        self.lock().calls.get(id).cloned()
    }

    /// Whether a request with this id runs.
    pub(in crate::downstream) fn runs(&self, id: &RequestId) -> bool {
        self.lock().calls.contains_key(id)
    }

    /// Takes a call out that is over, and takes its open questions back.
    pub(super) fn leave(&self, call: &Arc<Calling>) {
        let orphans: Vec<String> = {
            let mut inner = self.lock();
            inner.calls.remove(call.id());
            let own = |p: &Pending| p.call.as_ref().is_some_and(|c| std::ptr::eq(c.as_ptr(), Arc::as_ptr(call)));
            inner.questions.iter().filter(|(_, p)| own(p)).map(|(id, _)| id.clone()).collect()
        };
        for id in orphans {
            self.withdraw(&id);
        }
    }
}

// Streams.
impl Session {
    /// Opens the stream of a request.
    pub(super) fn open_stream(&self) -> Arc<StreamLog> {
        let log = StreamLog::new(self.revision());
        if log.is_resumable() {
            let mut inner = self.lock();
            let ended = inner.streams.iter().filter(|s| s.is_over()).count();
            if ended >= ENDED_STREAMS
                && let Some(oldest) = inner.streams.iter().position(|s| s.is_over() && !s.has_reader())
            {
                inner.streams.remove(oldest);
            }
            inner.streams.push(log.clone());
        }
        log
    }

    /// Follows the standalone stream; whoever followed it before does not any more.
    pub(super) fn listen(&self) -> Option<Reader> {
        let revision = self.revision();
        let mut inner = self.lock();
        if inner.has_ended {
            return None;
        }
        let log = inner.standalone.get_or_insert_with(|| StreamLog::new(revision)).clone();
        let reader = log.attach(Place::Unread, self.pulse.open());
        inner.waiting.flush(&*log);
        self.opening.tell();
        reader
    }

    /// The client is on one connection and ready for what belongs to no call: it is said there.
    pub(super) fn listen_on(&self, line: &Arc<Outbox>) {
        let mut inner = self.lock();
        if inner.has_ended || inner.line.is_some() {
            return;
        }
        inner.line = Some(line.clone());
        inner.waiting.flush(&**line);
        self.opening.tell();
    }

    /// Follows the stream that an event id names, after that event.
    pub(super) fn resume(&self, event_id: &str) -> Resumed {
        let Some((stream, number)) = event_id.rsplit_once('-') else { return Resumed::Unknown };
        let Ok(number) = number.parse::<u64>() else { return Resumed::Unknown };
        let mut inner = self.lock();
        let known = inner.streams.iter().chain(&inner.standalone).find(|s| s.id() == stream).cloned();
        let Some(log) = known else { return Resumed::Unknown };
        if log.was_cut() {
            return Resumed::Cut;
        }
        let Some(reader) = log.attach(Place::After(number), self.pulse.open()) else { return Resumed::Unknown };
        if inner.standalone.as_ref().is_some_and(|s| Arc::ptr_eq(s, &log)) {
            inner.waiting.flush(&*log);
            self.opening.tell();
            return Resumed::Standalone(reader);
        }
        Resumed::Request(reader)
    }

    /// Where the client hears what belongs to no call, while it is there to hear it.
    pub(super) fn listening(&self) -> Option<Arc<dyn Way>> {
        self.lock().listening()
    }
}

impl Inner {
    pub(super) fn listening(&self) -> Option<Arc<dyn Way>> {
        if let Some(line) = &self.line {
            return line.has_reader().then(|| line.clone() as Arc<dyn Way>);
        }
        self.standalone.as_ref().filter(|s| s.has_reader()).map(|s| s.clone() as Arc<dyn Way>)
    }
}

/// What an event id led to.
pub(super) enum Resumed {
    /// The stream of a request.
    Request(Reader),
    /// The standalone stream.
    Standalone(Reader),
    /// A stream that ended without an answer: coming back is of no use.
    Cut,
    /// No stream of this session.
    Unknown,
}
