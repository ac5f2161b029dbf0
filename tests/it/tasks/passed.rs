//! 2025-11-25 on both sides: tasks pass, under ids of ours.

use super::*;

#[tokio::test]
async fn a_client_and_a_server_of_2025_11_25_keep_their_words() {
    for over in TRANSPORTS {
        let stage = Stage::of(Speaks::Legacy, over).await;
        let mut client = Legacy::new(stage.url());
        let hello = client.open(NEWEST, json!({"elicitation": {}})).await;
        assert_eq!(hello["result"]["capabilities"]["tasks"], stage.server.capabilities["tasks"]);
        client.tell("notifications/initialized", json!({})).await;
        let task = created(&client, 1, "must", json!({"ttl": 70_000})).await;
        let id = task["taskId"].as_str().unwrap().to_owned();
        assert_eq!((&task["ttl"], &task["x-kept"]), (&json!(70_000), &json!({"a": 1.0})));
        assert_eq!(stage.server.seen("tools/call")[0]["params"]["task"], json!({"ttl": 70_000}));
        let raw = stage.server.task(1).await;
        assert_ne!(id, raw);
        assert_eq!(shown(&client, 2, &id).await["status"], "working");

        let waiting = waiting(&client, 3, &id);
        stage.server.arrived("tasks/result", 1).await;
        stage.server.ask(&raw, "x", form("who are you"));
        let mut events = soon("a stream", waiting).await.unwrap().events();
        let question = soon("a question", events.expect()).await;
        assert_eq!(question["params"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], id);
        assert_eq!(shown(&client, 4, &id).await["status"], "input_required");
        client.answer(&question, accept("Ada")).await;
        let answer = stage.server.answer(&raw, "x").await;
        assert_eq!(answer["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], *raw);
        stage.server.complete(&raw, "hello Ada");
        let result = soon("a result", events.expect()).await;
        assert_valid(NEWEST, "CallToolResult", &result["result"]);
        assert_eq!(result["result"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], id);
        let answer = ask(&client, 5, "tasks/cancel", json!({"taskId": id})).await;
        assert_eq!(answer["error"]["code"], -32602);

        let task = created(&client, 6, "may", json!({})).await;
        let answer = ask(&client, 7, "tasks/cancel", json!({"taskId": task["taskId"]})).await;
        assert_valid(NEWEST, "CancelTaskResult", &answer["result"]);
        assert_eq!(answer["result"]["taskId"], task["taskId"]);
        assert_eq!(stage.server.status("raw-2"), "cancelled");
        let answer = ask(&client, 8, "tools/call", json!({"name": "plain", "arguments": {}, "task": {}})).await;
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
    }
}

/// The ways in which several share a session.
fn shared() -> impl Iterator<Item = (Over, Share)> {
    TRANSPORTS.into_iter().flat_map(|over| [Share::Everybody, Share::LEASED].map(|share| (over, share)))
}

#[tokio::test]
async fn era_355_sec_032_a_shared_session_lists_to_each_its_own() {
    for (over, share) in shared() {
        let (server, sealer) = (TaskServer::new(Speaks::Legacy), Arc::new(Sealer::random()));
        let stage = Stage::with(server, over, Tasking::default(), share, sealer).await;
        let (alice, bob) = (stage.legacy().await, stage.legacy_of(NEWEST, "bob").await);
        let mine = created(&alice, 1, "must", json!({})).await["taskId"].clone();
        let theirs = created(&bob, 1, "must", json!({})).await["taskId"].clone();
        for (client, own, foreign) in [(&alice, &mine, &theirs), (&bob, &theirs, &mine)] {
            let answer = ask(client, 2, "tasks/list", json!({})).await;
            assert_valid(NEWEST, "ListTasksResult", &answer["result"]);
            let listed: Vec<_> = answer["result"]["tasks"].as_array().unwrap().iter().map(|t| &t["taskId"]).collect();
            assert_eq!(listed, [own]);
            for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
                for id in [foreign, &json!("raw-1")] {
                    assert_unknown(&ask(client, 3, method, json!({"taskId": id})).await["error"]);
                }
            }
        }
        assert_eq!((stage.server.status("raw-1"), stage.server.status("raw-2")), ("working", "working"));
    }
}

/// Where sessions are lent and all of them taken, a task is made in a further one, and found there again.
#[tokio::test]
async fn a_task_is_asked_about_in_the_session_in_which_it_was_made() {
    for over in TRANSPORTS {
        let share = Share::Leased { at_most: 2.try_into().unwrap() };
        let (mut server, sealer) = (TaskServer::new(Speaks::Legacy), Arc::new(Sealer::random()));
        server.homebound = over == Over::Lines;
        let stage = Stage::with(server, over, Tasking::default(), share, sealer).await;
        let (alice, bob) = (stage.legacy().await, stage.legacy_of(NEWEST, "bob").await);
        let first = created(&alice, 1, "must", json!({})).await["taskId"].clone();
        let holds = bob.start(2, "tools/call", json!({"name": "slow", "arguments": {}}));
        stage.server.arrived("tools/call", 2).await;
        let second = created(&alice, 2, "must", json!({})).await["taskId"].clone();
        assert_eq!(stage.server.seen("initialize").len(), 2, "{over:?}");
        let answer = ask(&alice, 3, "tasks/list", json!({})).await;
        let listed: Vec<_> = answer["result"]["tasks"].as_array().unwrap().iter().map(|t| &t["taskId"]).collect();
        assert_eq!(listed, [&first, &second]);
        for (raw, id) in [("raw-1", &first), ("raw-2", &second)] {
            let id = id.as_str().unwrap();
            assert_eq!(shown(&alice, 4, id).await["status"], "working");
            let result = waiting(&alice, 5, id);
            stage.server.arrived("tasks/result", usize::from(raw == "raw-2") + 1).await;
            // Its words are its owner's, in whichever session they are said.
            stage.server.ask(raw, "x", form("who"));
            let mut events = soon("a stream", result).await.unwrap().events();
            let question = soon("a question", events.expect()).await;
            alice.answer(&question, accept("Ada")).await;
            stage.server.answer(raw, "x").await;
            stage.server.complete(raw, "done");
            let result = soon("a result", events.expect()).await;
            assert_eq!(result["result"]["content"], said("done")["content"]);
        }
        stage.server.gate.send_replace(true);
        let held = soon("the end", async { whole(holds.await.unwrap()).await }).await;
        assert_eq!(held["result"]["content"], said("at last")["content"]);
    }
}

/// Some servers count their tasks, and begin anew when they are started anew.
#[tokio::test]
async fn a_task_whose_id_another_one_has_by_now_is_not_that_one() {
    for (over, share) in shared() {
        let (server, sealer) = (TaskServer::new(Speaks::Legacy), Arc::new(Sealer::random()));
        let stage = Stage::with(server, over, Tasking::default(), share, sealer).await;
        let (alice, bob) = (stage.legacy().await, stage.legacy_of(NEWEST, "bob").await);
        let mut heard = alice.get(None).await.events();
        let hers = created(&alice, 1, "must", json!({})).await["taskId"].clone();
        let raw = stage.server.task(1).await;
        stage.server.forget(&raw);
        let his = created(&bob, 1, "must", json!({})).await["taskId"].clone();
        assert_eq!(stage.server.task(1).await, raw);
        for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
            assert_unknown(&ask(&alice, 2, method, json!({"taskId": hers})).await["error"]);
        }
        let answer = ask(&alice, 3, "tasks/list", json!({})).await;
        assert_eq!(answer["result"]["tasks"], json!([]), "{over:?} {share:?}");
        assert_eq!(stage.server.status(&raw), "working");
        let result = waiting(&bob, 4, his.as_str().unwrap());
        stage.server.arrived("tasks/result", 1).await;
        stage.server.complete(&raw, "his");
        assert_eq!(brought(result, his.as_str().unwrap()).await["content"], said("his")["content"]);
        heard.silent().await;
    }
}

