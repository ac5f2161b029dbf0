//! Opening sessions with one server: finding its era once, and starting it as often as it is needed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    hub::{BoxFuture, Fault, Health, Reason},
    upstream::{Opening, Session, Sharing},
};

use super::{
    EraChoice, LineSettings, Pipe,
    actor::Ending,
    declare::Declaration,
    handshake::{Agreed, Finding, Wire},
    session::LineSession,
};

/// How long a server counts as legacy before it is probed again at its next start.
const LEGACY_FOR: Duration = Duration::from_secs(3600);

/// Starts servers to talk to over a pipe.
pub(crate) trait Launch: Send + Sync + 'static {
    /// Starts one. Waits, or fails at once, where the last ones ended too soon.
    fn launch(&self) -> BoxFuture<Result<Pipe, Fault>>;

    /// A session was opened.
    fn up(&self);

    /// A server that was started so long ago ended by itself, or could not be spoken with.
    fn down(&self, fault: &Fault, lived: Duration);
}

#[derive(Clone, Copy, Debug)]
enum Verdict {
    Unknown,
    Modern,
    Legacy(Instant),
    /// It has not answered the probe so far: legacy, as far as anybody can tell before `initialize`.
    Presumed,
}

/// A server that was probed, and nothing more.
struct Spare {
    wire: Wire,
    finding: Finding,
    started: Instant,
}

struct State {
    verdict: Verdict,
    spare: Option<Spare>,
    health: Health,
}

/// Opens sessions with the server that `launch` starts.
pub(crate) struct Opener<L> {
    name: Arc<str>,
    settings: LineSettings,
    launch: L,
    state: Mutex<State>,
    /// Held by whoever finds out the era.
    detecting: tokio::sync::Mutex<()>,
}

