//! The handle of a session, and the futures of its calls.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    hub::{BoxFuture, Description, Fault, Filter, Life, Listening, Reason, SilentPeer},
    jsonrpc::{Notification, Raw, RawObject, RequestId, encode_notification, encode_request},
    protocol::{ClientCapabilities, Method, Revision, method::notification},
    upstream::{
        Outgoing, Session,
        conversation::{Conversation, Reply, Word},
        honoured,
        pending::{Ended, Inbox, Incoming, Pending, own, task_of},
    },
};

use super::{
    actor::{Actor, Ending, Outside},
    declare,
    handshake::{Agreed, Wire},
};

/// How many messages may wait for their turn to be written. A call waits for a place, a notification is dropped.
const QUEUE: usize = 256;
/// How many calls and listens a session carries at once: each has a slot for its cancellation.
const CALLS: usize = 1024;
/// How many of these may be listens, so that whoever listens leaves room for calls.
const LISTENS: usize = CALLS / 2;
/// How many events may wait for a listener.
const EVENTS: usize = 256;
/// How long a server may take to acknowledge a listen.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);
/// How long a server may take to say again who it is.
const DESCRIBED: Duration = Duration::from_secs(5);
/// The shortest time between two times that it is asked, whatever it says.
const SELDOM: Duration = Duration::from_secs(60);

/// What the session's task is asked to write.
#[derive(Debug)]
pub(super) enum Out {
    Call(u64, Bytes),
    Listen(u64, Bytes),
    /// The answer to a question that was put to this call.
    Reply(u64, Reply),
    /// A sign that a question which was put to this call is worked on.
    Alive(u64, RequestId, Bytes),
    Notify(Bytes),
}

/// A call was dropped.
#[derive(Debug)]
pub(super) struct Abandon {
    pub(super) id: u64,
    pub(super) reason: Option<String>,
}

/// What the session's task shares with the futures of its calls.
pub(super) struct Tables {
    pub(super) upstream: Arc<str>,
    pub(super) modern: bool,
    pub(super) calls: Pending,
    pub(super) listens: Pending,
    lost: OnceLock<Fault>,
    over: CancellationToken,
}

impl Tables {
    /// Ends everything that waits.
    pub(super) fn close(&self, fault: &Fault) {
        let _ = self.lost.set(fault.clone());
        self.calls.close(fault);
        self.listens.close(fault);
        self.over.cancel();
    }

    /// What a call is told that comes too late.
    fn lost(&self) -> Fault {
        self.lost.get().cloned().unwrap_or_else(|| {
            Fault::upstream(Reason::UpstreamExited, &self.upstream, "the session with the server has ended")
        })
    }
}

/// What is needed to use a session. The task ends when the last of it is gone.
struct Line {
    tables: Arc<Tables>,
    data: mpsc::Sender<Out>,
    urgent: mpsc::Sender<Abandon>,
}

/// A session over byte streams.
pub(super) struct LineSession {
    line: Arc<Line>,
    revision: Revision,
    told: Arc<Told>,
}

/// What the server says about itself.
struct Told {
    description: ArcSwap<Description>,
    /// When it was asked last. Held while it is asked.
    asked: tokio::sync::Mutex<Instant>,
}

impl Told {
    fn is_old(&self) -> bool {
        self.description.load().until.is_some_and(|until| until <= Instant::now())
    }
}

impl LineSession {
    /// Starts the task of a session that was agreed on.
    pub(super) fn start(
        wire: Wire,
        agreed: Agreed,
        (outside, declared, lent): (Outside, RawObject, bool),
        write_timeout: Duration,
        ended: impl FnOnce(&Ending) + Send + 'static,
    ) -> Arc<Self> {
        let tables = Arc::new(Tables {
            upstream: wire.upstream.clone(),
            modern: agreed.revision.is_modern(),
            calls: Pending::new(lent),
            listens: Pending::default(),
            lost: OnceLock::new(),
            over: CancellationToken::new(),
        });
        let (data, data_out) = mpsc::channel(QUEUE);
        let (urgent, urgent_out) = mpsc::channel(CALLS);
        let actor = Actor::new(wire, tables.clone(), (data_out, urgent_out), outside, declared, write_timeout);
        tokio::spawn(actor.run(ended));
        let Agreed { revision, description } = agreed;
        let told = Told { description: ArcSwap::new(description), asked: tokio::sync::Mutex::new(Instant::now()) };
        Arc::new(Self { line: Arc::new(Line { tables, data, urgent }), revision, told: Arc::new(told) })
    }
}

