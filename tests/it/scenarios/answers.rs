//! A legacy client in front of a modern server that answers with questions.

use super::*;

const TOOL: &str = "t";

/// An `input_required` with these questions and this state.
pub(super) fn needs(seen: &Seen, requests: Value, state: Value) -> Reply {
    let mut result = json!({"resultType": "input_required"});
    for (name, value) in [("inputRequests", requests), ("requestState", state)] {
        if !value.is_null() {
            result[name] = value;
        }
    }
    Reply::json(200, &seen.result(result))
}

pub(super) fn ask(method: &str, params: Value) -> Value {
    let mut request = json!({"method": method});
    if !params.is_null() {
        request["params"] = params;
    }
    request
}

fn elicits() -> Value {
    json!({"form": ask("elicitation/create", form("Who?"))})
}

/// A server that does this with everything but lists.
pub(super) async fn server<F>(call: impl Fn(Seen) -> F + Clone + Send + Sync + 'static) -> Scripted
where
    F: Future<Output = Reply> + Send + 'static,
{
    new(json!({"tools": {}, "prompts": {}, "resources": {}, "logging": {}}), move |seen| {
        let call = call.clone();
        async move {
            match seen.method() {
                "tools/list" => listed(&seen, &json!([plain(TOOL)])),
                _ => call(seen).await,
            }
        }
    })
    .await
}

pub(super) fn legs(server: &Scripted) -> Vec<Value> {
    let legs = server
        .seen()
        .into_iter()
        .filter(|seen| matches!(seen.method(), "tools/call" | "prompts/get" | "resources/read"));
    legs.map(|seen| seen.body["params"].clone()).collect()
}

async fn call(client: &Client, id: u64) -> Heard {
    client.ask(id, "tools/call", json!({"name": TOOL, "arguments": {"a": 1.0}})).await
}

#[tokio::test]
async fn era_252_253_rounds_without_questions_and_without_state() {
    let server = server(|seen| async move {
        let params = &seen.body["params"];
        match (params["requestState"].as_str(), params.get("inputResponses")) {
            (None, None) => needs(&seen, Value::Null, json!("one")),
            (Some("one"), None) => needs(&seen, Value::Null, json!("two")),
            (Some("two"), None) => needs(&seen, elicits(), Value::Null),
            (None, Some(answers)) => says(&seen, &answers.to_string()),
            odd => panic!("{odd:?}"),
        }
    })
    .await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, able()).await;
    let reply = call(&client, 1).await;
    let talk = converse(&client, reply, |_| Ok(json!({"action": "decline"}))).await;
    assert_eq!(said(&talk.response), json!({"form": {"action": "decline"}}).to_string());
    let seen: Vec<_> = server.seen().into_iter().filter(|seen| seen.method() == "tools/call").collect();
    let pauses: Vec<_> = seen.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(pauses[0] >= Duration::from_millis(250) && pauses[1] >= Duration::from_millis(500), "{pauses:?}");
    let ids: std::collections::HashSet<_> = seen.iter().map(|seen| seen.body["id"].to_string()).collect();
    assert_eq!(ids.len(), 4, "each attempt has an id of its own");
    assert!(seen.iter().all(|seen| seen.text.contains(r#""arguments":{"a":1.0}"#)));
}

#[tokio::test]
async fn era_254_a_server_that_asks_and_asks_is_given_up() {
    let server =
        server(|seen| async move { needs(&seen, json!({"r": ask("roots/list", Value::Null)}), json!("s")) }).await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, able()).await;
    let reply = call(&client, 1).await;
    let talk = converse(&client, reply, |_| Ok(json!({"roots": []}))).await;
    assert_eq!(talk.response["result"]["isError"], true, "{}", talk.response);
    // The last of them is not put to anybody: its answer could not be passed on.
    assert_eq!((talk.questions.len(), legs(&server).len()), (10, 11));
    let reply = client.ask(2, "prompts/get", json!({"name": "p"})).await;
    let talk = converse(&client, reply, |_| Ok(json!({"roots": []}))).await;
    let error = &talk.response["error"];
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32603), &json!("input_rounds_exceeded")));
}

