//! Using a mount on behalf of a REST caller.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    app::problem::Problem,
    downstream::{Settings, forwarded_headers},
    hub::{
        Answering, Attempt, Call, Caller, Credentials, Description, Fault, Health, Life, Mount, Outcome, Peer, Reason,
        SilentPeer,
    },
    jsonrpc::{Raw, RawObject},
    limits::ServerLimits,
    protocol::{ClientCapabilities, Method, Revision, meta, trace},
};

use super::{
    Visit,
    faults::{self, Wish},
};

/// How long somebody who only looks waits for a server that does not answer.
const LOOK: Duration = Duration::from_secs(10);
/// The pause before a call is sent again that the server put off; it doubles four times.
const PACE: Duration = Duration::from_millis(250);
const SLOWEST: Duration = Duration::from_secs(4);
/// How many pages one list may have, and how many bytes.
const PAGES: usize = 1_000;
const LIST_BYTES: usize = 64 << 20;

/// The members of results that belong to the protocol and not to what was asked for.
const PROTOCOLS_OWN: [&str; 4] = ["resultType", "ttlMs", "cacheScope", "nextCursor"];

/// What one request does at a mount.
pub(in crate::app) struct Session {
    pub(super) mount: Arc<dyn Mount>,
    pub(super) caller: Arc<Caller>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What the parameters of every request begin with.
    params: RawObject,
    limits: ServerLimits,
}

/// A whole list.
pub(in crate::app) struct Listed {
    /// The result around the items, without them.
    pub(super) frame: RawObject,
    pub(super) items: Vec<Raw>,
}

impl Session {
    pub(super) fn new(settings: &Settings, visit: &Visit, headers: &HeaderMap, events: bool) -> Self {
        let mount = visit.entry.mount().clone();
        let forwarded = forwarded_headers(headers, mount.forwards());
        let capabilities = ClientCapabilities::default();
        let caller = Caller {
            principal: visit.principal.clone(),
            scope: settings.scopes.of(&visit.principal),
            credentials: Credentials::of(&forwarded),
            revision: Revision::NEWEST_MODERN,
            client_info: Some(client_info()),
            fingerprint: capabilities.fingerprint().into(),
            capabilities,
            log_level: events.then(|| Raw::from("info")),
            answers: Answering::Retry,
        };
        let params = envelope(&caller, headers, events);
        Self {
            mount,
            caller: Arc::new(caller),
            headers: forwarded,
            params,
            limits: visit.entry.endpoint().limits().servers,
        }
    }

    /// Whether the server may list something else for this request than for the next.
    pub(super) fn is_special(&self) -> bool {
        !self.headers.is_empty()
    }

    /// Who the mount is, for those who would rather wait than not know.
    pub(super) async fn description(&self) -> Result<Arc<Description>, Fault> {
        self.mount.describe(&self.caller).await
    }

    /// A whole list, all its pages; empty where the server has no such thing.
    pub(super) async fn list(&self, method: Method) -> Result<Listed, Fault> {
        let member = method.list_member().unwrap_or_default();
        let offered = match method.family() {
            Some(family) => self.description().await?.offers(family),
            None => true,
        };
        let mut listed = Listed { frame: RawObject::new(), items: Vec::new() };
        if !offered {
            return Ok(listed);
        }
        let broken = |what: &str| Fault::upstream(Reason::UpstreamProtocol, &self.mount.name().into(), what);
        let (mut cursor, mut bytes): (Option<Raw>, usize) = (None, 0);
        for page in 0.. {
            let mut params = self.params();
            if let Some(cursor) = &cursor {
                params.set("cursor", cursor.clone());
            }
            let result = match self.call(method.clone(), params, Arc::new(SilentPeer)).0.await {
                Ok(Outcome::Complete(result)) => {
                    result.to_object().ok_or_else(|| broken("its list is not an object"))?
                }
                Ok(_) => return Err(broken("it answered a list with something else")),
                // Not every server that has resources knows templates.
                Err(Fault::Answered(e)) if e.code == crate::jsonrpc::code::METHOD_NOT_FOUND => return Ok(listed),
                Err(fault) => return Err(fault),
            };
            let items = result.get(member).and_then(Raw::to_array).ok_or_else(|| broken("its list has no items"))?;
            bytes += items.iter().map(|item| item.as_bytes().len()).sum::<usize>();
            listed.items.extend(items);
            let next = result.get("nextCursor").filter(|c| !c.is_null()).cloned();
            if page == 0 {
                listed.frame = result;
                listed.frame.remove(member);
                strip(&mut listed.frame);
            }
            match next {
                None => break,
                Some(_) if page + 1 == PAGES || bytes > LIST_BYTES => {
                    let message = "its list is longer than is passed on over REST";
                    return Err(Fault::upstream(Reason::Limit, &self.mount.name().into(), message));
                }
                Some(next) if cursor.as_ref() == Some(&next) => return Err(broken("its list has no end")),
                Some(next) => cursor = Some(next),
            }
        }
        Ok(listed)
    }

