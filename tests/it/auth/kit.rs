//! An application with keys, two mounts in front of servers that remember what they saw, and routes of its own.

use std::{collections::BTreeMap, net::SocketAddr};

use axum::{
    Router,
    extract::Request,
    routing::{any, get},
};
use rialto::{
    Proxy, Rialto,
    app::{
        Assembled, Builder,
        gateway::Gateway,
        listener::{Drained, Limits, Listener, Shutdown},
        table::Route,
    },
    auth::{Access, Auth, Key, fresh_key},
    downstream::Settings,
    hub::Forwarding,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    listener::raw::{Answer, Client, exchange},
    upstream_http::{
        discovered,
        scripted::{Reply, Scripted, Seen},
    },
};

/// A running application. Alice may use everything, Bob only `docs` and the custom routes.
pub(super) struct App {
    pub(super) address: SocketAddr,
    pub(super) shutdown: Shutdown,
    pub(super) serving: JoinHandle<Drained>,
    pub(super) router: Router,
    pub(super) routes: Vec<Route>,
    pub(super) gateway: Gateway,
    pub(super) docs: Scripted,
    pub(super) finance: Scripted,
    pub(super) alice: String,
    pub(super) bob: String,
}

/// A modern server with one tool that says who it is.
async fn server(name: &'static str) -> Scripted {
    Scripted::start(move |seen: Seen| async move {
        match seen.method() {
            "server/discover" => discovered(&seen),
            "tools/list" => {
                let tools = json!([{"name": "secret_tool", "inputSchema": {"type": "object"}}]);
                let list = json!({"resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": "private"});
                Reply::json(200, &seen.result(list))
            }
            _ => {
                let content = json!([{"type": "text", "text": format!("this is {name}")}]);
                Reply::json(200, &seen.result(json!({"resultType": "complete", "content": content})))
            }
        }
    })
    .await
}

/// Routes as an application has them beside ours. Each says what it sees of its caller.
pub(super) fn custom() -> Router {
    let nested = Router::new().route("/a", get(echo)).fallback(echo);
    Router::new()
        .route("/custom", any(echo))
        .route("/custom/{id}", get(echo).post(echo))
        .route("/mcp/custom", any(echo))
        .route("/.well-known/custom", any(echo))
        .nest("/nested", nested)
        .fallback(echo)
}

async fn echo(request: Request) -> String {
    let who = request.extensions().get::<Access>().map(|access| access.principal().as_str().to_owned());
    format!("custom principal={who:?} headers={:?}", request.headers())
}

impl App {
    pub(super) async fn start() -> Self {
        Self::with(Settings::default(), |builder| builder).await
    }

    /// Starts one with these settings of its endpoints, and whatever else `change` does to it.
    pub(super) async fn with(settings: Settings, change: impl FnOnce(Builder) -> Builder) -> Self {
        let (docs, finance) = (server("docs").await, server("finance").await);
        let (alice, bob) = (fresh_key(), fresh_key());
        let auth = Auth::keys([
            Key::new("alice", &alice).unwrap(),
            // Rotation: a principal may have an old key and a new one.
            Key::new("alice", &fresh_key()).unwrap(),
            Key::hashed("bob", &Key::new("bob", &bob).unwrap().to_hash()).unwrap().only(["docs"]).and_routes(),
        ])
        .unwrap();
        let watched = |forwarding: Forwarding| async move {
            let call = forwarding.call;
            // Hooks see no credentials either.
            assert!(call.headers.iter().all(|(name, _)| name != "authorization" && name != "x-api-key"));
            Ok(rialto::hub::Verdict::Forward(call))
        };
        let shutdown = Shutdown::new();
        let settings =
            Settings { stopping: shutdown.stopping().clone(), draining: shutdown.draining().clone(), ..settings };
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), Limits::default()).await.unwrap();
        let address = listener.local_addr();
        let builder = Rialto::builder()
            .mount("docs", Proxy::to(docs.url()).before_forward(watched))
            .mount("finance", Proxy::to(finance.url()))
            .routes(custom())
            .auth(auth)
            .settings(settings)
            .listener(address);
        let Assembled { router, gateway, routes } = change(builder).assemble();
        let serving = tokio::spawn(listener.serve(router.clone(), shutdown.clone()));
        Self { address, shutdown, serving, router, routes, gateway, docs, finance, alice, bob }
    }

    pub(super) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Sends a request as it is, and gives the one answer.
    pub(super) async fn send(&self, request: impl AsRef<[u8]>) -> Answer {
        exchange(self.address, request).await.only()
    }

    /// A request without a body, with these header lines besides those that it needs.
    pub(super) async fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        self.send(head(method, path, headers)).await
    }

    /// Calls the tool of a mount.
    pub(super) async fn call(&self, mount: &str, headers: &str) -> Answer {
        self.send(call(&format!("/mcp/{mount}"), headers)).await
    }

    /// Whether any server was so much as asked who it is.
    pub(super) fn is_untouched(&self) -> bool {
        self.docs.seen().is_empty() && self.finance.seen().is_empty()
    }
}

