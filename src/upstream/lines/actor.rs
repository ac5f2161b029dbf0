//! The one task of a session: it reads, it writes, and it knows which questions are open.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::AsyncWriteExt,
    sync::mpsc,
    time::{Instant, Sleep},
};

use crate::{
    hub::{Counts, Fault, Peer, Reason, Refusal},
    jsonrpc::{Message, Raw, RawObject, Request, RequestId, encode_error, encode_notification, encode_result},
    protocol::{ClientCapabilities, method::notification},
    upstream::conversation::{Conversation, Reply, Word, reply_to},
};

use super::{
    Writer,
    handshake::Wire,
    inbound::{Event, Inbound},
    outbound::Outbound,
    session::{Abandon, Out, Tables},
};

mod routing;

/// How many abandoned requests are remembered: as many as may run.
const LATE: usize = 1024;
/// How long the last cancellations may take to be written when a session is closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a session ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// Nobody needs it any more.
    Closed,
    /// The server is gone or of no use; what the calls were told.
    Lost(Fault),
}

/// What hears the server outside every call.
pub(super) struct Outside {
    pub(super) peer: Arc<dyn Peer>,
    pub(super) counts: Arc<Counts>,
}

/// A question of the server that has no answer yet.
struct Asked {
    call: u64,
    request: Request,
}

pub(super) struct Actor {
    upstream: Arc<str>,
    modern: bool,
    tables: Arc<Tables>,
    data: mpsc::Receiver<Out>,
    urgent: mpsc::Receiver<Abandon>,
    inbound: Inbound,
    writer: Writer,
    hold: Box<dyn Send>,
    early: Vec<Message>,
    outbound: Outbound,
    /// Calls and listens that were written and have no answer yet.
    running: HashSet<u64>,
    asked: HashMap<RequestId, Asked>,
    /// Questions and notifications that belong to no call.
    outside: Conversation,
    outside_peer: Arc<dyn Peer>,
    counts: Arc<Counts>,
    /// Calls and listens that were abandoned, the latest of them: the server may have answered before it heard so.
    late: VecDeque<u64>,
    /// What the session declared that its clients can do.
    declared: ClientCapabilities,
    write_timeout: Duration,
    violations: u64,
}

impl Actor {
    pub(super) fn new(
        wire: Wire,
        tables: Arc<Tables>,
        (data, urgent): (mpsc::Receiver<Out>, mpsc::Receiver<Abandon>),
        Outside { peer: outside, counts }: Outside,
        declared: RawObject,
        write_timeout: Duration,
    ) -> Self {
        let declared = ClientCapabilities::new(declared);
        Self {
            upstream: wire.upstream,
            modern: tables.modern,
            tables,
            data,
            urgent,
            inbound: wire.inbound,
            writer: wire.writer,
            hold: wire.hold,
            early: wire.early,
            outbound: Outbound::default(),
            running: HashSet::new(),
            asked: HashMap::new(),
            outside: Conversation::new(outside.clone(), counts.life(), declared.clone(), true),
            outside_peer: outside,
            counts,
            late: VecDeque::new(),
            declared,
            write_timeout,
            violations: 0,
        }
    }

    /// Runs the session to its end; `ended` hears how it ended before the server is let go.
    pub(super) async fn run(mut self, ended: impl FnOnce(&Ending)) {
        let ending = self.talk().await;
        self.data.close();
        match &ending {
            Ending::Closed => self.say_farewell().await,
            Ending::Lost(fault) => self.tables.close(fault),
        }
        ended(&ending);
        if self.violations > 0 {
            tracing::debug!(upstream = %self.upstream, violations = self.violations, "the server broke the protocol");
        }
        let _ = tokio::time::timeout(FAREWELL, self.writer.shutdown()).await;
        drop(self.writer);
        drop(self.hold);
        // A server that still writes must be able to, or it never gets to its end.
        self.inbound.drain().await;
    }

    async fn talk(&mut self) -> Ending {
        for message in std::mem::take(&mut self.early) {
            self.received(message);
        }
        let mut stalled = Box::pin(tokio::time::sleep(self.write_timeout));
        loop {
            self.drain_urgent();
            self.fill(stalled.as_mut());
            let writing = !self.outbound.is_empty();
            tokio::select! {
                Some(abandon) = self.urgent.recv() => self.abandoned(abandon),
                event = self.inbound.next() => match event {
                    Event::Message(message) => self.received(message),
                    Event::Broken(id, reason, message) => self.broken(id, reason, message),
                    Event::End(fault) => return Ending::Lost(fault),
                },
                written = self.writer.write(self.outbound.bytes()), if writing => match written {
                    Ok(n) if n > 0 => {
                        self.outbound.written(n);
                        stalled.as_mut().reset(Instant::now() + self.write_timeout);
                    }
                    _ => return Ending::Lost(self.closed_input().await),
                },
                () = &mut stalled, if writing => {
                    return Ending::Lost(self.fault(Reason::UpstreamExited, "the server does not read its input any more"));
                }
                next = self.data.recv(), if !writing => match next {
                    Some(out) => {
                        // An abandon that was posted before it goes out before it.
                        self.drain_urgent();
                        self.outbound.begin();
                        self.take(out);
                        stalled.as_mut().reset(Instant::now() + self.write_timeout);
                    }
                    None => return Ending::Closed,
                },
                word = self.outside.next() => match word {
                    Word::Reply(reply) => self.answer(&reply),
                    Word::Alive { said, .. } => {
                        self.outbound.answer(encode_notification(&said.method, said.params.as_ref()));
                    }
                },
            }
        }
    }

