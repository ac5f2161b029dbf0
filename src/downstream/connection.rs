//! A client on one connection, over which it says everything and hears everything: the stdio transport, the same in every
//! revision (2026-07-28 and 2025-11-25, basic/transports#stdio).
//!
//! Each message is of the era that its own words name, and none of them decides for those that follow. Modern requests are
//! stateless as everywhere; everything else belongs to the one session that `initialize` began. What runs belongs to the
//! connection: when the client closes its end, it has a moment to end by itself, and is cancelled then.

mod requests;
mod writing;

use std::{
    io,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use http::HeaderMap;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time::Instant,
};

use crate::{
    hub::{BoxFuture, Principal, Scope, SilentPeer},
    jsonrpc::{
        Limits, Message, Notification, Payload, Raw, RequestId, encode_error, encode_result, id_guess,
        lines::{Line, LineReader},
    },
    protocol::{Method, method::notification},
};

use super::{
    endpoint::{Endpoint, Settings, is_modern},
    legacy::{
        Session,
        connected::{self, refuse},
    },
    modern::Modern,
    outbox::Outbox,
};

use requests::{DUPLICATE, Shared};
use writing::{ended, tolerated, write};

/// How long what runs may go on when the client has closed its end. Clients end their servers about two seconds after that.
const GRACE: Duration = Duration::from_millis(1500);
/// How long what is left may take to be written then.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How many messages may wait for the answer to `initialize`.
const EARLY: usize = 64;
/// How many bytes of them, beside the first.
const EARLY_BYTES: usize = 1 << 20;

/// There are none on such a connection.
static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);

impl Endpoint {
    /// Serves one client over a pair of byte streams, one message a line, until it closes its end, nothing can be written to it
    /// any more, or the gateway stops. Of whatever revision the client is, and of several at once.
    ///
    /// # Errors
    /// When the streams fail. A client that is gone is no error.
    pub async fn serve_lines<R, W>(&self, reader: R, writer: W, principal: &Principal) -> io::Result<()>
    where
        R: AsyncRead + Send + Unpin,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let line = Arc::<Outbox>::default();
        // Ends with this future, whatever becomes of it.
        let mut writing = JoinSet::new();
        writing.spawn(write(line.clone(), writer));
        let mut connection = Connection::new(self, principal, line.clone());
        let heard = tokio::select! {
            heard = connection.read(reader) => heard,
            // Nobody reads any more.
            written = writing.join_next() => {
                connection.hang_up().await;
                return ended(written);
            }
        };
        connection.hang_up().await;
        line.close();
        let written = tokio::time::timeout(LAST_WORDS, writing.join_next()).await;
        tolerated(heard).and(written.map_or(Ok(()), ended))
    }
}

/// One client.
struct Connection {
    shared: Arc<Shared>,
    /// What runs until something is answered.
    work: JoinSet<()>,
    state: State,
}

/// Where the session of the legacy era is.
enum State {
    /// There was no `initialize`.
    None,
    /// It is being answered. What came after it waits, with the length of its lines.
    Opening {
        opening: BoxFuture<Option<Arc<Session>>>,
        early: Vec<Payload>,
        bytes: usize,
    },
    Open(Arc<Session>),
}

impl Connection {
    fn new(endpoint: &Endpoint, principal: &Principal, line: Arc<Outbox>) -> Self {
        // What is open ends with the connection, as it does with the gateway.
        let settings = Settings { draining: endpoint.settings().draining.child_token(), ..endpoint.settings().clone() };
        let mount = endpoint.mount().clone();
        // A client of its own, whoever else its principal is.
        let modern = Modern::within(Scope::shared(Arc::new(SilentPeer)), &mount, &settings);
        let (principal, running) = (principal.clone(), Mutex::default());
        let shared = Arc::new(Shared { mount, settings, principal, modern, line, running });
        Self { shared, work: JoinSet::new(), state: State::None }
    }

