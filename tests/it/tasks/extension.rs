//! The extension on both sides: tasks pass, under ids of ours.

use super::*;

/// Calls a tool and gives the id of the task that it becomes.
async fn begun(stage: &Stage, name: &str) -> String {
    let created = stage.result(call(name)).await;
    assert_eq!((&created["resultType"], &created["status"]), (&json!("task"), &json!("working")), "{created}");
    let id = created["taskId"].as_str().unwrap().to_owned();
    assert_task(&created, &id);
    assert!(!id.contains("raw"), "{id}");
    id
}

#[tokio::test]
async fn era_335_a_task_is_made_and_looked_at_until_it_is_done() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Modern, over).await;
        let discovered = stage.result(modern("server/discover", json!({})).capabilities(able())).await;
        assert_eq!(discovered["capabilities"]["extensions"], json!({EXTENSION: {}}));
        let id = begun(&stage, "task").await;
        let raw = stage.server.task(1).await;
        let task = stage.get(&id).await;
        assert_eq!(
            (&task["status"], &task["ttlMs"], &task["x-kept"]),
            (&json!("working"), &json!(60000), &json!({"a": 1.0}))
        );
        stage.server.complete(&raw, "done");
        let task = stage.get(&id).await;
        assert_eq!((&task["status"], &task["result"]), (&json!("completed"), &said("done")));
        assert!(stage.server.seen("tasks/get").iter().all(|seen| seen["params"]["taskId"] == *raw));
        if over == Over::Http {
            assert_eq!(stage.server.names("tasks/get"), [&*raw, &*raw]);
        }
    }
}

#[tokio::test]
async fn era_336_356_clients_that_do_not_know_tasks_and_methods_that_are_none() {
    let stage = Stage::of(Speaks::Modern, Over::Http).await;
    let id = begun(&stage, "task").await;
    for what in ["get", "update", "cancel"] {
        let error = about(what, &id).capabilities(json!({})).error(&stage.gateway, 400, -32021).await;
        assert_eq!(error["data"]["requiredCapabilities"], json!({"extensions": {EXTENSION: {}}}));
    }
    for what in ["list", "result"] {
        modern(&format!("tasks/{what}"), json!({"taskId": id}))
            .capabilities(able())
            .error(&stage.gateway, 404, -32601)
            .await;
    }
    assert_eq!(stage.server.seen("tasks/get").len(), 0);
    // A server that has no tasks knows none of their methods.
    let mut plain = TaskServer::new(Speaks::Modern);
    plain.capabilities = json!({"tools": {}});
    let stage = Stage::with(plain, Over::Http, Tasking::default(), Share::Principal, Arc::new(Sealer::random())).await;
    about("get", "t").error(&stage.gateway, 404, -32601).await;
}

#[tokio::test]
async fn era_337_questions_of_a_task_are_answered_by_key() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Modern, over).await;
        let id = begun(&stage, "task").await;
        let raw = stage.server.task(1).await;
        stage.server.ask(&raw, "a", form("first"));
        stage.server.ask(&raw, "b", form("second"));
        let task = stage.get(&id).await;
        assert_eq!(task["inputRequests"], json!({"a": form("first"), "b": form("second")}));
        let ack = stage.result(update(&id, json!({"a": accept("Ada"), "nobody": accept("x")}))).await;
        assert_eq!(ack, json!({"resultType": "complete"}));
        assert_eq!(stage.server.answer(&raw, "a").await, accept("Ada"));
        assert_eq!(stage.get(&id).await["inputRequests"], json!({"b": form("second")}));
        // Once more: acknowledged, and no more than that.
        stage.result(update(&id, json!({"a": accept("Eve")}))).await;
        assert_eq!(stage.server.answer(&raw, "a").await, accept("Ada"));
        stage.result(update(&id, json!({"b": {"action": "decline"}}))).await;
        assert_eq!(stage.get(&id).await["status"], "working");
        let sent = &stage.server.seen("tasks/update")[0]["params"];
        assert_eq!((&sent["taskId"], &sent["inputResponses"]["a"]), (&json!(raw), &accept("Ada")));
    }
}

#[tokio::test]
async fn era_338_cancelling_is_acknowledged() {
    let stage = Stage::of(Speaks::Modern, Over::Http).await;
    let id = begun(&stage, "task").await;
    let raw = stage.server.task(1).await;
    assert_eq!(stage.result(about("cancel", &id)).await, json!({"resultType": "complete"}));
    assert_eq!(stage.get(&id).await["status"], "cancelled");
    assert_eq!(stage.server.status(&raw), "cancelled");
    assert_eq!(stage.server.names("tasks/cancel"), [raw]);
}

#[tokio::test]
async fn era_339_a_client_may_listen_to_its_tasks() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Modern, over).await;
        let (mine, other) = (begun(&stage, "task").await, begun(&stage, "task").await);
        let raw = stage.server.task(1).await;
        let filter = json!({"notifications": {"taskIds": [mine, "t1.nonsense"]}});
        let listen = modern("subscriptions/listen", filter).capabilities(able());
        let mut events = listen.open(&stage.gateway).await;
        let first = soon("an acknowledgement", events.next()).await.unwrap();
        assert_eq!(first["params"]["notifications"], json!({"taskIds": [mine]}));
        stage.server.complete(&stage.server.task(2).await, "not told");
        stage.server.ask(&raw, "k", form("what"));
        stage.server.complete(&raw, "done");
        for (status, detail, has) in
            [("input_required", "inputRequests", json!({"k": form("what")})), ("completed", "result", said("done"))]
        {
            let told = soon("a notification", events.next()).await.unwrap();
            assert_eq!((&told["method"], &told["params"]["status"]), (&json!("notifications/tasks"), &json!(status)));
            assert_eq!(told["params"][detail], has, "{told}");
            assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1);
            assert_task(&told["params"], &mine);
        }
        listen.capabilities(json!({})).error(&stage.gateway, 400, -32021).await;
        assert_ne!(mine, other);
    }
}

