//! Hooks and layers: what they see, what they change, how they answer and refuse, and in which order they stand.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use axum::Router;
use rialto::{
    Proxy, Rialto,
    hub::{BoxFuture, Call, Fault, Forwarded, Forwarding, Outcome, Principal, Verdict},
    jsonrpc::{Raw, RawObject},
    protocol::Method,
};
use rmcp::{ServiceError, model::CallToolRequestParams};
use serde_json::{Value, json};
use tower::{Layer, Service};

use super::{Client, ERAS, Served, answer, authenticated, connect, in_process, serve, tool_by_hand};
use crate::{
    matrix::process::Fixture,
    rmcp_client::peer::call,
    support::{json::value, wait::soon},
};

/// An application with a proxy at `/mcp/docs`.
async fn serve_docs(proxy: Proxy) -> Served {
    serve(authenticated(Rialto::builder().mount("docs", proxy).build())).await
}

/// What a client gets for a call that ends in an error of the protocol.
async fn refused(client: &Client, tool: &str) -> rmcp::ErrorData {
    let params: CallToolRequestParams = call(tool, &json!({ "text": "x" }));
    match soon(tool, Box::pin(client.service.call_tool(params))).await {
        Err(ServiceError::McpError(error)) => error,
        other => panic!("expected an error: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_changes_what_is_called_and_what_comes_back() {
    let legacy = Fixture::start(&["--revision", "2025-11-25"]).await;
    let modern = Fixture::start(&["--revision", "2026-07-28"]).await;
    for server in [Proxy::to(&legacy.url), Proxy::to(&modern.url), in_process()] {
        let proxy = server
            .before_forward(async |mut forwarding: Forwarding| {
                if forwarding.call.tool().as_deref() == Some("echo") {
                    let mut arguments = forwarding.call.arguments();
                    let text = arguments.get("text").and_then(Raw::as_text).unwrap_or_default().to_uppercase();
                    arguments.set("text", Raw::from(&*text));
                    forwarding.call.set_arguments(&arguments);
                }
                Ok(Verdict::Forward(forwarding.call))
            })
            .after_forward(async |mut forwarded: Forwarded| {
                if forwarded.method == Method::ToolsCall
                    && let Ok(outcome) = &mut forwarded.outcome
                {
                    let seen = forwarded.params.to_raw();
                    outcome.edit(|result| {
                        let seen = RawObject::from([("example.com/forwarded", seen)]);
                        result.set("structuredContent", seen.to_raw());
                    });
                }
                forwarded.outcome
            });
        let served = serve_docs(proxy).await;
        for era in ERAS {
            let client = connect(&served.at("/mcp/docs"), era).await;
            let result = client.call("echo", &json!({ "text": "quiet" })).await;
            let result = serde_json::to_value(result).unwrap();
            assert_eq!(result["content"][0]["text"], "QUIET", "{era:?}");
            let forwarded = &result["structuredContent"]["example.com/forwarded"];
            assert_eq!(forwarded["arguments"], json!({ "text": "QUIET" }), "{era:?}");
            client.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_answers_or_refuses_and_the_server_never_hears_of_it() {
    let fixture = Fixture::start(&["--revision", "2025-11-25"]).await;
    let proxy = Proxy::to(&fixture.url).before_forward(async |forwarding: Forwarding| {
        let call = forwarding.call;
        match call.tool().as_deref() {
            Some("echo") => Ok(Verdict::Answer(Outcome::text("from the hook"))),
            Some("add") => Ok(Verdict::Answer(Outcome::structured(&json!({ "sum": 3 })))),
            Some("fail") => Ok(Verdict::Answer(Outcome::tool_error("not today"))),
            Some("slow") => Err(Fault::error(-32602, "guests may look, and not touch")),
            Some("counter") => Err(Fault::refused("counting is not allowed")),
            _ => Ok(Verdict::Forward(call)),
        }
    });
    let served = serve_docs(proxy).await;
    for era in ERAS {
        let client = connect(&served.at("/mcp/docs"), era).await;
        assert_eq!(client.said("echo", &json!({ "text": "x" })).await, "from the hook");
        let sum = client.call("add", &json!({ "a": 1, "b": 2 })).await;
        assert_eq!(sum.structured_content, Some(json!({ "sum": 3 })), "{era:?}");
        let failed = client.call("fail", &json!({})).await;
        assert_eq!(failed.is_error, Some(true), "{era:?}");
        assert_eq!(failed.content[0].as_text().unwrap().text, "not today");
        let error = refused(&client, "slow").await;
        assert_eq!((error.code.0, &*error.message), (-32602, "guests may look, and not touch"), "{era:?}");
        let error = refused(&client, "counter").await;
        assert_eq!((error.code.0, &*error.message), (-32603, "counting is not allowed"), "{era:?}");
        let data = error.data.unwrap();
        assert_eq!((&data["source"], &data["reason"]), (&json!("gateway"), &json!("policy")));
        client.close().await;
    }
    assert_eq!(fixture.status().await["executions"], json!({}));

    // What a hook answers is written as the client's revision wants it.
    let (_, answer) = answer(tool_by_hand(&served.at("/mcp/docs"), "echo", json!({ "text": "x" }))).await;
    crate::support::schema::assert_modern("tools/call", &answer);
}

/// What a hook was shown.
#[derive(Debug, PartialEq)]
struct Shown {
    mount: String,
    principal: Principal,
    method: String,
    params: Value,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_sees_who_calls_what_where_and_the_raw_message() {
    let shown: Arc<Mutex<Vec<Shown>>> = Arc::default();
    let (before, after) = (shown.clone(), shown.clone());
    let proxy = in_process()
        .before_forward(move |forwarding: Forwarding| {
            before.lock().unwrap().push(Shown {
                mount: forwarding.mount.to_string(),
                principal: forwarding.principal().clone(),
                method: forwarding.call.method.to_string(),
                params: value(&forwarding.call.params.to_raw()),
            });
            async move { Ok(Verdict::Forward(forwarding.call)) }
        })
        .after_forward(move |forwarded: Forwarded| {
            after.lock().unwrap().push(Shown {
                mount: forwarded.mount.to_string(),
                principal: forwarded.principal.clone(),
                method: forwarded.method.to_string(),
                params: value(&forwarded.params.to_raw()),
            });
            async move { forwarded.outcome }
        });
    let served = serve(authenticated(Router::new().nest_service("/x", proxy.name("notes").into_service()))).await;
    for era in ERAS {
        let client = Client::connect_as(Some("ada"), &served.at("/x"), era, json!({})).await;
        shown.lock().unwrap().clear();
        client.said("echo", &json!({ "text": "raw", "unknown": [1, 2] })).await;
        soon("the list", client.service.list_all_prompts()).await.unwrap();
        let shown = std::mem::take(&mut *shown.lock().unwrap());
        assert_eq!(shown.len(), 4, "{era:?}: {shown:?}");
        assert_eq!((shown[0].method.as_str(), shown[2].method.as_str()), ("tools/call", "prompts/list"));
        assert_eq!((&shown[0], &shown[2]), (&shown[1], &shown[3]), "{era:?}");
        for one in &shown {
            assert_eq!((one.mount.as_str(), one.principal.as_str()), ("notes", "ada"), "{era:?}");
        }
        assert_eq!(shown[0].params["name"], "echo");
        assert_eq!(shown[0].params["arguments"], json!({ "text": "raw", "unknown": [1, 2] }));
        client.close().await;
    }
}

/// A layer that notes when it is passed.
#[derive(Clone)]
struct Noting(&'static str, Arc<Mutex<Vec<String>>>);

#[derive(Clone)]
struct Noted<S>(Noting, S);

impl<S> Layer<S> for Noting {
    type Service = Noted<S>;

    fn layer(&self, below: S) -> Noted<S> {
        Noted(self.clone(), below)
    }
}

impl Noting {
    fn note(&self, when: &str) {
        self.1.lock().unwrap().push(format!("{when} {}", self.0));
    }
}

impl<S> Service<Call> for Noted<S>
where
    S: Service<Call, Response = Outcome, Error = Fault>,
    S::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = Fault;
    type Future = BoxFuture<Result<Outcome, Fault>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.1.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let noting = self.0.clone();
        if call.method != Method::ToolsCall {
            return Box::pin(self.1.call(call));
        }
        noting.note("before");
        let running = self.1.call(call);
        Box::pin(async move {
            let outcome = running.await;
            noting.note("after");
            outcome
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_and_layers_are_passed_in_the_order_in_which_they_were_added() {
    let noted: Arc<Mutex<Vec<String>>> = Arc::default();
    let before = |name: &'static str| {
        let noting = Noting(name, noted.clone());
        move |forwarding: Forwarding| {
            if forwarding.call.method == Method::ToolsCall {
                noting.note("before");
            }
            async move { Ok(Verdict::Forward(forwarding.call)) }
        }
    };
    let after = |name: &'static str| {
        let noting = Noting(name, noted.clone());
        move |forwarded: Forwarded| {
            if forwarded.method == Method::ToolsCall {
                noting.note("after");
            }
            async move { forwarded.outcome }
        }
    };
    let proxy = in_process()
        .before_forward(before("hook 1"))
        .after_forward(after("hook 2"))
        .layer(Noting("layer 3", noted.clone()))
        .before_forward(before("hook 4"))
        .after_forward(after("hook 5"));
    let served = serve_docs(proxy).await;
    for era in ERAS {
        let client = connect(&served.at("/mcp/docs"), era).await;
        noted.lock().unwrap().clear();
        client.said("echo", &json!({ "text": "x" })).await;
        let order = std::mem::take(&mut *noted.lock().unwrap());
        let expected =
            ["before hook 1", "before layer 3", "before hook 4", "after hook 5", "after layer 3", "after hook 2"];
        assert_eq!(order, expected, "{era:?}");
        client.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_changes_lists_and_turns_faults_into_words() {
    let proxy = in_process()
        .before_forward(async |forwarding: Forwarding| match forwarding.call.tool().as_deref() {
            Some("slow") => Err(Fault::error(-32602, "no such tool here")),
            _ => Ok(Verdict::Forward(forwarding.call)),
        })
        .after_forward(async |mut forwarded: Forwarded| {
            match (&forwarded.method, &mut forwarded.outcome) {
                (Method::ToolsList, Ok(outcome)) => outcome.edit(|result| {
                    let tools = result.get("tools").and_then(Raw::to_array).unwrap_or_default();
                    let is_shown =
                        |tool: &Raw| tool.to_object().is_some_and(|t| !t.get("name").unwrap().is_text("slow"));
                    let shown: Vec<_> = tools.into_iter().filter(is_shown).collect();
                    result.set("tools", Raw::array(&shown));
                }),
                (Method::ToolsCall, Err(fault)) => {
                    return Ok(Outcome::tool_error(&format!("it did not work: {fault}")));
                }
                _ => {}
            }
            forwarded.outcome
        });
    let served = serve_docs(proxy).await;
    for era in ERAS {
        let client = connect(&served.at("/mcp/docs"), era).await;
        let tools = soon("the list", client.service.list_all_tools()).await.unwrap();
        let has = |name| tools.iter().any(|tool| tool.name == name);
        assert!(has("echo") && has("ask") && !has("slow"), "{era:?}: {tools:?}");
        let result = client.call("no_such_tool", &json!({})).await;
        assert_eq!(result.is_error, Some(true), "{era:?}");
        let text = &result.content[0].as_text().unwrap().text;
        assert!(text.starts_with("it did not work: Unknown tool"), "{era:?}: {text}");
        // The hook that was added first refuses outside of the one that words faults.
        assert_eq!(refused(&client, "slow").await.code.0, -32602, "{era:?}");
        client.close().await;
    }
}

/// A rule of the operator decides by the message that is executed. Headers of a legacy client mirror nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn era_453_a_rule_goes_by_the_body_and_not_by_headers() {
    let proxy = in_process().before_forward(async |forwarding: Forwarding| match forwarding.call.tool().as_deref() {
        Some("executions") => Err(Fault::refused("not for you")),
        _ => Ok(Verdict::Forward(forwarding.call)),
    });
    let served = serve_docs(proxy).await;
    let call = |asked: &'static str, named: &'static str, version: Option<&'static str>| {
        let params = json!({ "name": asked, "arguments": { "text": "x" } });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let mut request = crate::matrix::client::http_client()
            .post(served.at("/mcp/docs"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-method", "tools/list")
            .header("mcp-name", named);
        if let Some(version) = version {
            request = request.header("mcp-protocol-version", version);
        }
        request.body(body.to_string())
    };
    for version in [None, Some("2025-06-18"), Some("2025-11-25")] {
        let text = soon("an answer", call("executions", "echo", version).send()).await.unwrap().text().await.unwrap();
        assert!(text.contains("not for you"), "{version:?}: {text}");
        let text = soon("an answer", call("echo", "executions", version).send()).await.unwrap().text().await.unwrap();
        assert!(text.contains("\"text\":\"x\""), "{version:?}: {text}");
    }
}
