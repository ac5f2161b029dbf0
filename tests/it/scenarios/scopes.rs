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

#[tokio::test]
async fn whoever_invents_capabilities_crowds_out_nobody() {
    let holding = Arc::new(tokio::sync::Semaphore::new(0));
    let hold = holding.clone();
    let server = Old::start(Like::default(), move |call: Arrived| {
        let hold = hold.clone();
        async move {
            if call.name() == "hold" {
                let _ = hold.acquire().await;
            }
            text(&call.outside.session)
        }
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    let gateway = &gateway;
    let set = |n: usize| json!({"extensions": {"a/b": {"n": n}}});
    let of = async |who: &str, n: usize| {
        said(&tool("t", json!({})).principal(who).capabilities(set(n)).response(gateway, 200).await)
    };
    let bob = of("bob", 0).await;
    let first = of("alice", 0).await;
    for n in 1..40 {
        of("alice", n).await;
        assert!(server.sessions().len() <= 1 + 16 + 1, "one more while it is ended");
    }
    server.until_sessions(1 + 16).await;
    assert!(!server.sessions().contains(&first));
    assert_eq!(of("bob", 0).await, bob, "his goes on");
    // What was used last is still there.
    let opened = server.scripted.count("initialize");
    for n in 24..40 {
        of("alice", n).await;
    }
    assert_eq!(server.scripted.count("initialize"), opened);
    // When all of hers are in use, she has to wait, and nobody else.
    let held: Vec<_> = (0..16).map(|n| tool("hold", json!({})).principal("alice").capabilities(set(100 + n))).collect();
    let all = futures_util::future::join_all(held.iter().map(|call| call.response(gateway, 200)));
    let meanwhile = async {
        crate::matrix::process::until("the calls", || async {
            server.calls().iter().filter(|c| c.body["params"]["name"] == "hold").count() == 16
        })
        .await;
        let another = tool("t", json!({})).principal("alice").capabilities(set(200));
        let error = another.error(gateway, 200, -32603).await;
        assert_eq!((&error["data"]["reason"], &error["data"]["retryable"]), (&json!("busy"), &json!(true)), "{error}");
        assert_eq!(of("bob", 0).await, bob);
        assert_ne!(of("carol", 0).await, bob);
        holding.close();
    };
    let (answers, ()) = tokio::join!(all, meanwhile);
    assert!(answers.iter().all(|answer| said(answer).starts_with("s-")));
    of("alice", 200).await;
}

#[tokio::test]
async fn nobody_s_session_declares_what_somebody_else_can_do() {
    let server = telling().await;
    let gateway = gateway_at(&server.scripted).await;
    let declared = || {
        server.scripted.seen().iter().rev().find(|s| s.method() == "initialize").unwrap().body["params"]["capabilities"]
            .clone()
    };
    let call = async |capabilities: Value| {
        said(&tool("t", json!({})).capabilities(capabilities).response(&gateway, 200).await)
    };
    // What of a capability makes no difference is declared for nobody.
    let sampling =
        call(json!({"sampling": {"magic": {"level": 9}, "tools": {"x": 1}}, "roots": {"listChanged": true}})).await;
    assert_eq!(declared(), json!({"sampling": {"tools": {}}, "roots": {}}));
    assert_eq!(call(json!({"roots": {}, "sampling": {"tools": {}}})).await, sampling);
    assert_ne!(call(json!({"roots": {}, "sampling": {}})).await, sampling);
    assert_eq!(declared(), json!({"sampling": {}, "roots": {}}));
    // What nobody here knows is declared by those who have it, and by nobody else.
    let unknown = call(json!({"example.com/acme": {"b": 1, "a": 2.50}, "tasks": {"list": {}}})).await;
    assert_eq!(declared(), json!({"example.com/acme": {"b": 1, "a": 2.5}}));
    assert_eq!(call(json!({"example.com/acme": {"a": 2.50, "b": 1}})).await, unknown);
    let plain = call(json!({})).await;
    assert_ne!(plain, unknown);
    assert_eq!(declared(), json!({}));
    // A client's own session declares its own words, with the modes of its revision by their names.
    for (revision, elicitation) in [("2025-06-18", json!({})), (LEGACY, json!({"form": {}}))] {
        let client = legacy(&gateway, revision, json!({"elicitation": {}, "sampling": {"magic": {}}})).await;
        client.call(1, "t").await.unwrap().json();
        assert_eq!(declared(), json!({"elicitation": elicitation, "sampling": {"magic": {}}}));
    }
}

#[tokio::test]
async fn conversations_can_be_told_apart() {
    let server = telling().await;
    let settings = Settings::default();
    let mount =
        mount(at(&server.scripted.url(), quick()), Share::Principal, &settings).affinity(Some("example.com/chat"));
    let gateway = Gateway::around(Arc::new(mount), settings).listen().await;
    let call = async |who: &str, chat: Value| {
        said(&tool("t", json!({})).principal(who).meta("example.com/chat", chat).response(&gateway, 200).await)
    };
    let all = [
        call("alice", Value::Null).await,
        call("alice", json!("one")).await,
        call("alice", json!("two")).await,
        call("alice", json!(2)).await,
        call("bob", json!("one")).await,
    ];
    let different: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len(), "{all:?}");
    assert_eq!(call("alice", json!("one")).await, all[1]);
    assert_eq!(call("alice", Value::Null).await, all[0]);
    assert_eq!(call("bob", json!("one")).await, all[4]);
    // Each was opened once, and one for what bob's client was told before it named a conversation.
    assert_eq!(server.scripted.count("initialize"), all.len() + 1);
    // It is the client's own word, which the server hears as well.
    assert_eq!(server.calls()[1].body["params"]["_meta"]["example.com/chat"], "one");
    // Strangers and legacy clients share nothing anyway.
    let stranger = tool("t", json!({})).principal("").meta("example.com/chat", json!("one"));
    let (first, second) = (stranger.response(&gateway, 200).await, stranger.response(&gateway, 200).await);
    assert_ne!(said(&first), said(&second));
}

#[tokio::test]
async fn era_378_lists_are_for_everybody_where_the_operator_says_so() {
    let capabilities = json!({"tools": {"listChanged": true}});
    for public in [false, true] {
        let server =
            Old::start(Like { capabilities: capabilities.clone(), ..Like::default() }, |_| async { text("") }).await;
        let settings = Settings::default();
        let mount = mount(at(&server.scripted.url(), quick()), Share::Principal, &settings).public(public);
        let gateway = Gateway::around(Arc::new(mount), settings).listen().await;
        let word = if public { "public" } else { "private" };
        for who in ["alice", "bob", "alice", "bob"] {
            for method in ["server/discover", "tools/list"] {
                let result = modern(method, json!({})).principal(who).response(&gateway, 200).await["result"].clone();
                assert_eq!(result["cacheScope"], word, "{result}");
            }
        }
        assert_eq!(server.scripted.count("tools/list"), if public { 1 } else { 2 });
        // What a tool does is never for everybody.
        let called = tool("t", json!({})).response(&gateway, 200).await;
        assert!(called["result"].get("cacheScope").is_none(), "{called}");
    }
    // A modern server says so itself.
    let server = new(json!({"tools": {}}), |seen| async move { listed(&seen, &json!([])) }).await;
    let settings = Settings::default();
    let mount = mount(at(&server.url(), quick()), Share::Principal, &settings).public(true);
    let gateway = Gateway::around(Arc::new(mount), settings).listen().await;
    for who in ["alice", "bob"] {
        let list = modern("tools/list", json!({})).principal(who).response(&gateway, 200).await;
        assert_eq!(list["result"]["cacheScope"], "private", "{list}");
    }
    assert_eq!(server.count("tools/list"), 2);
}

#[tokio::test]
async fn a_server_without_sessions_is_greeted_once_for_all_who_have_none() {
    let like = Like { sessions: false, ..Like::default() };
    let server = Old::start(like, |call: Arrived| async move { text(call.name()) }).await;
    let gateway = gateway_at(&server.scripted).await;
    for who in ["", "", "alice", "bob", ""] {
        for capabilities in [json!({}), json!({"elicitation": {}})] {
            let call = tool("t", json!({})).principal(who).capabilities(capabilities);
            assert_eq!(said(&call.response(&gateway, 200).await), "t");
        }
    }
    // Once to find out, and once for everybody.
    assert_eq!(server.scripted.count("initialize"), 2);
    // Nothing is there that could be asked or ended.
    let seen = server.scripted.seen();
    let last = seen.iter().rev().find(|s| s.method() == "initialize").unwrap();
    assert_eq!(last.body["params"]["capabilities"], json!({}));
    assert!(seen.iter().all(|s| s.verb == "POST" && s.header("mcp-session-id").is_none()));
    // A legacy client's own is opened as that client would.
    let client = legacy(&gateway, "2025-06-18", json!({})).await;
    client.call(1, "t").await.unwrap().json();
    let last = server.scripted.seen().into_iter().rev().find(|s| s.method() == "initialize").unwrap();
    assert_eq!(last.body["params"]["protocolVersion"], "2025-06-18");
}
