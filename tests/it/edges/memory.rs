//! What large results cost (ERA-442): the memory of a running `rialto`, as the system counts it.
#![cfg(target_os = "linux")]

use std::{
    fmt::Write as _,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

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

/// Serves one server. What is large is given back to the system as soon as it is free, so that the peaks are of what is in
/// use and not of what the C library keeps for later (mallopt(3)).
async fn started(entry: Value) -> Rialto {
    let config = json!({"mcpServers": {"docs": entry}}).to_string();
    let started = Rialto::run_with(Some(("mcp.json", &config)), |command| {
        command.args(["--listen", "127.0.0.1:0"]).env("MALLOC_MMAP_THRESHOLD_", "65536")
    });
    started.await.unwrap()
}

/// How a large result comes to the gateway.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comes {
    /// In one JSON object over HTTP.
    Whole,
    /// As an event, after a notification.
    Event,
    /// As a line of a process.
    Line,
}

/// A gateway in front of a server that answers the tool `big` with as many bytes as it is asked for.
async fn behind(comes: Comes, speaks: Speaks) -> (Rialto, Option<Scripted>) {
    if comes == Comes::Line {
        let program = fixture_path().with_file_name(format!("raw-server{}", std::env::consts::EXE_SUFFIX));
        let era = if speaks == Speaks::Modern { "modern" } else { "legacy" };
        return (started(json!({"command": program, "args": ["--era", era]})).await, None);
    }
    let text: Arc<str> = "x".repeat(SIZE).into();
    let server = server(speaks, json!([plain_tool("big")]), move |seen| {
        let text = text.clone();
        async move {
            let size = usize::try_from(seen.body["params"]["arguments"]["size"].as_u64().unwrap()).unwrap();
            let mut frame = String::with_capacity(SIZE + 200);
            let (id, content) = (&seen.body["id"], r#""content":[{"type":"text","text":""#);
            write!(frame, r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete",{content}"#).unwrap();
            frame.push_str(&text[..size]);
            frame.push_str(r#""}]}}"#);
            if comes == Comes::Whole {
                return Reply::text(200, "application/json", frame);
            }
            let (reply, pieces) = Reply::events();
            tokio::spawn(async move {
                let params = json!({"level": "info", "data": 1});
                let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params});
                for message in [note.to_string(), frame] {
                    let _ = pieces.send(Piece::Text(format!("event: message\ndata: {message}\n\n"))).await;
                }
            });
            reply
        }
    })
    .await;
    (started(json!({"url": server.url()})).await, Some(server))
}

/// Calls `big`; fails unless all of it arrives.
async fn call(rialto: &Rialto, session: Option<&str>, size: usize) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut params = json!({"name": "big", "arguments": {"size": size}});
    let url = rialto.mount("docs");
    let request = match session {
        Some(session) => legacy_call(&url).header("mcp-session-id", session),
        None => {
            params["_meta"] = envelope();
            modern_call(&url, "big")
        }
    };
    let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
    let response = request.body(body.to_string()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.bytes().await.unwrap();
    let start = text[..text.len().min(500)].escape_ascii();
    let longest = text.split(|byte| *byte != b'x').map(<[u8]>::len).max();
    assert_eq!(longest, Some(size), "{start}");
}

/// One result after another and some at once, for clients of both eras: each takes a few times its size, for as long as it is
/// on its way.
async fn assert_bounded(comes: Comes) {
    for speaks in SERVERS {
        let case = format!("{comes:?} from {speaks:?}");
        let (rialto, _server) = behind(comes, speaks).await;
        let known = client(&rialto, LEGACY).await;
        let clients = [None, Some(known.session().unwrap())];
        for session in clients.into_iter().cycle().take(6) {
            call(&rialto, session, 1000).await;
        }
        peak(&rialto);
        call(&rialto, None, 1000).await;
        let idle = peak(&rialto);
        let more = || peak(&rialto).saturating_sub(idle);
        for session in clients {
            call(&rialto, session, SIZE).await;
            let one = more();
            assert!(one < 5 * SIZE, "{case}: one takes {one} bytes");
        }
        for session in clients.into_iter().cycle().take(4) {
            call(&rialto, session, SIZE).await;
        }
        let many = more();
        assert!(many < 5 * SIZE, "{case}: one after another they take {many} bytes");
        join_all(clients.into_iter().cycle().take(3).map(|session| call(&rialto, session, SIZE))).await;
        let together = more();
        assert!(together < 3 * 5 * SIZE, "{case}: three at once take {together} bytes");
        // Nothing of them stays, whoever could come back for it.
        call(&rialto, None, 1000).await;
        more();
        call(&rialto, None, 1000).await;
        let after = more();
        assert!(after < SIZE, "{case}: {after} bytes are left of them");
    }
}

#[tokio::test]
async fn era_442_a_large_result_over_http_costs_a_few_times_its_size() {
    assert_bounded(Comes::Whole).await;
}

#[tokio::test]
async fn era_442_a_large_event_costs_a_few_times_its_size() {
    assert_bounded(Comes::Event).await;
}

#[tokio::test]
async fn era_442_a_large_line_costs_a_few_times_its_size() {
    assert_bounded(Comes::Line).await;
}
