//! The bounds towards servers, each set by its key in a config: `rialto.limits`. A played server is one in this process, and
//! time is the test's.

mod kept;

use rialto::Proxy;
use tokio::time::{Instant, sleep};

use super::{
    answers::{ask, needs, server},
    pages::paid,
    *,
};
use crate::{
    limits::limits,
    lines::{Server, Started, played_proxy},
    rest::app::App,
};

const SECOND: Duration = Duration::from_secs(1);

/// A gateway in front of a played server.
fn played(given: Value) -> (Gateway, Started) {
    let (proxy, started) = played_proxy();
    (Gateway::of(proxy, limits(&given)), started)
}

/// A gateway in front of a server over HTTP.
async fn over_http(given: Value, server: &Scripted) -> Gateway {
    Gateway::of(Proxy::to(server.url()), limits(&given)).listen().await
}

async fn next(started: &mut Started) -> Server {
    soon("a server", started.recv()).await.unwrap()
}

fn call() -> Sent {
    tool("t", json!({}))
}

/// Answers what comes before a message with this method, or before a response.
async fn until(server: &mut Server, method: &str) -> Value {
    loop {
        let message = server.next().await;
        match message["method"].as_str().unwrap_or_default() {
            found if found == method => return message,
            "ping" | "resources/unsubscribe" => server.result(&message, json!({})).await,
            "tools/list" => server.result(&message, json!({"tools": [plain("t")]})).await,
            _ => panic!("{message}"),
        }
    }
}

/// Plays a legacy server whose tool says `ran`, and gives what it has seen.
async fn runs(server: &mut Server) {
    let sent = until(server, "tools/call").await;
    server.result(&sent, text("ran").unwrap()).await;
}

/// Greets as a legacy server with these capabilities.
async fn greets(server: &mut Server, capabilities: Value) {
    let probe = server.expect("server/discover").await;
    server.error(&probe, -32601).await;
    let hello = server.expect("initialize").await;
    let info = json!({"name": "played", "version": "1"});
    let result = json!({"protocolVersion": LEGACY, "capabilities": capabilities, "serverInfo": info});
    server.result(&hello, result).await;
    server.expect("notifications/initialized").await;
}

#[tokio::test(start_paused = true)]
async fn limit_silence() {
    let (gateway, mut started) = played(json!({"silence": "5s"}));
    let begun = Instant::now();
    let serving = async {
        let mut server = next(&mut started).await;
        server.legacy().await;
        let sent = until(&mut server, "tools/call").await;
        assert_eq!(until(&mut server, "notifications/cancelled").await["params"]["requestId"], sent["id"]);
    };
    let call = call();
    let (error, ()) = tokio::join!(call.error(&gateway, 200, -32603), serving);
    assert_eq!((&error["data"]["reason"], begun.elapsed().as_secs()), (&json!("timeout"), 5));
}

#[tokio::test(start_paused = true)]
async fn a_tool_may_be_silent_for_longer_than_usual() {
    let (gateway, mut started) = played(json!({"silence": "40m", "call": "2h"}));
    let serving = async {
        let mut server = next(&mut started).await;
        server.legacy().await;
        let sent = until(&mut server, "tools/call").await;
        sleep(35 * 60 * SECOND).await;
        server.result(&sent, text("at last").unwrap()).await;
    };
    let (gateway, call) = (&gateway, call());
    let calling = async { call.open(gateway).await.whole().await.response() };
    let (response, ()) = tokio::join!(calling, serving);
    assert_eq!(said(&response), "at last");
}

#[tokio::test(start_paused = true)]
async fn limit_call() {
    let (gateway, mut started) = played(json!({"silence": "4s", "call": "10s"}));
    let begun = Instant::now();
    let serving = async {
        let mut server = next(&mut started).await;
        server.legacy().await;
        let sent = until(&mut server, "tools/call").await;
        let token = &sent["params"]["_meta"]["progressToken"];
        for n in 1.. {
            sleep(3 * SECOND).await;
            let params = json!({"progressToken": token, "progress": n});
            server.send(json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})).await;
        }
    };
    let call = call().token(1);
    let response = tokio::select! {
        whole = call.send(&gateway) => whole.response(),
        () = serving => unreachable!(),
    };
    assert_eq!((&response["error"]["data"]["reason"], begun.elapsed().as_secs()), (&json!("timeout"), 10));
}

