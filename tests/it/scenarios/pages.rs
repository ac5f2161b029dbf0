//! A legacy server that wants pages visited before it runs a call (2025-11-25, client/elicitation#error-handling).

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// The refusal of a server that wants one page visited.
fn wants(id: &str) -> Result<Value, Value> {
    let page =
        json!({"mode": "url", "elicitationId": id, "url": format!("https://pay.example/{id}"), "message": "Pay first"});
    Err(json!({"code": -32042, "message": "A page has to be visited", "data": {"elicitations": [page]}}))
}

/// A server that wants a page visited before each of the first `times` attempts, and counts what it ran.
async fn paid(times: usize) -> (Old, Arc<AtomicUsize>) {
    let (attempts, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let runs = ran.clone();
    let server = Old::start(Like::default(), move |_| {
        let attempt = attempts.fetch_add(1, Ordering::SeqCst);
        let ran = runs.clone();
        async move {
            if attempt < times {
                return wants(&format!("e-{attempt}"));
            }
            text(ran.fetch_add(1, Ordering::SeqCst) + 1)
        }
    })
    .await;
    (server, ran)
}

async fn visited(server: &Old, id: &str) {
    let session = server.sessions().pop().unwrap();
    server.outside(&session).say("notifications/elicitation/complete", json!({"elicitationId": id})).await;
}

#[tokio::test]
async fn era_412_a_page_is_visited_and_the_call_sent_again() {
    // Whether the server is done with the page before the client comes back or after.
    for early in [true, false] {
        let (server, ran) = paid(1).await;
        let gateway = gateway_at(&server.scripted).await;
        let call = tool("t", json!({"a": 1})).answering();
        let response = call.response(&gateway, 200).await;
        let (_, question) = asked(&response);
        assert_eq!(question["method"], "elicitation/create");
        assert_eq!(
            question["params"],
            json!({"mode": "url", "url": "https://pay.example/e-0", "message": "Pay first"}),
            "nothing of the other era"
        );
        if early {
            visited(&server, "e-0").await;
        }
        let retry = async { answer(&gateway, &call, &response, json!({"action": "accept"})).await };
        let visiting = async {
            if !early {
                // What would be sent without waiting has been sent by then.
                tokio::time::sleep(Duration::from_millis(150)).await;
                assert_eq!(server.calls().len(), 1, "the server has not said that it is done");
                visited(&server, "someone-elses").await;
                visited(&server, "e-0").await;
            }
        };
        let (done, ()) = tokio::join!(retry, visiting);
        assert_eq!(said(&done), "1");
        assert_eq!((server.calls().len(), ran.load(Ordering::SeqCst)), (2, 1));
        assert_eq!(server.calls()[1].body["params"]["arguments"], json!({"a": 1}));
    }
}

#[tokio::test]
async fn era_412_a_page_that_is_not_visited_ends_the_call() {
    for action in ["decline", "cancel"] {
        let (server, ran) = paid(1).await;
        let gateway = gateway_at(&server.scripted).await;
        let call = tool("t", json!({})).answering();
        let response = call.response(&gateway, 200).await;
        let done = answer(&gateway, &call, &response, json!({"action": action})).await;
        assert_eq!(done["result"]["isError"], true);
        assert!(said(&done).contains("A page has to be visited"), "{done}");
        assert_eq!((server.calls().len(), ran.load(Ordering::SeqCst)), (1, 0));
        // Where there is no failed result, it is an error.
        let (server, _) = paid(1).await;
        let gateway = gateway_at(&server.scripted).await;
        let prompt = modern("prompts/get", json!({"name": "p"})).answering();
        let response = prompt.response(&gateway, 200).await;
        let (key, _) = asked(&response);
        let error = prompt.retry(&response, json!({key: {"action": action}})).error(&gateway, 200, -32603).await;
        assert_eq!(error["data"]["reason"], "policy");
    }
}

#[tokio::test]
async fn era_413_a_client_that_shows_no_pages_hears_what_it_lacks() {
    let (server, ran) = paid(1).await;
    let gateway = gateway_at(&server.scripted).await;
    for capabilities in [json!({}), json!({"elicitation": {}}), json!({"elicitation": {"form": {}}})] {
        let call = modern("resources/read", json!({"uri": "a:b"})).capabilities(capabilities);
        let server = Old::start(Like::default(), |_| async { wants("e") }).await;
        let other = gateway_at(&server.scripted).await;
        let error = call.error(&other, 400, -32021).await;
        assert_eq!(error["data"]["requiredCapabilities"], json!({"elicitation": {"url": {}}}));
        assert_eq!(error["data"]["cause"]["code"], -32042);
    }
    // On a method that may not ask the code means nothing to a modern client.
    let error = modern(
        "completion/complete",
        json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}}),
    )
    .answering()
    .error(&gateway, 200, -32603)
    .await;
    assert_eq!(error["data"]["code"], -32042, "{error}");
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn era_415_a_server_that_wants_page_after_page_is_given_up() {
    let (server, ran) = paid(6).await;
    let gateway = gateway_at(&server.scripted).await;
    let call = tool("t", json!({})).answering();
    let mut response = call.response(&gateway, 200).await;
    for round in 0..5 {
        let (key, question) = asked(&response);
        assert_eq!(question["params"]["url"], format!("https://pay.example/e-{round}"));
        visited(&server, &format!("e-{round}")).await;
        response = call.clone().retry(&response, json!({key: {"action": "accept"}})).send(&gateway).await.response();
    }
    let error = &response["error"];
    assert_eq!(
        (&error["code"], &error["data"]["reason"]),
        (&json!(-32603), &json!("input_rounds_exceeded")),
        "{response}"
    );
    assert_eq!((server.calls().len(), ran.load(Ordering::SeqCst)), (6, 0));
    assert_eq!(gateway.settings.held.parked(), 0);
}

