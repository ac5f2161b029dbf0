//! What large results cost: the memory of a running `rialto`, as the system counts it.

use std::{fmt::Write as _, path::Path, time::Duration};

use futures_util::future::join_all;

use super::*;
use crate::{matrix::process::fixture_path, upstream_http::scripted::Piece};

const SIZE: usize = 10 << 20;

/// The most memory that a process has held since this was last asked, in bytes.
fn peak(rialto: &Rialto) -> usize {
    let process = Path::new("/proc").join(rialto.pid().to_string());
    let status = std::fs::read_to_string(process.join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: usize = line.trim().trim_end_matches(" kB").trim().parse().unwrap();
    // From here on it is counted anew (proc(5), /proc/pid/clear_refs).
    std::fs::write(process.join("clear_refs"), "5").unwrap();
    kilobytes << 10
}

/// How a large result comes to the gateway.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comes {
    /// In one JSON object over HTTP.
    Whole(Speaks),
    /// As an event, after a notification.
    Event(Speaks),
    /// As a line of a process.
    Line(Speaks),
}

/// A gateway in front of a server that answers the tool `big` with [`SIZE`] bytes.
async fn behind(comes: Comes) -> (Rialto, Option<Scripted>) {
    let speaks = match comes {
        Comes::Whole(speaks) | Comes::Event(speaks) => speaks,
        Comes::Line(speaks) => {
            let program = fixture_path().with_file_name(format!("raw-server{}", std::env::consts::EXE_SUFFIX));
            let era = if speaks == Speaks::Modern { "modern" } else { "legacy" };
            let entry = json!({"command": program, "args": ["--era", era]});
            return (Rialto::start(&json!({"docs": entry})).await, None);
        }
    };
    let text: Arc<str> = "x".repeat(SIZE).into();
    let server = server(speaks, json!([plain_tool("big")]), move |seen| {
        let text = text.clone();
        async move {
            let size = seen.body["params"]["arguments"]["size"].as_u64().unwrap();
            let mut frame = String::with_capacity(SIZE + 200);
            let id = &seen.body["id"];
            write!(frame, r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","content":[{{"type":"text","text":""#)
                .unwrap();
            frame.push_str(&text[..usize::try_from(size).unwrap()]);
            frame.push_str(r#""}]}}"#);
            match comes {
                Comes::Event(_) => {
                    let (reply, pieces) = Reply::events();
                    tokio::spawn(async move {
                        let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}});
                        for message in [note.to_string(), frame] {
                            let event = format!("event: message\ndata: {message}\n\n");
                            let _ = pieces.send(Piece::Text(event)).await;
                        }
                    });
                    reply
                }
                _ => Reply::text(200, "application/json", frame),
            }
        }
    })
    .await;
    (gateway(&server).await, Some(server))
}

/// Calls `big`; fails unless all of it arrives.
async fn call(rialto: &Rialto, session: Option<&str>, token: bool, size: usize) {
    let mut params = json!({"name": "big", "arguments": {"size": size}, "_meta": {}});
    let url = rialto.mount("docs");
    let request = match session {
        Some(session) => legacy_call(&url).header("mcp-session-id", session),
        None => {
            params["_meta"] = envelope();
            modern_call(&url, "big")
        }
    };
    if token {
        params["_meta"]["progressToken"] = json!("t");
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let response = request.body(body.to_string()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    let (_, said) = text.rsplit_once(r#""text":""#).unwrap_or_else(|| panic!("{}", &text[..text.len().min(500)]));
    assert_eq!(said.find('"'), Some(size), "{}", &text[..text.len().min(500)]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn era_442_a_large_result_costs_a_few_times_its_size_and_only_while_it_passes() {
    for comes in
        SERVERS.into_iter().flat_map(|speaks| [Comes::Whole(speaks), Comes::Event(speaks), Comes::Line(speaks)])
    {
        let (rialto, _server) = behind(comes).await;
        for revision in CLIENTS {
            let case = format!("{comes:?} to {revision}");
            let known = client(&rialto, revision).await;
            let session = (revision == LEGACY).then(|| known.session().unwrap().to_owned());
            let session = session.as_deref();
            for _ in 0..3 {
                call(&rialto, session, false, 1000).await;
            }
            peak(&rialto);
            call(&rialto, session, false, 1000).await;
            let before = peak(&rialto);
            call(&rialto, session, false, SIZE).await;
            let first = peak(&rialto);
            for _ in 0..12 {
                call(&rialto, session, false, SIZE).await;
            }
            let later = peak(&rialto);
            join_all((0..4).map(|_| call(&rialto, session, false, SIZE))).await;
            let together = peak(&rialto);
            call(&rialto, session, false, 1000).await;
            peak(&rialto);
            call(&rialto, session, false, 1000).await;
            let after = peak(&rialto);
            eprintln!(
                "YY {case}: {before} +{} +{} +{} +{}",
                mib(first, before),
                mib(later, before),
                mib(together, before),
                mib(after, before)
            );
        }
    }
}

fn mib(now: usize, before: usize) -> f64 {
    (now as f64 - before as f64) / 1048576.0
}
