//! Where calls wait for the answers of a client: the running futures, and the requests that wait for them.
//!
//! A call moves here with its first question and stays until its outcome is delivered. Its task polls it and tells the record
//! what happens; requests tell the record themselves. What the record decides is carried out under its lock, so that no two
//! events cross.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    hub::{Answer, Caller, Fault, Life, Outcome, Principal},
    jsonrpc::RawObject,
    limits::Limits,
    protocol::ClientCapabilities,
    seal::random_token,
};

use super::{
    digest::Digest,
    leg::Running,
    outlet::Outlet,
    parked::{Action, Event, Parked, Reply, Retry},
    peer::{CallPeer, News},
    quota::{Place, Quota},
};

/// How many bytes of answers are kept for retries that come twice.
const KEPT: usize = 64 << 20;

/// What a call's outcome is to the record.
type Outcomes = Result<Outcome, Fault>;

/// All calls that wait for answers.
#[derive(Debug)]
pub(super) struct Parking {
    /// Tells the calls that wait here from those that waited in another process.
    owner: String,
    calls: Mutex<HashMap<String, Arc<Spot>>>,
    places: Arc<Quota>,
    kept: AtomicUsize,
}

/// A call that moves in.
pub(super) struct Arrival {
    /// Its place.
    pub(super) place: Place,
    /// Its future.
    pub(super) call: Running,
    /// How long it may last.
    pub(super) life: Life,
    /// The client, as the call sees it.
    pub(super) peer: Arc<CallPeer>,
    /// What it asked until now.
    pub(super) news: News,
    /// Where its first request listens.
    pub(super) outlet: Arc<Outlet>,
    /// Fires when the gateway is about to stop, and when it does.
    pub(super) ending: [CancellationToken; 2],
    /// How long it may wait for what.
    pub(super) limits: Arc<Limits>,
}

impl Default for Parking {
    fn default() -> Self {
        let owner = random_token::<8>();
        Self { owner, calls: Mutex::default(), places: Arc::default(), kept: AtomicUsize::new(0) }
    }
}

impl Parking {
    /// What the states of the calls here name as their place.
    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Spot>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a call of this principal, where there is one.
    pub(super) fn place(&self, principal: &Principal, limits: &Limits) -> Option<Place> {
        self.places.take(principal, (limits.parked_each, limits.parked))
    }

    /// How many calls wait.
    pub(super) fn taken(&self) -> usize {
        self.places.taken()
    }

    /// Moves a running call in. Its first request waits for it here from now on.
    pub(super) fn park(self: &Arc<Self>, caller: &Caller, arrival: Arrival) -> Attached {
        let Arrival { place, call, life, peer, news, outlet, ending, limits } = arrival;
        let (answer, reply) = oneshot::channel();
        let waiter = 0;
        let spot = Arc::new(Spot {
            id: random_token::<16>(),
            peer,
            inner: Mutex::new(Inner {
                record: Parked::new(Instant::now(), waiter, caller.capabilities.clone(), limits),
                answers: HashMap::new(),
                waiters: HashMap::from([(waiter, Waiting { outlet, answer })]),
                waiter,
                place: Some(place),
                fate: None,
                changed: false,
                waker: None,
            }),
        });
        spot.take(news, &self.kept);
        self.lock().insert(spot.id.clone(), spot.clone());
        let tenant = Tenant { parking: self.clone(), spot: spot.clone() };
        tokio::spawn(tenant.stay(call, life, ending));
        Attached { parking: self.clone(), spot, waiter, reply: Some(reply) }
    }

