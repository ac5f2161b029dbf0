//! What a server says on the stream of a call, or beside it, that is not for the client: it stays on its hop.

use rialto::upstream::lines::LineSettings;

use super::*;
use crate::lines::played;

/// What clients say, what belongs to one hop, and what only the other kinds of streams have. An id in it is the server's.
fn strays() -> Vec<Value> {
    let note = |method: &str, params: Value| json!({"jsonrpc": "2.0", "method": method, "params": params});
    vec![
        note("notifications/cancelled", json!({"requestId": 1, "reason": "none"})),
        note("notifications/initialized", json!({})),
        note("notifications/roots/list_changed", json!({})),
        note("notifications/subscriptions/acknowledged", json!({"notifications": {"toolsListChanged": true}})),
        note("notifications/tasks", json!({"taskId": "t", "status": "working"})),
        note("notifications/x-acme", json!({"n": 1})),
    ]
}

fn acme() -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/x-acme", "params": {"n": 1}})
}

/// Servers of both eras, over HTTP and on a pipe, whose tool says all of it before its answer.
async fn straying() -> Vec<(&'static str, Gateway, Box<dyn std::any::Any>)> {
    let new_server = new(json!({"tools": {}}), |seen| async move {
        if seen.method() == "tools/list" {
            return listed(&seen, &json!([plain("t")]));
        }
        let mut messages = strays();
        messages.push(seen.result(json!({"resultType": "complete", "content": [{"type": "text", "text": "ran"}]})));
        Reply::messages(&messages)
    })
    .await;
    let old_server = Old::start(Like::default(), |call: Arrived| async move {
        for stray in strays() {
            call.say(stray["method"].as_str().unwrap(), stray["params"].clone()).await;
        }
        text("ran")
    })
    .await;
    let mut all: Vec<(&'static str, Gateway, Box<dyn std::any::Any>)> = Vec::new();
    all.push(("modern", gateway_at(&new_server).await, Box::new(new_server)));
    all.push(("legacy", gateway_at(&old_server.scripted).await, Box::new(old_server)));
    let (connector, mut started) = played(LineSettings::default());
    let piped = gateway(connector).await;
    let serving = tokio::spawn(async move {
        let mut server = started.recv().await.unwrap();
        server.modern().await;
        while let Some(message) = server.heard().await {
            if message.get("id").is_none() {
                continue;
            }
            if message["method"] == "tools/list" {
                let list =
                    json!({"resultType": "complete", "tools": [plain("t")], "ttlMs": 60_000, "cacheScope": "private"});
                server.result(&message, list).await;
                continue;
            }
            for stray in strays() {
                server.send(stray).await;
            }
            let said = json!({"resultType": "complete", "content": [{"type": "text", "text": "ran"}]});
            server.result(&message, said).await;
        }
    });
    all.push(("a pipe", piped, Box::new(serving)));
    all
}

#[tokio::test]
async fn what_is_not_for_the_client_stays_with_the_server_and_the_rest_passes() {
    for (server, gateway, _held) in straying().await {
        for revision in ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY] {
            let client = legacy(&gateway, revision, able()).await;
            let reply = client.call(1, "t").await.unwrap();
            let talk = converse(&client, reply, |question| panic!("asked {question}")).await;
            assert_eq!(said(&talk.response), "ran", "{server} {revision}");
            assert_eq!(talk.notifications, [acme()], "{server} {revision}");
        }
        let whole = tool("t", json!({})).send(&gateway).await;
        assert_eq!(said(&whole.response()), "ran", "{server}");
        assert_eq!(whole.notifications(), [acme()], "{server}");
    }
}

#[tokio::test]
async fn what_is_not_for_the_client_is_not_told_beside_the_calls_either() {
    let server = Old::start(Like::default(), |_| async { text("ran") }).await;
    let gateway = gateway_at(&server.scripted).await;
    let client = legacy(&gateway, LEGACY, json!({})).await;
    assert_eq!(said(&client.call(1, "t").await.unwrap().json()), "ran");
    let mut standing = client.get(None).await.events();
    let session = server.calls()[0].header("mcp-session-id").unwrap().to_owned();
    let outside = server.outside(&session);
    for stray in strays() {
        outside.say(stray["method"].as_str().unwrap(), stray["params"].clone()).await;
    }
    assert_eq!(soon("what passes", standing.message()).await.unwrap(), acme());
}

#[tokio::test]
async fn what_a_legacy_client_says_reaches_its_own_session_and_nobody_elses() {
    let server = Old::start(Like::default(), |_| async { text("ran") }).await;
    let gateway = gateway_at(&server.scripted).await;
    let (one, other) = (legacy(&gateway, LEGACY, json!({})).await, legacy(&gateway, LEGACY, json!({})).await);
    for client in [&one, &other] {
        assert_eq!(said(&client.call(1, "t").await.unwrap().json()), "ran");
    }
    let own = server.calls()[0].header("mcp-session-id").unwrap().to_owned();
    for (method, passes) in [
        ("notifications/x-acme", true),
        // Nothing of the sort was declared.
        ("notifications/roots/list_changed", false),
        ("notifications/initialized", false),
        ("notifications/cancelled", false),
        ("notifications/x-last", true),
    ] {
        assert_eq!(one.tell(method, json!({"requestId": 4711})).await.status, 202);
        if passes {
            let heard = server.scripted.wait_for(method).await;
            assert_eq!(
                (heard.header("mcp-session-id"), &heard.body["params"]),
                (Some(&*own), &json!({"requestId": 4711}))
            );
        }
    }
    let seen = server.scripted.seen();
    let count = |method: &str| seen.iter().filter(|seen| seen.method() == method).count();
    assert_eq!((count("notifications/x-acme"), count("notifications/x-last")), (1, 1));
    assert_eq!((count("notifications/roots/list_changed"), count("notifications/cancelled")), (0, 0));
    assert_eq!(count("notifications/initialized"), count("initialize"), "those of the gateway's own handshakes");

    // A modern server over HTTP expects none, and the client need not know.
    let server = new(json!({"tools": {}}), |seen| async move {
        if seen.method() == "tools/list" { listed(&seen, &json!([plain("t")])) } else { says(&seen, "ran") }
    })
    .await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, json!({})).await;
    assert_eq!(said(&client.call(1, "t").await.unwrap().json()), "ran");
    assert_eq!(client.tell("notifications/x-acme", json!({})).await.status, 202);
    assert_eq!(said(&client.call(2, "t").await.unwrap().json()), "ran");
    assert_eq!(server.count("notifications/x-acme"), 0);
}
