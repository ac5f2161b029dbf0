//! Servers of both eras, and which one is spoken with them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rialto::{
    mount::Matching,
    upstream::{EraChoice, in_process::InProcessConnector, lines::LineSettings},
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::*;
use crate::upstream_http::{discovered, housekeeping};

/// The modern half of a server of both eras. Its tool `old` asks in the way of the other half.
fn modern_half(seen: &Seen) -> Option<Reply> {
    if seen.header("mcp-protocol-version") != Some(MODERN) {
        return None;
    }
    Some(match (seen.method(), seen.body["params"]["name"].as_str()) {
        ("server/discover", _) => Reply::json(
            200,
            &seen.result(json!({"resultType": "complete", "supportedVersions": [MODERN], "ttlMs": 60_000,
                "cacheScope": "public", "capabilities": {"tools": {}}})),
        ),
        ("tools/list", _) => listed(seen, &json!([plain("old"), plain("t")])),
        (_, Some("old")) => {
            let message = "Cannot send 'elicitation/create': this transport context has no back-channel for \
                           server-initiated requests.";
            Reply::json(200, &seen.error(-32600, message))
        }
        _ => says(seen, "modern"),
    })
}

async fn dual() -> Old {
    let tools = json!([plain("old"), plain("t")]);
    Old::start(Like { also: modern_half, tools, ..Like::default() }, |call: Arrived| async move {
        if call.name() == "old" {
            return text(&call.ask("elicitation/create", form("?")).await["result"]["action"]);
        }
        text("legacy")
    })
    .await
}

#[tokio::test]
async fn era_382_the_operator_chooses_the_era() {
    let server = dual().await;
    let era = |era| at(&server.scripted.url(), HttpSettings { era, ..quick() });
    let spoken = async |gateway: &Gateway| {
        let client = legacy(gateway, LEGACY, json!({})).await;
        let modern = said(&tool("t", json!({})).response(gateway, 200).await);
        (modern, said(&client.call(1, "t").await.unwrap().json()))
    };
    let both = |text: &str| (text.to_owned(), text.to_owned());
    assert_eq!(spoken(&gateway(era(EraChoice::Auto)).await).await, both("modern"));
    assert_eq!(spoken(&gateway(era(EraChoice::Modern)).await).await, both("modern"));
    assert_eq!(spoken(&gateway(era(EraChoice::Legacy)).await).await, both("legacy"));
    let settings = Settings::default();
    let single = |choice| mount(era(choice), Share::Principal, &settings);
    let matching = Matching::new(single(EraChoice::Modern), single(EraChoice::Legacy));
    let gateway = Gateway::around(Arc::new(matching), settings.clone()).listen().await;
    assert_eq!(spoken(&gateway).await, ("modern".to_owned(), "legacy".to_owned()));
}

#[tokio::test]
async fn era_383_a_tool_that_asks_the_old_way_is_called_on_the_other_leg_from_the_second_time_on() {
    let server = dual().await;
    let gateway = gateway_at(&server.scripted).await;
    let call = tool("old", json!({})).answering();
    let error = call.error(&gateway, 200, -32600).await;
    assert!(error["message"].as_str().unwrap().contains("no back-channel"), "the truth: {error}");
    assert_eq!((server.calls().len(), server.scripted.count("initialize")), (1, 0), "nothing was tried again");
    for action in ["decline", "cancel"] {
        let response = call.response(&gateway, 200).await;
        let done = answer(&gateway, &call, &response, json!({"action": action})).await;
        assert_eq!(said(&done), format!("\"{action}\""));
    }
    // Of the two legs only that tool changed.
    assert_eq!(said(&tool("t", json!({})).response(&gateway, 200).await), "modern");
    assert_eq!(server.calls().len(), 4);
    // A legacy client is served alike.
    let client = legacy(&gateway, LEGACY, able()).await;
    let reply = client.call(1, "old").await.unwrap();
    let talk = converse(&client, reply, |_| Ok(json!({"action": "decline"}))).await;
    assert_eq!(said(&talk.response), "\"decline\"");
    // Where the operator wants the modern era, it stays so.
    let server = dual().await;
    let gateway = gateway_with(
        at(&server.scripted.url(), HttpSettings { era: EraChoice::Modern, ..quick() }),
        Share::Principal,
        Settings::default(),
    )
    .await;
    for _ in 0..2 {
        call.error(&gateway, 200, -32600).await;
    }
    assert_eq!(server.scripted.count("initialize"), 0);
}

