//! What a state opens, and for whom.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use rialto::{
    downstream::Settings,
    hub::{Attempt, Call, Fault, Outcome, RequestState},
    seal::{Purpose, Sealer},
};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::support::{
    client::{Sent, modern, tool},
    gateway::Gateway,
    json::{object, raw},
    mount::{Scripted, elicit, marked, says, told},
};

fn accept() -> Value {
    json!({"i1": {"action": "accept", "content": {"name": "Ann"}}})
}

async fn one_form(call: Call) -> Result<Outcome, Fault> {
    let answer = told(&elicit(&call, "Who?").await);
    marked(&call.method, &answer)
}

fn call() -> Sent {
    tool("asks", json!({"a": 1})).answering()
}

fn with_state(sent: Sent, state: impl Into<Value>) -> Sent {
    sent.param("inputResponses", accept()).param("requestState", state.into())
}

async fn assert_refused(gateway: &Gateway, sent: Sent) {
    let error = sent.error(gateway, 200, -32602).await;
    let data = json!({"reason": "invalid_request_state"});
    assert_eq!(error, json!({"code": -32602, "message": "Invalid or expired requestState", "data": data}));
}

async fn assert_done(gateway: &Gateway, asked: &Value) {
    let done = call().retry(asked, accept()).response(gateway, 200).await;
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
}

#[tokio::test]
async fn era_206_sec_028_a_state_that_was_touched_opens_nothing() {
    let mount = Arc::new(Scripted::new(one_form));
    let gateway = Gateway::in_memory(&[&mount]);
    let asked = call().response(&gateway, 200).await;
    let state = asked["result"]["requestState"].as_str().unwrap().to_owned();
    let foreign = Sealer::random().seal(Purpose::RequestState, "alice", "docs", b"{}");
    let empty = gateway.settings.sealer.seal(Purpose::RequestState, "alice", "docs", b"{}");
    let session = gateway.settings.sealer.seal(Purpose::Session, "alice", "docs", b"{}");
    let mut texts = vec![foreign, empty, session, format!("{state}-TAMPERED"), format!("{state}="), String::new()];
    texts.push("x".repeat(1 << 20));
    for at in (0..state.len()).step_by(7) {
        texts.push(state[..at].to_owned());
        let mut touched = state.clone().into_bytes();
        touched[at] ^= 1;
        texts.push(String::from_utf8(touched).unwrap());
    }
    for text in texts {
        assert_refused(&gateway, with_state(call(), text)).await;
    }
    for value in [json!(1), json!({}), json!([state]), json!(true)] {
        assert_refused(&gateway, with_state(call(), value)).await;
    }
    assert_eq!(mount.counts().begun, 1);
    assert_done(&gateway, &asked).await;
    // Where nobody asks, nobody answers.
    let list = modern("tools/list", json!({})).param("requestState", json!(state)).param("inputResponses", json!([]));
    list.response(&gateway, 200).await;
    assert_eq!(mount.last().params.as_object().unwrap().keys().collect::<Vec<_>>(), ["_meta"]);
    // Null is nothing.
    let fresh = call().param("requestState", Value::Null).response(&gateway, 200).await;
    assert_eq!(fresh["result"]["resultType"], "input_required");
}

#[tokio::test]
async fn era_207_sec_027_a_state_serves_its_principal_only() {
    let mount = Arc::new(Scripted::new(one_form));
    let gateway = Gateway::in_memory(&[&mount]);
    let asked = call().response(&gateway, 200).await;
    for other in ["bob", "", "alice2", "ALICE"] {
        assert_refused(&gateway, call().principal(other).retry(&asked, accept())).await;
    }
    assert_eq!(mount.counts().begun, 1);
    assert_done(&gateway, &asked).await;
}

#[tokio::test]
async fn era_208_sec_029_a_state_serves_its_call_only() {
    let mount = Arc::new(Scripted::new(one_form));
    let other = Arc::new(Scripted::new(one_form).with(|m| m.name = "finance"));
    let gateway = Gateway::in_memory(&[&mount, &other]);
    let asked = call().response(&gateway, 200).await;
    let state = &asked["result"]["requestState"];
    for sent in [
        tool("asks", json!({"a": 2})).answering(),
        tool("asks", json!({"a": 1, "b": null})).answering(),
        tool("asks", json!({})).answering(),
        tool("asks2", json!({"a": 1})).answering(),
        modern("prompts/get", json!({"name": "asks", "arguments": {"a": 1}})).answering(),
        call().mount("finance"),
        call().param("extra", json!(1)),
    ] {
        assert_refused(&gateway, with_state(sent, state.clone())).await;
    }
    assert_eq!(other.counts().begun, 0);
    // The envelope may change, and so may the spelling.
    let text = call().token("t").retry(&asked, accept()).body().to_string().replace("{\"a\":1}", "{ \"a\" : 1.0 }");
    let done = call().text(text).response(&gateway, 200).await;
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
}

