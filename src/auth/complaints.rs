//! Telling the operator about keys that do not fit, without letting strangers fill the log.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// At most one line in this time; the next one says how many were left out.
const EVERY: Duration = Duration::from_secs(1);

/// Counts complaints between lines of the log.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    last: Mutex<(Option<Instant>, u64)>,
}

impl Complaints {
    /// Whether to write a line now, and how many complaints were not written since the last one.
    pub(super) fn next(&self) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        if last.0.is_some_and(|at| now - at < EVERY) {
            last.1 += 1;
            return None;
        }
        last.0 = Some(now);
        Some(std::mem::take(&mut last.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_wrong_keys_is_one_line_a_second() {
        let complaints = Complaints::default();
        assert_eq!(complaints.next(), Some(0));
        for _ in 0..1000 {
            assert_eq!(complaints.next(), None);
        }
        tokio::time::advance(EVERY).await;
        assert_eq!(complaints.next(), Some(1000));
        assert_eq!(complaints.next(), None);
    }
}
