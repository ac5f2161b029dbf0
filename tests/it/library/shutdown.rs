//! Programs that stop: `axum::serve` with a graceful shutdown comes to its end.

use axum::{Router, body::Body, routing::get};
use futures_util::{StreamExt, stream};
use rialto::{Proxy, Rialto, downstream::Settings};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{by_hand, command, serve};
use crate::{
    matrix::{
        client::{Client, http_client},
        process::{Fixture, processes_with, until},
    },
    support::wait::{soon, within},
};

/// Serves `app` as a program would, opens every kind of stream that has no end, stops, and waits for the end.
async fn stops(app: Router, stop: CancellationToken, routes: &[&str]) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let graceful = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    let serving = tokio::spawn(graceful.into_future());

    let url = format!("{base}/mcp/docs");
    let wanted = json!({ "notifications": { "toolsListChanged": true } });
    let listening = by_hand(&url, "subscriptions/listen", wanted).send().await.unwrap();
    assert_eq!(listening.status().as_u16(), 200, "{:?}", listening.headers());
    let mut listening = listening.bytes_stream();
    let first = within(listening.next()).await.unwrap().unwrap();
    assert!(first.starts_with(b"event: message"), "{first:?}");
    // It opens the stream that belongs to no request.
    let legacy = Client::connect(&url, "2025-11-25").await;
    let mut streams = Vec::new();
    for route in routes {
        let mut body = http_client().get(format!("{base}{route}")).send().await.unwrap().bytes_stream();
        assert_eq!(within(body.next()).await.unwrap().unwrap(), "data: open\n\n");
        streams.push(body);
    }

    stop.cancel();
    soon("the server ends", serving).await.unwrap().unwrap();
    let rest: Vec<_> = within(listening.collect()).await;
    let said = rest.iter().flatten().map(|chunk| String::from_utf8_lossy(chunk)).collect::<String>();
    assert!(said.contains("\"resultType\":\"complete\""), "the subscription ends as the protocol ends it: {said:?}");
    drop((legacy, streams));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_streams_of_a_nested_proxy_end_with_the_program() {
    let fixture = Fixture::start(&["--revision", "2026-07-28"]).await;
    let stop = CancellationToken::new();
    let proxy = Proxy::to(&fixture.url).draining(stop.clone());
    stops(Router::new().nest_service("/mcp/docs", proxy.into_service()), stop, &[]).await;

    let stop = CancellationToken::new();
    let settings = Settings { draining: stop.clone(), ..Settings::default() };
    let proxy = Proxy::to(&fixture.url).settings(settings);
    stops(Router::new().nest("/mcp/docs", proxy.into_router()), stop, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_streams_of_an_application_end_with_the_program() {
    let fixture = Fixture::start(&["--revision", "2026-07-28"]).await;
    let endless = async || {
        let open = stream::once(async { Ok::<_, std::convert::Infallible>("data: open\n\n") });
        Body::from_stream(open.chain(stream::pending()))
    };
    let elsewhere = serve(Router::new().route("/events", get(endless))).await;
    let stop = CancellationToken::new();
    let app = Rialto::builder()
        .mount("docs", Proxy::to(&fixture.url))
        .route_to("/elsewhere", elsewhere.base.as_str())
        .draining(stop.clone())
        .build();
    stops(app, stop, &["/elsewhere/events"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_end_with_the_application() {
    let tag = format!("--tag=library-{}", std::process::id());
    let app = Rialto::builder().local().mount("docs", command("dual").args([&tag])).build();
    let served = serve(app).await;
    let client = Client::connect(&served.at("/mcp/docs"), "2025-11-25").await;
    assert_eq!(client.request("tools/list", json!({})).await.status.as_u16(), 200);
    if cfg!(target_os = "linux") {
        assert!(!processes_with(&tag).is_empty());
    }
    drop((client, served));
    until("the child ends", || async { processes_with(&tag).is_empty() }).await;
}
