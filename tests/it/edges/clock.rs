//! What takes long: the gateway in the process of the test, which moves its clock or sets its times.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rialto::{
    app::{
        gateway::Gateway,
        guard::Guard,
        listener::{Limits, Listener, Shutdown},
    },
    downstream::Settings,
    hub::Mount,
    mount::{Share, Single},
    seal::Sealer,
    upstream::http::{HttpConnector, HttpSettings, HttpTarget},
};
use tokio::task::JoinSet;
use tower::Layer;

use super::{eras::first_call, *};

/// A gateway at `{base}/mcp/docs`. It ends with the test.
struct InProcess {
    url: String,
    _serving: JoinSet<()>,
}

impl InProcess {
    async fn start(server: &Scripted) -> Self {
        Self::start_with(server, HttpSettings::default()).await
    }

    async fn start_with(server: &Scripted, settings: HttpSettings) -> Self {
        let target = HttpTarget { url: server.url().parse().unwrap(), headers: Vec::new() };
        let connector = HttpConnector::new("docs".into(), target, settings).unwrap();
        let sealer = Arc::new(Sealer::random());
        let mount = Single::new("docs", Arc::new(connector), Share::Principal, sealer.clone());
        let mounts: Vec<Arc<dyn Mount>> = vec![Arc::new(mount)];
        let gateway = Gateway::new(mounts, &Settings { sealer, ..Settings::default() });
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), Limits::default()).await.unwrap();
        let address = listener.local_addr();
        let service = Guard::new(address, &[], None).layer(gateway.router());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            listener.serve(service, Shutdown::new()).await;
        });
        Self { url: format!("http://{address}/mcp/docs"), _serving: serving }
    }
}

/// Lets time pass.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// A server that speaks one era or the other, as the test says, and runs nothing of the other one.
async fn changing(modern: Arc<AtomicBool>, ran: Arc<Mutex<Vec<&'static str>>>) -> Scripted {
    // A legacy client has to see this in an object, a modern one as it is.
    const NUMBERS: &str = r#"{"type":"array","items":{"type":"integer"}}"#;
    Scripted::start(move |seen| {
        let speaks = if modern.load(Ordering::SeqCst) { Speaks::Modern } else { Speaks::Legacy };
        let ran = ran.clone();
        async move {
            let enveloped = seen.header("mcp-protocol-version") == Some(MODERN);
            match (speaks, seen.method()) {
                (Speaks::Legacy, "tools/call" | "tools/list") if enveloped => {
                    return Reply::json(400, &seen.error(-32000, "Bad Request: Unsupported protocol version"));
                }
                (Speaks::Modern, method) if !enveloped || method == "initialize" => {
                    let mut error = seen.error(-32022, "Unsupported protocol version");
                    error["error"]["data"] = json!({"supported": [MODERN], "requested": LEGACY});
                    return Reply::json(400, &error);
                }
                _ => {}
            }
            if let Some(reply) = speaks.greets(&seen) {
                return reply;
            }
            let modern = speaks == Speaks::Modern;
            match seen.method() {
                "tools/list" if modern => {
                    let schema: Value = serde_json::from_str(NUMBERS).unwrap();
                    let tool = json!({"name": "t", "inputSchema": {"type": "object"}, "outputSchema": schema});
                    let mut list = speaks.tools(&json!([tool]));
                    list["ttlMs"] = json!(5000);
                    Reply::json(200, &seen.result(list))
                }
                "tools/list" => Reply::json(200, &seen.result(speaks.tools(&json!([plain_tool("t")])))),
                "tools/call" => {
                    ran.lock().unwrap().push(if modern { "modern" } else { "legacy" });
                    let mut result = said("ran");
                    if modern {
                        result["structuredContent"] = json!([1, 2]);
                    }
                    Reply::json(200, &seen.result(result))
                }
                _ => Reply::empty(404),
            }
        }
    })
    .await
}

