//! Who shares an upstream session, and for how long.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A server that says in which session a call runs and what was declared for it.
async fn telling() -> Old {
    Old::start(Like::default(), |call: Arrived| async move { text(&call.outside.session) }).await
}

#[tokio::test]
async fn era_363_requests_of_strangers_share_nothing() {
    let server = telling().await;
    let gateway = gateway_at(&server.scripted).await;
    let call = tool("t", json!({})).principal("");
    let mut sessions = std::collections::HashSet::new();
    for _ in 0..3 {
        assert!(sessions.insert(said(&call.response(&gateway, 200).await)), "the session of another request");
    }
    // Each session ends with its request.
    server.until_sessions(0).await;
    let seen = server.scripted.seen();
    assert_eq!(seen.iter().filter(|s| s.verb == "DELETE").count(), server.scripted.count("initialize"));
    // One that waits for an answer keeps its own.
    let server = Old::start(Like::default(), |call: Arrived| async move {
        let answer = call.outside.ask("elicitation/create", form("?")).await;
        text(format!("{} {}", call.outside.session, answer["result"]["action"]))
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    let call = call.answering();
    let response = call.response(&gateway, 200).await;
    let open = server.sessions();
    assert_eq!(open.len(), 1);
    let done = answer(&gateway, &call, &response, json!({"action": "decline"})).await;
    assert_eq!(said(&done), format!("{} \"decline\"", open[0]));
    server.until_sessions(0).await;
}

#[tokio::test]
async fn era_366_367_374_sessions_are_told_apart_by_what_clients_declare() {
    let server = telling().await;
    let gateway = gateway_at(&server.scripted).await;
    let call = async |capabilities: Value| {
        said(&tool("t", json!({})).capabilities(capabilities).response(&gateway, 200).await)
    };
    let declared = |session: &str| {
        let hellos: Vec<_> = server.scripted.seen().into_iter().filter(|s| s.method() == "initialize").collect();
        let nth = session.trim_start_matches("s-").parse::<usize>().unwrap() - 1;
        hellos[nth].body["params"]["capabilities"].clone()
    };
    let plain = call(json!({})).await;
    let forms = call(json!({"elicitation": {}})).await;
    let pages = call(json!({"elicitation": {"form": {}, "url": {}}})).await;
    let extended = call(json!({"extensions": {"a/b": {"x": 1, "y": 2}}})).await;
    assert_eq!(declared(&plain), json!({}));
    assert_eq!(declared(&forms), json!({"elicitation": {"form": {}}}), "some servers look for `form`");
    assert_eq!(declared(&pages), json!({"elicitation": {"form": {}, "url": {}}}));
    assert_eq!(declared(&extended), json!({"extensions": {"a/b": {"x": 1, "y": 2}}}));
    let all: std::collections::HashSet<_> = [&plain, &forms, &pages, &extended].into();
    assert_eq!(all.len(), 4);
    // The same in other words.
    for (capabilities, session) in [
        (json!({"extensions": {}}), &plain),
        (json!({"elicitation": {"form": {}}}), &forms),
        (json!({"elicitation": {"url": {}, "form": {}}}), &pages),
        (json!({"extensions": {"a/b": {"y": 2, "x": 1}}, "experimental": {}}), &extended),
    ] {
        assert_eq!(call(capabilities.clone()).await, *session, "{capabilities}");
    }
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "extensions" : {"a/b": {"y":2 ,"x":1}} } },"name":"t","arguments":{}}}"#;
    let response = tool("t", json!({})).text(text).response(&gateway, 200).await;
    assert_eq!(said(&response), extended);
}

#[tokio::test]
async fn era_368_a_session_that_nobody_uses_is_ended_and_opened_again() {
    let server = telling().await;
    let gateway = gateway_at(&server.scripted).await;
    let call = tool("t", json!({}));
    let first = said(&call.response(&gateway, 200).await);
    later(Duration::from_secs(540)).await;
    assert_eq!(said(&call.response(&gateway, 200).await), first, "it was used not ten minutes ago");
    later(Duration::from_secs(640)).await;
    let ended = server.scripted.wait_for("DELETE").await;
    assert_eq!(ended.header("mcp-session-id"), Some(&*first));
    assert_ne!(said(&call.response(&gateway, 200).await), first);
    assert_eq!(server.scripted.count("initialize"), 2);
}

#[tokio::test]
async fn era_377_379_380_381_what_is_kept_for_whom_and_how_long() {
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = fetched.clone();
    let server = new(json!({"tools": {}, "resources": {}}), move |seen| {
        let fetched = count.clone();
        async move {
            let n = fetched.fetch_add(1, Ordering::SeqCst);
            match (seen.method(), n) {
                // The first attempt to list fails.
                ("tools/list", 0) => Reply::json(200, &seen.error(-32603, "not now")),
                ("tools/list", _) => listed(&seen, &json!([plain(&format!("t{n}"))])),
                _ => {
                    let contents = json!([{"uri": "a:b", "text": n.to_string()}]);
                    let result = json!({"resultType": "complete", "contents": contents, "ttlMs": 60_000, "cacheScope": "public"});
                    Reply::json(200, &seen.result(result))
                }
            }
        }
    })
    .await;
    let gateway = gateway_at(&server).await;
    let list = modern("tools/list", json!({}));
    let of = async |who: &str| list.clone().principal(who).response(&gateway, 200).await["result"].clone();
    list.error(&gateway, 200, -32603).await;
    // An error was not kept; a list is, for its principal.
    let first = of("alice").await;
    assert_eq!((&first["ttlMs"], &first["cacheScope"]), (&json!(60_000), &json!("private")));
    later(Duration::from_secs(30)).await;
    let again = of("alice").await;
    assert_eq!(again["tools"], first["tools"]);
    let left = again["ttlMs"].as_u64().unwrap();
    assert!((29_000..=30_000).contains(&left), "{left}");
    assert_ne!(of("bob").await["tools"], first["tools"]);
    later(Duration::from_secs(31)).await;
    assert_ne!(of("alice").await["tools"], first["tools"]);
    // What was read is the client's to keep.
    let read = modern("resources/read", json!({"uri": "a:b"}));
    let (one, two) = (read.response(&gateway, 200).await, read.response(&gateway, 200).await);
    assert_ne!(one["result"]["contents"], two["result"]["contents"]);
    assert_eq!(one["result"]["ttlMs"], 60_000);
}

#[tokio::test]
async fn era_381_answers_to_questions_are_never_kept() {
    let server = new(json!({"resources": {}}), |seen| async move {
        match seen.body["params"].get("inputResponses") {
            Some(answers) => {
                let contents = json!([{"uri": "a:b", "text": answers.to_string()}]);
                let result =
                    json!({"resultType": "complete", "contents": contents, "ttlMs": 60_000, "cacheScope": "public"});
                Reply::json(200, &seen.result(result))
            }
            None => {
                let requests = json!({"k": {"method": "elicitation/create", "params": form("?")}});
                let result = json!({"resultType": "input_required", "inputRequests": requests, "requestState": "s"});
                Reply::json(200, &seen.result(result))
            }
        }
    })
    .await;
    let gateway = gateway_at(&server).await;
    let read = modern("resources/read", json!({"uri": "a:b"})).answering();
    for name in ["Ada", "Alan"] {
        let response = read.response(&gateway, 200).await;
        let done = answer(&gateway, &read, &response, accept(json!({"name": name}))).await;
        assert!(done["result"]["contents"][0]["text"].as_str().unwrap().contains(name), "{done}");
    }
    assert_eq!(server.count("resources/read"), 4);
}
