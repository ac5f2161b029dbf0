//! Questions in the middle of a call, put to a client that answers by sending the call again.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use rialto::hub::{Call, Fault, Outcome, Question};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{
    client::{Sent, modern, tool},
    gateway::Gateway,
    json::object,
    mount::{Scripted, ask, elicit, log, marked, progress, says, told},
};

fn accept(name: &str) -> Value {
    json!({"action": "accept", "content": {"name": name}})
}

fn sampled() -> Value {
    json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "yes"}})
}

/// The keys of the questions of an `input_required` result.
fn keys(response: &Value) -> Vec<String> {
    assert_eq!(response["result"]["resultType"], "input_required", "{response}");
    assert!(response["result"]["requestState"].as_str().unwrap().starts_with("g1."), "{response}");
    response["result"]["inputRequests"].as_object().unwrap().keys().cloned().collect()
}

/// What a tool said in the end.
fn text(response: &Value) -> &str {
    assert_eq!(response["result"]["resultType"], "complete", "{response}");
    response["result"]["content"][0]["text"].as_str().unwrap()
}

/// A tool that asks for one form and says what it was told.
async fn one_form(call: Call) -> Result<Outcome, Fault> {
    says(told(&elicit(&call, "Who?").await))
}

fn call() -> Sent {
    tool("asks", json!({"a": 1})).answering()
}

#[tokio::test]
async fn era_193_194_one_question_and_its_answer() {
    let mount = Arc::new(Scripted::new(one_form));
    let gateway = Gateway::start(&[&mount]).await;
    for answer in [accept("Ann"), json!({"action": "decline"}), json!({"action": "cancel"})] {
        let asked = call().response(&gateway, 200).await;
        assert_eq!(keys(&asked), ["i1"]);
        let request = &asked["result"]["inputRequests"]["i1"];
        assert_eq!((&request["method"], &request["params"]["message"]), (&json!("elicitation/create"), &json!("Who?")));
        assert_eq!(asked["result"]["_meta"]["io.modelcontextprotocol/serverInfo"], mount.server_info);
        assert_eq!(gateway.settings.held.parked(), 1);
        let done = call().retry(&asked, json!({"i1": answer})).response(&gateway, 200).await;
        assert_eq!((text(&done), &done["id"]), (answer.to_string().as_str(), &json!(2)));
        assert_eq!(gateway.settings.held.parked(), 0);
    }
    assert_eq!((mount.counts().begun, mount.counts().finished), (3, 3));
}

#[tokio::test]
async fn era_195_196_every_kind_of_question() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        let params = json!({"messages": [], "maxTokens": 1});
        let sampled = told(&ask(&call, "sampling/createMessage", params).await);
        let roots = told(&ask(&call, "roots/list", Value::Null).await);
        says(format!("{sampled} {roots}"))
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let asked = call().response(&gateway, 200).await;
    assert_eq!(asked["result"]["inputRequests"]["i1"]["method"], "sampling/createMessage");
    let again = call().retry(&asked, json!({"i1": sampled()})).response(&gateway, 200).await;
    assert_eq!(again["result"]["inputRequests"], json!({"i2": {"method": "roots/list"}}));
    let roots = json!({"roots": [{"uri": "file:///a"}]});
    let done = call().retry(&again, json!({"i2": roots})).response(&gateway, 200).await;
    assert_eq!(text(&done), format!("{} {roots}", sampled()));
}

#[tokio::test]
async fn era_197_questions_one_after_the_other() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        let mut told_all = Vec::new();
        for message in ["a", "b", "c"] {
            told_all.push(told(&elicit(&call, message).await));
        }
        says(told_all.join(" "))
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let mut response = call().response(&gateway, 200).await;
    let mut states = Vec::new();
    for key in ["i1", "i2", "i3"] {
        assert_eq!(keys(&response), [key]);
        states.push(response["result"]["requestState"].clone());
        response = call().retry(&response, json!({key: accept(key)})).response(&gateway, 200).await;
    }
    assert_eq!(text(&response), format!("{} {} {}", accept("i1"), accept("i2"), accept("i3")));
    states.dedup();
    assert_eq!((states.len(), mount.counts().begun), (3, 1));
}

