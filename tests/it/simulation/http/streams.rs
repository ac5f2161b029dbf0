//! What a stream of a legacy server has said, for whoever comes back to it.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::super::ledger::lock;

/// One stream. Its events are numbered from 1.
pub(super) struct Stream {
    pub(super) number: u64,
    /// Whether events have ids, by which it can be taken up again.
    pub(super) has_ids: bool,
    said: Mutex<Said>,
    pub(super) changed: watch::Sender<()>,
}

#[derive(Default)]
struct Said {
    events: Vec<Value>,
    is_over: bool,
}

impl Stream {
    pub(super) fn new(number: u64, has_ids: bool) -> Arc<Self> {
        Arc::new(Self { number, has_ids, said: Mutex::default(), changed: watch::Sender::new(()) })
    }

    /// Notes what is said on `lines` until the answer to `id` is there, or the session ends.
    pub(super) fn follow(
        self: Arc<Self>,
        mut lines: mpsc::UnboundedReceiver<Value>,
        id: Option<Value>,
        over: CancellationToken,
    ) {
        tokio::spawn(async move {
            let noting = async {
                while let Some(said) = lines.recv().await {
                    let is_end = id.is_some() && said.get("method").is_none() && Some(&said["id"]) == id.as_ref();
                    lock(&self.said).events.push(said);
                    self.changed.send_replace(());
                    if is_end {
                        return;
                    }
                }
            };
            over.run_until_cancelled(noting).await;
            lock(&self.said).is_over = true;
            self.changed.send_replace(());
        });
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.said).events.len()
    }

    /// The event after so many; `None` where there will be none.
    pub(super) async fn after(&self, count: usize) -> Option<Value> {
        let mut changed = self.changed.subscribe();
        loop {
            {
                let said = lock(&self.said);
                if let Some(event) = said.events.get(count) {
                    return Some(event.clone());
                }
                if said.is_over {
                    return None;
                }
            }
            changed.changed().await.ok()?;
        }
    }

    /// Whether the event after so many is its last, and there already.
    pub(super) fn is_whole(&self, count: usize) -> bool {
        let said = lock(&self.said);
        said.is_over && said.events.len() == count + 1
    }
}
