//! A modern server: every request stands for itself, and closing its answer cancels it (2026-07-28,
//! basic/transports/streamable-http).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc;

use crate::{
    hub::{BoxFuture, Counts, Description, Fault, Listening, Oddity, Reason},
    jsonrpc::{Message, Notification, Raw, RawObject, RequestId, Response, code, encode_request},
    protocol::{
        Method, Revision,
        headers::{METHOD, NAME, header_value},
        meta,
        method::notification,
    },
    upstream::{Outgoing, Session, honoured, pending::own},
};

use super::{
    answer::{Messages, Refused, Reply, Stopped, unreadable},
    client::Purpose,
    discover::{is_no_verdict, modern_headers},
    probe::{Detector, Modern, Verdict},
    server::Server,
};

/// How many change notifications may wait for whoever listens.
const EVENTS: usize = 256;

/// The session of a modern server, which is none: it is open as long as the server stays modern.
pub(super) struct ModernSession(Arc<Inner>);

struct Inner {
    server: Arc<Server>,
    detector: Arc<Detector>,
    counts: Arc<Counts>,
    headers: HeaderMap,
    next_id: AtomicU64,
    facts: ArcSwap<Modern>,
}

/// Why a request has no result.
enum Failed {
    /// That is how it ends.
    Final(Fault),
    /// The answer was lost; what may be repeated may be sent again.
    Lost(Fault),
    /// Refused in a way in which no modern server refuses.
    Doubtful(Fault),
    /// The server does not take the version any more.
    Outdated(Fault),
}

impl ModernSession {
    pub(super) fn new(server: Arc<Server>, detector: Arc<Detector>, facts: Arc<Modern>, counts: Arc<Counts>) -> Self {
        let headers = modern_headers(&server);
        let (next_id, facts) = (AtomicU64::new(1), ArcSwap::new(facts));
        Self(Arc::new(Inner { server, detector, counts, headers, next_id, facts }))
    }
}

impl Session for ModernSession {
    fn revision(&self) -> Revision {
        Revision::NEWEST_MODERN
    }

    fn description(&self) -> Arc<Description> {
        self.0.facts.load().description.clone()
    }

    fn describe(&self) -> BoxFuture<Result<Arc<Description>, Fault>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.describe().await })
    }

    fn mirrors_headers(&self) -> bool {
        true
    }

    fn call(&self, outgoing: Outgoing) -> BoxFuture<Result<Raw, Fault>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.call(outgoing).await })
    }

    fn notify(&self, notification: Notification) {
        // Nothing that a client says to a modern server over HTTP is defined.
        tracing::debug!(method = %notification.method, "dropped a notification for a modern server");
    }

    fn listen(&self, params: RawObject) -> BoxFuture<Result<Listening, Fault>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.listen(params).await })
    }

    fn is_open(&self) -> bool {
        self.0.facts.load().valid.load(Ordering::Acquire)
    }

    fn over(&self) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }
}

impl Inner {
    async fn describe(&self) -> Result<Arc<Description>, Fault> {
        match self.detector.refreshed(self.facts.load_full()).await? {
            Verdict::Modern(modern) => {
                let description = modern.description.clone();
                self.facts.store(modern);
                Ok(description)
            }
            Verdict::Legacy => Err(self.changed()),
        }
    }

    fn changed(&self) -> Fault {
        self.server.fault(Reason::UpstreamVersion, "it has changed to an older protocol revision; try again")
    }

    async fn call(&self, mut outgoing: Outgoing) -> Result<Raw, Fault> {
        let mut again = outgoing.method.is_safe();
        let mut agreed = false;
        loop {
            match self.once(&mut outgoing).await {
                Ok(result) => return Ok(result),
                Err(Failed::Lost(_)) if again => again = false,
                Err(Failed::Final(fault) | Failed::Lost(fault)) => return Err(fault),
                Err(Failed::Doubtful(fault)) => return Err(self.doubt(fault).await.1),
                // It has run nothing. Where it still offers the version, it is taken at its word once.
                Err(Failed::Outdated(fault)) => match self.doubt(fault).await {
                    (true, _) if !agreed => agreed = true,
                    (_, fault) => return Err(fault),
                },
            }
        }
    }