    /// Parameters that hold nothing but `_meta`.
    pub(super) fn params(&self) -> RawObject {
        self.params.clone()
    }

    /// Begins a call. Dropping the future abandons it.
    pub(super) fn call(
        &self,
        method: Method,
        params: RawObject,
        peer: Arc<dyn Peer>,
    ) -> (impl Future<Output = Result<Outcome, Fault>> + Send + 'static + use<>, Life) {
        let life = Life::new(self.limits.life());
        let call = Call {
            caller: self.caller.clone(),
            method,
            params,
            attempt: Attempt::First,
            peer,
            headers: self.headers.clone(),
            life: life.clone(),
        };
        (until_done(self.mount.clone(), call, self.limits.rounds), life)
    }
}

/// Parameters with the envelope of a client of the newest revision (2026-07-28, basic/index#meta), and with the trace that
/// the headers name.
fn envelope(caller: &Caller, headers: &HeaderMap, events: bool) -> RawObject {
    let mut envelope = RawObject::from([
        (meta::PROTOCOL_VERSION, Raw::from(Revision::NEWEST_MODERN.as_str())),
        (meta::CLIENT_INFO, client_info()),
        (meta::CLIENT_CAPABILITIES, RawObject::new().to_raw()),
    ]);
    if let Some(level) = &caller.log_level {
        envelope.set(meta::LOG_LEVEL, level.clone());
    }
    if events {
        envelope.set(meta::PROGRESS_TOKEN, Raw::from("rest"));
    }
    let mut params = RawObject::from([(meta::META, envelope.to_raw())]);
    trace::adopt(&mut params, headers);
    params
}

/// Calls again while the server says nothing but "later" (2026-07-28, basic/patterns/mrtr: a state without requests).
async fn until_done(mount: Arc<dyn Mount>, mut call: Call, most: usize) -> Result<Outcome, Fault> {
    let _leaving = Leaving(call.life.clone());
    let mut pauses = (0..4).map(|doubled| PACE * 2_u32.pow(doubled));
    for round in 0..=most {
        match mount.call(call.clone()).await? {
            Outcome::NeedsInput { requests, state: Some(state) } if requests.is_empty() => {
                if round < most {
                    tokio::time::sleep(pauses.next().unwrap_or(SLOWEST)).await;
                }
                call.attempt = Attempt::Answers { responses: RawObject::new(), state: Some(state) };
            }
            done => return Ok(done),
        }
    }
    Err(Fault::gateway(Reason::Busy, "the server puts the call off again and again"))
}

/// Says why a call is dropped that had not ended.
struct Leaving(Life);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.abandon("the client went away");
    }
}

/// Takes out what belongs to the protocol.
pub(super) fn strip(result: &mut RawObject) {
    for name in PROTOCOLS_OWN {
        result.remove(name);
    }
}

/// Runs something of a mount for somebody who only looks. A server that is known to be down is not waited for.
///
/// # Errors
/// Why the mount is down.
pub(in crate::app) async fn described<T>(
    mount: &dyn Mount,
    look: impl Future<Output = Result<T, Fault>>,
) -> Result<T, String> {
    if let Health::Down(reason) = mount.health() {
        return Err(reason);
    }
    match tokio::time::timeout(LOOK, look).await {
        Ok(looked) => looked.map_err(|fault| fault.to_string()),
        Err(_) => Err(format!("it did not answer within {} s", LOOK.as_secs())),
    }
}

/// How servers see a REST caller.
fn client_info() -> Raw {
    RawObject::from([("name", Raw::from("rialto-rest")), ("version", Raw::from(env!("CARGO_PKG_VERSION")))]).to_raw()
}

impl Visit {
    /// A fault at this mount in the words of REST.
    pub(super) fn problem(&self, fault: &Fault, wish: Wish<'_>) -> Problem {
        faults::problem(fault, self.entry.name(), wish)
    }
}
