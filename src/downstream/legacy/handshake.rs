//! `initialize`, and the session ids it gives out.
//!
//! An id is sealed: it opens for one principal and one mount only. Where the keys outlive the process it also holds what the
//! client said in `initialize`, so that a session goes on after a restart: there are clients that never initialise again.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::{
    hub::{Fault, GatewayFault, Reason},
    jsonrpc::{ErrorObject, Raw, RawObject, Request, RequestId, code, scan::ScanLimits},
    protocol::{ClientCapabilities, Era, Revision, headers},
    seal::{Purpose, random_token},
};

use super::{
    super::{Body, endpoint::Context, reply},
    Turned,
    outside::compact,
    pulse::Pulse,
    session::{Identity, Session},
    sessions::{Key, key_of},
};

/// How many bytes of what the client said about itself an id may hold.
const SEALED: usize = 4096;
/// How large the capabilities of a client may be, and how large its description of itself, in bytes.
const KEPT: usize = 16 * 1024;
/// After which time a client that met too many sessions may try again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// A session that is open, and what its client has to hear.
pub(super) struct Greeting {
    pub(super) session: Arc<Session>,
    identity: Identity,
    /// The result of `initialize`.
    pub(super) result: Raw,
}

/// Why no session was opened.
pub(super) enum NotOpened {
    /// What the client said is not what it has to say.
    Invalid(ErrorObject),
    /// There are too many.
    Full,
    /// The server cannot be described.
    Fault(Fault),
}

impl NotOpened {
    pub(super) fn to_error(&self) -> ErrorObject {
        match self {
            Self::Invalid(error) => error.clone(),
            Self::Full => too_many().to_error(),
            Self::Fault(fault) => fault.to_error(),
        }
    }
}

/// Opens a session over HTTP.
pub(super) async fn initialize(context: &Context<'_>, request: Request) -> Response<Body> {
    let Greeting { session, identity, result } = match open(context, request.params.as_ref()).await {
        Ok(greeting) => greeting,
        Err(NotOpened::Invalid(error)) => return reply::error(StatusCode::OK, Some(&request.id), &error),
        Err(NotOpened::Full) => return unavailable(Some(&request.id)),
        Err(NotOpened::Fault(fault)) => return reply::rescue(Era::Legacy, &request.id, &fault),
    };
    let handle = seal(context, &identity);
    let Ok(value) = HeaderValue::from_str(&handle) else {
        let fault = Fault::gateway(Reason::Internal, "the session id is no header value");
        return reply::rescue(Era::Legacy, &request.id, &fault);
    };
    context.settings.sessions.admit(key_of(&handle), session);
    let mut response = reply::result(&request.id, &result);
    response.headers_mut().insert(headers::SESSION_ID, value);
    response
}

/// Opens a session for what `initialize` says.
pub(super) async fn open(context: &Context<'_>, params: Option<&RawObject>) -> Result<Greeting, NotOpened> {
    let identity = identity(params).map_err(NotOpened::Invalid)?;
    let sessions = &context.settings.sessions;
    let seat = sessions.reserve(context.principal).ok_or(NotOpened::Full)?;
    let owner = (context.principal, context.mount.name());
    let pulse = Pulse::new(sessions.limits().lifetime);
    let credentials = context.credentials();
    let session = Session::new(owner, (identity.clone(), credentials.clone()), pulse, seat, None);
    // A client that reads no streams now will most likely read none later, and what is described is kept for who asks so.
    let caller = session.caller_of(&credentials, context.accept.events);
    let description = context.mount.describe(&caller).await.map_err(NotOpened::Fault)?;
    session.learn(&description);
    // What the client lists from now on is up to date until it hears otherwise.
    context.mount.attend(&session.caller()).await;
    let server = description.server_info.clone().unwrap_or_else(|| {
        RawObject::from([("name", Raw::from(context.mount.name())), ("version", Raw::from("0"))]).to_raw()
    });
    let mut result = RawObject::from([
        ("protocolVersion", Raw::from(identity.revision.as_str())),
        ("capabilities", description.capabilities.to_raw()),
        ("serverInfo", server),
    ]);
    if let Some(instructions) = &description.instructions {
        result.set("instructions", instructions.clone());
    }
    for (name, value) in description.more.iter() {
        result.set(&name, value.clone());
    }
    Ok(Greeting { session, identity, result: result.to_raw() })
}

/// There are too many sessions, or this client has too many.
pub(super) fn too_many() -> Fault {
    let text = "too many sessions: end those that are not needed with DELETE, or try again later";
    Fault::Gateway(GatewayFault { retry_after: Some(RETRY_AFTER), ..GatewayFault::new(Reason::Busy, text) })
}

/// A 503 for a client that cannot have a session. Nothing else of it is under way that the status could end.
pub(super) fn unavailable(id: Option<&RequestId>) -> Response<Body> {
    let mut response = reply::error(StatusCode::SERVICE_UNAVAILABLE, id, &too_many().to_error());
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
    response
}

