//! What every client must be able to do with every server.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Cell,
    client::{Ask, Client, MODERN},
    fidelity,
    process::{processes_with, status, until},
    questions, traffic,
};

const TOOLS: [&str; 11] =
    ["echo", "add", "fail", "slow", "counter", "executions", "ask", "unknown_fields", "recorded", "whoami", "touch"];
/// What a careless gateway would change.
const TEXT: &str = "first line\nsecond \"line\"\ttab \\ back, ünïcödé \u{1F600} \u{2028} end";

/// Runs the suite and gives what failed.
pub(super) async fn run(cell: &Cell) -> Vec<String> {
    let color = json!({ "color": "teal" });
    let client = match cell.step("b1", cell.connect(Some(color))).await {
        Ok(client) => client,
        Err(failed) => return vec![failed],
    };
    let c = &client;
    let steps = [
        cell.step("b1", async { greeting(cell, c) }).await,
        cell.step("b2", lists(cell, c)).await,
        cell.step("b3", calls(cell, c)).await,
        cell.step("b4", failing(c)).await,
        cell.step("b5", unknown(c)).await,
        cell.step("b6", contents(c)).await,
        cell.step("b7", completion(c)).await,
        cell.step("b8", missing(cell, c)).await,
        cell.step("b9", progress(cell, c)).await,
        cell.step("b10", parallel(c)).await,
        cell.step("headers", mirrored(cell, c)).await,
        cell.step("sessions", sessions(cell, c)).await,
        cell.step("cancelling", traffic::cancelling(cell, c)).await,
        cell.step("changes", traffic::changes(cell, c)).await,
        cell.step("updates", traffic::updates(cell, c)).await,
        cell.step("resuming", traffic::resuming(cell, c)).await,
        cell.step("questions", questions::run(cell, c)).await,
        cell.step("ERA-432_433", fidelity::run(cell, c)).await,
        cell.step("upstream", fidelity::upstream(cell, c)).await,
    ];
    let mut failed: Vec<String> = steps.into_iter().filter_map(Result::err).collect();
    failed.extend(cell.step("b11", leaving(cell, client)).await.err());
    failed
}

