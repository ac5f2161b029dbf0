//! What is mounted, and what it offers.

use futures_util::future::join_all;
use rialto::{
    Proxy,
    app::problem::Kind,
    hub::{Fault, Outcome},
    protocol::Method,
};
use serde_json::{Value, json};

use super::{
    EVERY_MOUNT, Everything,
    app::{App, answering, builder, get, post, scripted},
    assert_problem,
};
use crate::{matrix::process::until, support::json::raw};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mounts_of_every_kind_tell_what_they_are_and_offer() {
    let everything = Everything::start().await;
    until("the servers to be up", || async {
        let mounts = get(&format!("{}/api/mounts", everything.rialto.base)).await.ok();
        mounts["mounts"].as_array().unwrap().iter().all(|mount| mount["status"] == "up" && mount["era"].is_string())
    })
    .await;
    let mounts = get(&format!("{}/api/mounts", everything.rialto.base)).await.ok();
    let mounts = mounts["mounts"].as_array().unwrap();
    assert_eq!(mounts.len(), EVERY_MOUNT.len());
    for (name, transport, era, revision) in EVERY_MOUNT {
        let mount = mounts.iter().find(|mount| mount["name"] == name).unwrap();
        assert_eq!(
            (&mount["transport"], &mount["era"], &mount["revision"]),
            (&json!(transport), &json!(era), &json!(revision))
        );
        assert_eq!(mount["links"]["tools"], format!("/api/mounts/{name}/tools"));
        assert_eq!(mount["links"]["mcp"], format!("/mcp/{name}"));
        for link in ["self", "tools", "resources", "prompts", "openapi", "docs"] {
            let path = mount["links"][link].as_str().unwrap();
            assert_eq!(get(&format!("{}{path}", everything.rialto.base)).await.status, 200, "{path}");
        }
        let described = get(&everything.url(name, "")).await.ok();
        assert_eq!(described["serverInfo"]["name"], "fixture", "{described}");
        assert_eq!(described["status"], "up");
        assert_eq!(described["instructions"], "A server for tests. Do not take it seriously.");
        assert!(described["capabilities"]["tools"].is_object());
    }
    join_all(EVERY_MOUNT.map(|(name, _, _, revision)| offers(&everything, name, revision))).await;
}

