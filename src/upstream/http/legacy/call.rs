//! One call at a legacy server: its request, its stream, and everything that may come between.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tokio::sync::mpsc::OwnedPermit;

use crate::{
    hub::{Fault, Life, Oddity, Reason, Refusal, TIMED_OUT},
    jsonrpc::{Message, Notification, Raw, Request, RequestId, code, encode_request},
    protocol::{Loss, method::notification, tasks},
    upstream::{
        Outgoing,
        conversation::{Conversation, Reply as Answered, reply_to},
        pending::{Ended, Inbox, Incoming, call_of_progress, own, task_of},
    },
};

use super::{
    super::{
        answer::{Messages, Refused, Reply, Stopped, unreadable},
        client::{Answer, Purpose, SendError},
        modern::answers,
        server::LAST_EVENT_ID,
    },
    Epoch, Handle,
    standing::{LONGEST, withdrawn},
    writer::{self, Command},
};

/// How often a stream is resumed without anything new on it.
const RESUMES: u32 = 5;
/// How long a request whose session was lost may still turn out to have been refused.
const GRACE: Duration = Duration::from_secs(1);

/// Why a request has no result.
pub(super) enum Failed {
    /// That is how it ends.
    Final(Fault),
    /// The answer was lost; what may be repeated may be sent again.
    Lost(Fault),
    /// The server does not know the session any more and has run nothing.
    Expired(Fault),
    /// Refused in a way in which only a modern server refuses.
    Doubtful(Fault),
    /// It has not failed: the result came on another stream.
    Answered(Raw),
}

/// A call that runs. Dropped before its end it is abandoned: the place in the writer's queue was taken beforehand, so
/// that the drop itself cannot fail.
pub(super) struct Running {
    handle: Arc<Handle>,
    epoch: Arc<Epoch>,
    id: u64,
    /// Those of the session, and what goes on of the client's.
    headers: HeaderMap,
    inbox: Inbox,
    conversation: Conversation,
    life: Life,
    may_ask: bool,
    /// Whether it is a list, which may be asked for again.
    lists: bool,
    abandon: Option<OwnedPermit<Command>>,
    sent: bool,
}

enum Attended<T> {
    Done(T),
    /// The call ended otherwise: its response came on another stream, or the session is gone.
    Ended(Ended),
}

impl Running {
    /// Enters a call and writes its request.
    pub(super) fn enter(
        handle: &Arc<Handle>,
        epoch: Arc<Epoch>,
        outgoing: &mut Outgoing,
    ) -> Result<(Self, Bytes), Fault> {
        let server = &handle.core.server;
        let may_ask = outgoing.method.carries_questions() && epoch.session.is_some();
        let task = task_of(&outgoing.method, &outgoing.params);
        let entered = epoch.pending.enter((may_ask, outgoing.peer.hears_logs()), outgoing.capabilities.clone(), task);
        let (id, inbox) = entered.ok_or_else(|| handle.core.lost())?;
        let abandon = handle.commands.clone().try_reserve_owned().ok();
        let conversation =
            Conversation::new(outgoing.peer.clone(), outgoing.life.clone(), outgoing.capabilities.clone(), may_ask);
        let life = outgoing.life.clone();
        let busy = abandon.is_none();
        let mut headers = epoch.headers.clone();
        server.add(&mut headers, &outgoing.headers);
        if let Some(trace) = own(&mut outgoing.params, id, &server.name, &outgoing.method) {
            server.add(&mut headers, &trace.headers());
        }
        let handle = handle.clone();
        let lists = outgoing.method.list_member().is_some();
        let running =
            Self { handle, epoch, id, headers, inbox, conversation, life, may_ask, lists, abandon, sent: false };
        if busy {
            return Err(server.fault(Reason::Busy, "too many calls are under way in one session, try again later"));
        }
        let body = encode_request(&RequestId::number(id), outgoing.method.as_str(), Some(&outgoing.params));
        Ok((running, body))
    }

