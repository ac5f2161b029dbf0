//! The first words with a server: which era it speaks, and who it is.
//!
//! The probe is always `server/discover`, never a request of a client: some legacy servers run what reaches them before
//! `initialize`. It is never cancelled either, because others end at a notification that comes too early; a late answer to
//! it still decides (2026-07-28, basic/transports#backward-compatibility).

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::{io::AsyncWriteExt, time::Instant};

use crate::{
    hub::{Description, Fault, Reason},
    jsonrpc::{
        ErrorObject, Message, Raw, Request, RequestId, code, encode_notification, encode_request, encode_result,
        lines::push_line,
    },
    protocol::{Method, Offer, Revision, method::notification},
};

use super::{
    EraChoice, LineSettings, Pipe, Writer,
    declare::{self, Declaration},
    inbound::{Event, Inbound},
};

const PROBE: u64 = 1;
const INITIALIZE: u64 = 2;
const PROBE_AGAIN: u64 = 3;
/// How many messages that come before the session is open are kept for it.
const EARLY: usize = 256;

/// A pipe on which no session is open yet.
pub(super) struct Wire {
    pub(super) upstream: Arc<str>,
    pub(super) inbound: Inbound,
    pub(super) writer: Writer,
    pub(super) hold: Box<dyn Send>,
    /// What came meanwhile and is no answer to us.
    pub(super) early: Vec<Message>,
    /// Whether a server that is gone may have ended because of the probe.
    pub(super) probed: bool,
    settings: LineSettings,
}

/// What the probe has found out.
#[derive(Debug)]
pub(super) enum Finding {
    /// The server is modern, and this is how it describes itself.
    Modern(Agreed),
    /// It refuses the probe, or is known to be legacy.
    Legacy,
    /// It has not answered so far.
    Silent,
}

/// What a session starts with.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    pub(super) revision: Revision,
    pub(super) description: Arc<Description>,
}

type Answer = Result<Raw, ErrorObject>;

impl Wire {
    pub(super) fn new(upstream: &Arc<str>, pipe: Pipe, settings: &LineSettings) -> Self {
        Self {
            upstream: upstream.clone(),
            inbound: Inbound::new(upstream, pipe.reader, pipe.gone, settings),
            writer: pipe.writer,
            hold: pipe.hold,
            early: Vec::new(),
            probed: false,
            settings: settings.clone(),
        }
    }

    fn fault(&self, reason: Reason, message: impl Into<String>) -> Fault {
        let fault = Fault::upstream(reason, &self.upstream, message);
        // Until the handshake is over nobody has called anything.
        if reason == Reason::Timeout { fault.before_anything_ran() } else { fault }
    }

    /// Whether the server behind a pipe that was not used for a while is still there.
    pub(super) fn is_alive(&mut self) -> bool {
        loop {
            match self.inbound.next().now_or_never() {
                None => return true,
                Some(Event::End(_)) => return false,
                Some(Event::Message(message)) if self.early.len() < EARLY => self.early.push(message),
                Some(_) => {}
            }
        }
    }

    /// Asks the server to describe itself, for as long as `patience`.
    pub(super) async fn probe(&mut self, patience: Duration) -> Result<Finding, Fault> {
        let until = Instant::now() + patience;
        self.probed = true;
        self.discover(PROBE, Revision::NEWEST_MODERN).await?;
        match self.answer(&[PROBE], until).await? {
            None => Ok(Finding::Silent),
            Some((_, answer)) => match self.judge(answer)? {
                Judged::Modern(agreed) => Ok(Finding::Modern(agreed)),
                Judged::Legacy => Ok(Finding::Legacy),
                Judged::Again(revision) => {
                    self.discover(PROBE_AGAIN, revision).await?;
                    match self.answer(&[PROBE_AGAIN], until).await? {
                        Some((_, answer)) => match self.judge(answer)? {
                            Judged::Modern(agreed) => Ok(Finding::Modern(agreed)),
                            _ => Err(self.fault(Reason::UpstreamVersion, "the server refuses the version it offers")),
                        },
                        None => Err(self.fault(Reason::Timeout, "the server did not answer `server/discover` in time")),
                    }
                }
            },
        }
    }

