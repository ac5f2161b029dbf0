//! Something that is done once, however many wait for it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::hub::BoxFuture;

/// At most one run at a time. A run goes on when those who wait for it leave.
pub(super) struct Flight<T> {
    current: Arc<Mutex<Option<watch::Receiver<Option<T>>>>>,
}

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Self { current: Arc::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Joins the run that is under way, or starts one. `None` when the run was cut off.
    pub(super) async fn join(&self, start: impl FnOnce() -> BoxFuture<T>) -> Option<T> {
        let mut result = self.start(start);
        let landed = result.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }

    /// Starts a run where none is under way.
    pub(super) fn start(&self, start: impl FnOnce() -> BoxFuture<T>) -> watch::Receiver<Option<T>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*current
            && running.has_changed().is_ok()
        {
            return running.clone();
        }
        let (landed, result) = watch::channel(None);
        *current = Some(result.clone());
        let run = start();
        let slot = self.current.clone();
        tokio::spawn(async move {
            let value = run.await;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
            landed.send_replace(Some(value));
        });
        result
    }
}
