//! How many may wait for the result of one task.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::hub::{Fault, Reason};

/// How many may wait at once. Each wait holds a place among the calls of its mount for as long as the task takes, and one is
/// enough for any client; more than these are refused as busy.
const MOST: usize = 16;

/// Room for those who wait for one task.
#[derive(Debug)]
pub(in crate::mount) struct Waits(Arc<Semaphore>);

impl Default for Waits {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Waits {
    /// Takes a place. Dropping it gives it back.
    ///
    /// # Errors
    /// When so many wait already.
    pub(in crate::mount) fn enter(&self) -> Result<OwnedSemaphorePermit, Fault> {
        let message = "too many requests wait for the result of this task already; one is enough";
        self.0.clone().try_acquire_owned().map_err(|_| Fault::gateway(Reason::Busy, message))
    }
}
