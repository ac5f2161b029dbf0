//! The session of a legacy client: what it hears besides answers, and what it is asked.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    NEWEST, Pipe,
    kit::{code, done, initialize, text_of, tool},
    modern, request,
};
use crate::{
    legacy_support::{REVISIONS, Scripted},
    support::{mount::notification, wait::soon},
};

const TOOLS: &str = "notifications/tools/list_changed";

#[tokio::test]
async fn what_comes_right_after_initialize_waits_for_its_answer() {
    for revision in REVISIONS {
        let mount = Scripted::new("docs");
        let (mut client, serving) = Pipe::at(&mount);
        // All in one write, as a client that waits for nothing does it.
        let hello = initialize(0, revision);
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let (ping, hold) = (request("p", "ping", json!({})), request(1, "tools/call", tool("hold")));
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 0}});
        let lists: Vec<_> = (2..40).map(|n| request(n, "tools/list", json!({}))).collect();
        let all = [&[hello, cancel, ping, initialized, hold][..], &lists].concat();
        let text: String = all.iter().map(|message| format!("{message}\n")).collect();
        client.ear.revision = revision;
        client.write(text).await;
        let mut ids = Vec::new();
        while ids.len() < 2 + lists.len() {
            ids.push(client.next().await["id"].clone());
        }
        let greeted = ids.iter().position(|id| *id == 0).unwrap();
        let pinged = ids.iter().position(|id| *id == "p").unwrap();
        assert!(greeted <= 1 && pinged <= 1, "a ping may go before: {ids:?}");
        assert_eq!(ids[2..], (2..40).map(Value::from).collect::<Vec<_>>());
        mount.next().await.say("held");
        assert_eq!(text_of(&client.answer(&json!(1)).await), "held");
        client.close().await;
        done(serving).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_initialize_can_only_say_so_much() {
    // The server never says who it is.
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(far);
    let silent = rialto::Proxy::in_process(|_io| std::future::pending::<()>());
    let serving = tokio::spawn(silent.serve_lines(reader, writer));
    let mut client = Pipe::over(near);
    client.send(&initialize(0, NEWEST)).await;
    for n in 1..=64 {
        client.text(&request(n, "tools/list", json!({})).to_string()).await;
    }
    assert_eq!(client.ask(&request("p", "ping", json!({}))).await["result"], json!({}));
    let refused = client.ask(&request(65, "tools/list", json!({}))).await;
    assert_eq!(code(&refused), -32600);
    assert_eq!(client.ear.heard, [] as [Value; 0], "`initialize` is not answered yet");
    let second = client.ask(&initialize(66, NEWEST)).await;
    assert_eq!(code(&second), -32600, "there is one already");
    client.close().await;
    client.rest().await;
    done(serving).await;
}

#[tokio::test]
async fn no_more_bytes_than_a_few_wait_for_initialize() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(far);
    let silent = rialto::Proxy::in_process(|_io| std::future::pending::<()>());
    let serving = tokio::spawn(silent.serve_lines(reader, writer));
    let mut client = Pipe::over(near);
    client.send(&initialize(0, NEWEST)).await;
    let call = |id: u32| request(id, "tools/call", json!({"name": "x", "arguments": {"x": "x".repeat(900_000)}}));
    client.text(&call(1).to_string()).await;
    let refused = client.ask(&call(2)).await;
    assert_eq!(code(&refused), -32600);
    assert_eq!(client.ear.heard, [] as [Value; 0], "`initialize` is not answered yet");
    client.close().await;
    client.rest().await;
    done(serving).await;
}

#[tokio::test]
async fn progress_and_logs_come_before_the_answer() {
    for revision in REVISIONS {
        let mount = Scripted::new("docs");
        let (mut client, serving) = Pipe::at(&mount);
        client.handshake(revision).await;
        for token in [json!(7), json!("7")] {
            let mut call = request("c", "tools/call", tool("hold"));
            call["params"]["_meta"] = json!({"progressToken": token});
            client.send(&call).await;
            let held = soon("a call", mount.next()).await;
            for step in [1, 2, 2, 3] {
                held.progress(&json!(step));
            }
            held.notify("notifications/message", &json!({"level": "error", "data": "x"}));
            held.say("done");
            client.answer(&json!("c")).await;
            let heard = std::mem::take(&mut client.ear.heard);
            let steps: Vec<_> = heard.iter().filter(|m| m["method"] == "notifications/progress").collect();
            assert_eq!(steps.iter().map(|m| m["params"]["progress"].clone()).collect::<Vec<_>>(), [1, 2, 3]);
            assert!(steps.iter().all(|m| m["params"]["progressToken"] == token));
            assert_eq!(heard.iter().filter(|m| m["method"] == "notifications/message").count(), 1);
        }
        // The level is the session's.
        assert!(client.ask(&request(1, "logging/setLevel", json!({"level": "error"}))).await["result"].is_object());
        client.send(&request(2, "tools/call", tool("hold"))).await;
        let held = soon("a call", mount.next()).await;
        held.notify("notifications/message", &json!({"level": "info", "data": "x"}));
        held.say("done");
        client.answer(&json!(2)).await;
        assert_eq!(client.ear.heard, [] as [Value; 0]);
        client.close().await;
        done(serving).await;
    }
}