#[tokio::test]
async fn limit_message() {
    let long = || "x".repeat(70 * 1024);
    let (gateway, mut started) = played(json!({"message": "64KiB"}));
    let serving = async {
        let mut server = next(&mut started).await;
        server.legacy().await;
        let sent = until(&mut server, "tools/call").await;
        server.result(&sent, text(long()).unwrap()).await;
    };
    let call = call();
    let (error, ()) = tokio::join!(call.error(&gateway, 200, -32603), serving);
    assert_eq!(error["data"]["reason"], "limit");

    let server = server(move |seen| async move { says(&seen, &long()) }).await;
    for (message, is_fine) in [("64KiB", false), ("128KiB", true)] {
        let gateway = over_http(json!({"message": message}), &server).await;
        let response = call.response(&gateway, 200).await;
        match is_fine {
            true => assert_eq!(said(&response).len(), 70 * 1024),
            false => assert_eq!(response["error"]["data"]["reason"], "limit", "{response}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn limit_probe() {
    let (gateway, mut started) = played(json!({"probe": "12s"}));
    let begun = Instant::now();
    let serving = async {
        let mut server = next(&mut started).await;
        server.expect("server/discover").await;
        server.initialize(LEGACY).await;
        assert_eq!(begun.elapsed().as_secs(), 12, "then it counts as legacy");
        runs(&mut server).await;
    };
    let call = call();
    let (response, ()) = tokio::join!(call.response(&gateway, 200), serving);
    assert_eq!(said(&response), "ran");

    tokio::time::resume();
    let server = Scripted::start(|_| std::future::pending()).await;
    let gateway = over_http(json!({"probe": "100ms"}), &server).await;
    let begun = Instant::now();
    let error = call.error(&gateway, 200, -32603).await;
    assert_eq!(error["data"]["reason"], "timeout");
    assert!(begun.elapsed() < 9 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn limit_legacy_for() {
    let given = json!({"legacy_for": "1m"});
    let (gateway, mut started) = played(given.clone());
    // Each principal has a process.
    for (who, after, is_probed) in [("alice", 0, true), ("bob", 50, false), ("carol", 11, true)] {
        sleep(after * SECOND).await;
        let serving = async {
            let mut server = next(&mut started).await;
            match is_probed {
                true => drop(server.legacy().await),
                false => drop(server.initialize(LEGACY).await),
            }
            runs(&mut server).await;
        };
        let call = call().principal(who);
        let (response, ()) = tokio::join!(call.response(&gateway, 200), serving);
        assert_eq!(said(&response), "ran");
    }

    tokio::time::resume();
    let server = Old::start(Like::default(), |_| async { text("ran") }).await;
    let gateway = over_http(given, &server.scripted).await;
    call().response(&gateway, 200).await;
    later(50 * SECOND).await;
    call().response(&gateway, 200).await;
    assert_eq!(server.scripted.count("server/discover"), 1);
    later(20 * SECOND).await;
    call().principal("bob").response(&gateway, 200).await;
    server.scripted.wait_for_nth("server/discover", 2).await;
}

#[tokio::test(start_paused = true)]
async fn limit_server_idle() {
    let (gateway, mut started) = played(json!({"server_idle": "1m"}));
    let serving = async {
        let mut server = next(&mut started).await;
        server.legacy().await;
        runs(&mut server).await;
        server
    };
    let call = call();
    let (_, mut server) = tokio::join!(call.response(&gateway, 200), serving);
    let begun = Instant::now();
    // It is looked for every half minute.
    assert!(server.heard().await.is_none());
    assert!((60..=95).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn limit_rounds() {
    let asking =
        server(|seen| async move { needs(&seen, json!({"q": ask("elicitation/create", form("Who?"))}), json!("s")) })
            .await;
    let gateway = over_http(json!({"rounds": 2}), &asking).await;
    let client = legacy(&gateway, LEGACY, able()).await;
    let reply = client.ask(1, "tools/call", json!({"name": "t", "arguments": {}})).await;
    let talk = converse(&client, reply, |_| Ok(json!({"action": "decline"}))).await;
    assert_eq!(talk.questions.len(), 2);
    assert!(said(&talk.response).contains("more than 2 times"), "{}", talk.response);

    // Over REST a call may be put off as often.
    let later = server(|seen| async move { needs(&seen, Value::Null, json!("later")) }).await;
    let settings = limits(&json!({"rounds": 1})).into();
    let builder = rialto::Rialto::builder().local().settings(settings).mount("docs", Proxy::to(later.url()));
    let app = App::serve(builder.build()).await;
    assert_eq!(app.post("/api/mounts/docs/tools/t", "{}").await.status, 503);
    assert_eq!(later.count("tools/call"), 2);
}

/// A session in which a modern client with roots has called a tool, and may have been asked for them on the way.
async fn rooted(given: Value, asks: bool) -> (Gateway, Server) {
    let (gateway, mut started) = played(given);
    let call = call().capabilities(json!({"roots": {}}));
    let serving = async {
        let mut server = next(&mut started).await;
        server.legacy().await;
        if asks {
            server.send(json!({"jsonrpc": "2.0", "id": "first", "method": "roots/list"})).await;
            assert_eq!(until(&mut server, "").await["result"]["roots"], json!([]));
        }
        runs(&mut server).await;
        server
    };
    let calling = async {
        let response = call.response(&gateway, 200).await;
        if asks { answer(&gateway, &call, &response, json!({"roots": []})).await } else { response }
    };
    let (response, server) = tokio::join!(calling, serving);
    assert_eq!(said(&response), "ran");
    (gateway, server)
}

/// What a question for roots outside every call is answered, and after how many seconds.
async fn outside(server: &mut Server) -> (Value, u64) {
    let begun = Instant::now();
    server.send(json!({"jsonrpc": "2.0", "id": "again", "method": "roots/list"})).await;
    let answer = until(server, "").await;
    (answer, begun.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn limit_roots_wait() {
    let (_gateway, mut server) = rooted(json!({"roots_wait": "7s"}), false).await;
    let (answer, after) = outside(&mut server).await;
    assert_eq!((&answer["error"]["code"], after), (&json!(-32603), 7));
}

#[tokio::test(start_paused = true)]
async fn limit_roots_kept() {
    let (_gateway, mut server) = rooted(json!({"roots_wait": "7s", "roots_kept": "30s"}), true).await;
    sleep(29 * SECOND).await;
    let (answer, after) = outside(&mut server).await;
    assert_eq!((&answer["result"]["roots"], after), (&json!([]), 0));
    sleep(2 * SECOND).await;
    let (answer, after) = outside(&mut server).await;
    assert_eq!((&answer["error"]["code"], after), (&json!(-32603), 7));
}

#[tokio::test]
async fn limit_visits() {
    let (server, _) = paid(2).await;
    let gateway = over_http(json!({"visits": 1, "visit": "0s"}), &server.scripted).await;
    let call = call().answering();
    let response = call.response(&gateway, 200).await;
    let response = answer(&gateway, &call, &response, json!({"action": "accept"})).await;
    assert_eq!(response["error"]["data"]["reason"], "input_rounds_exceeded", "{response}");
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test]
async fn limit_visit() {
    // The server never says that the page was visited.
    let (server, _) = paid(1).await;
    let gateway = over_http(json!({"visit": "100ms"}), &server.scripted).await;
    let call = call().answering();
    let response = call.response(&gateway, 200).await;
    let begun = Instant::now();
    assert_eq!(said(&answer(&gateway, &call, &response, json!({"action": "accept"})).await), "1");
    assert!((SECOND / 10..15 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}
