//! Who hears that something at a server has changed.
//!
//! A change is announced, not described: whoever hears of it lists or reads again. So what is announced again before
//! anybody was told is told once, a change that may have been missed is announced as one that happened, and nothing waits in
//! a queue that grows.
//!
//! | the client | the server | lists | resources |
//! |---|---|---|---|
//! | modern | modern | its own `subscriptions/listen`, passed through by [`relay`] | the same |
//! | modern | legacy | a [`Listener`](listener::Listener) | the [`Topics`](topics::Topics) of the session |
//! | legacy | legacy | a [`Client`], which its own session tells as well | its own session, noted in the `Topics` |
//! | legacy | modern | a `Client`, told by the one [`watch`] of the mount | a listen of its own, by [`follow`] |
//!
//! Changes of a list are told to everybody at the mount, in whichever session they were announced: they carry no data, and
//! a server may say them to one client alone, most often to the one whose call caused them. Where clients send headers of
//! their own along to the server, only those who send the same are told: see [`Parties`]. Updates of resources never leave the
//! session that subscribed.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{
    hub::{Caller, Fault, Reason},
    jsonrpc::{Notification, RawObject},
};

use super::catalog::Catalog;
pub(super) use parties::Parties;

mod backoff;
mod client;
pub(super) mod follow;
pub(super) mod keeper;
mod kinds;
pub(super) mod listener;
mod parties;
pub(super) mod poll;
pub(super) mod relay;
pub(super) mod topics;
mod updates;
pub(super) mod watch_lists;

pub(super) use client::Client;
pub(super) use kinds::Kinds;
pub(super) use updates::GATHERED;

use listener::Listener;

/// How many listeners a mount may have.
const LISTENERS: usize = 10_000;
/// For how many different things that clients send along the lists of a server are looked at now and then. For those who send
/// nothing they always are; for who comes beyond, changes are heard of when a list is asked for, as where nobody looks.
const POLLERS: usize = 64;
/// For how long changes of lists are gathered before they are told.
const LISTS: Duration = Duration::from_millis(100);

/// Everybody at one mount who sends the same along to its server, as far as they are told of changes by the gateway itself.
pub(super) struct Changes {
    catalog: Arc<Catalog>,
    /// The gateway itself, where it speaks to the server for all of them.
    pub(super) gateway: Arc<Caller>,
    hub: Mutex<Hub>,
    /// The places for listeners, which everybody at the mount shares.
    places: Arc<Places>,
    /// How many legacy clients there are.
    clients: watch::Sender<usize>,
    /// Watches the lists for them.
    pub(super) watched: watch_lists::Watched,
    /// Whether somebody looks at the lists now and then.
    polled: AtomicBool,
}

/// What everybody at a mount shares, whatever they send along: clients make that up.
struct Places {
    listeners: Arc<Semaphore>,
    pollers: Arc<Semaphore>,
}

#[derive(Default)]
struct Hub {
    listeners: HashMap<u64, Arc<Listener>>,
    /// By their scopes.
    clients: HashMap<u64, Arc<Client>>,
    next: u64,
    /// What is about to be told.
    announced: Kinds,
}

/// A listener that is told, until this is dropped.
pub(super) struct Registered {
    changes: Arc<Changes>,
    id: u64,
    _place: OwnedSemaphorePermit,
}

impl Places {
    fn new() -> Arc<Self> {
        let places = |most| Arc::new(Semaphore::new(most));
        Arc::new(Self { listeners: places(LISTENERS), pollers: places(POLLERS) })
    }
}

