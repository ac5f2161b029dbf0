//! What a parked call costs in memory: `cargo bench --bench parked`.
//!
//! A legacy server asks in the middle of every call, and the modern clients never come back. What is measured is what the
//! process holds for one more call: the running call, its question, the record and its timers, beside the payload (a few
//! hundred bytes here). The bound is 16 KiB, and the benchmark fails when it is passed.
//!
//! Each principal has a session with the server, which is opened before the count begins and is told of by itself. A call
//! waits a moment for further questions before the client is asked, and a question that names no call is put to the latest
//! call of its session: so the principals call side by side, and each of them one call after the other.

use std::{io::Write, process::ExitCode, sync::Arc};

use futures_util::future::join_all;
use http::Request;
use http_body_util::{BodyExt, Full};
use peak_alloc::PeakAlloc;
use rialto::{
    Limits,
    downstream::{Endpoint, Settings},
    hub::{Gather, Limit, Mount, Principal},
    mount::{Share, Single},
    upstream::{EraChoice, in_process::InProcessConnector, lines::LineSettings},
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What a parked call may cost, in bytes.
const BOUND: usize = 16 * 1024;
/// Principals, and so sessions with the server.
const PRINCIPALS: usize = 100;
/// Calls of each principal that are held before the count begins, so that tables and pools have their size.
const FIRST: usize = 10;
/// Calls of each principal that are counted.
const COUNTED: usize = 100;

/// What things cost, in bytes.
struct Costs {
    /// A principal with its session and one parked call.
    session: usize,
    /// One more parked call.
    call: usize,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let Ok(Costs { session, call }) = runtime.map(|runtime| runtime.block_on(measure())) else {
        return ExitCode::FAILURE;
    };
    let (held, verdict) = (PRINCIPALS * COUNTED, if call <= BOUND { "within" } else { "OVER" });
    let words = format!(
        "{held} parked calls hold {call} bytes each, {verdict} the bound of {BOUND}; \
         each of {PRINCIPALS} principals with its session and a first call holds {session}\n"
    );
    // Benchmarks print; there is no reader to be confused.
    let _ = std::io::stdout().write_all(words.as_bytes());
    if call <= BOUND { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure() -> Costs {
    let (each, all) = (FIRST + COUNTED, PRINCIPALS * (FIRST + COUNTED));
    let limits = Limits { parked_each: each, parked: all, ..Limits::default() };
    let settings = Settings::from(limits);
    let lines = LineSettings { era: EraChoice::Legacy, ..LineSettings::default() };
    let connector = InProcessConnector::with_settings("asks", lines, ask);
    let single = Single::new("asks", Arc::new(connector), Share::Principal, settings.sealer.clone());
    let mount: Arc<dyn Mount> = Arc::new(Limit::new(Gather::new(single, 10)));
    let endpoint = Endpoint::new(mount, settings.clone());
    let start = ALLOCATOR.current_usage();
    park(&endpoint, 0).await;
    let opened = ALLOCATOR.current_usage();
    for round in 1..FIRST {
        park(&endpoint, round).await;
    }
    let before = ALLOCATOR.current_usage();
    for round in FIRST..each {
        park(&endpoint, round).await;
    }
    let after = ALLOCATOR.current_usage();
    assert_eq!(settings.held.parked(), all, "all calls wait");
    let share = |from: usize, to: usize, among: usize| to.saturating_sub(from) / among;
    Costs { session: share(start, opened, PRINCIPALS), call: share(before, after, PRINCIPALS * COUNTED) }
}

/// Makes a call of each principal, and reads that it needs input.
async fn park(endpoint: &Endpoint, round: usize) {
    join_all((0..PRINCIPALS).map(|principal| call(endpoint, principal, round))).await;
}

async fn call(endpoint: &Endpoint, principal: usize, number: usize) {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}});
    let params = json!({"name": "ask", "arguments": {"number": number}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}).to_string();
    let request = Request::post("/mcp/asks")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "ask")
        .body(Full::from(body))
        .expect("a request");
    let principal = Principal::new(&format!("principal {principal}"));
    let response = endpoint.serve(request, &principal).await;
    let answer = response.into_body().collect().await.expect("a body").to_bytes();
    assert!(String::from_utf8_lossy(&answer).contains("input_required"), "asked: {answer:?}");
}

/// A legacy server that asks and remembers nothing.
async fn ask(io: DuplexStream) {
    let (reader, mut writer) = tokio::io::split(io);
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(message) = serde_json::from_str::<Value>(&line) else { return };
        let reply = match message["method"].as_str() {
            Some("initialize") => json!({"jsonrpc": "2.0", "id": message["id"], "result": {
                "protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "asks", "version": "1"}}}),
            Some("ping") => json!({"jsonrpc": "2.0", "id": message["id"], "result": {}}),
            Some("tools/list") => json!({"jsonrpc": "2.0", "id": message["id"],
                "result": {"tools": [{"name": "ask", "inputSchema": {"type": "object"}}]}}),
            Some("tools/call") => {
                let number = &message["params"]["arguments"]["number"];
                let schema = json!({"type": "object", "properties": {"answer": {"type": "string"}}});
                json!({"jsonrpc": "2.0", "id": format!("ask-{number}"), "method": "elicitation/create",
                    "params": {"message": "Really?", "requestedSchema": schema}})
            }
            _ => continue,
        };
        if writer.write_all(format!("{reply}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
