//! What is counted at one mount of what goes on between its clients and its server.

use std::sync::Arc;

use crate::protocol::Losses;

use super::{Life, LossCounts, Oddity, OddityCounts, QuestionCounts, QuestionEnd};

/// Everything that is counted at one mount below its calls. The mount makes it, and hands it to whatever may have something to
/// count: to its sessions with the server, and to each call with its [`Life`].
///
/// What somebody can do something about is logged as well, the first time that it happens at the mount.
#[derive(Debug, Default)]
pub struct Counts {
    mount: Arc<str>,
    questions: QuestionCounts,
    oddities: OddityCounts,
    losses: LossCounts,
}

impl Counts {
    /// Nothing counted yet at the mount with this name.
    #[must_use]
    pub fn new(mount: Arc<str>) -> Arc<Self> {
        Arc::new(Self { mount, ..Self::default() })
    }

    /// How the questions of the server ended.
    #[must_use]
    pub fn questions(&self) -> &QuestionCounts {
        &self.questions
    }

    /// What the server did against the protocol and what was put up with.
    #[must_use]
    pub fn oddities(&self) -> &OddityCounts {
        &self.oddities
    }

    /// What could not be carried between a client and the server.
    #[must_use]
    pub fn losses(&self) -> &LossCounts {
        &self.losses
    }

    /// A life in which all of it is counted, of something that no client called.
    pub(crate) fn life(self: &Arc<Self>) -> Life {
        let life = Life::default();
        life.count_in(self);
        life
    }

    /// A question of the server has ended.
    pub(crate) fn question_ended(&self, question: &str, end: QuestionEnd) {
        if self.questions.count(question, end)
            && let Some(advice) = end.advice()
        {
            // One of three words by now: it was counted.
            tracing::warn!(mount = &*self.mount, question, "{advice}");
        }
    }

    /// The server did something that it has no business to do.
    pub(crate) fn odd(&self, oddity: Oddity) {
        self.oddities.count(oddity);
    }

    /// Something could not be carried as it was.
    pub(crate) fn lost(&self, losses: impl Into<Losses>) {
        let losses = losses.into();
        if losses.is_empty() {
            return;
        }
        for loss in losses.each() {
            let is_first = self.losses.count(loss);
            match super::losses::advice(loss).filter(|_| is_first) {
                Some(advice) => tracing::warn!(mount = &*self.mount, kind = loss.as_str(), "{advice}"),
                None => tracing::debug!(mount = &*self.mount, kind = loss.as_str(), "something was lost on its way"),
            }
        }
    }
}
