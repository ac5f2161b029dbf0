//! What a parked call costs in memory: `cargo bench --bench parked`.
//!
//! A legacy server asks in the middle of every call, and the modern clients never come back. What is measured is what the
//! process holds for one more call: the running call, its question, the record and its timers, beside the server's
//! connection (one for a thousand calls) and the payload (a few hundred bytes here). The bound is 16 KiB.

use std::{io::Write, process::ExitCode, sync::Arc};

use http::Request;
use http_body_util::{BodyExt, Full};
use peak_alloc::PeakAlloc;
use rialto::{
    downstream::{Endpoint, Held, HeldLimits, Settings},
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
/// Calls that are held before the count begins, so that tables and pools have their size.
const FIRST: usize = 1_000;
/// Calls that share one session with the server.
const SESSION: usize = 1_000;
/// Calls that are counted.
const HELD: usize = 10_000;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let Ok(each) = runtime.map(|runtime| runtime.block_on(measure())) else { return ExitCode::FAILURE };
    let verdict = if each <= BOUND { "within" } else { "OVER" };
    let words = format!("{HELD} parked calls hold {each} bytes each, {verdict} the bound of {BOUND}\n");
    // Benchmarks print; there is no reader to be confused.
    let _ = std::io::stdout().write_all(words.as_bytes());
    if each <= BOUND { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure() -> usize {
    let all = FIRST + HELD;
    let limits = HeldLimits { parked_each: all, parked_all: all, ..HeldLimits::default() };
    let settings = Settings { held: Arc::new(Held::new(limits)), ..Settings::default() };
    let lines = LineSettings { era: EraChoice::Legacy, ..LineSettings::default() };
    let connector = InProcessConnector::with_settings("asks", lines, ask);
    let single = Single::new("asks", Arc::new(connector), Share::Principal, settings.sealer.clone());
    let mount: Arc<dyn Mount> = Arc::new(Limit::new(Gather::new(single)));
    let endpoint = Endpoint::new(mount, settings.clone());
    for number in 0..FIRST {
        park(&endpoint, number).await;
    }
    let before = ALLOCATOR.current_usage();
    for number in FIRST..all {
        park(&endpoint, number).await;
    }
    let after = ALLOCATOR.current_usage();
    assert_eq!(settings.held.parked(), all, "all calls wait");
    after.saturating_sub(before) / HELD
}

/// Makes a call and reads that it needs input.
async fn park(endpoint: &Endpoint, number: usize) {
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
    // One session of a server takes so many calls; the next principal has the next session.
    let principal = Principal::new(&format!("principal {}", number / SESSION));
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
