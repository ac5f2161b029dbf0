//! The HTTP client: connections to one server, kept and used again.
//!
//! A connection is driven by whoever waits for its answer, not by a task of its own: a warm call costs neither a spawn nor
//! a wake-up of another task. Invariant: a [`Live`] that is not idle is owned by exactly one exchange, and dropping that
//! exchange closes the connection, which is how a modern call is cancelled.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Request, Response, response::Parts};
use http_body::Body as _;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Connection, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::{task::coop, time::Instant};

use super::wire::{ConnectError, Place, Wire};

/// How long a connection may take to reach the end of an answer whose message has been read already.
const TAIL: Duration = Duration::from_secs(1);
/// How many unfinished connections are passed over in search of a free one.
const PASSED_OVER: usize = 8;
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The bounds of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections in use for calls, and again as many for streams.
    pub(super) connections: usize,
    /// Connections kept for later.
    pub(super) idle: usize,
    /// How long they are kept.
    pub(super) idle_for: Duration,
    /// How long connecting may take, TLS included.
    pub(super) connect: Duration,
}

/// What a request is sent for, which decides what it is counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A call of somebody.
    Call,
    /// A stream that stays open.
    Stream,
    /// Something short that a call or a session needs: never refused for want of connections.
    Control,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// Too many connections are in use. Nothing was sent.
    Busy,
    /// There is no connection. Nothing was sent.
    Connect(ConnectError),
    /// The connection broke before the answer. The server may have got the request.
    Lost,
}

/// The connection broke while the answer was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken;

/// Why a body could not be read whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum CollectError {
    Broken,
    TooLarge,
}

/// A client of one server. Cloning shares the connections.
#[derive(Clone)]
pub(super) struct Client(Arc<Pool>);

struct Pool {
    place: Place,
    bounds: Bounds,
    idle: Mutex<Vec<Idle>>,
    calls: AtomicUsize,
    streams: AtomicUsize,
    reaping: AtomicBool,
}

/// A request of which nothing was sent, where that is certain.
type Unsent = Option<Box<Request<Full<Bytes>>>>;

/// A connection, and the handle that sends on it.
struct Live {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<Wire>, Full<Bytes>>,
    over: bool,
}

struct Idle {
    live: Box<Live>,
    /// What is left of an answer whose end had not arrived yet.
    tail: Option<Incoming>,
    since: Instant,
    keep: Duration,
}

/// A seat among the connections in use.
struct Seat {
    pool: Arc<Pool>,
    purpose: Purpose,
}

/// The answer: its head, and its body as it comes.
pub(super) struct Answer {
    pub(super) head: Parts,
    pub(super) body: Body,
}

/// The body of an answer. Dropped before its end it closes the connection; [`Body::finish`] keeps it.
pub(super) struct Body {
    live: Option<Box<Live>>,
    incoming: Incoming,
    keep: Duration,
    seat: Seat,
}

impl Client {
    pub(super) fn new(place: Place, bounds: Bounds) -> Self {
        Self(Arc::new(Pool {
            place,
            bounds,
            idle: Mutex::default(),
            calls: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            reaping: AtomicBool::new(false),
        }))
    }