    /// Makes the next batch once the last one is written.
    fn fill(&mut self, stalled: Pin<&mut Sleep>) {
        if !self.outbound.bytes().is_empty() {
            return;
        }
        self.outbound.begin();
        while self.outbound.has_room() {
            let Ok(out) = self.data.try_recv() else { break };
            // An abandon that was posted before it goes out before it.
            self.drain_urgent();
            self.outbound.begin();
            self.take(out);
        }
        if !self.outbound.is_empty() {
            stalled.reset(Instant::now() + self.write_timeout);
        }
    }

    fn drain_urgent(&mut self) {
        while let Ok(abandon) = self.urgent.try_recv() {
            self.abandoned(abandon);
        }
    }

    /// Puts something into the batch, unless it was abandoned before it was ever written.
    fn take(&mut self, out: Out) {
        match out {
            Out::Call(id, frame) if self.tables.calls.waits(id) => self.request(id, &frame),
            Out::Listen(id, frame) if self.tables.listens.waits(id) => self.request(id, &frame),
            Out::Call(..) | Out::Listen(..) => {}
            Out::Reply(call, reply) => {
                if self.asked.get(&reply.id).is_some_and(|asked| asked.call == call) {
                    self.asked.remove(&reply.id);
                    self.outbound.push(&encode_reply(&reply));
                }
            }
            Out::Alive(call, question, frame) => {
                if self.asked.get(&question).is_some_and(|asked| asked.call == call) {
                    self.outbound.push(&frame);
                }
            }
            Out::Notify(frame) => self.outbound.push(&frame),
        }
    }

    fn request(&mut self, id: u64, frame: &[u8]) {
        self.running.insert(id);
        self.outbound.push(frame);
    }

    /// A call was dropped: the server is told, and whatever it asked in it is answered.
    fn abandoned(&mut self, Abandon { id, reason }: Abandon) {
        if !self.running.remove(&id) {
            return;
        }
        self.cancel(id, reason.as_deref());
        for question in self.questions_of(id) {
            self.refuse(&question.request);
        }
    }

    fn cancel(&mut self, id: u64, reason: Option<&str>) {
        if self.late.len() == LATE {
            self.late.pop_front();
        }
        self.late.push_back(id);
        let mut params = RawObject::from([("requestId", Raw::of(&id))]);
        if let Some(reason) = reason {
            params.set("reason", Raw::from(reason));
        }
        self.outbound.cancel(encode_notification(notification::CANCELLED, Some(&params)));
    }

    /// Takes the open questions of a call.
    fn questions_of(&mut self, call: u64) -> Vec<Asked> {
        let ids: Vec<_> = self.asked.iter().filter(|(_, a)| a.call == call).map(|(id, _)| id.clone()).collect();
        ids.iter().filter_map(|id| self.asked.remove(id)).collect()
    }

    /// Answers a question as one that nobody will answer.
    fn refuse(&mut self, request: &Request) {
        let outcome = reply_to(&request.method, Err(Refusal::Lapsed));
        self.answer(&Reply { id: request.id.clone(), outcome });
    }

    fn answer(&mut self, reply: &Reply) {
        self.outbound.answer(encode_reply(reply));
    }

    fn fault(&self, reason: Reason, message: &str) -> Fault {
        Fault::upstream(reason, &self.upstream, message)
    }

    /// The server closed its input, most likely because it ended: waits a moment for the reason, taking in what it said last.
    async fn closed_input(&mut self) -> Fault {
        let until = Instant::now() + FAREWELL;
        loop {
            match tokio::time::timeout_at(until, self.inbound.next()).await {
                Ok(Event::End(fault)) => return fault,
                Ok(Event::Message(message)) => self.received(message),
                Ok(Event::Broken(id, reason, message)) => self.broken(id, reason, message),
                Err(_) => return self.fault(Reason::UpstreamExited, "the server closed its input"),
            }
        }
    }

    /// Writes the cancellations that are left.
    async fn say_farewell(&mut self) {
        self.drain_urgent();
        let last = async {
            loop {
                self.outbound.begin();
                if self.outbound.is_empty() {
                    return;
                }
                match self.writer.write(self.outbound.bytes()).await {
                    Ok(n) if n > 0 => self.outbound.written(n),
                    _ => return,
                }
            }
        };
        let _ = tokio::time::timeout(FAREWELL, last).await;
    }
}

fn encode_reply(reply: &Reply) -> Bytes {
    match &reply.outcome {
        Ok(result) => encode_result(&reply.id, result).into_bytes(),
        Err(error) => encode_error(Some(&reply.id), error),
    }
}
