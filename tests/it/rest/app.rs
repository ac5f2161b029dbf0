//! An application behind a socket, and a plain HTTP client.

use std::{future::Future, sync::Arc};

use axum::Router;
use http::{HeaderMap, StatusCode};
use rialto::{
    Proxy,
    app::{Builder, Rialto},
    hub::{Call, Fault, Forwarding, Outcome, Verdict},
    protocol::Method,
};
use rmcp::{
    ServerHandler, ServiceExt,
    model::{Implementation, ServerCapabilities, ServerConfig},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    matrix::client::http_client,
    support::{json::raw, wait::soon},
};

/// An application. Its connections end with it.
pub(crate) struct App {
    pub(crate) base: String,
    _serving: JoinSet<()>,
}

impl App {
    pub(crate) async fn serve(router: Router) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, _serving: serving }
    }

    /// One mount, `docs`, behind a builder.
    pub(crate) async fn of(proxy: Proxy) -> Self {
        Self::serve(builder().mount("docs", proxy).build()).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        get(&self.url(path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<String>) -> Answer {
        post(&self.url(path), body).await
    }
}

/// A builder whose callers are one user.
pub(crate) fn builder() -> Builder {
    Rialto::builder().local()
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = soon("an answer", request.send()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = soon("the rest of the answer", response.text()).await.unwrap();
        Self { status, headers, text }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The JSON of an answer that is fine.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        self.json()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) async fn get(url: &str) -> Answer {
    Answer::of(http_client().get(url)).await
}

pub(crate) async fn post(url: &str, body: impl Into<String>) -> Answer {
    Answer::of(http_client().post(url).header("content-type", "application/json").body(body.into())).await
}

/// A server that offers everything and has nothing: what it does is in the hooks before it.
#[derive(Clone)]
struct Nothing;

impl ServerHandler for Nothing {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_prompts().enable_resources();
        ServerConfig::new(capabilities.build()).with_server_info(Implementation::new("nothing", "1"))
    }
}

pub(crate) fn nothing() -> Proxy {
    Proxy::in_process(|io| async move {
        if let Ok(running) = Box::pin(Nothing.serve(io)).await {
            let _ = running.waiting().await;
        }
    })
}

/// A proxy that answers every call as the test says.
pub(crate) fn answering<F>(answer: impl Fn(Call) -> F + Send + Sync + 'static) -> Proxy
where
    F: Future<Output = Result<Outcome, Fault>> + Send + 'static,
{
    answering_behind(nothing(), answer)
}

/// The same behind the hooks that a proxy has already.
pub(crate) fn answering_behind<F>(proxy: Proxy, answer: impl Fn(Call) -> F + Send + Sync + 'static) -> Proxy
where
    F: Future<Output = Result<Outcome, Fault>> + Send + 'static,
{
    let answer = Arc::new(answer);
    proxy.before_forward(move |forwarding: Forwarding| {
        let answer = answer.clone();
        async move { answer(forwarding.call).await.map(Verdict::Answer) }
    })
}

/// The same, with a list of tools.
pub(crate) fn scripted<F>(tools: Value, answer: impl Fn(Call) -> F + Send + Sync + 'static) -> Proxy
where
    F: Future<Output = Result<Outcome, Fault>> + Send + 'static,
{
    scripted_behind(nothing(), tools, answer)
}

/// The same behind the hooks that a proxy has already.
pub(crate) fn scripted_behind<F>(
    proxy: Proxy,
    tools: Value,
    answer: impl Fn(Call) -> F + Send + Sync + 'static,
) -> Proxy
where
    F: Future<Output = Result<Outcome, Fault>> + Send + 'static,
{
    let list = json!({"resultType": "complete", "tools": tools, "ttlMs": 0, "cacheScope": "private"});
    let (list, answer) = (raw(&list), Arc::new(answer));
    answering_behind(proxy, move |call| {
        let (list, answer) = (list.clone(), answer.clone());
        async move {
            match call.method {
                Method::ToolsList => Ok(Outcome::Complete(list)),
                _ => answer(call).await,
            }
        }
    })
}

/// A tool that takes anything.
pub(crate) fn tool(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}})
}

/// The name of the tool that is called.
pub(crate) fn named(call: &Call) -> String {
    call.params.get("name").and_then(|name| Some(name.as_text()?.into_owned())).unwrap_or_default()
}
