//! What servers do against the protocol and what is put up with all the same, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Something that a server has no business to do, and that costs a call nothing or little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// On the answer to a request came a message that answers nothing: the response to another request, for one.
    StrayMessage,
    /// A result of 2026-07-28 without the `resultType` that it has to have. It is taken for `complete`.
    NoResultType,
    /// A task for a client that never said it knows tasks. The gateway sees it through.
    UndeclaredTask,
}

/// Counts by what was odd.
#[derive(Debug, Default)]
pub struct OddityCounts([AtomicU64; Oddity::ALL.len()]);

impl Oddity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::StrayMessage, Self::NoResultType, Self::UndeclaredTask];

    /// In a word or two.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StrayMessage => "stray_message",
            Self::NoResultType => "no_result_type",
            Self::UndeclaredTask => "undeclared_task",
        }
    }
}

impl OddityCounts {
    /// Counts one.
    pub(super) fn count(&self, oddity: Oddity) {
        self.0[oddity as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Those that were met.
    pub fn show(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = Oddity::ALL.into_iter().map(Oddity::as_str).zip(&self.0);
        counts.map(|(oddity, count)| (oddity, count.load(Ordering::Relaxed))).filter(|(_, count)| *count > 0)
    }
}
