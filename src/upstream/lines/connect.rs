//! Opening sessions with one server: finding its era once, and starting it as often as it is needed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    hub::{BoxFuture, Fault, Health, Reason},
    upstream::{Opening, Session, Sharing},
};

use super::{
    EraChoice, LineSettings, Pipe,
    actor::{Ending, Outside},
    declare::Declaration,
    handshake::{Agreed, Finding, Wire},
    session::LineSession,
    spare::{Greeted, Spares},
};

/// Starts servers to talk to over a pipe.
pub(crate) trait Launch: Send + Sync + 'static {
    /// Starts one. Waits, or fails at once, where the last ones ended too soon; waits a moment where as many run as may.
    fn launch(&self) -> BoxFuture<Result<Pipe, Fault>>;

    /// Whether as many run as may.
    fn is_full(&self) -> bool {
        false
    }

    /// Whether one more is worth having that nobody asked for, and leaves room for those who ask. Not where starting costs
    /// nothing.
    fn has_room(&self) -> bool {
        false
    }

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
pub(super) struct Probed {
    pub(super) wire: Wire,
    pub(super) finding: Finding,
    pub(super) started: Instant,
}

struct State {
    verdict: Verdict,
    /// What is left of finding out the era, for whoever opens the first session.
    probed: Option<Probed>,
    health: Health,
}

/// Opens sessions with the server that `launch` starts.
pub(crate) struct Opener<L> {
    name: Arc<str>,
    settings: LineSettings,
    pub(super) launch: L,
    state: Mutex<State>,
    /// Held by whoever finds out the era.
    detecting: tokio::sync::Mutex<()>,
    pub(super) spares: Spares,
    /// Fires when nobody can open a session any more.
    pub(super) closing: CancellationToken,
}

/// The handle of whoever opens sessions. When the last is gone, what waits to be used is ended.
pub(crate) struct Door<L> {
    opener: Arc<Opener<L>>,
    _closing: DropGuard,
}

impl<L: Launch> Door<L> {
    pub(crate) fn new(name: Arc<str>, settings: LineSettings, launch: L) -> Self {
        let opener = Opener::new(name, settings, launch);
        let _closing = opener.closing.clone().drop_guard();
        Self { opener, _closing }
    }

    /// The same server, started in the same way and as often altogether, spoken to in the legacy era; where its own era is
    /// found out by probing.
    pub(crate) fn legacy(&self) -> Option<Self>
    where
        L: Clone,
    {
        let Opener { name, settings, launch, .. } = &*self.opener;
        let other = LineSettings { era: EraChoice::Legacy, ..settings.clone() };
        (settings.era == EraChoice::Auto).then(|| Self::new(name.clone(), other, launch.clone()))
    }
}

impl<L> std::ops::Deref for Door<L> {
    type Target = Arc<Opener<L>>;

    fn deref(&self) -> &Arc<Opener<L>> {
        &self.opener
    }
}