impl<L: Launch> Opener<L> {
    pub(crate) fn new(name: Arc<str>, settings: LineSettings, launch: L) -> Arc<Self> {
        let state = State { verdict: Verdict::Unknown, spare: None, health: Health::Unknown };
        let (state, detecting) = (Mutex::new(state), tokio::sync::Mutex::default());
        Arc::new(Self { name, settings, launch, state, detecting })
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn health(&self) -> Health {
        self.state().health.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who may share a session, where that is known.
    pub(crate) fn known_sharing(&self) -> Option<Sharing> {
        match (self.settings.era, self.state().verdict) {
            (EraChoice::Modern, _) | (EraChoice::Auto, Verdict::Modern) => Some(Sharing::Everybody),
            (EraChoice::Legacy, _) | (EraChoice::Auto, Verdict::Legacy(_) | Verdict::Presumed) => {
                Some(Sharing::ScopeAndCapabilities)
            }
            (EraChoice::Auto, Verdict::Unknown) => None,
        }
    }

    /// Who may share a session. The probing goes on when the caller stops waiting, so that an impatient client does not
    /// keep a slow server from ever being found out.
    pub(crate) async fn sharing(self: Arc<Self>) -> Result<Sharing, Fault> {
        if let Some(known) = self.known_sharing() {
            return Ok(known);
        }
        let own = self.clone();
        let detection = tokio::spawn(async move {
            let _one = own.detecting.lock().await;
            match own.known_sharing() {
                Some(known) => Ok(known),
                None => own.detect().await,
            }
        });
        detection.await.unwrap_or_else(|_| {
            Err(Fault::upstream(Reason::Internal, &self.name, "finding out the server's era failed"))
        })
    }

    async fn detect(&self) -> Result<Sharing, Fault> {
        let started = Instant::now();
        let mut wire = self.wire().await?;
        let (verdict, spare) = match wire.probe(self.settings.probe_timeout).await {
            Ok(finding) => {
                let verdict = match &finding {
                    Finding::Modern(_) => Verdict::Modern,
                    Finding::Legacy => Verdict::Legacy(Instant::now()),
                    Finding::Silent => Verdict::Presumed,
                };
                (verdict, Some(Spare { wire, finding, started }))
            }
            // Some legacy servers end at anything but `initialize`.
            Err(fault) if has_exited(&fault) => (Verdict::Legacy(Instant::now()), None),
            Err(fault) => return Err(self.failed(fault, started)),
        };
        let mut state = self.state();
        state.verdict = verdict;
        state.spare = spare;
        Ok(if matches!(verdict, Verdict::Modern) { Sharing::Everybody } else { Sharing::ScopeAndCapabilities })
    }

    async fn wire(&self) -> Result<Wire, Fault> {
        match self.launch.launch().await {
            Ok(pipe) => Ok(Wire::new(&self.name, pipe, &self.settings)),
            Err(fault) => {
                // Being busy says nothing about the server.
                if fault.reason() != Some(Reason::Busy) {
                    self.state().health = Health::Down(fault.to_string());
                }
                Err(fault)
            }
        }
    }

    /// Notes that a server is of no use.
    fn failed(&self, fault: Fault, started: Instant) -> Fault {
        self.launch.down(&fault, started.elapsed());
        let mut state = self.state();
        state.health = Health::Down(fault.to_string());
        state.verdict = Verdict::Unknown;
        fault
    }

    /// Opens a session.
    pub(crate) async fn open(self: Arc<Self>, opening: Opening) -> Result<Arc<dyn Session>, Fault> {
        if self.known_sharing().is_none() {
            self.clone().sharing().await?;
        }
        let declared = Declaration::of(&opening.caller);
        let outside = opening.outside;
        // The caller holds its scope, and a session must not keep the scope it belongs to alive.
        drop(opening.caller);
        let mut spare = self.state().spare.take();
        if spare.as_mut().is_some_and(|spare| !spare.wire.is_alive()) {
            spare = None;
        }
        let mut again = true;
        loop {
            let of_old = spare.is_some();
            let Spare { mut wire, finding, started } = match spare.take() {
                Some(spare) => spare,
                None => match self.start().await {
                    Ok(started) => started,
                    Err(Start::Failed(fault)) => return Err(fault),
                    Err(Start::Exited(fault, started)) if !again => return Err(self.failed(fault, started)),
                    Err(Start::Exited(..)) => {
                        again = false;
                        self.state().verdict = Verdict::Legacy(Instant::now());
                        continue;
                    }
                },
            };
            match wire.settle(finding, &declared).await {
                Ok(agreed) => return Ok(self.session(wire, agreed, (outside, declared), started)),
                // It ended at the probe, or while it waited to be used: neither says that it cannot run.
                Err(fault) if again && has_exited(&fault) && (of_old || wire.probed) => {
                    again = false;
                    if wire.probed && self.settings.era == EraChoice::Auto {
                        self.state().verdict = Verdict::Legacy(Instant::now());
                    }
                }
                Err(fault) => return Err(self.failed(fault, started)),
            }
        }
    }

    /// Starts a server and finds out what is left to find out.
    async fn start(&self) -> Result<Spare, Start> {
        let started = Instant::now();
        let mut wire = self.wire().await.map_err(Start::Failed)?;
        let patience = match (self.settings.era, self.state().verdict) {
            (EraChoice::Legacy, _) => None,
            (EraChoice::Auto, Verdict::Legacy(since)) if since.elapsed() < LEGACY_FOR => None,
            (EraChoice::Modern, _) | (EraChoice::Auto, Verdict::Modern) => Some(self.settings.start_timeout),
            (EraChoice::Auto, _) => Some(self.settings.probe_timeout),
        };
        let finding = match patience {
            None => Finding::Legacy,
            Some(patience) => match wire.probe(patience).await {
                Ok(finding) => finding,
                Err(fault) if has_exited(&fault) && self.settings.era == EraChoice::Auto => {
                    return Err(Start::Exited(fault, started));
                }
                Err(fault) => return Err(Start::Failed(self.failed(fault, started))),
            },
        };
        Ok(Spare { wire, finding, started })
    }

    fn session(
        self: Arc<Self>,
        wire: Wire,
        agreed: Agreed,
        (outside, declared): (Arc<dyn crate::hub::Peer>, Declaration),
        started: Instant,
    ) -> Arc<dyn Session> {
        self.launch.up();
        {
            let mut state = self.state();
            state.health = Health::Up;
            state.verdict = match (agreed.revision.is_modern(), state.verdict) {
                (true, _) => Verdict::Modern,
                (false, Verdict::Legacy(since)) if since.elapsed() < LEGACY_FOR => Verdict::Legacy(since),
                (false, _) => Verdict::Legacy(Instant::now()),
            };
        }
        let write_timeout = self.settings.write_timeout;
        let own = Arc::downgrade(&self);
        LineSession::start(wire, agreed, (outside, declared.capabilities), write_timeout, move |ending| {
            if let (Ending::Lost(fault), Some(own)) = (ending, own.upgrade()) {
                tracing::warn!(upstream = %own.name, "lost a session: {fault}");
                own.launch.down(fault, started.elapsed());
                own.state().health = Health::Down(fault.to_string());
            }
        })
    }
}

/// Why no server was started.
enum Start {
    Failed(Fault),
    /// It ended at the probe.
    Exited(Fault, Instant),
}

fn has_exited(fault: &Fault) -> bool {
    fault.reason() == Some(Reason::UpstreamExited)
}