#[tokio::test]
async fn era_340_sec_032_a_task_id_is_its_principals_at_its_mount() {
    for speaks in [Speaks::Modern, Speaks::Legacy] {
        let stage = Stage::of(speaks, Over::Http).await;
        let id = begun(&stage, if speaks == Speaks::Modern { "task" } else { "must" }).await;
        let raw = stage.server.task(1).await;
        let before = stage.server.seen("tasks/get").len();
        let mut tampered = id.clone().into_bytes();
        tampered[20] ^= 1;
        let tampered = String::from_utf8(tampered).unwrap();
        for what in ["get", "cancel", "update"] {
            let of = |id: &str| about(what, id).param("inputResponses", json!({}));
            for foreign in [
                of(&id).principal("bob"),
                of(&id).mount("finance"),
                of(&raw),
                of(&tampered),
                of("t1."),
                of(&"x".repeat(4000)),
            ] {
                assert_unknown(&foreign.error(&stage.gateway, 200, -32602).await);
            }
        }
        let filter = json!({"notifications": {"taskIds": [id]}});
        let listen = modern("subscriptions/listen", filter).capabilities(able()).principal("bob");
        let mut events = listen.open(&stage.gateway).await;
        let first = soon("an acknowledgement", events.next()).await.unwrap();
        assert!(first["params"]["notifications"].get("taskIds").is_none_or(|ids| *ids == json!([])), "{first}");
        assert_eq!(stage.server.status(&raw), "working");
        assert_eq!(stage.server.seen("tasks/get").len(), before);
        assert_eq!(stage.get(&id).await["status"], "working");
    }
}

#[tokio::test]
async fn era_357_the_word_of_the_legacy_design_means_nothing() {
    for (speaks, name) in [(Speaks::Modern, "plain"), (Speaks::Legacy, "may"), (Speaks::Legacy, "plain")] {
        let stage = Stage::of(speaks, Over::Lines).await;
        let result = stage.result(tool(name, json!({})).param("task", json!({"ttl": 1}))).await;
        assert_eq!(result["content"][0]["text"], "at once", "{speaks:?} {name}");
        assert_eq!(stage.server.calls(name), 1);
        if speaks == Speaks::Legacy {
            assert!(stage.server.seen("tools/call")[0]["params"].get("task").is_none());
        }
    }
}

#[tokio::test]
async fn era_359_a_task_at_a_server_outlives_the_gateway() {
    let keys = || Arc::new(Sealer::new(&[[7_u8; 32]]).unwrap());
    let (server, share) = (TaskServer::new(Speaks::Modern), Share::Principal);
    let stage = Stage::with(server, Over::Http, Tasking::default(), share, keys()).await;
    let id = begun(&stage, "task").await;
    let legacy = stage.legacy().await;
    let nested = created(&legacy, 1, "task", json!({})).await["taskId"].as_str().unwrap().to_owned();
    stage.server.complete(&stage.server.task(1).await, "still here");
    stage.server.complete(&stage.server.task(2).await, "here as well");
    let stage = stage.restarted(Over::Http, keys()).await;
    assert_eq!(stage.get(&id).await["result"], said("still here"));
    let legacy = stage.legacy().await;
    assert_eq!(shown(&legacy, 1, &nested).await["status"], "completed");
    let result = brought(waiting(&legacy, 2, &nested), &nested).await;
    assert_eq!(result["content"], said("here as well")["content"]);
    // What can be asked about before it was seen cannot be listed, so nothing is.
    let answer = ask(&legacy, 3, "tasks/list", json!({})).await;
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    // Without keys that are kept, the id means nothing to anybody.
    let stage = stage.restarted(Over::Http, Arc::new(Sealer::random())).await;
    assert_unknown(&about("get", &id).error(&stage.gateway, 200, -32602).await);
}

/// Naming a task twice is no reason to hear of it twice.
#[tokio::test]
async fn era_339_a_task_that_is_named_twice_is_told_once() {
    for speaks in [Speaks::Modern, Speaks::Legacy] {
        let stage = Stage::of(speaks, Over::Http).await;
        let id = begun(&stage, if speaks == Speaks::Modern { "task" } else { "must" }).await;
        let filter = json!({"notifications": {"taskIds": [id, id, id]}});
        let mut events = modern("subscriptions/listen", filter).capabilities(able()).open(&stage.gateway).await;
        let first = soon("an acknowledgement", events.next()).await.unwrap();
        assert_eq!(first["params"]["notifications"], json!({"taskIds": [id]}));
        let raw = stage.server.task(1).await;
        stage.server.ask(&raw, "k", form("what"));
        let told = soon("a notification", events.next()).await.unwrap();
        assert_eq!(told["params"]["status"], "input_required", "{told}");
        stage.server.complete(&raw, "done");
        loop {
            let told = soon("a notification", events.next()).await.unwrap();
            if told["params"]["status"] == "completed" {
                break;
            }
            // Whatever else changes, the question is told of once.
            assert_ne!(told["params"]["status"], "input_required", "{told}");
        }
    }
}
