//! Questions that come to nothing, and what keeps them from being asked.

use super::*;

fn questions(scrape: &Scrape, ending: &str) -> u64 {
    let labels = [("mount", "docs"), ("question", "elicitation/create"), ("ending", ending)];
    scrape.value("rialto_questions_total", &labels)
}

fn form() -> Value {
    asks(
        "elicitation/create",
        json!({ "message": "Which?", "requestedSchema": { "type": "object", "properties": {} } }),
    )
}

/// Those of the table of losses that are questions are counted where all questions are, and nowhere else.
#[tokio::test]
async fn questions_that_come_to_nothing_are_counted_wherever_they_are_asked() {
    let outside: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => vec![result(heard, said()), form()],
        _ => Vec::new(),
    };
    let impatient: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => {
            let withdrawn = says("notifications/cancelled", json!({ "requestId": "question" }));
            vec![form(), withdrawn, result(heard, said())]
        }
        _ => Vec::new(),
    };
    let patient: Play = |heard, call| asking(heard, call, form());
    let modern: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") if heard["params"].get("inputResponses").is_none() => {
            let asked = json!({ "form": { "method": "elicitation/create", "params": form()["params"] } });
            let asks = json!({ "resultType": "input_required", "inputRequests": asked, "requestState": "s" });
            vec![json!({ "jsonrpc": "2.0", "id": heard["id"], "result": asks })]
        }
        _ => Vec::new(),
    };
    let able = json!({ "elicitation": { "form": {} } });
    let error = json!({ "error": { "code": -32603, "message": "not today" } });
    let (written, _logging) = warnings();
    for (ending, (server, play), client, able, warning) in [
        ("no_one", (LEGACY, outside), MODERN, &able, "there was nobody to ask"),
        ("withdrawn", (LEGACY, impatient), MODERN, &able, "did not wait for the answer"),
        ("failed", (LEGACY, patient), LEGACY, &able, ""),
        ("failed", (MODERN, modern), LEGACY, &able, ""),
        ("undeclared", (LEGACY, patient), MODERN, &json!({}), ""),
    ] {
        let app = App::start(rialto::Rialto::builder().mount("docs", piped(server, play)).local()).await;
        let client = connect(&app, client, able.clone(), error.clone()).await;
        for times in 1..=2 {
            client.call("t", json!({})).await.result();
            app.until(ending, |scrape| questions(scrape, ending) == times).await;
        }
        let scrape = app.scrape().await;
        assert_eq!(
            (scrape.sum("rialto_questions_total"), scrape.sum("rialto_bridging_losses_total")),
            (2, 0),
            "{ending}"
        );
        let warned = if warning.is_empty() { 0 } else { written.count(warning) };
        assert_eq!(warned, usize::from(!warning.is_empty()), "{ending}: once for the mount");
        client.close().await;
    }
}

#[tokio::test]
async fn a_server_without_sessions_is_counted_and_warned_of_once() {
    let (written, _logging) = warnings();
    let server =
        legacy_server(None, || Reply::empty(405), |seen| async move { Reply::json(200, &seen.result(said())) });
    let server = server.await;
    let app = App::start(rialto::Rialto::builder().mount("docs", Proxy::to(server.url())).local()).await;
    for times in 1..=2 {
        let client = connect(&app, LEGACY, json!({ "elicitation": {} }), Value::Null).await;
        assert_eq!(client.call("t", json!({})).await.said(), "done");
        assert_eq!(lost(&app.scrape().await, "stateless_server"), times, "for each session that is opened");
        client.close().await;
    }
    // Who can be asked nothing loses nothing.
    let client = Client::connect(&app.mount("docs"), LEGACY).await;
    assert_eq!(client.call("t", json!({})).await.said(), "done");
    assert_eq!(lost(&app.scrape().await, "stateless_server"), 2);
    assert_eq!(written.count("keeps no sessions"), 1, "{written:?}", written = written.text());
    client.close().await;
}

#[tokio::test]
async fn a_server_that_may_ask_where_nobody_hears_is_counted_and_warned_of_once() {
    let (written, _logging) = warnings();
    let server = legacy_server(Some("s-1"), || Reply::empty(405), |_| std::future::pending()).await;
    let limits = ServerLimits { silence: Duration::from_millis(100), ..ServerLimits::default() };
    let settings = Settings::from(Limits::from(limits));
    let proxy = Proxy::to(server.url());
    let app = App::start(rialto::Rialto::builder().mount("docs", proxy).settings(settings).local()).await;
    let client = Client::connect(&app.mount("docs"), MODERN).await;
    for times in 1..=2 {
        assert_eq!(client.call("t", json!({})).await.error()["data"]["reason"], "timeout");
        app.until("a question that may be lost", |scrape| lost(scrape, "streamless_server") == times).await;
    }
    assert_eq!(written.count("offers no GET stream"), 1);
}
