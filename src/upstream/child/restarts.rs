//! When a server that ends too soon may be started again.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::hub::{Fault, GatewayFault, Reason};

/// The pause after the first failure; doubled with each that follows.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);
/// A process that ran this long was well.
const HEALTHY: Duration = Duration::from_secs(60);
/// So many failures within [`HEALTHY`] stop the waiting: calls fail at once, and one attempt at a time is made.
const FAILURES: usize = 5;
/// How long a call waits for the next attempt rather than failing.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct State {
    /// Failures without a healthy minute between them.
    streak: u32,
    recent: VecDeque<Instant>,
    /// The earliest time of the next attempt.
    next: Option<Instant>,
    /// What happened last.
    why: String,
}

/// Backoff and breaker of one server.
pub(super) struct Restarts {
    upstream: Arc<str>,
    state: Mutex<State>,
}

impl Restarts {
    pub(super) fn new(upstream: &Arc<str>) -> Self {
        Self { upstream: upstream.clone(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until an attempt may be made.
    ///
    /// # Errors
    /// When that takes too long, with the time it takes.
    pub(super) async fn ready(&self) -> Result<(), Fault> {
        loop {
            let until = match self.state().admit(Instant::now()) {
                Admission::Go => return Ok(()),
                Admission::Wait(until) => until,
                Admission::Refused(after, why) => {
                    return Err(Fault::Gateway(GatewayFault {
                        upstream: Some(self.upstream.clone()),
                        retry_after: Some(after),
                        ..GatewayFault::new(
                            Reason::ConnectFailed,
                            format!("{why}; it is tried again in {} s", after.as_secs() + 1),
                        )
                    }));
                }
            };
            tokio::time::sleep_until(until).await;
        }
    }

    /// A session was opened.
    pub(super) fn up(&self) {
        let mut state = self.state();
        state.recent.clear();
        state.next = None;
    }

    /// An attempt failed, or what it started ended after it `lived` so long.
    pub(super) fn down(&self, fault: &Fault, lived: Duration) {
        let now = Instant::now();
        let mut state = self.state();
        if lived >= HEALTHY {
            state.streak = 0;
            state.recent.clear();
        }
        state.why = match fault {
            Fault::Gateway(fault) => fault.message.clone(),
            Fault::Answered(_) | Fault::Undeclared { .. } => "the server answers with errors".to_owned(),
        };
        state.streak = state.streak.saturating_add(1);
        state.recent.push_back(now);
        state.next = Some(now + pause(state.streak));
    }
}

enum Admission {
    Go,
    Wait(Instant),
    Refused(Duration, String),
}

impl State {
    fn admit(&mut self, now: Instant) -> Admission {
        while self.recent.front().is_some_and(|&at| now.duration_since(at) >= HEALTHY) {
            self.recent.pop_front();
        }
        let broken = self.recent.len() >= FAILURES;
        match self.next {
            Some(next) if next > now => {
                let left = next.duration_since(now);
                if broken || left > PATIENCE {
                    Admission::Refused(left, self.why.clone())
                } else {
                    Admission::Wait(next)
                }
            }
            _ => {
                if broken {
                    // One attempt; whoever comes next waits for what becomes of it.
                    self.next = Some(now + pause(self.streak));
                }
                Admission::Go
            }
        }
    }
}

/// The pause after so many failures, a quarter more or less.
fn pause(streak: u32) -> Duration {
    let full = FIRST.saturating_mul(1_u32.checked_shl(streak.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST);
    let mut byte = [128_u8];
    let _ = aws_lc_rs::rand::fill(&mut byte);
    (full * 3 / 4 + full * u32::from(byte[0]) / 512).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restarts() -> (Restarts, Fault) {
        let name = "x".into();
        let fault = Fault::upstream(Reason::UpstreamExited, &name, "it ended");
        (Restarts::new(&name), fault)
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_a_healthy_minute_ends_them() {
        let (restarts, fault) = restarts();
        let mut least = 0.150;
        for _ in 0..4 {
            restarts.down(&fault, Duration::ZERO);
            let before = Instant::now();
            restarts.ready().await.expect("an attempt");
            let waited = before.elapsed().as_secs_f64();
            assert!((least..=least * 2.0).contains(&waited), "{waited} after {least}");
            least *= 2.0;
        }
        restarts.down(&fault, HEALTHY);
        let before = Instant::now();
        restarts.ready().await.expect("an attempt");
        assert!(before.elapsed() < Duration::from_millis(300));
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_minute_make_calls_fail_at_once_and_one_attempt_at_a_time() {
        let (restarts, fault) = restarts();
        for _ in 0..5 {
            restarts.down(&fault, Duration::ZERO);
        }
        let before = Instant::now();
        let refused = restarts.ready().await.expect_err("the breaker is open");
        assert_eq!(before.elapsed(), Duration::ZERO);
        let Fault::Gateway(refused) = refused else { panic!("a gateway fault") };
        assert!(refused.message.starts_with("it ended; it is tried again in "), "{}", refused.message);
        tokio::time::sleep(refused.retry_after.expect("a time")).await;
        restarts.ready().await.expect("one attempt");
        restarts.ready().await.expect_err("but not two");
        restarts.up();
        restarts.ready().await.expect("it works again");
        restarts.ready().await.expect("for everybody");
    }

    #[test]
    fn no_pause_is_longer_than_the_longest() {
        for streak in [1, 7, 8, 9, 32, 33, u32::MAX] {
            assert!(pause(streak) >= FIRST / 2 && pause(streak) <= LONGEST);
        }
    }
}