#[tokio::test]
async fn era_198_200_201_questions_at_once_and_answers_one_by_one() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        let asked = ["a", "b", "c"].map(|message| elicit(&call, message));
        says(join_all(asked).await.iter().map(told).collect::<Vec<_>>().join(" "))
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let asked = call().response(&gateway, 200).await;
    assert_eq!(keys(&asked), ["i1", "i2", "i3"]);
    let messages: Vec<_> =
        keys(&asked).iter().map(|k| asked["result"]["inputRequests"][k]["params"]["message"].clone()).collect();
    assert_eq!(messages, ["a", "b", "c"]);
    let again = call().retry(&asked, json!({"i2": accept("2"), "x": 1})).response(&gateway, 200).await;
    assert_eq!(keys(&again), ["i1", "i3"]);
    let again = call().retry(&again, json!({"i1": accept("1"), "i2": accept("no")})).response(&gateway, 200).await;
    assert_eq!(keys(&again), ["i3"]);
    let done = call().retry(&again, json!({"i3": accept("3")})).response(&gateway, 200).await;
    assert_eq!(text(&done), format!("{} {} {}", accept("1"), accept("2"), accept("3")));
}

#[tokio::test]
async fn era_199_a_question_that_comes_while_nobody_waits() {
    let late = Arc::new(Notify::new());
    let asked_late = Arc::new(Notify::new());
    let (gate, told_gate) = (late.clone(), asked_late.clone());
    let mount = Arc::new(Scripted::new(move |call: Call| {
        let (gate, told_gate) = (gate.clone(), told_gate.clone());
        async move {
            let second = async {
                gate.notified().await;
                let asked = elicit(&call, "b");
                told_gate.notify_one();
                asked.await
            };
            let (a, b) = tokio::join!(elicit(&call, "a"), second);
            says(format!("{} {}", told(&a), told(&b)))
        }
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let asked = call().response(&gateway, 200).await;
    assert_eq!(keys(&asked), ["i1"]);
    late.notify_one();
    asked_late.notified().await;
    let again = call().retry(&asked, json!({"i1": accept("1")})).response(&gateway, 200).await;
    assert_eq!(keys(&again), ["i2"]);
    let done = call().retry(&again, json!({"i2": accept("2")})).response(&gateway, 200).await;
    assert_eq!(text(&done), format!("{} {}", accept("1"), accept("2")));
}

#[tokio::test]
async fn era_202_203_useless_answers_are_asked_again_three_times() {
    let mount = Arc::new(Scripted::new(one_form));
    let gateway = Gateway::start(&[&mount]).await;
    for useless in [json!({"i1": {"action": "maybe"}}), json!({"i1": 12345}), json!({}), Value::Null] {
        let mut asked = call().response(&gateway, 200).await;
        for _ in 0..2 {
            let again = call().retry(&asked, useless.clone()).response(&gateway, 200).await;
            assert_eq!(keys(&again), ["i1"]);
            assert_ne!(again["result"]["requestState"], asked["result"]["requestState"]);
            asked = again;
        }
        let error = call().retry(&asked, useless).error(&gateway, 200, -32602).await;
        assert!(error["message"].as_str().unwrap().contains("i1"), "{error}");
        // The call still waits for a proper answer.
        let done = call().retry(&asked, json!({"i1": accept("Ann")})).response(&gateway, 200).await;
        assert_eq!(text(&done), accept("Ann").to_string());
    }
}

#[tokio::test]
async fn era_204_205_473_answers_without_a_state() {
    let mount = Arc::new(Scripted::new(one_form));
    let gateway = Gateway::start(&[&mount]).await;
    let asked = call().response(&gateway, 200).await;
    for responses in [json!({"i1": accept("Ann")}), json!({"k": 12345}), Value::Null] {
        let fresh = call().param("inputResponses", responses.clone()).response(&gateway, 200).await;
        assert_eq!(keys(&fresh), ["i1"], "the tool has started again");
        let seen = mount.last();
        assert_eq!(seen.answers, (!responses.is_null()).then_some((responses, None)));
        assert!(seen.params.get("inputResponses").is_none());
    }
    assert_eq!(mount.counts().begun, 4);
    call().retry(&asked, json!([accept("Ann")])).error(&gateway, 200, -32602).await;
    call().param("inputResponses", json!("x")).error(&gateway, 200, -32602).await;
    assert_eq!(mount.counts().begun, 4);
}

#[tokio::test]
async fn era_216_a_question_that_is_taken_back() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        // The server does not wait for ever.
        tokio::select! {
            answer = elicit(&call, "Who?") => says(told(&answer)),
            () = tokio::time::sleep(Duration::from_secs(60)) => {
                progress(&call, 1);
                tokio::time::sleep(Duration::from_secs(60)).await;
                says("never mind")
            }
        }
    }));
    tokio::time::pause();
    let gateway = Gateway::in_memory(&[&mount]);
    let asked = call().response(&gateway, 200).await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    let done = call().retry(&asked, json!({"i1": accept("Ann")})).response(&gateway, 200).await;
    assert_eq!(text(&done), "never mind");
}

