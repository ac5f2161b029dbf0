//! A subscription of a modern client at a legacy server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::jsonrpc::{Notification, RawObject};

use super::{
    kinds::{Kind, Kinds},
    updates::{GATHERED, Updates},
};

/// What a listener has still to be told. It is bounded by what it asked for, however slowly the client reads.
pub(in crate::mount) struct Listener {
    kinds: Kinds,
    waiting: Mutex<Waiting>,
    wake: Notify,
    over: CancellationToken,
}

#[derive(Default)]
struct Waiting {
    lists: Kinds,
    updates: Updates,
}

impl Listener {
    /// One that wants to hear of these lists. It ends with `over`.
    pub(in crate::mount) fn new(kinds: Kinds, over: CancellationToken) -> Arc<Self> {
        Arc::new(Self { kinds, waiting: Mutex::default(), wake: Notify::new(), over })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists have changed.
    pub(super) fn changed(&self, kinds: Kinds) {
        let kinds = kinds & self.kinds;
        if !kinds.is_empty() {
            self.lock().lists |= kinds;
            self.wake.notify_one();
        }
    }

    /// A resource has changed that belongs to `topic`, to which this one subscribed.
    pub(super) fn updated(&self, uri: &str, topic: &Arc<str>, params: Option<RawObject>) {
        self.lock().updates.keep(uri, topic, params);
        self.wake.notify_one();
    }

    /// Ends the subscription: the client may subscribe again.
    pub(super) fn end(&self) {
        self.over.cancel();
    }

    fn next(&self) -> Option<Notification> {
        let mut waiting = self.lock();
        if let Some(kind) = waiting.lists.each().next() {
            waiting.lists = waiting.lists.without(kind.kinds());
            return Some(announcement(kind));
        }
        waiting.updates.next()
    }

    /// Tells everything until the client has enough; `held` is let go of then.
    pub(in crate::mount) async fn tell<T>(self: Arc<Self>, events: mpsc::Sender<Notification>, held: T) {
        loop {
            tokio::select! {
                () = events.closed() => break,
                () = self.over.cancelled() => break,
                () = self.wake.notified() => {}
            }
            tokio::time::sleep(GATHERED).await;
            while let Some(event) = self.next() {
                if events.send(event).await.is_err() {
                    break;
                }
            }
        }
        drop(held);
    }
}

/// The announcement carries no data: who hears it lists again.
pub(super) fn announcement(kind: &Kind) -> Notification {
    Notification { method: kind.method.to_owned(), params: None }
}