    /// Hears the client out.
    async fn read(&mut self, reader: impl AsyncRead + Send + Unpin) -> io::Result<()> {
        let shared = self.shared.clone();
        let mut lines = LineReader::new(reader, shared.settings.limits.body);
        let draining = shared.settings.draining.clone();
        // A line is read ahead of the room there is for its answer: the client that reads nothing any more may have gone.
        let mut ahead = None;
        let (mut ended, mut until) = (None, None);
        loop {
            let is_over = self.work.is_empty() && !matches!(self.state, State::Opening { .. });
            if ended.is_some() && is_over {
                break;
            }
            let patience = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            let heard = async {
                if ahead.is_none() {
                    match lines.next().await {
                        Ok(Some(line)) => ahead = Some(line),
                        end => return end.map(|_| None),
                    }
                }
                shared.line.room().await;
                Ok(ahead.take())
            };
            tokio::select! {
                biased;
                () = patience => break,
                () = draining.cancelled(), if ended.is_none() => {
                    ended = Some(Ok(()));
                    until = Some(Instant::now() + GRACE);
                }
                session = opened(&mut self.state) => self.opened(session),
                Some(_) = self.work.join_next() => {}
                heard = heard, if ended.is_none() => match heard {
                    Ok(Some(line)) => self.line(line),
                    end => {
                        ended = Some(end.map(drop));
                        until = Some(Instant::now() + GRACE);
                        // Nothing that is open can be answered any more.
                        draining.cancel();
                    }
                }
            }
        }
        ended.unwrap_or(Ok(()))
    }

    /// Cancels what still runs.
    fn cut(&self) {
        const REASON: &str = "the client closed the connection";
        if let State::Open(session) = &self.state {
            session.close(REASON);
        }
        for cancel in self.shared.running().values() {
            cancel.cancel(REASON);
        }
        self.shared.settings.draining.cancel();
    }

    /// Ends what still runs.
    async fn hang_up(mut self) {
        self.cut();
        // A session that is not open yet will not be.
        self.state = State::None;
        // Each of them says goodbye to its server as it goes.
        let _ = tokio::time::timeout(LAST_WORDS, async { while self.work.join_next().await.is_some() {} }).await;
        self.work.shutdown().await;
    }

    fn line(&mut self, line: Line) {
        let text = match line {
            Line::Text(text) => text,
            Line::TooLong(skipped) => {
                let limit = self.shared.settings.limits.body;
                // Where it can be told, somebody need not wait in vain.
                let id = id_guess::in_ends(&skipped.head, &skipped.tail);
                return refuse(&self.shared.line, id.as_ref(), &format!("the message is longer than {limit} bytes"));
            }
        };
        let length = text.len();
        let payload = match Payload::parse(text, Limits::DOWNSTREAM) {
            Ok(payload) => payload,
            Err(fault) => {
                let error = encode_error(fault.id.as_ref(), &fault.to_error());
                return self.shared.line.answer(fault.id.as_ref(), error.into());
            }
        };
        match payload {
            Payload::One(Message::Notification(said)) if said.method == notification::CANCELLED => {
                self.cancel(said, length);
            }
            Payload::One(message) if is_modern(&NO_HEADERS, &message) => self.modern(message),
            Payload::Batch(elements) if elements.iter().flatten().any(|m| is_modern(&NO_HEADERS, m)) => {
                refuse(&self.shared.line, None, "a batch is not part of this protocol version");
            }
            payload => self.legacy(payload, length),
        }
    }

    /// Cancels the request that is named, whatever era it is of.
    fn cancel(&mut self, said: Notification, length: usize) {
        let params = said.params.as_ref();
        let id = params.and_then(|p| RequestId::new(p.get("requestId")?).ok());
        let cancel = id.and_then(|id| self.shared.running().get(&id).cloned());
        match cancel {
            Some(cancel) => {
                let reason = params.and_then(|p| p.get("reason")?.as_text());
                cancel.cancel(reason.as_deref().unwrap_or("the client cancelled the request"));
            }
            None => self.legacy(Payload::One(Message::Notification(said)), length),
        }
    }