    /// Sends the request and sees the call through.
    pub(super) async fn run(&mut self, body: Bytes) -> Result<Raw, Failed> {
        let handle = self.handle.clone();
        let server = &handle.core.server;
        let request = server.post(self.headers.clone(), body);
        self.sent = true;
        let mut sending = std::pin::pin!(server.send(Purpose::Call, request));
        let sent = match self.attend(sending.as_mut()).await {
            Attended::Done(sent) => sent,
            Attended::Ended(Ok(outcome)) => return self.end(outcome),
            // The session was found dead by another call: most likely this one is being refused as well.
            Attended::Ended(Err(fault)) => match tokio::time::timeout(GRACE, sending).await {
                Ok(Ok(answer)) if !answer.head.status.is_success() => Ok(answer),
                _ => return Err(Failed::Final(fault)),
            },
        };
        let mut messages = self.answer(sent).await?;
        let mut resumes = 0;
        let mut place = None;
        loop {
            let next = self.attend(std::pin::pin!(messages.next())).await;
            let lost = match next {
                Attended::Done(Ok(Some(Message::Response(response)))) if !answers(&response, self.id) => {
                    tracing::debug!(upstream = %server.name, "dropped a response to nothing");
                    messages.note_stray();
                    self.life.odd(Oddity::StrayMessage);
                    continue;
                }
                Attended::Done(Ok(Some(message))) => match self.hear(message).await {
                    Some(outcome) => {
                        messages.finish();
                        return self.end(outcome);
                    }
                    None => continue,
                },
                Attended::Ended(Ok(outcome)) => return self.end(outcome),
                Attended::Ended(Err(fault)) => return Err(Failed::Final(fault)),
                Attended::Done(Err(stopped @ Stopped::TooLarge)) => {
                    return Err(Failed::Final(stopped.into_fault(server)));
                }
                Attended::Done(Err(Stopped::Broken)) => server.lost(),
                Attended::Done(Ok(None)) => messages.without_answer(server),
            };
            if let Some(id) = messages.last_id() {
                place = Some(id);
                resumes = 0;
            }
            let Some(from) = &place else {
                let is_lost = lost.reason() == Some(Reason::StreamLost);
                return Err(if is_lost { Failed::Lost(lost) } else { Failed::Final(lost) });
            };
            // On the heap, as it is rare and its state is large.
            messages = Box::pin(self.resume(from, messages.retry(), &mut resumes)).await?;
        }
    }