    /// The server refused without running anything: either it is still modern, which is returned, then that is the answer;
    /// or it is not, then a new session has to be opened.
    async fn doubt(&self, fault: Fault) -> (bool, Fault) {
        match self.detector.doubt().await {
            Ok(Verdict::Legacy) => (false, self.changed()),
            Ok(Verdict::Modern(_)) => (true, fault),
            Err(_) => (false, fault),
        }
    }

    /// Sends a request under a fresh id and reads the head of the answer.
    async fn send(
        &self,
        purpose: Purpose,
        method: &Method,
        params: &mut RawObject,
        more: &[(HeaderName, HeaderValue)],
    ) -> Result<(u64, Messages), Failed> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let trace = own(params, id, &self.server.name, method);
        let mut headers = self.headers.clone();
        mirror(&mut headers, method, params).map_err(Failed::Final)?;
        self.server.add(&mut headers, more);
        if let Some(trace) = trace {
            self.server.add(&mut headers, &trace.headers());
        }
        let body = encode_request(&RequestId::number(id), method.as_str(), Some(params));
        let request = self.server.post(headers, body);
        let answer = self.server.send(purpose, request).await.map_err(|error| match error {
            super::client::SendError::Lost => Failed::Lost(self.server.lost()),
            error => Failed::Final(self.server.unsent(error)),
        })?;
        match Reply::read(answer, self.server.settings.max_message).await {
            Reply::Messages(messages) => {
                self.server.works();
                Ok((id, messages))
            }
            Reply::Empty => Err(Failed::Final(unreadable(&self.server))),
            Reply::Refused(refused) => {
                let (doubtful, outage) = (is_doubtful(&refused), refused.is_outage());
                let fault = refused.into_fault(&self.server);
                Err(match doubtful {
                    true => Failed::Doubtful(fault),
                    false if outage && method.list_member().is_some() => Failed::Lost(fault),
                    false => failed(fault),
                })
            }
        }
    }

    async fn once(&self, outgoing: &mut Outgoing) -> Result<Raw, Failed> {
        let Outgoing { method, params, headers, peer, life, .. } = outgoing;
        let (id, mut messages) = self.send(Purpose::Call, method, params, headers).await?;
        loop {
            match messages.next().await {
                Ok(Some(Message::Response(response))) if answers(&response, id) => {
                    messages.finish();
                    return response.outcome.map_err(|error| failed(Fault::Answered(error)));
                }
                Ok(Some(Message::Notification(notification))) => {
                    life.touch();
                    peer.notify(notification);
                }
                Ok(Some(Message::Response(_) | Message::Request(_))) => {
                    tracing::debug!(upstream = %self.server.name, "dropped a message that answers nothing");
                    messages.note_stray();
                    life.odd(Oddity::StrayMessage);
                }
                Ok(None) => {
                    let fault = messages.without_answer(&self.server);
                    let lost = fault.reason() == Some(Reason::StreamLost);
                    return Err(if lost { Failed::Lost(fault) } else { Failed::Final(fault) });
                }
                Err(Stopped::Broken) => return Err(Failed::Lost(self.server.lost())),
                Err(stopped) => return Err(Failed::Final(stopped.into_fault(&self.server))),
            }
        }
    }

    async fn listen(&self, mut params: RawObject) -> Result<Listening, Fault> {
        let opening = self.open_listen(&mut params);
        match tokio::time::timeout(self.server.settings.handshake, opening).await {
            Ok(listening) => listening,
            Err(_) => {
                let message = "it did not acknowledge the subscription in time";
                Err(self.server.fault(Reason::Timeout, message).before_anything_ran())
            }
        }
    }

    async fn open_listen(&self, params: &mut RawObject) -> Result<Listening, Fault> {
        let sent = self.send(Purpose::Stream, &Method::Listen, params, &[]).await;
        let (id, mut messages) = match sent {
            Ok(sent) => sent,
            Err(Failed::Doubtful(fault) | Failed::Outdated(fault)) => return Err(self.doubt(fault).await.1),
            Err(Failed::Final(fault) | Failed::Lost(fault)) => return Err(fault),
        };
        loop {
            match messages.next().await.map_err(|stopped| stopped.into_fault(&self.server))? {
                Some(Message::Notification(said)) if said.method == notification::ACKNOWLEDGED => {
                    let (events, receiver) = mpsc::channel(EVENTS);
                    tokio::spawn(forward(messages, id, events, self.counts.clone()));
                    return Ok(Listening { honoured: honoured(&said), events: receiver });
                }
                Some(Message::Response(response)) if answers(&response, id) => {
                    let fault = response.outcome.err().map(Fault::Answered);
                    return Err(fault.unwrap_or_else(|| unreadable(&self.server)));
                }
                Some(Message::Notification(_)) => {}
                Some(Message::Response(_) | Message::Request(_)) => self.counts.odd(Oddity::StrayMessage),
                None => return Err(messages.without_answer(&self.server)),
            }
        }
    }
}

