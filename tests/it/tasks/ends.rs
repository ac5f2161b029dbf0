//! Ends that are not the usual ones: servers that die, forget, or say less than they should.

use super::*;

async fn with(over: Over, server: TaskServer) -> Stage {
    Stage::with(server, over, Tasking::default(), Share::Principal, Arc::new(Sealer::random())).await
}

/// The Python SDK 1.x answers `tasks/result` of a task that failed with nothing, and says in the task what was wrong.
#[tokio::test]
async fn era_345_a_task_that_failed_without_a_result_has_failed() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Legacy, over).await;
        // A modern client that has the task.
        let created_by_modern = stage.result(call("must")).await;
        let id = created_by_modern["taskId"].as_str().unwrap();
        stage.server.end(&stage.server.task(1).await, "failed", json!({"result": {}}));
        let task = stage.until(id, "failed").await;
        assert_eq!((&task["error"]["code"], &task["error"]["message"]), (&json!(-32603), &json!("on it")), "{task}");
        // One whose task the gateway sees through.
        let sent = tool("must", json!({}));
        let (answer, ()) = tokio::join!(stage.response(&sent), async {
            stage.server.end(&stage.server.task(2).await, "failed", json!({"result": {}}));
        });
        assert_eq!((&answer["error"]["code"], &answer["error"]["message"]), (&json!(-32603), &json!("on it")));
        // A legacy client that has the task.
        let client = stage.legacy().await;
        let task = created(&client, 1, "must", json!({})).await["taskId"].clone();
        stage.server.end(&stage.server.task(3).await, "failed", json!({"result": {}}));
        let answer = ask(&client, 2, "tasks/result", json!({"taskId": task})).await;
        assert_eq!(answer["error"]["message"], "on it", "{answer}");
        // The same of a task that the server cancelled: there is no result either.
        let task = created(&client, 3, "must", json!({})).await["taskId"].clone();
        stage.server.end(&stage.server.task(4).await, "cancelled", json!({}));
        let answer = ask(&client, 4, "tasks/result", json!({"taskId": task})).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
}

/// A server that dies takes its tasks with it, and whoever asks hears that; nothing of the task stays open.
#[tokio::test]
async fn a_task_fails_with_its_server() {
    let stage = Stage::of(Speaks::Legacy, Over::Lines).await;
    let begun = stage.result(call("must")).await;
    let id = begun["taskId"].as_str().unwrap();
    stage.server.ask(&stage.server.task(1).await, "x", form("who are you"));
    stage.until(id, "input_required").await;
    let driven = tool("must", json!({}));
    let (answer, ()) = tokio::join!(stage.response(&driven), async {
        stage.server.task(2).await;
        stage.server.arrived("tasks/result", 2).await;
        stage.server.hung_up.send_replace(());
    });
    assert_eq!(answer["error"]["data"]["source"], "gateway", "{answer}");
    let task = stage.until(id, "failed").await;
    assert_eq!((&task["error"]["code"], &task["error"]["data"]["source"]), (&json!(-32603), &json!("gateway")));
    // Answers that come too late, and giving up what is over: acknowledged.
    stage.result(update(id, json!({"t1": accept("late")}))).await;
    stage.result(about("cancel", id)).await;
    assert_eq!(stage.get(id).await["error"], task["error"]);
    let mut open = stage.server.open.subscribe();
    soon("the end of the session", open.wait_for(|open| *open == 0)).await.unwrap();

    // A modern server: whoever waits hears of it at once, and may come again.
    let stage = Stage::of(Speaks::Modern, Over::Lines).await;
    let client = stage.legacy().await;
    let id = created(&client, 1, "task", json!({})).await["taskId"].as_str().unwrap().to_owned();
    let result = waiting(&client, 2, &id);
    stage.server.arrived("tasks/get", 1).await;
    stage.server.hung_up.send_replace(());
    let answer = soon("an answer", async { whole(result.await.unwrap()).await }).await;
    assert_eq!(answer["error"]["data"]["source"], "gateway", "{answer}");
    stage.server.complete(&stage.server.task(1).await, "here again");
    assert_eq!(brought(waiting(&client, 3, &id), &id).await["content"], said("here again")["content"]);
}

