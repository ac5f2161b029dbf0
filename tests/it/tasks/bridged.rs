//! A modern client that knows tasks, in front of a server of 2025-11-25 that has them.

use super::*;

async fn begun(stage: &Stage) -> (String, String) {
    let created = stage.result(call("must")).await;
    assert_eq!((&created["resultType"], &created["status"]), (&json!("task"), &json!("working")), "{created}");
    assert_eq!(created["ttlMs"], 3_600_000, "{created}");
    assert_eq!(created["pollIntervalMs"], 500);
    assert_eq!(created["_meta"]["io.modelcontextprotocol/model-immediate-response"], "wait");
    let id = created["taskId"].as_str().unwrap().to_owned();
    assert_task(&created, &id);
    (id, stage.server.task(1).await)
}

#[tokio::test]
async fn era_341_a_tool_that_has_to_be_a_task_is_one() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Legacy, over).await;
        let discovered = stage.result(modern("server/discover", json!({})).capabilities(able())).await;
        assert_eq!(discovered["capabilities"]["extensions"], json!({EXTENSION: {}}));
        assert!(discovered["capabilities"].get("tasks").is_none());
        let tools = stage.result(modern("tools/list", json!({})).capabilities(able())).await;
        assert!(tools["tools"].as_array().unwrap().iter().all(|tool| tool.get("execution").is_none()));
        let (id, raw) = begun(&stage).await;
        assert_eq!(stage.server.seen("tools/call")[0]["params"]["task"], json!({"ttl": 3_600_000}));
        stage.server.arrived("tasks/result", 1).await;
        let task = stage.get(&id).await;
        assert_eq!((&task["status"], &task["statusMessage"]), (&json!("working"), &json!("on it")));
        stage.server.complete(&raw, "done");
        let task = stage.until(&id, "completed").await;
        assert_eq!(task["result"]["content"], said("done")["content"]);
        assert_eq!(task["result"]["resultType"], "complete");
        // The result is kept: the server is not asked again.
        let asked = stage.server.seen("tasks/get").len();
        assert_eq!(stage.get(&id).await, task);
        assert_eq!((stage.server.seen("tasks/get").len(), stage.server.seen("tasks/result").len()), (asked, 1));
    }
}

#[tokio::test]
async fn era_342_a_tool_that_may_be_a_task_is_none_unless_that_is_preferred() {
    let stage = Stage::of(Speaks::Legacy, Over::Http).await;
    assert_eq!(stage.result(call("may")).await["content"], said("at once")["content"]);
    let (server, tasking) = (TaskServer::new(Speaks::Legacy), Tasking { prefer: true, ..Tasking::default() });
    let stage = Stage::with(server, Over::Http, tasking, Share::Principal, Arc::new(Sealer::random())).await;
    assert_eq!(stage.result(call("may")).await["resultType"], "task");
    assert_eq!(stage.result(call("plain")).await["content"], said("at once")["content"]);
}

