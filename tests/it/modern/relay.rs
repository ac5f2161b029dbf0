//! Servers that ask by themselves in the modern way: nothing waits here, and their state goes to the client and back.

use std::sync::Arc;

use rialto::{
    hub::{Attempt, Call, Outcome, RequestState},
    jsonrpc::Raw,
};
use serde_json::{Value, json};

use crate::support::{
    client::{Sent, modern, tool},
    gateway::Gateway,
    json::{object, raw, value},
    mount::{Scripted, says},
};

const FORM: &str = r#"{"k":{"method":"elicitation/create","params":{"mode":"form","message":"Who?","requestedSchema":{"type":"object","properties":{}},"x":1.0}}}"#;

/// A stateless server: asks on the first leg, with this state, and says what it gets on the second.
fn asks(state: Option<Value>) -> Scripted {
    Scripted::new(move |call: Call| {
        let state = state.clone();
        async move {
            match &call.attempt {
                Attempt::First => Ok(Outcome::NeedsInput {
                    requests: Raw::constant(FORM).to_object().unwrap(),
                    state: state.map(|state| RequestState::Sealed(raw(&state))),
                }),
                Attempt::Answers { responses, state } => {
                    let state = state.as_ref().map(|s| String::from_utf8_lossy(s.value().as_bytes()).into_owned());
                    says(format!("{} {state:?}", value(&responses.to_raw())))
                }
            }
        }
    })
}

fn call() -> Sent {
    tool("asks", json!({"a": 1})).answering()
}

fn refused() -> Value {
    let data = json!({"reason": "invalid_request_state"});
    json!({"code": -32602, "message": "Invalid or expired requestState", "data": data})
}

#[tokio::test]
async fn era_272_the_servers_state_comes_back_byte_for_byte() {
    for state in ["step=2;user=alice", "", "a\"b\\c\u{e9}\n", "g1.AAAA"] {
        let mount = Arc::new(asks(Some(json!(state))));
        let gateway = Gateway::start(&[&mount]).await;
        let whole = call().send(&gateway).await;
        let asked = whole.response();
        assert!(whole.text.contains(FORM), "the questions are passed on as they are");
        let sealed = asked["result"]["requestState"].as_str().unwrap();
        assert!(sealed.starts_with("g1.") && (state.is_empty() || !sealed.contains(state)));
        assert_eq!(gateway.settings.held.parked(), 0, "nothing waits here");
        let done = call().retry(&asked, json!({"k": {"action": "cancel"}})).response(&gateway, 200).await;
        let expected = format!("{} {:?}", json!({"k": {"action": "cancel"}}), Some(json!(state).to_string()));
        assert_eq!(done["result"]["content"][0]["text"], expected);
        let seen = mount.last();
        assert_eq!(seen.answers, Some((json!({"k": {"action": "cancel"}}), Some(json!(state)))));
        assert_eq!(seen.params["arguments"], json!({"a": 1}));
        assert!(seen.params.get("requestState").is_none() && seen.params.get("inputResponses").is_none());
    }
}

#[tokio::test]
async fn era_273_sec_030_nobody_else_can_use_the_servers_state() {
    let mount = Arc::new(asks(Some(json!("step=2;user=alice"))));
    let gateway = Gateway::start(&[&mount]).await;
    let asked = call().response(&gateway, 200).await;
    let retry = call().retry(&asked, json!({}));
    assert_eq!(retry.clone().principal("bob").error(&gateway, 200, -32602).await, refused());
    let raw_state = call().param("requestState", json!("step=2;user=alice"));
    assert_eq!(raw_state.error(&gateway, 200, -32602).await, refused());
    let other = tool("asks", json!({"a": 2})).answering().retry(&asked, json!({}));
    assert_eq!(other.error(&gateway, 200, -32602).await, refused());
    assert_eq!(mount.counts().begun, 1, "the server hears nothing of it");
    retry.response(&gateway, 200).await;
}

#[tokio::test]
async fn era_274_a_server_without_a_state() {
    let mount = Arc::new(asks(None));
    let gateway = Gateway::start(&[&mount]).await;
    let asked = call().response(&gateway, 200).await;
    assert_eq!(asked["result"]["resultType"], "input_required");
    assert!(asked["result"].get("requestState").is_none());
    let responses = json!({"k": {"action": "cancel"}});
    let done = call().param("inputResponses", responses.clone()).response(&gateway, 200).await;
    assert_eq!(done["result"]["content"][0]["text"], format!("{responses} None"));
    let made_up = call().param("inputResponses", responses).param("requestState", json!("mine"));
    assert_eq!(made_up.error(&gateway, 200, -32602).await, refused());
}

#[tokio::test]
async fn era_275_questions_that_break_the_protocol() {
    let question = |method: &str, params: Value| json!({"k": {"method": method, "params": params}});
    let form = question("elicitation/create", json!({"message": "m", "requestedSchema": {"type": "object"}}));
    let cases = [
        ("a list", modern("tools/list", json!({})).answering(), form.clone()),
        ("an unknown method", modern("acme/do", json!({})).answering(), form.clone()),
        ("nothing at all", call(), json!({})),
        ("undeclared", tool("asks", json!({})), form),
        ("another mode", call().capabilities(json!({"elicitation": {"form": {}}})), {
            question("elicitation/create", json!({"mode": "url", "message": "m", "url": "https://x.example"}))
        }),
        ("no question", call(), question("tools/call", json!({}))),
    ];
    for (what, sent, requests) in cases {
        let mount = Arc::new(Scripted::new(move |_| {
            let requests = object(&requests);
            async move { Ok(Outcome::NeedsInput { requests, state: None }) }
        }));
        let gateway = Gateway::in_memory(&[&mount]);
        let error = sent.error(&gateway, 200, -32603).await;
        assert_eq!(error["data"]["reason"], "upstream_protocol", "{what}");
    }
}

#[tokio::test]
async fn a_state_alone_is_passed_on_and_a_huge_one_is_refused() {
    for (length, fits) in [(10, true), (8 << 10, true), (16 << 10, false)] {
        let state = "x".repeat(length);
        let mount = Arc::new(Scripted::new(move |_| {
            let state = Some(RequestState::Sealed(raw(&json!(state))));
            async move { Ok(Outcome::NeedsInput { requests: object(&json!({})), state }) }
        }));
        let gateway = Gateway::in_memory(&[&mount]);
        let response = call().response(&gateway, 200).await;
        assert_eq!(response["result"]["requestState"].is_string(), fits, "{length}");
        assert_eq!(response["error"]["data"]["reason"] == "limit", !fits, "{length}");
        assert!(response["result"].get("inputRequests").is_none());
    }
}

#[tokio::test]
async fn era_277_tasks_go_to_clients_that_know_them() {
    let task = json!({"resultType": "task", "taskId": "t", "status": "working"});
    let mount = Arc::new(Scripted::new(move |_| {
        let task = raw(&task);
        async move { Ok(Outcome::Task(task)) }
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let error = tool("x", json!({})).error(&gateway, 200, -32603).await;
    assert_eq!(error["data"]["reason"], "upstream_protocol");
    let capable = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let answer = modern("acme/do", json!({})).capabilities(capable).response(&gateway, 200).await;
    assert_eq!(answer["result"]["taskId"], "t");
}
