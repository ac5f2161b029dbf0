//! What is subscribed to in one session of a legacy server, and for whom.
//!
//! A resource is subscribed to once, however many want to hear of it, and for a while after the last of them has left: the
//! table counts, and the *turn* of a topic is held by whoever talks to the server about it.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use tokio::{sync::Notify, time::Instant};

use crate::{
    hub::{Caller, Counts, Principal},
    jsonrpc::{Raw, RawObject},
    protocol::{Loss, Method, ladder::Plan, method::notification},
    upstream::{Outgoing, Session},
};

use super::{Kinds, client::Client, listener::Listener, updates::GATHERED};

mod hold;
mod table;

pub(in crate::mount) use hold::Hold;
use table::{Holder, Table, Taken, Told, cuts};

/// How long a server may take for one of them.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many are talked about with the server at once.
const AT_ONCE: usize = 16;
/// The longest URI that is subscribed to, in bytes.
pub(in crate::mount) const LONGEST: usize = 8192;
/// How many of the places are looked at where a longer URI may have been cut.
const CUTS: usize = 64;

/// Who uses the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mount) enum Use {
    /// One legacy client, whose session it is: it hears everything, and what it held ends with it.
    Own,
    /// The requests of one principal.
    Principal,
    /// Several principals: each hears of what it named itself, and of nothing else.
    Several,
}

/// Who is told, and in which words.
pub(in crate::mount) struct Ear {
    pub(in crate::mount) plan: Plan,
    pub(in crate::mount) whose: Whose,
}

/// What a client held, where its scope has not ended.
pub(super) type Left = (Option<Arc<Caller>>, HashSet<Arc<str>>);

/// Whose ear it is.
pub(in crate::mount) enum Whose {
    Listener(Arc<Listener>),
    Client(Weak<Client>),
}

/// The subscriptions of one session, and of the next one when that is lost.
pub(in crate::mount) struct Topics {
    used: Use,
    counts: Arc<Counts>,
    table: Mutex<Table>,
    /// Something for the keeper to look at.
    pub(super) stirred: Notify,
}

