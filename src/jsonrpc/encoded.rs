//! A message as it is written.

use bytes::Bytes;

use super::Raw;

/// Up to this size, in bytes, copying a value is cheaper than handing it on as a piece of its own.
const COPIED: usize = 4 * 1024;

/// A message as it is written, in up to three pieces: a large value stands between what is written around it, and is
/// nowhere copied. Cloning shares the bytes.
#[derive(Clone, Debug, Default)]
pub struct Encoded([Bytes; 3]);

impl Encoded {
    /// A value between `head` and `tail`.
    pub(super) fn around(mut head: Vec<u8>, value: &Raw, tail: &'static [u8]) -> Self {
        let value = value.bytes();
        if value.len() > COPIED {
            return Self([Bytes::from(head), value, Bytes::from_static(tail)]);
        }
        head.reserve_exact(value.len() + tail.len());
        head.extend_from_slice(&value);
        head.extend_from_slice(tail);
        Self::from(Bytes::from(head))
    }

    /// The pieces in order; none of them is empty.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter(|piece| !piece.is_empty())
    }

    /// Takes the first of the pieces that are left.
    pub fn next_piece(&mut self) -> Option<Bytes> {
        self.0.iter_mut().find(|piece| !piece.is_empty()).map(std::mem::take)
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it in one piece, copied where there are several.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        let [first, second, third] = self.0;
        if second.is_empty() && third.is_empty() { first } else { [first, second, third].concat().into() }
    }
}

impl From<Bytes> for Encoded {
    fn from(text: Bytes) -> Self {
        Self([text, Bytes::new(), Bytes::new()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonrpc::{RequestId, encode_result};

    #[test]
    fn a_large_value_is_written_without_being_copied() {
        for (length, pieces) in [(COPIED, 1), (COPIED + 1, 3)] {
            let result = Raw::of(&"x".repeat(length - 2));
            let mut encoded = encode_result(&RequestId::number(7), &result);
            assert_eq!(encoded.pieces().count(), pieces);
            let is_shared = encoded.pieces().any(|piece| std::ptr::eq(piece.as_ptr(), result.as_bytes().as_ptr()));
            assert_eq!(is_shared, pieces > 1);
            let whole = encoded.clone().into_bytes();
            assert_eq!(encoded.len(), whole.len());
            let read: serde_json::Value = serde_json::from_slice(&whole).unwrap();
            assert_eq!(read["id"], 7);
            assert_eq!(read["result"].as_str().map(str::len), Some(length - 2));
            let taken: Vec<_> = std::iter::from_fn(|| encoded.next_piece()).collect();
            assert_eq!(taken.concat(), whole);
            assert!(encoded.is_empty());
        }
    }
}