/// Hands on what a listen brings until either end has enough. Dropping the messages closes the stream.
async fn forward(mut messages: Messages, id: u64, events: mpsc::Sender<Notification>, counts: Arc<Counts>) {
    loop {
        let next = tokio::select! {
            next = messages.next() => next,
            () = events.closed() => return,
        };
        match next {
            // The other way in which a server ends a listen; another id on its stream is nobody's.
            Ok(Some(Message::Notification(said))) if said.method == notification::CANCELLED => {
                let named = said.params.as_ref().and_then(|params| RequestId::new(params.get("requestId")?).ok());
                if named.and_then(|named| named.as_u64_lenient()) == Some(id) {
                    return;
                }
            }
            Ok(Some(Message::Notification(mut said))) => {
                if let Some(params) = &mut said.params {
                    meta::edit(params, |meta| {
                        meta.remove(meta::SUBSCRIPTION_ID);
                    });
                }
                if events.send(said).await.is_err() {
                    return;
                }
            }
            Ok(Some(Message::Response(response))) if answers(&response, id) => return messages.finish(),
            Ok(Some(Message::Response(_) | Message::Request(_))) => counts.odd(Oddity::StrayMessage),
            Ok(None) | Err(_) => return,
        }
    }
}

/// Whether a response answers the request `id`. On the answer to a POST there is only one request that it can mean, so one
/// without an id counts, and one that spells the id as a string does.
pub(super) fn answers(response: &Response, id: u64) -> bool {
    response.id.as_ref().is_none_or(|given| given.as_u64_lenient() == Some(id))
}

/// How a request fails that was answered with an error.
fn failed(fault: Fault) -> Failed {
    match &fault {
        Fault::Answered(error) if error.code == code::UNSUPPORTED_VERSION => Failed::Outdated(fault),
        _ => Failed::Final(fault),
    }
}

/// Whether a refusal looks like one of a legacy server, which has run nothing.
fn is_doubtful(refused: &Refused) -> bool {
    if !refused.status.is_client_error() || is_no_verdict(refused.status) {
        return false;
    }
    match &refused.error {
        None => true,
        Some(error) if error.code == -32000 => true,
        Some(error) => {
            matches!(error.code, code::INVALID_REQUEST | code::INVALID_PARAMS | -32001)
                && refused.mentions(&["session", "initializ", "unsupported protocol version"])
        }
    }
}

/// Mirrors the method and the name in headers (2026-07-28, basic/transports#standard-mcp-request-headers).
fn mirror(headers: &mut HeaderMap, method: &Method, params: &RawObject) -> Result<(), Fault> {
    let value = HeaderValue::from_str(method.as_str()).map_err(|_| Fault::method_not_found(method.as_str()))?;
    headers.insert(METHOD, value);
    if let Some(name) = method.name_member().and_then(|member| params.get(member)?.as_text()) {
        headers.insert(NAME, header_value(&name));
    }
    Ok(())
}
