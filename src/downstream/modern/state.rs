//! What a client echoes with its answers (`requestState`): sealed, bound to the principal, the mount and the call.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    jsonrpc::{ErrorObject, Raw, RawObject, code, scan::ScanLimits},
    seal::{MAX_HANDLE, Purpose, Sealer},
};

use super::digest::Digest;

/// How long a state is good.
pub(super) const LIFE: Duration = Duration::from_secs(3600);
/// How much the clocks of two gateways that share keys may differ.
const SKEW: u64 = 90;

/// What a state stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// A call that waits here.
    Parked {
        /// Which one.
        call: String,
        /// Which of its questions the client has seen.
        generation: u32,
    },
    /// A server that keeps nothing: what it wants echoed.
    Relay {
        /// Its own state.
        upstream: Raw,
    },
}

/// The one answer to every state that does not open, belongs elsewhere or is too old: who made it up learns nothing.
pub(super) fn invalid() -> ErrorObject {
    ErrorObject::new(code::INVALID_PARAMS, "invalid or expired requestState")
        .with_data(Raw::constant(r#"{"reason":"invalid_request_state"}"#))
}

/// The time on the wall, which no adjustment of the system's clock moves while the process runs.
#[derive(Debug)]
pub(super) struct Clock {
    epoch: Duration,
    started: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { epoch, started: Instant::now() }
    }

    /// Seconds since 1970.
    fn now(&self) -> u64 {
        (self.epoch + self.started.elapsed()).as_secs()
    }
}

/// Where states are sealed and opened: for one principal at one mount.
pub(super) struct Seals<'a> {
    pub(super) sealer: &'a Sealer,
    pub(super) clock: &'a Clock,
    pub(super) principal: &'a str,
    pub(super) mount: &'a str,
}

impl Seals<'_> {
    /// Seals a state; `None` when it is larger than what would be opened again.
    pub(super) fn seal(&self, state: &State, digest: &Digest) -> Option<String> {
        let now = self.clock.now();
        let mut payload = RawObject::from([
            ("digest", Raw::of(digest)),
            ("issued", Raw::of(&now)),
            ("expires", Raw::of(&(now + LIFE.as_secs()))),
        ]);
        match state {
            State::Parked { call, generation } => {
                payload.set("call", Raw::from(&**call));
                payload.set("generation", Raw::of(generation));
            }
            State::Relay { upstream } => payload.set("upstream", upstream.clone()),
        }
        let payload = payload.to_raw();
        let sealed = self.sealer.seal(Purpose::RequestState, self.principal, self.mount, payload.as_bytes());
        (sealed.len() <= MAX_HANDLE).then_some(sealed)
    }

    /// Opens a state that was sealed for this call; `None` whatever is wrong with it.
    pub(super) fn open(&self, sealed: &Raw, digest: &Digest) -> Option<State> {
        let sealed = sealed.as_text()?;
        let payload = self.sealer.open(Purpose::RequestState, self.principal, self.mount, &sealed).ok()?;
        let payload = Raw::scan(Bytes::from(payload), ScanLimits::ANSWER).ok()?.to_object()?;
        let number = |key: &str| payload.get(key).and_then(|v| v.parse::<u64>().ok());
        let now = self.clock.now();
        if number("expires")? <= now || number("issued")? > now + SKEW {
            return None;
        }
        if payload.get("digest")?.parse::<Digest>().ok()? != *digest {
            return None;
        }
        match (payload.get("call"), payload.get("upstream")) {
            (Some(call), None) => Some(State::Parked {
                call: call.as_text()?.into_owned(),
                generation: u32::try_from(number("generation")?).ok()?,
            }),
            (None, Some(upstream)) => Some(State::Relay { upstream: upstream.clone() }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_state_opens_for_its_call_until_it_expires() {
        let (sealer, clock) = (Sealer::random(), Clock::new());
        let seals = Seals { sealer: &sealer, clock: &clock, principal: "alice", mount: "docs" };
        let states =
            [State::Parked { call: "c".to_owned(), generation: 3 }, State::Relay { upstream: Raw::from("step=2;\"é") }];
        for state in states {
            let sealed = Raw::from(&*seals.seal(&state, &[1; 32]).unwrap());
            assert_eq!(seals.open(&sealed, &[1; 32]), Some(state.clone()));
            assert_eq!(seals.open(&sealed, &[2; 32]), None);
            tokio::time::advance(LIFE - Duration::from_secs(2)).await;
            assert_eq!(seals.open(&sealed, &[1; 32]), Some(state));
            tokio::time::advance(Duration::from_secs(3)).await;
            assert_eq!(seals.open(&sealed, &[1; 32]), None);
        }
        let large = State::Relay { upstream: Raw::from(&*"x".repeat(MAX_HANDLE)) };
        assert_eq!(seals.seal(&large, &[1; 32]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn era_445_a_clock_may_be_a_minute_behind() {
        let sealer = Sealer::random();
        let ahead = Clock { epoch: Duration::from_secs(1_000_060), started: Instant::now() };
        let far_ahead = Clock { epoch: Duration::from_secs(1_000_200), started: Instant::now() };
        let behind = Clock { epoch: Duration::from_secs(1_000_000), started: Instant::now() };
        let seals = |clock| Seals { sealer: &sealer, clock, principal: "a", mount: "m" };
        let state = State::Parked { call: "c".to_owned(), generation: 1 };
        let sealed = |clock| Raw::from(&*seals(clock).seal(&state, &[0; 32]).unwrap());
        assert!(seals(&behind).open(&sealed(&ahead), &[0; 32]).is_some());
        assert!(seals(&behind).open(&sealed(&far_ahead), &[0; 32]).is_none());
    }
}
