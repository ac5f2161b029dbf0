//! What answers nothing that was asked, wherever it comes.

use super::*;

fn strays(scrape: &Scrape) -> u64 {
    scrape.value("rialto_upstream_oddities_total", &[("mount", "docs"), ("kind", "stray_message")])
}

#[tokio::test]
async fn strays_are_counted_on_pipes_and_standing_streams() {
    // On a pipe, of either era.
    let play: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => {
            let stray = json!({ "jsonrpc": "2.0", "id": 999_999, "result": {} });
            vec![stray.clone(), result(heard, said()), stray]
        }
        _ => Vec::new(),
    };
    for revision in [LEGACY, MODERN] {
        let app = App::start(rialto::Rialto::builder().mount("docs", piped(revision, play)).local()).await;
        let client = Client::connect(&app.mount("docs"), MODERN).await;
        client.call("t", json!({})).await.result();
        app.until("two strays", |scrape| strays(scrape) == 2).await;
    }
    // A modern server that asks.
    let play: Play = |heard, call| asking(heard, call, asks("roots/list", json!({})));
    let app = App::start(rialto::Rialto::builder().mount("docs", piped(MODERN, play)).local()).await;
    let client = Client::connect(&app.mount("docs"), MODERN).await;
    let (_, call) = client.start("t", json!({}));
    app.until("a stray", |scrape| strays(scrape) == 1).await;
    call.abort();

    // On the standing stream of a legacy server.
    let stream = || {
        let stray = event(&json!({ "jsonrpc": "2.0", "id": 999_999, "result": {} }));
        let (reply, pieces) = Reply::events();
        tokio::spawn(async move {
            let _ = pieces.send(Piece::Text(stray)).await;
            pieces.closed().await;
        });
        reply
    };
    let server = legacy_server(Some("s-1"), stream, |seen| async move { Reply::json(200, &seen.result(said())) }).await;
    let app = App::start(rialto::Rialto::builder().mount("docs", Proxy::to(server.url())).local()).await;
    let client = Client::connect(&app.mount("docs"), MODERN).await;
    client.call("t", json!({})).await.result();
    app.until("a stray", |scrape| strays(scrape) == 1).await;
}

#[tokio::test]
async fn strays_are_counted_on_the_subscriptions_of_modern_servers() {
    let server = Scripted::greeting(
        |seen| (seen.method() == "server/discover").then(|| discovered(seen)),
        |seen| async move {
            let mut honoured = says(
                "notifications/subscriptions/acknowledged",
                json!({ "notifications": {
                "toolsListChanged": true } }),
            );
            honoured["params"]["_meta"] = json!({ "io.modelcontextprotocol/subscriptionId": seen.body["id"] });
            let stray = event(&json!({ "jsonrpc": "2.0", "id": 999_999, "result": { "resultType": "complete" } }));
            let (reply, pieces) = Reply::events();
            tokio::spawn(async move {
                for piece in [stray.clone(), event(&honoured), stray] {
                    let _ = pieces.send(Piece::Text(piece)).await;
                }
                pieces.closed().await;
            });
            reply
        },
    )
    .await;
    let app = App::start(rialto::Rialto::builder().mount("docs", Proxy::to(server.url())).local()).await;
    let client = Client::connect(&app.mount("docs"), MODERN).await;
    let _events = client.listen().await;
    app.until("two strays", |scrape| strays(scrape) == 2).await;
}

/// The answer to a call that was abandoned is no stray: the server may not have known.
#[tokio::test]
async fn a_late_answer_is_no_stray() {
    let play: Play = |heard, call| match heard["method"].as_str() {
        Some("tools/call") if heard["params"]["arguments"]["waits"] == true => vec![says("x/waits", json!({}))],
        Some("notifications/cancelled") => vec![result(call, said())],
        _ => Vec::new(),
    };
    let app = App::start(rialto::Rialto::builder().mount("docs", piped(LEGACY, play)).local()).await;
    let client = Client::connect(&app.mount("docs"), MODERN).await;
    let (_, call) = client.start("t", json!({ "waits": true }));
    app.until("a call", |scrape| scrape.value("rialto_calls_in_flight", &[("mount", "docs")]) == 1).await;
    call.abort();
    app.until("its end", |scrape| scrape.calls("docs", "tools/call", "abandoned") == 1).await;
    // Whatever was said before this has been heard when it is answered.
    client.call("t", json!({})).await.result();
    assert_eq!(strays(&app.scrape().await), 0);
}
