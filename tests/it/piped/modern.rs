//! Modern clients: what is asked comes as an answer, and what ends is cancelled by a notification.

use std::sync::Arc;

use rialto::{
    downstream::{Endpoint, Settings},
    hub::{self, Gather, Limit},
    mount::{Share, Single},
    seal::Sealer,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    Pipe,
    kit::{SUBSCRIPTION, code, done, text_of, tool},
    modern,
};
use crate::{
    subscriptions::server::{Server, Speaks, Through},
    support::{
        mount::{Scripted, elicit, log, notification, progress, says, told},
        wait::soon,
    },
};

const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const TOOLS: &str = "notifications/tools/list_changed";

fn listen(id: impl Into<Value>, filter: Value) -> Value {
    modern(id, "subscriptions/listen", json!({"notifications": filter}))
}

/// The same call with an answer to what it asked.
fn retry(id: impl Into<Value>, asked: &Value, content: &Value) -> Value {
    let mut again = modern(id, "tools/call", tool("ask"));
    let mut responses = json!({});
    for key in asked["result"]["inputRequests"].as_object().expect("questions").keys() {
        responses[key] = json!({"action": "accept", "content": content});
    }
    again["params"]["inputResponses"] = responses;
    again["params"]["requestState"] = asked["result"]["requestState"].clone();
    again
}

/// A mount that asks who is there, and then waits for ever if it is told so.
fn asking() -> Arc<Scripted> {
    Arc::new(Scripted::new(|call| async move {
        let answer = told(&elicit(&call, "Who?").await);
        if answer.contains("wait") {
            progress(&call, 1);
            std::future::pending::<()>().await;
        }
        says(answer)
    }))
}

#[tokio::test]
async fn a_question_comes_as_a_result_and_its_answer_with_the_call() {
    let mount = asking();
    let (mut client, serving) = Pipe::at(&mount);
    let asked = client.ask(&modern(1, "tools/call", tool("ask"))).await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let said = client.ask(&retry(2, &asked, &json!({"name": "Ada"}))).await;
    assert!(text_of(&said).contains("Ada"), "{said}");
    assert_eq!(mount.counts().begun, 1);
    client.close().await;
    done(serving).await;
}

#[tokio::test]
async fn era_223_a_retry_that_is_cancelled_ends_the_call() {
    let mount = asking();
    let (mut client, serving) = Pipe::at(&mount);
    let asked = client.ask(&modern(1, "tools/call", tool("ask"))).await;
    // The first request was answered: that it is cancelled now means nothing.
    client.cancel(1).await;
    client.nothing().await;
    let mut again = retry("2", &asked, &json!({"name": "wait"}));
    again["params"]["_meta"]["progressToken"] = json!("t");
    client.send(&again).await;
    client.said("notifications/progress").await;
    client.cancel(2).await;
    client.nothing().await;
    assert_eq!(mount.counts().dropped, 0, "`2` is not `\"2\"`");
    client.cancel("2").await;
    soon("the end of the call", mount.until(|counts| counts.dropped == 1)).await;
    client.nothing().await;
    // The state is good for nothing any more.
    let refused = client.ask(&retry(3, &asked, &json!({"name": "Ada"}))).await;
    assert_eq!(code(&refused), -32602);
    client.close().await;
    assert_eq!(client.rest().await, [] as [Value; 0]);
    done(serving).await;
}

#[tokio::test]
async fn progress_and_logs_come_under_the_tokens_of_their_requests() {
    let mount = Arc::new(Scripted::new(|call| async move {
        for step in 1..=3 {
            progress(&call, step);
        }
        log(&call, "error", "x");
        says("done")
    }));
    let (mut client, serving) = Pipe::at(&mount);
    for token in [json!(7), json!("7")] {
        let mut call = modern(1, "tools/call", tool("x"));
        call["params"]["_meta"]["progressToken"] = token.clone();
        call["params"]["_meta"]["io.modelcontextprotocol/logLevel"] = json!("info");
        client.ask(&call).await;
        let heard = std::mem::take(&mut client.ear.heard);
        assert_eq!(heard.len(), 4, "{heard:?}");
        assert!(heard[..3].iter().all(|m| m["params"]["progressToken"] == token));
        assert_eq!(heard[3]["method"], "notifications/message");
    }
    // Who asks for nothing hears nothing.
    client.ask(&modern(2, "tools/call", tool("x"))).await;
    assert_eq!(client.ear.heard, [] as [Value; 0]);
    client.close().await;
    done(serving).await;
}

