//! A client of 2025-11-25 that wants tasks, in front of a modern server.

use super::*;

fn id_of(task: &Value) -> String {
    task["taskId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn era_348_358_a_modern_servers_task_in_the_older_words() {
    for over in TRANSPORTS {
        for ttl in [None, Some(Value::Null)] {
            let mut server = TaskServer::new(Speaks::Modern);
            server.ttl = ttl.clone();
            let sealer = Arc::new(Sealer::random());
            let stage = Stage::with(server, over, Tasking::default(), Share::Principal, sealer).await;
            let mut client = Legacy::new(stage.url());
            let hello = client.open(NEWEST, json!({})).await;
            let offered = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
            assert_eq!(hello["result"]["capabilities"]["tasks"], offered);
            let tools = ask(&client, 1, "tools/list", json!({})).await;
            for tool in tools["result"]["tools"].as_array().unwrap() {
                assert_eq!(tool["execution"], json!({"taskSupport": "optional"}), "{tool}");
            }
            let task = created(&client, 2, "task", json!({"ttl": 70_000})).await;
            let id = id_of(&task);
            let (ttl, poll) = if ttl.is_none() { (json!(60000), json!(500)) } else { (Value::Null, Value::Null) };
            assert_eq!((&task["ttl"], &task["pollInterval"], &task["statusMessage"]), (&ttl, &poll, &json!("on it")));
            let seen = &stage.server.seen("tools/call")[0]["params"];
            assert!(seen.get("task").is_none(), "{seen}");
            let raw = stage.server.task(1).await;
            assert_eq!(shown(&client, 3, &id).await["status"], "working");
            let result = waiting(&client, 4, &id);
            stage.server.arrived("tasks/get", 2).await;
            stage.server.complete(&raw, "done");
            assert_eq!(brought(result, &id).await["content"], said("done")["content"]);
            let task = shown(&client, 5, &id).await;
            assert_eq!(task["status"], "completed");
            assert!(task.get("result").is_none() && task.get("_meta").is_none(), "{task}");
            assert_eq!(brought(waiting(&client, 6, &id), &id).await["content"], said("done")["content"]);
        }
    }
}

#[tokio::test]
async fn era_349_without_asking_for_it_nothing_becomes_a_task() {
    let stage = Stage::of(Speaks::Modern, Over::Http).await;
    let client = stage.legacy().await;
    let answer = ask(&client, 1, "tools/call", json!({"name": "may", "arguments": {}})).await;
    assert_eq!(answer["result"]["content"], said("at once")["content"]);
    let meta = &stage.server.seen("tools/call")[0]["params"]["_meta"];
    assert!(!meta.to_string().contains(EXTENSION), "{meta}");
    assert_eq!(stage.server.calls("may"), 1);
}

#[tokio::test]
async fn era_350_a_call_that_is_answered_at_once_is_a_task_that_is_done() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Modern, over).await;
        let client = stage.legacy().await;
        let task = created(&client, 1, "plain", json!({"ttl": 60000})).await;
        let id = id_of(&task);
        assert_eq!(task["ttl"], 60000);
        assert_eq!(brought(waiting(&client, 2, &id), &id).await["content"], said("at once")["content"]);
        assert_eq!(shown(&client, 3, &id).await["status"], "completed");
        let answer = ask(&client, 4, "tasks/cancel", json!({"taskId": id})).await;
        assert_eq!(answer["error"]["code"], -32602);
        // An error is none of a task.
        let answer = ask(&client, 5, "tools/call", json!({"name": 7, "task": {}})).await;
        assert!(answer.get("result").is_none() || answer["result"].get("task").is_some(), "{answer}");
        assert_eq!(stage.server.calls("plain"), 1);
    }
}

#[tokio::test]
async fn era_350_a_call_that_takes_its_time_is_a_task_meanwhile() {
    let stage = Stage::of(Speaks::Modern, Over::Http).await;
    let client = stage.legacy().await;
    let id = id_of(&created(&client, 1, "slow", json!({})).await);
    assert_eq!(shown(&client, 2, &id).await["status"], "working");
    let result = waiting(&client, 3, &id);
    stage.server.gate.send_replace(true);
    assert_eq!(brought(result, &id).await["content"], said("at last")["content"]);
    assert_eq!(stage.server.calls("slow"), 1);
}

