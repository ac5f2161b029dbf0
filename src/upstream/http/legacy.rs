//! A legacy server: a handshake, a session, and a stream in each direction (2025-11-25, basic/transports#streamable-http).
//!
//! The session outlives what the server remembers of it: an *epoch* is one session id at the server. When the server
//! forgets it, the next epoch begins with a new handshake, and what the clients had set up is set up again.
//!
//! Invariant: what a session has to say beside its calls is written by one task, in order; a call waits until that task
//! has written what was said before the call.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    hub::{BoxFuture, Counts, Description, Fault, Listening, Peer, Reason},
    jsonrpc::{Message, Notification, Raw, RawObject, RequestId, encode_request},
    protocol::{ClientCapabilities, Method, Revision, headers::PROTOCOL_VERSION, method::notification},
    upstream::{Opening, Outgoing, Session, pending::Pending},
};

use super::{
    answer::Reply,
    client::Purpose,
    flight::Flight,
    modern::answers,
    probe::{Detector, Verdict},
    server::Server,
};

mod call;
mod handshake;
mod standing;
mod writer;

use call::{Failed, Running};
pub(super) use handshake::NoSession;
use handshake::{Identity, shake};
use standing::Standing;
use writer::Command;

/// Calls at once in one session, and notifications that wait.
const COMMANDS: usize = 2048;
/// How long a call waits for what was said before it.
const ORDER: Duration = Duration::from_secs(2);
/// Replies under way at once.
const REPLIES: usize = 64;
/// Subscriptions that are set up again after the server forgot the session: as many as a session may have.
const KEPT: usize = 10_000;
/// How long setting up one of them may take.
const RESTORE: Duration = Duration::from_secs(5);

/// A session at a legacy server.
pub(super) struct LegacySession(Arc<Handle>);

/// Held by the session and by each of its running calls; the last to let go closes the session. That it closes is known
/// before the writer ends.
struct Handle {
    core: Arc<Core>,
    _closing: DropGuard,
    commands: mpsc::Sender<Command>,
}

struct Core {
    server: Arc<Server>,
    detector: Arc<Detector>,
    identity: Identity,
    /// What can be asked outside any call.
    capabilities: ClientCapabilities,
    outside: Arc<dyn Peer>,
    /// Whether several principals use the session, one at a time.
    lent: bool,
    counts: Arc<Counts>,
    epoch: ArcSwap<Epoch>,
    renewing: Flight<Result<(), Fault>>,
    /// Cancelled when the session cannot be used any more.
    over: CancellationToken,
    kept: Mutex<Kept>,
    /// How much was handed to the writer.
    posted: AtomicU64,
    /// How much of it was written.
    written: watch::Sender<u64>,
    replies: Arc<Semaphore>,
    closing: CancellationToken,
}

/// One session id at the server.
struct Epoch {
    number: u64,
    /// `None` for a server that keeps no sessions.
    session: Option<HeaderValue>,
    revision: Revision,
    headers: HeaderMap,
    description: Arc<Description>,
    pending: Pending,
    standing: Standing,
    /// Whether the server does not know it any more.
    forgotten: AtomicBool,
    /// Ends what runs for it.
    over: CancellationToken,
}

/// What clients set up in the session.
#[derive(Default)]
struct Kept {
    level: Option<RawObject>,
    subscriptions: Vec<(Raw, RawObject)>,
}

impl LegacySession {
    /// Opens a session.
    pub(super) async fn open(
        server: Arc<Server>,
        detector: Arc<Detector>,
        opening: Opening,
    ) -> Result<Self, NoSession> {
        let Opening { caller, outside, counts, alone: _, lent } = opening;
        let identity = Identity::of(&caller);
        let capabilities = caller.capabilities.clone();
        // The caller holds its scope, and the end of the scope closes this session.
        drop(caller);
        let closing = CancellationToken::new();
        let epoch = Epoch::begin(&server, &identity, (&outside, &counts), &closing, (0, lent)).await?;
        let (commands, queue) = mpsc::channel(COMMANDS);
        let core = Arc::new(Core {
            server,
            detector,
            identity,
            capabilities,
            outside,
            lent,
            counts,
            epoch: ArcSwap::new(epoch.clone()),
            renewing: Flight::default(),
            over: CancellationToken::new(),
            kept: Mutex::default(),
            posted: AtomicU64::new(0),
            written: watch::channel(0).0,
            replies: Arc::new(Semaphore::new(REPLIES)),
            closing: closing.clone(),
        });
        core.server.settings.sessions.spawn(writer::write(core.clone(), queue));
        core.listen(&epoch);
        Ok(Self(Arc::new(Handle { core, _closing: closing.drop_guard(), commands })))
    }
}

impl Session for LegacySession {
    fn revision(&self) -> Revision {
        self.0.core.epoch.load().revision
    }

