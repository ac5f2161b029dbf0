//! Processes that are there and do nothing, and many callers before few processes.

use rialto::{
    Limits, ServerLimits,
    downstream::Settings,
    mount::{Share, Single},
};
use rustix::process::Signal;

use super::*;
use crate::{
    legacy_support::Client,
    support::{
        client::{Sent, tool},
        gateway::Gateway,
    },
};

async fn gateway(connector: ChildConnector, settings: Settings) -> Gateway {
    let mount = Single::new("docs", Arc::new(connector), Share::Principal, settings.sealer.clone());
    Gateway::around(Arc::new(mount), settings).listen().await
}

fn value_of(response: &Value) -> Value {
    response["result"]["structuredContent"]["value"].clone()
}

fn called(name: &str) -> Sent {
    tool(name, json!({"x": 1}))
}

#[tokio::test]
async fn calls_of_a_process_that_hangs_end_by_their_own_time() {
    let record = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
    let connector = connector(&["--record", record.to_str().expect("text")]);
    let limits = ServerLimits { silence: Duration::from_millis(500), ..ServerLimits::default() };
    let gateway = gateway(connector, Limits::from(limits).into()).await;
    let response = called("pid").response(&gateway, 200).await;
    let pid = i32::try_from(value_of(&response).as_i64().expect("a pid")).expect("a pid");

    signal(pid, Signal::STOP);
    until(|| state(pid).as_deref() == Some("T")).await;
    // What is written to it waits in the pipe, so nothing but time tells.
    for _ in 0..3 {
        let error = called("echo").error(&gateway, 200, -32603).await;
        let told = &error["data"];
        assert_eq!((&told["reason"], &told["retryable"]), (&json!("timeout"), &json!(false)), "{error}");
    }
    // Once it goes on, it hears that nobody waits any more; late answers reach nobody.
    signal(pid, Signal::CONT);
    let cancelled = || lines_of(&record).iter().filter(|line| *line == "notifications/cancelled").count();
    until(|| cancelled() == 3).await;
    let again = called("pid").response(&gateway, 200).await;
    assert_eq!(value_of(&again), pid, "it is the same session");

    // One that hangs is ended as well.
    signal(pid, Signal::STOP);
    until(|| state(pid).as_deref() == Some("T")).await;
    drop(gateway);
    let took = gone(pid).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
}

/// A session that nobody uses makes room for somebody else's, however many callers there are.
#[tokio::test]
async fn more_callers_than_processes_are_served_one_after_the_other() {
    let settings = ChildSettings { max_processes: 2, ..ChildSettings::default() };
    let gateway = gateway(with_settings(&[], settings), Settings::default()).await;
    let mut seen = Vec::new();
    for who in ["alice", "bob", "carol", "dave", "carol"] {
        let response = called("pid").principal(who).response(&gateway, 200).await;
        seen.push(value_of(&response));
    }
    assert_eq!(seen[2], seen[4], "hers was not the one that was unused longest");
    seen.truncate(4);
    seen.dedup();
    assert_eq!(seen.len(), 4, "{seen:?}");
}

/// Clients with sessions of their own keep them; so one principal's leave room for others.
#[tokio::test]
async fn the_clients_of_one_principal_cannot_take_every_process() {
    let settings = ChildSettings { max_processes: 4, ..ChildSettings::default() };
    let gateway = gateway(with_settings(&[], settings), Settings::default()).await;
    let mut clients = Vec::new();
    for n in 1..=4 {
        let mut client = Client::new(gateway.url("docs"));
        client.open("2025-11-25", json!({})).await;
        let reply = client.ask(1, "tools/call", json!({"name": "echo", "arguments": {}})).await.json();
        match n {
            1..=3 => assert!(reply["result"].is_object(), "{reply}"),
            _ => {
                assert_eq!(reply["error"]["data"]["reason"], "busy", "{reply}");
                assert!(reply["error"]["message"].as_str().expect("words").contains("one caller"), "{reply}");
            }
        }
        clients.push(client);
    }
    let response = called("echo").principal("bob").response(&gateway, 200).await;
    assert_eq!(value_of(&response), json!({"x": 1}));
}
