//! Word of what changes. A legacy client subscribes to URIs and is told over its session; a modern one opens a stream with
//! `subscriptions/listen` and says there what it wants to hear.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rmcp::{
    ErrorData, Peer, RoleServer,
    model::{ResourceUpdatedNotificationParam, SubscriptionFilter},
    service::{SubscriptionContext, SubscriptionSendError},
};

use super::{
    super::{
        changes::{Change, Changes, News},
        ledger::Ledger,
        model::InvoiceId,
    },
    Session,
};

/// How many URIs a legacy session, or one stream of a modern client, may watch.
const MAX_URIS: usize = 100;

/// What one session listens to.
pub(super) struct Subscriptions {
    ledger: Ledger,
    /// The changes since the session was opened.
    since: Changes,
    /// Whether the session has been initialised, which only legacy ones are.
    legacy: AtomicBool,
    /// The URIs that a legacy client watches.
    uris: Mutex<BTreeSet<String>>,
    /// Where modern streams begin to read that are being opened.
    opening: Mutex<Vec<Changes>>,
}

/// What a batch of changes comes to, for one listener.
struct Word {
    list_changed: bool,
    updated: BTreeSet<String>,
}

impl Subscriptions {
    pub(super) fn new(ledger: &Ledger) -> Self {
        Self {
            ledger: ledger.clone(),
            since: ledger.changes(),
            legacy: AtomicBool::new(false),
            uris: Mutex::default(),
            opening: Mutex::default(),
        }
    }

    pub(super) fn is_legacy(&self) {
        self.legacy.store(true, Ordering::Release);
    }

    /// Watches a URI for a legacy client.
    pub(super) fn add(&self, uri: String) -> Result<(), ErrorData> {
        let mut uris = self.uris();
        if uris.len() >= MAX_URIS && !uris.contains(&uri) {
            let message = format!("a session may watch {MAX_URIS} resources; unsubscribe from some first");
            return Err(ErrorData::invalid_params(message, None));
        }
        uris.insert(uri);
        Ok(())
    }

    pub(super) fn remove(&self, uri: &str) {
        self.uris().remove(uri);
    }

    /// What a modern client may listen to: the list, and invoices, whether there are any of those numbers yet or not.
    pub(super) fn accept(&self, requested: &SubscriptionFilter) -> SubscriptionFilter {
        // From here on, not from when `listen` is called: the SDK tells the client in between that it is listening, and
        // what happens after that has to be heard.
        self.opening.lock().unwrap_or_else(PoisonError::into_inner).push(self.ledger.changes());
        let mut accepted = requested.clone();
        if let Some(uris) = &mut accepted.resource_subscriptions {
            uris.retain(|uri| InvoiceId::from_uri(uri).is_some());
            uris.truncate(MAX_URIS);
        }
        accepted
    }

    /// Tells a modern client what it asked for, until it has heard enough.
    pub(super) async fn listen(&self, context: &SubscriptionContext) {
        let mut changes = self.opened();
        let watched = context.accepted().resource_subscriptions.clone().unwrap_or_default().into_iter().collect();
        loop {
            let news = tokio::select! {
                () = context.cancelled() => return,
                news = changes.next() => news,
            };
            let Some(news) = news else { return };
            let word = Word::of(&news, &watched);
            let sink = context.sink();
            let mut sent = Ok(());
            if word.list_changed && context.accepted().resources_list_changed == Some(true) {
                sent = sink.notify_resource_list_changed().await;
            }
            for uri in word.updated {
                sent = sent.and(sink.notify_resource_updated(uri).await);
            }
            if let Err(SubscriptionSendError::SubscriptionClosed | SubscriptionSendError::Service(_)) = sent {
                return;
            }
        }
    }

    /// Where a stream begins to read that is open now.
    ///
    /// Streams that are opened at the same time cannot be told apart here. So the first of them begins where any of them
    /// may, which may be a little early for it, and is late for none.
    fn opened(&self) -> Changes {
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = opening.iter().reduce(|a, b| if b.is_behind(a) { b } else { a }).cloned();
        let latest = (1..opening.len()).fold(0, |a, b| if opening[a].is_behind(&opening[b]) { b } else { a });
        if !opening.is_empty() {
            opening.remove(latest);
        }
        earliest.unwrap_or_else(|| self.ledger.changes())
    }

    fn uris(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.uris.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Tells a legacy client about changes, for as long as the session lasts. Modern clients hear nothing that they have
    /// not asked for.
    pub(in super::super) async fn announce_to_legacy(self, peer: Peer<RoleServer>) -> Infallible {
        let subscriptions = &*self.subscriptions;
        let mut changes = subscriptions.since.clone();
        loop {
            let Some(news) = changes.next().await else {
                // Nothing can change any more.
                return std::future::pending().await;
            };
            if !subscriptions.legacy.load(Ordering::Acquire) {
                continue;
            }
            let word = Word::of(&news, &subscriptions.uris());
            // These fail only when the session is over, and that ends this as well.
            if word.list_changed {
                let _ = peer.notify_resource_list_changed().await;
            }
            for uri in word.updated {
                let _ = peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await;
            }
        }
    }
}

impl Word {
    /// However much has changed, each thing is said once.
    fn of(news: &News, watched: &BTreeSet<String>) -> Self {
        let News::Changes(changes) = news else {
            // Whoever has missed something has to look at everything.
            return Self { list_changed: true, updated: watched.clone() };
        };
        let created = |change: &Change| matches!(change, Change::Created(_));
        let uris = changes.iter().map(|change| match change {
            Change::Created(id) | Change::Paid(id) => id.uri(),
        });
        Self { list_changed: changes.iter().any(created), updated: uris.filter(|uri| watched.contains(uri)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{calendar::system_clock, model::InvoiceId},
        *,
    };
    use crate::demo::tests::within;

    /// What happens between the acknowledgement of a stream and its first breath is not lost, in whichever order streams
    /// that are opened together begin.
    #[tokio::test]
    async fn a_stream_begins_where_it_was_accepted() {
        let ledger = Ledger::new(system_clock());
        let subscriptions = Subscriptions::new(&ledger);
        let pay = |number| ledger.pay(InvoiceId { year: 2026, number }, true).expect("it can be paid").id;
        subscriptions.accept(&SubscriptionFilter::new());
        let first = pay(17);
        subscriptions.accept(&SubscriptionFilter::new());
        let second = pay(34);
        // The one that was accepted later may be the first to begin: both know of everything since the first acceptance.
        for _ in 0..2 {
            let news = within(subscriptions.opened().next()).await;
            assert_eq!(news, Some(News::Changes(vec![Change::Paid(first), Change::Paid(second)])));
        }
        // Nothing is left over for a stream that is opened later.
        subscriptions.accept(&SubscriptionFilter::new());
        let third = pay(38);
        assert_eq!(within(subscriptions.opened().next()).await, Some(News::Changes(vec![Change::Paid(third)])));
    }
}