impl Changes {
    fn new(catalog: Arc<Catalog>, gateway: Arc<Caller>, places: Arc<Places>) -> Arc<Self> {
        let watched = watch_lists::Watched::default();
        Arc::new(Self {
            catalog,
            gateway,
            hub: Mutex::default(),
            places,
            clients: watch::Sender::new(0),
            watched,
            polled: AtomicBool::new(false),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are told.
    pub(super) fn count(&self) -> usize {
        let hub = self.lock();
        hub.listeners.len() + hub.clients.len()
    }

    /// Adds a listener.
    ///
    /// # Errors
    /// Where there are too many.
    pub(super) fn add(self: &Arc<Self>, listener: &Arc<Listener>, upstream: &Arc<str>) -> Result<Registered, Fault> {
        let Ok(place) = self.places.listeners.clone().try_acquire_owned() else {
            return Err(Fault::upstream(Reason::Limit, upstream, "too many subscriptions, close some first"));
        };
        let mut hub = self.lock();
        hub.next += 1;
        let id = hub.next;
        hub.listeners.insert(id, listener.clone());
        Ok(Registered { changes: self.clone(), id, _place: place })
    }

    /// A client's own session, which is told from now on until it [leaves](Self::leave).
    fn client(&self, caller: &Caller) -> Arc<Client> {
        let scope = caller.scope.id();
        let mut hub = self.lock();
        if let Some(client) = hub.clients.get(&scope) {
            return client.clone();
        }
        let client = Client::new(caller);
        hub.clients.insert(scope, client.clone());
        let count = hub.clients.len();
        drop(hub);
        self.clients.send_replace(count);
        client
    }

    /// The client of this scope, while it is told anything.
    pub(super) fn told(&self, scope: u64) -> Option<Arc<Client>> {
        self.lock().clients.get(&scope).cloned()
    }

    /// The client of this scope is told nothing any more.
    fn leave(&self, scope: u64) {
        let mut hub = self.lock();
        let gone = hub.clients.remove(&scope);
        let count = hub.clients.len();
        drop(hub);
        self.clients.send_replace(count);
        // It gives up what it held, which takes locks of its own.
        drop(gone);
    }

    /// Whether nobody is told anything here.
    fn is_deserted(&self) -> bool {
        let hub = self.lock();
        hub.listeners.is_empty() && hub.clients.is_empty() && hub.announced.is_empty()
    }

    /// Whether any legacy client is told.
    pub(super) fn has_clients(&self) -> bool {
        *self.clients.borrow() > 0
    }

    /// Resolves when there is no legacy client any more.
    pub(super) async fn deserted(&self) {
        let _ = self.clients.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Whether anybody would be told of a change.
    pub(super) fn has_listeners(&self) -> bool {
        !self.lock().listeners.is_empty() || self.has_clients()
    }

    /// Whether the one who asks is the one who begins to look at the lists.
    fn begins_to_poll(&self) -> bool {
        !self.polled.swap(true, Ordering::AcqRel)
    }

    /// The right to look for these; `None` where enough is looked at.
    fn place_to_poll(&self) -> Option<Option<OwnedSemaphorePermit>> {
        match self.gateway.credentials.is_empty() {
            true => Some(None),
            false => self.places.pollers.clone().try_acquire_owned().ok().map(Some),
        }
    }

    /// Nobody looks any more.
    fn has_polled(&self) {
        self.polled.store(false, Ordering::Release);
    }

    /// What is kept of these lists may be out of date.
    pub(super) fn forget(&self, kinds: Kinds) {
        for kind in kinds.each() {
            self.catalog.changed(kind.method);
        }
    }

    /// Lists have changed. What is kept of them is forgotten before anybody is told, so that nobody lists the old state
    /// again. `client` is the one whose own session said so, in its own words.
    pub(super) fn announce(self: &Arc<Self>, kinds: Kinds, client: Option<(&Client, Option<&RawObject>)>) {
        for kind in kinds.each() {
            self.catalog.changed(kind.method);
            if let Some((client, params)) = client {
                client.said(kind, params);
            }
        }
        let mut hub = self.lock();
        if kinds.is_empty() || hub.listeners.is_empty() && hub.clients.is_empty() {
            return;
        }
        let begins = hub.announced.is_empty();
        hub.announced |= kinds;
        drop(hub);
        if begins {
            let changes = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(LISTS).await;
                changes.tell();
            });
        }
    }

    /// A modern server said something on a listen that the gateway itself opened.
    pub(super) fn heard(self: &Arc<Self>, event: &Notification) {
        if let Some(kinds) = Kinds::announced(&event.method) {
            self.announce(kinds, None);
        }
    }

    fn tell(&self) {
        let (kinds, listeners, clients) = {
            let mut hub = self.lock();
            let listeners: Vec<_> = hub.listeners.values().cloned().collect();
            let clients: Vec<_> = hub.clients.values().cloned().collect();
            (std::mem::take(&mut hub.announced), listeners, clients)
        };
        for listener in listeners {
            listener.changed(kinds);
        }
        for client in clients {
            client.changed(kinds);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let gone = self.changes.lock().listeners.remove(&self.id);
        drop(gone);
    }
}
