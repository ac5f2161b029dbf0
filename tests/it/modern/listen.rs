//! Subscriptions.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{
    client::{Sent, modern, tool},
    gateway::Gateway,
    mount::{Scripted, log, notification, progress, says},
    wait::within,
};

const ID: &str = "io.modelcontextprotocol/subscriptionId";

fn listen(notifications: Value) -> Sent {
    modern("subscriptions/listen", json!({"notifications": notifications}))
}

type Opens = mpsc::UnboundedReceiver<mpsc::Sender<rialto::jsonrpc::Notification>>;

async fn listening() -> (Gateway, Arc<Scripted>, Opens) {
    // Honours changes of tools and what lies under `docs:`.
    let (mount, opens) = Scripted::plain().listening(|filter| {
        let mut honoured = json!({});
        if filter["toolsListChanged"] == true {
            honoured["toolsListChanged"] = json!(true);
        }
        if let Some(uris) = filter["resourceSubscriptions"].as_array() {
            let docs = uris.iter().filter(|u| u.as_str().unwrap().starts_with("docs:"));
            honoured["resourceSubscriptions"] = docs.cloned().collect();
        }
        honoured
    });
    let mount = Arc::new(mount);
    (Gateway::start(&[&mount]).await, mount, opens)
}

#[tokio::test]
async fn era_290_291_the_acknowledgement_comes_first_and_everything_is_stamped() {
    let (gateway, _, mut opens) = listening().await;
    for id in [json!(7), json!("7"), json!("a")] {
        let filter = json!({"toolsListChanged": true, "resourceSubscriptions": ["docs:a"]});
        let mut stream = listen(filter.clone()).id(id.clone()).open(&gateway).await;
        assert!(stream.is_stream());
        let events = opens.recv().await.unwrap();
        events.send(notification("notifications/tools/list_changed", Value::Null)).await.unwrap();
        let updated = json!({"uri": "docs:a", "_meta": {"example.com/x": 1}});
        events.send(notification("notifications/resources/updated", updated)).await.unwrap();
        let acknowledged = stream.next().await.unwrap();
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
        assert_eq!(acknowledged["params"], json!({"notifications": filter, "_meta": {ID: id}}));
        assert_eq!(stream.next().await.unwrap()["params"], json!({"_meta": {ID: id}}));
        let meta = json!({"example.com/x": 1, ID: id});
        assert_eq!(stream.next().await.unwrap()["params"], json!({"uri": "docs:a", "_meta": meta}));
        drop(stream);
        within(events.closed()).await;
    }
    within(async {
        while gateway.settings.held.listens() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn era_292_what_is_not_honoured_is_left_out() {
    let (gateway, _, mut opens) = listening().await;
    for (asked, honoured) in [
        (json!({}), json!({})),
        (json!({"promptsListChanged": true}), json!({})),
        (json!({"resourceSubscriptions": ["docs:a", "x:b"]}), json!({"resourceSubscriptions": ["docs:a"]})),
        (json!({"toolsListChanged": true, "future": {"a": 1}}), json!({"toolsListChanged": true})),
    ] {
        let mut stream = listen(asked).open(&gateway).await;
        assert_eq!(stream.next().await.unwrap()["params"]["notifications"], honoured);
        // The stream stays open for what may come.
        let events = opens.recv().await.unwrap();
        events.send(notification("notifications/tools/list_changed", json!({}))).await.unwrap();
        assert_eq!(stream.next().await.unwrap()["method"], "notifications/tools/list_changed");
    }
}

#[tokio::test]
async fn era_293_the_filter_is_checked() {
    let (gateway, _, mut opens) = listening().await;
    modern("subscriptions/listen", json!({})).error(&gateway, 200, -32602).await;
    for filter in [
        json!([]),
        json!("all"),
        Value::Null,
        json!({"toolsListChanged": "yes"}),
        json!({"resourceSubscriptions": "docs:a"}),
        json!({"resourceSubscriptions": [1]}),
        json!({"resourceSubscriptions": vec!["docs:a"; 1001]}),
    ] {
        listen(filter).error(&gateway, 200, -32602).await;
    }
    assert!(opens.try_recv().is_err());
    assert_eq!(gateway.settings.held.listens(), 0);
}

#[tokio::test]
async fn era_299_calls_say_nothing_on_a_subscription() {
    let (mount, mut opens) = Scripted::new(|call| async move {
        progress(&call, 1);
        log(&call, "error", "x");
        says("done")
    })
    .listening(|filter| filter);
    let mount = Arc::new(mount);
    let gateway = Gateway::start(&[&mount]).await;
    let mut stream = listen(json!({"toolsListChanged": true})).token("t").level("debug").open(&gateway).await;
    stream.next().await.unwrap();
    let events = opens.recv().await.unwrap();
    tool("x", json!({})).token("t").level("debug").send(&gateway).await;
    for method in [
        "notifications/progress",
        "notifications/message",
        "notifications/cancelled",
        "notifications/initialized",
        "notifications/roots/list_changed",
        "notifications/elicitation/complete",
        "notifications/tasks/status",
        "notifications/subscriptions/acknowledged",
        "notifications/tools/list_changed",
    ] {
        events.send(notification(method, json!({"progressToken": "t", "progress": 1}))).await.unwrap();
    }
    assert_eq!(stream.next().await.unwrap()["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn era_303_a_subscription_ends_with_its_result() {
    let (gateway, mount, mut opens) = listening().await;
    let filter = json!({"toolsListChanged": true});
    let mut by_server = listen(filter.clone()).id("s").open(&gateway).await;
    by_server.next().await.unwrap();
    let events = opens.recv().await.unwrap();
    events.send(notification("notifications/tools/list_changed", json!({}))).await.unwrap();
    drop(events);
    assert_eq!(by_server.next().await.unwrap()["method"], "notifications/tools/list_changed");
    let mut by_gateway = listen(filter).id(7).open(&gateway).await;
    by_gateway.next().await.unwrap();
    let _events = opens.recv().await.unwrap();
    for (mut stream, id) in [(by_server, json!("s")), (by_gateway, json!(7))] {
        if id == json!(7) {
            gateway.settings.draining.cancel();
        }
        let ended = within(stream.next()).await.unwrap();
        let meta = json!({ID: id, "io.modelcontextprotocol/serverInfo": mount.server_info});
        assert_eq!((&ended["id"], &ended["result"]), (&id, &json!({"resultType": "complete", "_meta": meta})));
        assert!(within(stream.next()).await.is_none());
    }
}

#[tokio::test]
async fn era_306_there_is_a_bound_on_subscriptions() {
    let (mount, _opens) = Scripted::plain().listening(|filter| filter);
    let mount = Arc::new(mount);
    let gateway = Gateway::in_memory(&[&mount]);
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(listen(json!({})).open(&gateway).await);
    }
    let error = listen(json!({})).error(&gateway, 200, -32603).await;
    assert_eq!((&error["data"]["reason"], &error["data"]["source"]), (&json!("busy"), &json!("gateway")));
    assert!(listen(json!({})).principal("bob").open(&gateway).await.is_stream());
    open.pop();
    assert!(listen(json!({})).open(&gateway).await.is_stream());
}

#[tokio::test]
async fn a_mount_that_cannot_listen_says_why() {
    let mount = Arc::new(Scripted::plain());
    let gateway = Gateway::start(&[&mount]).await;
    listen(json!({})).error(&gateway, 404, -32601).await;
    assert_eq!(gateway.settings.held.listens(), 0);
}
