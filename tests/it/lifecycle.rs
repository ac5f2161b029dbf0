//! How the program begins and ends, with real servers behind it.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Map, Value, json};

use crate::{
    matrix::{
        client::{Client, MODERN, http_client},
        process::{Fixture, Rialto, fixture_command, processes_with, until},
    },
    server_kit::soon,
};

/// How long the program may take to end when nothing but idle streams is open.
const A_FEW_SECONDS: Duration = Duration::from_secs(4);

#[tokio::test]
async fn sec_161_termination_ends_open_streams() {
    let fixture = Fixture::start(&["--revision", "dual"]).await;
    let mut rialto = Rialto::start(&json!({
        "far": fixture.entry(),
        "near": fixture_command(&["--revision", "2025-11-25"]),
    }))
    .await;
    let mut streams = Vec::new();
    let (mut legacy, mut modern) = (Vec::new(), Vec::new());
    for mount in ["far", "near"] {
        legacy.push(Client::connect(&rialto.mount(mount), "2025-11-25").await);
        let client = Client::connect(&rialto.mount(mount), MODERN).await;
        streams.push(client.listen().await);
        modern.push(client);
    }
    for client in &legacy {
        assert_eq!(client.call("echo", json!({ "text": "open" })).await.said(), "open");
    }

    let asked = Instant::now();
    rialto.signal(Signal::TERM);
    for mut stream in streams {
        let last = soon("the last words of a subscription", stream.next()).await.expect("a result");
        let last: Value = serde_json::from_str(&last).unwrap();
        assert_eq!(last["result"]["resultType"], "complete", "{last}");
        assert!(last["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"].is_number(), "{last}");
        assert!(soon("the end of a subscription", stream.next()).await.is_none());
    }
    let status = rialto.ended().await;
    assert_eq!(status.code(), Some(0), "{status}\n{}", rialto.log());
    assert!(asked.elapsed() < A_FEW_SECONDS, "it took {:?}\n{}", asked.elapsed(), rialto.log());
    assert!(!rialto.log().contains("did not end in time"), "{}", rialto.log());
}

#[tokio::test]
async fn termination_lets_a_running_call_end() {
    let mut rialto = Rialto::start(&json!({ "near": fixture_command(&["--revision", MODERN]) })).await;
    let client = Client::connect(&rialto.mount("near"), MODERN).await;
    let token = json!("begun");
    let call = client.call_collecting("slow", json!({ "steps": 4, "ms": 300 }), &token);
    let end = async {
        until("the call to reach the server", || async {
            let counts = client.call("executions", json!({})).await.said();
            counts.contains("slow")
        })
        .await;
        rialto.signal(Signal::TERM);
    };
    let (reply, ()) = tokio::join!(call, end);
    assert_eq!(reply.said(), "done after 4 steps");
    drop(client);
    assert_eq!(rialto.ended().await.code(), Some(0), "{}", rialto.log());
}

/// Children of every temper: one that ends when it is told to, one that has to be killed, and one with a child of its own.
fn family(tag: &str) -> Value {
    json!({
        "polite": fixture_command(&["--revision", "2025-06-18", "--tag", tag]),
        "stubborn": fixture_command(&["--revision", MODERN, "--stubborn", "--tag", tag]),
        "parent": fixture_command(&["--revision", "2025-11-25", "--offspring", "--tag", tag]),
    })
}

async fn raise(tag: &str) -> Rialto {
    let rialto = Rialto::start(&family(tag)).await;
    for mount in ["polite", "stubborn", "parent"] {
        let client = Client::connect(&rialto.mount(mount), MODERN).await;
        assert_eq!(client.call("echo", json!({ "text": mount })).await.said(), mount);
    }
    let can_look = std::path::Path::new("/proc/self/cmdline").exists();
    assert!(!can_look || processes_with(tag).len() >= 4, "a child is missing: {:?}", processes_with(tag));
    rialto
}

#[tokio::test]
async fn sec_112_no_child_outlives_a_termination() {
    let tag = format!("terminated-{}", std::process::id());
    let mut rialto = raise(&tag).await;
    rialto.signal(Signal::TERM);
    assert_eq!(rialto.ended().await.code(), Some(0), "{}", rialto.log());
    until("the end of all children", || async { processes_with(&tag).is_empty() }).await;
}

#[tokio::test]
async fn sec_113_no_child_outlives_a_kill() {
    let tag = format!("killed-{}", std::process::id());
    let mut rialto = raise(&tag).await;
    rialto.signal(Signal::KILL);
    let killed = Instant::now();
    assert_eq!(rialto.ended().await.code(), None);
    until("the end of all children", || async { processes_with(&tag).is_empty() }).await;
    assert!(killed.elapsed() < A_FEW_SECONDS, "they lived on for {:?}", killed.elapsed());
}

/// A process that waits for the next request is ended with everything else.
#[tokio::test]
async fn sec_112_113_no_process_that_waits_outlives_the_program() {
    for signal in [Signal::TERM, Signal::KILL] {
        let tag = format!("waits-{signal:?}-{}", std::process::id());
        let near = fixture_command(&["--revision", "2025-11-25", "--stubborn", "--tag", &tag]);
        let config = json!({ "mcpServers": { "near": near }, "rialto": { "servers": { "near": { "sessions": "per-request" } } } });
        let mut rialto = Rialto::start_file("mcp.json", &config.to_string()).await;
        let client = Client::connect(&rialto.mount("near"), MODERN).await;
        assert_eq!(client.call("echo", json!({ "text": "one" })).await.said(), "one");
        // What the call had ends, and one that it never had is left.
        until("the one that waits", || async { processes_with(&tag).len() == 1 }).await;
        let waits = processes_with(&tag);
        assert_eq!(client.call("echo", json!({ "text": "two" })).await.said(), "two");
        until("the next", || async { processes_with(&tag).len() == 1 && processes_with(&tag) != waits }).await;
        drop(client);
        rialto.signal(signal);
        rialto.ended().await;
        until("the end of all children", || async { processes_with(&tag).is_empty() }).await;
    }
}