#[tokio::test(start_paused = true)]
async fn era_215_a_call_that_ends_while_nobody_waits() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        tokio::select! {
            answer = elicit(&call, "Who?") => says(told(&answer)),
            () = tokio::time::sleep(Duration::from_secs(60)) => says("too late"),
        }
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    let asked = call().response(&gateway, 200).await;
    mount.until(|counts| counts.finished == 1).await;
    let done = call().retry(&asked, json!({"i1": accept("Ann")})).response(&gateway, 200).await;
    assert_eq!(text(&done), "too late");
    assert_eq!(gateway.settings.held.parked(), 0);
}

#[tokio::test(start_paused = true)]
async fn era_218_219_what_was_said_while_nobody_waited() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        progress(&call, 1);
        log(&call, "error", "before");
        let answer = elicit(&call, "Who?");
        let meanwhile = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for n in 2..=200 {
                progress(&call, n);
                log(&call, if n % 2 == 0 { "debug" } else { "error" }, &n.to_string());
            }
        };
        let (answer, ()) = tokio::join!(answer, meanwhile);
        progress(&call, 200);
        progress(&call, 201);
        says(told(&answer))
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    let values = |whole: &crate::support::client::Whole| -> Vec<(Value, Value)> {
        let of = |n: &Value| (n["params"]["progressToken"].clone(), n["params"]["progress"].clone());
        whole.notifications().iter().filter(|n| n["method"] == "notifications/progress").map(of).collect()
    };
    for level in [None, Some("error"), Some("debug")] {
        let first = call().token("first").send(&gateway).await;
        assert_eq!(values(&first), [(json!("first"), json!(1))]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let retry = call().token(2).retry(&first.response(), json!({"i1": accept("Ann")}));
        let retry = level.into_iter().fold(retry, Sent::level);
        let second = retry.send(&gateway).await;
        assert_eq!(values(&second), [(json!(2), json!(200)), (json!(2), json!(201))]);
        let logs = second.notifications().iter().filter(|n| n["method"] == "notifications/message").count();
        // A hundred are kept, half of them are errors.
        assert_eq!(
            logs,
            match level {
                None => 0,
                Some("error") => 50,
                _ => 100,
            }
        );
        assert_eq!(text(&second.response()), accept("Ann").to_string());
    }
}

#[tokio::test]
async fn era_228_229_only_what_the_client_declares_is_asked() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        let first = told(&elicit(&call, "a").await);
        let url = json!({"mode": "url", "message": "m", "url": "https://x.example"});
        let url = told(&ask(&call, "elicitation/create", url).await);
        let params = json!({"messages": [], "maxTokens": 1, "tools": []});
        let tools = told(&ask(&call, "sampling/createMessage", params).await);
        let roots = told(&ask(&call, "roots/list", Value::Null).await);
        let unknown = told(&ask(&call, "acme/ask", json!({})).await);
        says(format!("{first} {url} {tools} {roots} {unknown}"))
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let plain = tool("asks", json!({"a": 1}));
    let done = plain.response(&gateway, 200).await;
    assert_eq!(text(&done), "Undeclared Undeclared Undeclared Undeclared NoOne");
    // The first request declares forms, the retry declares nothing any more.
    let form = json!({"elicitation": {}, "sampling": {}});
    let asked = plain.clone().capabilities(form).response(&gateway, 200).await;
    assert_eq!(keys(&asked), ["i1"]);
    let done = plain.retry(&asked, json!({"i1": accept("Ann")})).response(&gateway, 200).await;
    assert_eq!(text(&done), format!("{} Undeclared Undeclared Undeclared NoOne", accept("Ann")));
}

