//! Those at one mount who are told of the same changes.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::hub::{Caller, Credentials};

use super::{super::catalog::Catalog, Changes, Client, Kinds, Places};

/// How many different headers one client's session may send along and be told of changes for each; the longest unused goes
/// first, and with it what the session subscribed to under it.
const OF_CLIENT: usize = 8;

/// Everybody at one mount, by what they send along to its server: a change that the server announces to one of them is no
/// news of those who send something else.
pub(in crate::mount) struct Parties {
    catalog: Arc<Catalog>,
    /// Those who send nothing along.
    plain: Arc<Changes>,
    places: Arc<Places>,
    others: Mutex<Others>,
}

#[derive(Default)]
struct Others {
    by: HashMap<Credentials, Arc<Changes>>,
    /// What each client's session has sent along, by its scope, the latest last.
    sent: HashMap<u64, VecDeque<Credentials>>,
}

impl Parties {
    /// Nobody yet. `gateway` speaks to the server for those who send nothing along.
    pub(in crate::mount) fn new(catalog: Arc<Catalog>, gateway: Arc<Caller>) -> Arc<Self> {
        let places = Places::new();
        let plain = Changes::new(catalog.clone(), gateway, places.clone());
        Arc::new(Self { catalog, plain, places, others: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Others> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many hear of changes.
    pub(in crate::mount) fn count(&self) -> usize {
        let others: Vec<_> = self.lock().by.values().cloned().collect();
        self.plain.count() + others.iter().map(|changes| changes.count()).sum::<usize>()
    }

    /// Those who send the same along as this caller.
    pub(in crate::mount) fn of(&self, caller: &Caller) -> Arc<Changes> {
        if caller.credentials.is_empty() {
            return self.plain.clone();
        }
        let mut others = self.lock();
        if let Some(known) = others.by.get(&caller.credentials) {
            return known.clone();
        }
        let gone: Vec<_> =
            others.by.extract_if(|_, changes| Arc::strong_count(changes) == 1 && changes.is_deserted()).collect();
        let gateway = Caller::gateway(self.plain.gateway.principal.clone()).sending(&caller.credentials);
        let new = Changes::new(self.catalog.clone(), gateway, self.places.clone());
        others.by.insert(caller.credentials.clone(), new.clone());
        drop(others);
        // With the gateway's callers their scopes end, which takes locks of its own.
        drop(gone);
        new
    }

    /// The same, where anybody was ever told anything there.
    pub(in crate::mount) fn known(&self, caller: &Caller) -> Option<Arc<Changes>> {
        match caller.credentials.is_empty() {
            true => Some(self.plain.clone()),
            false => self.lock().by.get(&caller.credentials).cloned(),
        }
    }

    /// A client's own session, which is told from now on until its scope ends.
    pub(in crate::mount) fn client(self: &Arc<Self>, caller: &Caller) -> Arc<Client> {
        let scope = caller.scope.id();
        // One for all that it sends along: what is different in each request must not leave anything behind in its scope.
        caller.scope.on_close(self, move |parties| parties.leave(scope));
        let client = self.of(caller).client(caller);
        if caller.credentials.is_empty() {
            return client;
        }
        let mut others = self.lock();
        let sent = others.sent.entry(scope).or_default();
        if sent.back() == Some(&caller.credentials) {
            return client;
        }
        sent.retain(|known| *known != caller.credentials);
        sent.push_back(caller.credentials.clone());
        let oldest = if sent.len() > OF_CLIENT { sent.pop_front() } else { None };
        let left = oldest.and_then(|oldest| others.by.get(&oldest).cloned());
        drop(others);
        if let Some(changes) = left {
            changes.leave(scope);
        }
        client
    }

    /// A client's session is over.
    fn leave(&self, scope: u64) {
        let left: Vec<_> = {
            let mut others = self.lock();
            let sent = others.sent.remove(&scope).unwrap_or_default();
            sent.iter().filter_map(|sent| others.by.get(sent).cloned()).collect()
        };
        self.plain.leave(scope);
        for changes in left {
            changes.leave(scope);
        }
    }

    /// What is kept of these lists may be out of date.
    pub(in crate::mount) fn forget(&self, kinds: Kinds) {
        self.plain.forget(kinds);
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use tokio_util::sync::CancellationToken;

    use crate::hub::{Principal, Scope, SilentPeer};

    use super::{
        super::{LISTENERS, Listener, POLLERS},
        *,
    };

    /// However many different things are sent along, the mount has one number of places.
    #[tokio::test]
    async fn there_are_places_for_so_many_listeners_and_pollers_and_no_more() {
        let parties = Parties::new(Arc::default(), Caller::gateway(Principal::new("gateway")));
        let sending = |n: u32| {
            let sends = Credentials::of(&[(HeaderName::from_static("x-tenant"), HeaderValue::from(n))]);
            parties.of(&Caller::gateway(Principal::new("alice")).sending(&sends))
        };
        let (one, other, name) = (sending(1), sending(2), Arc::from("server"));
        let listener = || Listener::new(Kinds::default(), CancellationToken::new());
        let mut held: Vec<_> = (0..LISTENERS / 2).map(|_| one.add(&listener(), &name).ok().unwrap()).collect();
        held.extend((LISTENERS / 2..LISTENERS).map(|_| other.add(&listener(), &name).ok().unwrap()));
        assert!(one.add(&listener(), &name).is_err() && other.add(&listener(), &name).is_err());
        held.pop();
        assert!(one.add(&listener(), &name).is_ok());
        let most = u32::try_from(POLLERS).unwrap();
        let mut looks: Vec<_> = (0..most).map(|n| sending(n).place_to_poll().unwrap()).collect();
        assert!(sending(most).place_to_poll().is_none(), "enough is looked at");
        assert!(parties.plain.place_to_poll().is_some(), "who sends nothing is looked for all the same");
        looks.pop();
        assert!(sending(most).place_to_poll().is_some());
    }

    /// What a scope keeps for its end is kept as long as the scope.
    #[test]
    fn a_client_that_sends_something_else_each_time_leaves_nothing_behind() {
        let parties = Parties::new(Arc::default(), Caller::gateway(Principal::new("gateway")));
        let scope = Scope::session(Arc::new(SilentPeer));
        let client = Caller::gateway_in(Principal::new("alice"), scope.clone());
        parties.client(&client);
        for n in 0..1000_u32 {
            let value = HeaderValue::from(n);
            let sends = Credentials::of(&[(HeaderName::from_static("x-tenant"), value)]);
            parties.client(&client.clone().sending(&sends));
        }
        assert_eq!((scope.hooks(), parties.count()), (1, 1 + OF_CLIENT));
        assert!(parties.lock().by.len() <= OF_CLIENT + 1);
        drop((client, scope));
        assert_eq!(parties.count(), 0);
        assert!(parties.lock().sent.is_empty());
    }
}
