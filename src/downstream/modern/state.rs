//! What a client echoes with its answers (`requestState`): sealed, bound to the principal, the mount and the call.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    jsonrpc::{Raw, RawObject, scan::ScanLimits},
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
        /// The process that it waits in.
        owner: String,
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
            State::Parked { owner, call, generation } => {
                payload.set("owner", Raw::from(&**owner));
                payload.set("call", Raw::from(&**call));
                payload.set("generation", Raw::of(generation));
            }
            State::Relay { upstream } => payload.set("upstream", upstream.clone()),
        }
        let payload = payload.to_raw();
        let sealed = self.sealer.seal(Purpose::RequestState, self.principal, self.mount, payload.as_bytes());
        (sealed.len() <= MAX_HANDLE).then_some(sealed)
    }

    /// Opens a state that was sealed for this call; `None` whatever is wrong with it, which only the log says.
    pub(super) fn open(&self, sealed: &Raw, digest: &Digest) -> Option<State> {
        let opened = self.payload(sealed).ok_or("it does not open for this principal at this mount");
        match opened.and_then(|payload| self.read(&payload, digest)) {
            Ok(state) => Some(state),
            Err(cause) => {
                self.refused(cause);
                None
            }
        }
    }

    /// Notes why a state is not taken.
    pub(super) fn refused(&self, cause: &'static str) {
        let Self { mount, principal, .. } = *self;
        tracing::info!(event = "request_state_refused", mount, principal, cause);
    }

    fn payload(&self, sealed: &Raw) -> Option<RawObject> {
        let sealed = sealed.as_text()?;
        let payload = self.sealer.open(Purpose::RequestState, self.principal, self.mount, &sealed).ok()?;
        Raw::scan(Bytes::from(payload), ScanLimits::ANSWER).ok()?.to_object()
    }

    fn read(&self, payload: &RawObject, digest: &Digest) -> Result<State, &'static str> {
        const MALFORMED: &str = "it holds something else";
        let number = |key: &str| payload.get(key).and_then(|v| v.parse::<u64>().ok()).ok_or(MALFORMED);
        let text = |key: &str| payload.get(key).and_then(Raw::as_text).ok_or(MALFORMED);
        let now = self.clock.now();
        if number("expires")? <= now {
            return Err("it has expired");
        }
        if number("issued")? > now + SKEW {
            return Err("it comes from the future");
        }
        if payload.get("digest").and_then(|digest| digest.parse::<Digest>().ok()) != Some(*digest) {
            return Err("it belongs to another call");
        }
        match payload.get("upstream") {
            Some(upstream) => Ok(State::Relay { upstream: upstream.clone() }),
            None => Ok(State::Parked {
                owner: text("owner")?.into_owned(),
                call: text("call")?.into_owned(),
                generation: u32::try_from(number("generation")?).map_err(|_| MALFORMED)?,
            }),
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
        let states = [
            State::Parked { owner: "o".to_owned(), call: "c".to_owned(), generation: 3 },
            State::Relay { upstream: Raw::from("step=2;\"é") },
        ];
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
        let state = State::Parked { owner: "o".to_owned(), call: "c".to_owned(), generation: 1 };
        let sealed = |clock| Raw::from(&*seals(clock).seal(&state, &[0; 32]).unwrap());
        assert!(seals(&behind).open(&sealed(&ahead), &[0; 32]).is_some());
        assert!(seals(&behind).open(&sealed(&far_ahead), &[0; 32]).is_none());
    }
}