#[tokio::test]
async fn era_230_231_methods_that_may_ask_and_methods_that_may_not() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        let answer = told(&elicit(&call, "Who?").await);
        marked(&call.method, &answer)
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let mark = |response: &Value| response["result"]["_meta"]["example.com/mark"].as_str().unwrap().to_owned();
    for sent in [modern("prompts/get", json!({"name": "p"})), modern("resources/read", json!({"uri": "x:y"}))] {
        let sent = sent.answering();
        let asked = sent.response(&gateway, 200).await;
        let done = sent.retry(&asked, json!({"i1": accept("Ann")})).response(&gateway, 200).await;
        assert_eq!(mark(&done), accept("Ann").to_string());
    }
    for method in ["tools/list", "completion/complete"] {
        let done = modern(method, json!({})).answering().response(&gateway, 200).await;
        assert_eq!(mark(&done), "NoOne");
    }
}

#[tokio::test]
async fn era_235_there_is_a_bound_on_calls_that_wait() {
    let mount = Arc::new(Scripted::new(one_form));
    let gateway = Gateway::start(&[&mount]).await;
    let asked = join_all((0..16).map(|_| async { call().response(&gateway, 200).await })).await;
    assert_eq!(gateway.settings.held.parked(), 16);
    let done = call().response(&gateway, 200).await;
    assert_eq!(text(&done), "Lapsed", "the server goes on without an answer");
    let bob = call().principal("bob").response(&gateway, 200).await;
    assert_eq!(keys(&bob), ["i1"], "somebody else still may");
    call().retry(&asked[0], json!({"i1": accept("Ann")})).response(&gateway, 200).await;
    assert_eq!(keys(&call().response(&gateway, 200).await), ["i1"]);
}

#[tokio::test]
async fn era_472_the_server_may_wish_for_a_key() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        let ask = |key: &str| {
            let params = Some(object(
                &json!({"mode": "form", "message": key, "requestedSchema": {"type": "object", "properties": {}}}),
            ));
            call.peer.ask(Question { method: "elicitation/create".to_owned(), params, key: Some(key.to_owned()) })
        };
        let told_all = join_all([ask("name"), ask("name"), ask("i1"), ask("i2")]).await;
        says(told_all.iter().map(told).collect::<Vec<_>>().join(" "))
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let asked = call().response(&gateway, 200).await;
    assert_eq!(keys(&asked), ["name", "i1", "i2", "i3"]);
    let messages: Vec<_> =
        keys(&asked).iter().map(|k| asked["result"]["inputRequests"][k]["params"]["message"].clone()).collect();
    assert_eq!(messages, ["name", "name", "i1", "i2"]);
}

#[tokio::test(start_paused = true)]
async fn questions_close_together_are_asked_together() {
    let mount = Arc::new(Scripted::new(|call: Call| async move {
        let ask = |after: u64| {
            let call = &call;
            async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                elicit(call, &after.to_string()).await
            }
        };
        let all = call.params.get_object("arguments").unwrap().get("at").unwrap().parse::<Vec<u64>>().unwrap();
        join_all(all.into_iter().map(ask)).await;
        says("done")
    }));
    let gateway = Gateway::in_memory(&[&mount]);
    for (at, shown, after) in
        [(vec![0, 20, 40], 3, 65), (vec![0, 30], 1, 25), (vec![0, 20, 40, 60, 80, 99, 120], 6, 100)]
    {
        let before = tokio::time::Instant::now();
        let asked = tool("asks", json!({"at": at})).answering().response(&gateway, 200).await;
        assert_eq!((keys(&asked).len(), before.elapsed().as_millis()), (shown, after), "{at:?}");
    }
}
