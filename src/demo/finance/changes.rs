//! What has changed in the books, for everybody who wants to know.
//!
//! The latest changes are kept with their numbers, and a `watch` channel says what the latest number is. A reader can so
//! begin at a moment of its own choosing, and a slow one costs nothing: it is told that it missed some.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use super::model::InvoiceId;

/// How many changes are kept. A reader that is further behind learns that it missed some.
const KEPT: usize = 256;

/// A change of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// There is a new invoice.
    Created(InvoiceId),
    /// An invoice was paid.
    Paid(InvoiceId),
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// What happened, in order.
    Changes(Vec<Change>),
    /// More than is kept: anything may have changed.
    Missed,
}

/// Where changes are announced.
#[derive(Debug)]
pub(super) struct Announcer {
    log: Arc<Mutex<VecDeque<Change>>>,
    /// How many changes there have been.
    count: watch::Sender<u64>,
}

/// Where changes are read, from a moment on. Clones read on from the same change, each for itself.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    log: Arc<Mutex<VecDeque<Change>>>,
    count: watch::Receiver<u64>,
    /// How many this one has read.
    read: u64,
}

impl Default for Announcer {
    fn default() -> Self {
        Self { log: Arc::default(), count: watch::Sender::new(0) }
    }
}

impl Announcer {
    pub(super) fn announce(&self, change: Change) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == KEPT {
            log.pop_front();
        }
        log.push_back(change);
        // Under the lock, so that the count never says more or less than the log has.
        self.count.send_modify(|count| *count += 1);
    }

    /// Reads what changes from now on.
    pub(super) fn changes(&self) -> Changes {
        let count = self.count.subscribe();
        let read = *count.borrow();
        Changes { log: self.log.clone(), count, read }
    }
}

impl Changes {
    /// Waits until something has changed, and takes all of it. `None` when nothing can change any more.
    ///
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<News> {
        let read = self.read;
        self.count.wait_for(|count| *count > read).await.ok()?;
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let count = *self.count.borrow();
        self.read = count;
        let new = usize::try_from(count - read).unwrap_or(usize::MAX);
        Some(match log.len().checked_sub(new) {
            Some(old) => News::Changes(log.iter().skip(old).copied().collect()),
            None => News::Missed,
        })
    }

    /// Which of two readers is further behind.
    pub(crate) fn is_behind(&self, other: &Self) -> bool {
        self.read < other.read
    }
}
