//! Clients that send a credential of their own along, for the server.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{support::client::tool, upstream_http::scripted::Seen};

const LISTS: &str = "toolsListChanged";
const SPEAKS: [Speaks; 2] = [Speaks::Modern, Speaks::Legacy];

/// A gateway in front of a server that answers nobody who has no key.
async fn keyed(speaks: Speaks, share: Share) -> (Server, Gateway) {
    let server = Server::new(speaks);
    server.manners().wants_key = true;
    let gateway = gateway_passing(&server, Through::Http, share, &[KEY, "x-request-id"]).await;
    (server, gateway)
}

fn with(request: Sent, principal: &str, key: &str) -> Sent {
    request.principal(principal).header(KEY, key)
}

/// What a tool says: at a legacy server the session, at a modern one the key.
async fn says(gateway: &Gateway, request: Sent) -> String {
    let answer = request.response(gateway, 200).await;
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn lists(gateway: &Gateway, principal: &str, key: &str) -> Value {
    let answer = with(modern("tools/list", json!({})), principal, key).response(gateway, 200).await;
    answer["result"]["tools"][0]["name"].clone()
}

/// Every request to the server carries the key of the one it is sent for, and no session is used with two.
fn assert_apart(server: &Server, case: &str) {
    let mut keys_of = BTreeMap::<String, BTreeSet<String>>::new();
    let mut labels = BTreeSet::new();
    for seen in server.arrived() {
        let keys: Vec<_> = seen.headers.get_all(KEY).iter().map(|key| key.to_str().unwrap().to_owned()).collect();
        let method = if seen.body.is_null() { seen.verb.as_str() } else { seen.method() };
        assert_eq!(keys.len(), 1, "{case}: {method} {keys:?}");
        if let Some(session) = seen.header("mcp-session-id") {
            keys_of.entry(session.to_owned()).or_default().extend(keys);
        }
        labels.insert(method.to_owned());
    }
    assert!(keys_of.values().all(|keys| keys.len() == 1), "{case}: {keys_of:?}");
    let expected = match server.arrived().iter().any(|seen| seen.method() == "initialize") {
        true => {
            vec!["server/discover", "initialize", "notifications/initialized", "GET", "resources/subscribe", "DELETE"]
        }
        false => vec!["server/discover", "subscriptions/listen"],
    };
    for method in expected {
        assert!(labels.contains(method), "{case}: {method} is not among {labels:?}");
    }
}

/// A key of one never reaches the server for another, whoever both are to the gateway, and nothing that the server said to
/// one is shown to the other.
#[tokio::test]
async fn era_370_what_a_client_sends_along_goes_with_everything_that_is_its_own_and_with_nothing_else() {
    for speaks in SPEAKS {
        for (share, a, b) in [
            (Share::Principal, "alice", "bob"),
            (Share::Principal, "alice", "alice"),
            (Share::Principal, "", ""),
            (Share::Everybody, "alice", "bob"),
            (Share::Nobody, "alice", "alice"),
        ] {
            let case = format!("{speaks:?} {share:?} {a:?} {b:?}");
            let (server, gateway) = keyed(speaks, share).await;
            for round in 0..2 {
                for (principal, key) in [(a, "key-a"), (b, "key-b")] {
                    let case = format!("{case} {key} {round}");
                    let discovered = with(modern("server/discover", json!({})), principal, key);
                    let discovered = discovered.response(&gateway, 200).await;
                    assert_eq!(discovered["result"]["instructions"], key, "{case}");
                    assert_eq!(lists(&gateway, principal, key).await, key, "{case}");
                    says(&gateway, with(tool("t", json!({})), principal, key)).await;
                    let filter = json!({LISTS: true, "resourceSubscriptions": ["a:x"]});
                    let (stream, honoured) = listen_to(&gateway, with(listen(filter.clone()), principal, key)).await;
                    assert_eq!(honoured, filter, "{case}");
                    let client = Legacy::connect_sending(&gateway, principal, &[(KEY, key)]).await;
                    assert_eq!(client.instructions, key, "{case}");
                    assert_eq!(client.lists().await, [key], "{case}");
                    client.calls().await;
                    client.subscribe("a:y").await;
                    client.notify("notifications/x").await;
                    drop(stream);
                    client.close().await;
                }
            }
            drop(gateway);
            server.has_ways(0).await;
            if speaks == Speaks::Legacy {
                until("a goodbye", || server.arrived().iter().any(|seen| seen.verb == "DELETE")).await;
            }
            assert_apart(&server, &case);
        }
    }
}

/// A server that refuses a key is asked again with another one: what one client is refused proves nothing to the others.
#[tokio::test]
async fn era_370_a_client_without_a_key_spoils_nothing_for_the_others() {
    for speaks in SPEAKS {
        let (server, gateway) = keyed(speaks, Share::Principal).await;
        for _ in 0..2 {
            let refused = tool("t", json!({})).response(&gateway, 200).await;
            assert_eq!(refused["error"]["data"]["reason"], "upstream_auth", "{speaks:?} {refused}");
            assert_eq!(lists(&gateway, "alice", "key-a").await, "key-a", "{speaks:?}");
        }
        assert!(server.arrived().iter().any(|seen| seen.header(KEY).is_none()));
    }
}

/// Whoever subscribes with a key of their own has a stream of their own, and hears of nothing that is said on another.
#[tokio::test]
async fn era_300_two_people_with_keys_of_their_own_have_streams_of_their_own() {
    for speaks in SPEAKS {
        for (share, a, b) in [
            (Share::Principal, "alice", "bob"),
            (Share::Principal, "alice", "alice"),
            (Share::Principal, "", ""),
            (Share::Everybody, "alice", "bob"),
            (Share::Nobody, "alice", "alice"),
        ] {
            let case = format!("{speaks:?} {share:?} {a:?} {b:?}");
            let (server, gateway) = keyed(speaks, share).await;
            let filter = json!({LISTS: true, "resourceSubscriptions": ["a:x"]});
            let (mut at_a, _) = listen_to(&gateway, with(listen(filter.clone()), a, "key-a")).await;
            let (mut at_b, _) = listen_to(&gateway, with(listen(filter), b, "key-b")).await;
            server.has_ways(2).await;
            assert_eq!(lists(&gateway, a, "key-a").await, "key-a", "{case}");
            assert_eq!(lists(&gateway, b, "key-b").await, "key-b", "{case}");
            let opened = server.arrived();
            let opens = |seen: &&Seen| seen.verb == "GET" || seen.method() == "subscriptions/listen";
            let mut keys: Vec<_> = opened.iter().filter(opens).map(|seen| seen.header(KEY).unwrap()).collect();
            keys.sort_unstable();
            // Where nobody shares anything, sessions of single requests have streams as well.
            keys.dedup();
            assert_eq!(keys, ["key-a", "key-b"], "{case}");
            // A modern server knows the stream by the key, a legacy one by the session that was opened with it.
            let of_a = match speaks {
                Speaks::Modern => "key-a".to_owned(),
                Speaks::Legacy => {
                    let subscribes = |s: &&Seen| s.method() == "resources/subscribe";
                    let first = opened.iter().filter(subscribes).find(|s| s.header(KEY) == Some("key-a")).unwrap();
                    first.header("mcp-session-id").unwrap().to_owned()
                }
            };
            server.says_in(Some(&of_a), TOOLS, &Value::Null);
            server.says_in(Some(&of_a), UPDATED, &uri("a:x"));
            let mut heard = [next(&mut at_a).await.0, next(&mut at_a).await.0];
            heard.sort();
            assert_eq!(heard, [UPDATED, TOOLS], "{case}");
            let heard = tokio::time::timeout(Duration::from_millis(300), at_b.next()).await;
            assert!(heard.is_err(), "{case}: {heard:?}");
            // It is there, and hears what is its own.
            server.updates("a:x");
            assert_eq!(next(&mut at_b).await, updated("a:x", 1), "{case}");
        }
    }
}

/// The same for clients with sessions: each hears of what happens under its key.
#[tokio::test]
async fn era_300_sessions_with_keys_of_their_own_hear_of_changes_under_those_keys() {
    for speaks in SPEAKS {
        let (server, gateway) = keyed(speaks, Share::Principal).await;
        let a = Legacy::connect_sending(&gateway, "alice", &[(KEY, "key-a")]).await;
        let b = Legacy::connect_sending(&gateway, "alice", &[(KEY, "key-b")]).await;
        let (mut at_a, mut at_b) = (a.outside().await, b.outside().await);
        let session = a.calls().await;
        b.calls().await;
        server.has_ways(2).await;
        server.says_in(Some(&session), TOOLS, &Value::Null);
        assert_eq!(at_a.next().await.0, TOOLS, "{speaks:?}");
        a.subscribe("a:x").await;
        b.subscribe("a:x").await;
        server.says_in(Some(&session), UPDATED, &uri("a:x"));
        assert_eq!(at_a.next().await, (UPDATED.into(), uri("a:x")), "{speaks:?}");
        assert!(at_b.rest().await.is_empty(), "{speaks:?}");
    }
}

/// What names a request changes with each and makes no difference; another key is another session, within one session of
/// the client as well.
#[tokio::test]
async fn era_369_a_session_at_the_server_lasts_as_long_as_the_key() {
    let (server, gateway) = keyed(Speaks::Legacy, Share::Principal).await;
    let call = |key: &str, request: &str| {
        says(&gateway, with(tool("t", json!({})), "alice", key).header("x-request-id", request))
    };
    let first = call("key-a", "1").await;
    assert_eq!(call("key-a", "2").await, first);
    let second = call("key-b", "3").await;
    assert_ne!(second, first);
    assert_eq!((call("key-a", "4").await, call("key-b", "5").await), (first, second));

    let mut client = Legacy::connect_sending(&gateway, "alice", &[(KEY, "key-a")]).await;
    let mut outside = client.outside().await;
    let own = client.calls().await;
    client.along = vec![(KEY, "key-b".into()), ("x-request-id", "6".into())];
    let other = client.calls().await;
    assert_ne!(own, other);
    assert_eq!(client.lists().await, ["key-b"]);
    client.subscribe("a:x").await;
    for session in [&own, &other] {
        // The client is the same, and hears of both.
        server.says_in(Some(session), TOOLS, &Value::Null);
        assert_eq!(outside.next().await.0, TOOLS);
    }
    server.updates("a:x");
    assert_eq!(outside.next().await, (UPDATED.into(), uri("a:x")));
    client.along[0].1 = "key-a".into();
    assert_eq!(client.calls().await, own);
    let requests: BTreeSet<_> =
        server.arrived().iter().filter_map(|s| s.header("x-request-id").map(str::to_owned)).collect();
    assert_eq!(requests.into_iter().collect::<Vec<_>>(), ["1", "2", "3", "4", "5", "6"]);
    let lasting = |seen: &Seen| seen.verb == "GET" || seen.method() == "initialize";
    assert!(server.arrived().iter().filter(|s| lasting(s)).all(|seen| seen.header("x-request-id").is_none()));
}

/// A client that sends something else along with each request has its own sessions closed for that, and nobody else's.
#[tokio::test]
async fn a_client_may_have_so_many_sessions_for_what_it_sends_along() {
    let (server, gateway) = keyed(Speaks::Legacy, Share::Principal).await;
    let bobs = says(&gateway, with(tool("t", json!({})), "bob", "bob")).await;
    let mut client = Legacy::connect_sending(&gateway, "carol", &[(KEY, "0")]).await;
    let first = client.calls().await;
    let goodbyes = |session: &str| {
        let all = server.arrived();
        all.iter().filter(|s| s.verb == "DELETE" && s.header("mcp-session-id") == Some(session)).count()
    };
    for n in 1..16 {
        client.along[0].1 = n.to_string();
        client.calls().await;
    }
    assert_eq!(goodbyes(&first), 0);
    client.along[0].1 = "16".into();
    client.calls().await;
    until("a goodbye", || goodbyes(&first) == 1).await;
    // A subscription keeps its session for as long as the client is told of it.
    client.subscribe("a:x").await;
    let subscribed = client.calls().await;
    for n in 100..120 {
        client.along[0].1 = n.to_string();
        client.calls().await;
    }
    until("a goodbye", || goodbyes(&subscribed) == 1).await;

    let mut alices = String::new();
    for n in 0..751 {
        let said = says(&gateway, with(tool("t", json!({})), "alice", &n.to_string())).await;
        if n == 0 {
            alices = said;
        }
    }
    until("a goodbye", || goodbyes(&alices) == 1).await;
    assert_eq!(says(&gateway, with(tool("t", json!({})), "bob", "bob")).await, bobs);
}