/// A client that writes its request anew may write another text for the same thing, however large; and one byte of another
/// thing is too much.
#[tokio::test]
async fn era_244_a_large_call_is_the_same_however_it_is_spelled() {
    // Each of these is of 256 KiB and more: long texts of several alphabets, many members, and deep values.
    let long = "\u{e9}\u{4e2d}\u{1f980}\"\\\n\u{7f}/ ".repeat(16_000);
    let member = |n: usize| format!("\u{e9}\u{1f980}{n}");
    let many: serde_json::Map<_, _> = (0..9_000).map(|n| (member(n), json!([n, {"z": 1.0, "a": null}]))).collect();
    let deep = (0..40).fold(json!("x".repeat(300_000)), |inner, n| json!({"b": inner, "a": n}));
    for arguments in [json!({"text": long, "n": 1.0}), json!({"many": many}), json!({"deep": deep, "list": [1.0, 2e3]})]
    {
        let sent = tool("asks", arguments.clone()).answering();
        assert!(sent.body().to_string().len() > 256 << 10);
        // What waits here, and what the server keeps in a state of its own.
        let relayed = Arc::new(Scripted::new(|call: Call| async move {
            match &call.attempt {
                Attempt::First => Ok(Outcome::NeedsInput {
                    requests: object(&json!({"i1": {"method": "elicitation/create", "params": {"mode": "form",
                        "message": "Who?", "requestedSchema": {"type": "object", "properties": {}}}}})),
                    state: Some(RequestState::Sealed(raw(&json!("step=2")))),
                }),
                Attempt::Answers { .. } => says("done"),
            }
        }));
        for mount in [Arc::new(Scripted::new(one_form)), relayed] {
            let gateway = Gateway::start(&[&mount]).await;
            let asked = sent.response(&gateway, 200).await;
            assert_eq!(asked["result"]["resultType"], "input_required", "{}", mount.counts().begun);
            assert!(
                asked["result"]["requestState"].as_str().unwrap().len() < 2048,
                "a state does not grow with its call"
            );
            let retry = sent.clone().retry(&asked, accept());
            let mut other = arguments.clone();
            change(&mut other);
            assert_refused(&gateway, retry.clone().param("arguments", other)).await;
            let text = respelled(retry.body());
            assert_ne!(text, retry.body().to_string());
            assert_eq!(value_of(&text), value_of(&retry.body().to_string()));
            let done = retry.text(text).response(&gateway, 200).await;
            assert_eq!(done["result"]["resultType"], "complete", "{}", mount.counts().begun);
        }
    }
}

/// The same value with every member in the opposite order, every text escaped and every whole number spelled otherwise.
fn respelled(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|one, other| other.0.cmp(one.0));
            let members: Vec<_> = members
                .into_iter()
                .map(|(name, value)| match name.as_str() {
                    // Ids and tokens are what they are.
                    "id" | "jsonrpc" => format!("{}: {value}", json!(name)),
                    _ => format!("{} :\t{}", escaped(name), respelled(value)),
                })
                .collect();
            format!("{{ {} }}", members.join(" ,\n"))
        }
        Value::Array(items) => format!("[ {} ]", items.iter().map(respelled).collect::<Vec<_>>().join(" , ")),
        Value::String(text) => escaped(text),
        // `1.0` becomes `1`, and `1` becomes `1.0`.
        Value::Number(number) => match number.as_i64() {
            Some(whole) => format!("{whole}.0"),
            None => format!("{}", number.as_f64().unwrap()),
        },
        other => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    let units: Vec<_> = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
    format!("\"{}\"", units.concat())
}

/// What a text says, all numbers as doubles.
fn value_of(text: &str) -> Value {
    fn even(value: Value) -> Value {
        match value {
            Value::Object(members) => members.into_iter().map(|(name, value)| (name, even(value))).collect(),
            Value::Array(items) => items.into_iter().map(even).collect(),
            Value::Number(number) => json!(number.as_f64().unwrap()),
            other => other,
        }
    }
    even(serde_json::from_str(text).unwrap())
}

/// Changes one letter of the innermost text, or one number.
fn change(value: &mut Value) {
    match value {
        Value::Object(members) => change(members.values_mut().next_back().unwrap()),
        Value::Array(items) => change(&mut items[0]),
        Value::String(text) => {
            text.pop();
            text.push('~');
        }
        Value::Number(number) => *value = json!(number.as_f64().unwrap() + 1.0),
        other => *other = json!(false),
    }
}