    fn modern(&mut self, message: Message) {
        let shared = self.shared.clone();
        let request = match message {
            Message::Request(request) => request,
            Message::Notification(said) => return shared.modern.said(&shared.context(), said),
            Message::Response(_) => return,
        };
        let is_running = matches!(&self.state, State::Open(session) if session.runs(&request.id));
        match shared.enter(&request.id, is_running) {
            Ok(cancel) => {
                let id = request.id.clone();
                self.run(Some(id), async move { shared.answer(request, &cancel).await });
            }
            Err(error) => shared.line.answer(Some(&request.id), encode_error(Some(&request.id), &error).into()),
        }
    }

    fn legacy(&mut self, payload: Payload, length: usize) {
        let shared = self.shared.clone();
        let initializes =
            matches!(&payload, Payload::One(Message::Request(r)) if r.method == Method::Initialize.as_str());
        match (&mut self.state, payload) {
            (State::None, Payload::One(Message::Request(request))) if initializes => {
                let opening = Box::pin(async move { shared.open(request).await });
                self.state = State::Opening { opening, early: Vec::new(), bytes: 0 };
            }
            (_, Payload::One(Message::Request(request))) if initializes => {
                refuse(&shared.line, Some(&request.id), "this session is initialized already");
            }
            (State::None | State::Opening { .. }, Payload::One(Message::Request(request)))
                if request.method == Method::Ping.as_str() =>
            {
                shared.line.answer(Some(&request.id), encode_result(&request.id, &Raw::constant("{}")));
            }
            (State::None, payload) => uninitialized(&shared.line, &payload),
            (State::Opening { early, bytes, .. }, payload) => {
                let is_much = early.len() >= EARLY || (*bytes > 0 && *bytes + length > EARLY_BYTES);
                if is_much {
                    return uninitialized(&shared.line, &payload);
                }
                *bytes += length;
                early.push(payload);
            }
            (State::Open(session), payload) => {
                if let Some(refused) = shared.duplicate(&payload) {
                    return refuse(&shared.line, refused, DUPLICATE);
                }
                let id = id_of(&payload).cloned();
                if let Some(work) = connected::hear(&shared.context(), session, payload, &shared.line) {
                    self.run(id, work);
                }
            }
        }
    }

    /// `initialize` was answered: what came after it is heard now.
    fn opened(&mut self, session: Option<Arc<Session>>) {
        let State::Opening { early, .. } = std::mem::replace(&mut self.state, State::None) else { return };
        if let Some(session) = session {
            self.state = State::Open(session);
        }
        for payload in early {
            self.legacy(payload, 0);
        }
    }

    /// Runs something until it has answered the request `id`.
    fn run(&mut self, id: Option<RequestId>, work: impl Future<Output = ()> + Send + 'static) {
        let shared = self.shared.clone();
        self.work.spawn(async move { shared.sheltered(id.as_ref(), work).await.unwrap_or_default() });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.cut();
    }
}

/// The id of a request.
fn id_of(payload: &Payload) -> Option<&RequestId> {
    match payload {
        Payload::One(Message::Request(request)) => Some(&request.id),
        _ => None,
    }
}

/// Waits for the answer to `initialize`, where there was one.
async fn opened(state: &mut State) -> Option<Arc<Session>> {
    match state {
        State::Opening { opening, .. } => opening.await,
        _ => std::future::pending().await,
    }
}

/// Refuses what only an initialized client may say.
fn uninitialized(line: &Outbox, payload: &Payload) {
    const MESSAGE: &str = "not initialized: send `initialize` first and wait for its answer";
    match payload {
        Payload::One(Message::Request(request)) => refuse(line, Some(&request.id), MESSAGE),
        Payload::Batch(_) => refuse(line, None, MESSAGE),
        Payload::One(_) => {}
    }
}
