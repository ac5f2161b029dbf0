//! How long it holds what a server says about itself, and what becomes of a description that is not as it should be.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use rialto::upstream::lines::LineSettings;

use super::*;
use crate::{lines::played, support::schema::assert_valid};

fn described(families: &Value, ttl_ms: u64) -> Value {
    json!({
        "resultType": "complete", "supportedVersions": [MODERN], "capabilities": families, "ttlMs": ttl_ms,
        "cacheScope": "public", "instructions": format!("It has {families}."),
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "1"}}})
}

fn prompts() -> Value {
    json!({"resultType": "complete", "prompts": [{"name": "p"}], "ttlMs": 0, "cacheScope": "private"})
}

async fn discovered_by(gateway: &Gateway) -> Value {
    modern("server/discover", json!({})).response(gateway, 200).await["result"].clone()
}

/// A server that is used all the time is not looked at less often for that.
async fn learns_of_a_family_that_is_new(gateway: &Gateway, change: impl AsyncFnOnce()) {
    let prompts = modern("prompts/list", json!({}));
    let before = discovered_by(gateway).await;
    assert!(before["ttlMs"].as_u64().unwrap() <= 90_000, "no longer than the server says: {before}");
    prompts.error(gateway, 404, -32601).await;
    change().await;
    later(Duration::from_secs(60)).await;
    tool("t", json!({})).response(gateway, 200).await;
    assert_eq!(discovered_by(gateway).await["capabilities"], before["capabilities"], "it holds for so long");
    later(Duration::from_secs(31)).await;
    tool("t", json!({})).response(gateway, 200).await;
    let after = discovered_by(gateway).await;
    assert!(after["capabilities"].get("prompts").is_some(), "{after}");
    assert!(after["instructions"].as_str().unwrap().contains("prompts"), "{after}");
    prompts.response(gateway, 200).await;
    let mut client = Client::new(gateway.url("docs"));
    let greeting = client.open(LEGACY, json!({})).await;
    assert!(greeting["result"]["capabilities"].get("prompts").is_some(), "{greeting}");
    assert_eq!(client.ask(1, "prompts/list", json!({})).await.json()["result"], json!({"prompts": [{"name": "p"}]}));
}

#[tokio::test]
async fn a_modern_server_over_http_is_asked_again_who_it_is_when_its_word_has_grown_old() {
    let families = Arc::new(Mutex::new(json!({"tools": {}})));
    let current = families.clone();
    let server = Scripted::start(move |seen| {
        let families = current.lock().unwrap().clone();
        async move {
            match seen.method() {
                "server/discover" => Reply::json(200, &seen.result(described(&families, 90_000))),
                "tools/list" => listed(&seen, &json!([plain("t")])),
                "prompts/list" => Reply::json(200, &seen.result(prompts())),
                _ => says(&seen, "ran"),
            }
        }
    })
    .await;
    let gateway = gateway_at(&server).await;
    let change = async || *families.lock().unwrap() = json!({"tools": {}, "prompts": {}});
    learns_of_a_family_that_is_new(&gateway, change).await;
    assert_eq!(server.count("server/discover"), 2);
}