    /// Sends a request and waits for the head of the answer. A request that an idle connection did not take, because the
    /// server had closed it, goes out once more on a fresh one; what may have been sent is never sent again.
    pub(super) async fn send(&self, purpose: Purpose, mut request: Request<Full<Bytes>>) -> Result<Answer, SendError> {
        let seat = Seat::take(&self.0, purpose)?;
        let (mut live, mut fresh) = match self.0.checkout() {
            Some(live) => (live, false),
            // On the heap, as connecting is rare and its state is large.
            None => (Box::pin(self.0.open()).await?, true),
        };
        loop {
            let unsent = {
                let mut response = pin!(live.sender.try_send_request(request));
                match poll_fn(|cx| live.poll_exchange(cx, response.as_mut())).await {
                    Ok(response) => return Ok(Answer::new(live, response, seat)),
                    Err(unsent) => unsent,
                }
            };
            match unsent {
                Some(unsent) if !fresh => request = *unsent,
                _ => return Err(SendError::Lost),
            }
            live = Box::pin(self.0.open()).await?;
            fresh = true;
        }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self) -> Result<Box<Live>, SendError> {
        let wire = self.place.connect(self.bounds.connect).await.map_err(SendError::Connect)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(wire))
            .await
            .map_err(|_| SendError::Connect(ConnectError::Refused))?;
        Ok(Box::new(Live { sender, connection, over: false }))
    }

    /// The connection that was used last and still works.
    fn checkout(&self) -> Option<Box<Live>> {
        let mut unfinished = Vec::new();
        let mut found = None;
        let mut now = None;
        while unfinished.len() < PASSED_OVER {
            let Some(mut idle) = self.lock().pop() else { break };
            match idle.check(*now.get_or_insert_with(Instant::now)) {
                State::Free => {
                    found = Some(idle.live);
                    break;
                }
                State::Unfinished => unfinished.push(idle),
                State::Over => {}
            }
        }
        if !unfinished.is_empty() {
            self.lock().extend(unfinished.into_iter().rev());
        }
        found
    }

    fn give_back(self: &Arc<Self>, idle: Idle) {
        {
            let mut all = self.lock();
            if all.len() >= self.bounds.idle {
                return;
            }
            all.push(idle);
        }
        if !self.reaping.load(Ordering::Relaxed) && !self.reaping.swap(true, Ordering::AcqRel) {
            tokio::spawn(reap(Arc::downgrade(self), self.bounds.idle_for.max(Duration::from_millis(100)) / 2));
        }
    }
}

/// Closes connections that nobody uses any more, while there are any.
async fn reap(pool: Weak<Pool>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        let mut idle = pool.lock();
        idle.retain_mut(|idle| !matches!(idle.check(now), State::Over));
        if idle.is_empty() {
            pool.reaping.store(false, Ordering::Release);
            return;
        }
    }
}

enum State {
    Free,
    Unfinished,
    Over,
}

impl Idle {
    /// Looks whether the connection can be used, without waiting for anything. It also takes the wakers of the last
    /// exchange off the connection, so that the next one does not wake a task that is done with it.
    fn check(&mut self, now: Instant) -> State {
        let age = now.saturating_duration_since(self.since);
        if age > self.keep {
            return State::Over;
        }
        let mut cx = Context::from_waker(Waker::noop());
        while let Some(tail) = &mut self.tail {
            self.live.drive(&mut cx);
            match Pin::new(tail).poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None) => self.tail = None,
                Poll::Ready(Some(Err(_))) => return State::Over,
                Poll::Pending if age > TAIL => return State::Over,
                Poll::Pending => return State::Unfinished,
            }
        }
        self.live.drive(&mut cx);
        if !self.live.over && self.live.sender.is_ready() { State::Free } else { State::Over }
    }
}

impl Live {
    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.over {
            self.over = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
    }

    /// Drives the connection until the head of the answer is there; the request comes back when none of it was sent.
    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        response: Pin<&mut impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>>>>,
    ) -> Poll<Result<Response<Incoming>, Unsent>> {
        self.drive(cx);
        // Only driving the connection completes the response, and that has just been done: no waker is needed, and without
        // one the task does not wake itself.
        match response.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(mut error)) => Poll::Ready(Err(error.take_message().map(Box::new))),
            Poll::Pending if self.over => Poll::Ready(Err(None)),
            Poll::Pending => pending(cx),
        }
    }
}

