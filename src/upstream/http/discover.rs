//! `server/discover`: the one request that is sent before anything is known about a server (2026-07-28, server/discover).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::{
    hub::{Description, Fault, Reason},
    jsonrpc::{ErrorObject, Message, Raw, RawObject, RequestId, code, encode_request},
    protocol::{
        Method, Offer, Revision,
        headers::{METHOD, PROTOCOL_VERSION, SESSION_ID},
        meta,
    },
};

use super::{
    answer::{Refused, Reply, Stopped},
    client::Purpose,
    server::Server,
};

pub(super) const MODERN: HeaderValue = HeaderValue::from_static(Revision::NEWEST_MODERN.as_str());

/// What the probe brought to light.
pub(super) enum Finding {
    /// A modern server, and what it says about itself.
    Modern(Description),
    /// Perhaps a legacy server: the handshake will tell.
    Legacy,
    /// A modern server that does not take the version, though it lists it.
    AskAgain,
    /// Nothing that could be relied on, or nothing that can be used.
    Fault(Fault),
}

/// Who the gateway says it is, where it speaks for itself.
pub(super) fn gateway_info() -> Raw {
    RawObject::from([("name", Raw::from("rialto")), ("version", Raw::from(env!("CARGO_PKG_VERSION")))]).to_raw()
}

/// The headers of every modern request.
pub(super) fn modern_headers(server: &Server) -> HeaderMap {
    let mut headers = server.post_headers();
    headers.insert(PROTOCOL_VERSION, MODERN);
    headers
}

/// Asks the server who it is, and reads what that says about its era.
pub(super) async fn discover(server: &Server) -> Finding {
    match tokio::time::timeout(server.settings.probe, ask(server)).await {
        Ok(finding) => finding,
        Err(_) => {
            let message = "it did not answer in time when it was asked who it is";
            Finding::Fault(server.fault(Reason::Timeout, message).before_anything_ran())
        }
    }
}

fn request() -> Bytes {
    let envelope = RawObject::from([
        (meta::PROTOCOL_VERSION, Raw::from(Revision::NEWEST_MODERN.as_str())),
        (meta::CLIENT_INFO, gateway_info()),
        (meta::CLIENT_CAPABILITIES, Raw::constant("{}")),
    ]);
    let params = RawObject::from([(meta::META, envelope.to_raw())]);
    encode_request(&RequestId::number(0), Method::Discover.as_str(), Some(&params))
}

async fn ask(server: &Server) -> Finding {
    let mut headers = modern_headers(server);
    headers.insert(METHOD, HeaderValue::from_static("server/discover"));
    let answer = match server.send(Purpose::Control, server.post(headers, request())).await {
        Ok(answer) => answer,
        Err(error) => return Finding::Fault(server.unsent(error)),
    };
    let leaked = answer.head.headers.get(SESSION_ID).cloned();
    let finding = match Reply::read(answer, server.settings.max_message).await {
        Reply::Refused(refused) => from_refusal(server, refused),
        Reply::Empty => Finding::Legacy,
        Reply::Messages(mut messages) => loop {
            match messages.next().await {
                Ok(Some(Message::Response(response))) => {
                    messages.finish();
                    break match response.outcome {
                        Ok(result) => from_result(server, &result),
                        Err(error) => from_error(server, &error),
                    };
                }
                Ok(Some(_)) => {}
                // Not JSON, or no answer: no modern server does that.
                Ok(None) => break Finding::Legacy,
                Err(Stopped::Broken) => break Finding::Fault(server.lost()),
                Err(Stopped::TooLarge) => break Finding::Fault(server.too_large()),
            }
        },
    };
    // Some legacy servers open a session for whatever comes without one, also where they refuse it.
    if let Some(session) = leaked
        && !matches!(finding, Finding::Modern(_))
    {
        server.delete(session, None).await;
    }
    finding
}

fn from_refusal(server: &Server, refused: Refused) -> Finding {
    match &refused.error {
        Some(error) if error.code == code::UNSUPPORTED_VERSION => from_error(server, error),
        _ if is_no_verdict(refused.status) => Finding::Fault(refused.into_fault(server)),
        Some(error) => from_error(server, error),
        None if refused.status.is_client_error() => Finding::Legacy,
        None => Finding::Fault(refused.into_fault(server)),
    }
}

/// Whether the status says something about the moment or the credentials, not about the era.
pub(super) fn is_no_verdict(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 403 | 407 | 408 | 425 | 429 | 502..=504)
}

fn from_result(server: &Server, result: &Raw) -> Finding {
    let object = result.to_object().unwrap_or_default();
    let versions = object.get("supportedVersions").and_then(Raw::to_array);
    let Some(versions) = versions.filter(|_| object.get_object("capabilities").is_some()) else {
        return Finding::Legacy;
    };
    match offer(&versions) {
        Offer::Modern(_) => Finding::Modern(Description::of_discovery(&object)),
        Offer::Newer => Finding::Fault(no_common_revision(server)),
        Offer::Legacy => Finding::Legacy,
    }
}

fn from_error(server: &Server, error: &ErrorObject) -> Finding {
    let data = error.data.as_ref().and_then(Raw::to_object).unwrap_or_default();
    match error.code {
        code::UNSUPPORTED_VERSION => match offer(&data.get("supported").and_then(Raw::to_array).unwrap_or_default()) {
            Offer::Modern(_) => Finding::AskAgain,
            Offer::Newer => Finding::Fault(no_common_revision(server)),
            Offer::Legacy => Finding::Legacy,
        },
        code::HEADER_MISMATCH | code::MISSING_CAPABILITY => Finding::Fault(server.fault(
            Reason::UpstreamHeaderMismatch,
            "something between the gateway and it removes or changes the `Mcp-*` headers of requests",
        )),
        _ => Finding::Legacy,
    }
}

/// The fault for a server of which no revision is known here.
pub(super) fn no_common_revision(server: &Server) -> Fault {
    server.fault(Reason::UpstreamVersion, "it speaks no protocol revision that is known here")
}

fn offer(versions: &[Raw]) -> Offer {
    let texts: Vec<_> = versions.iter().filter_map(Raw::as_text).collect();
    Offer::of(texts.iter().map(AsRef::as_ref))
}
