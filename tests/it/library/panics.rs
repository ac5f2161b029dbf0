//! Panics in hooks, layers, handlers and servers: each ends what it happened in, and nothing else (SEC-164).

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use axum::{Router, extract::Request, middleware, routing::get};
use futures_util::FutureExt;
use rialto::{
    Proxy, Rialto,
    hub::{BoxFuture, Call, Fault, Forwarded, Forwarding, Outcome, Verdict},
};
use rmcp::ServiceError;
use serde_json::{Value, json};
use tower::{Layer, Service};

use super::{Client, ERAS, Lifecycle, Served, answer, connect, in_process, serve, tool_by_hand};
use crate::{
    matrix::{client::http_client, process::Fixture},
    rmcp_client::peer::{Seen, call},
    support::wait::soon,
};

const WORDS: &str = "the gateway failed while it handled this; its log says more";

fn panics(when: &str, params: &rialto::jsonrpc::RawObject) -> bool {
    params.get_object("arguments").and_then(|a| a.get("panic").cloned()).is_some_and(|p| p.is_text(when))
}

/// A proxy whose hooks panic as the arguments of a call say.
fn touchy(proxy: Proxy) -> Proxy {
    proxy
        .local()
        .before_forward(|forwarding: Forwarding| {
            assert!(!panics("before, at once", &forwarding.call.params), "a hook panics: secret words");
            async move {
                tokio::task::yield_now().await;
                assert!(!panics("before", &forwarding.call.params), "a hook panics: secret words");
                Ok(Verdict::Forward(forwarding.call))
            }
        })
        .layer(TouchyLayer)
        .after_forward(async |forwarded: Forwarded| {
            assert!(!panics("after", &forwarded.params), "a hook panics: secret words");
            forwarded.outcome
        })
}

/// A layer that panics before there is any future.
#[derive(Clone)]
struct TouchyLayer;

#[derive(Clone)]
struct Touchy<S>(S);

impl<S> Layer<S> for TouchyLayer {
    type Service = Touchy<S>;

    fn layer(&self, below: S) -> Touchy<S> {
        Touchy(below)
    }
}

impl<S> Service<Call> for Touchy<S>
where
    S: Service<Call, Response = Outcome, Error = Fault>,
    S::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = Fault;
    type Future = BoxFuture<Result<Outcome, Fault>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        assert!(!panics("layer", &call.params), "a layer panics: secret words");
        self.0.call(call).boxed()
    }
}

async fn serve_touchy(proxy: Proxy) -> Served {
    serve(Rialto::builder().mount("docs", touchy(proxy)).build()).await
}

