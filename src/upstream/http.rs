//! Servers over streamable HTTP, both eras.
//!
//! The system watches over the connections (TCP keep-alive, and on Linux a limit for what is sent and not acknowledged):
//! without that nothing is heard of a server that is gone without a word, as when a laptop slept or a router in between has
//! forgotten the connection. A stream of events is opened again within a minute then, and a call fails with `stream_lost`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::hub::{BoxFuture, Credentials, Fault, Health, Reason};

use super::{Connector, EraChoice, Opening, Session, Sharing};

mod answer;
mod client;
mod discover;
mod flight;
mod legacy;
mod modern;
mod probe;
mod server;
mod sse;
mod wire;

use discover::no_common_revision;
use legacy::{LegacySession, NoSession};
use modern::ModernSession;
use probe::{Detector, Verdict};
use server::Server;
pub use wire::{Dial, Stream};

/// How many are told apart by what they send along; the longest unused goes first.
const SENDERS: usize = 1024;

/// Where a server is, and what it wants to see with every request.
#[derive(Clone)]
pub struct HttpTarget {
    /// Its MCP endpoint, `http` or `https`. A name and a password in it are sent as HTTP Basic credentials.
    pub url: Url,
    /// Headers for every request, credentials among them. Those that the protocol needs for itself are left out.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Times and bounds of a connector.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Which era is spoken.
    pub era: EraChoice,
    /// How long connecting may take, name lookup and TLS included.
    pub connect: Duration,
    /// How long the probe may take.
    pub probe: Duration,
    /// How long a handshake, or the acknowledgement of a subscription, may take.
    pub handshake: Duration,
    /// How long saying goodbye to a session may take.
    pub close: Duration,
    /// How long an idle connection is kept, at most; less where the server announces less.
    pub idle: Duration,
    /// How long a server counts as legacy before it is probed again.
    pub legacy_verdict: Duration,
    /// The first pause before a broken stream is opened again; doubled each time, up to thirty seconds.
    pub backoff: Duration,
    /// Connections in use for calls, and again as many for streams that stay open.
    pub connections: usize,
    /// Idle connections that are kept.
    pub idle_connections: usize,
    /// The largest message of the server, in bytes.
    pub max_message: usize,
    /// Who makes the connections; TCP where nobody is given.
    pub dial: Option<Arc<dyn Dial>>,
    /// The TLS configuration; the system's certificates are trusted where none is given.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The tasks of the open sessions. Whoever ends the process waits for them, so that each says goodbye to its server.
    pub sessions: TaskTracker,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            era: EraChoice::Auto,
            connect: Duration::from_secs(3),
            probe: Duration::from_secs(10),
            handshake: Duration::from_secs(30),
            close: Duration::from_secs(2),
            idle: Duration::from_secs(30),
            legacy_verdict: Duration::from_secs(3600),
            backoff: Duration::from_secs(1),
            connections: 1024,
            idle_connections: 256,
            max_message: 16 << 20,
            dial: None,
            tls: None,
            sessions: TaskTracker::new(),
        }
    }
}

/// A server cannot be reached as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the `url` of server `{server}` {what}")]
pub struct TargetError {
    /// The server's name in the configuration.
    pub server: Arc<str>,
    /// What is wrong with its address.
    pub what: String,
}

/// One server over streamable HTTP.
pub struct HttpConnector {
    server: Arc<Server>,
    detector: Arc<Detector>,
    target: HttpTarget,
    /// The same server as those see it who send something along, and when that was last used. What the server says to one
    /// of them is not known to hold for another, and a refusal of one proves nothing to the others.
    others: Mutex<HashMap<Credentials, (Instant, Arc<HttpConnector>)>>,
}

impl HttpConnector {
    /// A connector. Nothing is sent before somebody needs the server.
    ///
    /// # Errors
    /// When the address is not one that can be connected to.
    pub fn new(name: Arc<str>, target: HttpTarget, settings: HttpSettings) -> Result<Self, TargetError> {
        let server = Arc::new(Server::new(name, target.clone(), settings)?);
        Ok(Self::at(server, target))
    }

