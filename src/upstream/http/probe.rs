//! Which era a server speaks: asked once, remembered, and doubted when the server behaves as if it had changed.
//!
//! The probe is always `server/discover`, never a request of a client: some legacy servers would run one without a
//! handshake (2026-07-28, basic/versioning#backward-compatibility).

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::hub::{Description, Fault, Reason};

use super::{
    EraChoice,
    discover::{Finding, discover, no_common_revision},
    flight::Flight,
    server::Server,
};

/// The shortest time between two probes that odd answers provoke.
const DOUBT: Duration = Duration::from_secs(10);
/// The shortest time for which a description is kept, whatever the server says.
const SHORTEST: Duration = Duration::from_secs(60);
/// For how long a description is kept whose server says nothing.
const USUAL: Duration = Duration::from_secs(300);

/// What a server speaks.
#[derive(Clone)]
pub(super) enum Verdict {
    /// The modern era; who it is.
    Modern(Arc<Modern>),
    /// The legacy era.
    Legacy,
}

/// A modern server.
pub(super) struct Modern {
    pub(super) description: Arc<Description>,
    fresh_until: Instant,
    /// Whether it still is what it said, shared by all that was found out about it while it was modern.
    pub(super) valid: Arc<AtomicBool>,
}

/// Finds and keeps the verdict on one server.
pub(super) struct Detector {
    server: Arc<Server>,
    known: Arc<Mutex<Known>>,
    probing: Flight<Result<Verdict, Fault>>,
}

#[derive(Default)]
struct Known {
    verdict: Option<Verdict>,
    /// When a legacy verdict is to be looked at again.
    until: Option<Instant>,
    probed: Option<Instant>,
}

