//! What reaches a client outside its calls: on the standalone stream, or later where it can wait.

use std::{collections::VecDeque, sync::Weak};

use bytes::Bytes;

use crate::{
    hub::{Answer, BoxFuture, Peer, Question, Refusal},
    jsonrpc::{Notification, Raw, encode_notification},
    protocol::method::notification,
};

use super::{
    level,
    log::{StreamLog, Weight},
    session::Session,
};

/// How many different things may wait for a stream.
const WAITING: usize = 256;
/// The largest notification that may wait, in bytes.
const WAITING_BYTES: usize = 2048;

/// The client outside its calls.
pub(super) struct Outside(pub(super) Weak<Session>);

impl Peer for Outside {
    fn notify(&self, notification: Notification) {
        let Some(session) = self.0.upgrade() else { return };
        let weight = match &*notification.method {
            // Progress belongs to a call, whose peer knows the client's token.
            notification::PROGRESS => return,
            notification::MESSAGE if !level::passes(&session.caller(), notification.params.as_ref()) => return,
            notification::MESSAGE => Weight::Light,
            _ => Weight::Heavy,
        };
        let text = encode_notification(&notification.method, notification.params.as_ref());
        let mut inner = session.lock();
        match inner.listening() {
            Some(stream) => {
                stream.push(weight, &text);
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
        match session.listening() {
            Some(stream) => session.ask(stream, None, question),
            None => refuse(Refusal::NoOne),
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
    pub(super) fn flush(&mut self, stream: &StreamLog) {
        for (_, text) in self.0.drain(..) {
            stream.push(Weight::Heavy, &text);
        }
        self.0.shrink_to_fit();
    }
}

/// The same value without the message it was cut from.
pub(super) fn compact(value: &Raw) -> Raw {
    Raw::scan(Bytes::copy_from_slice(value.as_bytes()), crate::jsonrpc::scan::ScanLimits::ANSWER)
        .unwrap_or_else(|_| Raw::null())
}