    /// Does `work`, and meanwhile passes on what the client and the server have to say to each other.
    async fn attend<T>(&mut self, mut work: Pin<&mut impl Future<Output = T>>) -> Attended<T> {
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Attended::Done(done),
                incoming = self.inbox.message() => match incoming {
                    Incoming::Notification(said) => self.conversation.notified(said),
                    Incoming::Question(question) => {
                        if let Some(reply) = self.conversation.attributed(question) {
                            self.reply(reply).await;
                        }
                    }
                    Incoming::Withdrawn(id) => self.conversation.withdraw(id),
                },
                word = self.conversation.next() => writer::word(&self.handle.core, &self.epoch, word).await,
                ended = self.inbox.ended() => {
                    return Attended::Ended(ended.unwrap_or_else(|| Err(self.handle.core.lost())));
                }
            }
        }
    }

    async fn reply(&mut self, reply: Answered) {
        writer::reply(&self.handle.core, &self.epoch, reply).await;
    }

    /// Reads the head of the answer.
    async fn answer(&mut self, sent: Result<Answer, SendError>) -> Result<Messages, Failed> {
        let answer = match sent {
            Ok(answer) => answer,
            Err(SendError::Lost) => return Err(Failed::Lost(self.handle.core.server.lost())),
            Err(error) => {
                self.abandon = None;
                return Err(Failed::Final(self.handle.core.server.unsent(error)));
            }
        };
        let is_success = answer.head.status.is_success();
        let reading = Reply::read(answer, self.handle.core.server.settings.max_message);
        let read = match is_success {
            // What the server asks meanwhile may be what the rest of its answer waits for.
            true => self.attended(reading).await?,
            // That soon ends, and says why a session is gone which others have found dead.
            false => reading.await,
        };
        let server = &self.handle.core.server;
        match read {
            Reply::Messages(messages) => {
                server.works();
                Ok(messages)
            }
            Reply::Empty => Err(Failed::Final(unreadable(server))),
            Reply::Refused(refused) => {
                self.abandon = None;
                let (expired, doubtful) = (self.is_expired(&refused), is_doubtful(&refused));
                let again = self.lists && refused.is_outage();
                let fault = match refused.into_fault(server) {
                    Fault::Answered(error) if !expired => self.conversation.failed(error),
                    fault => fault,
                };
                Err(match (expired, doubtful) {
                    (_, true) => Failed::Doubtful(fault),
                    (true, _) => Failed::Expired(fault),
                    _ if again => Failed::Lost(fault),
                    _ => Failed::Final(fault),
                })
            }
        }
    }

    /// Whether the refusal means that the server forgot the session: by its status, for the codes differ widely.
    fn is_expired(&self, refused: &Refused) -> bool {
        let unknown_method =
            refused.names_request && refused.error.as_ref().is_some_and(|e| e.code == code::METHOD_NOT_FOUND);
        match refused.status.as_u16() {
            404 => self.epoch.session.is_some() && !unknown_method,
            // Also a server that had no sessions so far, and has them now.
            400 => !answers_the_call(refused) && refused.mentions(&["session", "not initialized"]),
            _ => false,
        }
    }

    /// What a message on the call's own stream means; the outcome when it is the response.
    async fn hear(&mut self, message: Message) -> Option<Result<Raw, crate::jsonrpc::ErrorObject>> {
        match message {
            Message::Response(response) => return Some(response.outcome),
            Message::Request(request) => {
                if let Some(reply) = self.conversation.asked(request) {
                    self.reply(reply).await;
                }
            }
            Message::Notification(said) => self.notified(said),
        }
        None
    }

    fn notified(&mut self, said: Notification) {
        match &*said.method {
            notification::CANCELLED => {
                if let Some(question) = withdrawn(&said) {
                    self.conversation.withdraw(question);
                }
            }
            notification::PROGRESS => match call_of_progress(said.params.as_ref()) {
                Some(id) if id == self.id => self.conversation.notified(said),
                // The token of the call that created a task outlives that call.
                Some(id) if !self.epoch.pending.waits(id) && tasks::related(said.params.as_ref()).is_some() => {
                    match self.epoch.pending.of_task(said.params.as_ref()) {
                        Some(id) if id == self.id => self.conversation.notified(said),
                        Some(id) => drop(self.epoch.pending.deliver(id, Incoming::Notification(said))),
                        None => self.handle.core.outside.notify(said),
                    }
                }
                Some(id) => drop(self.epoch.pending.deliver(id, Incoming::Notification(said))),
                None => {}
            },
            notification::TOOLS_CHANGED
            | notification::PROMPTS_CHANGED
            | notification::RESOURCES_CHANGED
            | notification::RESOURCE_UPDATED
            | notification::TASK_STATUS => self.handle.core.outside.notify(said),
            _ => self.conversation.notified(said),
        }
    }

    /// A tool may have waited in vain for the answer to a question that nobody got.
    fn explain(&self, reason: Option<&str>) {
        if self.may_ask && reason == Some(TIMED_OUT) && self.epoch.standing.is_missing() {
            self.life.lost(Loss::StreamlessServer);
        }
    }

    fn end(&mut self, outcome: Result<Raw, crate::jsonrpc::ErrorObject>) -> Result<Raw, Failed> {
        self.abandon = None;
        outcome.map_err(|error| Failed::Final(self.conversation.failed(error)))
    }

    /// Goes on with a stream that the server let go of (2025-11-25, basic/transports#resumability-and-redelivery).
    async fn resume(&mut self, from: &Bytes, retry: Option<Duration>, tries: &mut u32) -> Result<Messages, Failed> {
        let handle = self.handle.clone();
        let server = &handle.core.server;
        let lost = || Failed::Lost(server.lost());
        loop {
            *tries += 1;
            if *tries > RESUMES {
                return Err(lost());
            }
            let grown = server.settings.backoff * 2_u32.saturating_pow(*tries - 1);
            let pause = match retry {
                Some(retry) if *tries == 1 => retry,
                Some(retry) => grown.max(retry),
                None => grown,
            };
            self.attended(tokio::time::sleep(pause.min(LONGEST))).await?;
            let mut headers = self.headers.clone();
            headers.insert(LAST_EVENT_ID, HeaderValue::from_bytes(from).map_err(|_| lost())?);
            let Ok(answer) = self.attended(server.send(Purpose::Call, server.get(headers))).await? else { continue };
            match Reply::read(answer, server.settings.max_message).await {
                Reply::Messages(messages) => return Ok(messages),
                Reply::Refused(refused) if refused.status.is_server_error() => {}
                Reply::Refused(refused) if refused.status.as_u16() == 404 => {
                    return Err(Failed::Final(handle.core.lost()));
                }
                _ => return Err(lost()),
            }
        }
    }

    /// Does `work`; an end of the call from elsewhere ends it as a failure.
    async fn attended<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failed> {
        match self.attend(std::pin::pin!(work)).await {
            Attended::Done(done) => Ok(done),
            Attended::Ended(Err(fault)) => Err(Failed::Final(fault)),
            Attended::Ended(Ok(Err(error))) => {
                self.abandon = None;
                Err(Failed::Final(self.conversation.failed(error)))
            }
            Attended::Ended(Ok(Ok(result))) => {
                self.abandon = None;
                Err(Failed::Answered(result))
            }
        }
    }
}