/// A server of both eras on a pipe, whose tool `old` asks in the way of the legacy one.
async fn dual_on_a_pipe(stream: DuplexStream) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let request: Value = serde_json::from_str(&line).unwrap();
        let is_modern = request["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == MODERN;
        let answer = match (request["method"].as_str().unwrap_or_default(), is_modern) {
            ("server/discover", _) => json!({"result": {"resultType": "complete", "supportedVersions": [MODERN],
                "ttlMs": 60_000, "cacheScope": "public", "capabilities": {"tools": {}}}}),
            ("initialize", _) => json!({"result": {"protocolVersion": LEGACY, "capabilities": {"tools": {}},
                "serverInfo": {"name": "dual", "version": "1"}}}),
            ("tools/list", _) => json!({"result": {"resultType": "complete", "tools": [plain("old"), plain("t")],
                "ttlMs": 0, "cacheScope": "private"}}),
            ("tools/call", true) if request["params"]["name"] == "old" => json!({"error": {"code": -32600,
                "message": "Cannot send 'elicitation/create': this transport context has no back-channel for \
                            server-initiated requests."}}),
            ("tools/call", _) => {
                let era = if is_modern { "modern" } else { "legacy" };
                json!({"result": {"resultType": "complete", "content": [{"type": "text", "text": era}]}})
            }
            _ => continue,
        };
        let mut response = json!({"jsonrpc": "2.0", "id": request["id"]});
        response.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
        if writer.write_all(format!("{response}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn era_383_the_other_leg_is_there_on_a_pipe_as_well() {
    let gateway = gateway(Arc::new(InProcessConnector::new("docs", dual_on_a_pipe))).await;
    let call = tool("old", json!({}));
    call.error(&gateway, 200, -32600).await;
    assert_eq!(said(&call.response(&gateway, 200).await), "legacy");
    assert_eq!(said(&tool("t", json!({})).response(&gateway, 200).await), "modern");
    let settings = LineSettings { era: EraChoice::Modern, ..LineSettings::default() };
    let connector = InProcessConnector::with_settings("docs", settings, dual_on_a_pipe);
    let gateway = super::gateway(Arc::new(connector)).await;
    for _ in 0..2 {
        call.error(&gateway, 200, -32600).await;
    }
}

/// A call that has become a task has run: it is not sent once more to a server that is exchanged for an older one meanwhile.
#[tokio::test]
async fn a_call_that_became_a_task_is_not_sent_again_in_the_other_era() {
    let (is_new, runs) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (new, ran) = (is_new.clone(), runs.clone());
    let server = Scripted::start(move |seen| {
        let (new, ran) = (new.clone(), ran.clone());
        async move {
            if seen.method() == "tools/call" && new.load(Ordering::SeqCst) {
                ran.fetch_add(1, Ordering::SeqCst);
                if seen.body["params"]["name"] == "t" {
                    return says(&seen, "modern");
                }
                new.store(false, Ordering::SeqCst);
                let at = "2026-11-20T10:00:00Z";
                return Reply::json(
                    200,
                    &seen.result(json!({"resultType": "task", "taskId": "x", "status": "working",
                    "createdAt": at, "lastUpdatedAt": at, "ttlMs": 60_000, "pollIntervalMs": 1})),
                );
            }
            match (new.load(Ordering::SeqCst), seen.method()) {
                (true, "tools/list") => listed(&seen, &json!([plain("t"), plain("long")])),
                (true, _) => discovered(&seen),
                (false, "tools/list") => Reply::json(200, &seen.result(json!({"tools": [plain("t"), plain("long")]}))),
                (false, method)
                    if method != "server/discover" && seen.header("mcp-protocol-version") == Some(MODERN) =>
                {
                    Reply::json(400, &seen.error(-32000, "Bad Request: Unsupported protocol version"))
                }
                (false, "tools/call") => {
                    ran.fetch_add(1, Ordering::SeqCst);
                    Reply::json(200, &seen.result(text("legacy").unwrap()))
                }
                _ => housekeeping(&seen, LEGACY, Some("s-1")).unwrap_or_else(|| Reply::empty(405)),
            }
        }
    })
    .await;
    let gateway = gateway_at(&server).await;
    assert_eq!(said(&tool("t", json!({})).response(&gateway, 200).await), "modern");
    // What was found out a moment ago is not doubted.
    later(Duration::from_secs(11)).await;
    let error = tool("long", json!({})).error(&gateway, 200, -32603).await;
    assert_eq!(error["data"]["reason"], "upstream_protocol", "{error}");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    // The next one is told to the server that is there now.
    assert_eq!(said(&tool("t", json!({})).response(&gateway, 200).await), "legacy");
}
