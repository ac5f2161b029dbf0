//! A place in the table of topics, and what it takes and gives up.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::StreamExt;

use crate::{
    hub::{Fault, Reason},
    protocol::Method,
    upstream::Session,
};

use super::{
    AT_ONCE, LONGEST, PATIENCE, Topics, Use,
    table::{End, LINGERING, Taken, Topic},
    worded,
};

/// How many resources may be subscribed to in one session.
const TOPICS: usize = 10_000;
/// How many subscriptions one principal may hold in one session.
const OF_PRINCIPAL: usize = 4096;
/// How long a server may take for all that one client asks for at once. Its client waits for the acknowledgement.
const ALTOGETHER: Duration = Duration::from_secs(15);

/// A holder's place. Dropped, it gives up everything it held.
pub(in crate::mount) struct Hold {
    pub(in crate::mount) topics: Arc<Topics>,
    pub(super) id: u64,
}

impl Hold {
    /// Subscribes to a resource, unless somebody has already.
    ///
    /// # Errors
    /// The server's, its silence, and where too many are held.
    pub(in crate::mount) async fn take(&self, session: &Arc<dyn Session>, uri: &str) -> Result<(), Fault> {
        let (topic, turn) = self.enter(uri)?;
        // Given back where this fails, or is dropped before it is done.
        let mut entered = Entered { hold: self, topic, stays: false };
        let mut taken = turn.lock().await;
        if *taken != Taken::Yes {
            *taken = Taken::Maybe;
            match tokio::time::timeout(PATIENCE, session.call(worded(Method::ResourcesSubscribe, uri))).await {
                Ok(Ok(_)) => *taken = Taken::Yes,
                Ok(Err(fault)) => {
                    *taken = Taken::No;
                    return Err(fault);
                }
                Err(_) => {
                    let message = "the server did not answer the subscription in time";
                    return Err(Fault::gateway(Reason::Timeout, message).before_anything_ran());
                }
            }
        }
        entered.stays = true;
        Ok(())
    }

    /// Subscribes to many; returns those that were taken in time, in order.
    pub(in crate::mount) async fn take_all(&self, session: &Arc<dyn Session>, uris: &[Arc<str>]) -> Vec<Arc<str>> {
        let mut taken: Vec<_> =
            futures_util::stream::iter(uris.iter().cloned().enumerate().map(|(at, uri)| async move {
                match self.take(session, &uri).await {
                    Ok(()) => Some((at, uri)),
                    Err(fault) => {
                        tracing::debug!(reason = fault.to_string(), "left out of a subscription");
                        None
                    }
                }
            }))
            .buffer_unordered(AT_ONCE)
            .take_until(tokio::time::sleep(ALTOGETHER))
            .filter_map(std::future::ready)
            .collect()
            .await;
        taken.sort_unstable_by_key(|(at, _)| *at);
        taken.into_iter().map(|(_, uri)| uri).collect()
    }

    /// Notes what the holder subscribed to in its own words.
    ///
    /// # Errors
    /// Where too many are held.
    pub(in crate::mount) fn note(&self, uri: &str) -> Result<(), Fault> {
        let (_, turn) = self.enter(uri)?;
        if let Ok(mut turn) = turn.try_lock() {
            *turn = Taken::Yes;
        }
        Ok(())
    }

    /// Whether the holder subscribed to a resource.
    pub(in crate::mount) fn holds(&self, uri: &str) -> bool {
        self.topics.lock().holders.get(&self.id).is_some_and(|holder| holder.topics.contains(uri))
    }

    /// Gives a resource up; `asked` where the server was told so already.
    pub(in crate::mount) fn release(&self, uri: &str, asked: bool) {
        self.topics.lock().leave(self.id, uri, if asked { End::Forgotten } else { End::Lingers });
        self.topics.stirred.notify_one();
    }

    fn enter(&self, uri: &str) -> Result<(Arc<str>, Arc<tokio::sync::Mutex<Taken>>), Fault> {
        let full = |what| Err(Fault::gateway(Reason::Limit, what));
        if uri.len() > LONGEST {
            return full("the URI is too long to subscribe to");
        }
        let mut table = self.topics.lock();
        let table = &mut *table;
        let Some(holder) = table.holders.get_mut(&self.id) else { return full("the subscription has ended") };
        if !table.topics.contains_key(uri) && table.topics.len() >= TOPICS + table.lingering.min(LINGERING) {
            return full("too many resources are subscribed to at this server");
        }
        let topic: Arc<str> = table.topics.get_key_value(uri).map_or_else(|| uri.into(), |(known, _)| known.clone());
        if !holder.topics.contains(&topic) {
            let held = table.held.entry(holder.principal.clone()).or_default();
            if *held >= OF_PRINCIPAL {
                return full("too many subscriptions, end some first");
            }
            *held += 1;
            holder.topics.insert(topic.clone());
        }
        let known = table.topics.entry(topic.clone()).or_insert_with(|| Topic {
            turn: Arc::default(),
            holders: HashSet::new(),
            until: None,
        });
        known.holders.insert(self.id);
        if known.until.take().is_some() {
            table.lingering -= 1;
        }
        Ok((topic, known.turn.clone()))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut table = self.topics.lock();
        let end = if self.topics.used == Use::Own { End::Forgotten } else { End::Lingers };
        let held =
            table.holders.get(&self.id).map(|h| h.topics.iter().cloned().collect::<Vec<_>>()).unwrap_or_default();
        for topic in held {
            table.leave(self.id, &topic, end);
        }
        let gone = table.holders.remove(&self.id);
        drop(table);
        // A listener may be the last to hold something that locks.
        drop(gone);
        self.topics.stirred.notify_one();
    }
}

/// A topic that was entered and is given back, unless it stays.
struct Entered<'a> {
    hold: &'a Hold,
    topic: Arc<str>,
    stays: bool,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if !self.stays {
            self.hold.topics.lock().leave(self.hold.id, &self.topic, End::Now);
            self.hold.topics.stirred.notify_one();
        }
    }
}
