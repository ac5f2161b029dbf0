//! Asks a server for its lists now and then, for those who listen, where the server itself does not announce their changes.
//!
//! The gateway asks in its own name: lists that a server makes for each user are not told apart. A failure makes the pauses
//! longer, and no two gateways ask at the same moment for long.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    hub::Fault,
    jsonrpc::{Raw, code},
    protocol::Method,
};

use super::{super::single::Inner, Changes, Kinds};

/// The shortest pause between two looks, whatever the server says.
const SHORTEST: Duration = Duration::from_secs(60);
/// The longest, however often it failed and whatever the server says.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long the server may take for all its lists.
const PATIENCE: Duration = Duration::from_secs(60);

/// Each list as it was last seen, by its kind.
type Seen = [Option<digest::Digest>; 3];

/// Starts to look, where somebody listens and nobody looks yet.
pub(in crate::mount) fn start(inner: &Arc<Inner>, changes: &Arc<Changes>) {
    if !changes.has_listeners() || !changes.begins_to_poll() {
        return;
    }
    let Some(place) = changes.place_to_poll() else {
        changes.has_polled();
        tracing::debug!(
            "the lists of a server are looked at for as many headers of clients as may be, and for no more"
        );
        return;
    };
    let (weak, changes, closing) = (Arc::downgrade(inner), changes.clone(), inner.closing.clone());
    tokio::spawn(async move {
        let _place = place;
        let (mut seen, mut failures) = (Seen::default(), 0);
        loop {
            if !changes.has_listeners() {
                changes.has_polled();
                // Somebody may have come meanwhile, and found that somebody looks.
                if !changes.has_listeners() || !changes.begins_to_poll() {
                    return;
                }
                // Changes while nobody listened are nobody's news.
                seen = Seen::default();
            }
            let Some(inner) = weak.upgrade() else { return };
            let looked = tokio::select! {
                () = closing.cancelled() => return,
                looked = timeout(PATIENCE, look(&inner, &changes, &mut seen)) => looked,
            };
            drop(inner);
            let holds = match looked {
                Ok(Ok(holds)) => {
                    failures = 0;
                    holds
                }
                failed => {
                    failures += 1;
                    if let Ok(Err(fault)) = failed {
                        tracing::debug!(reason = fault.to_string(), "the lists of a server could not be looked at");
                    }
                    Duration::ZERO
                }
            };
            // A long pause is given up when nobody listens any more: the place is for others.
            let until = Instant::now() + jittered(pause(failures, holds));
            while changes.has_listeners() && Instant::now() < until {
                tokio::select! {
                    () = closing.cancelled() => return,
                    () = sleep_until(until.min(Instant::now() + SHORTEST)) => {}
                }
            }
        }
    });
}

/// The pause after so many failures in a row, or after lists that hold for so long.
fn pause(failures: u32, holds: Duration) -> Duration {
    let grown = SHORTEST.saturating_mul(2_u32.saturating_pow(failures));
    grown.max(holds).min(LONGEST)
}

/// Up to a fifth more.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness the pause is the plain one.
    let _ = SystemRandom::new().fill(&mut byte);
    pause.mul_f64(1.0 + 0.2 * f64::from(byte[0]) / 255.0)
}

/// Looks at every list whose changes are not announced, and says what has changed since the last look. Returns for how long
/// what was seen holds.
async fn look(inner: &Inner, changes: &Arc<Changes>, seen: &mut Seen) -> Result<Duration, Fault> {
    let session = inner.session(&changes.gateway).await?;
    let (mut changed, mut holds) = (Kinds::default(), Duration::MAX);
    for kind in Kinds::silent(&session.description()).each() {
        let mut content = digest::Context::new(&digest::SHA256);
        for method in kind.lists() {
            let member = method.list_member().unwrap_or_default();
            let pages = match inner.listed(&changes.gateway, method).await {
                Ok(pages) => pages,
                // Not every server that has resources knows templates.
                Err(Fault::Answered(error))
                    if error.code == code::METHOD_NOT_FOUND && *method == Method::TemplatesList =>
                {
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            for page in &pages.pages {
                content.update(page.get(member).map_or(&[], Raw::as_bytes));
                let ttl = page.get("ttlMs").and_then(|ttl| ttl.parse().ok()).unwrap_or_default();
                holds = holds.min(Duration::from_millis(ttl));
            }
        }
        let content = content.finish();
        let before = seen[kind.kinds().index()].replace(content);
        if before.is_some_and(|before| before.as_ref() != content.as_ref()) {
            changed |= kind.kinds();
        }
    }
    changes.announce(changed, None);
    Ok(if holds == Duration::MAX { Duration::ZERO } else { holds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_and_with_what_the_server_says() {
        for (failures, holds, expected) in
            [(0, 0, 60), (0, 300, 300), (1, 0, 120), (3, 5, 480), (40, 0, 3600), (0, 99_999, 3600)]
        {
            assert_eq!(pause(failures, Duration::from_secs(holds)), Duration::from_secs(expected));
        }
        let pause = jittered(SHORTEST);
        assert!((SHORTEST..=SHORTEST.mul_f64(1.2)).contains(&pause), "{pause:?}");
    }
}