#[tokio::test]
async fn era_162_163_sec_070_a_call_outlives_the_change_of_its_servers_era() {
    for from_modern in [false, true] {
        for revision in CLIENTS {
            let (modern, ran) = (Arc::new(AtomicBool::new(from_modern)), Arc::new(Mutex::new(Vec::new())));
            let server = changing(modern.clone(), ran.clone()).await;
            let gateway = InProcess::start(&server).await;
            let client = Client::connect(&gateway.url, revision).await;
            client.request("tools/list", json!({})).await.result();
            client.call("t", json!({})).await.result();
            modern.store(!from_modern, Ordering::SeqCst);
            // A verdict is not doubted twice in a row.
            later(Duration::from_secs(11)).await;
            let result = client.call("t", json!({})).await.result();
            let expected = match from_modern {
                true => ["modern", "legacy"],
                false => ["legacy", "modern"],
            };
            assert_eq!(*ran.lock().unwrap(), expected, "{revision}: each call ran once");
            // What was known of the tool was known in the other era.
            let numbers = match (from_modern, revision) {
                (true, _) => Value::Null,
                (false, MODERN) => json!([1, 2]),
                (false, _) => json!({"result": [1, 2]}),
            };
            assert_eq!(result["structuredContent"], numbers, "{revision}");
            // The list is the one of the new era as well.
            let list = client.request("tools/list", json!({})).await.result();
            assert_eq!(list["tools"][0].get("outputSchema").is_some(), !from_modern, "{revision}");
        }
    }
}

#[tokio::test]
async fn era_162_163_a_list_outlives_the_change_of_its_servers_era() {
    for from_modern in [false, true] {
        let (modern, ran) = (Arc::new(AtomicBool::new(from_modern)), Arc::default());
        let server = changing(modern.clone(), ran).await;
        let gateway = InProcess::start(&server).await;
        let client = Client::connect(&gateway.url, LEGACY).await;
        client.request("tools/list", json!({})).await.result();
        modern.store(!from_modern, Ordering::SeqCst);
        // Longer than the list is kept.
        later(Duration::from_secs(11)).await;
        let list = client.request("tools/list", json!({})).await.result();
        assert_eq!(list["tools"][0].get("outputSchema").is_some(), !from_modern);
    }
}

#[tokio::test]
async fn cursors_expire() {
    let tools: Vec<_> = (0..1500).map(|n| plain_tool(&format!("t{n}"))).collect();
    let server = server(Speaks::Modern, json!(tools), |seen| async move { says(&seen, "ran") }).await;
    let gateway = InProcess::start(&server).await;
    for revision in CLIENTS {
        let client = Client::connect(&gateway.url, revision).await;
        let first = client.request("tools/list", json!({})).await.result();
        let cursor = json!({"cursor": first["nextCursor"]});
        client.request("tools/list", cursor.clone()).await.result();
        later(Duration::from_secs(301)).await;
        // The connection was closed meanwhile.
        let client = Client::connect(&gateway.url, revision).await;
        assert_eq!(client.request("tools/list", cursor).await.error()["code"], -32602, "{revision}");
    }
}

#[tokio::test]
async fn era_154_a_probe_that_is_not_answered_in_time_settles_nothing() {
    let hangs = Arc::new(AtomicBool::new(true));
    let is_hanging = hangs.clone();
    let server = Scripted::start(move |seen| {
        let hangs = is_hanging.load(Ordering::SeqCst);
        async move {
            match seen.method() {
                _ if hangs => std::future::pending().await,
                "server/discover" => discovered(&seen),
                "tools/list" => Reply::json(200, &seen.result(Speaks::Modern.tools(&json!([])))),
                _ => says(&seen, "ran"),
            }
        }
    })
    .await;
    let settings = HttpSettings { probe: Duration::from_millis(200), ..HttpSettings::default() };
    let gateway = InProcess::start_with(&server, settings).await;
    let (status, answer) = first_call(&gateway.url).await;
    assert_eq!(status, 200);
    // Nothing has run, so it does no harm to try again.
    let data = &answer["error"]["data"];
    assert_eq!((&data["reason"], &data["retryable"]), (&json!("timeout"), &json!(true)), "{answer}");
    hangs.store(false, Ordering::SeqCst);
    assert_eq!(first_call(&gateway.url).await.1["result"]["content"][0]["text"], "ran");
    assert_eq!(server.count("initialize"), 0);
}
