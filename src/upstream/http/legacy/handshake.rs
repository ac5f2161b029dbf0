//! The handshake of the legacy era (2025-11-25, basic/lifecycle#initialization).

use std::sync::{Arc, atomic::Ordering};

use http::{HeaderMap, HeaderValue};

use crate::protocol::headers::{PROTOCOL_VERSION, SESSION_ID};
use crate::{
    hub::{Caller, Counts, Description, Fault, Peer, Reason},
    jsonrpc::{ErrorObject, Message, Raw, RawObject, RequestId, code, encode_notification, encode_request},
    protocol::{Loss, Method, Revision, method::notification},
};

use super::super::{
    answer::{Refused, Reply, Stopped, unreadable},
    client::Purpose,
    discover::gateway_info,
    modern::answers,
    server::Server,
    sse::Decoder,
};

/// The id of the handshake's request.
const ID: u64 = 0;

/// Who the server is told that it talks to.
pub(super) struct Identity {
    revision: Revision,
    info: Raw,
    capabilities: RawObject,
}

impl Identity {
    /// A client's own session is opened as that client would open it; any other in the gateway's name, declaring exactly
    /// what the clients can do that will share it.
    pub(super) fn of(caller: &Caller) -> Self {
        if caller.scope.is_session() && !caller.revision.is_modern() {
            let capabilities = caller.capabilities.own(caller.revision);
            let info = caller.client_info.clone().unwrap_or_else(gateway_info);
            return Self { revision: caller.revision, info, capabilities };
        }
        Self { revision: Revision::NEWEST_LEGACY, info: gateway_info(), capabilities: caller.capabilities.shared() }
    }

    /// The same, declaring nothing: a server without sessions has nowhere to receive answers.
    fn mute(&self) -> Self {
        Self { revision: self.revision, info: self.info.clone(), capabilities: RawObject::new() }
    }

    fn params(&self) -> RawObject {
        RawObject::from([
            ("protocolVersion", Raw::from(self.revision.as_str())),
            ("capabilities", self.capabilities.to_raw()),
            ("clientInfo", self.info.clone()),
        ])
    }
}

/// How the server greeted back.
pub(super) struct Greeting {
    pub(super) session: Option<HeaderValue>,
    pub(super) revision: Revision,
    pub(super) description: Description,
}

/// Why there is no session.
pub(in crate::upstream::http) enum NoSession {
    /// The server seems to speak the modern era only.
    Modern,
    /// The server refused, or cannot be used: it is not proven to be a legacy server.
    Refused(Fault),
    /// Nothing is known about the server.
    Unreachable(Fault),
}

/// Shakes hands. Servers without sessions are told that the client can do nothing.
pub(super) async fn shake(
    server: &Server,
    identity: &Identity,
    (outside, counts): (&Arc<dyn Peer>, &Counts),
) -> Result<(Greeting, HeaderMap), NoSession> {
    let stateless = server.stateless.load(Ordering::Relaxed);
    let mut greeting = match stateless {
        true => initialize(server, &identity.mute(), outside).await?,
        false => initialize(server, identity, outside).await?,
    };
    let has_session = greeting.session.is_some();
    if has_session == stateless {
        server.stateless.store(!has_session, Ordering::Relaxed);
        if !identity.capabilities.is_empty() {
            if let Some(session) = greeting.session.take() {
                server.delete(session, None).await;
            }
            let mute = identity.mute();
            greeting = initialize(server, if has_session { identity } else { &mute }, outside).await?;
        }
    }
    if greeting.session.is_none() && !identity.capabilities.is_empty() {
        counts.lost(Loss::StatelessServer);
    }
    let mut headers = server.post_headers();
    if let Some(session) = &greeting.session {
        headers.insert(SESSION_ID, session.clone());
    }
    if greeting.revision >= Revision::R2025_06_18 {
        headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(greeting.revision.as_str()));
    }
    if let Err(failed) = initialized(server, headers.clone()).await {
        if let Some(session) = greeting.session {
            server.delete(session, headers.get(PROTOCOL_VERSION).cloned()).await;
        }
        return Err(failed);
    }
    server.works();
    Ok((greeting, headers))
}

async fn initialize(server: &Server, identity: &Identity, outside: &Arc<dyn Peer>) -> Result<Greeting, NoSession> {
    let mut session = None;
    let asking = ask(server, identity, outside, &mut session);
    let asked = tokio::time::timeout(server.settings.handshake, asking).await.unwrap_or_else(|_| {
        let fault = server.fault(Reason::Timeout, "it did not answer the handshake in time");
        Err(unreachable(server, fault.before_anything_ran()))
    });
    match asked {
        Ok((revision, description)) => Ok(Greeting { session, revision, description }),
        Err(failed) => {
            // Nobody will use what the server may have opened.
            if let Some(session) = session.filter(is_visible) {
                server.delete(session, None).await;
            }
            Err(failed)
        }
    }
}

fn is_visible(session: &HeaderValue) -> bool {
    !session.is_empty() && session.as_bytes().iter().all(|b| (0x21..=0x7e).contains(b))
}

