//! Questions to the client, in calls and outside.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use rialto::hub::{Answer, Refusal};

use crate::legacy_support::{Client, Events, Gateway, NEWEST, client::able, mount::form, object};

fn answered(answer: &Answer) -> Value {
    match answer {
        Ok(answer) => answer.to_raw().parse().unwrap(),
        Err(refusal) => panic!("{refusal:?}"),
    }
}

#[tokio::test]
async fn era_246_247_249_255_a_question_is_asked_on_the_calls_stream() {
    let (gateway, mount) = Gateway::start().await;
    for revision in ["2025-03-26", "2025-06-18", NEWEST] {
        let client = gateway.session(revision).await;
        for (method, params, answer) in [
            ("elicitation/create", form("name?"), json!({"action": "accept", "content": {"name": "Ann"}})),
            ("elicitation/create", form("name?"), json!({"action": "decline"})),
            ("elicitation/create", form("name?"), json!({"action": "cancel"})),
            ("roots/list", json!({}), json!({"roots": [{"uri": "file:///a"}]})),
            (
                "sampling/createMessage",
                json!({"maxTokens": 9, "messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}]}),
                json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "ho"}}),
            ),
        ] {
            if method == "elicitation/create" && revision < "2025-06-18" {
                continue; // That revision has no words for it.
            }
            let reply = client.call(1, "hold");
            let arrived = mount.next().await;
            let asked = arrived.ask(method, &params);
            let mut stream = reply.await.unwrap().events();
            let question = stream.expect().await;
            assert_eq!(question["method"], method);
            assert_eq!(question["params"]["message"], params["message"]);
            assert_eq!(question["params"]["_meta"]["progressToken"], question["id"]);
            client.answer(&question, answer.clone()).await;
            assert_eq!(answered(&asked.await.unwrap()), answer);
            arrived.say("done");
            assert_eq!(stream.expect().await["result"]["content"][0]["text"], "done");
            assert!(stream.next().await.is_none());
        }
    }
}

#[tokio::test]
async fn era_250_251_several_questions_have_ids_of_their_own() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let reply = client.call(1, "hold");
    let arrived = mount.next().await;
    let asked = ["a", "b", "c"].map(|m| arrived.elicit(m));
    let mut stream = reply.await.unwrap().events();
    let mut questions = Vec::new();
    for _ in 0..3 {
        questions.push(stream.expect().await);
    }
    for question in questions.iter().rev() {
        let name = &question["params"]["message"];
        client.answer(question, json!({"action": "accept", "content": {"name": name}})).await;
    }
    for (asked, name) in asked.into_iter().zip(["a", "b", "c"]) {
        assert_eq!(answered(&asked.await.unwrap())["content"]["name"], name);
    }
    let again = arrived.elicit("d");
    let question = stream.expect().await;
    assert!(questions.iter().all(|q| q["id"] != question["id"]));
    client.answer(&question, json!({"action": "cancel"})).await;
    again.await.unwrap().unwrap();
    arrived.say("done");
    stream.expect().await;
}

#[tokio::test]
async fn an_error_is_an_answer_too() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let Asked { arrived, asked, mut stream, question, .. } = asking(&client, &mount).await;
    let error = json!({"code": -1, "message": "no", "data": {"x": 1}});
    client.post(&json!({"jsonrpc": "2.0", "id": question["id"], "error": error})).await;
    match asked.await.unwrap() {
        Err(Refusal::Answered(answer)) => assert_eq!(answer.to_raw().parse::<Value>().unwrap(), error),
        other => panic!("{other:?}"),
    }
    arrived.say("done");
    stream.expect().await;
}

#[tokio::test]
async fn era_268_late_and_repeated_answers_are_ignored() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let Asked { arrived, asked, mut stream, question, .. } = asking(&client, &mount).await;
    for id in [json!(1), json!("unknown")] {
        client.answer(&json!({"id": id}), json!({"action": "accept"})).await;
    }
    client.answer(&question, json!({"action": "decline"})).await;
    client.answer(&question, json!({"action": "accept"})).await;
    assert_eq!(answered(&asked.await.unwrap()), json!({"action": "decline"}));
    arrived.say("done");
    stream.expect().await;
    client.answer(&question, json!({"action": "accept"})).await;
}