#[tokio::test(start_paused = true)]
async fn era_209_a_state_expires() {
    let mount = Arc::new(Scripted::new(one_form));
    let gateway = Gateway::in_memory(&[&mount]);
    let asked = call().response(&gateway, 200).await;
    tokio::time::sleep(Duration::from_secs(3601)).await;
    assert_refused(&gateway, call().retry(&asked, accept())).await;
}

#[tokio::test]
async fn era_446_sec_029_states_outlive_the_rotation_of_keys() {
    let (old, new) = ([1_u8; 32], [2_u8; 32]);
    let mount = Arc::new(Scripted::new(one_form));
    let settings = Settings { sealer: Arc::new(Sealer::new(&[old]).unwrap()), ..Settings::default() };
    let before = Gateway::with(&[&mount], settings.clone());
    let asked = call().response(&before, 200).await;
    let only_new = Settings { sealer: Arc::new(Sealer::new(&[new]).unwrap()), ..settings.clone() };
    assert_refused(&Gateway::with(&[&mount], only_new), call().retry(&asked, accept())).await;
    let both = Settings { sealer: Arc::new(Sealer::new(&[new, old]).unwrap()), ..settings };
    assert_done(&Gateway::with(&[&mount], both), &asked).await;
}

#[tokio::test]
async fn a_call_that_waited_in_a_process_that_ended_is_lost_and_says_so() {
    let mount = Arc::new(Scripted::new(one_form));
    let sealer = Arc::new(Sealer::new(&[[7_u8; 32]]).unwrap());
    let process = || Gateway::with(&[&mount], Settings { sealer: sealer.clone(), ..Settings::default() });
    let asked = call().response(&process(), 200).await;
    let after = process();
    let error = call().retry(&asked, accept()).error(&after, 200, -32603).await;
    assert_eq!((&error["data"]["reason"], &error["data"]["retryable"]), (&json!("suspension_lost"), &json!(true)));
    // To everybody else it is as good as any other.
    assert_refused(&after, call().principal("bob").retry(&asked, accept())).await;
    assert_refused(&after, with_state(tool("other", json!({})), asked["result"]["requestState"].clone())).await;
    assert_eq!(mount.counts().begun, 1, "nothing runs twice");
}

#[tokio::test(start_paused = true)]
async fn era_210_211_sec_029_an_answer_that_comes_again_gets_the_same_reply() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        let first = told(&elicit(&call, "a").await);
        let second = told(&elicit(&call, "b").await);
        says(format!("{first} {second}"))
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    let asked = call().response(&gateway, 200).await;
    let retry = call().retry(&asked, accept());
    let again = retry.response(&gateway, 200).await;
    let replayed = retry.response(&gateway, 200).await;
    assert_eq!(again["result"]["inputRequests"], replayed["result"]["inputRequests"]);
    let other = json!({"i1": {"action": "decline"}});
    assert_refused(&gateway, call().retry(&asked, other.clone())).await;
    // The replayed state is as good as the one that was lost.
    let last = call().retry(&replayed, json!({"i2": {"action": "cancel"}}));
    let done = last.response(&gateway, 200).await;
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
    let replays = join_all((0..100).map(|_| async { last.response(&gateway, 200).await })).await;
    assert!(replays.iter().all(|replay| replay["result"] == done["result"]));
    assert_refused(&gateway, call().retry(&again, other)).await;
    assert_eq!((mount.counts().begun, mount.counts().finished), (1, 1));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_refused(&gateway, last).await;
}

#[tokio::test]
async fn era_212_213_answers_that_come_twice_at_once() {
    let gate = Arc::new(Notify::new());
    let answered = watch::Sender::new(0);
    let (opened, heard) = (gate.clone(), answered.clone());
    let mount = Arc::new(Scripted::new(move |call: Call| {
        let (opened, heard) = (opened.clone(), heard.clone());
        async move {
            let answer = elicit(&call, "Who?").await;
            heard.send_modify(|n| *n += 1);
            opened.notified().await;
            says(told(&answer))
        }
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    let asked = call().response(&gateway, 200).await;
    let retry = call().retry(&asked, accept());
    let control = async {
        answered.subscribe().wait_for(|n| *n == 1).await.unwrap();
        // The first waits for the call by now. Other answers are refused, the same ones wait with it.
        assert_refused(&gateway, call().retry(&asked, json!({"i1": {"action": "decline"}}))).await;
        let second = async { retry.clone().id(9).response(&gateway, 200).await };
        let open = async {
            tokio::task::yield_now().await;
            gate.notify_one();
        };
        tokio::join!(second, open).0
    };
    let (first, second) = tokio::join!(retry.response(&gateway, 200), control);
    assert_eq!(first["result"]["content"], second["result"]["content"]);
    assert_eq!((&first["id"], &second["id"]), (&json!(2), &json!(9)));
    assert_eq!((*answered.borrow(), mount.counts().begun), (1, 1));
}
