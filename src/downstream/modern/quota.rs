//! How much of something a principal may hold at once, and everybody together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::hub::Principal;

/// Places that are taken and given back.
#[derive(Debug, Default)]
pub(super) struct Quota {
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
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, where there is one: at most `each` for a principal and `all` for everybody.
    pub(super) fn take(self: &Arc<Self>, principal: &Principal, (each, all): (usize, usize)) -> Option<Place> {
        let mut held = self.lock();
        let own = held.by.get(principal).copied().unwrap_or_default();
        if own >= each || held.total >= all {
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
        let (quota, most) = (Arc::<Quota>::default(), (2, 3));
        let (alice, bob) = (Principal::new("alice"), Principal::new("bob"));
        let first = quota.take(&alice, most).unwrap();
        let second = quota.take(&alice, most).unwrap();
        assert!(quota.take(&alice, most).is_none());
        let third = quota.take(&bob, most).unwrap();
        assert!(quota.take(&bob, most).is_none(), "everybody together");
        drop(first);
        assert!(quota.take(&bob, most).is_some());
        drop((second, third));
        assert_eq!(quota.taken(), 0);
    }
}
