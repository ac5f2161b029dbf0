//! How the questions of servers ended, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::method::question;

use super::{Answer, Refusal};

/// What may be asked.
const QUESTIONS: [&str; 3] = [question::ELICIT, question::SAMPLE, question::ROOTS];

/// How a question of a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionEnd {
    /// The client answered, be it that the person declined.
    Answered,
    /// The client answered with an error.
    Failed,
    /// The client never declared that it answers this.
    Undeclared,
    /// There was nobody to ask: the question belongs to no request, or to one in which nothing may be asked, or the client has
    /// no words for it or cannot be reached.
    NoOne,
    /// The client did not answer in time or left, or too much waited for answers already.
    Lapsed,
    /// The server did not wait: it took the question back, or the call ended.
    Withdrawn,
}

/// Counts by question and end.
#[derive(Debug, Default)]
pub struct QuestionCounts([[AtomicU64; QuestionEnd::ALL.len()]; QUESTIONS.len()]);

impl QuestionEnd {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Answered, Self::Failed, Self::Undeclared, Self::NoOne, Self::Lapsed, Self::Withdrawn];

    /// In one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Undeclared => "undeclared",
            Self::NoOne => "no_one",
            Self::Lapsed => "lapsed",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// What whoever runs the server can do about questions that end so, where that is anything.
    pub(super) const fn advice(self) -> Option<&'static str> {
        match self {
            Self::NoOne => Some(
                "a question of the server was refused, as there was nobody to ask: clients of 2026-07-28 are asked in the \
                 course of a call and at no other time",
            ),
            Self::Withdrawn => Some(
                "the server did not wait for the answer to a question: many wait a minute, which is less than a person may \
                 need, and some can be told to wait longer",
            ),
            Self::Answered | Self::Failed | Self::Undeclared | Self::Lapsed => None,
        }
    }

    /// What an answer means.
    pub(crate) fn of(answer: &Answer) -> Self {
        match answer {
            Ok(_) => Self::Answered,
            Err(Refusal::Answered(_)) => Self::Failed,
            Err(Refusal::Undeclared(_)) => Self::Undeclared,
            Err(Refusal::NoOne) => Self::NoOne,
            Err(Refusal::Lapsed) => Self::Lapsed,
        }
    }
}

impl QuestionCounts {
    /// Counts one that ended; whether it is the first of these questions that ended so.
    pub(super) fn count(&self, question: &str, end: QuestionEnd) -> bool {
        let at = QUESTIONS.iter().position(|known| *known == question);
        at.is_some_and(|at| self.0[at][end as usize].fetch_add(1, Ordering::Relaxed) == 0)
    }

    /// Those that ended, by question and end.
    pub fn show(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let rows = QUESTIONS.into_iter().zip(&self.0);
        let counts = rows.flat_map(|(question, counts)| {
            let ends = QuestionEnd::ALL.into_iter().map(QuestionEnd::as_str).zip(counts);
            ends.map(move |(end, count)| (question, end, count.load(Ordering::Relaxed)))
        });
        counts.filter(|(.., count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_a_place_of_its_own() {
        let counts = QuestionCounts::default();
        for question in QUESTIONS.into_iter().chain(["x/y"]) {
            for end in QuestionEnd::ALL {
                assert_eq!(counts.count(question, end), question != "x/y", "the first");
            }
        }
        let shown: Vec<_> = counts.show().collect();
        assert_eq!(shown.len(), QUESTIONS.len() * QuestionEnd::ALL.len());
        assert!(shown.iter().all(|(.., count)| *count == 1));
        let names: std::collections::HashSet<_> = shown.iter().map(|(_, end, _)| end).collect();
        assert_eq!(names.len(), QuestionEnd::ALL.len());
    }
}