#[tokio::test]
async fn era_257_258_a_question_has_its_time_and_progress_starts_it_anew() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let Asked { arrived, asked, mut stream, question, .. } = asking(&client, &mount).await;
    tokio::time::pause();
    for step in 1..4 {
        tokio::time::advance(Duration::from_secs(590)).await;
        let token = &question["params"]["_meta"]["progressToken"];
        client.tell("notifications/progress", json!({"progressToken": token, "progress": step})).await;
        // The ping lets the question hear of it before the clock moves on.
        client.ask(2, "ping", json!({})).await;
        assert!(!asked.is_finished());
    }
    tokio::time::advance(Duration::from_secs(601)).await;
    assert!(matches!(asked.await.unwrap(), Err(Refusal::Lapsed)));
    tokio::time::resume();
    let withdrawn = stream.expect().await;
    assert_eq!(withdrawn["method"], "notifications/cancelled");
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    arrived.say("nobody answered");
    assert_eq!(stream.expect().await["id"], 1);
    client.answer(&question, json!({"action": "accept"})).await;
}

#[tokio::test]
async fn progress_of_a_question_reaches_the_server_that_asked() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let reply = client.call(1, "hold");
    let arrived = mount.next().await;
    let mut params = form("name?");
    params["_meta"] = json!({"progressToken": 77});
    let asked = arrived.ask("elicitation/create", &params);
    let mut stream = reply.await.unwrap().events();
    let question = stream.expect().await;
    let token = &question["params"]["_meta"]["progressToken"];
    assert_ne!(*token, json!(77));
    client.tell("notifications/progress", json!({"progressToken": token, "progress": 1})).await;
    let (_, notification) = mount.notified().await;
    assert_eq!(notification.method, "notifications/progress");
    let params: Value = notification.params.unwrap().to_raw().parse().unwrap();
    assert_eq!(params, json!({"progressToken": 77, "progress": 1}));
    client.answer(&question, json!({"action": "cancel"})).await;
    asked.await.unwrap().unwrap();
    arrived.say("done");
    stream.expect().await;
}

#[tokio::test]
async fn era_259_cancelling_the_call_withdraws_its_question() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let reply = client.call(1, "hold");
    let mut arrived = mount.next().await;
    let asked = arrived.elicit("name?");
    let mut stream = reply.await.unwrap().events();
    let question = stream.expect().await;
    client.tell("notifications/cancelled", json!({"requestId": 1})).await;
    arrived.dropped().await;
    assert!(matches!(asked.await.unwrap(), Err(Refusal::NoOne)));
    let messages = stream.rest().await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0]["method"], "notifications/cancelled");
    assert_eq!(messages[0]["params"]["requestId"], question["id"]);
}

#[tokio::test]
async fn a_question_that_is_dropped_is_withdrawn() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let Asked { arrived, asked, mut stream, question, .. } = asking(&client, &mount).await;
    asked.abort();
    let withdrawn = stream.expect().await;
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    arrived.say("done");
    stream.expect().await;
}

#[tokio::test]
async fn only_what_was_declared_is_asked_and_only_where_it_can_be_heard() {
    let (gateway, mount) = Gateway::start().await;
    let mut mute = gateway.client();
    mute.open(NEWEST, json!({"elicitation": {}})).await;
    let reply = mute.call(1, "hold");
    let arrived = mount.next().await;
    let asked = arrived.ask("roots/list", &json!({})).await.unwrap();
    assert!(matches!(asked, Err(Refusal::Undeclared(missing)) if missing.to_object().is_some_and(|m| m.has("roots"))));
    let by_url = json!({"mode": "url", "message": "m", "url": "https://x", "elicitationId": "e"});
    assert!(matches!(arrived.ask("elicitation/create", &by_url).await.unwrap(), Err(Refusal::Undeclared(_))));
    arrived.say("done");
    assert_eq!(reply.await.unwrap().json()["id"], 1, "no stream was opened");

    let client = gateway.session(NEWEST).await.accepting("application/json");
    let reply = client.call(1, "hold");
    let arrived = mount.next().await;
    assert!(matches!(arrived.elicit("name?").await.unwrap(), Err(Refusal::NoOne)));
    let mut listening = client.get(None).await.events();
    listening.next().await.unwrap();
    let asked = arrived.elicit("name?");
    let question = listening.expect().await;
    client.answer(&question, json!({"action": "decline"})).await;
    asked.await.unwrap().unwrap();
    arrived.say("done");
    assert_eq!(reply.await.unwrap().json()["id"], 1);
}