#[tokio::test]
async fn a_refusal_that_names_no_page_is_an_error() {
    for data in
        [json!(null), json!({}), json!({"elicitations": []}), json!({"elicitations": [{"message": "?"}]}), json!([1])]
    {
        let refusal = json!({"code": -32042, "message": "m", "data": data});
        let server = Old::start(Like::default(), move |_| {
            let refusal = refusal.clone();
            async move { Err(refusal) }
        })
        .await;
        let gateway = gateway_at(&server.scripted).await;
        tool("t", json!({})).answering().error(&gateway, 200, -32603).await;
        assert_eq!(server.calls().len(), 1);
    }
}

#[tokio::test]
async fn era_414_clients_of_older_revisions_are_told_in_words_what_the_newest_have_a_code_for() {
    let server = Old::start(Like::default(), |_| async { wants("e-0") }).await;
    let gateway = gateway_at(&server.scripted).await;
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY] {
        let client = legacy(&gateway, revision, able()).await;
        let before = server.scripted.seen().len();
        let called = client.call(1, "t").await.unwrap();
        let got = client.ask(2, "prompts/get", json!({"name": "p"})).await;
        assert_eq!((called.status.as_u16(), got.status.as_u16()), (200, 200));
        let (called, got) = (called.json(), got.json());
        let asked = server.scripted.seen().split_off(before);
        let asked = asked.iter().filter(|seen| matches!(seen.method(), "tools/call" | "prompts/get"));
        assert_eq!(asked.count(), 2, "{revision}: nothing is sent again");
        if revision == LEGACY {
            let error = wants("e-0").unwrap_err();
            assert_eq!((&called["error"], &got["error"]), (&error, &error));
            continue;
        }
        assert_eq!(called["result"]["isError"], true, "{revision}: {called}");
        assert_eq!(got["error"]["code"], -32603, "{revision}: {got}");
        for text in [&said(&called), got["error"]["message"].as_str().unwrap()] {
            for part in ["A page has to be visited", "Pay first", "https://pay.example/e-0"] {
                assert!(text.contains(part), "{revision}: {text}");
            }
        }
    }
}