impl Running {
    /// The questions that were put to this call and that it has not looked at, without those that were taken back since.
    /// `questions` are those that it has looked at.
    fn unheard(&self, mut questions: Vec<Request>) -> Vec<Request> {
        while let Some(incoming) = self.inbox.take() {
            match incoming {
                Incoming::Question(question) => questions.push(question),
                Incoming::Withdrawn(id) => questions.retain(|question| question.id != id),
                Incoming::Notification(_) => {}
            }
        }
        questions
    }

    /// The call is over while questions are open that came on the standing stream. It is only a guess that they belonged to
    /// this call: each is put to another that can answer it, and only then refused.
    fn settle_questions(&mut self) {
        let unsettled = self.conversation.unsettled();
        let unsettled = self.unheard(unsettled);
        if self.epoch.forgotten.load(Ordering::Acquire) {
            return;
        }
        let pending = &self.epoch.pending;
        let mut refused = Vec::new();
        for question in unsettled {
            let left = match pending.attribute(&question.method, question.params.as_ref()) {
                Some(other) => pending.deliver(other, Incoming::Question(question)).err(),
                None => Some(Incoming::Question(question)),
            };
            if let Some(Incoming::Question(question)) = left {
                refused.push(lapsed(question));
            }
        }
        // Without a runtime the process is ending.
        if !refused.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (core, epoch) = (self.handle.core.clone(), self.epoch.clone());
            runtime.spawn(async move {
                for reply in refused {
                    writer::reply(&core, &epoch, reply).await;
                }
            });
        }
    }
}

/// What the server is told of a question that nobody will answer.
fn lapsed(question: Request) -> Answered {
    Answered { outcome: reply_to(&question.method, Err(Refusal::Lapsed)), id: question.id }
}

/// However a call ends, be it that it is dropped half way, none of the questions that were put to it is forgotten.
impl Drop for Running {
    fn drop(&mut self) {
        self.epoch.pending.leave(self.id);
        let Some(place) = self.abandon.take().filter(|_| self.sent) else {
            self.settle_questions();
            return;
        };
        let (epoch, id, reason) = (self.epoch.clone(), self.id, self.life.abandoned());
        self.explain(reason.as_deref());
        // What the server is told to abandon, it needs no answers in: they would only be asked of somebody else.
        let mut replies = self.conversation.give_up();
        replies.extend(self.unheard(Vec::new()).into_iter().map(lapsed));
        self.handle.core.posted();
        place.send(Command::Abandoned { epoch, id, reason, replies });
    }
}

/// Whether a refusal is what came of the call itself, whose tool may speak of sessions as well: transports answer in a few
/// codes, or name no request.
fn answers_the_call(refused: &Refused) -> bool {
    const OF_TRANSPORTS: [i64; 3] = [code::INVALID_REQUEST, -32000, -32001];
    refused.names_request && refused.error.as_ref().is_some_and(|error| !OF_TRANSPORTS.contains(&error.code))
}

/// Whether a refusal looks like one of a modern server, which has run nothing.
fn is_doubtful(refused: &Refused) -> bool {
    let Some(error) = refused.error.as_ref().filter(|_| refused.status.is_client_error()) else { return false };
    matches!(error.code, code::HEADER_MISMATCH | code::UNSUPPORTED_VERSION)
        || error.code == code::INVALID_PARAMS && refused.mentions(&["_meta", "io.modelcontextprotocol/"])
}
