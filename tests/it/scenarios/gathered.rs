//! How the questions of a modern server reach a legacy client, and how its answers go back (2026-07-28,
//! basic/patterns/mrtr).

use super::{
    answers::{ask, legs, needs, server},
    *,
};

/// A server that asks this in the first round, and says what it was answered.
async fn asking(requests: Value) -> Scripted {
    server(move |seen| {
        let requests = requests.clone();
        async move {
            match seen.body["params"].get("inputResponses") {
                Some(answers) => says(&seen, &answers.to_string()),
                None => needs(&seen, requests, json!("s")),
            }
        }
    })
    .await
}

async fn call(client: &Client) -> Heard {
    client.ask(1, "tools/call", json!({"name": "t", "arguments": {}})).await
}

fn sampled(text: &str) -> Value {
    json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": text}})
}

#[tokio::test]
async fn era_246_250_255_questions_of_one_round_are_asked_at_once_and_answered_in_one_retry() {
    let requests = json!({
        "f": ask("elicitation/create", form("Who?")),
        "s": ask("sampling/createMessage", json!({"messages": [], "maxTokens": 1})),
        "r": ask("roots/list", Value::Null),
    });
    let server = asking(requests).await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, able()).await;
    let Body::Events(mut events) = call(&client).await.body else { panic!("a stream") };
    let mut questions = Vec::new();
    for _ in 0..3 {
        questions.push(soon("a question", events.message()).await.unwrap());
    }
    let ids: std::collections::HashSet<_> = questions.iter().map(|q| q["id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(legs(&server).len(), 1, "nothing is sent before everything is answered");
    for question in questions.iter().rev() {
        let answer = match question["method"].as_str().unwrap() {
            "elicitation/create" => json!({"action": "decline", "_meta": {"own": 1}}),
            "roots/list" => json!({"roots": []}),
            _ => sampled("yes"),
        };
        client.answer(question, answer).await;
    }
    let response = soon("the response", events.message()).await.unwrap();
    let expected = json!({"f": {"action": "decline"}, "s": sampled("yes"), "r": {"roots": []}});
    assert_eq!(serde_json::from_str::<Value>(&said(&response)).unwrap(), expected);
    let legs = legs(&server);
    assert_eq!((legs.len(), &legs[1]["requestState"]), (2, &json!("s")));
}

#[tokio::test]
async fn era_251_each_retry_carries_the_answers_of_its_round_and_the_newest_state() {
    let server = server(|seen| async move {
        let params = &seen.body["params"];
        match params["requestState"].as_str() {
            None => needs(&seen, json!({"a": ask("elicitation/create", form("a"))}), json!("1")),
            Some("1") => needs(&seen, json!({"b": ask("elicitation/create", form("b"))}), json!("2")),
            Some("2") => needs(&seen, json!({"a": ask("elicitation/create", form("c"))}), json!("3")),
            Some(_) => says(&seen, "done"),
        }
    })
    .await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, able()).await;
    let reply = call(&client).await;
    let talk = converse(&client, reply, |question| Ok(accept(json!({"name": question["params"]["message"]})))).await;
    assert_eq!(said(&talk.response), "done");
    let legs: Vec<_> =
        legs(&server).iter().map(|params| (params["inputResponses"].clone(), params["requestState"].clone())).collect();
    let answered = |key: &str, name: &str| json!({key: accept(json!({"name": name}))});
    assert_eq!(
        legs,
        [
            (Value::Null, Value::Null),
            (answered("a", "a"), json!("1")),
            (answered("b", "b"), json!("2")),
            (answered("a", "c"), json!("3")),
        ]
    );
}

#[tokio::test]
async fn era_247_248_questions_have_the_shape_of_the_clients_revision() {
    let schema = json!({"type": "object", "properties": {
        "c": {"type": "string", "oneOf": [{"const": "x", "title": "X"}], "default": "x"}}});
    let titled = json!({"mode": "form", "message": "?", "requestedSchema": schema});
    let text = |text: &str| json!({"type": "text", "text": text});
    let several = json!({"maxTokens": 1, "messages": [{"role": "user", "content": [text("a"), text("b")]}]});
    let form = asking(json!({"f": ask("elicitation/create", titled)})).await;
    let gateway = gateway_at(&form).await;
    let client = legacy(&gateway, "2025-06-18", json!({"elicitation": {}})).await;
    let reply = call(&client).await;
    let talk = converse(&client, reply, |_| Ok(json!({"action": "cancel"}))).await;
    let params = &talk.questions[0]["params"];
    assert!(params.get("mode").is_none(), "{params}");
    let field = json!({"type": "string", "enum": ["x"], "enumNames": ["X"]});
    assert_eq!(params["requestedSchema"]["properties"]["c"], field);

    let sampling = asking(json!({"s": ask("sampling/createMessage", several)})).await;
    let gateway = gateway_at(&sampling).await;
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18"] {
        let client = legacy(&gateway, revision, json!({"sampling": {}})).await;
        let reply = call(&client).await;
        let talk = converse(&client, reply, |_| Ok(sampled("yes"))).await;
        let messages = json!([{"role": "user", "content": text("a")}, {"role": "user", "content": text("b")}]);
        assert_eq!(talk.questions[0]["params"]["messages"], messages, "{revision}");
        assert_eq!(said(&talk.response), json!({"s": sampled("yes")}).to_string());
    }
}