/// A request without a body after which the connection closes.
pub(super) fn head(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n")
}

/// A modern call of the tool, in order but for these header lines.
pub(super) fn call(path: &str, headers: &str) -> String {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"_meta": meta, "name": "secret_tool", "arguments": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let length = body.len();
    let headers = format!(
        "content-type: application/json\r\naccept: application/json, text/event-stream\r\ncontent-length: {length}\r\n\
         mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: secret_tool\r\n{headers}"
    );
    head("POST", path, &headers) + &body
}

/// The header line of a key.
pub(super) fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}\r\n")
}

/// The header line of a key as a password.
pub(super) fn basic(key: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    format!("authorization: Basic {}\r\n", STANDARD.encode(format!("me:{key}")))
}

/// The challenges of an answer by their schemes in lower case (RFC 9110, section 11.6.1).
pub(super) fn challenges(answer: &Answer) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut challenges = BTreeMap::new();
    for value in answer.headers("www-authenticate") {
        let (scheme, mut rest) = value.split_once(' ').unwrap_or((value, ""));
        let mut parameters = BTreeMap::new();
        while let Some((name, after)) = rest.split_once("=\"") {
            let (text, after) = after.split_once('"').expect("a closing quote");
            let name = name.trim_matches([',', ' ']).to_lowercase();
            assert!(parameters.insert(name, text.to_owned()).is_none(), "a parameter is there twice: {value}");
            rest = after;
        }
        assert_eq!(rest, "", "{value}");
        assert!(challenges.insert(scheme.to_lowercase(), parameters).is_none(), "a scheme is there twice: {value}");
    }
    challenges
}

/// Asserts what every refusal has to be, and gives the parameters of its bearer challenge.
#[track_caller]
pub(super) fn refused(answer: &Answer, status: u16) -> BTreeMap<String, String> {
    assert_eq!(answer.status, status, "{answer:?}");
    let problem: Value = serde_json::from_str(answer.body()).unwrap_or_else(|_| panic!("no JSON: {answer:?}"));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert_eq!(problem["status"], status, "{answer:?}");
    assert!(problem["type"].as_str().is_some_and(|kind| kind.starts_with("urn:rialto:problem:")), "{answer:?}");
    assert!(problem["title"].is_string(), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    assert!(answer.headers("vary").any(|vary| vary.contains("authorization")), "{answer:?}");
    let bearer = challenges(answer).remove("bearer").unwrap_or_else(|| panic!("no challenge: {answer:?}"));
    assert_eq!(bearer["realm"], "Rialto");
    bearer
}

/// The mounts that `/readyz` shows.
pub(super) fn mounts(answer: &Answer) -> Vec<String> {
    let ready: Value = serde_json::from_str(answer.body()).unwrap();
    ready["mounts"].as_object().map(|mounts| mounts.keys().cloned().collect()).unwrap_or_default()
}
