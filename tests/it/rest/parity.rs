//! REST is no weaker door than MCP.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use rialto::{
    app::problem::Kind,
    auth::Access,
    hub::{Fault, Forwarded, Outcome, Principal, Reason},
    protocol::Method,
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};
use tower::ServiceExt;

use super::{
    app::{Answer, App, builder, named, nothing, scripted, scripted_behind, tool},
    assert_problem,
};
use crate::{
    matrix::client::http_client,
    support::{
        json::{raw, value},
        mount,
        wait::soon,
    },
};

/// A tool call over MCP, in the modern era.
fn over_mcp(tool: &str, arguments: &Value) -> (Vec<(&'static str, String)>, String) {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    });
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("accept", "application/json, text/event-stream".to_owned()),
        ("mcp-protocol-version", "2026-07-28".to_owned()),
        ("mcp-method", "tools/call".to_owned()),
        ("mcp-name", tool.to_owned()),
    ];
    (headers, body.to_string())
}

async fn call_over_mcp(app: &App, mount: &str, tool: &str, arguments: &Value) -> Answer {
    let (headers, body) = over_mcp(tool, arguments);
    let request = http_client().post(app.url(&format!("/mcp/{mount}"))).body(body);
    Answer::of(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))).await
}

#[tokio::test]
async fn sec_125_the_same_hooks_see_the_same_calls_and_decide_alike() {
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let noted = seen.clone();
    let ended: Arc<Mutex<Vec<Value>>> = Arc::default();
    let told = ended.clone();
    let outside = nothing().after_forward(move |forwarded: Forwarded| {
        let ended = json!([forwarded.principal.as_str(), forwarded.method.as_str(), forwarded.outcome.is_ok()]);
        told.lock().unwrap().push(ended);
        async move { forwarded.outcome }
    });
    let proxy = scripted_behind(outside, json!([tool("fine"), tool("denied"), tool("changed")]), move |call| {
        noted.lock().unwrap().push(json!([
            call.caller.principal.as_str(),
            call.method.as_str(),
            named(&call),
            value(call.params.get("arguments").unwrap()),
        ]));
        async move {
            match &*named(&call) {
                "denied" => Err(Fault::gateway(Reason::Policy, "not today")),
                "changed" => {
                    Ok(Outcome::Complete(raw(&json!({"content": [], "structuredContent": {"secret": "[redacted]"}}))))
                }
                name => mount::says(name),
            }
        }
    });
    let app = App::serve(
        builder()
            .mount("docs", proxy)
            .mount("closed", scripted(json!([tool("fine")]), |_| async { panic!("nobody may come here") }))
            .layer(axum::Extension(Access::only(Principal::new("ci"), ["docs"])))
            .build(),
    )
    .await;

    for name in ["fine", "denied", "changed"] {
        let arguments = json!({"n": name});
        let mcp = call_over_mcp(&app, "docs", name, &arguments).await;
        let rest = app.post(&format!("/api/mounts/docs/tools/{name}"), arguments.to_string()).await;
        match name {
            "denied" => {
                assert_eq!(mcp.json()["error"]["data"]["reason"], "policy", "{mcp:?}");
                assert_eq!(assert_problem(&rest, Kind::Refused)["reason"], "policy");
            }
            "changed" => assert_eq!(mcp.json()["result"]["structuredContent"], rest.ok()),
            _ => assert_eq!(mcp.json()["result"]["content"], rest.ok()["content"]),
        }
        let seen: Vec<_> = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(seen, vec![json!(["ci", "tools/call", name, arguments]); 2]);
        let ended = std::mem::take(&mut *ended.lock().unwrap()).into_iter().filter(|end| end[1] == "tools/call");
        assert_eq!(ended.collect::<Vec<_>>(), vec![json!(["ci", "tools/call", name != "denied"]); 2]);
    }
    assert_eq!(call_over_mcp(&app, "closed", "fine", &json!({})).await.status, StatusCode::FORBIDDEN);
    assert_problem(&app.post("/api/mounts/closed/tools/fine", "{}").await, Kind::Forbidden);
    assert_eq!(call_over_mcp(&app, "other", "fine", &json!({})).await.status, StatusCode::NOT_FOUND);
    assert_problem(&app.post("/api/mounts/other/tools/fine", "{}").await, Kind::UnknownMount);
}