impl Session for LineSession {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn description(&self) -> Arc<Description> {
        self.told.description.load_full()
    }

    fn describe(&self) -> BoxFuture<Result<Arc<Description>, Fault>> {
        let (told, line, revision) = (self.told.clone(), self.line.clone(), self.revision);
        Box::pin(async move {
            if told.is_old() {
                ask_again(&told, line, revision).await;
            }
            Ok(told.description.load_full())
        })
    }

    fn mirrors_headers(&self) -> bool {
        false
    }

    fn call(&self, outgoing: Outgoing) -> BoxFuture<Result<Raw, Fault>> {
        Box::pin(call(self.line.clone(), outgoing))
    }

    fn notify(&self, notification: Notification) {
        let frame = encode_notification(&notification.method, notification.params.as_ref());
        if let Err(mpsc::error::TrySendError::Full(_)) = self.line.data.try_send(Out::Notify(frame)) {
            tracing::warn!(upstream = %self.line.tables.upstream, "dropped a notification: the server does not keep up");
        }
    }

    fn listen(&self, params: RawObject) -> BoxFuture<Result<Listening, Fault>> {
        if !self.line.tables.modern {
            return Box::pin(std::future::ready(Err(Fault::method_not_found(Method::Listen.as_str()))));
        }
        Box::pin(listen(self.line.clone(), params))
    }

    fn is_open(&self) -> bool {
        !self.line.data.is_closed()
    }

    fn over(&self) -> BoxFuture<()> {
        Box::pin(self.line.tables.over.clone().cancelled_owned())
    }
}

/// Asks a modern server again who it is, unless that was done of late. What it said last stays where it does not answer.
async fn ask_again(told: &Told, line: Arc<Line>, revision: Revision) {
    let mut asked = told.asked.lock().await;
    if !told.is_old() || asked.elapsed() < SELDOM {
        return;
    }
    *asked = Instant::now();
    let outgoing = Outgoing {
        method: Method::Discover,
        params: declare::discover(revision),
        headers: Vec::new(),
        peer: Arc::new(SilentPeer),
        capabilities: ClientCapabilities::default(),
        life: Life::default(),
    };
    if let Ok(Ok(result)) = tokio::time::timeout(DESCRIBED, call(line, outgoing)).await
        && let Some(result) = result.to_object().filter(|result| result.get_object("capabilities").is_some())
    {
        told.description.store(Arc::new(Description::of_discovery(&result)));
    }
}

/// A request that was entered. Dropped before its answer came, it posts the abandon.
struct Ticket {
    line: Arc<Line>,
    id: u64,
    listens: bool,
    slot: Option<mpsc::OwnedPermit<Abandon>>,
    life: Option<Life>,
}

impl Ticket {
    fn table(&self) -> &Pending {
        if self.listens { &self.line.tables.listens } else { &self.line.tables.calls }
    }

    /// Reserves the slot, enters the request and has it written.
    async fn enter(
        line: Arc<Line>,
        (method, hears): (&Method, bool),
        mut params: RawObject,
        capabilities: ClientCapabilities,
        life: Option<Life>,
    ) -> Result<(Self, Inbox), Fault> {
        let tables = &line.tables;
        let slot = line.urgent.clone().try_reserve_owned().map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Fault::upstream(
                Reason::Busy,
                &tables.upstream,
                format!("{CALLS} calls run in this session already, try again later"),
            ),
            mpsc::error::TrySendError::Closed(_) => tables.lost(),
        })?;
        let listens = *method == Method::Listen;
        let table = if listens { &tables.listens } else { &tables.calls };
        if listens && table.count() >= LISTENS {
            let message = format!("{LISTENS} subscriptions are open in this session already, close some first");
            return Err(Fault::upstream(Reason::Busy, &tables.upstream, message));
        }
        let may_ask = !tables.modern && method.carries_questions();
        let task = task_of(method, &params);
        let (id, inbox) = table.enter((may_ask, hears), capabilities, task).ok_or_else(|| tables.lost())?;
        let ticket = Self { line: line.clone(), id, listens, slot: Some(slot), life };
        own(&mut params, id, &tables.upstream, method);
        let params = Some(&params).filter(|p| !p.is_empty());
        let frame = encode_request(&RequestId::number(id), method.as_str(), params);
        let out = if listens { Out::Listen(id, frame) } else { Out::Call(id, frame) };
        line.data.send(out).await.map_err(|_| line.tables.lost())?;
        Ok((ticket, inbox))
    }

    /// What the end of the inbox means.
    fn outcome(&self, ended: Option<Ended>) -> Ended {
        ended.unwrap_or_else(|| Err(self.line.tables.lost()))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.table().leave(self.id)
            && let Some(slot) = self.slot.take()
        {
            slot.send(Abandon { id: self.id, reason: self.life.as_ref().and_then(Life::abandoned) });
        }
    }
}

