//! Each message is of the era that its own words name.

use rialto::Proxy;
use serde_json::{Value, json};
use tokio::io::{duplex, split};

use super::{
    MODERN, NEWEST, Pipe,
    kit::{Serving, code, done, initialize, text_of, tool},
    modern, request,
};
use crate::{legacy_support::Scripted, matrix::process::fixture_path, support::wait::soon};

/// A client of the fixture server, which is a child of this process.
pub(super) fn client_of(proxy: Proxy) -> (Pipe, Serving) {
    let (near, far) = duplex(64 * 1024);
    let (reader, writer) = split(far);
    (Pipe::over(near), tokio::spawn(proxy.serve_lines(reader, writer)))
}

pub(super) fn fixture(revision: &str) -> Proxy {
    let program = fixture_path().to_string_lossy().into_owned();
    Proxy::command(program).args(["--transport", "stdio", "--revision", revision])
}

#[tokio::test]
async fn era_132_discovering_does_not_pin_the_era() {
    for server in [NEWEST, MODERN] {
        let (mut client, serving) = client_of(fixture(server));
        let discovered = client.ask(&modern(1, "server/discover", json!({}))).await;
        assert!(discovered["result"]["supportedVersions"].as_array().unwrap().contains(&json!(MODERN)));
        client.handshake("2024-11-05").await;
        let said = client.ask(&request(2, "tools/call", json!({"name": "echo", "arguments": {"text": "hi"}}))).await;
        assert_eq!(text_of(&said), "hi");
        client.ask(&modern(3, "server/discover", json!({}))).await;
        client.close().await;
        assert_eq!(client.rest().await, [] as [Value; 0]);
        done(serving).await;
    }
}

/// Every answer is checked against the schema of its own era.
#[tokio::test]
async fn era_133_a_legacy_session_and_modern_requests_are_interleaved() {
    for server in [NEWEST, MODERN] {
        let (mut client, serving) = client_of(fixture(server));
        client.handshake(NEWEST).await;
        let echo = |text: &str| json!({"name": "echo", "arguments": {"text": text}});
        let slow = json!({"name": "slow", "arguments": {"steps": 3, "ms": 20}, "_meta": {"progressToken": "m"}});
        client.send(&modern("m", "tools/call", slow)).await;
        for n in 0..10 {
            let (old, new) = (format!("old {n}"), format!("new {n}"));
            client.send(&request(n, "tools/call", echo(&old))).await;
            client.send(&modern(n.to_string(), "tools/call", echo(&new))).await;
            assert_eq!(text_of(&client.answer(&json!(n)).await), old);
            assert_eq!(text_of(&client.answer(&json!(n.to_string())).await), new);
            let lists = client.ask(&request(format!("l{n}"), "tools/list", json!({}))).await;
            assert!(lists["result"].get("resultType").is_none(), "{lists}");
            let lists = client.ask(&modern(format!("m{n}"), "tools/list", json!({}))).await;
            assert_eq!(lists["result"]["resultType"], "complete");
        }
        assert_eq!(text_of(&client.answer(&json!("m")).await), "done after 3 steps");
        client.close().await;
        client.rest().await;
        done(serving).await;
    }
}