    /// A request comes with answers for a call; `None` where no such call waits.
    pub(super) fn attach(self: &Arc<Self>, call: &str, retry: Answers, outlet: Arc<Outlet>) -> Option<Attached> {
        let spot = self.lock().get(call).cloned()?;
        let (answer, reply) = oneshot::channel();
        let mut inner = spot.lock();
        inner.waiter += 1;
        let waiter = inner.waiter;
        inner.waiters.insert(waiter, Waiting { outlet, answer });
        let Answers { generation, answers, digest, capabilities } = retry;
        let event = Event::Retry(Retry { waiter, generation, answers, digest, capabilities });
        spot.carry_out(&mut inner, event, &self.kept);
        drop(inner);
        Some(Attached { parking: self.clone(), spot, waiter, reply: Some(reply) })
    }
}

/// What a retry brings.
pub(super) struct Answers {
    pub(super) generation: u32,
    pub(super) answers: RawObject,
    pub(super) digest: Digest,
    pub(super) capabilities: ClientCapabilities,
}

/// One call.
struct Spot {
    id: String,
    peer: Arc<CallPeer>,
    inner: Mutex<Inner>,
}

struct Inner {
    record: Parked<Outcomes>,
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    waiters: HashMap<u64, Waiting>,
    /// The last waiter number given.
    waiter: u64,
    place: Option<Place>,
    fate: Option<Fate>,
    /// Whether somebody but the task changed something.
    changed: bool,
    waker: Option<Waker>,
}

/// A request that waits.
struct Waiting {
    outlet: Arc<Outlet>,
    answer: oneshot::Sender<Reply<Outcomes>>,
}

/// What the task has to do.
#[derive(Clone, Copy)]
enum Fate {
    /// Drop the call, for this reason.
    End(&'static str),
    /// Keep the record a while; it counts with so many bytes.
    Linger(usize),
    /// Leave.
    Forget,
}

impl std::fmt::Debug for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spot").finish_non_exhaustive()
    }
}

impl Spot {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on(&self, event: Event<Outcomes>, kept: &AtomicUsize) {
        self.carry_out(&mut self.lock(), event, kept);
    }

    /// Takes in what the server asked and took back.
    fn take(&self, news: News, kept: &AtomicUsize) {
        let mut inner = self.lock();
        for asked in news.asked {
            inner.answers.insert(asked.serial, asked.answer);
            self.carry_out(&mut inner, Event::Asked(asked.serial, asked.question), kept);
        }
        for serial in news.withdrawn {
            inner.answers.remove(&serial);
            self.carry_out(&mut inner, Event::Withdrawn(serial), kept);
        }
    }

    fn carry_out(&self, inner: &mut Inner, event: Event<Outcomes>, kept: &AtomicUsize) {
        for action in inner.record.on(event, Instant::now()) {
            match action {
                Action::Answer(serial, answer) => inner.answer(serial, Ok(answer)),
                Action::Refuse(serial, refusal) => inner.answer(serial, Err(refusal)),
                Action::Accept(waiter) => {
                    if let Some(waiting) = inner.waiters.get(&waiter) {
                        self.peer.attach(&waiting.outlet);
                    }
                }
                Action::Reply(waiter, reply) => {
                    if let Some(waiting) = inner.waiters.remove(&waiter) {
                        self.peer.detach(&waiting.outlet);
                        let _ = waiting.answer.send(reply);
                    }
                }
                Action::End(reason) => {
                    inner.place = None;
                    inner.fate = Some(Fate::End(reason));
                }
                Action::Linger(length) => {
                    inner.place = None;
                    let full = kept.load(Ordering::Relaxed) + length > KEPT;
                    inner.fate = Some(if full { Fate::Forget } else { Fate::Linger(length) });
                }
                Action::Forget => {
                    inner.place = None;
                    inner.fate = Some(Fate::Forget);
                }
            }
        }
        inner.changed = true;
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }

