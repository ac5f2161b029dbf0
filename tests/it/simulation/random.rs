//! Chance that a seed decides.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A stream of numbers (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(AtomicU64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    pub(super) fn next(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A stream of its own, so that what one inhabitant does changes no other's chances.
    pub(super) fn fork(&self) -> Self {
        Self(AtomicU64::new(self.next()))
    }

    pub(super) fn below(&self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of several.
    pub(super) fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(of.len().max(1) as u64)).unwrap_or_default())
    }

    /// A pause of less than a moment.
    pub(super) async fn moment(&self) {
        tokio::time::sleep(Duration::from_millis(self.below(50))).await;
    }

    /// A pause: mostly short, sometimes long enough for every deadline to strike.
    pub(super) async fn pause(&self) {
        let millis = match self.below(20) {
            0..=7 => 0,
            8..=15 => self.below(50),
            16..=18 => self.below(5_000),
            _ => self.below(120_000),
        };
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}