#[tokio::test]
async fn era_351_a_task_asks_on_the_stream_of_whoever_waits_for_it() {
    // `task` asks while it is one; `asks` before the server would make one, so that it is a task of the gateway.
    for (over, name) in TRANSPORTS.into_iter().flat_map(|over| [(over, "task"), (over, "asks")]) {
        let stage = Stage::of(Speaks::Modern, over).await;
        let client = stage.legacy().await;
        let id = id_of(&created(&client, 1, name, json!({})).await);
        if name == "task" {
            stage.server.ask(&stage.server.task(1).await, "k", form("first"));
        }
        soon("a question", async {
            while shown(&client, 2, &id).await["status"] != "input_required" {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
        // Two wait for it; one of them is asked.
        let mut first = soon("a stream", waiting(&client, 3, &id)).await.unwrap().events();
        let question = soon("a question", first.expect()).await;
        assert_eq!(question["params"]["message"], "first");
        assert_eq!(question["params"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], id);
        let second = waiting(&client, 4, &id);
        let mut answer = accept("Ada");
        answer["_meta"] = json!({"io.modelcontextprotocol/related-task": {"taskId": id}});
        client.answer(&question, answer).await;
        let said = if name == "task" {
            let raw = stage.server.task(1).await;
            assert_eq!(stage.server.answer(&raw, "k").await, accept("Ada"));
            stage.server.complete(&raw, "done");
            "done"
        } else {
            "\"Ada\""
        };
        let result = soon("a result", first.expect()).await;
        assert_eq!(result["result"]["content"][0]["text"], said, "{name}: {result}");
        assert_eq!(brought(second, &id).await["content"][0]["text"], said);
    }
}

#[tokio::test]
async fn era_352_a_client_lists_its_own_tasks() {
    let stage = Stage::of(Speaks::Modern, Over::Http).await;
    let (alice, bob) = (stage.legacy().await, stage.legacy_of(NEWEST, "bob").await);
    let mut own = vec![id_of(&created(&alice, 1, "task", json!({})).await)];
    own.push(id_of(&created(&alice, 2, "plain", json!({})).await));
    let theirs = id_of(&created(&bob, 1, "task", json!({})).await);
    stage.server.complete(&stage.server.task(1).await, "done");
    let list = |answer: &Value| -> Vec<(String, String)> {
        assert_valid(NEWEST, "ListTasksResult", &answer["result"]);
        assert!(answer["result"].get("nextCursor").is_none());
        let tasks = answer["result"]["tasks"].as_array().unwrap();
        tasks.iter().map(|t| (id_of(t), t["status"].as_str().unwrap().to_owned())).collect()
    };
    let done = |id: &String| (id.clone(), "completed".to_owned());
    let answer = ask(&alice, 3, "tasks/list", json!({})).await;
    assert_eq!(list(&answer), [done(&own[0]), done(&own[1])]);
    let answer = ask(&bob, 3, "tasks/list", json!({})).await;
    assert_eq!(list(&answer), [(theirs.clone(), "working".to_owned())]);
    let answer = ask(&alice, 4, "tasks/list", json!({"cursor": "x"})).await;
    assert_eq!(answer["error"]["code"], -32602);
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        for id in [&theirs, &"raw-1".to_owned()] {
            assert_unknown(&ask(&alice, 5, method, json!({"taskId": id})).await["error"]);
        }
    }
    // Another session of the same principal, and one after the first has ended.
    let again = stage.legacy().await;
    alice.delete().await;
    assert_eq!(shown(&again, 1, &own[0]).await["status"], "completed");
    assert_eq!(brought(waiting(&again, 2, &own[1]), &own[1]).await["content"], said("at once")["content"]);
}

#[tokio::test]
async fn era_353_a_task_that_was_cancelled_stays_so() {
    for name in ["task", "slow"] {
        let stage = Stage::of(Speaks::Modern, Over::Http).await;
        let client = stage.legacy().await;
        let id = id_of(&created(&client, 1, name, json!({})).await);
        let result = waiting(&client, 2, &id);
        let answer = ask(&client, 3, "tasks/cancel", json!({"taskId": id})).await;
        assert_valid(NEWEST, "CancelTaskResult", &answer["result"]);
        assert_eq!((&answer["result"]["status"], &answer["result"]["taskId"]), (&json!("cancelled"), &json!(id)));
        let answer = soon("the end of the wait", async { whole(result.await.unwrap()).await }).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        if name == "task" {
            assert_eq!(stage.server.status(&stage.server.task(1).await), "cancelled");
        }
        assert_eq!(shown(&client, 4, &id).await["status"], "cancelled");
        for method in ["tasks/cancel", "tasks/result"] {
            assert_eq!(ask(&client, 5, method, json!({"taskId": id})).await["error"]["code"], -32602);
        }
    }
}

#[tokio::test]
async fn era_353_a_task_that_was_cancelled_stays_so_whatever_its_server_does() {
    let mut server = TaskServer::new(Speaks::Modern);
    server.stubborn = true;
    let sealer = Arc::new(Sealer::random());
    let stage = Stage::with(server, Over::Http, Tasking::default(), Share::Principal, sealer).await;
    let client = stage.legacy().await;
    let id = id_of(&created(&client, 1, "task", json!({})).await);
    let answer = ask(&client, 2, "tasks/cancel", json!({"taskId": id})).await;
    assert_eq!(answer["result"]["status"], "cancelled");
    stage.server.complete(&stage.server.task(1).await, "done all the same");
    assert_eq!(shown(&client, 3, &id).await["status"], "cancelled");
    assert_eq!(ask(&client, 4, "tasks/result", json!({"taskId": id})).await["error"]["code"], -32602);
    let listed = ask(&client, 5, "tasks/list", json!({})).await;
    assert_eq!(listed["result"]["tasks"][0]["status"], "cancelled");
}

#[tokio::test]
async fn era_354_a_tool_that_failed_is_a_task_that_failed() {
    let stage = Stage::of(Speaks::Modern, Over::Http).await;
    let client = stage.legacy().await;
    let id = id_of(&created(&client, 1, "task", json!({})).await);
    let mut failed = said("no such page");
    failed["isError"] = json!(true);
    stage.server.end(&stage.server.task(1).await, "completed", json!({"result": failed}));
    assert_eq!(shown(&client, 2, &id).await["status"], "failed");
    assert_eq!(brought(waiting(&client, 3, &id), &id).await["isError"], true);

    let id = id_of(&created(&client, 4, "task", json!({})).await);
    let error = json!({"code": -32000, "message": "too many pages"});
    stage.server.end(&stage.server.task(2).await, "failed", json!({"error": error}));
    assert_eq!(shown(&client, 5, &id).await["status"], "failed");
    assert_eq!(ask(&client, 6, "tasks/result", json!({"taskId": id})).await["error"], error);
}

#[tokio::test]
async fn a_change_of_a_modern_servers_task_is_told_to_its_legacy_client() {
    let stage = Stage::of(Speaks::Modern, Over::Http).await;
    let client = stage.legacy().await;
    let mut standing = client.get(None).await.events();
    let id = id_of(&created(&client, 1, "task", json!({})).await);
    stage.server.arrived("subscriptions/listen", 1).await;
    stage.server.complete(&stage.server.task(1).await, "done");
    let told = soon("a notification", standing.expect()).await;
    assert_eq!(told["method"], "notifications/tasks/status");
    assert_eq!((&told["params"]["taskId"], &told["params"]["status"]), (&json!(id), &json!("completed")));
    assert!(told["params"].get("result").is_none(), "{told}");
}

/// A structured result that is no object is wrapped for a legacy client, however it comes.
#[tokio::test]
async fn the_result_of_a_task_has_the_shape_that_the_tool_was_listed_with() {
    let stage = Stage::of(Speaks::Modern, Over::Http).await;
    let client = stage.legacy().await;
    let tools = ask(&client, 1, "tools/list", json!({})).await;
    let list = tools["result"]["tools"].as_array().unwrap().iter().find(|t| t["name"] == "list").unwrap();
    assert_eq!(list["outputSchema"]["type"], "object", "{list}");
    let id = id_of(&created(&client, 2, "list", json!({})).await);
    let mut result = said("[1,2]");
    result["structuredContent"] = json!([1, 2]);
    stage.server.end(&stage.server.task(1).await, "completed", json!({"result": result}));
    let result = brought(waiting(&client, 3, &id), &id).await;
    assert_eq!(result["structuredContent"], json!({"result": [1, 2]}));
}

/// For a client of 2025-11-25 every task begins as one that is worked on, and goes on from there.
#[tokio::test]
async fn era_348_a_task_that_asks_from_the_start_begins_all_the_same() {
    let mut server = TaskServer::new(Speaks::Modern);
    server.begins = "input_required";
    let sealer = Arc::new(Sealer::random());
    let stage = Stage::with(server, Over::Http, Tasking::default(), Share::Principal, sealer).await;
    let client = stage.legacy().await;
    let id = id_of(&created(&client, 1, "task", json!({})).await);
    assert_eq!(shown(&client, 2, &id).await["status"], "input_required");
    stage.server.complete(&stage.server.task(1).await, "done");
    assert_eq!(brought(waiting(&client, 3, &id), &id).await["content"], said("done")["content"]);
}

/// Callers that differ by their headers alone are known to the gateway as one, and may be anybody to the server.
#[tokio::test]
async fn sec_017_tasks_are_listed_to_those_who_send_the_same_headers_along() {
    for (speaks, name) in [(Speaks::Modern, "task"), (Speaks::Modern, "plain"), (Speaks::Legacy, "must")] {
        let stage = Stage::of(speaks, Over::Http).await;
        let client = stage.legacy().await;
        let ask = async |tenant: &str, method: &str, params: Value| {
            let mut sent = client.request(reqwest::Method::POST).header("content-type", "application/json");
            if !tenant.is_empty() {
                sent = sent.header(super::KEY, tenant);
            }
            let body = crate::legacy_support::client::request(1, method, params).to_string();
            whole(soon(method, client.send(sent.body(body))).await).await
        };
        let mut made = Vec::new();
        for tenant in ["a", "b", ""] {
            let answer = ask(tenant, "tools/call", json!({"name": name, "arguments": {}, "task": {}})).await;
            made.push((tenant, id_of(&answer["result"]["task"])));
        }
        for (tenant, own) in &made {
            let answer = ask(tenant, "tasks/list", json!({})).await;
            let listed: Vec<_> = answer["result"]["tasks"].as_array().unwrap().iter().map(id_of).collect();
            assert_eq!(listed, std::slice::from_ref(own), "{speaks:?} {name} {tenant}");
        }
    }
}
