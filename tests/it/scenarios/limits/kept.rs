//! What is kept of a server, how long, in which pieces, and how often it is asked.

use super::*;

#[tokio::test(start_paused = true)]
async fn limit_linger() {
    let (gateway, mut started) = played(json!({"linger": "7s"}));
    let listen = modern("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": ["a:x"]}}));
    let serving = async {
        let mut server = next(&mut started).await;
        greets(&mut server, json!({"resources": {"subscribe": true}})).await;
        let subscribe = server.expect("resources/subscribe").await;
        server.result(&subscribe, json!({})).await;
        server
    };
    let (stream, mut server) = tokio::join!(listen.open(&gateway), serving);
    let begun = Instant::now();
    drop(stream);
    assert_eq!(server.expect("resources/unsubscribe").await["params"]["uri"], "a:x");
    assert_eq!(begun.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn limit_list_kept() {
    let (gateway, mut started) = played(json!({"list_kept": "5s"}));
    let list = modern("tools/list", json!({}));
    let serving = async {
        let mut server = next(&mut started).await;
        server.legacy().await;
        let sent = server.expect("tools/list").await;
        server.result(&sent, json!({"tools": [plain("t")]})).await;
        server
    };
    let (response, mut server) = tokio::join!(list.response(&gateway, 200), serving);
    assert_eq!(response["result"]["ttlMs"], 5000);
    sleep(4 * SECOND).await;
    assert_eq!(list.response(&gateway, 200).await["result"]["ttlMs"], 1000);
    sleep(2 * SECOND).await;
    let serving = async {
        let sent = server.expect("tools/list").await;
        server.result(&sent, json!({"tools": []})).await;
    };
    let (response, ()) = tokio::join!(list.response(&gateway, 200), serving);
    assert_eq!(response["result"]["tools"], json!([]));
}

#[tokio::test]
async fn limit_description_kept() {
    let greets = |seen: &Seen| {
        let result = json!({"resultType": "complete", "supportedVersions": [MODERN], "capabilities": {"tools": {}}});
        (seen.method() == "server/discover").then(|| Reply::json(200, &seen.result(result)))
    };
    let server = Scripted::greeting(greets, |seen| async move { says(&seen, "ran") }).await;
    // It is asked for again with the next session.
    let gateway = over_http(json!({"description_kept": "1m", "server_idle": "30s"}), &server).await;
    let discover = modern("server/discover", json!({}));
    assert_eq!(discover.response(&gateway, 200).await["result"]["ttlMs"], 60_000);
    for (after, expected) in [(50, 1), (100, 2)] {
        tokio::time::pause();
        sleep(after * SECOND).await;
        tokio::time::resume();
        discover.response(&gateway, 200).await;
        assert_eq!(server.count("server/discover"), expected);
    }
}

/// The numbers of tools on the pages of a list of three tools, each of 600 bytes and a little more.
async fn pages(given: Value) -> Vec<usize> {
    let tool =
        |n: u32| json!({"name": format!("t{n}"), "description": "x".repeat(600), "inputSchema": {"type": "object"}});
    let tools = json!([tool(1), tool(2), tool(3)]);
    let server = Old::start(Like { tools, ..Like::default() }, |_| async { text("ran") }).await;
    let gateway = over_http(given, &server.scripted).await;
    let (mut pages, mut params) = (Vec::new(), json!({}));
    loop {
        let page = modern("tools/list", params).response(&gateway, 200).await["result"].clone();
        pages.push(page["tools"].as_array().unwrap().len());
        match page.get("nextCursor") {
            Some(cursor) => params = json!({"cursor": cursor}),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn limit_page() {
    assert_eq!(pages(json!({"page": 2})).await, [2, 1]);
}

/// The lists behind cursors are kept for all who use a mount, and whoever has the most of them gives up its oldest.
#[tokio::test]
async fn nobody_pushes_out_the_cursors_of_others() {
    let tools = json!([plain("t1"), plain("t2"), plain("t3")]);
    // It announces no changes, so that every list is fetched for itself.
    let server = Old::start(Like { tools, ..Like::default() }, |_| async { text("ran") }).await;
    let gateway = over_http(json!({"page": 2}), &server.scripted).await;
    let list = async |who: &str| {
        let page = modern("tools/list", json!({})).principal(who).response(&gateway, 200).await;
        page["result"]["nextCursor"].clone()
    };
    let next = |who: &str, cursor: &Value| modern("tools/list", json!({"cursor": cursor})).principal(who);
    let hers = list("alice").await;
    let mut his = Vec::new();
    for _ in 0..70 {
        his.push(list("bob").await);
    }
    assert_eq!(next("alice", &hers).response(&gateway, 200).await["result"]["tools"], json!([plain("t3")]));
    // Beside hers there is room for 63 of his.
    next("bob", &his[6]).error(&gateway, 200, -32602).await;
    for cursor in [&his[7], &his[69]] {
        next("bob", cursor).response(&gateway, 200).await;
    }
    // Who comes next finds room, and so does the next list of hers.
    let (theirs, another) = (list("carol").await, list("alice").await);
    for (who, cursor) in [("carol", &theirs), ("alice", &another), ("alice", &hers), ("bob", &his[9])] {
        next(who, cursor).response(&gateway, 200).await;
    }
    next("bob", &his[8]).error(&gateway, 200, -32602).await;
}

#[tokio::test]
async fn limit_page_size() {
    assert_eq!(pages(json!({"page_size": "1KiB"})).await, [1, 1, 1]);
    assert_eq!(pages(json!({"page_size": "2KiB"})).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn limit_task_poll() {
    const TASKS: &str = "io.modelcontextprotocol/tasks";
    let (gateway, mut started) = played(json!({"task_poll": "7s"}));
    let task = |status: &str| {
        json!({"taskId": "x", "status": status, "createdAt": "2026-11-20T10:00:00Z", "ttlMs": null,
            "lastUpdatedAt": "2026-11-20T10:00:00Z", "pollIntervalMs": 1})
    };
    let serving = async {
        let mut server = next(&mut started).await;
        let probe = server.expect("server/discover").await;
        let hello = json!({"resultType": "complete", "supportedVersions": [MODERN], "ttlMs": 60_000,
            "cacheScope": "public", "capabilities": {"tools": {}, "extensions": {TASKS: {}}}});
        server.result(&probe, hello).await;
        let sent = until(&mut server, "tools/call").await;
        let mut created = task("working");
        created["resultType"] = json!("task");
        server.result(&sent, created).await;
        let mut asked = Vec::new();
        for status in ["working", "working", "completed"] {
            let sent = server.expect("tasks/get").await;
            asked.push(Instant::now());
            let mut shown = task(status);
            shown["resultType"] = json!("complete");
            if status == "completed" {
                shown["result"] = text("ran").unwrap();
            }
            server.result(&sent, shown).await;
        }
        assert!(asked.windows(2).all(|pair| (pair[1] - pair[0]).as_secs() == 7), "{asked:?}");
    };
    let call = call();
    let (response, ()) = tokio::join!(call.response(&gateway, 200), serving);
    assert_eq!(said(&response), "ran");
}