/// What `initialize` says about the client. Copied: the request's body is not kept.
fn identity(params: Option<&RawObject>) -> Result<Identity, ErrorObject> {
    let invalid = |text: &str| ErrorObject::new(code::INVALID_PARAMS, text);
    let requested = params.and_then(|p| p.get("protocolVersion")).and_then(Raw::as_text);
    let requested = requested.ok_or_else(|| invalid("`protocolVersion` must be a string"))?;
    let object = |name: &str| match params.and_then(|p| p.get(name)) {
        None => Ok(None),
        Some(value) if value.is_null() => Ok(None),
        Some(value) => match compact(value).to_object() {
            Some(object) => Ok(Some(object)),
            None => Err(invalid(&format!("`{name}` must be an object"))),
        },
    };
    let capabilities = object("capabilities")?.unwrap_or_default();
    if capabilities.written_length() > KEPT {
        return Err(invalid("`capabilities` is too large"));
    }
    let mut client_info = object("clientInfo")?;
    if let Some(info) = client_info.as_mut().filter(|i| i.written_length() > KEPT) {
        // Icons may be whole pictures.
        info.retain(|name| matches!(name, "name" | "version" | "title"));
    }
    let client_info = client_info.filter(|i| i.written_length() <= KEPT).map(|i| compact(&i.to_raw()));
    let revision = Revision::negotiate(&requested);
    Ok(Identity { revision, capabilities: ClientCapabilities::of(revision, capabilities), client_info })
}

/// A new session id.
fn seal(context: &Context<'_>, identity: &Identity) -> String {
    let mut content = RawObject::from([("id", Raw::from(&*random_token::<16>()))]);
    if context.settings.sessions_survive {
        content.set("instance", Raw::from(context.settings.sessions.instance()));
        content.set("born", Raw::of(&SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())));
        let capabilities = identity.capabilities.declared();
        if capabilities.written_length() <= SEALED {
            content.set("revision", Raw::from(identity.revision.as_str()));
            content.set("capabilities", capabilities.to_raw());
            let room = SEALED - capabilities.written_length();
            if let Some(info) = identity.client_info.as_ref().filter(|i| i.as_bytes().len() <= room) {
                content.set("clientInfo", info.clone());
            }
        }
    }
    let (principal, mount) = (context.principal.as_str(), context.mount.name());
    context.settings.sealer.seal(Purpose::Session, principal, mount, content.to_raw().as_bytes())
}

/// Creates a session again that began in an earlier process.
///
/// An id holds what the client said in `initialize`, and nothing that came later: not the log level, which is the usual one
/// again, and not the resources that the client subscribed to. Nobody remembers those, for the server's session ended with the
/// earlier process as well, so that nothing can be subscribed again; the protocol has no words for telling the client. What
/// can be done is done: with its first request the client is told that every list may have changed, and where it unsubscribes
/// from what it is not subscribed to any more, that succeeds.
///
/// # Errors
/// When the id is none of ours or says too little, the session ended, or there are too many.
pub(super) fn restore(context: &Context<'_>, key: Key, handle: &str) -> Result<Arc<Session>, Turned> {
    let sessions = &context.settings.sessions;
    let (principal, mount) = (context.principal, context.mount.name());
    let (identity, until) = remembered(context, &key, handle).ok_or(Turned::Unknown)?;
    let left = until.duration_since(SystemTime::now()).map_err(|_| Turned::Unknown)?.min(sessions.limits().lifetime);
    let seat = sessions.reserve(principal).ok_or(Turned::Full)?;
    let session =
        Session::new((principal, mount), (identity, context.credentials()), Pulse::new(left), seat, Some(until));
    tracing::debug!(%mount, "a session of an earlier process goes on");
    let session = sessions.admit(key, session);
    tokio::spawn(context.mount.attend(&session.caller()));
    Ok(session)
}

/// What an id holds of a session that began in an earlier process, and when that session has to end.
fn remembered(context: &Context<'_>, key: &Key, handle: &str) -> Option<(Identity, SystemTime)> {
    if !context.settings.sessions_survive {
        return None;
    }
    let sessions = &context.settings.sessions;
    let (principal, mount) = (context.principal.as_str(), context.mount.name());
    let content = context.settings.sealer.open(Purpose::Session, principal, mount, handle).ok()?;
    let content = Raw::scan(Bytes::from(content), ScanLimits::REQUEST).ok()?.to_object()?;
    // What began here and is not in the table has ended.
    if content.get("instance")?.is_text(sessions.instance()) || sessions.is_settled(key) {
        return None;
    }
    let born = UNIX_EPOCH.checked_add(Duration::from_secs(content.get("born")?.parse().ok()?))?;
    let identity = Identity {
        revision: Revision::parse(&content.get("revision")?.as_text()?)?,
        capabilities: ClientCapabilities::new(compact(content.get("capabilities")?).to_object()?),
        client_info: content.get("clientInfo").map(compact),
    };
    Some((identity, born.checked_add(sessions.limits().lifetime)?))
}