    /// Agrees on how to speak: does the legacy handshake where the finding does not rule it out, up to the server's answer.
    pub(super) async fn settle(&mut self, finding: Finding, declared: &Declaration) -> Result<Agreed, Fault> {
        let choice = self.settings.era;
        let silent = match finding {
            Finding::Modern(agreed) if choice != EraChoice::Legacy => return Ok(agreed),
            Finding::Silent if choice == EraChoice::Modern => {
                return Err(self.fault(Reason::Timeout, "the server did not answer `server/discover` in time"));
            }
            _ if choice == EraChoice::Modern => {
                return Err(self.fault(
                    Reason::UpstreamVersion,
                    format!("the server does not speak {}, which its `era` demands", Revision::NEWEST_MODERN),
                ));
            }
            finding => matches!(finding, Finding::Silent),
        };
        self.initialize(silent, declared).await
    }

    /// Ends the handshake of a legacy server, which may say and ask things from now on.
    pub(super) async fn confirm(&mut self, agreed: &Agreed) -> Result<(), Fault> {
        match agreed.revision.is_modern() {
            true => Ok(()),
            false => self.send(encode_notification(notification::INITIALIZED, None)).await,
        }
    }

    /// Takes in what a server says that nobody talks to yet.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) async fn overheard(&mut self, event: Event) -> Result<(), Fault> {
        match event {
            Event::End(fault) => Err(fault),
            Event::Message(Message::Request(Request { id, method, .. })) if method == Method::Ping.as_str() => {
                self.send(encode_result(&id, &Raw::constant("{}")).into_bytes()).await
            }
            Event::Message(message) if self.early.len() < EARLY => {
                self.early.push(message);
                Ok(())
            }
            Event::Message(_) | Event::Broken(..) => Ok(()),
        }
    }

    async fn initialize(&mut self, silent: bool, declared: &Declaration) -> Result<Agreed, Fault> {
        let mut until = Instant::now() + self.settings.start_timeout;
        let mut refused = None;
        let mut waiting = vec![INITIALIZE];
        if silent {
            waiting.push(PROBE);
        }
        self.send(encode_request(
            &RequestId::number(INITIALIZE),
            Method::Initialize.as_str(),
            Some(&declared.initialize()),
        ))
        .await?;
        loop {
            let Some((id, answer)) = self.answer(&waiting, until).await? else {
                return Err(refused
                    .unwrap_or_else(|| self.fault(Reason::Timeout, "the server did not answer `initialize` in time")));
            };
            waiting.retain(|&other| other != id);
            if id != INITIALIZE {
                match (self.judge(answer)?, &refused) {
                    (Judged::Modern(agreed), _) => return Ok(agreed),
                    (_, Some(fault)) if !waiting.contains(&PROBE_AGAIN) => return Err(fault.clone()),
                    _ => continue,
                }
            }
            let fault = match answer {
                Ok(result) => match self.initialized(&result)? {
                    Some(agreed) => return Ok(agreed),
                    None => self.fault(
                        Reason::UpstreamVersion,
                        "the server answers `initialize` with a revision that has no `initialize`",
                    ),
                },
                Err(error) => {
                    let message = format!("the server refuses `initialize` (error {})", error.code);
                    self.fault(Reason::UpstreamProtocol, message)
                }
            };
            if self.settings.era == EraChoice::Legacy {
                return Err(fault);
            }
            // A slow starter that settled on the modern era with the probe refuses like this too.
            refused = Some(fault);
            until = Instant::now() + self.settings.probe_timeout;
            self.probed = true;
            self.discover(PROBE_AGAIN, Revision::NEWEST_MODERN).await?;
            waiting.push(PROBE_AGAIN);
        }
    }

    async fn discover(&mut self, id: u64, revision: Revision) -> Result<(), Fault> {
        let params = declare::discover(revision);
        self.send(encode_request(&RequestId::number(id), Method::Discover.as_str(), Some(&params))).await
    }

    async fn send(&mut self, frame: Bytes) -> Result<(), Fault> {
        let mut line = BytesMut::new();
        push_line(&mut line, &frame);
        let written = async {
            self.writer.write_all(&line).await?;
            self.writer.flush().await
        };
        match tokio::time::timeout(self.settings.write_timeout, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => match self.inbound.next().await {
                Event::End(fault) => Err(fault),
                _ => Err(self.fault(Reason::UpstreamExited, "the server closed its input")),
            },
            Err(_) => Err(self.fault(Reason::Timeout, "the server does not read its input")),
        }
    }

    /// Waits for the answer to one of our requests; `None` when the time is over.
    async fn answer(&mut self, ids: &[u64], until: Instant) -> Result<Option<(u64, Answer)>, Fault> {
        loop {
            let Ok(event) = tokio::time::timeout_at(until, self.inbound.next()).await else { return Ok(None) };
            match event {
                Event::End(fault) => return Err(fault),
                Event::Broken(id, reason, message) if ids.contains(&id) => return Err(self.fault(reason, message)),
                Event::Broken(..) => {}
                Event::Message(Message::Response(response)) => {
                    let id = match &response.id {
                        Some(id) => id.as_u64_lenient(),
                        // A server that could not make sense of the request may not even name it.
                        None => ids.first().copied().filter(|_| response.outcome.is_err()),
                    };
                    if let Some(id) = id.filter(|id| ids.contains(id)) {
                        return Ok(Some((id, response.outcome)));
                    }
                }
                Event::Message(Message::Request(Request { id, method, .. }))
                    if method == Method::Ping.as_str() && ids.contains(&INITIALIZE) =>
                {
                    self.send(encode_result(&id, &Raw::constant("{}")).into_bytes()).await?;
                }
                Event::Message(message) if self.early.len() < EARLY => self.early.push(message),
                Event::Message(_) => {}
            }
        }
    }

    /// What an answer to the probe says about the server.
    fn judge(&self, answer: Answer) -> Result<Judged, Fault> {
        match answer {
            Ok(result) => {
                let result = result.to_object().unwrap_or_default();
                match offer(result.get("supportedVersions")) {
                    Offer::Modern(revision) => {
                        let description = Arc::new(Description::of_discovery(&result));
                        Ok(Judged::Modern(Agreed { revision, description }))
                    }
                    Offer::Newer => Err(self.too_new()),
                    Offer::Legacy => Ok(Judged::Legacy),
                }
            }
            Err(error) if error.code == code::UNSUPPORTED_VERSION => {
                let data = error.data.as_ref().and_then(Raw::to_object).unwrap_or_default();
                match offer(data.get("supported")) {
                    Offer::Modern(revision) => Ok(Judged::Again(revision)),
                    Offer::Newer => Err(self.too_new()),
                    Offer::Legacy => Ok(Judged::Legacy),
                }
            }
            Err(error) if matches!(error.code, code::MISSING_CAPABILITY | code::HEADER_MISMATCH) => Err(self.fault(
                Reason::UpstreamProtocol,
                format!("the server is modern, but refuses `server/discover` (error {})", error.code),
            )),
            Err(_) => Ok(Judged::Legacy),
        }
    }

    fn too_new(&self) -> Fault {
        self.fault(Reason::UpstreamVersion, "the server speaks only revisions that are newer than this gateway")
    }

    /// Reads the answer to `initialize`; `None` when it names a modern revision.
    fn initialized(&self, result: &Raw) -> Result<Option<Agreed>, Fault> {
        let result = result.to_object().unwrap_or_default();
        let Some(version) = result.get("protocolVersion").and_then(Raw::as_text) else {
            return Err(self.fault(Reason::UpstreamProtocol, "the server's answer to `initialize` names no revision"));
        };
        let Some(revision) = Revision::answered(&version) else { return Ok(None) };
        if revision.as_str() != version {
            tracing::warn!(upstream = %self.upstream, "the server speaks an unknown revision, it is taken for {revision}");
        }
        Ok(Some(Agreed { revision, description: Arc::new(Description::of_handshake(&result)) }))
    }
}

enum Judged {
    Modern(Agreed),
    Again(Revision),
    Legacy,
}

/// What a server offers in a list of revisions.
fn offer(list: Option<&Raw>) -> Offer {
    let list = list.and_then(Raw::to_array).unwrap_or_default();
    let dates: Vec<_> = list.iter().filter_map(Raw::as_text).collect();
    Offer::of(dates.iter().map(AsRef::as_ref))
}