#[tokio::test]
async fn era_304_a_subscription_is_over_when_the_gateway_drains() {
    let (mount, mut opens) = Scripted::plain().listening(|filter| filter);
    let draining = CancellationToken::new();
    let settings = Settings { draining: draining.clone(), ..Settings::default() };
    let held = settings.held.clone();
    let (mut client, serving) = Pipe::with(&Arc::new(mount), settings);
    let mut open = Vec::new();
    for id in [json!(7), json!("7")] {
        client.send(&listen(id.clone(), json!({"toolsListChanged": true}))).await;
        let first = client.next().await;
        assert_eq!((&first["method"], &first["params"]["_meta"][SUBSCRIPTION]), (&json!(ACKNOWLEDGED), &id));
        let events = opens.recv().await.unwrap();
        events.send(notification(TOOLS, Value::Null)).await.unwrap();
        assert_eq!(client.next().await["params"]["_meta"][SUBSCRIPTION], id);
        open.push(events);
    }
    assert_eq!(held.listens(), 2);
    draining.cancel();
    let rest = client.rest().await;
    done(serving).await;
    assert_eq!(held.listens(), 0);
    for id in [json!(7), json!("7")] {
        let cancelled =
            rest.iter().position(|m| m["method"] == "notifications/cancelled" && m["params"]["requestId"] == id);
        let ended = rest.iter().position(|m| m["id"] == id);
        assert!(cancelled.is_some() && cancelled < ended, "{rest:?}");
        assert_eq!(rest[ended.unwrap()]["result"]["_meta"][SUBSCRIPTION], id);
    }
    assert_eq!(rest.len(), 4, "{rest:?}");
}

#[tokio::test]
async fn era_305_a_subscription_that_is_cancelled_is_let_go_of() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        for through in [Through::Http, Through::Pipe] {
            let server = Server::new(speaks);
            let sealer = Arc::new(Sealer::random());
            let single =
                Arc::new(Single::new("docs", server.connector(through).await, Share::Principal, sealer.clone()));
            let stack = Arc::new(Limit::new(Gather::new(single.clone(), 10)));
            let settings = Settings { sealer, ..Settings::default() };
            let held = settings.held.clone();
            let (mut client, serving) = Pipe::at_endpoint(&Endpoint::new(stack, settings));
            client.send(&listen(7, json!({"resourceSubscriptions": ["docs:a"]}))).await;
            let acknowledged = client.said(ACKNOWLEDGED).await;
            assert_eq!(acknowledged["params"]["notifications"], json!({"resourceSubscriptions": ["docs:a"]}));
            server.updates("docs:a");
            assert_eq!(client.next().await["params"]["uri"], "docs:a");
            assert_eq!(held.listens(), 1);
            // A modern server has a subscription of ours, a legacy one nobody to be told but this client.
            let wanted = || hub::Mount::holding(&*single).listeners + server.listened_to().len();
            assert_eq!(wanted(), 1, "{speaks:?} {through:?}");
            client.cancel("7").await;
            client.nothing().await;
            assert_eq!(held.listens(), 1);
            client.cancel(7).await;
            crate::subscriptions::until("the end of the subscription", || held.listens() == 0 && wanted() == 0).await;
            server.updates("docs:a");
            client.nothing().await;
            // The id is free, and the resource is wanted again.
            client.send(&listen(7, json!({"resourceSubscriptions": ["docs:a"]}))).await;
            client.said(ACKNOWLEDGED).await;
            server.updates("docs:a");
            assert_eq!(client.next().await["params"]["uri"], "docs:a");
            client.close().await;
            client.rest().await;
            done(serving).await;
            crate::subscriptions::until("the end of everything", || {
                // Modern servers know no sessions: what is kept of one costs it nothing.
                wanted() == 0 && (speaks == Speaks::Modern || hub::Mount::holding(&*single).sessions == 0)
            })
            .await;
            assert_eq!(held.listens(), 0);
        }
    }
}

#[tokio::test]
async fn a_subscription_ends_with_its_server_in_the_same_way() {
    let (mount, mut opens) = Scripted::plain().listening(|filter| filter);
    let (mut client, serving) = Pipe::at(&Arc::new(mount));
    client.send(&listen(7, json!({"toolsListChanged": true}))).await;
    client.said(ACKNOWLEDGED).await;
    drop(opens.recv().await.unwrap());
    let cancelled = client.next().await;
    assert_eq!(
        (&cancelled["method"], &cancelled["params"]["requestId"]),
        (&json!("notifications/cancelled"), &json!(7))
    );
    assert_eq!(client.next().await["result"]["_meta"][SUBSCRIPTION], 7);
    client.nothing().await;
    client.close().await;
    done(serving).await;
}

#[tokio::test]
async fn what_no_revision_defines_is_passed_on_only_in_an_envelope() {
    let mount = Arc::new(Scripted::plain());
    let (mut client, serving) = Pipe::at(&mount);
    let mut said = modern(0, "notifications/x-new", json!({}));
    said.as_object_mut().unwrap().remove("id");
    client.text(&said.to_string()).await;
    soon("the notification", mount.until(|counts| counts.notified == 1)).await;
    client.tell("notifications/x-new", json!({})).await;
    client.nothing().await;
    assert_eq!(mount.counts().notified, 1);
    client.close().await;
    done(serving).await;
}
