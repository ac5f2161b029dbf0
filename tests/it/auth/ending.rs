//! The program is told to end while much is going on (SEC-161, SEC-162).

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rialto::auth::{Key, fresh_key};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    matrix::{
        client::{Client, MODERN, http_client},
        process::{Fixture, Rialto, until},
    },
    server_kit::soon,
};

/// How long the program may take to end when nothing but idle streams is open.
const A_FEW_SECONDS: Duration = Duration::from_secs(4);

/// As many subscriptions as this each, below what one of them may hold.
const EACH: usize = 40;

/// A gateway with a key for each of several principals, listening where `listen` says.
async fn keyed(fixture: &Fixture, principals: usize, listen: &str) -> (Rialto, Vec<String>) {
    let keys: Vec<String> = (0..principals).map(|_| fresh_key()).collect();
    let entry = |(number, key): (usize, &String)| {
        let principal = format!("p{number}");
        json!({ "principal": principal, "key": Key::new(&principal, key).unwrap().to_hash() })
    };
    let entries: Vec<Value> = keys.iter().enumerate().map(entry).collect();
    let config = json!({
        "mcpServers": { "far": fixture.entry() },
        "rialto": { "hosts": ["127.0.0.1"], "auth": { "keys": entries } },
    });
    let config = config.to_string();
    let rialto = Rialto::run_with(Some(("mcp.json", &config)), |command| command.args(["--listen", listen])).await;
    (rialto.unwrap(), keys)
}

#[tokio::test]
async fn sec_161_hundreds_of_streams_end_with_their_last_words() {
    let fixture = Fixture::start(&["--revision", "dual"]).await;
    let (mut rialto, keys) = keyed(&fixture, 8, "127.0.0.1:0").await;
    let url = rialto.mount("far");
    let modern = join_all(keys.iter().map(|key| Client::connect_as(&url, MODERN, key))).await;
    let streams = join_all((0..EACH).flat_map(|_| &modern).map(Client::listen)).await;
    // Each of these holds a GET stream.
    let legacy = join_all((0..15).flat_map(|_| &keys).map(|key| Client::connect_as(&url, "2025-11-25", key))).await;
    assert_eq!((streams.len(), legacy.len()), (320, 120));

    let asked = Instant::now();
    rialto.signal(Signal::TERM);
    let ends = streams.into_iter().map(|mut stream| async move {
        let last = soon("the last words of a subscription", stream.next()).await.expect("a result");
        let last: Value = serde_json::from_str(&last).unwrap();
        assert_eq!(last["result"]["resultType"], "complete", "{last}");
        assert!(soon("the end of a subscription", stream.next()).await.is_none());
    });
    join_all(ends).await;
    let status = rialto.ended().await;
    assert_eq!(status.code(), Some(0), "{status}\n{}", rialto.log());
    assert!(asked.elapsed() < A_FEW_SECONDS, "it took {:?}\n{}", asked.elapsed(), rialto.log());
    assert!(!rialto.log().contains("did not end in time"), "{}", rialto.log());
}

/// Waits until this many slow calls have reached the server.
async fn running(fixture: &Fixture, count: usize) {
    until("the calls to reach the server", || async {
        fixture.status().await["executions"]["slow"].as_u64().unwrap_or_default() >= count as u64
    })
    .await;
}

#[tokio::test]
async fn sec_162_no_call_is_lost_that_ends_within_the_drain() {
    let fixture = Fixture::start(&["--revision", "dual"]).await;
    let (mut rialto, keys) = keyed(&fixture, 4, "127.0.0.1:0").await;
    let url = rialto.mount("far");
    let eras = ["2025-06-18", MODERN];
    let clients =
        join_all(keys.iter().zip(eras.iter().cycle()).map(|(key, era)| Client::connect_as(&url, era, key))).await;
    let calls =
        (0..30).flat_map(|turn| clients.iter().map(move |client| (turn, client))).map(|(turn, client)| async move {
            // From a tenth of a second to three seconds from now.
            let reply = client.call("slow", json!({ "steps": turn % 5 + 1, "ms": 100 + 20 * turn })).await;
            assert!(reply.said().starts_with("done after"), "{}", reply.text);
        });
    let stop = async {
        running(&fixture, 120).await;
        rialto.signal(Signal::TERM);
    };
    tokio::join!(join_all(calls), stop);
    drop(clients);
    assert_eq!(rialto.ended().await.code(), Some(0), "{}", rialto.log());
    assert!(!rialto.log().contains("cut"), "{}", rialto.log());
}

/// Where others connect, load balancers may stand in front: readiness ends first, and what still comes is served.
#[tokio::test]
async fn sec_162_a_stop_is_announced_before_it_begins() {
    let fixture = Fixture::start(&["--revision", "dual"]).await;
    let (mut rialto, keys) = keyed(&fixture, 1, "0.0.0.0:0").await;
    let (url, key) = (rialto.mount("far"), &keys[0]);
    let before = Client::connect_as(&url, MODERN, key).await;
    let mut stream = before.listen().await;
    let readiness = format!("{}/readyz", rialto.base);
    let ready = || async { http_client().get(&readiness).send().await.map(|answer| answer.status().as_u16()).ok() };
    assert_eq!(ready().await, Some(200));

    let asked = Instant::now();
    rialto.signal(Signal::TERM);
    until("the end of readiness", || async { ready().await == Some(503) }).await;
    // New connections, sessions, calls and subscriptions: nothing has changed for those who come.
    let late = Client::connect_as(&url, "2025-11-25", key).await;
    assert_eq!(late.call("echo", json!({ "text": "late" })).await.said(), "late");
    drop(before.listen().await);
    let told = soon("the last words of a subscription", stream.next()).await.expect("a result");
    assert!(told.contains("complete"), "{told}");
    let notice = asked.elapsed();
    assert!(notice > Duration::from_millis(2500), "streams ended after {notice:?}");
    assert_eq!(rialto.ended().await.code(), Some(0), "{}", rialto.log());
    assert!(asked.elapsed() < notice + A_FEW_SECONDS, "it took {:?}\n{}", asked.elapsed(), rialto.log());
    assert_eq!(ready().await, None, "still accepting");
}

/// A second signal ends the program at once, whether the first one is still being announced or calls are running.
#[tokio::test]
async fn sec_161_a_second_signal_ends_the_program() {
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let fixture = Fixture::start(&["--revision", "dual"]).await;
        let (mut rialto, keys) = keyed(&fixture, 1, listen).await;
        let client = Client::connect_as(&rialto.mount("far"), MODERN, &keys[0]).await;
        let (_, call) = client.start("slow", json!({ "steps": 100, "ms": 300 }));
        running(&fixture, 1).await;
        rialto.signal(Signal::TERM);
        until("the first signal to be heard", || async { rialto.log().contains("stopping") }).await;
        let asked = Instant::now();
        rialto.signal(Signal::TERM);
        assert_eq!(rialto.ended().await.code(), Some(0), "{listen}\n{}", rialto.log());
        assert!(asked.elapsed() < A_FEW_SECONDS, "{listen}: it took {:?}\n{}", asked.elapsed(), rialto.log());
        assert!(rialto.log().contains("second signal"), "{listen}\n{}", rialto.log());
        soon("the end of the call", call).await.unwrap();
    }
}