/// Pending, once more at once where it may only be the scheduler's budget that ran out.
fn pending<T>(cx: &Context<'_>) -> Poll<T> {
    if !coop::has_budget_remaining() {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

impl Seat {
    fn counter(pool: &Pool, purpose: Purpose) -> Option<&AtomicUsize> {
        match purpose {
            Purpose::Call => Some(&pool.calls),
            Purpose::Stream => Some(&pool.streams),
            Purpose::Control => None,
        }
    }

    fn take(pool: &Arc<Pool>, purpose: Purpose) -> Result<Self, SendError> {
        if let Some(counter) = Self::counter(pool, purpose)
            && counter.fetch_add(1, Ordering::Relaxed) >= pool.bounds.connections
        {
            counter.fetch_sub(1, Ordering::Relaxed);
            return Err(SendError::Busy);
        }
        Ok(Self { pool: pool.clone(), purpose })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(counter) = Self::counter(&self.pool, self.purpose) {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Answer {
    fn new(live: Box<Live>, response: Response<Incoming>, seat: Seat) -> Self {
        let (head, incoming) = response.into_parts();
        let keep = announced(&head.headers).map_or(seat.pool.bounds.idle_for, |t| t.min(seat.pool.bounds.idle_for));
        Self { head, body: Body { live: Some(live), incoming, keep, seat } }
    }
}

/// How long the server says that it keeps idle connections, a second less to be on the safe side.
fn announced(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    let seconds = text.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    Some(Duration::from_secs(seconds.trim().parse::<u64>().ok()?.saturating_sub(1)))
}

impl Body {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let Some(live) = &mut self.live else { return Poll::Ready(None) };
        let mut quiet = Context::from_waker(Waker::noop());
        let mut driven = false;
        loop {
            match Pin::new(&mut self.incoming).poll_frame(&mut quiet) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(chunk) => return Poll::Ready(Some(Ok(chunk))),
                    // Trailers say nothing here.
                    Err(_) => driven = false,
                },
                Poll::Ready(Some(Err(_))) => {
                    self.live = None;
                    return Poll::Ready(Some(Err(Broken)));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if !driven => {
                    driven = true;
                    live.drive(cx);
                }
                Poll::Pending if live.over => {
                    self.live = None;
                    return Poll::Ready(Some(Err(Broken)));
                }
                Poll::Pending => return pending(cx),
            }
        }
    }

    /// The next piece; `None` at the end. Cancel-safe.
    pub(super) async fn chunk(&mut self) -> Option<Result<Bytes, Broken>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// The whole body, of at most `most` bytes. What comes in one piece is not copied.
    pub(super) async fn collect(&mut self, most: usize) -> Result<Bytes, CollectError> {
        if self.incoming.size_hint().lower() > most as u64 {
            return Err(CollectError::TooLarge);
        }
        let mut whole = Bytes::new();
        let mut parts = BytesMut::new();
        while let Some(chunk) = self.chunk().await {
            let chunk = chunk.map_err(|Broken| CollectError::Broken)?;
            if whole.len() + parts.len() + chunk.len() > most {
                return Err(CollectError::TooLarge);
            }
            if whole.is_empty() && parts.is_empty() {
                whole = chunk;
                if self.incoming.is_end_stream() {
                    break;
                }
            } else {
                if parts.is_empty() {
                    parts.reserve(whole.len() + chunk.len() + self.rest().min(most));
                    parts.extend_from_slice(&std::mem::take(&mut whole));
                }
                parts.extend_from_slice(&chunk);
            }
        }
        Ok(if parts.is_empty() { whole } else { parts.freeze() })
    }

    /// How much is announced to come, where that is known.
    fn rest(&self) -> usize {
        self.incoming.size_hint().exact().and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
    }

    /// Gives the connection back for the next request. What is left of the body is read when that one comes.
    pub(super) fn finish(mut self) {
        let Some(mut live) = self.live.take() else { return };
        let tail = if self.incoming.is_end_stream() { None } else { Some(self.incoming) };
        let mut cx = Context::from_waker(Waker::noop());
        if tail.is_none() && !live.sender.is_ready() {
            live.drive(&mut cx);
            if live.over || !live.sender.is_ready() {
                return;
            }
        }
        self.seat.pool.give_back(Idle { live, tail, since: Instant::now(), keep: self.keep });
    }
}
