//! Lists: fresh after a change, whole however long, and cut into pages whose cursors serve one client at one mount.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::*;
use crate::matrix::process::until;

/// A server whose list says how often it changed, which tells of each change.
async fn changing(speaks: Speaks, changes: Arc<AtomicUsize>) -> (Scripted, tokio::sync::watch::Sender<usize>) {
    let (change, changed) = tokio::sync::watch::channel(0);
    let server = Scripted::start(move |seen| {
        let (mut changed, changes) = (changed.clone(), changes.clone());
        async move {
            let list_changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
            match (speaks, seen.verb.as_str(), seen.method()) {
                (Speaks::Modern, _, "server/discover") => Reply::json(
                    200,
                    &seen.result(json!({
                        "resultType": "complete", "supportedVersions": [MODERN], "ttlMs": 60_000, "cacheScope": "public",
                        "capabilities": {"tools": {"listChanged": true}}})),
                ),
                (Speaks::Modern, _, "subscriptions/listen") => {
                    let (reply, pieces) = Reply::events();
                    let id = seen.body["id"].clone();
                    tokio::spawn(async move {
                        let stamp = json!({"io.modelcontextprotocol/subscriptionId": id});
                        let mut ack = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                            "params": {"notifications": {"toolsListChanged": true}}});
                        ack["params"]["_meta"] = stamp.clone();
                        crate::upstream_http::scripted::send(&pieces, &ack).await;
                        let mut said = list_changed;
                        said["params"] = json!({"_meta": stamp});
                        while changed.changed().await.is_ok() {
                            crate::upstream_http::scripted::send(&pieces, &said).await;
                        }
                    });
                    reply
                }
                (Speaks::Legacy, "GET", _) => {
                    let (reply, pieces) = Reply::events();
                    tokio::spawn(async move {
                        while changed.changed().await.is_ok() {
                            crate::upstream_http::scripted::send(&pieces, &list_changed).await;
                        }
                    });
                    reply
                }
                (Speaks::Legacy, "POST", "initialize") => {
                    let hello = json!({"protocolVersion": LEGACY, "capabilities": {"tools": {"listChanged": true}},
                        "serverInfo": {"name": "s", "version": "1"}});
                    Reply::json(200, &seen.result(hello)).with("mcp-session-id", "s-1")
                }
                (_, "POST", "tools/list") => {
                    let name = format!("t{}", changes.load(Ordering::SeqCst));
                    Reply::json(200, &seen.result(speaks.tools(&json!([plain_tool(&name)]))))
                }
                _ => speaks.greets(&seen).unwrap_or_else(|| says(&seen, "ran")),
            }
        }
    })
    .await;
    (server, change)
}

#[tokio::test]
async fn era_313_a_list_is_fresh_once_its_change_was_announced() {
    for speaks in SERVERS {
        for revision in CLIENTS {
            let changes = Arc::new(AtomicUsize::new(0));
            let (server, change) = changing(speaks, changes.clone()).await;
            let rialto = gateway(&server).await;
            let client = client(&rialto, revision).await;
            let listed = async || {
                let list = client.request("tools/list", json!({})).await.result();
                list["tools"][0]["name"].as_str().unwrap().to_owned()
            };
            let mut events = None;
            if revision == MODERN {
                events = Some(client.listen().await);
            } else {
                // Its own session at the server opens with the first call.
                client.call("t", json!({})).await.result();
            }
            if speaks == Speaks::Legacy {
                server.wait_for("GET").await;
            }
            assert_eq!((listed().await, listed().await), ("t0".into(), "t0".into()), "{speaks:?} {revision}");
            let before = server.count("tools/list");
            listed().await;
            assert_eq!(server.count("tools/list"), before, "{speaks:?} {revision}: it is kept while nothing changes");
            for round in 1..=3 {
                changes.store(round, Ordering::SeqCst);
                change.send_replace(round);
                // Whoever has heard of a change and lists again sees it.
                match &mut events {
                    Some(events) => {
                        let heard = events.next().await.unwrap();
                        assert!(heard.contains("notifications/tools/list_changed"), "{heard}");
                    }
                    None => {
                        until("the announcement", || async { client.outside.lock().unwrap().len() >= round }).await;
                    }
                }
                assert_eq!(listed().await, format!("t{round}"), "{speaks:?} {revision}");
            }
        }
    }
}

/// All pages of a list, following the cursors.
async fn pages(client: &Client) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut params = json!({});
    loop {
        let page = client.request("tools/list", params.clone()).await.result();
        let next = page.get("nextCursor").cloned();
        pages.push(page);
        match next {
            Some(cursor) => params = json!({"cursor": cursor}),
            None => return pages,
        }
    }
}