async fn call(line: Arc<Line>, outgoing: Outgoing) -> Result<Raw, Fault> {
    let Outgoing { method, params, headers: _, peer, capabilities, life } = outgoing;
    let may_ask = !line.tables.modern && method.carries_questions();
    let (ticket, inbox) =
        Ticket::enter(line.clone(), (&method, peer.hears_logs()), params, capabilities.clone(), Some(life.clone()))
            .await?;
    let mut conversation = Conversation::new(peer, life, capabilities, may_ask);
    loop {
        tokio::select! {
            biased;
            message = inbox.message() => match message {
                Incoming::Notification(notification) => conversation.notified(notification),
                Incoming::Question(request) => {
                    if let Some(reply) = conversation.asked(request) {
                        let _ = line.data.send(Out::Reply(ticket.id, reply)).await;
                    }
                }
                Incoming::Withdrawn(id) => conversation.withdraw(id),
            },
            ended = inbox.ended() => {
                return match ticket.outcome(ended)? {
                    Ok(result) => Ok(result),
                    Err(error) => Err(conversation.failed(error)),
                };
            }
            word = conversation.next() => {
                let out = match word {
                    Word::Reply(reply) => Out::Reply(ticket.id, reply),
                    Word::Alive { question, said } => {
                        Out::Alive(ticket.id, question, encode_notification(&said.method, said.params.as_ref()))
                    }
                };
                let _ = line.data.send(out).await;
            }
        }
    }
}

async fn listen(line: Arc<Line>, params: RawObject) -> Result<Listening, Fault> {
    let (ticket, inbox) =
        Ticket::enter(line.clone(), (&Method::Listen, false), params, ClientCapabilities::default(), None).await?;
    let (events, events_out) = mpsc::channel(EVENTS);
    let honoured = match tokio::time::timeout(ACKNOWLEDGED, acknowledged(&ticket, &inbox)).await {
        Ok(honoured) => honoured?,
        Err(_) => {
            let message = "the server did not acknowledge `subscriptions/listen` in time";
            return Err(Fault::upstream(Reason::Timeout, &line.tables.upstream, message).before_anything_ran());
        }
    };
    tokio::spawn(async move {
        // Held until the end: dropping it cancels the listen.
        let _ticket = ticket;
        loop {
            tokio::select! {
                biased;
                message = inbox.message() => {
                    if let Incoming::Notification(event) = message
                        && events.send(event).await.is_err()
                    {
                        return;
                    }
                }
                _ = inbox.ended() => return,
                () = events.closed() => return,
            }
        }
    });
    Ok(Listening { honoured, events: events_out })
}

/// Waits for the acknowledgement, the first message of a listen. A listen that ended at once honours nothing.
async fn acknowledged(ticket: &Ticket, inbox: &Inbox) -> Result<Filter, Fault> {
    loop {
        tokio::select! {
            biased;
            message = inbox.message() => match message {
                Incoming::Notification(first) if first.method == notification::ACKNOWLEDGED => {
                    return Ok(honoured(&first));
                }
                _ => {}
            },
            ended = inbox.ended() => {
                return ticket.outcome(ended)?.map(|_| Filter::default()).map_err(Fault::Answered);
            }
        }
    }
}