/// All places of the mount are taken over REST, so that neither door lets another call in; and the other way round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_125_both_doors_lead_to_the_same_places() {
    let running = Arc::new(watch::Sender::new(0_usize));
    let counted = running.clone();
    let proxy = scripted(json!([tool("waits"), tool("fine")]), move |call| {
        let counted = counted.clone();
        async move {
            if named(&call) == "fine" {
                return mount::says("fine");
            }
            counted.send_modify(|running| *running += 1);
            std::future::pending().await
        }
    });
    let router = builder().mount("docs", proxy).build();
    let request = |door: &str, tool: &str| {
        let (headers, body) = over_mcp(tool, &json!({}));
        let request = Request::post(match door {
            "mcp" => "/mcp/docs".to_owned(),
            _ => format!("/api/mounts/docs/tools/{tool}"),
        });
        let request = request.header("host", "localhost");
        let (headers, body) = if door == "mcp" { (headers, body) } else { (Vec::new(), String::new()) };
        headers
            .into_iter()
            .fold(request, |request, (name, value)| request.header(name, value))
            .body(Body::from(body))
            .unwrap()
    };
    for door in ["rest", "mcp"] {
        let before = *running.borrow();
        let mut calls = JoinSet::new();
        for _ in 0..1024 {
            calls.spawn(router.clone().oneshot(request(door, "waits")));
        }
        soon("all places to be taken", running.subscribe().wait_for(|now| *now == before + 1024)).await.unwrap();
        let rest = soon("REST", router.clone().oneshot(request("rest", "fine"))).await.unwrap();
        assert_eq!(
            (rest.status(), &*rest.headers()["retry-after"].to_str().unwrap().to_owned()),
            (StatusCode::SERVICE_UNAVAILABLE, "1")
        );
        let mcp = soon("MCP", router.clone().oneshot(request("mcp", "fine"))).await.unwrap();
        let text = mcp.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(answer["error"]["data"]["reason"], "busy", "{answer}");
        // Whoever leaves makes room.
        calls.shutdown().await;
        let rest = soon("REST again", router.clone().oneshot(request("rest", "fine"))).await.unwrap();
        assert_eq!(rest.status(), StatusCode::OK);
    }
}

/// Principals share nothing: neither what is listed for them nor where their calls run.
#[tokio::test]
async fn sec_125_every_principal_is_itself() {
    let lists = Arc::new(AtomicUsize::new(0));
    let counted = lists.clone();
    let proxy = super::app::answering(move |call| {
        let lists = counted.clone();
        async move {
            let who = call.caller.principal.as_str().to_owned();
            match call.method {
                Method::ToolsList => {
                    lists.fetch_add(1, Ordering::SeqCst);
                    Ok(Outcome::Complete(raw(
                        &json!({"resultType": "complete", "tools": [tool(&format!("only_{who}"))]}),
                    )))
                }
                _ => mount::says(format!("{who} {}", call.caller.scope.is_session())),
            }
        }
    });
    let identify = tower::util::MapRequestLayer::new(|mut request: Request<Body>| {
        let name = request.headers().get("x-who").and_then(|who| who.to_str().ok()).map(str::to_owned);
        request.extensions_mut().insert(Principal::new(&name.unwrap_or_default()));
        request
    });
    let app = App::serve(builder().mount("docs", proxy).layer(identify).build()).await;
    let call = |who: &'static str, tool: String| {
        Answer::of(http_client().post(app.url(&format!("/api/mounts/docs/tools/{tool}"))).header("x-who", who))
    };
    for (who, other) in [("alice", "bob"), ("bob", "alice")] {
        assert_eq!(call(who, format!("only_{who}")).await.ok()["content"][0]["text"], format!("{who} false"));
        assert_problem(&call(who, format!("only_{other}")).await, Kind::UnknownTool);
        let document = Answer::of(http_client().get(app.url("/openapi.json")).header("x-who", who)).await.ok();
        let paths = document["paths"].to_string();
        assert!(paths.contains(&format!("only_{who}")) && !paths.contains(&format!("only_{other}")), "{paths}");
    }
}

/// Headers that the operator lets pass travel from both doors, and no others.
#[tokio::test]
async fn sec_125_the_same_headers_travel() {
    let say = |call: rialto::hub::Call| async move {
        let headers: Vec<_> =
            call.headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        mount::says(headers.join(" "))
    };
    let names = ["x-tenant", "authorization", "cookie"].map(http::HeaderName::from_static);
    let app = App::of(scripted(json!([tool("headers")]), say).forward_headers(names)).await;
    let (headers, body) = over_mcp("headers", &json!({}));
    let extra = [("x-tenant", "blue"), ("authorization", "Bearer secret"), ("cookie", "a=b"), ("x-other", "1")];
    let mcp = headers.iter().fold(http_client().post(app.url("/mcp/docs")), |r, (name, value)| r.header(*name, value));
    let rest = http_client().post(app.url("/api/mounts/docs/tools/headers"));
    let [mcp, rest] = [mcp.body(body), rest].map(|r| extra.iter().fold(r, |r, (name, value)| r.header(*name, *value)));
    assert_eq!(Answer::of(mcp).await.json()["result"]["content"][0]["text"], "x-tenant=blue");
    assert_eq!(Answer::of(rest).await.ok()["content"][0]["text"], "x-tenant=blue");
}