    fn description(&self) -> Arc<Description> {
        self.0.core.epoch.load().description.clone()
    }

    fn mirrors_headers(&self) -> bool {
        false
    }

    fn call(&self, outgoing: Outgoing) -> BoxFuture<Result<Raw, Fault>> {
        Box::pin(self.0.clone().call(outgoing))
    }

    fn notify(&self, notification: Notification) {
        // The handshake is ours, and so are the ids of requests.
        if matches!(&*notification.method, notification::INITIALIZED | notification::CANCELLED) {
            return;
        }
        let Ok(place) = self.0.commands.try_reserve() else {
            tracing::warn!(upstream = %self.0.core.server.name, "dropped a notification: too many wait");
            return;
        };
        self.0.core.posted();
        place.send(Command::Said(notification));
    }

    fn listen(&self, _: RawObject) -> BoxFuture<Result<Listening, Fault>> {
        Box::pin(std::future::ready(Err(Fault::method_not_found(Method::Listen.as_str()))))
    }

    fn is_open(&self) -> bool {
        !self.0.core.over.is_cancelled()
    }

    fn over(&self) -> BoxFuture<()> {
        Box::pin(self.0.core.over.clone().cancelled_owned())
    }
}

impl Handle {
    async fn call(self: Arc<Self>, mut outgoing: Outgoing) -> Result<Raw, Fault> {
        let core = &self.core;
        let (mut renewed, mut again) = (false, outgoing.method.is_safe());
        core.give_up(&outgoing);
        let result = loop {
            core.settled().await;
            let epoch = core.epoch.load_full();
            if outgoing.method.carries_questions() && epoch.session.is_some() {
                epoch.standing.ready().await;
            }
            let number = epoch.number;
            let (mut running, body) = Running::enter(&self, epoch, &mut outgoing)?;
            let ended = running.run(body).await;
            drop(running);
            match ended {
                Ok(result) | Err(Failed::Answered(result)) => break result,
                Err(Failed::Lost(_)) if again => again = false,
                Err(Failed::Expired(_)) if !renewed => {
                    renewed = true;
                    core.renew(number).await?;
                }
                Err(Failed::Final(fault) | Failed::Lost(fault) | Failed::Expired(fault)) => return Err(fault),
                Err(Failed::Doubtful(fault)) => return Err(core.doubt(fault).await),
            }
        };
        core.keep(&outgoing);
        Ok(result)
    }
}

impl Core {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the writer has something to write.
    fn posted(&self) {
        self.posted.fetch_add(1, Ordering::AcqRel);
    }

    /// Waits until everything is written that was said so far.
    async fn settled(&self) {
        let posted = self.posted.load(Ordering::Acquire);
        if *self.written.borrow() >= posted {
            return;
        }
        let mut written = self.written.subscribe();
        let _ = tokio::time::timeout(ORDER, written.wait_for(|written| *written >= posted)).await;
    }

    /// Opens the stream for what belongs to no call.
    fn listen(self: &Arc<Self>, epoch: &Arc<Epoch>) {
        if epoch.session.is_some() {
            tokio::spawn(standing::stand(self.clone(), epoch.clone()));
        }
    }

    /// Begins the next epoch, once, for all who found epoch `number` dead.
    async fn renew(self: &Arc<Self>, number: u64) -> Result<(), Fault> {
        if self.epoch.load().number != number {
            return Ok(());
        }
        let core = self.clone();
        let renewed = self.renewing.join(|| Box::pin(async move { core.renew_now(number).await })).await;
        renewed.unwrap_or_else(|| Err(self.server.fault(Reason::Internal, "the handshake was cut off")))
    }

    async fn renew_now(self: Arc<Self>, number: u64) -> Result<(), Fault> {
        let before = self.epoch.load_full();
        if before.number != number {
            return Ok(());
        }
        let (outside, next) = ((&self.outside, &*self.counts), (number + 1, self.lent));
        let epoch = match Epoch::begin(&self.server, &self.identity, outside, &self.closing, next).await {
            Ok(epoch) => epoch,
            Err(NoSession::Unreachable(fault)) => return Err(fault),
            Err(NoSession::Refused(fault)) => {
                self.close(&before);
                self.detector.refute();
                return Err(fault);
            }
            Err(NoSession::Modern) => {
                self.close(&before);
                let _ = self.detector.probe().await;
                return Err(self.changed());
            }
        };
        if epoch.revision != before.revision || epoch.session.is_some() != before.session.is_some() {
            // Messages were translated for the other revision, or others share this than may share that: whoever holds the
            // session has to open a new one.
            self.close(&before);
            if let Some(session) = epoch.session.clone() {
                self.server.delete(session, None).await;
            }
            return Err(self.changed());
        }
        self.restore(&epoch).await;
        self.epoch.store(epoch.clone());
        before.end(&self.lost());
        if self.closing.is_cancelled() {
            // The session was closed meanwhile, and the writer may have said goodbye to the epoch before this one.
            if let Some(session) = epoch.session.clone() {
                self.server.delete(session, epoch.headers.get(PROTOCOL_VERSION).cloned()).await;
            }
            return Err(self.lost());
        }
        self.listen(&epoch);
        Ok(())
    }