#[tokio::test]
async fn a_modern_server_on_a_pipe_is_asked_again_who_it_is_when_its_word_has_grown_old() {
    let families = Arc::new(Mutex::new(json!({"tools": {}})));
    let asked = Arc::new(Mutex::new(0));
    let (current, asks) = (families.clone(), asked.clone());
    let (connector, mut started) = played(LineSettings::default());
    let gateway = gateway(connector).await;
    tokio::spawn(async move {
        let mut server = started.recv().await.unwrap();
        while let Some(message) = server.heard().await {
            let families = current.lock().unwrap().clone();
            let result = match message["method"].as_str().unwrap_or_default() {
                "server/discover" => {
                    *asks.lock().unwrap() += 1;
                    described(&families, 90_000)
                }
                "tools/list" => {
                    json!({"resultType": "complete", "tools": [plain("t")], "ttlMs": 0, "cacheScope": "private"})
                }
                "prompts/list" => prompts(),
                _ => json!({"resultType": "complete", "content": []}),
            };
            if message.get("id").is_some() {
                server.result(&message, result).await;
            }
        }
    });
    let change = async || *families.lock().unwrap() = json!({"tools": {}, "prompts": {}});
    learns_of_a_family_that_is_new(&gateway, change).await;
    assert_eq!(*asked.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_server_that_does_not_say_any_more_who_it_is_is_used_as_it_was_and_not_asked_with_every_request() {
    let well = Arc::new(AtomicBool::new(true));
    let is_well = well.clone();
    let server = Scripted::start(move |seen| {
        let well = is_well.load(Ordering::SeqCst);
        async move {
            match seen.method() {
                "server/discover" if well => Reply::json(200, &seen.result(described(&json!({"tools": {}}), 0))),
                "server/discover" => Reply::empty(503),
                "tools/list" => listed(&seen, &json!([plain("t")])),
                _ => says(&seen, "ran"),
            }
        }
    })
    .await;
    let gateway = gateway_at(&server).await;
    assert_eq!(discovered_by(&gateway).await["ttlMs"], 0);
    well.store(false, Ordering::SeqCst);
    for asked in [2, 3] {
        later(Duration::from_secs(61)).await;
        for _ in 0..5 {
            assert_eq!(said(&tool("t", json!({})).response(&gateway, 200).await), "ran");
            assert_eq!(discovered_by(&gateway).await["capabilities"], json!({"tools": {}}));
        }
        assert_eq!(server.count("server/discover"), asked);
    }
}

#[tokio::test]
async fn a_server_that_changes_its_era_meanwhile_is_described_as_what_it_is_now() {
    let is_modern = Arc::new(AtomicBool::new(true));
    let modern_now = is_modern.clone();
    let server = Scripted::start(move |seen| {
        let modern = modern_now.load(Ordering::SeqCst);
        async move {
            match (modern, seen.method()) {
                (true, "server/discover") => Reply::json(200, &seen.result(described(&json!({"tools": {}}), 1000))),
                (_, "tools/list") => listed(&seen, &json!([plain("t")])),
                (_, "tools/call") => says(&seen, "ran"),
                _ if seen.verb == http::Method::GET => Reply::empty(405),
                _ => crate::upstream_http::housekeeping(&seen, LEGACY, Some("s-1")).unwrap(),
            }
        }
    })
    .await;
    let gateway = gateway_at(&server).await;
    assert_eq!(discovered_by(&gateway).await["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "new");
    is_modern.store(false, Ordering::SeqCst);
    later(Duration::from_secs(61)).await;
    let after = discovered_by(&gateway).await;
    assert_eq!(after["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "old", "{after}");
    assert_eq!(after["ttlMs"], 300_000);
    assert_eq!(said(&tool("t", json!({})).response(&gateway, 200).await), "ran");
}

#[tokio::test]
async fn what_is_wrong_with_a_description_does_not_reach_the_client() {
    // What the server says of itself and to the model; what of it is a name, and what instructions.
    for (info, instructions, name, version, told) in [
        (json!({"name": "own", "version": "7", "x": 1.0}), json!("Read me."), "own", "7", true),
        (json!({"name": "own"}), Value::Null, "own", "0", false),
        (json!({"name": "own", "version": 7}), json!(["Read me."]), "own", "0", false),
        (json!({"version": "7"}), json!(5), "docs", "0", false),
        (json!("own"), json!({}), "docs", "0", false),
        (Value::Null, json!(false), "docs", "0", false),
    ] {
        let (of_new, of_old) = ((info.clone(), instructions.clone()), (info.clone(), instructions.clone()));
        let new_server = Scripted::start(move |seen| {
            let (info, instructions) = of_new.clone();
            async move {
                let mut result = described(&json!({"tools": {}}), 1000);
                result["_meta"]["io.modelcontextprotocol/serverInfo"] = info;
                result["instructions"] = instructions;
                Reply::json(200, &seen.result(result))
            }
        })
        .await;
        let old_server = Scripted::start(move |seen| {
            let (info, instructions) = of_old.clone();
            async move {
                match seen.method() {
                    "initialize" => Reply::json(
                        200,
                        &seen.result(json!({"protocolVersion": LEGACY, "capabilities": {"tools": {}},
                            "serverInfo": info, "instructions": instructions})),
                    ),
                    _ if seen.verb == http::Method::GET => Reply::empty(405),
                    _ => crate::upstream_http::housekeeping(&seen, LEGACY, Some("s-1")).unwrap(),
                }
            }
        })
        .await;
        for server in [&new_server, &old_server] {
            let gateway = gateway_at(server).await;
            let mut client = Client::new(gateway.url("docs"));
            let greeting = client.open(LEGACY, json!({})).await["result"].clone();
            assert_valid(LEGACY, "InitializeResult", &greeting);
            let seen = (&greeting["serverInfo"]["name"], &greeting["serverInfo"]["version"]);
            assert_eq!(seen, (&json!(name), &json!(version)), "{info}");
            assert_eq!(greeting.get("instructions"), told.then_some(&instructions), "{greeting}");
            let discovered = discovered_by(&gateway).await;
            assert_valid(MODERN, "DiscoverResult", &discovered);
            assert_eq!(discovered.get("instructions"), told.then_some(&instructions), "{discovered}");
            let stamped = &discovered["_meta"]["io.modelcontextprotocol/serverInfo"];
            assert_eq!(stamped.is_object(), name == "own", "{discovered}");
        }
    }
}

/// A list that comes in two pages here, and what is said of how long it holds.
async fn long(scopes: [&'static str; 2]) -> Scripted {
    new(json!({"tools": {}}), move |seen| async move {
        let second = seen.body["params"].get("cursor").is_some();
        let tools: Vec<_> = (0..800).map(|n| plain(&format!("t{}", n + 800 * i32::from(second)))).collect();
        let mut list = json!({"resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": scopes[usize::from(second)]});
        if !second {
            list["nextCursor"] = json!("more");
        }
        Reply::json(200, &seen.result(list))
    })
    .await
}

#[tokio::test]
async fn every_page_of_a_list_says_how_long_it_still_holds() {
    let server = long(["private"; 2]).await;
    let gateway = gateway_at(&server).await;
    let first = modern("tools/list", json!({})).response(&gateway, 200).await["result"].clone();
    assert_eq!(first["ttlMs"], 60_000);
    let next = modern("tools/list", json!({"cursor": first["nextCursor"]}));
    for (passed, left) in [(20, 40_000), (30, 10_000), (20, 0), (60, 0)] {
        later(Duration::from_secs(passed)).await;
        let second = next.response(&gateway, 200).await["result"].clone();
        assert_eq!(second["tools"].as_array().unwrap().len(), 600);
        let ttl = second["ttlMs"].as_u64().unwrap();
        assert!(ttl <= left && ttl + 1000 >= left, "{ttl} of {left}");
    }
}

/// A list may hold for longer than what is behind a cursor is kept.
#[tokio::test]
async fn the_cursors_of_a_list_are_good_whenever_its_first_page_was_handed_out() {
    let server = new(json!({"tools": {}}), |seen| async move {
        let tools: Vec<_> = (0..1600).map(|n| plain(&format!("t{n}"))).collect();
        let list = json!({"resultType": "complete", "tools": tools, "ttlMs": 3_000_000, "cacheScope": "private"});
        Reply::json(200, &seen.result(list))
    })
    .await;
    let gateway = gateway_at(&server).await;
    for passed in [0, 301, 200, 200, 301] {
        later(Duration::from_secs(passed)).await;
        let first = modern("tools/list", json!({})).response(&gateway, 200).await["result"].clone();
        let next = modern("tools/list", json!({"cursor": first["nextCursor"]}));
        let second = next.response(&gateway, 200).await["result"].clone();
        assert_eq!(second["tools"].as_array().map(Vec::len), Some(600), "{passed}: {second}");
    }
    assert_eq!(server.count("tools/list"), 1);
}

#[tokio::test]
async fn a_list_is_for_everybody_where_all_of_it_is() {
    for (scopes, expected) in [
        (["public", "public"], "public"),
        (["public", "private"], "private"),
        (["private", "public"], "private"),
        (["public", "whatever"], "private"),
    ] {
        let server = long(scopes).await;
        let gateway = gateway_at(&server).await;
        let first = modern("tools/list", json!({})).response(&gateway, 200).await["result"].clone();
        let second = modern("tools/list", json!({"cursor": first["nextCursor"]}));
        let second = second.response(&gateway, 200).await["result"].clone();
        assert_eq!((&first["cacheScope"], &second["cacheScope"]), (&json!(expected), &json!(expected)), "{scopes:?}");
    }
}

#[tokio::test]
async fn a_list_that_is_asked_for_with_more_than_that_is_the_servers_to_answer() {
    fn tools(seen: &Seen) -> Value {
        let params = &seen.body["params"];
        let name = format!("of {} {}", params["acme"], params["_meta"]["acme.example/x"]);
        json!([plain(&name)])
    }
    let new_server = new(json!({"tools": {}}), |seen| async move { listed(&seen, &tools(&seen)) }).await;
    let old_server = Scripted::start(|seen| async move {
        match seen.method() {
            "tools/list" => Reply::json(200, &seen.result(json!({"tools": tools(&seen)}))),
            _ if seen.verb == http::Method::GET => Reply::empty(405),
            _ => crate::upstream_http::housekeeping(&seen, LEGACY, Some("s-1")).unwrap(),
        }
    })
    .await;
    for server in [&new_server, &old_server] {
        let gateway = gateway_at(server).await;
        let client = legacy(&gateway, LEGACY, json!({})).await;
        for asks in [1, 2, 1] {
            let params = json!({"acme": asks, "_meta": {"acme.example/x": "y"}});
            let mut listed = vec![client.ask(1, "tools/list", params.clone()).await.json()];
            let list = modern("tools/list", json!({})).param("acme", json!(asks)).meta("acme.example/x", json!("y"));
            listed.push(list.response(&gateway, 200).await);
            for listed in listed {
                assert_eq!(listed["result"]["tools"], json!([plain(&format!("of {asks} \"y\""))]), "{listed}");
            }
            // It is no list for others.
            let plain_list = modern("tools/list", json!({})).response(&gateway, 200).await;
            assert_eq!(plain_list["result"]["tools"], json!([plain("of null null")]));
        }
        for seen in server.seen().iter().filter(|seen| seen.method() == "tools/list") {
            let revision = if seen.header("mcp-method").is_some() { MODERN } else { LEGACY };
            assert_valid(revision, "ClientRequest", &seen.body);
        }
    }
}

#[tokio::test]
async fn members_of_a_description_that_nobody_knows_pass() {
    let more = json!({"acme": {"n": 1.0}, "_meta": {"acme.example/x": [1]}});
    let of_new = more.clone();
    let new_server = Scripted::start(move |seen| {
        let more = of_new.clone();
        async move {
            let mut result = described(&json!({"tools": {}}), 60_000);
            result["acme"] = more["acme"].clone();
            result["_meta"]["acme.example/x"] = more["_meta"]["acme.example/x"].clone();
            Reply::json(200, &seen.result(result))
        }
    })
    .await;
    let of_old = more.clone();
    let old_server = Scripted::start(move |seen| {
        let more = of_old.clone();
        async move {
            match seen.method() {
                "initialize" => {
                    let mut hello = more;
                    hello["protocolVersion"] = json!(LEGACY);
                    hello["capabilities"] = json!({"tools": {}});
                    hello["serverInfo"] = json!({"name": "new", "version": "1"});
                    // What only the other era has is none of it.
                    hello["ttlMs"] = json!(7);
                    hello["resultType"] = json!("input_required");
                    hello["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({});
                    Reply::json(200, &seen.result(hello))
                }
                _ if seen.verb == http::Method::GET => Reply::empty(405),
                _ => crate::upstream_http::housekeeping(&seen, LEGACY, Some("s-1")).unwrap(),
            }
        }
    })
    .await;
    for server in [&new_server, &old_server] {
        let gateway = gateway_at(server).await;
        let mut client = Client::new(gateway.url("docs"));
        let greeting = client.open(LEGACY, json!({})).await["result"].clone();
        assert_eq!((&greeting["acme"], &greeting["_meta"]), (&more["acme"], &more["_meta"]), "{greeting}");
        assert!(greeting.get("ttlMs").is_none() && greeting.get("resultType").is_none(), "{greeting}");
        let discovered = discovered_by(&gateway).await;
        let info = json!({"name": "new", "version": "1"});
        let meta = json!({"acme.example/x": [1], "io.modelcontextprotocol/serverInfo": info});
        assert_eq!((&discovered["acme"], &discovered["_meta"]), (&more["acme"], &meta), "{discovered}");
        assert_eq!(discovered["resultType"], "complete");
        assert!(discovered.get("protocolVersion").is_none() && discovered.get("serverInfo").is_none());
    }
}