impl<L: Launch> Opener<L> {
    fn new(name: Arc<str>, settings: LineSettings, launch: L) -> Arc<Self> {
        let state = State { verdict: Verdict::Unknown, probed: None, health: Health::Unknown };
        let (state, detecting) = (Mutex::new(state), tokio::sync::Mutex::default());
        let (spares, closing) = (Spares::default(), CancellationToken::new());
        Arc::new(Self { name, settings, launch, state, detecting, spares, closing })
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
    /// keep a slow server from ever being found out; it ends when nobody can want to know any more.
    pub(crate) async fn sharing(self: Arc<Self>) -> Result<Sharing, Fault> {
        if let Some(known) = self.known_sharing() {
            return Ok(known);
        }
        let own = self.clone();
        let detection = tokio::spawn(self.closing.clone().run_until_cancelled_owned(async move {
            let _one = own.detecting.lock().await;
            match own.known_sharing() {
                Some(known) => Ok(known),
                None => own.detect().await,
            }
        }));
        detection.await.ok().flatten().unwrap_or_else(|| {
            Err(Fault::upstream(Reason::Internal, &self.name, "finding out the server's era failed"))
        })
    }

    async fn detect(&self) -> Result<Sharing, Fault> {
        let started = Instant::now();
        let mut wire = self.wire().await?;
        let (verdict, probed) = match wire.probe(self.settings.probe_timeout).await {
            Ok(finding) => {
                let verdict = match &finding {
                    Finding::Modern(_) => Verdict::Modern,
                    Finding::Legacy => Verdict::Legacy(Instant::now()),
                    Finding::Silent => Verdict::Presumed,
                };
                (verdict, Some(Probed { wire, finding, started }))
            }
            // Some legacy servers end at anything but `initialize`.
            Err(fault) if has_exited(&fault) => (Verdict::Legacy(Instant::now()), None),
            Err(fault) => return Err(self.failed(fault, started)),
        };
        let mut state = self.state();
        state.verdict = verdict;
        state.probed = probed;
        Ok(if matches!(verdict, Verdict::Modern) { Sharing::Everybody } else { Sharing::ScopeAndCapabilities })
    }

    async fn wire(&self) -> Result<Wire, Fault> {
        if self.launch.is_full() {
            // Nobody shall be refused for what only waits.
            self.spares.clear();
        }
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
    pub(super) fn failed(&self, fault: Fault, started: Instant) -> Fault {
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
        let Opening { caller, outside, counts, alone, lent } = opening;
        let declared = Declaration::of(&caller);
        // The caller holds its scope, and a session must not keep the scope it belongs to alive.
        drop(caller);
        let mut spare = match alone {
            true => self.spares.take(&declared).await,
            false => None,
        };
        // One that ended just now is no reason to fail.
        if let Some(Greeted { wire, agreed, .. }) = &mut spare
            && wire.confirm(agreed).await.is_err()
        {
            spare = None;
        }
        let Greeted { wire, agreed, started } = match spare {
            Some(greeted) => greeted,
            None => {
                let mut greeted = self.greeted(&declared).await?;
                let confirmed = greeted.wire.confirm(&greeted.agreed).await;
                confirmed.map_err(|fault| self.failed(fault, greeted.started))?;
                greeted
            }
        };
        if alone && !agreed.revision.is_modern() {
            self.want_spare(&declared);
        }
        Ok(self.session(wire, agreed, (Outside { peer: outside, counts }, declared, lent), started))
    }

    /// Starts a server, or takes the one whose era was found out, and shakes hands.
    pub(super) async fn greeted(&self, declared: &Declaration) -> Result<Greeted, Fault> {
        let mut probed = self.state().probed.take();
        if probed.as_mut().is_some_and(|probed| !probed.wire.is_alive()) {
            probed = None;
        }
        let mut again = true;
        loop {
            let of_old = probed.is_some();
            let Probed { mut wire, finding, started } = match probed.take() {
                Some(probed) => probed,
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
            match wire.settle(finding, declared).await {
                Ok(agreed) => return Ok(Greeted { wire, agreed, started }),
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
    async fn start(&self) -> Result<Probed, Start> {
        let started = Instant::now();
        let mut wire = self.wire().await.map_err(Start::Failed)?;
        let patience = match (self.settings.era, self.state().verdict) {
            (EraChoice::Legacy, _) => None,
            (EraChoice::Auto, Verdict::Legacy(since)) if since.elapsed() < self.settings.legacy_verdict => None,
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
        Ok(Probed { wire, finding, started })
    }

    fn session(
        self: Arc<Self>,
        wire: Wire,
        agreed: Agreed,
        (outside, declared, lent): (Outside, Declaration, bool),
        started: Instant,
    ) -> Arc<dyn Session> {
        self.launch.up();
        {
            let mut state = self.state();
            state.health = Health::Up;
            state.verdict = match (agreed.revision.is_modern(), state.verdict) {
                (true, _) => Verdict::Modern,
                (false, Verdict::Legacy(since)) if since.elapsed() < self.settings.legacy_verdict => {
                    Verdict::Legacy(since)
                }
                (false, _) => Verdict::Legacy(Instant::now()),
            };
        }
        let write_timeout = self.settings.write_timeout;
        let own = Arc::downgrade(&self);
        LineSession::start(wire, agreed, (outside, declared.capabilities, lent), write_timeout, move |ending| {
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
