//! What reaches a client outside its calls: on the standalone stream, or later where it can wait.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

use crate::{
    hub::{Answer, BoxFuture, Peer, Question, Refusal},
    jsonrpc::{Notification, Raw, encode_notification},
    protocol::{method::notification, tasks},
};

use super::{
    super::way::{Way, Weight},
    is_stray, level,
    session::Session,
};

/// How many different things may wait for a stream.
const WAITING: usize = 256;
/// The largest notification that may wait, in bytes.
const WAITING_BYTES: usize = 2048;

/// How many questions may wait for a stream.
const EXPECTING: usize = 16;
/// How long a question waits for a stream. Some servers ask as soon as they are told that the client is initialized,
/// and clients open their stream only when they have said so.
const STREAM_PATIENCE: Duration = Duration::from_secs(5);

/// The client outside its calls.
pub(super) struct Outside(pub(super) Weak<Session>);

impl Peer for Outside {
    fn notify(&self, notification: Notification) {
        let Some(session) = self.0.upgrade() else { return };
        let weight = match &*notification.method {
            // Progress belongs to a call, whose peer knows the client's token, unless a task goes on after its call.
            notification::PROGRESS if tasks::related(notification.params.as_ref()).is_none() => return,
            notification::PROGRESS => Weight::Light,
            notification::MESSAGE if !level::passes(&session.caller(), notification.params.as_ref()) => return,
            notification::MESSAGE => Weight::Light,
            stray if is_stray(stray) => return,
            _ => Weight::Heavy,
        };
        let text = encode_notification(&notification.method, notification.params.as_ref());
        let mut inner = session.lock();
        match inner.listening() {
            Some(stream) if is_level(&notification.method) => stream.push_once(text),
            Some(stream) => {
                stream.push(weight, text);
            }
            None => inner.waiting.keep(&notification, text),
        }
    }

    fn ask(&self, question: Question) -> BoxFuture<Answer> {
        let refuse = |refusal| -> BoxFuture<Answer> { Box::pin(std::future::ready(Err(refusal))) };
        let Some(session) = self.0.upgrade() else { return refuse(Refusal::NoOne) };
        if let Err(missing) = session.caller().capabilities.answers(&question.method, question.params.as_ref()) {
            return refuse(Refusal::Undeclared(missing));
        }
        if let Some(stream) = session.listening() {
            return session.ask(stream, None, question);
        }
        let opening = session.opening().clone();
        let session = self.0.clone();
        Box::pin(async move {
            let Ok(_expecting) = opening.room.try_acquire() else { return Err(Refusal::NoOne) };
            let opened = tokio::time::timeout(STREAM_PATIENCE, opening.stream(&session)).await;
            let Ok(Some((session, stream))) = opened else { return Err(Refusal::NoOne) };
            let asked = session.ask(stream, None, question);
            drop(session);
            asked.await
        })
    }
}

/// Whether a notification says that something is not as it was, which is as true when it is said once.
fn is_level(method: &str) -> bool {
    matches!(
        method,
        notification::TOOLS_CHANGED
            | notification::PROMPTS_CHANGED
            | notification::RESOURCES_CHANGED
            | notification::RESOURCE_UPDATED
    )
}

/// Tells those who have something to ask that the client has opened its stream, or will not any more.
pub(super) struct Opening {
    told: Notify,
    room: Semaphore,
}

impl Opening {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { told: Notify::new(), room: Semaphore::new(EXPECTING) })
    }

    /// The standalone stream was opened, or the session has ended.
    pub(super) fn tell(&self) {
        self.told.notify_waiters();
    }

    /// Waits until somebody follows the standalone stream; `None` once the session is over.
    async fn stream(&self, session: &Weak<Session>) -> Option<(Arc<Session>, Arc<dyn Way>)> {
        loop {
            let mut told = std::pin::pin!(self.told.notified());
            // From here on nothing is missed.
            told.as_mut().enable();
            {
                let session = session.upgrade()?;
                if let Some(stream) = session.listening() {
                    return Some((session, stream));
                }
                if session.has_ended() {
                    return None;
                }
            }
            told.await;
        }
    }
}

/// What changed while nobody listened: once for each kind and resource, the latest counts.
#[derive(Default)]
pub(super) struct Waiting(VecDeque<(Key, Bytes)>);

/// A kind of change, and the resource where there is one.
type Key = (String, Option<Raw>);

impl Waiting {
    fn keep(&mut self, notification: &Notification, text: Bytes) {
        let uri = match &*notification.method {
            notification::TOOLS_CHANGED | notification::PROMPTS_CHANGED | notification::RESOURCES_CHANGED => None,
            notification::RESOURCE_UPDATED => notification.params.as_ref().and_then(|p| p.get("uri")).cloned(),
            _ => return,
        };
        let key = (notification.method.clone(), uri.map(|u| compact(&u)));
        self.0.retain(|(known, _)| *known != key);
        if text.len() <= WAITING_BYTES && self.0.len() < WAITING {
            self.0.push_back((key, text));
        }
    }

    /// Says it all on `stream`.
    pub(super) fn flush(&mut self, stream: &dyn Way) {
        for (_, text) in self.0.drain(..) {
            stream.push(Weight::Heavy, text);
        }
        self.0.shrink_to_fit();
    }
}

/// The same value without the message it was cut from.
pub(super) fn compact(value: &Raw) -> Raw {
    Raw::scan(Bytes::copy_from_slice(value.as_bytes()), crate::jsonrpc::scan::ScanLimits::ANSWER)
        .unwrap_or_else(|_| Raw::null())
}