#[tokio::test]
async fn a_faulty_config_is_refused_before_anything_listens() {
    let text = r#"{
  "mcpServers": {
    "docs": { "url": "not a url" },
    "files": { "command": "fixture", "env": { "KEY": "${RIALTO_TEST_UNSET}" } }
  },
  "rialto": { "lisen": "127.0.0.1:0" }
}"#;
    let Err(ended) = Rialto::run(Some(("broken.json", text))).await else { panic!("it was served") };
    assert_eq!(ended.status.code(), Some(78), "{ended:?}");
    assert_eq!(ended.out, "", "nothing listens, so nothing is announced");
    for expected in [
        "broken.json:3:22: error: mcpServers.docs.url: ",
        "broken.json:4:54: error: mcpServers.files.env.KEY: the environment variable `RIALTO_TEST_UNSET` is not set",
        "broken.json:6:15: error: rialto.lisen: unknown key",
        "did you mean `listen`?",
    ] {
        assert!(ended.errors.contains(expected), "expected {expected:?} in\n{}", ended.errors);
    }
}

/// A port where nothing listens.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The reason that `/readyz` gives, once it has looked.
async fn reason(rialto: &Rialto, mount: &str) -> String {
    until("the mount to show as down", || async { rialto.readiness(mount).await["status"] == "down" }).await;
    rialto.readiness(mount).await["reason"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_is_down_says_why_and_stops_nothing_else() {
    let port = free_port();
    let rialto = Rialto::start(&json!({
        "works": fixture_command(&["--revision", "dual"]),
        "old": { "type": "sse", "url": "http://127.0.0.1:9/sse" },
        "later": { "url": format!("http://127.0.0.1:{port}/mcp") },
        "missing": { "command": "rialto-test-no-such-program" },
    }))
    .await;
    let client = Client::connect(&rialto.mount("works"), MODERN).await;
    assert_eq!(client.call("echo", json!({ "text": "works" })).await.said(), "works");

    let old = reason(&rialto, "old").await;
    assert!(old.contains("HTTP+SSE") && old.contains("not built"), "{old}");
    let missing = reason(&rialto, "missing").await;
    assert!(missing.contains("rialto-test-no-such-program"), "{missing}");
    let later = reason(&rialto, "later").await;
    assert!(later.contains("connect") || later.contains("refused"), "{later}");
    until("the one that works to be up", || async { rialto.readiness("works").await["status"] == "up" }).await;

    // A client hears the reason, too, and is given no session and no empty list.
    for mount in ["old", "later", "missing"] {
        let hello = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "raw-client", "version": "1" },
        });
        let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello });
        let request = http_client().post(rialto.mount(mount)).header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream").body(hello.to_string());
        let response = request.send().await.unwrap();
        assert!(!response.headers().contains_key("mcp-session-id"), "{mount}");
        let text = response.text().await.unwrap();
        assert!(text.contains("-32603"), "{mount}: {text}");
    }

    // Nobody asks for it, and nobody restarts anything: it is found when it is there.
    let fixture = Fixture::start(&["--revision", "2025-06-18", "--port", &port.to_string()]).await;
    assert!(fixture.url.contains(&port.to_string()));
    until("the late one to be up", || async { rialto.readiness("later").await["status"] == "up" }).await;
    let client = Client::connect(&rialto.mount("later"), MODERN).await;
    assert_eq!(client.call("echo", json!({ "text": "at last" })).await.said(), "at last");
}

/// The names of all tools, page by page.
async fn all_tools(client: &Client) -> Vec<String> {
    let mut names = Vec::new();
    let mut params = Map::new();
    loop {
        let page = client.request("tools/list", Value::Object(params.clone())).await.result();
        let tools = page["tools"].as_array().unwrap().iter();
        names.extend(tools.map(|tool| tool["name"].as_str().unwrap().to_owned()));
        match page.get("nextCursor") {
            Some(cursor) => drop(params.insert("cursor".to_owned(), cursor.clone())),
            None => return names,
        }
    }
}

#[tokio::test]
async fn many_tools_are_listed_to_the_last() {
    let fixture = Fixture::start(&["--revision", MODERN, "--many-tools", "10000"]).await;
    let rialto = Rialto::start(&json!({
        "few": fixture_command(&["--revision", "2025-11-25", "--many-tools"]),
        "far": fixture.entry(),
        "near": fixture_command(&["--revision", "2025-06-18", "--many-tools", "10000"]),
    }))
    .await;
    for (mount, count) in [("few", 250), ("far", 10_000), ("near", 10_000)] {
        for revision in ["2025-06-18", MODERN] {
            let client = Client::connect(&rialto.mount(mount), revision).await;
            let names = all_tools(&client).await;
            assert_eq!(names.len(), count, "{mount} {revision}");
            assert_eq!(names[0], "echo", "{mount} {revision}");
            assert_eq!(names[count - 1], format!("tool_{:05}", count - 1), "{mount} {revision}");
            client.close().await;
        }
    }
}
