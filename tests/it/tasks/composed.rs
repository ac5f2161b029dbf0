//! Tools that ask before they become a task (tasks extension, Multi Round-Trip Requests; 2025-11-25, where a server may ask in
//! the call that creates the task).

use super::*;

/// A modern client answers by calling again, and then has its task: at a modern server, and at a legacy one, whose call is
/// parked meanwhile.
#[tokio::test]
async fn a_modern_client_answers_before_there_is_a_task() {
    for (speaks, over) in [Speaks::Modern, Speaks::Legacy].into_iter().flat_map(|s| TRANSPORTS.map(|over| (s, over))) {
        let stage = Stage::of(speaks, over).await;
        let sent = call("first");
        let asked = stage.response(&sent).await;
        let result = &asked["result"];
        assert_eq!(result["resultType"], "input_required", "{asked}");
        assert!(result.get("taskId").is_none(), "{asked}");
        let (key, request) = result["inputRequests"].as_object().unwrap().iter().next().unwrap();
        assert_eq!(*request, form("first"));
        let made = stage.response(&sent.retry(&asked, json!({key: accept("Ada")}))).await;
        let made = &made["result"];
        assert_eq!((&made["resultType"], &made["status"]), (&json!("task"), &json!("working")), "{made}");
        assert!(made.get("requestState").is_none() && made.get("inputRequests").is_none(), "{made}");
        let id = made["taskId"].as_str().unwrap();
        assert_task(made, id);
        stage.server.complete(&stage.server.task(1).await, "hello Ada");
        assert_eq!(stage.until(id, "completed").await["result"]["content"], said("hello Ada")["content"]);
        assert_eq!(stage.server.calls("first"), if speaks == Speaks::Modern { 2 } else { 1 });
    }
}

/// A client of 2025-11-25 is asked before a legacy server's task exists; at a modern server the call is a task of the gateway
/// first, which asks whoever waits.
#[tokio::test]
async fn a_legacy_client_is_asked_before_there_is_a_task() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Legacy, over).await;
        let client = stage.legacy().await;
        let running = client.start(1, "tools/call", json!({"name": "first", "arguments": {}, "task": {}}));
        let mut events = soon("a stream", running).await.unwrap().events();
        let question = soon("a question", events.expect()).await;
        assert_eq!(question["params"]["message"], "first");
        client.answer(&question, accept("Ada")).await;
        let made = soon("a task", events.expect()).await;
        assert_valid(NEWEST, "CreateTaskResult", &made["result"]);
        let id = made["result"]["task"]["taskId"].as_str().unwrap();
        stage.server.complete(&stage.server.task(1).await, "hello Ada");
        assert_eq!(brought(waiting(&client, 2, id), id).await["content"], said("hello Ada")["content"]);

        let stage = Stage::of(Speaks::Modern, over).await;
        let client = stage.legacy().await;
        let id = created(&client, 1, "first", json!({})).await["taskId"].as_str().unwrap().to_owned();
        let mut events = soon("a stream", waiting(&client, 2, &id)).await.unwrap().events();
        let question = soon("a question", events.expect()).await;
        assert_eq!(question["params"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], id);
        client.answer(&question, accept("Ada")).await;
        stage.server.complete(&stage.server.task(1).await, "hello Ada");
        let result = soon("a result", events.expect()).await;
        assert_eq!(result["result"]["content"], said("hello Ada")["content"], "{result}");
        assert_eq!(shown(&client, 3, &id).await["status"], "completed");
        assert_eq!(stage.server.calls("first"), 2);
    }
}

/// A client that knows no tasks: everything happens in its call.
#[tokio::test]
async fn era_469_an_old_client_is_asked_before_there_is_a_task() {
    for (speaks, over) in [Speaks::Modern, Speaks::Legacy].into_iter().flat_map(|s| TRANSPORTS.map(|over| (s, over))) {
        let stage = Stage::of(speaks, over).await;
        let client = stage.legacy_of("2025-06-18", "alice").await;
        let mut events = soon("a stream", client.call(7, "first")).await.unwrap().events();
        let question = soon("a question", events.expect()).await;
        client.answer(&question, accept("Ada")).await;
        stage.server.complete(&stage.server.task(1).await, "hello Ada");
        let answer = soon("a result", events.expect()).await;
        assert_eq!(answer["result"]["content"], said("hello Ada")["content"], "{answer}");
    }
}
