//! Answers that were given, for retries that come twice: a client whose connection broke sends its answers again.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::{Digest, Reply};

/// How many answers are kept.
const ANSWERS: usize = 8;

/// The answers given to past generations.
pub(super) struct Stored<O>(VecDeque<Entry<O>>);

struct Entry<O> {
    generation: u32,
    digest: Digest,
    reply: Reply<O>,
    length: usize,
    until: Instant,
}

impl<O> Default for Stored<O> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<O: Clone> Stored<O> {
    /// Keeps the answer that a generation's retry got, where all of them have no more than `room` bytes. What is too large is
    /// not kept.
    pub(super) fn keep(
        &mut self,
        (generation, digest): (u32, Digest),
        reply: Reply<O>,
        length: usize,
        until: Instant,
        room: usize,
    ) {
        if length > room {
            return;
        }
        self.0.push_back(Entry { generation, digest, reply, length, until });
        while self.0.len() > ANSWERS || self.length() > room {
            self.0.pop_front();
        }
    }

    /// The answer that the same retry got before.
    pub(super) fn find(&self, generation: u32, digest: &Digest, now: Instant) -> Option<Reply<O>> {
        let found = |e: &&Entry<O>| e.generation == generation && e.digest == *digest && now < e.until;
        self.0.iter().find(found).map(|e| e.reply.clone())
    }

    /// How many bytes are kept.
    pub(super) fn length(&self) -> usize {
        self.0.iter().map(|e| e.length).sum()
    }
}