/// A server that makes a task of a call though it has no tasks to ask about breaks the protocol.
#[tokio::test]
async fn era_449_a_task_that_nobody_can_ask_about_is_the_servers_fault() {
    for over in TRANSPORTS {
        let mut server = TaskServer::new(Speaks::Modern);
        (server.lost, server.capabilities) = (true, json!({"tools": {}}));
        let stage = with(over, server).await;
        let response = stage.response(&tool("rogue", json!({}))).await;
        assert_eq!(response["error"]["code"], -32603, "{response}");
        assert_eq!(response["error"]["data"]["reason"], "upstream_protocol", "{response}");
        let client = stage.legacy().await;
        let answer = soon("an answer", async { whole(client.call(2, "rogue").await.unwrap()).await }).await;
        assert_eq!(answer["error"]["data"]["reason"], "upstream_protocol", "{answer}");
    }
}

/// A task whose id is too long to be sealed is told to nobody, and does not go on.
#[tokio::test]
async fn a_task_that_cannot_be_named_is_cancelled() {
    for speaks in [Speaks::Modern, Speaks::Legacy] {
        let mut server = TaskServer::new(speaks);
        server.prefix = "x".repeat(1100);
        let stage = with(Over::Lines, server).await;
        let client = stage.legacy().await;
        let name = if speaks == Speaks::Modern { "task" } else { "must" };
        let params = json!({"name": name, "arguments": {}, "task": {}});
        let answer = ask(&client, 1, "tools/call", params).await;
        assert_eq!(answer["error"]["data"]["reason"], "upstream_protocol", "{answer}");
        stage.server.arrived("tasks/cancel", 1).await;
        assert_eq!(stage.server.status(&stage.server.task(1).await), "cancelled");
        if speaks == Speaks::Modern {
            let error = call(name).error(&stage.gateway, 200, -32603).await;
            assert_eq!(error["data"]["reason"], "upstream_protocol");
            stage.server.arrived("tasks/cancel", 2).await;
        }
    }
}

/// A client that goes away for good leaves nothing behind but what it may come back for.
#[tokio::test]
async fn a_task_outlives_its_clients_session_and_not_its_time() {
    let stage = Stage::of(Speaks::Modern, Over::Lines).await;
    let client = stage.legacy().await;
    let id = created(&client, 1, "slow", json!({"ttl": 400})).await["taskId"].as_str().unwrap().to_owned();
    client.delete().await;
    let again = stage.legacy().await;
    assert_eq!(shown(&again, 1, &id).await["status"], "working");
    // Its time is up: the call that it is ends at the server, and nobody knows it any more.
    stage.server.arrived("notifications/cancelled", 1).await;
    soon("its end", async {
        loop {
            let answer = ask(&again, 2, "tasks/get", json!({"taskId": id})).await;
            if answer.get("error").is_some() {
                return assert_unknown(&answer["error"]);
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// The Python SDK 1.x may forget who waits for a task that ends at the same moment.
#[tokio::test(start_paused = true)]
async fn a_result_that_does_not_come_is_asked_for_again() {
    let mut server = TaskServer::new(Speaks::Legacy);
    server.deaf = 1;
    let (server, sealer) = (Arc::new(server), Arc::new(Sealer::random()));
    let single = Single::new("docs", Arc::new(server.over_lines()), Share::Principal, sealer.clone());
    let mount = Arc::new(Limit::new(Gather::new(single, 10)));
    let gateway = Gateway::with(&[&mount], Settings { sealer, ..Settings::default() });
    let made = call("must").response(&gateway, 200).await;
    let id = made["result"]["taskId"].as_str().unwrap();
    server.complete("raw-1", "done");
    let begun = tokio::time::Instant::now();
    let task = loop {
        let task = about("get", id).response(&gateway, 200).await["result"].clone();
        if task["status"] != "working" {
            break task;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(90), "{task}");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    };
    assert_eq!(task["result"]["content"], said("done")["content"], "{task}");
    assert_eq!(server.seen("tasks/result").len(), 2);
}