fn names(pages: &[Value]) -> Vec<String> {
    let tools = pages.iter().flat_map(|page| page["tools"].as_array().unwrap());
    tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// A server that hands out many tools a hundred at a time.
async fn many(speaks: Speaks, count: usize) -> Scripted {
    Scripted::start(move |seen| async move {
        if let Some(reply) = speaks.greets(&seen) {
            return reply;
        }
        if seen.method() != "tools/list" {
            return says(&seen, "ran");
        }
        let from: usize = seen.body["params"]["cursor"].as_str().map_or(0, |cursor| cursor.parse().unwrap());
        let to = (from + 100).min(count);
        let tools: Vec<_> = (from..to).map(|n| plain_tool(&format!("tool_{n:05}"))).collect();
        let mut list = speaks.tools(&json!(tools));
        if to < count {
            list["nextCursor"] = json!(to.to_string());
        }
        Reply::json(200, &seen.result(list))
    })
    .await
}

#[tokio::test]
async fn ten_thousand_tools_come_to_the_last_each_once() {
    const COUNT: usize = 10_000;
    for speaks in SERVERS {
        let server = many(speaks, COUNT).await;
        let rialto = gateway(&server).await;
        for revision in CLIENTS {
            let client = client(&rialto, revision).await;
            let pages = pages(&client).await;
            let names = names(&pages);
            assert_eq!(names.len(), COUNT, "{speaks:?} {revision}");
            assert!(names.is_sorted(), "{speaks:?} {revision}: in the server's order");
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), COUNT);
            assert!(pages.len() > 1 && pages.iter().all(|page| page["tools"].as_array().unwrap().len() <= 1000));
        }
    }
}

#[tokio::test]
async fn cursors_serve_the_list_that_they_were_made_for() {
    let server = many(Speaks::Modern, 2500).await;
    let other = many(Speaks::Modern, 2500).await;
    let rialto = Rialto::start(&json!({"docs": {"url": server.url()}, "other": {"url": other.url()}})).await;
    let client_of = async |mount: &str, revision| Client::connect(&rialto.mount(mount), revision).await;
    for revision in CLIENTS {
        let client = client_of("docs", revision).await;
        let first = client.request("tools/list", json!({})).await.result();
        let cursor = first["nextCursor"].as_str().unwrap().to_owned();
        let refused = async |client: &Client, method: &str, cursor: Value| {
            let before = server.seen().len() + other.seen().len();
            let error = client.request(method, json!({"cursor": cursor})).await.error();
            assert_eq!(error["code"], -32602, "{revision} {method} {cursor}: {error}");
            assert_eq!(server.seen().len() + other.seen().len(), before, "no server is asked");
        };
        // Tampered with.
        for at in [0, cursor.len() / 2, cursor.len() - 1] {
            let mut bytes = cursor.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            refused(&client, "tools/list", json!(String::from_utf8(bytes).unwrap())).await;
        }
        for cursor in [json!(""), json!("100"), json!(cursor[..20]), json!(format!("{cursor}A")), json!("\0")] {
            refused(&client, "tools/list", cursor).await;
        }
        // Of another mount, and of another view of the same one.
        refused(&client_of("other", revision).await, "tools/list", json!(cursor)).await;
        let others = if revision == MODERN { LEGACY } else { MODERN };
        refused(&client_of("docs", others).await, "tools/list", json!(cursor)).await;
        // It serves again and again meanwhile.
        for _ in 0..2 {
            let second = client.request("tools/list", json!({"cursor": cursor})).await.result();
            assert_eq!(second["tools"][0]["name"], "tool_01000");
        }
    }
}

#[tokio::test]
async fn a_list_that_changes_under_its_reader_is_read_to_the_end_as_it_was() {
    let name = Arc::new(Mutex::new("old"));
    let current = name.clone();
    let server = Scripted::start(move |seen| {
        let name = *current.lock().unwrap();
        async move {
            if let Some(reply) = Speaks::Legacy.greets(&seen) {
                return reply;
            }
            let tools: Vec<_> = (0..1500).map(|n| plain_tool(&format!("{name}_{n}"))).collect();
            Reply::json(200, &seen.result(Speaks::Legacy.tools(&json!(tools))))
        }
    })
    .await;
    let rialto = gateway(&server).await;
    let client = client(&rialto, LEGACY).await;
    let first = client.request("tools/list", json!({})).await.result();
    *name.lock().unwrap() = "new";
    let second = client.request("tools/list", json!({"cursor": first["nextCursor"]})).await.result();
    let names = names(&[first, second]);
    assert_eq!(names.len(), 1500);
    assert!(names.iter().all(|name| name.starts_with("old_")));
    assert!(self::names(&pages(&client).await).iter().all(|name| name.starts_with("new_")));
}