fn greeting(cell: &Cell, client: &Client) {
    let greeting = &client.greeting;
    if client.is_modern() {
        assert!(greeting["supportedVersions"].as_array().unwrap().contains(&json!(MODERN)), "{greeting}");
        let info = &greeting["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!(info["name"], "fixture", "{greeting}");
    } else {
        assert_eq!(greeting["protocolVersion"], cell.client, "{greeting}");
        assert_eq!(greeting["serverInfo"]["name"], "fixture", "{greeting}");
        assert_eq!(client.session().is_some(), cell.over.is_none() && !(cell.direct && cell.column.stateless));
    }
    assert_eq!(greeting["instructions"], "A server for tests. Do not take it seriously.", "{greeting}");
    for capability in ["tools", "prompts", "resources"] {
        assert!(greeting["capabilities"][capability].is_object(), "{greeting}");
    }
}

async fn lists(cell: &Cell, client: &Client) {
    let mut tools = TOOLS.to_vec();
    if cell.upstream() == MODERN {
        tools.push("weather");
    }
    let expected = [
        ("tools/list", "tools", tools),
        ("prompts/list", "prompts", vec!["greet"]),
        ("resources/list", "resources", vec!["text", "blob"]),
        ("resources/templates/list", "resourceTemplates", vec!["item"]),
    ];
    for (method, member, expected) in expected {
        let result = client.request(method, json!({})).await.result();
        let names: Vec<_> = result[member].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{method}");
        assert!(result.get("nextCursor").is_none(), "{method}: {result}");
    }
}

/// How often a tool was run.
pub(super) async fn executions(client: &Client, tool: &str) -> u64 {
    let said = client.call("executions", json!({})).await.said();
    let counts: Value = serde_json::from_str(&said).unwrap();
    counts[tool].as_u64().unwrap_or(0)
}

async fn calls(cell: &Cell, client: &Client) {
    let result = client.call("echo", json!({ "text": TEXT })).await.result();
    assert_eq!(result["content"], json!([{ "type": "text", "text": TEXT }]));
    let result = client.call("add", json!({ "a": 9_007_199_254_740_993_i64, "b": -2 })).await.result();
    assert_eq!(result["content"], json!([{ "type": "text", "text": r#"{"sum":9007199254740991}"# }]));
    if cell.client >= "2025-06-18" && cell.upstream() >= "2025-06-18" {
        assert_eq!(result["structuredContent"], json!({ "sum": 9_007_199_254_740_991_i64 }));
    }
    assert_eq!(executions(client, "echo").await, 1);
    assert_eq!(executions(client, "add").await, 1);
}

async fn failing(client: &Client) {
    let result = client.call("fail", json!({})).await.result();
    assert_eq!(result["isError"], true);
    assert_eq!(result["content"][0]["text"], "it failed, as it always does");
    assert_eq!(executions(client, "fail").await, 1);
}

async fn unknown(client: &Client) {
    let reply = client.call("no_such_tool", json!({})).await;
    assert_eq!(reply.error()["code"], -32602);
    assert_eq!(reply.error()["message"], "Unknown tool: no_such_tool");
    assert_eq!(reply.status, 200);
}

async fn contents(client: &Client) {
    let prompt =
        client.request("prompts/get", json!({ "name": "greet", "arguments": { "name": "Ada" } })).await.result();
    assert_eq!(prompt["description"], "A greeting.");
    assert_eq!(prompt["messages"][1]["content"], json!({ "type": "text", "text": "Hello, Ada!" }));
    assert_eq!(prompt["messages"][1]["role"], "assistant");
    let text = client.request("resources/read", json!({ "uri": "test://text" })).await.result();
    assert_eq!(text["contents"], json!([{ "uri": "test://text", "mimeType": "text/plain", "text": TEXT }]));
    let blob = client.request("resources/read", json!({ "uri": "test://blob" })).await.result();
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(blob["contents"][0]["blob"], STANDARD.encode(bytes));
    let item = client.request("resources/read", json!({ "uri": "test://item/12" })).await.result();
    assert_eq!(item["contents"][0]["text"], "item 12");
}

async fn completion(client: &Client) {
    let cases = [
        (json!({ "type": "ref/prompt", "name": "greet" }), "name", "A", json!(["Ada", "Alan"])),
        (json!({ "type": "ref/resource", "uri": "test://item/{id}" }), "id", "1", json!(["1", "10", "12"])),
    ];
    for (reference, name, value, expected) in cases {
        let params = json!({ "ref": reference, "argument": { "name": name, "value": value } });
        let result = client.request("completion/complete", params).await.result();
        assert_eq!(result["completion"]["values"], expected);
        assert_eq!(result["completion"]["hasMore"], false);
    }
}

async fn missing(cell: &Cell, client: &Client) {
    let error = client.request("resources/read", json!({ "uri": "test://nothing" })).await.error();
    let code = if client.is_modern() || cell.upstream() == MODERN { -32602 } else { -32002 };
    assert_eq!(error["code"], code, "{error}");
    assert_eq!(error["data"]["uri"], "test://nothing", "{error}");
}

async fn progress(cell: &Cell, client: &Client) {
    for token in [json!("tökén"), json!(7), json!("7")] {
        let reply = client.call_collecting("slow", json!({ "steps": 4, "ms": 20 }), &token).await;
        assert_eq!(reply.said(), "done after 4 steps");
        let steps = reply.progress(&token);
        assert!(steps.is_sorted() && steps.windows(2).all(|w| w[0] < w[1]), "{steps:?}");
        let all = reply.notifications.iter().filter(|n| n["method"] == "notifications/progress").count();
        assert_eq!(steps.len(), all, "progress for another token: {:?}", reply.notifications);
        assert_eq!(steps.is_empty(), cell.column.stateless, "{steps:?}");
    }
    assert_eq!(executions(client, "slow").await, 3);
}

async fn parallel(client: &Client) {
    let ask = |id: &str, steps: u64| {
        let params = json!({ "name": "slow", "arguments": { "steps": steps, "ms": 30 } }).to_string();
        client.ask(Ask { id: id.to_owned(), method: "tools/call", params, token: None, headers: &[] })
    };
    // Each answer is checked to have the very id of its request.
    let (number, text) = tokio::join!(ask("1", 3), ask(r#""1""#, 4));
    assert_eq!(number.said(), "done after 3 steps");
    assert_eq!(text.said(), "done after 4 steps");
}

/// Arguments that have to be headers too. The server refuses the call when they are not.
async fn mirrored(cell: &Cell, client: &Client) {
    if cell.upstream() != MODERN {
        return;
    }
    for (city, days) in [("Oslo", 3), ("Zürich, \"am See\" ", -1)] {
        let params = json!({ "name": "weather", "arguments": { "city": city, "days": days } }).to_string();
        // A legacy client knows nothing of these headers.
        let headers = [("mcp-param-city", city.to_owned()), ("mcp-param-days", days.to_string())];
        let headers = if client.is_modern() { &headers[..] } else { &[] };
        let reply = client.ask(Ask { id: client.id(), method: "tools/call", params, token: None, headers }).await;
        assert_eq!(reply.said(), format!("rain in {city} for {days} days"));
    }
    assert_eq!(executions(client, "weather").await, 2);
}

async fn sessions(cell: &Cell, client: &Client) {
    if !cell.has_sessions() {
        return;
    }
    assert_eq!(client.call("counter", json!({})).await.said(), "1");
    assert_eq!(client.call("counter", json!({})).await.said(), "2");
    let other = cell.connect(None).await;
    assert_eq!(other.call("counter", json!({})).await.said(), "1", "two clients share a session");
    other.close().await;
    assert_eq!(client.call("counter", json!({})).await.said(), "3");
}

/// What served this client is let go of when the client leaves. A client that starts its server itself waits for its end,
/// and that of everything behind it.
async fn leaving(cell: &Cell, client: Client) {
    let who: Value = serde_json::from_str(&client.call("whoami", json!({})).await.said()).unwrap();
    client.close().await;
    if cell.over.is_some() {
        assert_eq!(processes_with(&cell.tag), [] as [u32; 0]);
        if let Some(server) = &cell.server {
            assert_eq!(status(server).await["open"], json!([]));
        }
        return;
    }
    if !cell.has_sessions() {
        return;
    }
    match &cell.server {
        Some(server) => {
            until("the end of the session upstream", || async {
                status(server).await["closed"].as_array().unwrap().contains(&who["session"])
            })
            .await;
        }
        None => {
            let pid = who["pid"].as_u64().unwrap();
            until("the end of the child", || async { !processes_with(&cell.tag).iter().any(|p| u64::from(*p) == pid) })
                .await;
        }
    }
}
