//! Clients that know no tasks, in front of servers whose tools are some.

use super::*;

#[tokio::test]
async fn era_346_347_the_gateway_sees_a_task_through() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Legacy, over).await;
        // A modern client without the extension.
        let sent = tool("must", json!({})).answering();
        let (response, ()) = tokio::join!(stage.response(&sent), async {
            stage.server.complete(&stage.server.task(1).await, "done");
        });
        assert_eq!(response["result"]["resultType"], "complete");
        assert_eq!(response["result"]["content"], said("done")["content"]);
        assert!(!response.to_string().contains("related-task"));

        // Clients of the handshake: an old one, and a new one that did not ask for a task.
        for (n, revision) in [(2, "2025-06-18"), (3, "2025-03-26"), (4, NEWEST)] {
            let client = stage.legacy_of(revision, "alice").await;
            let running = client.call(7, "must");
            stage.server.complete(&stage.server.task(n).await, "done");
            let answer = soon("a plain result", async { whole(running.await.unwrap()).await }).await;
            assert_valid(revision, "CallToolResult", &answer["result"]);
            assert_eq!(answer["result"]["content"], said("done")["content"], "{revision}");
            assert!(!answer.to_string().contains("related-task"), "{answer}");
        }
        assert_eq!(stage.server.calls("must"), 4);
    }
}

#[tokio::test]
async fn era_346_questions_of_a_driven_task_reach_its_client() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Legacy, over).await;
        let sent = tool("must", json!({})).answering();
        let (asked, raw) = tokio::join!(stage.response(&sent), async {
            let raw = stage.server.task(1).await;
            stage.server.ask(&raw, "x", form("who are you"));
            raw
        });
        let requests = &asked["result"]["inputRequests"];
        let (key, request) = requests.as_object().unwrap().iter().next().unwrap();
        assert_eq!(*request, form("who are you"));
        let retry = sent.retry(&asked, json!({key: accept("Ada")}));
        let (answer, ()) = tokio::join!(stage.response(&retry), async {
            assert_eq!(stage.server.answer(&raw, "x").await["content"], json!({"name": "Ada"}));
            stage.server.complete(&raw, "hello Ada");
        });
        assert_eq!(answer["result"]["content"], said("hello Ada")["content"]);
    }
    // A legacy client is asked on the stream of its call.
    let stage = Stage::of(Speaks::Legacy, Over::Lines).await;
    let client = stage.legacy_of("2025-06-18", "alice").await;
    let running = client.call(7, "must");
    let raw = stage.server.task(1).await;
    stage.server.ask(&raw, "x", form("who are you"));
    let mut events = soon("a stream", running).await.unwrap().events();
    let question = soon("a question", events.expect()).await;
    assert!(!question.to_string().contains("related-task"), "{question}");
    client.answer(&question, accept("Ada")).await;
    stage.server.answer(&raw, "x").await;
    stage.server.complete(&raw, "hello");
    assert_eq!(soon("a result", events.expect()).await["result"]["content"], said("hello")["content"]);
}

#[tokio::test]
async fn a_driven_task_is_cancelled_with_its_call() {
    let stage = Stage::of(Speaks::Legacy, Over::Http).await;
    let sent = tool("must", json!({}));
    // The connection is closed with the future that holds it.
    let raw = tokio::select! {
        _ = sent.open(&stage.gateway) => panic!("it was answered"),
        raw = async {
            stage.server.arrived("tasks/result", 1).await;
            stage.server.task(1).await
        } => raw,
    };
    let cancel = stage.server.arrived("tasks/cancel", 1).await;
    assert_eq!(cancel["params"]["taskId"], *raw);
    assert_eq!(stage.server.status(&raw), "cancelled");
}