#[tokio::test]
async fn what_the_server_says_of_a_task_reaches_its_client_alone() {
    for (over, share) in shared() {
        let (server, sealer) = (TaskServer::new(Speaks::Legacy), Arc::new(Sealer::random()));
        let stage = Stage::with(server, over, Tasking::default(), share, sealer).await;
        let (alice, bob) = (stage.legacy().await, stage.legacy_of(NEWEST, "bob").await);
        let (mut mine, mut theirs) = (alice.get(None).await.events(), bob.get(None).await.events());
        let params = json!({"name": "must", "arguments": {}, "task": {}, "_meta": {"progressToken": "mine"}});
        let answer = ask(&alice, 1, "tools/call", params).await;
        let id = &answer["result"]["task"]["taskId"];
        let raw = stage.server.task(1).await;
        stage.server.progress(&raw, 0.5).await;
        let told = soon("progress", mine.expect()).await;
        assert_eq!((&told["method"], &told["params"]["progress"]), (&json!("notifications/progress"), &json!(0.5)));
        assert_eq!(told["params"]["progressToken"], "mine");
        assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], *id);
        stage.server.complete(&raw, "done");
        let told = soon("a change", mine.expect()).await;
        assert_eq!((&told["method"], &told["params"]["taskId"]), (&json!("notifications/tasks/status"), id));
        assert_eq!(told["params"]["status"], "completed");
        theirs.silent().await;
    }
}

#[tokio::test]
async fn older_clients_hear_nothing_of_tasks() {
    let stage = Stage::of(Speaks::Legacy, Over::Http).await;
    let mut client = Legacy::new(stage.url());
    let hello = client.open("2025-06-18", json!({})).await;
    assert!(hello["result"]["capabilities"].get("tasks").is_none(), "{hello}");
    let answer = ask(&client, 1, "tasks/list", json!({})).await;
    assert_eq!(answer["error"]["code"], -32601);
    let answer = ask(&client, 2, "tools/call", json!({"name": "may", "arguments": {}, "task": {}})).await;
    assert_eq!(answer["result"]["content"], said("at once")["content"]);
}

/// Who is the same to the gateway, as everybody on a loopback is, need not be the same to the server.
#[tokio::test]
async fn era_355_tasks_are_listed_to_those_who_send_along_what_they_were_made_with() {
    for (speaks, names) in [(Speaks::Modern, &["task", "slow"][..]), (Speaks::Legacy, &["must"])] {
        let stage = Stage::of(speaks, Over::Http).await;
        let keyed = async |key| {
            let mut client = Legacy::new(stage.url()).sending(KEY, key);
            client.handshake(NEWEST).await;
            client
        };
        let (one, other) = (keyed("one").await, keyed("other").await);
        let listed = async |client: &Legacy, id| {
            let answer = ask(client, id, "tasks/list", json!({})).await;
            let tasks = answer["result"]["tasks"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
            tasks.iter().map(|task| task["taskId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let mut made = Vec::new();
        for (n, name) in (1..).zip(names) {
            made.push(created(&one, n, name, json!({"ttl": 60_000})).await["taskId"].as_str().unwrap().to_owned());
        }
        assert_eq!(listed(&one, 11).await, made, "{speaks:?}");
        assert!(listed(&other, 12).await.is_empty(), "{speaks:?}");
        assert_eq!(listed(&keyed("one").await, 13).await, made, "{speaks:?}");
    }
}
