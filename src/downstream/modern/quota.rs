//! How much of something a principal may hold at once, and everybody together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::hub::Principal;

/// Places that are taken and given back.
#[derive(Debug)]
pub(super) struct Quota {
    each: usize,
    all: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by: HashMap<Principal, usize>,
}

/// One place. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    quota: Arc<Quota>,
    principal: Principal,
}

impl Quota {
    /// At most `each` places for a principal and `all` for everybody.
    pub(super) fn new(each: usize, all: usize) -> Arc<Self> {
        Arc::new(Self { each, all, held: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, where there is one.
    pub(super) fn take(self: &Arc<Self>, principal: &Principal) -> Option<Place> {
        let mut held = self.lock();
        let own = held.by.get(principal).copied().unwrap_or_default();
        if own >= self.each || held.total >= self.all {
            return None;
        }
        held.total += 1;
        held.by.insert(principal.clone(), own + 1);
        Some(Place { quota: self.clone(), principal: principal.clone() })
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.lock().total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.quota.lock();
        held.total = held.total.saturating_sub(1);
        if let Some(own) = held.by.get_mut(&self.principal) {
            *own -= 1;
            if *own == 0 {
                held.by.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_come_back() {
        let quota = Quota::new(2, 3);
        let (alice, bob) = (Principal::new("alice"), Principal::new("bob"));
        let first = quota.take(&alice).unwrap();
        let second = quota.take(&alice).unwrap();
        assert!(quota.take(&alice).is_none());
        let third = quota.take(&bob).unwrap();
        assert!(quota.take(&bob).is_none(), "everybody together");
        drop(first);
        assert!(quota.take(&bob).is_some());
        drop((second, third));
        assert_eq!(quota.taken(), 0);
    }
}
