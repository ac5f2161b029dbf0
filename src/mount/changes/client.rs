//! A legacy client's session, as far as it is told of changes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::mpsc;

use crate::{
    hub::{Caller, Scope},
    jsonrpc::{Notification, RawObject},
    protocol::method::notification,
};

use super::{
    follow::Wish,
    kinds::{Kind, Kinds},
    listener::announcement,
    topics::Hold,
    updates::{Updates, compact},
};

/// What is told to a legacy client outside its calls, once for as often as it happens in a short while. Lives as long as the
/// client's scope.
pub(in crate::mount) struct Client {
    scope: Weak<Scope>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// What its own server said beside the announcement of a list.
    said: [Option<RawObject>; 3],
    updates: Updates,
    telling: bool,
    /// What it holds at a legacy server.
    hold: Option<Arc<Hold>>,
    /// Who keeps its subscriptions at a modern server.
    wishes: Option<mpsc::Sender<Wish>>,
}

impl Client {
    pub(super) fn new(caller: &Caller) -> Arc<Self> {
        Arc::new(Self { scope: Arc::downgrade(&caller.scope), inner: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self, notification: Notification) {
        if let Some(scope) = self.scope.upgrade() {
            scope.peer().notify(notification);
        }
    }

    /// Its own server announced a change of this list, with these parameters.
    pub(super) fn said(&self, kind: &Kind, params: Option<&RawObject>) {
        if let Some(params) = params {
            self.lock().said[kind.kinds().index()] = compact(params);
        }
    }

    /// Lists have changed.
    pub(in crate::mount) fn changed(&self, kinds: Kinds) {
        for kind in kinds.each() {
            let params = self.lock().said[kind.kinds().index()].take();
            self.notify(Notification { params, ..announcement(kind) });
        }
    }

    /// A resource has changed. What else is said of it within `gathered` is told together.
    pub(in crate::mount) fn updated(self: &Arc<Self>, uri: &str, params: Option<RawObject>, gathered: Duration) {
        let mut inner = self.lock();
        if !inner.updates.keep_whole(uri, params.clone()) {
            drop(inner);
            // Too many wait, or it is too long to wait: the client's stream has bounds of its own.
            self.flush();
            let method = notification::RESOURCE_UPDATED.to_owned();
            return self.notify(Notification { method, params });
        }
        if !std::mem::replace(&mut inner.telling, true) {
            let own = Arc::downgrade(self);
            tokio::spawn(async move {
                tokio::time::sleep(gathered).await;
                if let Some(own) = own.upgrade() {
                    own.flush();
                }
            });
        }
    }

    fn flush(&self) {
        loop {
            let next = {
                let mut inner = self.lock();
                let next = inner.updates.next();
                inner.telling = next.is_some() && inner.telling;
                next
            };
            match next {
                Some(update) => self.notify(update),
                None => return,
            }
        }
    }

    /// Its hold on the subscriptions of a legacy server, made where there is none.
    pub(in crate::mount) fn hold(&self, join: impl FnOnce() -> Hold) -> Arc<Hold> {
        let mut inner = self.lock();
        match &inner.hold {
            Some(hold) => hold.clone(),
            None => inner.hold.insert(Arc::new(join())).clone(),
        }
    }

    /// Where it says what it wants of a modern server; made where there is nobody who listens to it.
    pub(in crate::mount) fn wishes(&self, start: impl FnOnce() -> mpsc::Sender<Wish>) -> mpsc::Sender<Wish> {
        let mut inner = self.lock();
        match &inner.wishes {
            Some(wishes) if !wishes.is_closed() => wishes.clone(),
            _ => inner.wishes.insert(start()).clone(),
        }
    }
}