    /// Waits until somebody else changed something.
    fn changed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.changed) {
            return Poll::Ready(());
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Inner {
    fn answer(&mut self, serial: u64, answer: Answer) {
        if let Some(waiting) = self.answers.remove(&serial) {
            let _ = waiting.send(answer);
        }
    }
}

/// The task of a call: it lives as long as the call's record.
struct Tenant {
    parking: Arc<Parking>,
    spot: Arc<Spot>,
}

impl Tenant {
    async fn stay(self, call: Running, life: Life, [stopping, draining]: [CancellationToken; 2]) {
        let kept = &self.parking.kept;
        let mut call = Some(call);
        let (mut stopped, mut drained) = (false, false);
        let mut lingering = Lingering { parking: self.parking.clone(), length: 0 };
        loop {
            let (fate, deadline) = {
                let mut inner = self.spot.lock();
                inner.changed = false;
                (inner.fate.take(), inner.record.deadline())
            };
            match fate {
                Some(Fate::End(reason)) => {
                    if call.is_some() {
                        life.abandon(reason);
                        tracing::debug!(reason, "a call that waited for answers is abandoned");
                    }
                    // The server first hears that the call is over, then that its questions are.
                    drop(call);
                    return;
                }
                Some(Fate::Forget) => return,
                Some(Fate::Linger(length)) => lingering.hold(length),
                None => {}
            }
            let outcome = async {
                match &mut call {
                    Some(call) => call.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = draining.cancelled(), if !drained => {
                    drained = true;
                    self.spot.on(Event::Drain, kept);
                }
                () = stopping.cancelled(), if !stopped => {
                    stopped = true;
                    self.spot.on(Event::Stop, kept);
                }
                outcome = outcome => {
                    call = None;
                    let length = length_of(&outcome);
                    self.spot.on(Event::Finished(outcome, length), kept);
                }
                news = poll_fn(|cx| self.news(cx)) => self.spot.take(news, kept),
                () = poll_fn(|cx| self.spot.changed(cx)) => {}
                () = sleep_until(deadline) => self.spot.on(Event::Tick, kept),
            }
        }
    }

    fn news(&self, cx: &Context<'_>) -> Poll<News> {
        let news = self.spot.peer.news(cx.waker());
        if news.is_empty() { Poll::Pending } else { Poll::Ready(news) }
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.parking.lock().remove(&self.spot.id);
        // Whoever still waits must not wait for ever.
        self.spot.on(Event::Lost, &self.parking.kept);
    }
}

/// Bytes that count against what may be kept.
struct Lingering {
    parking: Arc<Parking>,
    length: usize,
}

impl Lingering {
    fn hold(&mut self, length: usize) {
        self.parking.kept.fetch_add(length, Ordering::Relaxed);
        self.length += length;
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        self.parking.kept.fetch_sub(self.length, Ordering::Relaxed);
    }
}

fn length_of(outcome: &Outcomes) -> usize {
    match outcome {
        Ok(Outcome::Complete(result) | Outcome::Task(result)) => result.as_bytes().len(),
        Ok(Outcome::NeedsInput { requests, .. }) => requests.written_length(),
        Err(_) => 1024,
    }
}

/// A request that waits for a call here. Dropping it tells the record.
pub(super) struct Attached {
    parking: Arc<Parking>,
    spot: Arc<Spot>,
    waiter: u64,
    reply: Option<oneshot::Receiver<Reply<Outcomes>>>,
}

impl Attached {
    /// Which call it waits for.
    pub(super) fn call(&self) -> &str {
        &self.spot.id
    }

    /// Waits for the answer.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Reply<Outcomes>> {
        let Some(reply) = &mut self.reply else { return Poll::Ready(Reply::Lost) };
        let reply = std::task::ready!(Pin::new(reply).poll(cx)).unwrap_or(Reply::Lost);
        self.reply = None;
        Poll::Ready(reply)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.reply.is_none() {
            return;
        }
        let mut inner = self.spot.lock();
        if let Some(waiting) = inner.waiters.remove(&self.waiter) {
            self.spot.peer.detach(&waiting.outlet);
            self.spot.carry_out(&mut inner, Event::Left(self.waiter), &self.parking.kept);
        }
    }
}