fn is_internal(error: &Value) {
    assert_eq!((&error["code"], &error["message"]), (&json!(-32603), &json!(WORDS)), "{error}");
    assert_eq!(error["data"]["reason"], "internal", "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_164_a_hook_that_panics_ends_its_call_and_nothing_else() {
    let fixture = Fixture::start(&["--revision", "2025-11-25"]).await;
    for proxy in [Proxy::to(&fixture.url), in_process()] {
        let served = serve_touchy(proxy).await;
        let url = served.at("/mcp/docs");
        for era in ERAS {
            let mut client = connect(&url, era).await;
            let neighbour = connect(&url, era).await;
            let slow = json!({ "steps": 40, "ms": 10 });
            let meanwhile = async {
                for when in ["before, at once", "before", "layer", "after"] {
                    let params = call("echo", &json!({ "text": "x", "panic": when }));
                    match soon(when, Box::pin(client.service.call_tool(params))).await {
                        Err(ServiceError::McpError(error)) => is_internal(&serde_json::to_value(error).unwrap()),
                        other => panic!("{era:?} {when}: {other:?}"),
                    }
                    // The same client, in the same session, goes on.
                    assert_eq!(client.said("echo", &json!({ "text": when })).await, when);
                }
            };
            let (said, ()) = tokio::join!(neighbour.said("slow", &slow), meanwhile);
            assert_eq!(said, "done after 40 steps", "{era:?}");
            assert_eq!(client.sessions.lock().unwrap().len(), usize::from(era == Lifecycle::Initialize));

            // On a stream of events that has begun.
            let params = call("slow", &json!({ "steps": 3, "ms": 1, "panic": "after" }));
            let ended = soon("the stream", Box::pin(client.service.call_tool(params))).await;
            assert!(matches!(&ended, Err(ServiceError::McpError(error)) if error.code.0 == -32603), "{ended:?}");
            assert!(matches!(client.next_seen().await, Seen::Progress(_)));

            // On a call that was parked while a person was asked.
            let params = call("ask", &json!({ "panic": "after" }));
            let ended = soon("the answer", Box::pin(client.service.call_tool(params))).await;
            assert!(matches!(&ended, Err(ServiceError::McpError(error)) if error.code.0 == -32603), "{ended:?}");
            assert!(client.said("ask", &json!({})).await.contains("teal"), "{era:?}");
            neighbour.close().await;
            client.close().await;
        }
    }
}

#[tokio::test]
async fn sec_164_what_a_panic_says_stays_in_the_log() {
    let served = serve_touchy(in_process()).await;
    let (status, ended) = answer(tool_by_hand(&served.at("/mcp/docs"), "echo", json!({ "panic": "before" }))).await;
    is_internal(&ended["error"]);
    assert!(!ended.to_string().contains("secret"), "{ended}");
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_164_a_handler_or_middleware_that_panics_answers_500() {
    let panicking = async |request: Request| -> Result<String, Infallible> {
        panic!("a handler panics: secret words of {}", request.uri())
    };
    let routes = Router::new().route("/boom", get(panicking)).route("/fine", get(async || "fine"));
    let app = Rialto::builder()
        .mount("docs", in_process())
        .routes(routes.fallback(async || -> &'static str { panic!("a fallback panics: secret words") }))
        .layer(middleware::from_fn(async |request: Request, next: middleware::Next| {
            assert!(!request.headers().contains_key("x-panic"), "a layer panics: secret words");
            next.run(request).await
        }))
        .build();
    let served = serve(app).await;
    let http = http_client();
    let client = connect(&served.at("/mcp/docs"), Lifecycle::Initialize).await;
    let get = |path: &str| http.get(served.at(path));
    for request in
        [get("/boom"), get("/nowhere"), get("/fine").header("x-panic", "1"), get("/mcp/docs").header("x-panic", "1")]
    {
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(problem["type"], "urn:rialto:problem:internal");
        assert_eq!(problem["detail"], WORDS);
        assert!(!problem.to_string().contains("secret"), "{problem}");
        // The connection is kept and used again.
        assert_eq!(get("/fine").send().await.unwrap().text().await.unwrap(), "fine");
    }
    assert_eq!(client.said("echo", &json!({ "text": "alive" })).await, "alive");
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_164_a_server_in_the_process_that_panics_is_down_and_nothing_else() {
    let broken = Proxy::in_process(|_io| async { panic!("a server panics: secret words") });
    let eager = Proxy::in_process(|_io| -> std::future::Ready<()> { panic!("a server panics at once: secret words") });
    let app = Rialto::builder().mount("broken", broken).mount("eager", eager).mount("docs", in_process()).build();
    let served = serve(app).await;
    for mount in ["broken", "eager"] {
        let call = tool_by_hand(&served.at(&format!("/mcp/{mount}")), "echo", json!({ "text": "x" }));
        let (_, ended) = answer(call).await;
        assert_eq!(ended["error"]["code"], -32603, "{ended}");
        assert!(!ended.to_string().contains("secret"), "{ended}");
    }
    for era in ERAS {
        let client: Client = connect(&served.at("/mcp/docs"), era).await;
        assert_eq!(client.said("echo", &json!({ "text": "alive" })).await, "alive");
        client.close().await;
    }
}
