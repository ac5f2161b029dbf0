//! Clients and servers of the same era: what is put on, taken off and withheld between them.

use rialto::upstream::lines::LineSettings;

use super::*;
use crate::lines::{Server, played};

/// Plays a modern server on a pipe with one tool, until a call comes.
async fn until_called(server: &mut Server, tools: &Value) -> Value {
    loop {
        let message = server.next().await;
        match message["method"].as_str() {
            Some("tools/list") => {
                let list = json!({"resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": "private"});
                server.result(&message, list).await;
            }
            _ => return message,
        }
    }
}

#[tokio::test]
async fn era_278_471_headers_of_a_client_over_http_stay_on_its_hop() {
    let weather = json!([{"name": "weather", "inputSchema": {"type": "object", "properties": {
        "city": {"type": "string", "x-mcp-header": "City"}}}}]);
    let (connector, mut started) = played(LineSettings::default());
    let gateway = gateway(connector).await;
    let tools = weather.clone();
    let serving = tokio::spawn(async move {
        let mut server = soon("a server", started.recv()).await.unwrap();
        server.modern().await;
        let call = until_called(&mut server, &tools).await;
        server.result(&call, json!({"resultType": "complete", "content": [{"type": "text", "text": "rain"}]})).await;
        call
    });
    let call = tool("weather", json!({"city": "Paris"})).token(7);
    // It was listed with the annotation, so it holds although the pipe has no headers.
    call.error(&gateway, 400, -32020).await;
    call.clone().header("mcp-param-city", "Rome").error(&gateway, 400, -32020).await;
    let response = call.clone().header("mcp-param-city", "Paris").response(&gateway, 200).await;
    assert_eq!(said(&response), "rain");
    let got = serving.await.unwrap();
    assert_eq!(got["method"], "tools/call");
    assert_eq!((&got["params"]["name"], &got["params"]["arguments"]), (&json!("weather"), &json!({"city": "Paris"})));
    let meta = &got["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], MODERN);
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "client");
    assert_ne!(meta["progressToken"], 7);
    assert_eq!(got.as_object().unwrap().len(), 4, "nothing but a JSON-RPC request: {got}");
}

#[tokio::test]
async fn era_279_a_client_of_the_first_revision_is_never_asked_for_a_form() {
    let server = Old::start(Like::default(), |call: Arrived| async move {
        text(&call.ask("elicitation/create", form("?")).await["error"]["code"])
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    // Whatever it says: its revision has no words for it.
    let client = legacy(&gateway, "2024-11-05", json!({"elicitation": {}, "sampling": {}})).await;
    let reply = client.call(1, "t").await.unwrap();
    let talk = converse(&client, reply, |question| panic!("asked {question}")).await;
    assert_eq!(said(&talk.response), "-32602");
    let hellos: Vec<_> = server.scripted.seen().into_iter().filter(|s| s.method() == "initialize").collect();
    let params = &hellos.last().unwrap().body["params"];
    assert_eq!((&params["protocolVersion"], &params["capabilities"]), (&json!("2024-11-05"), &json!({"sampling": {}})));
}

#[tokio::test]
async fn era_280_a_server_of_the_first_revision_serves_the_newest_legacy_client() {
    let like = Like { revision: "2024-11-05", capabilities: json!({"tools": {}, "resources": {}}), ..Like::default() };
    let server = Old::start(like, |call: Arrived| async move {
        match call.seen.method() {
            "resources/read" => Ok(json!({"contents": [{"uri": "a:b", "text": "x"}]})),
            _ => text("ran"),
        }
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    let mut client = Client::new(gateway.url("docs"));
    let declared = json!({"roots": {}, "sampling": {"tools": {}}, "elicitation": {"form": {}}, "tasks": {"list": {}}});
    let greeting = client.open(LEGACY, declared).await;
    assert_eq!(greeting["result"]["protocolVersion"], LEGACY);
    assert!(greeting["result"]["capabilities"]["completions"].is_object(), "it had no flag for them");
    let ran = client.ask(1, "tools/call", json!({"name": "t", "arguments": {}})).await.json();
    assert_eq!(ran["result"], text("ran").unwrap());
    let read = client.ask(2, "resources/read", json!({"uri": "a:b"})).await.json();
    assert_eq!(read["result"]["contents"][0]["text"], "x");
    let call = &server.calls()[0];
    assert_eq!(call.header("mcp-protocol-version"), None, "that revision knows no such header");
    for hello in server.scripted.seen().iter().filter(|s| s.method() == "initialize") {
        assert!(hello.body["params"]["capabilities"].get("tasks").is_none(), "{:?}", hello.body);
    }
}

#[tokio::test]
async fn era_281_questions_between_legacy_revisions_ride_the_stream_of_their_call() {
    let server = Old::start(Like::default(), |call: Arrived| async move {
        let form = call.ask("elicitation/create", form("Who?")).await;
        let messages = json!([{"role": "user", "content": {"type": "text", "text": "hi"}}]);
        let sampled = call.ask("sampling/createMessage", json!({"messages": messages, "maxTokens": 9})).await;
        text(json!([form["result"], sampled["result"]["content"]]))
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    let client = legacy(&gateway, "2025-06-18", json!({"elicitation": {}, "sampling": {}})).await;
    let reply = client.call(1, "t").await.unwrap();
    let talk = converse(&client, reply, |question| {
        Ok(match question["method"].as_str().unwrap() {
            "elicitation/create" => accept(json!({"name": "Ada"})),
            _ => json!({"role": "assistant", "content": {"type": "text", "text": "hello"}, "model": "m"}),
        })
    })
    .await;
    let expected = json!([accept(json!({"name": "Ada"})), {"type": "text", "text": "hello"}]);
    assert_eq!(said(&talk.response), expected.to_string());
    let [form, sampling] = &talk.questions[..] else { panic!("{:?}", talk.questions) };
    assert!(form["params"].get("mode").is_none(), "the client's revision has no modes: {form}");
    assert_eq!(sampling["params"]["maxTokens"], 9);
    // Its ids are the gateway's, and the answers reach the server under its own.
    let answered: Vec<_> =
        server.scripted.seen().into_iter().filter(|s| s.method().is_empty() && s.verb == "POST").collect();
    let ids: Vec<_> = answered.iter().map(|s| s.body["id"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| id.starts_with("q-")), "{ids:?}");
    assert!(talk.questions.iter().all(|q| !ids.contains(&q["id"].as_str().unwrap())));
}