impl Detector {
    pub(super) fn new(server: Arc<Server>) -> Self {
        let verdict = (server.settings.era == EraChoice::Legacy).then_some(Verdict::Legacy);
        let known = Arc::new(Mutex::new(Known { verdict, until: None, probed: None }));
        Self { server, known, probing: Flight::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The verdict, where there is one.
    pub(super) fn known(&self) -> Option<Verdict> {
        self.lock().verdict.clone()
    }

    /// The verdict, by probing where there is none. A legacy verdict that has grown old is used once more while the server
    /// is probed in the background, for otherwise nobody would notice that it has become modern.
    pub(super) async fn detect(&self) -> Result<Verdict, Fault> {
        let stale = {
            let known = self.lock();
            match &known.verdict {
                Some(verdict @ Verdict::Modern(_)) => return Ok(verdict.clone()),
                Some(Verdict::Legacy) => Some(known.until.is_some_and(|until| until <= Instant::now())),
                None => None,
            }
        };
        match stale {
            Some(stale) => {
                if stale {
                    self.probing.start(|| Box::pin(self.run()));
                }
                Ok(Verdict::Legacy)
            }
            None => self.probe().await,
        }
    }

    /// The description of a modern server, asked for again when it has grown old, and not again at once where that fails.
    pub(super) async fn refreshed(&self, modern: Arc<Modern>) -> Result<Verdict, Fault> {
        let (modern, is_recent) = {
            let known = self.lock();
            let is_recent = known.probed.is_some_and(|at| at.elapsed() < SHORTEST);
            match &known.verdict {
                Some(Verdict::Modern(latest)) => (latest.clone(), is_recent),
                Some(Verdict::Legacy) => return Ok(Verdict::Legacy),
                None => (modern, is_recent),
            }
        };
        if is_recent || Instant::now() < modern.fresh_until {
            return Ok(Verdict::Modern(modern));
        }
        match self.probe().await {
            Ok(verdict) => Ok(verdict),
            // It will be seen soon enough whether the server is there.
            Err(fault) if fault.reason() != Some(Reason::UpstreamVersion) => Ok(Verdict::Modern(modern)),
            Err(fault) => Err(fault),
        }
    }

    /// Probes again because the server answered as one of the other era would.
    pub(super) async fn doubt(&self) -> Result<Verdict, Fault> {
        let recent = {
            let known = self.lock();
            let probed = known.probed.is_some_and(|at| at.elapsed() < DOUBT);
            known.verdict.clone().filter(|_| probed && known.until.is_none_or(|until| until > Instant::now()))
        };
        match recent {
            Some(verdict) => Ok(verdict),
            None => self.probe().await,
        }
    }

    /// Probes now, whatever is known.
    pub(super) async fn probe(&self) -> Result<Verdict, Fault> {
        if self.server.settings.era == EraChoice::Legacy {
            return Ok(Verdict::Legacy);
        }
        let landed = self.probing.join(|| Box::pin(self.run())).await;
        landed.unwrap_or_else(|| Err(self.server.fault(Reason::Internal, "the probe was cut off")))
    }

    /// Forgets a legacy verdict: the handshake failed, so nothing is proven.
    pub(super) fn refute(&self) {
        let mut known = self.lock();
        if self.server.settings.era != EraChoice::Legacy && matches!(known.verdict, Some(Verdict::Legacy)) {
            *known = Known::default();
        }
    }

    fn run(&self) -> impl Future<Output = Result<Verdict, Fault>> + Send + 'static {
        let (server, known) = (self.server.clone(), self.known.clone());
        async move {
            let found = find(&server).await;
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            known.settle(&server, found)
        }
    }
}

async fn find(server: &Server) -> Result<Option<Description>, Fault> {
    let mut finding = discover(server).await;
    if matches!(finding, Finding::AskAgain) {
        finding = discover(server).await;
    }
    match finding {
        Finding::Modern(description) => Ok(Some(description)),
        Finding::Legacy if server.settings.era == EraChoice::Modern => Err(server.fault(
            Reason::UpstreamVersion,
            "it does not answer `server/discover` as a server of the modern era does, which the configuration says it is",
        )),
        Finding::Legacy => Ok(None),
        Finding::AskAgain => Err(no_common_revision(server)),
        Finding::Fault(fault) => Err(fault),
    }
}

impl Known {
    /// Keeps what was found. An outage settles nothing and leaves an older verdict as it was.
    fn settle(&mut self, server: &Server, found: Result<Option<Description>, Fault>) -> Result<Verdict, Fault> {
        let now = Instant::now();
        self.probed = Some(now);
        let found = match found {
            Ok(found) => found,
            Err(fault) => {
                server.fails(&fault);
                if let Some(until) = &mut self.until {
                    *until = (*until).max(now + SHORTEST);
                }
                return Err(fault);
            }
        };
        let before = match &self.verdict {
            Some(Verdict::Modern(modern)) => Some(modern.valid.clone()),
            _ => None,
        };
        let verdict = match found {
            Some(description) => {
                server.works();
                let keep = description.until.map_or(USUAL, |until| until.saturating_duration_since(now));
                self.until = None;
                Verdict::Modern(Arc::new(Modern {
                    description: Arc::new(description),
                    fresh_until: now + keep.max(SHORTEST),
                    valid: before.unwrap_or_else(|| Arc::new(AtomicBool::new(true))),
                }))
            }
            None => {
                if let Some(valid) = before {
                    valid.store(false, Ordering::Release);
                }
                self.until = Some(now + jittered(server.settings.legacy_verdict));
                Verdict::Legacy
            }
        };
        self.verdict = Some(verdict.clone());
        Ok(verdict)
    }
}

/// A tenth more or less, so that many gateways do not probe at the same moment.
fn jittered(time: Duration) -> Duration {
    use aws_lc_rs::rand::{SecureRandom, SystemRandom};
    let mut byte = [128];
    let _ = SystemRandom::new().fill(&mut byte);
    time.mul_f64(0.9 + 0.2 * f64::from(byte[0]) / 255.0)
}