#[tokio::test]
async fn changes_are_told_once_the_client_is_ready_for_them() {
    for says_so in [true, false] {
        let mount = Scripted::new("docs");
        let (mut client, serving) = Pipe::at(&mount);
        client.initialize(NEWEST).await;
        let peer = mount.last_caller().scope.peer().clone();
        for _ in 0..3 {
            peer.notify(notification(TOOLS, Value::Null));
        }
        // Nothing but answers before.
        client.nothing().await;
        if says_so {
            client.tell("notifications/initialized", json!({})).await;
        } else {
            // There are clients that never say it.
            client.send(&request(1, "tools/list", json!({}))).await;
        }
        assert_eq!(client.said(TOOLS).await["method"], TOOLS);
        let updated = json!({"uri": "docs:a"});
        peer.notify(notification("notifications/resources/updated", updated.clone()));
        assert_eq!(client.said("notifications/resources/updated").await["params"], updated);
        assert!(client.ear.heard.iter().all(|m| m["id"] == 1), "{:?}", client.ear.heard);
        client.close().await;
        done(serving).await;
    }
}

#[tokio::test]
async fn questions_are_asked_and_answered_on_the_pipe() {
    for revision in REVISIONS {
        let mount = Scripted::new("docs");
        let (mut client, serving) = Pipe::at(&mount);
        client.handshake(revision).await;
        client.send(&request(1, "tools/call", tool("hold"))).await;
        let held = soon("a call", mount.next()).await;
        let content = json!({"role": "assistant", "content": {"type": "text", "text": "hi"}, "model": "m"});
        let message =
            json!({"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 1});
        let mut rounds = vec![
            ("sampling/createMessage", message, content),
            ("roots/list", json!({}), json!({"roots": [{"uri": "file:///a"}]})),
        ];
        if revision >= "2025-06-18" {
            let form = crate::legacy_support::mount::form("Who?");
            rounds.push(("elicitation/create", form, json!({"action": "accept", "content": {"name": "Ada"}})));
        }
        for (method, params, result) in rounds {
            let asking = held.ask(method, &params);
            let question = client.said(method).await;
            // Something else of the client comes between.
            client.ask(&request("between", "tools/list", json!({}))).await;
            client.reply(&json!({"id": "nobody"}), json!({})).await;
            client.reply(&question, result.clone()).await;
            let answer = soon("the answer", asking).await.unwrap().unwrap();
            assert_eq!(crate::support::json::value(&answer.to_raw()), result);
            // Once is enough.
            client.reply(&question, result).await;
        }
        held.say("done");
        assert_eq!(text_of(&client.answer(&json!(1)).await), "done");
        client.close().await;
        done(serving).await;
    }
}

#[tokio::test]
async fn a_question_ends_with_its_call_and_with_the_one_who_asked() {
    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    client.handshake(NEWEST).await;
    client.send(&request(1, "tools/call", tool("hold"))).await;
    let mut held = soon("a call", mount.next()).await;
    let asking = held.elicit("Who?");
    let question = client.said("elicitation/create").await;
    asking.abort();
    let withdrawn = client.said("notifications/cancelled").await;
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    // The call goes on, asks again, and is cancelled.
    let asking = held.elicit("Who then?");
    let question = client.said("elicitation/create").await;
    client.cancel(1).await;
    soon("the end of the call", held.dropped()).await;
    let withdrawn = client.said("notifications/cancelled").await;
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    assert!(soon("the end of the question", asking).await.unwrap().is_err());
    client.nothing().await;
    // An error is an answer as well, and nobody is asked what the client cannot answer.
    client.send(&request(2, "tools/call", tool("hold"))).await;
    let held = soon("a call", mount.next()).await;
    let asking = held.elicit("Who now?");
    let question = client.said("elicitation/create").await;
    let error = json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "no"}});
    client.text(&error.to_string()).await;
    assert!(soon("the error", asking).await.unwrap().is_err());
    held.say("done");
    client.answer(&json!(2)).await;
    client.close().await;
    done(serving).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_outlives_every_silence() {
    let mount = Scripted::new("docs");
    let (mut client, serving) = Pipe::at(&mount);
    client.handshake(NEWEST).await;
    client.send(&request(1, "tools/call", tool("hold"))).await;
    let held = soon("a call", mount.next()).await;
    // Longer than a session over HTTP may be idle.
    tokio::time::advance(Duration::from_secs(3 * 24 * 3600)).await;
    client.ask(&modern(2, "server/discover", json!({}))).await;
    assert!(client.ask(&request(3, "tools/list", json!({}))).await["result"].is_object());
    held.say("done");
    assert_eq!(text_of(&client.answer(&json!(1)).await), "done");
    client.close().await;
    done(serving).await;
}
