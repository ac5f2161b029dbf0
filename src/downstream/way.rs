//! A way to a client: where messages go that it is to read.

use bytes::Bytes;

/// Whether a message may be left out when a reader does not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Progress and log messages.
    Light,
    /// Questions and answers.
    Heavy,
}

/// A stream of one answer, or everything that is said on a connection.
pub(super) trait Way: Send + Sync {
    /// Says something; `false` when nothing can be said any more.
    fn push(&self, weight: Weight, message: Bytes) -> bool;

    /// Says something, unless the same waits there already and nobody has read it.
    fn push_once(&self, message: Bytes);

    /// Whether somebody is there to read it.
    fn has_reader(&self) -> bool;
}
