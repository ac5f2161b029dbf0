//! What one caller can take of a server that bears little.

use std::sync::atomic::{AtomicUsize, Ordering};

use rialto::{
    hub::{
        Answering, Attempt, Call, Caller, Credentials, Description, Fault, Health, Life, Listening, Mount, Outcome,
        Principal, Reason, Scope, SilentPeer,
    },
    jsonrpc::{Notification, Raw, RawObject},
    protocol::{ClientCapabilities, Method, Revision},
    seal::Sealer,
    upstream::{Opening, Outgoing, Session, Sharing},
};
use tokio::sync::Semaphore;

use super::*;
use crate::support::{json::object, wait::within};

/// A server that bears so many sessions, and whose calls last until they may end.
struct Small {
    name: Arc<str>,
    sharing: Sharing,
    bears: usize,
    opened: Arc<AtomicUsize>,
    runs: Arc<AtomicUsize>,
    may_end: Arc<Semaphore>,
}

impl Small {
    fn new(sharing: Sharing, bears: usize) -> Arc<Self> {
        let (opened, runs, may_end) = (Arc::default(), Arc::default(), Arc::new(Semaphore::new(0)));
        Arc::new(Self { name: "docs".into(), sharing, bears, opened, runs, may_end })
    }
}

impl Connector for Small {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn sharing(&self) -> rialto::hub::BoxFuture<Result<Sharing, Fault>> {
        Box::pin(std::future::ready(Ok(self.sharing)))
    }

    fn known_sharing(&self) -> Option<Sharing> {
        Some(self.sharing)
    }

    fn open(&self, _: Opening) -> rialto::hub::BoxFuture<Result<Arc<dyn Session>, Fault>> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        let revision = match self.sharing {
            Sharing::Everybody => Revision::NEWEST_MODERN,
            _ => Revision::NEWEST_LEGACY,
        };
        let (runs, may_end) = (self.runs.clone(), self.may_end.clone());
        let session: Arc<dyn Session> = Arc::new(Talk { revision, runs, may_end });
        Box::pin(std::future::ready(Ok(session)))
    }

    fn health(&self) -> Health {
        Health::Up
    }

    fn most_sessions(&self) -> usize {
        self.bears
    }

    fn transport(&self) -> &'static str {
        "http"
    }
}

struct Talk {
    revision: Revision,
    runs: Arc<AtomicUsize>,
    may_end: Arc<Semaphore>,
}

impl Session for Talk {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn description(&self) -> Arc<Description> {
        Arc::default()
    }

    fn mirrors_headers(&self) -> bool {
        false
    }

    fn call(&self, _: Outgoing) -> rialto::hub::BoxFuture<Result<Raw, Fault>> {
        let (runs, may_end) = (self.runs.clone(), self.may_end.clone());
        Box::pin(async move {
            runs.fetch_add(1, Ordering::SeqCst);
            let _ = may_end.acquire().await;
            Ok(object(&json!({"resultType": "complete", "messages": []})).to_raw())
        })
    }

    fn notify(&self, _: Notification) {}

    fn listen(&self, _: RawObject) -> rialto::hub::BoxFuture<Result<Listening, Fault>> {
        Box::pin(std::future::ready(Err(Fault::method_not_found("subscriptions/listen"))))
    }

    fn is_open(&self) -> bool {
        true
    }

    fn over(&self) -> rialto::hub::BoxFuture<()> {
        Box::pin(std::future::pending())
    }
}

/// A caller who sends this along.
fn caller(who: &str, tenant: &str) -> Arc<Caller> {
    let header = (http::HeaderName::from_static("x-tenant"), http::HeaderValue::from_str(tenant).unwrap());
    let credentials = if tenant.is_empty() { Credentials::default() } else { Credentials::of(&[header]) };
    let capabilities = ClientCapabilities::default();
    Arc::new(Caller {
        principal: Principal::new(who),
        scope: Scope::shared(Arc::new(SilentPeer)),
        credentials,
        revision: Revision::NEWEST_MODERN,
        client_info: None,
        fingerprint: capabilities.fingerprint().into(),
        capabilities,
        log_level: None,
        answers: Answering::Retry,
    })
}

/// A request that needs nothing but a session.
fn request(mount: &Single, caller: &Arc<Caller>) -> rialto::hub::BoxFuture<Result<Outcome, Fault>> {
    mount.call(Call {
        caller: caller.clone(),
        method: Method::PromptsGet,
        params: object(&json!({"name": "p"})),
        attempt: Attempt::First,
        peer: Arc::new(SilentPeer),
        headers: Vec::new(),
        life: Life::default(),
    })
}

fn before(server: &Arc<Small>) -> Single {
    Single::new("docs", server.clone(), Share::Principal, Arc::new(Sealer::random()))
}

fn reason(ended: &Result<Outcome, Fault>) -> Option<Reason> {
    ended.as_ref().err().and_then(Fault::reason)
}

#[tokio::test]
async fn whoever_invents_headers_crowds_out_nobody() {
    let server = Small::new(Sharing::Everybody, 8);
    let mount = before(&server);
    let held: Vec<_> = (0..6).map(|n| tokio::spawn(request(&mount, &caller("alice", &format!("t{n}"))))).collect();
    soon("the calls", async {
        while server.runs.load(Ordering::SeqCst) < 6 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // A quarter is left for others. She may go on with what she has, and without any headers.
    let mut another = request(&mount, &caller("alice", "t6"));
    assert_eq!(reason(&within(&mut another).await), Some(Reason::Busy));
    let allowed = [("alice", "t0"), ("alice", ""), ("bob", "his"), ("bob", "t0")];
    let all = allowed.map(|(who, tenant)| tokio::spawn(request(&mount, &caller(who, tenant))));
    soon("the other calls", async {
        while server.runs.load(Ordering::SeqCst) < 6 + allowed.len() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.may_end.close();
    for call in held.into_iter().chain(all) {
        assert!(within(call).await.unwrap().is_ok());
    }
    // What is not in use any more makes room.
    assert!(within(request(&mount, &caller("alice", "t6"))).await.is_ok());
}

#[tokio::test]
async fn a_session_that_is_about_to_be_opened_makes_no_room_for_another() {
    let server = Small::new(Sharing::ScopeAndCapabilities, 1);
    server.may_end.close();
    let mount = before(&server);
    let (alice, bob) = (caller("alice", ""), caller("bob", ""));
    let (first, second) = within(async { tokio::join!(request(&mount, &alice), request(&mount, &bob)) }).await;
    assert!(first.is_ok());
    assert_eq!((reason(&second), server.opened.load(Ordering::SeqCst)), (Some(Reason::Busy), 1));
    // It ends for him once she has done with it.
    assert!(within(request(&mount, &bob)).await.is_ok());
}
