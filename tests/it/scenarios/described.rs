//! What a mount says about itself and its client, in both eras.

use super::*;

#[tokio::test]
async fn era_371_375_378_a_legacy_server_as_a_modern_client_sees_it() {
    let capabilities =
        json!({"tools": {}, "logging": {}, "completions": {}, "experimental": {"x": {"y": 1}}, "foo": {"a": 1.0}});
    let server =
        Old::start(Like { capabilities: capabilities.clone(), ..Like::default() }, |_| async { text("") }).await;
    let gateway = gateway_at(&server.scripted).await;
    let discovered = modern("server/discover", json!({})).response(&gateway, 200).await["result"].clone();
    assert_eq!(discovered["capabilities"], capabilities);
    assert_eq!(discovered["supportedVersions"], json!([MODERN]));
    assert_eq!(discovered["instructions"], "Read me.");
    assert_eq!(discovered["cacheScope"], "private");
    let icons = json!([{"src": "https://icons.example/a.png"}]);
    let info = json!({"name": "old", "version": "1", "title": "Old", "icons": icons});
    assert_eq!(discovered["_meta"]["io.modelcontextprotocol/serverInfo"], info);
    let called = tool("t", json!({})).response(&gateway, 200).await;
    assert_eq!(called["result"]["_meta"]["io.modelcontextprotocol/serverInfo"], info);
    let list = modern("tools/list", json!({})).response(&gateway, 200).await["result"].clone();
    assert_eq!((&list["cacheScope"], &list["ttlMs"]), (&json!("private"), &json!(0)), "it announces no changes");
    // And as a legacy client does.
    let mut client = Client::new(gateway.url("docs"));
    let greeting = client.open(LEGACY, json!({})).await["result"].clone();
    assert_eq!((&greeting["serverInfo"], &greeting["instructions"]), (&info, &json!("Read me.")));
    assert_eq!(greeting["capabilities"], capabilities);
}

#[tokio::test]
async fn era_372_373_440_extensions_and_their_methods_reach_the_other_side() {
    let extension = json!({"example.com/acme": {"level": 2}});
    let server_side = extension.clone();
    let capabilities = json!({"tools": {}, "extensions": server_side});
    let modern_server = new(capabilities.clone(), |seen| async move {
        match seen.method() {
            "acme/run" => {
                Reply::json(200, &seen.result(json!({"resultType": "complete", "acme": seen.body["params"]["n"]})))
            }
            _ => listed(&seen, &json!([])),
        }
    })
    .await;
    let legacy_server = Old::start(Like { capabilities, ..Like::default() }, |call: Arrived| async move {
        Ok(json!({"acme": call.seen.body["params"]["n"]}))
    })
    .await;
    for (server, is_modern) in [(&modern_server, true), (&legacy_server.scripted, false)] {
        let gateway = gateway_at(server).await;
        // A modern client.
        let declared = json!({"extensions": extension});
        let discovered = modern("server/discover", json!({})).response(&gateway, 200).await;
        assert_eq!(discovered["result"]["capabilities"]["extensions"], extension);
        let run = modern("acme/run", json!({"n": 1})).capabilities(declared.clone());
        assert_eq!(run.response(&gateway, 200).await["result"]["acme"], 1);
        // A legacy client.
        let mut client = Client::new(gateway.url("docs"));
        let greeting = client.open(LEGACY, declared.clone()).await;
        assert_eq!(greeting["result"]["capabilities"]["extensions"], extension);
        let ran = client.ask(1, "acme/run", json!({"n": 2})).await.json();
        assert_eq!(ran["result"], json!({"acme": 2}));
        let runs: Vec<_> = server.seen().into_iter().filter(|s| s.method() == "acme/run").collect();
        let told = |n: usize| &runs[n].body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        if is_modern {
            assert_eq!((told(0), told(1)), (&declared, &declared));
            assert!(runs.iter().all(|run| run.header("mcp-method") == Some("acme/run")));
        } else {
            let hellos: Vec<_> = server.seen().into_iter().filter(|s| s.method() == "initialize").collect();
            let declaring = hellos.iter().filter(|h| h.body["params"]["capabilities"]["extensions"] == extension);
            assert!(declaring.count() >= 2, "each of the two is told of");
            assert!(runs.iter().all(|run| run.body["params"].get("_meta").is_none()), "{:?}", runs[0].body);
        }
    }
}

#[tokio::test]
async fn era_376_completion_is_left_to_a_server_that_had_no_flag_for_it() {
    for (implements, code) in [(true, None), (false, Some(-32601))] {
        let like = Like { revision: "2024-11-05", capabilities: json!({"prompts": {}}), ..Like::default() };
        let server = Old::start(like, move |_| async move {
            match implements {
                true => Ok(json!({"completion": {"values": ["Ada"]}})),
                false => Err(json!({"code": -32601, "message": "Method not found"})),
            }
        })
        .await;
        let gateway = gateway_at(&server.scripted).await;
        let params = json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": "A"}});
        let complete = modern("completion/complete", params.clone());
        let client = legacy(&gateway, LEGACY, json!({})).await;
        match code {
            None => {
                let done = complete.response(&gateway, 200).await;
                assert_eq!(done["result"]["completion"]["values"], json!(["Ada"]));
                let done = client.ask(1, "completion/complete", params).await.json();
                assert_eq!(done["result"], json!({"completion": {"values": ["Ada"]}}));
            }
            Some(code) => {
                complete.error(&gateway, 404, code).await;
                assert_eq!(client.ask(1, "completion/complete", params).await.fault(), (200, code));
            }
        }
        assert_eq!(server.scripted.count("completion/complete"), 2);
    }
}