async fn offers(everything: &Everything, mount: &str, revision: &str) {
    let tools = get(&everything.url(mount, "/tools")).await;
    let list = tools.ok();
    // Three pages of the server, whole.
    assert_eq!(list["tools"].as_array().unwrap().len(), 250, "{mount}");
    assert_eq!(list.as_object().unwrap().keys().filter(|key| *key != "tools" && *key != "_meta").count(), 0, "{mount}");
    let odd = list["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "unknown_fields").unwrap();
    assert_eq!(odd["vendor"], json!({"zebra": [1, 2.5, null], "apple": {"kept": true}}), "{mount}");
    assert!(
        tools.text.find("\"zebra\"").unwrap() < tools.text.find("\"apple\"").unwrap(),
        "{mount}: the order is kept"
    );

    let resources = get(&everything.url(mount, "/resources")).await.ok();
    assert!(
        resources["resources"].as_array().unwrap().iter().any(|r| r["uri"] == "test://text"),
        "{mount}: {resources}"
    );
    assert!(!resources["resourceTemplates"].as_array().unwrap().is_empty(), "{mount}: {resources}");
    let read = get(&everything.url(mount, "/resources/read?uri=test%3A%2F%2Ftext")).await.ok();
    assert_eq!(read["contents"][0]["uri"], "test://text", "{mount}: {read}");
    assert_eq!((read.get("resultType"), read.get("ttlMs")), (None, None), "{mount}: {read}");
    let missing = get(&everything.url(mount, "/resources/read?uri=test://missing")).await;
    let problem = assert_problem(&missing, Kind::UnknownResource);
    assert_eq!(problem["uri"], "test://missing");

    let prompts = get(&everything.url(mount, "/prompts")).await.ok();
    let prompt = &prompts["prompts"][0];
    let name = prompt["name"].as_str().unwrap();
    let arguments: serde_json::Map<String, Value> = prompt["arguments"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|argument| (argument["name"].as_str().unwrap().to_owned(), json!("something")))
        .collect();
    let filled = post(&everything.url(mount, &format!("/prompts/{name}")), json!(arguments).to_string()).await.ok();
    assert!(!filled["messages"].as_array().unwrap().is_empty(), "{mount} {revision}: {filled}");
}

#[tokio::test]
async fn a_server_that_is_down_is_listed_with_the_reason() {
    let app = App::serve(
        builder()
            .mount("gone", Proxy::to("http://127.0.0.1:1/mcp").title("The one that is gone"))
            .mount("never", Proxy::to("no url"))
            .mount("here", scripted(json!([]), |_| async { Err(Fault::error(-32603, "no")) }))
            .build(),
    )
    .await;
    until("the status", || async {
        let mounts = app.get("/api/mounts").await.ok();
        mounts["mounts"].as_array().unwrap().iter().all(|mount| mount["status"] != "unknown")
    })
    .await;
    let mounts = app.get("/api/mounts").await.ok();
    let statuses: Vec<_> = mounts["mounts"].as_array().unwrap().iter().map(|m| (&m["name"], &m["status"])).collect();
    assert_eq!(json!(statuses), json!([["gone", "down"], ["never", "down"], ["here", "up"]]));
    assert_eq!(mounts["mounts"][0]["title"], "The one that is gone");
    assert!(mounts["mounts"][1]["reason"].as_str().unwrap().contains("not a URL"), "{mounts}");
    assert_eq!(mounts["mounts"][1]["transport"], "none");
    assert_eq!(mounts["mounts"][2].get("reason"), None);

    let described = app.get("/api/mounts/gone").await.ok();
    assert_eq!(described["status"], "down");
    assert!(described["reason"].is_string() && described.get("serverInfo").is_none(), "{described}");
    for path in ["/tools", "/resources", "/prompts", "/resources/read?uri=a"] {
        let problem = assert_problem(&app.get(&format!("/api/mounts/gone{path}")).await, Kind::UpstreamUnreachable);
        assert_eq!((&problem["retryable"], &problem["upstream"]), (&json!(true), &json!("gone")), "{problem}");
    }
    for path in ["/tools/a", "/prompts/a"] {
        assert_problem(&app.post(&format!("/api/mounts/gone{path}"), "{}").await, Kind::UpstreamUnreachable);
    }
    app.get("/api/mounts/here/tools").await.ok();
}

#[tokio::test]
async fn lists_are_passed_on_byte_for_byte() {
    let item = r#"{"name":"odd","inputSchema":{"type":"object","properties":{"n":{"maximum":123456789012345678901234567890.50,"x":1E400}}},"zebra":[1.0,-0.0],"apple":"\u0041"}"#;
    let text = format!(
        r#"{{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{item}],"com.example/extra":{{"b":1,"a":2}}}}"#
    );
    let list = rialto::jsonrpc::Raw::scan(text.into(), rialto::jsonrpc::scan::ScanLimits::ANSWER).unwrap();
    let app = App::of(answering(move |_| {
        let list = list.clone();
        async move { Ok(Outcome::Complete(list)) }
    }))
    .await;
    let answer = app.get("/api/mounts/docs/tools").await;
    assert_eq!(answer.text, format!(r#"{{"com.example/extra":{{"b":1,"a":2}},"tools":[{item}]}}"#));
}

#[tokio::test]
async fn lists_without_end_are_given_up() {
    let app = App::of(scripted(json!([]), |call| async move {
        let count: usize = call.params.get("cursor").and_then(|c| c.as_text()?.parse().ok()).unwrap_or(0);
        let next = if call.method == Method::PromptsList { count + 1 } else { 7 };
        let member = call.method.list_member().unwrap_or("none");
        Ok(Outcome::Complete(raw(
            &json!({"resultType": "complete", member: [{"name": "p"}], "nextCursor": next.to_string()}),
        )))
    }))
    .await;
    let problem = assert_problem(&app.get("/api/mounts/docs/prompts").await, Kind::UpstreamFailed);
    assert_eq!(problem["reason"], "limit");
    let problem = assert_problem(&app.get("/api/mounts/docs/resources").await, Kind::UpstreamFailed);
    assert_eq!(problem["reason"], "upstream_protocol");
}

#[tokio::test]
async fn what_a_server_does_not_have_is_an_empty_list() {
    // A server without capabilities, and one without templates.
    #[derive(Clone)]
    struct Bare;
    impl rmcp::ServerHandler for Bare {}
    let bare = Proxy::in_process(|io| async move {
        use rmcp::ServiceExt;
        if let Ok(running) = Box::pin(Bare.serve(io)).await {
            let _ = running.waiting().await;
        }
    });
    let half = scripted(json!([]), |call| async move {
        match call.method {
            Method::TemplatesList => Err(Fault::method_not_found("resources/templates/list")),
            _ => Ok(Outcome::Complete(raw(
                &json!({"resultType": "complete", "resources": [{"uri": "a:b", "name": "b"}]}),
            ))),
        }
    });
    let app = App::serve(builder().mount("bare", bare).mount("half", half).build()).await;
    assert_eq!(app.get("/api/mounts/bare/tools").await.ok(), json!({"tools": []}));
    assert_eq!(app.get("/api/mounts/bare/prompts").await.ok(), json!({"prompts": []}));
    assert_eq!(app.get("/api/mounts/bare/resources").await.ok(), json!({"resources": [], "resourceTemplates": []}));
    assert_problem(&app.post("/api/mounts/bare/tools/any", "").await, Kind::UnknownTool);
    let resources = app.get("/api/mounts/half/resources").await.ok();
    assert_eq!(resources, json!({"resources": [{"uri": "a:b", "name": "b"}], "resourceTemplates": []}));
}