#[tokio::test]
async fn era_256_questions_that_a_client_answers_with_an_error() {
    let server = server(|seen| async move {
        let params = &seen.body["params"];
        if let Some(answers) = params.get("inputResponses") {
            return says(&seen, &answers.to_string());
        }
        let asks = match params["arguments"]["asks"].as_str() {
            Some("elicitation") => elicits(),
            Some("sampling") => json!({"s": ask("sampling/createMessage", json!({"messages": [], "maxTokens": 1}))}),
            _ => json!({"r": ask("roots/list", Value::Null)}),
        };
        needs(&seen, asks, json!("s"))
    })
    .await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, able()).await;
    let told = async |id: u64, asks: &str, code: i64| {
        let reply = client.ask(id, "tools/call", json!({"name": TOOL, "arguments": {"asks": asks}})).await;
        converse(&client, reply, |_| Err(json!({"code": code, "message": "the person said no"}))).await.response
    };
    // A form can be cancelled.
    assert_eq!(said(&told(1, "elicitation", -32000).await), json!({"form": {"action": "cancel"}}).to_string());
    for (id, asks, code) in [(2, "sampling", -1), (3, "roots", -32601)] {
        let before = legs(&server).len();
        let response = told(id, asks, code).await;
        assert_eq!(response["result"]["isError"], true, "{response}");
        let text = said(&response);
        assert!(text.contains("the person said no") && text.contains(asks), "{text}");
        assert_eq!(legs(&server).len(), before + 1, "the server keeps nothing that had to be ended");
    }
    // Where there is no failed result, it is an error with its cause.
    let reply = client.ask(4, "resources/read", json!({"uri": "a:b"})).await;
    let response = converse(&client, reply, |_| Err(json!({"code": -32601, "message": "no roots"}))).await.response;
    assert_eq!(response["error"]["code"], -32603);
    assert_eq!(response["error"]["data"]["cause"]["code"], -32601, "{response}");
    assert_eq!(response["error"]["data"]["reason"], "policy", "{response}");
}

/// A server that wants a form where the client declared that it takes one, and otherwise says that it lacks that.
async fn particular() -> Scripted {
    server(|seen| async move {
        let params = &seen.body["params"];
        let declared = &params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        match (params["arguments"]["insists"] == true, declared.get("elicitation")) {
            (_, Some(_)) | (true, None) => needs(&seen, elicits(), json!("s")),
            (false, None) if params["arguments"]["needs"] == true => {
                let mut error = seen.error(-32021, "Missing required client capability");
                error["error"]["data"] = json!({"requiredCapabilities": {"elicitation": {"form": {}}}});
                Reply::json(400, &error)
            }
            _ => says(&seen, "did without"),
        }
    })
    .await
}

#[tokio::test]
async fn era_260_261_264_what_cannot_be_asked_is_not_asked() {
    let server = particular().await;
    let gateway = gateway_at(&server).await;
    let missing = json!({"elicitation": {"form": {}}});
    for revision in ["2025-03-26", "2025-06-18", LEGACY] {
        let client = legacy(&gateway, revision, json!({})).await;
        let called = async |client: &Client, arguments: Value| {
            let reply = client.ask(1, "tools/call", json!({"name": TOOL, "arguments": arguments})).await;
            converse(client, reply, |question| panic!("asked {question}")).await.response
        };
        let error = called(&client, json!({"needs": true})).await["error"].clone();
        assert_eq!((&error["code"], &error["data"]["requiredCapabilities"]), (&json!(-32021), &missing), "{revision}");
        assert_eq!(error["message"], "Missing required client capability", "{revision}");
        // A server that asks all the same gets no answer, and the client no question.
        let response = called(&client, json!({"insists": true})).await;
        assert_eq!(response["result"]["isError"], true, "{response}");
        assert!(said(&response).contains("elicitation/create"), "{response}");

        // A client that takes no stream can be asked nothing, whatever it declared.
        if revision >= "2025-06-18" {
            let able = legacy(&gateway, revision, json!({"elicitation": {}})).await;
            let mute = able.accepting("application/json");
            assert_eq!(said(&called(&mute, json!({})).await), "did without", "{revision}");
            let error = called(&mute, json!({"needs": true})).await["error"].clone();
            assert_eq!((&error["code"], &error["data"]["requiredCapabilities"]), (&json!(-32021), &missing));
            assert!(error["message"].as_str().unwrap().contains("text/event-stream"), "{error}");
            // Of what it never declared it hears the server's own words.
            let poor = legacy(&gateway, revision, json!({"roots": {}})).await.accepting("application/json");
            let error = called(&poor, json!({"needs": true})).await["error"].clone();
            assert_eq!(error["message"], "Missing required client capability");
        }
    }
}