#[tokio::test]
async fn era_134_what_comes_before_initialize_is_refused_and_the_connection_stays() {
    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    for method in ["tools/list", "tools/call", "logging/setLevel", "nonsense"] {
        let answer = client.ask(&request(1, method, json!({"name": "echo"}))).await;
        assert_eq!(code(&answer), -32600, "{method}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("not initialized"), "{answer}");
    }
    // Without its envelope it is malformed.
    assert_eq!(code(&client.ask(&request(2, "server/discover", json!({}))).await), -32602);
    assert_eq!(client.ask(&request("p", "ping", json!({}))).await["result"], json!({}));
    // Nobody answers what asks for nothing.
    client.tell("notifications/initialized", json!({})).await;
    client.text(r#"{"jsonrpc":"2.0","id":"x-1","result":{}}"#).await;
    client.nothing().await;
    assert!(mount.seen().is_empty());
    client.handshake(NEWEST).await;
    assert!(client.ask(&request(1, "tools/list", json!({}))).await["result"]["tools"].is_array());
    client.close().await;
    done(serving).await;
}

#[tokio::test]
async fn what_is_wrong_with_an_envelope_is_said() {
    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    let meta = "io.modelcontextprotocol/";
    for (key, value, expected) in [
        ("protocolVersion", json!("2027-01-01"), -32022),
        ("protocolVersion", json!("2025-11-25"), -32022),
        ("protocolVersion", json!(7), -32602),
        ("clientCapabilities", json!("all"), -32602),
        ("clientInfo", json!({"name": "x"}), -32602),
        ("logLevel", json!("loud"), -32602),
    ] {
        let mut call = modern(1, "tools/call", tool("echo"));
        call["params"]["_meta"][format!("{meta}{key}")] = value.clone();
        let answer = client.ask(&call).await;
        assert_eq!(code(&answer), expected, "{key}: {value}");
        if expected == -32022 {
            assert_eq!(answer["error"]["data"]["supported"], json!([MODERN]));
        }
    }
    let mut call = modern(1, "tools/call", tool("echo"));
    call["params"]["_meta"].as_object_mut().unwrap().remove("io.modelcontextprotocol/clientCapabilities");
    assert_eq!(code(&client.ask(&call).await), -32602);
    assert!(mount.seen().is_empty());
    client.close().await;
    done(serving).await;
}

#[tokio::test]
async fn there_is_one_session_and_a_server_that_is_down_is_no_session() {
    let mount = Scripted::new("docs");
    mount.go_down();
    let (mut client, serving) = Pipe::at(&mount);
    assert_eq!(code(&client.initialize(NEWEST).await), -32603);
    assert_eq!(code(&client.ask(&request(1, "tools/list", json!({}))).await), -32600);
    client.close().await;
    done(serving).await;

    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    let wrong = client.ask(&request(0, "initialize", json!({"capabilities": {}}))).await;
    assert_eq!(code(&wrong), -32602);
    client.handshake(NEWEST).await;
    let again = client.ask(&initialize(2, NEWEST)).await;
    assert_eq!(code(&again), -32600);
    assert!(client.ask(&request(3, "tools/list", json!({}))).await["result"]["tools"].is_array());
    client.close().await;
    done(serving).await;
    mount.closed(1).await;
}

#[tokio::test]
async fn era_461_an_id_in_flight_is_not_taken_twice_whatever_the_eras() {
    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    client.handshake("2025-03-26").await;
    let legacy = |id: Value| request(id, "tools/call", tool("hold"));
    let both = |id: Value| [legacy(id.clone()), modern(id, "tools/call", tool("hold"))];
    for first in both(json!(1)) {
        client.text(&first.to_string()).await;
        let call = soon("a call", mount.next()).await;
        for second in both(json!(1)) {
            client.text(&second.to_string()).await;
            let refused = client.next().await;
            assert_eq!((code(&refused), &refused["id"]), (-32600, &json!(1)), "{refused}");
        }
        // Another type is another id.
        client.text(&legacy(json!("1")).to_string()).await;
        let other = soon("a call", mount.next()).await;
        other.say("other");
        assert_eq!(client.next().await["id"], "1");
        if first["params"].get("_meta").is_some() {
            // Nobody could tell which of the two a cancellation means.
            client.text(&json!([legacy(json!(2)), legacy(json!(1))]).to_string()).await;
            let refused = client.next().await;
            assert_eq!((code(&refused), refused.get("id")), (-32600, None), "{refused}");
        }
        assert!(!call.is_dropped());
        call.say("first");
        assert_eq!(text_of(&client.next().await), "first");
        // It is free again as soon as it is answered.
        client.text(&legacy(json!(1)).to_string()).await;
        mount.next().await.say("again");
        assert_eq!(text_of(&client.next().await), "again");
    }
    client.close().await;
    done(serving).await;
}

#[tokio::test]
async fn the_right_request_is_cancelled_whatever_its_era_and_the_type_of_its_id() {
    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    client.handshake(NEWEST).await;
    let mut held = Vec::new();
    for id in [json!(1), json!("1")] {
        client.text(&request(id, "tools/call", tool("hold")).to_string()).await;
        held.push(mount.next().await);
    }
    for id in [json!(2), json!("2")] {
        client.text(&modern(id, "tools/call", tool("hold")).to_string()).await;
        held.push(mount.next().await);
    }
    for id in [json!(null), json!(3), json!("3"), json!(1.5), json!([1])] {
        client.cancel(id).await;
    }
    client.tell("notifications/cancelled", json!({})).await;
    client.nothing().await;
    assert!(held.iter().all(|call| !call.is_dropped()));
    for (at, id) in [json!(1), json!("1"), json!(2), json!("2")].into_iter().enumerate() {
        client.cancel(id).await;
        soon("the end of the call", held[at].dropped()).await;
        assert_eq!(held[at].call.life.abandoned().as_deref(), Some("tired"));
        assert!(held[at + 1..].iter().all(|call| !call.is_dropped()), "{at}");
    }
    // Nothing is said of what was cancelled.
    client.nothing().await;
    client.close().await;
    assert_eq!(client.rest().await, [] as [Value; 0]);
    done(serving).await;
}