    /// The session cannot be used any more.
    fn close(&self, epoch: &Epoch) {
        self.over.cancel();
        epoch.end(&self.lost());
    }

    fn changed(&self) -> Fault {
        self.server.fault(Reason::UpstreamVersion, "it has changed to another protocol revision; try again")
    }

    /// The server refused as a modern one would, without running anything: if it is one, a new session has to be opened.
    async fn doubt(&self, fault: Fault) -> Fault {
        match self.detector.doubt().await {
            Ok(Verdict::Modern(_)) => {
                self.close(&self.epoch.load());
                self.changed()
            }
            _ => fault,
        }
    }

    /// Remembers what a call has set up.
    fn keep(&self, done: &Outgoing) {
        let mut kept = match done.method {
            Method::SetLevel | Method::ResourcesSubscribe => self.kept(),
            _ => return,
        };
        match (&done.method, done.params.get("uri")) {
            (Method::SetLevel, _) => kept.level = Some(done.params.clone()),
            (Method::ResourcesSubscribe, Some(uri)) if kept.subscriptions.len() < KEPT => {
                kept.subscriptions.retain(|(known, _)| known != uri);
                kept.subscriptions.push((uri.clone(), done.params.clone()));
            }
            _ => {}
        }
    }

    /// Forgets what a call gives up, whatever becomes of the call: what nobody wants any more is not set up again.
    fn give_up(&self, asked: &Outgoing) {
        if let (Method::ResourcesUnsubscribe, Some(uri)) = (&asked.method, asked.params.get("uri")) {
            self.kept().subscriptions.retain(|(known, _)| known != uri);
        }
    }

    fn lost(&self) -> Fault {
        let message = "it forgot the session while the call ran; the call may have run";
        self.server.fault(Reason::SessionLost, message)
    }

    /// Sets up in a new epoch what the server has forgotten with the old one.
    async fn restore(self: &Arc<Self>, epoch: &Arc<Epoch>) {
        let (level, subscriptions) = {
            let kept = self.kept();
            (kept.level.clone(), kept.subscriptions.clone())
        };
        let level = level.into_iter().map(|params| (Method::SetLevel, params));
        let subscriptions = subscriptions.into_iter().map(|(_, params)| (Method::ResourcesSubscribe, params));
        futures_util::stream::iter((1..).zip(level.chain(subscriptions)))
            .for_each_concurrent(16, |(id, (method, params))| async move {
                let again = self.again(epoch, id, &method, &params);
                if !matches!(tokio::time::timeout(RESTORE, again).await, Ok(true)) {
                    tracing::warn!(upstream = %self.server.name, "something could not be set up again in a new session");
                }
            })
            .await;
    }

    /// Whether the server took a request again that it had taken in an earlier epoch.
    async fn again(&self, epoch: &Epoch, id: u64, method: &Method, params: &RawObject) -> bool {
        let body = encode_request(&RequestId::number(id), method.as_str(), Some(params));
        let request = self.server.post(epoch.headers.clone(), body);
        let Ok(answer) = self.server.send(Purpose::Control, request).await else { return false };
        let Reply::Messages(mut messages) = Reply::read(answer, self.server.settings.max_message).await else {
            return false;
        };
        while let Ok(Some(message)) = messages.next().await {
            if let Message::Response(response) = message
                && answers(&response, id)
            {
                messages.finish();
                return response.outcome.is_ok();
            }
        }
        false
    }
}

impl Epoch {
    async fn begin(
        server: &Server,
        identity: &Identity,
        outside: (&Arc<dyn Peer>, &Counts),
        closing: &CancellationToken,
        (number, lent): (u64, bool),
    ) -> Result<Arc<Self>, NoSession> {
        let (greeting, headers) = shake(server, identity, outside).await?;
        Ok(Arc::new(Self {
            number,
            session: greeting.session,
            revision: greeting.revision,
            headers,
            description: Arc::new(greeting.description),
            pending: Pending::new(lent),
            standing: Standing::new(),
            forgotten: AtomicBool::new(false),
            over: closing.child_token(),
        }))
    }

    /// The server has forgotten the session, and with it every call that runs in it.
    fn end(&self, fault: &Fault) {
        self.forgotten.store(true, Ordering::Release);
        self.over.cancel();
        self.pending.close(fault);
    }
}