#[tokio::test]
async fn era_343_what_the_server_asks_in_a_task_is_shown_with_it() {
    for (over, astray) in [(Over::Http, false), (Over::Http, true), (Over::Lines, false)] {
        let mut server = TaskServer::new(Speaks::Legacy);
        server.astray = astray;
        let sealer = Arc::new(Sealer::random());
        let stage = Stage::with(server, over, Tasking::default(), Share::Principal, sealer).await;
        let (id, raw) = begun(&stage).await;
        let filter = json!({"notifications": {"taskIds": [id]}});
        let mut events = modern("subscriptions/listen", filter).capabilities(able()).open(&stage.gateway).await;
        let first = soon("an acknowledgement", events.next()).await.unwrap();
        assert_eq!(first["params"]["notifications"]["taskIds"], json!([id]));
        stage.server.ask(&raw, "x", form("who are you"));
        let task = stage.until(&id, "input_required").await;
        assert_eq!(task["inputRequests"], json!({"t1": form("who are you")}));
        // Whoever cannot be asked this does not see it.
        let blind = about("get", &id).capabilities(json!({"extensions": {EXTENSION: {}}}));
        assert_eq!(stage.result(blind).await["status"], "working");
        let ack = stage.result(update(&id, json!({"t1": accept("Ada"), "t7": accept("x")}))).await;
        assert_eq!(ack["resultType"], "complete");
        let answer = stage.server.answer(&raw, "x").await;
        assert_eq!(answer["content"], json!({"name": "Ada"}));
        assert_eq!(answer["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], *raw);
        stage.server.complete(&raw, "hello Ada");
        for status in ["input_required", "working", "completed"] {
            let told = loop {
                let told = soon(status, events.next()).await.unwrap();
                assert_task(&told["params"], &id);
                // What changes beside the status is told as well.
                if told["params"]["status"] == status {
                    break told;
                }
            };
            assert_eq!(told["method"], "notifications/tasks");
        }
        assert_eq!(stage.until(&id, "completed").await["result"]["content"], said("hello Ada")["content"]);
    }
}

/// In a session that is lent a task asks its owner, whoever has the session meanwhile.
#[tokio::test]
async fn a_task_in_a_session_that_is_lent_asks_its_owner_by_its_name() {
    for (over, astray) in [(Over::Http, false), (Over::Http, true), (Over::Lines, false)] {
        let mut server = TaskServer::new(Speaks::Legacy);
        server.astray = astray;
        let sealer = Arc::new(Sealer::random());
        let stage = &Stage::with(server, over, Tasking::default(), Share::LEASED, sealer).await;
        let mut ids = Vec::new();
        for who in ["alice", "bob"] {
            let created = stage.result(call("must").principal(who)).await;
            ids.push(created["taskId"].as_str().unwrap().to_owned());
        }
        stage.server.arrived("tasks/result", 2).await;
        let (one, two) = (stage.server.task(1).await, stage.server.task(2).await);
        let holds = call("slow").principal("carol");
        let until = async |who: &str, n: usize, status: &str| {
            soon(status, async {
                loop {
                    let task = stage.result(about("get", &ids[n]).principal(who)).await;
                    if task["status"] == status {
                        return task;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            })
            .await
        };
        let (held, ()) = tokio::join!(stage.response(&holds), async {
            stage.server.arrived("tools/call", 3).await;
            for (raw, n, who) in [(&one, 0, "alice"), (&two, 1, "bob")] {
                stage.server.ask(raw, "x", form(who));
                assert_eq!(until(who, n, "input_required").await["inputRequests"], json!({"t1": form(who)}));
                stage.result(update(&ids[n], json!({"t1": accept(who)})).principal(who)).await;
                assert_eq!(stage.server.answer(raw, "x").await["content"], json!({"name": who}));
                stage.server.complete(raw, who);
                until(who, n, "completed").await;
            }
            stage.server.gate.send_replace(true);
        });
        assert_eq!(held["result"]["content"], said("at last")["content"], "{held}");
        assert_eq!(stage.server.seen("initialize").len(), 1, "{over:?}");
    }
}

#[tokio::test]
async fn era_344_345_a_tool_that_failed_has_completed_and_an_error_has_not() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Legacy, over).await;
        let (id, raw) = begun(&stage).await;
        let mut failed = said("no such page");
        failed["isError"] = json!(true);
        stage.server.end(&raw, "failed", json!({"result": failed}));
        let task = stage.until(&id, "completed").await;
        assert_eq!((&task["result"]["isError"], &task["result"]["content"]), (&json!(true), &failed["content"]));

        let created = stage.result(call("must")).await;
        let id = created["taskId"].as_str().unwrap();
        let error = json!({"code": -32050, "message": "too many pages"});
        stage.server.end(&stage.server.task(2).await, "failed", json!({"error": error}));
        let task = stage.until(id, "failed").await;
        // A code that the modern era reserves is told in its data.
        assert_eq!((&task["error"]["code"], &task["error"]["message"]), (&json!(-32603), &error["message"]));
        assert_eq!(task["error"]["data"]["code"], -32050);
    }
}

#[tokio::test]
async fn era_338_a_bridged_task_is_cancelled_at_its_server() {
    let stage = Stage::of(Speaks::Legacy, Over::Http).await;
    let (id, raw) = begun(&stage).await;
    stage.server.ask(&raw, "x", form("who are you"));
    stage.until(&id, "input_required").await;
    assert_eq!(stage.result(about("cancel", &id)).await["resultType"], "complete");
    assert_eq!(stage.get(&id).await["status"], "cancelled");
    assert_eq!(stage.server.status(&raw), "cancelled");
    // Again, and answers that come too late: acknowledged.
    stage.result(about("cancel", &id)).await;
    stage.result(update(&id, json!({"t1": accept("late")}))).await;
    assert_eq!(stage.server.seen("tasks/cancel").len(), 1);
    about("update", &id).error(&stage.gateway, 200, -32602).await;
}

#[tokio::test]
async fn era_360_a_kept_task_does_not_outlive_the_gateway() {
    let keys = || Arc::new(Sealer::new(&[[7_u8; 32]]).unwrap());
    let (server, share) = (TaskServer::new(Speaks::Legacy), Share::Principal);
    let stage = Stage::with(server, Over::Lines, Tasking::default(), share, keys()).await;
    let (id, _) = begun(&stage).await;
    let sealed_only =
        Stage::with(TaskServer::new(Speaks::Legacy), Over::Lines, Tasking::default(), share, keys()).await;
    assert_unknown(&about("get", &id).error(&sealed_only.gateway, 200, -32602).await);
    assert_eq!(stage.get(&id).await["status"], "working");
}

#[tokio::test]
async fn era_361_a_task_that_the_server_forgot_is_unknown() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let stage = Stage::of(speaks, Over::Http).await;
        let created = stage.result(call(if speaks == Speaks::Legacy { "must" } else { "task" })).await;
        let id = created["taskId"].as_str().unwrap();
        stage.server.forget(&stage.server.task(1).await);
        if speaks == Speaks::Modern {
            assert_unknown(&about("get", id).error(&stage.gateway, 200, -32602).await);
            continue;
        }
        // Whoever waits for the result hears of it at the same time: either the task is gone or it has failed.
        let response = about("get", id).response(&stage.gateway, 200).await;
        if response.get("error").is_some() {
            assert_unknown(&response["error"]);
        } else {
            assert_eq!(response["result"]["status"], "failed", "{response}");
        }
    }
}
