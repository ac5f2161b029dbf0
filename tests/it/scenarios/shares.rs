//! What the sessions of several callers have in common and what not, and how many there may be.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::upstream_http::scripted::Piece;

/// A server that says in which session a call runs.
async fn telling() -> Old {
    Old::start(Like::default(), |call: Arrived| async move { text(&call.outside.session) }).await
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
    let terms = Terms { affinity: Some("example.com/chat".into()), ..Terms::default() };
    let mount = mount(at(&server.scripted.url(), quick()), terms, &settings);
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
        let terms = Terms { public_lists: public, ..Terms::default() };
        let mount = mount(at(&server.scripted.url(), quick()), terms, &settings);
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
    let terms = Terms { public_lists: true, ..Terms::default() };
    let mount = mount(at(&server.url(), quick()), terms, &settings);
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

/// A server that begins to keep sessions: what everybody shared is nobody's then.
#[tokio::test]
async fn a_server_that_begins_to_keep_sessions_is_greeted_for_each() {
    let keeps = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (flag, number) = (keeps.clone(), AtomicUsize::new(0));
    let server = Scripted::start(move |seen| {
        let session = seen.header("mcp-session-id").unwrap_or_default().to_owned();
        let keeps = flag.load(Ordering::SeqCst);
        let reply = match seen.method() {
            "server/discover" => Reply::json(404, &seen.error(-32601, "Method not found")),
            "initialize" => {
                let hello = json!({"protocolVersion": LEGACY, "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}});
                let reply = Reply::json(200, &seen.result(hello));
                match keeps {
                    true => reply.with("mcp-session-id", &format!("s-{}", number.fetch_add(1, Ordering::SeqCst))),
                    false => reply,
                }
            }
            "tools/list" => Reply::json(200, &seen.result(json!({"tools": [plain("t")]}))),
            "tools/call" if keeps && session.is_empty() => {
                Reply::json(400, &seen.error(-32600, "Bad Request: Missing session ID"))
            }
            "tools/call" => Reply::json(200, &seen.result(text(&session).unwrap())),
            _ if seen.verb == "GET" => Reply::empty(405),
            _ => Reply::empty(202),
        };
        async move { reply }
    })
    .await;
    let gateway = gateway_at(&server).await;
    let call = async |who: &str| said(&tool("t", json!({})).principal(who).response(&gateway, 200).await);
    for who in ["alice", "bob", "alice"] {
        assert_eq!(call(who).await, "");
    }
    keeps.store(true, Ordering::SeqCst);
    let (alice, bob) = (call("alice").await, call("bob").await);
    assert!(alice.starts_with("s-") && bob.starts_with("s-") && alice != bob, "{alice} {bob}");
    assert_eq!((call("alice").await, call("bob").await), (alice, bob));
    // What nobody uses was ended.
    let ended = server.wait_for("DELETE").await;
    assert!(ended.header("mcp-session-id").is_some());
}

/// A legacy client costs nothing at the server until it does something there.
#[tokio::test]
async fn legacy_clients_that_only_look_open_no_session() {
    let like = Like { capabilities: json!({"tools": {"listChanged": true}}), ..Like::default() };
    let server = Old::start(like, |call: Arrived| async move { text(&call.outside.session) }).await;
    let gateway = gateway_at(&server.scripted).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let client = legacy(&gateway, LEGACY, json!({})).await;
        assert_eq!(client.ask(1, "tools/list", json!({})).await.json()["result"]["tools"][0]["name"], "t");
        client.ask(2, "ping", json!({})).await.json();
        clients.push(client);
    }
    // The first of them asked what there is, and the second what is listed for those who have done nothing yet.
    assert_eq!((server.scripted.count("initialize"), server.scripted.count("tools/list")), (2, 2));
    let mut sessions = std::collections::HashSet::new();
    for client in &clients {
        sessions.insert(said(&client.call(3, "t").await.unwrap().json()));
    }
    assert_eq!(sessions.len(), 5);
    assert_eq!(server.scripted.count("initialize"), 5);
}

#[tokio::test]
async fn era_450_a_tool_that_says_it_is_harmless_is_called_again_where_the_operator_believes_it() {
    let hinted =
        |name: &str, hint: &str| json!({"name": name, "inputSchema": {"type": "object"}, "annotations": {hint: true}});
    let tools = json!([
        hinted("reads", "readOnlyHint"),
        hinted("sets", "idempotentHint"),
        hinted("deletes", "destructiveHint"),
        plain("t")
    ]);
    for modern_server in [true, false] {
        let tools = tools.clone();
        let lists = move |seen: &Seen| match modern_server {
            true => listed(seen, &tools),
            false => Reply::json(200, &seen.result(json!({"tools": tools}))),
        };
        let tries = Arc::new(std::sync::Mutex::new(std::collections::HashMap::<String, usize>::new()));
        let seen_tries = tries.clone();
        let server = Scripted::start(move |seen| {
            let capabilities = json!({"tools": {}});
            let discovered = json!({"resultType": "complete", "supportedVersions": [MODERN], "ttlMs": 0, "cacheScope": "private",
                "capabilities": capabilities});
            let hello = json!({"protocolVersion": LEGACY, "capabilities": capabilities, "serverInfo": {"name": "s", "version": "1"}});
            let reply = match (seen.method(), modern_server) {
                ("server/discover", true) => Reply::json(200, &seen.result(discovered)),
                ("server/discover", false) => Reply::json(404, &seen.error(-32601, "Method not found")),
                ("initialize", _) => Reply::json(200, &seen.result(hello)),
                ("tools/list", _) => lists(&seen),
                ("tools/call", _) => {
                    let name = seen.body["params"]["name"].as_str().unwrap().to_owned();
                    let mut tries = tries.lock().unwrap();
                    let tried = tries.entry(name).or_default();
                    *tried += 1;
                    match *tried % 2 {
                        0 => says(&seen, "again"),
                        _ => {
                            let (reply, pieces) = Reply::events();
                            pieces.try_send(Piece::Text(": begun\n\n".into())).ok().unwrap();
                            pieces.try_send(Piece::Cut).ok().unwrap();
                            reply
                        }
                    }
                }
                _ => Reply::empty(202),
            };
            async move { reply }
        })
        .await;
        let settings = Settings::default();
        let terms = Terms { reissue_idempotent_tools: true, ..Terms::default() };
        let mount = mount(at(&server.url(), quick()), terms, &settings);
        let gateway = Gateway::around(Arc::new(mount), settings).listen().await;
        for name in ["reads", "sets"] {
            assert_eq!(said(&tool(name, json!({})).response(&gateway, 200).await), "again", "{name}");
        }
        for name in ["deletes", "t"] {
            let error = tool(name, json!({})).error(&gateway, 200, -32603).await;
            assert_eq!(error["data"]["reason"], "stream_lost", "{name}: {error}");
        }
        // Nobody believes it unasked.
        let gateway = gateway_at(&server).await;
        tool("reads", json!({})).error(&gateway, 200, -32603).await;
        let tried = seen_tries.lock().unwrap();
        assert_eq!((tried["reads"], tried["sets"], tried["deletes"], tried["t"]), (3, 2, 1, 1));
    }
}
