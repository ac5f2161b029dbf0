//! How many tasks there may be, how large their results, and how long they are kept.

use super::*;

async fn bounded(speaks: Speaks, tasking: Tasking) -> Stage {
    Stage::with(TaskServer::new(speaks), Over::Lines, tasking, Share::Principal, Arc::new(Sealer::random())).await
}

#[tokio::test]
async fn one_principal_has_only_so_many_tasks_and_takes_none_from_others() {
    let stage = bounded(Speaks::Legacy, Tasking { each: 2, all: 3, ..Tasking::default() }).await;
    let begin = || async { stage.result(call("must")).await["taskId"].as_str().unwrap().to_owned() };
    let (first, second) = (begin().await, begin().await);
    let error = call("must").error(&stage.gateway, 200, -32603).await;
    assert_eq!((&error["data"]["reason"], &error["data"]["retryable"]), (&json!("busy"), &json!(true)));
    assert_eq!(stage.server.calls("must"), 2);
    // Others have room, until there is none altogether.
    stage.result(call("must").principal("bob")).await;
    call("must").principal("bob").error(&stage.gateway, 200, -32603).await;
    // One that is over makes room.
    stage.server.complete(&stage.server.task(1).await, "done");
    stage.until(&first, "completed").await;
    let third = begin().await;
    assert_unknown(&about("get", &first).error(&stage.gateway, 200, -32602).await);
    for id in [second, third] {
        assert_eq!(stage.get(&id).await["status"], "working");
    }
}

#[tokio::test]
async fn results_are_kept_while_there_is_room_for_them() {
    let stage = bounded(Speaks::Legacy, Tasking { kept_each: 1500, ..Tasking::default() }).await;
    let mut ids = Vec::new();
    for n in 1..=3 {
        ids.push(stage.result(call("must")).await["taskId"].as_str().unwrap().to_owned());
        stage.server.complete(&stage.server.task(n).await, &"x".repeat(if n == 3 { 4000 } else { 1000 }));
        stage.until(&ids[n - 1], if n == 3 { "failed" } else { "completed" }).await;
        if n == 2 {
            assert_unknown(&about("get", &ids[0]).error(&stage.gateway, 200, -32602).await);
        }
    }
    let task = stage.get(&ids[2]).await;
    assert_eq!(task["error"]["data"]["reason"], "limit", "{task}");
}

#[tokio::test]
async fn era_361_a_task_that_is_kept_here_expires() {
    let stage = bounded(Speaks::Modern, Tasking::default()).await;
    let client = stage.legacy().await;
    let id = created(&client, 1, "plain", json!({"ttl": 50})).await["taskId"].as_str().unwrap().to_owned();
    soon("its end", async {
        loop {
            let answer = ask(&client, 2, "tasks/get", json!({"taskId": id})).await;
            if answer.get("error").is_some() {
                assert_unknown(&answer["error"]);
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    let answer = ask(&client, 3, "tasks/list", json!({})).await;
    assert_eq!(answer["result"]["tasks"], json!([]));
}

/// The work on a task holds the mount, and must not keep it.
#[tokio::test]
async fn tasks_end_with_the_gateway() {
    let stage = Stage::of(Speaks::Legacy, Over::Http).await;
    stage.result(call("must")).await;
    stage.server.arrived("tasks/result", 1).await;
    let Stage { gateway, http, .. } = stage;
    drop(gateway);
    http.unwrap().wait_for("DELETE").await;

    let stage = Stage::of(Speaks::Modern, Over::Lines).await;
    let client = stage.legacy().await;
    created(&client, 1, "slow", json!({})).await;
    let Stage { gateway, server, .. } = stage;
    drop((gateway, client));
    let mut open = server.open.subscribe();
    soon("the end of the session", open.wait_for(|open| *open == 0)).await.unwrap();
}