impl Topics {
    pub(in crate::mount) fn new(used: Use, counts: Arc<Counts>, linger: Duration) -> Arc<Self> {
        Arc::new(Self { used, counts, table: Mutex::new(Table::new(linger)), stirred: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many resources are subscribed to.
    pub(in crate::mount) fn count(&self) -> usize {
        self.lock().topics.len()
    }

    /// A place for somebody who will be told through `ear`, and for whose sake the session is opened again.
    pub(in crate::mount) fn join(self: &Arc<Self>, ear: Ear, caller: &Caller, principal: &Principal) -> Hold {
        let mut table = self.lock();
        table.next += 1;
        let id = table.next;
        let principal = principal.clone();
        table.holders.insert(id, Holder { ear, caller: caller.downgrade(), principal, topics: HashSet::new() });
        Hold { topics: self.clone(), id }
    }

    /// A resource has changed: whoever subscribed to it, or to something it is a part of, is told. A client that has the
    /// session for itself is not: it hears what the server says.
    pub(in crate::mount) fn updated(&self, uri: &str, params: Option<&RawObject>) {
        let mut told: HashMap<u64, (Told, Plan, Arc<str>)> = HashMap::new();
        let (mut is_known, mut is_lost) = (false, false);
        if self.used != Use::Own {
            let table = self.lock();
            let exactly = self.used == Use::Several;
            for cut in cuts(uri).filter(|cut| cut.len() <= LONGEST).take(if exactly { 1 } else { CUTS }) {
                if exactly && cut != uri {
                    break;
                }
                let Some((topic, known)) = table.topics.get_key_value(cut) else { continue };
                is_known = true;
                for id in &known.holders {
                    // Nothing is let go of in here: the last to hold a client gives up what it held.
                    if let Entry::Vacant(vacant) = told.entry(*id)
                        && let Some((to, plan)) = table.holders.get(id).and_then(Holder::told)
                    {
                        vacant.insert((to, plan, topic.clone()));
                    }
                }
            }
            // What somebody gave up is meant for nobody.
            if told.is_empty() && !is_known && !table.was_given_up(uri) {
                let mut able = table.holders.iter().filter(|(_, holder)| !holder.topics.is_empty());
                match (able.next(), able.next()) {
                    // Whatever the server calls it: it can only be meant for the one who subscribed to anything.
                    (Some((id, holder)), None) if self.used == Use::Principal => {
                        if let (Some((to, plan)), Some(topic)) = (holder.told(), holder.topics.iter().next()) {
                            told.insert(*id, (to, plan, topic.clone()));
                        }
                    }
                    (somebody, _) => is_lost = somebody.is_some(),
                }
            }
        }
        if is_lost {
            self.counts.lost(Loss::ResourceUpdate);
        }
        for (to, plan, topic) in told.into_values() {
            let params = plan.notification(notification::RESOURCE_UPDATED, params.cloned());
            match to {
                Told::Listener(listener) => listener.updated(uri, &topic, params),
                Told::Client(client) => client.updated(uri, params, GATHERED),
            }
        }
    }

    /// Changes of these lists, and updates of everything that is held, may have been missed.
    pub(super) fn missed(&self, kinds: Kinds) {
        match self.used {
            Use::Own => self.clients().iter().for_each(|client| client.changed(kinds)),
            _ => self.lists_missed(kinds),
        }
        let topics: Vec<_> =
            self.lock().topics.iter().filter(|(_, t)| t.until.is_none()).map(|(u, _)| u.clone()).collect();
        for topic in topics {
            if self.used == Use::Own {
                self.clients().iter().for_each(|client| client.updated(&topic, None, GATHERED));
            } else {
                self.updated(&topic, None);
            }
        }
    }

    /// Changes of these lists may have been missed. A client that has the session for itself is told by it.
    pub(in crate::mount) fn lists_missed(&self, kinds: Kinds) {
        let told: Vec<_> = match self.used {
            Use::Own => Vec::new(),
            _ => self.lock().holders.values().filter_map(Holder::told).collect(),
        };
        for (to, _) in told {
            match to {
                Told::Listener(listener) => listener.changed(kinds),
                Told::Client(client) => client.changed(kinds),
            }
        }
    }

    fn clients(&self) -> Vec<Arc<Client>> {
        self.lock().holders.values().filter_map(|h| h.client()).collect()
    }

    /// Whether the keeper has to be started; whoever is told so starts it.
    pub(super) fn wants_keeper(&self) -> bool {
        !std::mem::replace(&mut self.lock().is_kept, true)
    }

    /// Whether the keeper may go, because nobody needs the session any more.
    pub(super) fn lets_keeper_go(&self) -> bool {
        let mut table = self.lock();
        let over = table.topics.is_empty() && !table.holders.values().any(Holder::needs_session);
        table.is_kept = !over;
        over
    }

    /// The keeper goes: the session is lost, and not opened again.
    pub(super) fn has_lost_keeper(&self) {
        let mut table = self.lock();
        table.forget_unheld();
        table.is_kept = false;
    }

    /// For whom the session can be opened again.
    pub(super) fn callers(&self) -> Vec<Arc<Caller>> {
        let table = self.lock();
        table.holders.values().filter(|h| h.needs_session()).filter_map(|h| h.caller.upgrade()).collect()
    }

    /// When the next topic goes that nobody holds any more.
    pub(super) fn next_end(&self) -> Option<Instant> {
        let table = self.lock();
        if table.lingering == 0 {
            return None;
        }
        table.topics.values().filter_map(|topic| topic.until).min()
    }

    /// Gives up what nobody has held for a while.
    pub(super) async fn sweep(&self, session: &Arc<dyn Session>) {
        let now = Instant::now();
        let ended: Vec<_> = {
            let table = self.lock();
            let ended = table.topics.iter().filter(|(_, topic)| topic.until.is_some_and(|until| until <= now));
            ended.map(|(uri, topic)| (uri.clone(), topic.turn.clone())).collect()
        };
        each_of(ended, |(uri, turn)| async move {
            let mut turn = turn.lock().await;
            if self.lock().topics.get(&uri).is_none_or(|topic| topic.until.is_none()) {
                return;
            }
            if std::mem::take(&mut *turn) != Taken::No && session.is_open() {
                // Whether it worked is of no interest to anybody.
                let _ = tokio::time::timeout(PATIENCE, session.call(worded(Method::ResourcesUnsubscribe, &uri))).await;
            }
            let mut table = self.lock();
            if table.topics.get(&uri).is_some_and(|topic| topic.until.is_some()) {
                table.give_up(&uri);
            }
        })
        .await;
    }

    /// Subscribes in a new session to everything that is held.
    pub(super) async fn restore(&self, session: &Arc<dyn Session>) {
        let held: Vec<_> = {
            let mut table = self.lock();
            // The server has forgotten them with the old session.
            table.forget_unheld();
            table.topics.iter().map(|(uri, topic)| (uri.clone(), topic.turn.clone())).collect()
        };
        let (failed, why) = (&AtomicUsize::new(0), &OnceLock::new());
        each_of(held, |(uri, turn)| async move {
            let mut turn = turn.lock().await;
            *turn = Taken::Maybe;
            let subscribed = tokio::time::timeout(PATIENCE, session.call(worded(Method::ResourcesSubscribe, &uri)));
            let reason = match subscribed.await {
                Ok(Ok(_)) => {
                    *turn = Taken::Yes;
                    return;
                }
                // The server may have it nevertheless: somebody may have subscribed in the new session before this.
                Ok(Err(fault)) => fault.to_string(),
                Err(_) => "there was no answer in time".to_owned(),
            };
            failed.fetch_add(1, Ordering::Relaxed);
            why.get_or_init(|| reason);
        })
        .await;
        // Once for all of them: there may be thousands. As a field, since the words may be the server's.
        if let Some(reason) = why.get() {
            let count = failed.load(Ordering::Relaxed);
            tracing::warn!(count, reason, "subscriptions could not be made again in a new session");
        }
    }

    /// Gives up what is held in a session that is left: where it is not lost, others may use it on.
    pub(super) fn quit(&self, session: Arc<dyn Session>) {
        let held: Vec<_> = self.lock().topics.keys().cloned().collect();
        if held.is_empty() {
            return;
        }
        tokio::spawn(async move {
            let session = &session;
            each_of(held, |uri| async move {
                // A session that is lost says so at once.
                let given_up = session.call(worded(Method::ResourcesUnsubscribe, &uri));
                let _ = tokio::time::timeout(PATIENCE, given_up).await;
            })
            .await;
        });
    }

    /// Ends every listener and takes what clients hold: the server does not speak as it did.
    pub(super) fn dissolve(&self) -> Vec<Left> {
        let mut table = self.lock();
        table.topics.clear();
        table.lingering = 0;
        table.held.clear();
        let mut left = Vec::new();
        for holder in table.holders.values_mut() {
            let topics = std::mem::take(&mut holder.topics);
            match &holder.ear.whose {
                Whose::Listener(listener) => listener.end(),
                Whose::Client(_) => left.push((holder.caller.upgrade(), topics)),
            }
        }
        left
    }
}

/// Does something for each, a few at once.
async fn each_of<T, F: Future<Output = ()>>(items: Vec<T>, work: impl Fn(T) -> F) {
    futures_util::stream::iter(items).for_each_concurrent(AT_ONCE, work).await;
}

/// A request in the gateway's own words.
fn worded(method: Method, uri: &str) -> Outgoing {
    Outgoing::own(method, RawObject::from([("uri", Raw::from(uri))]))
}