#[tokio::test]
async fn era_248_261_262_what_a_client_cannot_be_asked_ends_the_call_before_anything_is_asked() {
    let sound = json!({"maxTokens": 1, "messages": [{"role": "user", "content":
        {"type": "audio", "data": "", "mimeType": "audio/wav"}}]});
    let page = json!({"mode": "url", "message": "m", "url": "https://a.example/"});
    let everything = json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}});
    for (revision, asks, named) in [
        ("2024-11-05", ask("sampling/createMessage", sound), "sampling/createMessage"),
        ("2025-06-18", ask("elicitation/create", page), "elicitation/create"),
        ("2025-03-26", ask("elicitation/create", form("?")), "elicitation/create"),
    ] {
        // The roots could be asked for.
        let server = asking(json!({"r": ask("roots/list", Value::Null), "x": asks})).await;
        let gateway = gateway_at(&server).await;
        let client = legacy(&gateway, revision, everything.clone()).await;
        let reply = call(&client).await;
        let talk = converse(&client, reply, |question| panic!("{revision}: asked {question}")).await;
        assert_eq!(talk.response["result"]["isError"], true, "{revision}: {}", talk.response);
        assert!(said(&talk.response).contains(named) && talk.notifications.is_empty());
        let reply = client.ask(2, "prompts/get", json!({"name": "p"})).await;
        let talk = converse(&client, reply, |question| panic!("{revision}: asked {question}")).await;
        let error = &talk.response["error"];
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32603), &json!("upstream_protocol")));
        assert_eq!(legs(&server).len(), 2);
    }
}

#[tokio::test]
async fn era_263_a_page_has_an_id_and_its_end_is_told() {
    let page = json!({"mode": "url", "message": "m", "url": "https://a.example/"});
    let server = asking(json!({"u": ask("elicitation/create", page)})).await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, able()).await;
    let mut standing = client.get(None).await.events();
    let reply = call(&client).await;
    let talk = converse(&client, reply, |_| Ok(json!({"action": "accept"}))).await;
    let id = talk.questions[0]["params"]["elicitationId"].as_str().unwrap();
    let groups: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!((groups, &id[14..15]), (vec![8, 4, 4, 4, 12], "4"), "{id}");
    assert_eq!(said(&talk.response), json!({"u": {"action": "accept"}}).to_string());
    let told = soon("that the page is done with", standing.message()).await.unwrap();
    assert_eq!(
        (&told["method"], &told["params"]["elicitationId"]),
        (&json!("notifications/elicitation/complete"), &json!(id))
    );
}

#[tokio::test]
async fn era_256_when_one_question_fails_the_others_are_taken_back() {
    let requests = json!({"r": ask("roots/list", Value::Null), "f": ask("elicitation/create", form("Who?"))});
    let server = asking(requests).await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, able()).await;
    let Body::Events(mut events) = call(&client).await.body else { panic!("a stream") };
    let mut open = std::collections::HashMap::new();
    for _ in 0..2 {
        let question = soon("a question", events.message()).await.unwrap();
        open.insert(question["method"].as_str().unwrap().to_owned(), question["id"].clone());
    }
    let error = json!({"jsonrpc": "2.0", "id": open["roots/list"], "error": {"code": -32601, "message": "no roots"}});
    assert_eq!(client.post(&error).await.status, 202);
    let withdrawn = soon("a cancellation", events.message()).await.unwrap();
    assert_eq!(withdrawn["method"], "notifications/cancelled");
    assert_eq!(withdrawn["params"]["requestId"], open["elicitation/create"]);
    let response = soon("the response", events.message()).await.unwrap();
    assert_eq!(response["result"]["isError"], true);
    assert!(said(&response).contains("no roots"), "{response}");
    assert_eq!(legs(&server).len(), 1);
}

#[tokio::test]
async fn era_257_a_question_that_is_never_answered_ends_the_call() {
    let server = asking(json!({"f": ask("elicitation/create", form("Who?"))})).await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, able()).await;
    let Body::Events(mut events) = call(&client).await.body else { panic!("a stream") };
    let question = soon("the question", events.message()).await.unwrap();
    later(Duration::from_secs(601)).await;
    let withdrawn = soon("a cancellation", events.message()).await.unwrap();
    assert_eq!(
        (&withdrawn["method"], &withdrawn["params"]["requestId"]),
        (&json!("notifications/cancelled"), &question["id"])
    );
    let response = soon("the response", events.message()).await.unwrap();
    assert_eq!(response["result"]["isError"], true, "{response}");
    assert!(said(&response).contains("not answered in time"), "{response}");
    assert_eq!(legs(&server).len(), 1, "nothing is open at the server");
}

#[tokio::test]
async fn era_259_cancelling_the_call_ends_its_rounds() {
    let server = asking(json!({"f": ask("elicitation/create", form("Who?"))})).await;
    let gateway = gateway_at(&server).await;
    let client = legacy(&gateway, LEGACY, able()).await;
    let Body::Events(mut events) = call(&client).await.body else { panic!("a stream") };
    let question = soon("the question", events.message()).await.unwrap();
    client.tell("notifications/cancelled", json!({"requestId": 1})).await;
    let withdrawn = soon("a cancellation", events.message()).await.unwrap();
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    assert!(soon("the end", events.message()).await.is_none(), "no response");
    client.answer(&question, json!({"action": "decline"})).await;
    assert_eq!(client.ask(2, "ping", json!({})).await.json()["result"], json!({}));
    assert_eq!(legs(&server).len(), 1);
}
