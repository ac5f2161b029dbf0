//! Clients on one connection: the same tasks, in the words of their era.

use rialto::downstream::Endpoint;

use super::*;
use crate::piped::kit::{self, Pipe, done, request, text_of};

fn endpoint(server: &Arc<TaskServer>) -> Arc<Endpoint> {
    let sealer = Arc::new(Sealer::random());
    let single = Single::new("docs", Arc::new(server.over_lines()), Share::Principal, sealer.clone());
    Endpoint::new(Arc::new(Limit::new(Gather::new(single, 10))), Settings { sealer, ..Settings::default() })
}

/// Sends a request whose answer is checked here.
async fn asked(client: &mut Pipe, message: Value, definition: &str) -> Value {
    client.text(&message.to_string()).await;
    let answer = client.answer(&message["id"]).await;
    if !definition.is_empty() {
        assert_valid(NEWEST, definition, &answer["result"]);
    }
    answer
}

#[tokio::test]
async fn a_task_of_2025_11_25_asks_and_ends_over_a_pipe() {
    let server = Arc::new(TaskServer::new(Speaks::Legacy));
    let (mut client, serving) = Pipe::at_endpoint(&endpoint(&server));
    client.handshake(NEWEST).await;
    let call = request(1, "tools/call", json!({"name": "must", "arguments": {}, "task": {}}));
    let created = asked(&mut client, call, "CreateTaskResult").await;
    let id = created["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    let raw = server.task(1).await;
    client.text(&request(2, "tasks/result", json!({"taskId": id})).to_string()).await;
    server.arrived("tasks/result", 1).await;
    server.ask(&raw, "x", form("who are you"));
    let question = client.said("elicitation/create").await;
    assert_eq!(question["params"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], *id);
    let shown = asked(&mut client, request(3, "tasks/get", json!({"taskId": id})), "GetTaskResult").await;
    assert_eq!(shown["result"]["status"], "input_required");
    client.reply(&question, accept("Ada")).await;
    server.answer(&raw, "x").await;
    server.complete(&raw, "hello Ada");
    assert_eq!(text_of(&client.answer(&json!(2)).await), "hello Ada");
    client.close().await;
    done(serving).await;
}

#[tokio::test]
async fn a_task_of_2026_07_28_is_made_and_looked_at_over_a_pipe() {
    let server = Arc::new(TaskServer::new(Speaks::Modern));
    let (mut client, serving) = Pipe::at_endpoint(&endpoint(&server));
    let able = |id: i64, method: &str, params: Value| {
        let mut message = kit::modern(id, method, params);
        message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = able();
        message
    };
    let created = asked(&mut client, able(1, "tools/call", json!({"name": "task", "arguments": {}})), "").await;
    assert_eq!(created["result"]["resultType"], "task", "{created}");
    let id = created["result"]["taskId"].as_str().unwrap().to_owned();
    assert_task(&created["result"], &id);
    let raw = server.task(1).await;
    server.complete(&raw, "done");
    let shown = asked(&mut client, able(2, "tasks/get", json!({"taskId": id})), "").await;
    assert_task(&shown["result"], &id);
    assert_eq!((&shown["result"]["status"], &shown["result"]["result"]), (&json!("completed"), &said("done")));
    client.close().await;
    done(serving).await;
}
