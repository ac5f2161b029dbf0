//! What waits to be written to a server: what cannot wait first, then the calls and notifications in their order.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::jsonrpc::lines::push_line;

/// How much is put into one write.
const BATCH: usize = 64 * 1024;
/// How many of our own answers may wait for a server that does not read; it gets none beyond.
const WAITING: usize = 1024;

/// The bytes being written, and what goes before everything else.
#[derive(Default)]
pub(super) struct Outbound {
    writing: BytesMut,
    first: VecDeque<Bytes>,
}

impl Outbound {
    /// Puts a cancellation before everything that is not being written yet. There is at most one for each running call.
    pub(super) fn cancel(&mut self, frame: Bytes) {
        self.first.push_back(frame);
    }

    /// Puts an answer to the server behind the cancellations and before the calls.
    pub(super) fn answer(&mut self, frame: Bytes) {
        if self.first.len() < WAITING {
            self.first.push_back(frame);
        }
    }

    /// Adds to the batch that will be written next.
    pub(super) fn push(&mut self, frame: &[u8]) {
        push_line(&mut self.writing, frame);
    }

    /// Whether the batch has room for more.
    pub(super) fn has_room(&self) -> bool {
        self.writing.len() < BATCH
    }

    /// Moves what cannot wait into the batch.
    pub(super) fn begin(&mut self) {
        if self.writing.is_empty() && self.writing.capacity() > 4 * BATCH {
            self.writing = BytesMut::new();
        }
        while let Some(frame) = self.first.pop_front() {
            self.push(&frame);
        }
    }

    /// What is to be written now.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.writing
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.writing.is_empty() && self.first.is_empty()
    }

    /// Notes that the first `n` bytes are written.
    pub(super) fn written(&mut self, n: usize) {
        self.writing.advance(n);
    }
}
