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
    // What is not kept takes the room of nothing.
    assert_eq!(stage.get(&ids[1]).await["status"], "completed");
}

/// Begins a task of somebody.
async fn begun_by(stage: &Stage, who: &str) -> String {
    stage.result(call("must").principal(who)).await["taskId"].as_str().unwrap().to_owned()
}

/// How the task of somebody is, or nothing where it is not known.
async fn status_of(stage: &Stage, who: &str, id: &str) -> Option<String> {
    let response = stage.response(&about("get", id).principal(who)).await;
    match response["result"]["status"].as_str() {
        Some(status) => Some(status.to_owned()),
        None => {
            assert_unknown(&response["error"]);
            None
        }
    }
}

/// A task of somebody whose result has about so many bytes. It has ended when this returns.
async fn ended_by(stage: &Stage, nth: &mut usize, who: &str, bytes: usize) -> String {
    let id = begun_by(stage, who).await;
    *nth += 1;
    stage.server.complete(&stage.server.task(*nth).await, &"x".repeat(bytes));
    soon("its end", async {
        while status_of(stage, who, &id).await.as_deref() == Some("working") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    id
}

/// Nobody can fill the whole so that there is no room for the results of others.
#[tokio::test]
async fn whoever_holds_the_most_makes_room_for_the_results_of_others() {
    // Two results of a thousand bytes for each, and a little more than six altogether.
    let stage = bounded(Speaks::Legacy, Tasking { kept_each: 2400, kept_all: 7200, ..Tasking::default() }).await;
    let nth = &mut 0;
    let small = ended_by(&stage, nth, "small", 10).await;
    let mut held = Vec::new();
    for who in ["a", "b", "c"] {
        for _ in 0..2 {
            held.push((who, ended_by(&stage, nth, who, 1000).await));
        }
    }
    // Two more come, each with as much as the others: of each that holds more than they do the oldest is forgotten.
    for _ in 0..2 {
        for who in ["d", "e"] {
            held.push((who, ended_by(&stage, nth, who, 1000).await));
        }
    }
    let mut left = std::collections::BTreeMap::new();
    for (who, id) in &held {
        if let Some(status) = status_of(&stage, who, id).await {
            assert_eq!(status, "completed", "{who}");
            *left.entry(*who).or_insert(0) += 1;
        }
    }
    assert_eq!(left.values().sum::<usize>(), 6, "{left:?}");
    assert_eq!(left.len(), 5, "everybody has at least one: {left:?}");
    for (who, id) in held.iter().rev().take(2) {
        assert_eq!(status_of(&stage, who, id).await.as_deref(), Some("completed"), "the newest of {who}");
    }
    // One that holds as much as it may forgets its own, and what is too large for anybody costs nobody anything.
    let own = ended_by(&stage, nth, "e", 1000).await;
    assert_eq!(status_of(&stage, "e", &own).await.as_deref(), Some("completed"));
    let huge = ended_by(&stage, nth, "e", 2400).await;
    let task = stage.response(&about("get", &huge).principal("e")).await;
    assert_eq!(task["result"]["error"]["data"]["reason"], "limit", "{task}");
    assert_eq!(status_of(&stage, "e", &own).await.as_deref(), Some("completed"));
    // Who held less than an equal part of it all lost nothing to all this.
    assert_eq!(status_of(&stage, "small", &small).await.as_deref(), Some("completed"));
}

/// What is over of one that has many tasks is forgotten for the task of another.
#[tokio::test]
async fn whoever_has_the_most_tasks_makes_room_for_those_of_others() {
    let stage = bounded(Speaks::Legacy, Tasking { each: 3, all: 4, ..Tasking::default() }).await;
    let nth = &mut 0;
    let mut over = Vec::new();
    for _ in 0..3 {
        over.push(ended_by(&stage, nth, "alice", 10).await);
    }
    let first = begun_by(&stage, "bob").await;
    begun_by(&stage, "bob").await;
    assert_eq!(status_of(&stage, "alice", &over[0]).await, None);
    begun_by(&stage, "carol").await;
    assert_eq!(status_of(&stage, "alice", &over[1]).await, None);
    // She has her equal part and no more, and what runs is nobody's to end.
    let error = call("must").principal("dave").error(&stage.gateway, 200, -32603).await;
    let busy = json!({"source": "gateway", "reason": "busy", "retryable": true, "retryAfterMs": 1000});
    assert_eq!(error["data"], busy, "{error}");
    assert_eq!(status_of(&stage, "alice", &over[2]).await.as_deref(), Some("completed"));
    assert_eq!(status_of(&stage, "bob", &first).await.as_deref(), Some("working"));
    // Her own she may forget.
    begun_by(&stage, "alice").await;
    assert_eq!(status_of(&stage, "alice", &over[2]).await, None);
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

/// A client that fetches the results of its tasks, and never asks how far they are, has done with them all the same.
#[tokio::test]
async fn a_task_whose_result_was_fetched_makes_room() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let mut server = TaskServer::new(speaks);
        server.quiet = true;
        let tasking = Tasking { each: 2, ..Tasking::default() };
        let stage = Stage::with(server, Over::Http, tasking, Share::Principal, Arc::new(Sealer::random())).await;
        let client = stage.legacy().await;
        let name = if speaks == Speaks::Legacy { "must" } else { "task" };
        for n in 1..=4 {
            let id = created(&client, 10 * n, name, json!({"ttl": null})).await["taskId"].as_str().unwrap().to_owned();
            let raw = stage.server.task(usize::try_from(n).unwrap()).await;
            match n {
                3 => stage.server.end(&raw, "failed", json!({"error": {"code": -32000, "message": "no"}})),
                _ => stage.server.complete(&raw, "done"),
            }
            let answer = ask(&client, 10 * n + 1, "tasks/result", json!({"taskId": id})).await;
            assert_eq!(answer.get("error").is_some(), n == 3, "{answer}");
        }
        // The last two are known still.
        let answer = ask(&client, 100, "tasks/list", json!({})).await;
        let status: Vec<_> =
            answer["result"]["tasks"].as_array().unwrap().iter().map(|t| t["status"].clone()).collect();
        assert_eq!(status, ["failed", "completed"], "{answer}");
    }
}

/// Each wait for a result holds a place among the calls of its mount.
#[tokio::test]
async fn only_so_many_wait_for_one_task() {
    for (speaks, name) in [(Speaks::Legacy, "must"), (Speaks::Modern, "task"), (Speaks::Modern, "slow")] {
        let stage = bounded(speaks, Tasking::default()).await;
        let client = stage.legacy().await;
        let id = created(&client, 1, name, json!({})).await["taskId"].as_str().unwrap().to_owned();
        let waits: Vec<_> = (100..116).map(|n| waiting(&client, n, &id)).collect();
        let error = soon("a refusal", async {
            // Which of them come first is not ours to say.
            for n in 200.. {
                let asked = client.ask(n, "tasks/result", json!({"taskId": id}));
                if let Ok(reply) = tokio::time::timeout(std::time::Duration::from_millis(300), asked).await {
                    return whole(reply).await;
                }
            }
            unreachable!("it is refused, or this waits in vain")
        })
        .await;
        assert_eq!(error["error"]["data"]["reason"], "busy", "{name}: {error}");
        // A wait that is over makes room, and nobody who waited loses anything.
        if name == "slow" {
            stage.server.gate.send_replace(true);
        } else {
            stage.server.complete(&stage.server.task(1).await, "done");
        }
        let mut served = 0;
        for wait in waits {
            let answer = soon("an answer", async { whole(wait.await.unwrap()).await }).await;
            served += usize::from(answer.get("result").is_some());
        }
        assert!(served >= 15, "{name}: {served}");
        brought(waiting(&client, 99, &id), &id).await;
    }
}
