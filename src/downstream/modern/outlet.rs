//! What one request hears while its call runs: a bounded queue of notifications.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use bytes::Bytes;

use crate::{
    downstream::accept::Accept,
    jsonrpc::{Notification, Raw, RawObject, encode_notification},
    protocol::{level::severity, meta, method::notification},
};

use super::envelope::Envelope;

/// How many notifications may wait for a slow reader.
const MESSAGES: usize = 64;
/// How many bytes of them.
const BYTES: usize = 256 * 1024;

/// What becomes of a notification on the stream of a request (2026-07-28, basic/transports: only what belongs to the
/// request). What no revision defines passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Progress,
    Log,
    Unknown,
    /// It belongs elsewhere: to a subscription, to another era.
    Misplaced,
}

impl Kind {
    pub(super) fn of(method: &str) -> Self {
        match method {
            notification::PROGRESS => Self::Progress,
            notification::MESSAGE => Self::Log,
            notification::INITIALIZED
            | notification::CANCELLED
            | notification::TOOLS_CHANGED
            | notification::PROMPTS_CHANGED
            | notification::RESOURCES_CHANGED
            | notification::RESOURCE_UPDATED
            | notification::ROOTS_CHANGED
            | notification::ACKNOWLEDGED
            | notification::ELICITATION_COMPLETE => Self::Misplaced,
            task if task.starts_with("notifications/tasks") => Self::Misplaced,
            _ => Self::Unknown,
        }
    }
}

/// Whether a notification has no place on a subscription: what belongs to a call, or to another era or hop.
pub(super) fn is_no_change(method: &str) -> bool {
    matches!(
        method,
        notification::PROGRESS
            | notification::MESSAGE
            | notification::ACKNOWLEDGED
            | notification::CANCELLED
            | notification::INITIALIZED
            | notification::ROOTS_CHANGED
            | notification::ELICITATION_COMPLETE
            | notification::TASK_STATUS
    )
}

/// The queue of one request.
#[derive(Debug)]
pub(super) struct Outlet {
    /// Whether anything but the result can be sent.
    events: bool,
    token: Option<Raw>,
    level: Option<usize>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// How many messages were there from the start: they do not count.
    backlog: usize,
    waker: Option<Waker>,
}

impl Outlet {
    pub(super) fn new(accept: Accept, envelope: &Envelope) -> Arc<Self> {
        Arc::new(Self {
            events: accept.events,
            token: envelope.progress_token.clone(),
            level: envelope.log_level.as_ref().and_then(severity),
            queue: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether log messages are wanted, from some level on.
    pub(super) fn wants_logs(&self) -> bool {
        self.level.is_some()
    }

    /// Makes room for so many messages that were said before the request came.
    pub(super) fn expect(&self, backlog: usize) {
        self.lock().backlog = backlog;
    }

    /// Takes a notification, if this request wants it. The oldest ones give way where too many wait.
    pub(super) fn put(&self, kind: Kind, notification: &Notification) {
        if !self.events {
            return;
        }
        let text = match kind {
            Kind::Misplaced => return,
            Kind::Unknown => encode_notification(&notification.method, notification.params.as_ref()),
            Kind::Log => {
                let level = notification.params.as_ref().and_then(|p| p.get("level")).and_then(severity);
                match (self.level, level) {
                    (Some(wanted), Some(level)) if level >= wanted => {}
                    _ => return,
                }
                encode_notification(&notification.method, notification.params.as_ref())
            }
            Kind::Progress => {
                let (Some(token), Some(params)) = (&self.token, &notification.params) else { return };
                let mut params: RawObject = params.clone();
                params.set(meta::PROGRESS_TOKEN, token.clone());
                encode_notification(&notification.method, Some(&params))
            }
        };
        if text.len() > BYTES {
            return;
        }
        let mut queue = self.lock();
        queue.bytes += text.len();
        queue.waiting.push_back(text);
        while queue.waiting.len() > MESSAGES + queue.backlog || queue.bytes > BYTES {
            let Some(oldest) = queue.waiting.pop_front() else { break };
            queue.bytes -= oldest.len();
        }
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next notification to send; where there is none, `waker` hears of the next.
    pub(super) fn take(&self, waker: &Waker) -> Option<Bytes> {
        let mut queue = self.lock();
        match queue.waiting.pop_front() {
            Some(text) => {
                queue.bytes -= text.len();
                Some(text)
            }
            None => {
                if !queue.waker.as_ref().is_some_and(|own| own.will_wake(waker)) {
                    queue.waker = Some(waker.clone());
                }
                None
            }
        }
    }
}