#[tokio::test]
async fn era_282_a_question_outside_every_call_goes_to_the_standalone_stream() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let peer = mount.last_caller().scope.peer().clone();
    let ask = |method: &str, params: Value| {
        let question = rialto::hub::Question { method: method.into(), params: Some(object(&params)), key: None };
        tokio::spawn(peer.ask(question))
    };
    // Some servers ask before the client had the time to open its stream.
    let early = ask("roots/list", json!({}));
    client.ask(1, "ping", json!({})).await;
    assert!(!early.is_finished());
    let mut stream = client.get(None).await.events();
    stream.next().await.unwrap();
    let asked = [early, ask("roots/list", json!({}))];
    for _ in &asked {
        let question = stream.expect().await;
        assert_eq!(question["method"], "roots/list");
        client.answer(&question, json!({"roots": []})).await;
    }
    for asked in asked {
        assert_eq!(answered(&asked.await.unwrap()), json!({"roots": []}));
    }
    assert!(matches!(ask("sampling/createMessage", json!({"tools": []})).await.unwrap(), Err(Refusal::Undeclared(_))));
}

#[tokio::test]
async fn a_question_outside_every_call_does_not_wait_for_ever() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let peer = mount.last_caller().scope.peer().clone();
    let ask = || {
        let question = rialto::hub::Question { method: "roots/list".into(), params: None, key: None };
        tokio::spawn(peer.ask(question))
    };
    let asked = ask();
    client.ask(1, "ping", json!({})).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(matches!(asked.await.unwrap(), Err(Refusal::NoOne)), "nobody listens");
    tokio::time::resume();

    // Only so many wait, and none for a session that has ended.
    let waiting: Vec<_> = (0..16).map(|_| ask()).collect();
    client.ask(2, "ping", json!({})).await;
    assert!(matches!(ask().await.unwrap(), Err(Refusal::NoOne)), "too many wait");
    assert!(waiting.iter().all(|asked| !asked.is_finished()));
    client.delete().await;
    for asked in waiting {
        assert!(matches!(asked.await.unwrap(), Err(Refusal::NoOne)));
    }
}

/// Starts a call and lets it ask; the question has arrived.
async fn asking(client: &Client, mount: &crate::legacy_support::Scripted) -> Asked {
    let reply = client.call(1, "hold");
    let arrived = mount.next().await;
    let asked = arrived.elicit("name?");
    let mut stream = reply.await.unwrap().events();
    let primed = stream.next().await.unwrap().id.unwrap();
    let question = stream.expect().await;
    Asked { arrived, asked, primed, question, stream }
}

struct Asked {
    arrived: crate::legacy_support::Arrived,
    asked: tokio::task::JoinHandle<Answer>,
    primed: String,
    question: Value,
    stream: Events,
}

#[tokio::test]
async fn era_265_a_question_is_repeated_when_the_client_comes_back() {
    let (gateway, mount) = Gateway::start().await;
    let client = gateway.session(NEWEST).await;
    let Asked { arrived, asked, primed, question, stream } = asking(&client, &mount).await;
    drop(stream);
    let mut resumed = client.get(Some(&primed)).await.events();
    assert_eq!(resumed.expect().await, question);
    client.answer(&question, json!({"action": "decline"})).await;
    asked.await.unwrap().unwrap();
    arrived.say("done");
    assert_eq!(resumed.expect().await["result"]["content"][0]["text"], "done");
    assert!(resumed.next().await.is_none());
}

#[tokio::test]
async fn era_266_keep_alive_comments_run_while_a_person_thinks() {
    let (gateway, mount) = Gateway::start().await;
    let mut client = gateway.client();
    client.open(NEWEST, able()).await;
    let Asked { arrived, asked, question, mut stream, .. } = asking(&client, &mount).await;
    tokio::time::pause();
    for _ in 0..20 {
        tokio::time::advance(Duration::from_secs(15)).await;
        client.ask(2, "ping", json!({})).await;
    }
    tokio::time::resume();
    assert_eq!(client.ask(2, "ping", json!({})).await.status, StatusCode::OK);
    client.answer(&question, json!({"action": "decline"})).await;
    asked.await.unwrap().unwrap();
    arrived.say("done");
    stream.expect().await;
    assert!(stream.comments >= 10, "{}", stream.comments);
}
