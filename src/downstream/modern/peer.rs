//! The client, as the server sees it while a call runs: what it is told, and what it is asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Waker,
};

use tokio::sync::oneshot;

use crate::{
    hub::{Answer, Asks, BoxFuture, OpenQuestion, Peer, Question, Refusal},
    jsonrpc::{Notification, RawObject},
    protocol::method::question,
};

use super::outlet::{Kind, Outlet};

/// The largest log message that is kept while nobody listens, in bytes.
const LOG_LENGTH: usize = 16 * 1024;

/// The peer of one call. Requests attach to it as long as they wait for the call; between them it keeps what the next one
/// has to hear.
pub(super) struct CallPeer {
    own: Weak<Self>,
    /// Whether the method allows questions.
    may_ask: bool,
    /// How many log messages are kept while nobody listens.
    most_logs: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    outlets: Vec<Arc<Outlet>>,
    /// The progress last told: values that do not grow are dropped.
    progress: Option<f64>,
    latest: Option<Notification>,
    logs: VecDeque<Notification>,
    asked: Vec<Asked>,
    withdrawn: Vec<u64>,
    serial: u64,
    waker: Option<Waker>,
}

/// A question of the server, and where its answer goes.
pub(super) struct Asked {
    /// A number that no other question of the call has.
    pub(super) serial: u64,
    /// What is asked.
    pub(super) question: Question,
    /// Whoever waits for the answer.
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What happened to a call's questions since somebody looked.
#[derive(Default)]
pub(super) struct News {
    /// New ones.
    pub(super) asked: Vec<Asked>,
    /// Those that need no answer any more.
    pub(super) withdrawn: Vec<u64>,
}

impl Asked {
    /// The server gets no answer.
    pub(super) fn refuse(self, refusal: Refusal) {
        let _ = self.answer.send(Err(refusal));
    }
}

impl News {
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.withdrawn.is_empty()
    }
}

impl CallPeer {
    pub(super) fn new(may_ask: bool, most_logs: usize) -> Arc<Self> {
        Arc::new_cyclic(|own| Self { own: own.clone(), may_ask, most_logs, inner: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request waits for the call from now on: it first hears what nobody has heard yet.
    pub(super) fn attach(&self, outlet: &Arc<Outlet>) {
        let mut inner = self.lock();
        outlet.expect(inner.logs.len() + usize::from(inner.latest.is_some()));
        if let Some(progress) = inner.latest.take() {
            outlet.put(Kind::Progress, &progress);
        }
        for message in inner.logs.drain(..) {
            outlet.put(Kind::Log, &message);
        }
        inner.outlets.push(outlet.clone());
    }

    /// A request does not wait any more.
    pub(super) fn detach(&self, outlet: &Arc<Outlet>) {
        self.lock().outlets.retain(|own| !Arc::ptr_eq(own, outlet));
    }

    /// What happened since the last look; where nothing did, `waker` hears of the next.
    pub(super) fn news(&self, waker: &Waker) -> News {
        let mut inner = self.lock();
        let news = News { asked: std::mem::take(&mut inner.asked), withdrawn: std::mem::take(&mut inner.withdrawn) };
        if news.is_empty() && !inner.waker.as_ref().is_some_and(|own| own.will_wake(waker)) {
            inner.waker = Some(waker.clone());
        }
        news
    }
}

impl Peer for CallPeer {
    fn notify(&self, notification: Notification) {
        let kind = Kind::of(&notification.method);
        let mut inner = self.lock();
        if kind == Kind::Progress {
            let value = notification.params.as_ref().and_then(|p| p.get("progress")).and_then(|v| v.parse().ok());
            let Some(value) = value else { return };
            if inner.progress.is_some_and(|last: f64| value <= last) {
                return;
            }
            inner.progress = Some(value);
        }
        for outlet in &inner.outlets {
            outlet.put(kind, &notification);
        }
        if inner.outlets.is_empty() {
            match kind {
                Kind::Progress => inner.latest = Some(notification),
                Kind::Log if length(&notification) <= LOG_LENGTH => {
                    inner.logs.push_back(notification);
                    if inner.logs.len() > self.most_logs {
                        inner.logs.pop_front();
                    }
                }
                _ => {}
            }
        }
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        if !self.may_ask || !matches!(&*question.method, question::ELICIT | question::SAMPLE | question::ROOTS) {
            return Box::pin(std::future::ready(Err(Refusal::NoOne)));
        }
        let (answer, answered) = oneshot::channel();
        let mut inner = self.lock();
        inner.serial += 1;
        let serial = inner.serial;
        inner.asked.push(Asked { serial, question, answer });
        wake(inner);
        Box::pin(OpenQuestion::new(self.own.clone(), serial, answered))
    }

    fn answers_later(&self) -> bool {
        true
    }

    fn hears_logs(&self) -> bool {
        self.lock().outlets.iter().any(|outlet| outlet.wants_logs())
    }
}

fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn length(notification: &Notification) -> usize {
    notification.params.as_ref().map_or(0, RawObject::written_length)
}

impl Asks for CallPeer {
    fn withdrawn(&self, serial: u64) {
        let mut inner = self.lock();
        inner.withdrawn.push(serial);
        wake(inner);
    }
}