    fn at(server: Arc<Server>, target: HttpTarget) -> Self {
        let detector = Arc::new(Detector::new(server.clone()));
        Self { server, detector, target, others: Mutex::default() }
    }
}

impl std::fmt::Debug for HttpConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpConnector").field("name", &self.server.name).finish_non_exhaustive()
    }
}

fn sharing(server: &Server, verdict: &Verdict) -> Sharing {
    match verdict {
        Verdict::Modern(_) => Sharing::Everybody,
        Verdict::Legacy if server.stateless.load(Ordering::Relaxed) => Sharing::Sessionless,
        Verdict::Legacy => Sharing::ScopeAndCapabilities,
    }
}

impl Connector for HttpConnector {
    fn name(&self) -> &Arc<str> {
        &self.server.name
    }

    fn sharing(&self) -> BoxFuture<Result<Sharing, Fault>> {
        let (server, detector) = (self.server.clone(), self.detector.clone());
        Box::pin(async move { detector.detect().await.map(|verdict| sharing(&server, &verdict)) })
    }

    fn known_sharing(&self) -> Option<Sharing> {
        self.detector.known().map(|verdict| sharing(&self.server, &verdict))
    }

    fn open(&self, opening: Opening) -> BoxFuture<Result<Arc<dyn Session>, Fault>> {
        let (server, detector) = (self.server.clone(), self.detector.clone());
        Box::pin(async move { open(server, detector, opening).await })
    }

    fn sending(&self, credentials: &Credentials) -> Option<Arc<dyn Connector>> {
        if credentials.is_empty() {
            return None;
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((used, known)) = others.get_mut(credentials) {
            *used = now;
            return Some(known.clone());
        }
        if others.len() >= SENDERS
            && let Some(oldest) = others.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone())
        {
            others.remove(&oldest);
        }
        let new = Arc::new(Self::at(Arc::new(self.server.sending(credentials)), self.target.clone()));
        others.insert(credentials.clone(), (now, new.clone()));
        Some(new)
    }

    fn health(&self) -> Health {
        self.server.health()
    }

    fn legacy(&self) -> Option<Arc<dyn Connector>> {
        let Server { name, settings, .. } = &*self.server;
        if settings.era != EraChoice::Auto {
            return None;
        }
        let settings = HttpSettings { era: EraChoice::Legacy, ..settings.clone() };
        Some(Arc::new(Self::new(name.clone(), self.target.clone(), settings).ok()?))
    }

    fn transport(&self) -> &'static str {
        "http"
    }
}

async fn open(server: Arc<Server>, detector: Arc<Detector>, opening: Opening) -> Result<Arc<dyn Session>, Fault> {
    let (mut verdict, counts) = (detector.detect().await?, opening.counts.clone());
    if let Verdict::Modern(modern) = verdict {
        verdict = detector.refreshed(modern).await?;
    }
    if let Verdict::Legacy = verdict {
        match open_legacy(&server, &detector, opening).await {
            Ok(session) => return Ok(Arc::new(session)),
            Err(NoSession::Unreachable(fault)) => return Err(fault),
            Err(NoSession::Refused(fault)) => {
                detector.refute();
                return Err(fault);
            }
            // The probe was answered in a way that no modern server answers, and the handshake as no legacy one does.
            Err(NoSession::Modern) => verdict = detector.probe().await?,
        }
    }
    match verdict {
        Verdict::Modern(facts) => Ok(Arc::new(ModernSession::new(server, detector, facts, counts))),
        Verdict::Legacy => {
            detector.refute();
            let fault = no_common_revision(&server);
            server.fails(&fault);
            Err(fault)
        }
    }
}

/// Opens a legacy session in a task of its own: a handshake is never cut off, for the server would keep a session that
/// nobody knows. Where nobody waits for it any more, the session is closed as soon as it is open.
async fn open_legacy(
    server: &Arc<Server>,
    detector: &Arc<Detector>,
    opening: Opening,
) -> Result<LegacySession, NoSession> {
    match tokio::spawn(LegacySession::open(server.clone(), detector.clone(), opening)).await {
        Ok(opened) => opened,
        Err(_) => Err(NoSession::Unreachable(server.fault(Reason::Internal, "the handshake was cut off"))),
    }
}
