//! How long to wait before something is tried again.

use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);
/// What lasted this long was fine, and the next pause is the first again.
const FINE: Duration = Duration::from_secs(10);

/// Pauses that grow, each a little off, so that many who lost the same server do not come back at the same moment.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    since: Option<Instant>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST, since: None }
    }
}

impl Backoff {
    /// It works, as of now.
    pub(super) fn works(&mut self) {
        self.since = Some(Instant::now());
    }

    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        if self.since.take().is_some_and(|since| since.elapsed() >= FINE) {
            self.next = FIRST;
        }
        let mut byte = [0];
        // Without randomness the pause is the plain one.
        let _ = SystemRandom::new().fill(&mut byte);
        let pause = self.next.mul_f64(1.0 + 0.2 * f64::from(byte[0]) / 255.0);
        self.next = (self.next * 2).min(LONGEST);
        pause
    }

    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.next()).await;
    }
}
