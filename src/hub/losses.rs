//! What could not be carried between a client and its server, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::Loss;

/// Counts by what was lost.
#[derive(Debug, Default)]
pub struct LossCounts([AtomicU64; Loss::ALL.len()]);

impl LossCounts {
    /// Counts one; whether it is the first of its kind.
    pub(super) fn count(&self, loss: Loss) -> bool {
        self.0[loss as usize].fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Those that happened.
    pub fn show(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = Loss::ALL.into_iter().map(Loss::as_str).zip(&self.0);
        counts.map(|(loss, count)| (loss, count.load(Ordering::Relaxed))).filter(|(_, count)| *count > 0)
    }
}

/// What whoever runs the gateway or the server can do about it, where that is anything. Where the question is only how
/// something looks at an older client there is nothing to do, and what is said by name elsewhere is not said twice.
pub(super) const fn advice(loss: Loss) -> Option<&'static str> {
    match loss {
        Loss::StatelessServer => Some(
            "the server keeps no sessions, so it cannot hear an answer: it is told that clients can be asked nothing. Where it \
             has questions, let it give out session ids",
        ),
        Loss::StreamlessServer => Some(
            "a call took too long, and the server offers no GET stream: if it asks its questions there, they are lost",
        ),
        Loss::ParkedCall => Some(
            "a call that waited for the answer of its client was lost with the process that held it: its client has to call \
             again. Letting parked calls end before a restart avoids it",
        ),
        Loss::Content
        | Loss::StructuredContent
        | Loss::OutputSchema
        | Loss::Form
        | Loss::Page
        | Loss::Sampling
        | Loss::Notification
        | Loss::LogMessage
        | Loss::ResourceUpdate
        | Loss::TaskMessage
        | Loss::LegacyQuestion
        | Loss::StreamlessClient => None,
    }
}