#[tokio::test]
async fn era_264_a_legacy_server_does_without_as_well() {
    let server = Old::start(Like::default(), |call: Arrived| async move {
        text(call.ask("elicitation/create", form("?")).await["error"]["code"].clone())
    })
    .await;
    let gateway = gateway_at(&server.scripted).await;
    let mut client = Client::new(gateway.url("docs")).accepting("application/json");
    client.open(LEGACY, json!({"elicitation": {"form": {}}, "experimental": {"x": {}}})).await;
    client.tell("notifications/initialized", json!({})).await;
    assert_eq!(said(&client.call(1, "t").await.unwrap().json()), "-32602");
    let hellos: Vec<_> = server.scripted.seen().into_iter().filter(|seen| seen.method() == "initialize").collect();
    assert_eq!(hellos.len(), 1);
    assert_eq!(hellos[0].body["params"]["capabilities"], json!({"experimental": {"x": {}}}));
    // With a stream for what belongs to no call there is a way to ask.
    let _stream = client.get(None).await.events();
    let mut server_says = client.call(2, "t");
    let early = tokio::time::timeout(Duration::from_millis(300), &mut server_says).await;
    assert!(early.is_err(), "it waits for an answer");
}

#[tokio::test]
async fn era_267_271_prompts_resources_and_failing_tools_ask_alike() {
    let server = server(|seen| async move {
        let params = &seen.body["params"];
        let Some(answers) = params.get("inputResponses") else { return needs(&seen, elicits(), json!("s")) };
        assert_eq!(params["requestState"], "s");
        let name = &answers["form"]["content"]["name"];
        let result = match seen.method() {
            "prompts/get" => json!({"messages": [{"role": "user", "content": {"type": "text", "text": name}}]}),
            "resources/read" => {
                json!({"contents": [{"uri": params["uri"], "text": name}], "ttlMs": 0, "cacheScope": "private"})
            }
            _ => json!({"content": [{"type": "text", "text": name}], "isError": true}),
        };
        let mut result = result;
        result["resultType"] = json!("complete");
        Reply::json(200, &seen.result(result))
    })
    .await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, able()).await;
    for (id, method, params, found) in [
        (1, "prompts/get", json!({"name": "p"}), "/messages/0/content/text"),
        (2, "resources/read", json!({"uri": "a:b"}), "/contents/0/text"),
        (3, "tools/call", json!({"name": TOOL, "arguments": {}}), "/content/0/text"),
    ] {
        let reply = client.ask(id, method, params).await;
        let talk = converse(&client, reply, |_| Ok(accept(json!({"name": "Ada"})))).await;
        assert_eq!(talk.response["result"].pointer(found), Some(&json!("Ada")), "{}", talk.response);
        assert_eq!(talk.questions.len(), 1);
        assert_eq!(talk.response["result"].get("isError"), (method == "tools/call").then_some(&json!(true)));
    }
}

#[tokio::test]
async fn era_269_316_progress_and_logs_are_relayed_through_all_rounds_under_one_token() {
    let server = server(|seen| async move {
        let params = &seen.body["params"];
        let round = params["requestState"].as_str().map_or(0, |state| state.parse().unwrap());
        let meta = &params["_meta"];
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": meta["progressToken"], "progress": round + 1}});
        let log = json!({"jsonrpc": "2.0", "method": "notifications/message",
            "params": {"level": "info", "data": meta["io.modelcontextprotocol/logLevel"]}});
        let result = match round {
            2 => json!({"resultType": "complete", "content": []}),
            _ => json!({"resultType": "input_required", "inputRequests": elicits(), "requestState": (round + 1).to_string()}),
        };
        Reply::messages(&[progress, log, seen.result(result)])
    })
    .await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, able()).await;
    let params = json!({"name": TOOL, "arguments": {}, "_meta": {"progressToken": 7}});
    let reply = client.ask(1, "tools/call", params).await;
    let talk = converse(&client, reply, |_| Ok(json!({"action": "decline"}))).await;
    assert_eq!(talk.questions.len(), 2);
    let of = |method: &str| talk.notifications.iter().filter(|n| n["method"] == method).collect::<Vec<_>>();
    let progress: Vec<_> = of("notifications/progress").iter().map(|n| n["params"].clone()).collect();
    let expected: Vec<_> = (1..=3).map(|n| json!({"progressToken": 7, "progress": n})).collect();
    assert_eq!(progress, expected);
    // A client that never chose a level hears what a legacy server would tell it.
    assert!(of("notifications/message").iter().all(|n| n["params"]["data"] == "info"));
    assert_eq!(of("notifications/message").len(), 3);
    let tokens: std::collections::HashSet<_> =
        legs(&server).iter().map(|params| params["_meta"]["progressToken"].to_string()).collect();
    assert_eq!(tokens.len(), 3, "each attempt has a token of its own at the server");
}
