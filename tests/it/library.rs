//! Rialto inside Rust programs: nested in their applications, put together by its builder, with hooks and layers.

mod builder;
mod examples;
mod guard;
mod hooks;
mod nest;
mod panics;
mod peers;
mod principals;
mod shutdown;

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
};
use reqwest::RequestBuilder;
use rialto::{Proxy, hub::Principal};
use rmcp::ServiceExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    matrix::{client::http_client, process::fixture_path},
    rmcp_client::{
        peer::{Client, Lifecycle},
        server::Tools,
    },
    support::client::modern,
};

/// Both eras.
const ERAS: [Lifecycle; 2] = [Lifecycle::Initialize, Lifecycle::Discover];

/// An application that is served for as long as this is kept.
pub(crate) struct Served {
    pub(crate) base: String,
    _serving: JoinSet<()>,
}

/// Serves an application as any axum program would.
pub(crate) async fn serve(app: Router) -> Served {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
    Served { base, _serving: serving }
}

impl Served {
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// A server in this process, with what the fixture server has.
fn in_process() -> Proxy {
    Proxy::in_process(|io| async move {
        if let Ok(running) = Box::pin(Tools::default().serve(io)).await {
            let _ = running.waiting().await;
        }
    })
}

/// The fixture server as a child process.
fn command(revision: &str) -> Proxy {
    let program = fixture_path().to_string_lossy().into_owned();
    Proxy::command(program).args(["--transport", "stdio", "--revision", revision])
}

/// Middleware as a program would have it: the bearer token is the name of the user, and without one nobody is known.
fn authenticated(app: Router) -> Router {
    app.layer(middleware::from_fn(async |mut request: Request, next: Next| -> Response {
        let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if let Some(user) = token.and_then(|value| value.strip_prefix("Bearer ")) {
            let principal = Principal::new(user);
            request.extensions_mut().insert(principal);
        }
        next.run(request).await
    }))
}

/// Connects a client of rmcp.
async fn connect(url: &str, lifecycle: Lifecycle) -> Client {
    Client::connect(url, lifecycle, json!({ "color": "teal" })).await
}

/// A modern request, to be sent by hand.
fn by_hand(url: &str, method: &str, params: Value) -> RequestBuilder {
    let sent = modern(method, params);
    http_client().post(url).headers(sent.headers().clone()).body(sent.body().to_string())
}

/// A call of a tool, by hand.
fn tool_by_hand(url: &str, name: &str, arguments: Value) -> RequestBuilder {
    by_hand(url, "tools/call", json!({ "name": name, "arguments": arguments }))
}

/// The JSON of an answer, and its status.
async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