#[tokio::test]
async fn era_448_a_call_that_becomes_a_task_is_never_cancelled_as_a_call() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Legacy, over).await;
        let client = stage.legacy().await;
        let running = client.start(7, "tools/call", json!({"name": "late", "arguments": {}, "task": {}}));
        stage.server.arrived("tools/call", 1).await;
        client.tell("notifications/cancelled", json!({"requestId": 7})).await;
        running.await.unwrap();
        stage.server.gate.send_replace(true);
        let raw = stage.server.task(1).await;
        assert_eq!(stage.server.arrived("tasks/cancel", 1).await["params"]["taskId"], *raw);
        assert_eq!(stage.server.seen("notifications/cancelled").len(), 0);
        let answer = ask(&client, 8, "tasks/list", json!({})).await;
        assert_eq!(answer["result"]["tasks"], json!([]));
    }
}

#[tokio::test]
async fn era_449_a_task_that_nobody_asked_for_is_seen_through() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Modern, over).await;
        let sent = tool("rogue", json!({}));
        let (response, ()) = tokio::join!(stage.response(&sent), async {
            stage.server.complete(&stage.server.task(1).await, "done");
        });
        assert_eq!(response["result"]["content"], said("done")["content"]);
        assert_eq!(response["result"]["resultType"], "complete");
        assert_eq!(stage.server.calls("rogue"), 1);
    }
}

#[tokio::test]
async fn era_468_a_modern_client_hears_what_it_lacks_unless_the_gateway_drives() {
    let stage = Stage::of(Speaks::Modern, Over::Http).await;
    let error = tool("task", json!({})).error(&stage.gateway, 400, -32021).await;
    assert_eq!(error["data"]["requiredCapabilities"], json!({"extensions": {EXTENSION: {}}}));
    assert_eq!(stage.server.calls("task"), 1);

    let tasking = Tasking { drive_for_modern: true, ..Tasking::default() };
    let (server, sealer) = (TaskServer::new(Speaks::Modern), Arc::new(Sealer::random()));
    let stage = Stage::with(server, Over::Http, tasking, Share::Principal, sealer).await;
    let sent = tool("task", json!({})).answering();
    let (asked, raw) = tokio::join!(stage.response(&sent), async {
        let raw = stage.server.task(1).await;
        stage.server.ask(&raw, "x", form("who are you"));
        raw
    });
    let request = asked["result"]["inputRequests"]["x"].clone();
    assert_eq!(request, form("who are you"), "{asked}");
    let retry = sent.retry(&asked, json!({"x": accept("Ada")}));
    let (answer, ()) = tokio::join!(stage.response(&retry), async {
        assert_eq!(stage.server.answer(&raw, "x").await, accept("Ada"));
        stage.server.complete(&raw, "hello");
    });
    assert_eq!(answer["result"]["content"], said("hello")["content"]);
    let caps = |n: usize| {
        let meta = &stage.server.seen("tools/call")[n]["params"]["_meta"];
        meta["io.modelcontextprotocol/clientCapabilities"]["extensions"].clone()
    };
    assert_eq!((caps(0), caps(1)), (Value::Null, json!({EXTENSION: {}})));
}

#[tokio::test]
async fn era_469_an_old_client_uses_a_tool_of_a_modern_server_that_needs_tasks() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Modern, over).await;
        for (n, revision) in [(1, "2025-06-18"), (2, NEWEST)] {
            let client = stage.legacy_of(revision, "alice").await;
            let running = client.call(7, "task");
            let raw = stage.server.task(n).await;
            stage.server.ask(&raw, "x", form("who are you"));
            let mut events = soon("a stream", running).await.unwrap().events();
            let question = soon("a question", events.expect()).await;
            client.answer(&question, accept("Ada")).await;
            assert_eq!(stage.server.answer(&raw, "x").await, accept("Ada"));
            stage.server.complete(&raw, "done");
            let answer = soon("a result", events.expect()).await;
            assert_valid(revision, "CallToolResult", &answer["result"]);
            assert_eq!(answer["result"]["content"], said("done")["content"]);
            // Refused once, without anything being run, and run once.
            assert_eq!(stage.server.calls("task"), 2 * n);
        }
    }
}