/// Asks for a session, and notes which one the server gives as soon as that is known.
async fn ask(
    server: &Server,
    identity: &Identity,
    outside: &Arc<dyn Peer>,
    session: &mut Option<HeaderValue>,
) -> Result<(Revision, Description), NoSession> {
    let body = encode_request(&RequestId::number(ID), Method::Initialize.as_str(), Some(&identity.params()));
    // No version header: some servers compare it with the body.
    let request = server.post(server.post_headers(), body);
    let answer = server.send(Purpose::Control, request).await.map_err(|e| unreachable(server, server.unsent(e)))?;
    *session = answer.head.headers.get(SESSION_ID).cloned();
    let mut messages = match Reply::read(answer, server.settings.max_message).await {
        Reply::Messages(messages) => messages,
        Reply::Empty => return Err(refused(server, unreadable(server))),
        Reply::Refused(refusal) => return Err(explain(server, refusal).await),
    };
    let result = loop {
        match messages.next().await {
            Ok(Some(Message::Response(response))) if answers(&response, ID) => {
                messages.finish();
                match response.outcome {
                    Ok(result) => break result,
                    Err(error) => return Err(not_initialized(server, &error)),
                }
            }
            Ok(Some(Message::Notification(said))) => outside.notify(said),
            Ok(Some(_)) => {}
            Ok(None) => return Err(refused(server, messages.without_answer(server))),
            Err(Stopped::Broken) => return Err(unreachable(server, server.lost())),
            Err(stopped) => return Err(refused(server, stopped.into_fault(server))),
        }
    };
    if session.as_ref().is_some_and(|session| !is_visible(session)) {
        let fault = server.fault(Reason::UpstreamProtocol, "it gave a session id with characters that are not allowed");
        return Err(refused(server, fault));
    }
    read(server, &result)
}

fn read(server: &Server, result: &Raw) -> Result<(Revision, Description), NoSession> {
    let object = result.to_object().unwrap_or_default();
    let Some(version) = object.get("protocolVersion").and_then(Raw::as_text) else {
        return Err(refused(server, unreadable(server)));
    };
    // A modern revision is never an answer to the handshake: the server takes part in both eras and confuses them.
    let revision = Revision::answered(&version).ok_or(NoSession::Modern)?;
    if Revision::parse(&version).is_none() {
        tracing::warn!(upstream = %server.name, %revision, "the server named an unknown protocol revision, going on with an older one");
    }
    Ok((revision, Description::of_handshake(&object)))
}

/// Says that the handshake is over and waits until the server has taken notice: some refuse whatever comes before.
async fn initialized(server: &Server, headers: HeaderMap) -> Result<(), NoSession> {
    let request = server.post(headers, encode_notification(notification::INITIALIZED, None));
    let sent = tokio::time::timeout(server.settings.handshake, async {
        let answer = server.send(Purpose::Control, request).await.map_err(|e| unreachable(server, server.unsent(e)))?;
        match Reply::read(answer, server.settings.max_message).await {
            Reply::Refused(refusal) if refusal.is_auth() => Err(refused(server, refusal.into_fault(server))),
            Reply::Refused(refusal) => {
                tracing::warn!(upstream = %server.name, status = %refusal.status, "the server refused the end of the handshake");
                Ok(())
            }
            Reply::Messages(messages) => {
                messages.finish();
                Ok(())
            }
            Reply::Empty => Ok(()),
        }
    });
    sent.await.unwrap_or_else(|_| {
        Err(unreachable(
            server,
            server.fault(Reason::Timeout, "it did not take the end of the handshake in time").before_anything_ran(),
        ))
    })
}

/// What an HTTP error in answer to the handshake means.
async fn explain(server: &Server, refusal: Refused) -> NoSession {
    let status = refusal.status.as_u16();
    match &refusal.error {
        Some(error) if !refusal.is_auth() => not_initialized(server, error),
        None if matches!(status, 400 | 404 | 405 | 406 | 415) && speaks_http_sse(server).await => {
            let message = "it speaks HTTP+SSE, the transport of 2024-11-05, which cannot be used yet";
            refused(server, server.fault(Reason::UpstreamVersion, message))
        }
        _ if refusal.status.is_server_error() => unreachable(server, refusal.into_fault(server)),
        _ => refused(server, refusal.into_fault(server)),
    }
}

fn not_initialized(server: &Server, error: &ErrorObject) -> NoSession {
    let message = error.message.to_ascii_lowercase();
    if error.code == code::UNSUPPORTED_VERSION || message.contains(Revision::NEWEST_MODERN.as_str()) {
        return NoSession::Modern;
    }
    let reason = if message.contains("version") { Reason::UpstreamVersion } else { Reason::UpstreamProtocol };
    refused(server, server.fault_because(reason, "it refused the handshake", error))
}

/// Whether a GET opens a stream that begins with where to post to (2024-11-05, basic/transports#http-with-sse).
async fn speaks_http_sse(server: &Server) -> bool {
    let looking = async {
        let answer = server.send(Purpose::Control, server.get(server.post_headers())).await.ok()?;
        if !answer.head.status.is_success() {
            return None;
        }
        let (mut body, mut decoder) = (answer.body, Decoder::new(64 * 1024));
        loop {
            if let Some(event) = decoder.next() {
                return Some(!event.is_message);
            }
            decoder.push(body.chunk().await?.ok()?).ok()?;
        }
    };
    matches!(tokio::time::timeout(server.settings.probe, looking).await, Ok(Some(true)))
}

fn refused(server: &Server, fault: Fault) -> NoSession {
    server.fails(&fault);
    NoSession::Refused(fault)
}

fn unreachable(server: &Server, fault: Fault) -> NoSession {
    server.fails(&fault);
    NoSession::Unreachable(fault)
}
