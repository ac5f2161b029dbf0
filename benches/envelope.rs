//! What reading and writing the JSON-RPC envelope costs: `cargo bench --bench envelope`.
//!
//! Each row is the best of several rounds, in nanoseconds per message: scanning it strictly and splitting it (`read`), the
//! same and writing it again under another id (`relay`), and what a tree of values costs for the same text (`tree`), with
//! the ratio. Trust the ratios: they are measured side by side in one run.

use std::{
    fmt::Write,
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rialto::jsonrpc::{Encoded, Limits, Message, Payload, RequestId, encode_request, encode_result};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(60);

fn main() {
    let mut table = String::new();
    let _ = writeln!(
        table,
        "{:<34} {:>8} {:>10} {:>10} {:>10} {:>8}",
        "message", "bytes", "read", "relay", "tree", "ratio"
    );
    for (name, text, limits) in messages() {
        let read = best(|| drop(black_box(Payload::parse(text.clone(), limits))));
        let relayed = best(|| drop(black_box(relay(text.clone(), limits))));
        let tree = best(|| {
            let value: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
            drop(black_box(value.map(|v| v.to_string())));
        });
        let ratio = tree / relayed;
        let _ = writeln!(table, "{name:<34} {:>8} {read:>10.0} {relayed:>10.0} {tree:>10.0} {ratio:>7.1}x", text.len());
    }
    // Benchmarks print; there is no reader to be confused.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), table.as_bytes());
}

fn relay(text: Bytes, limits: Limits) -> Option<Encoded> {
    let id = RequestId::number(7);
    match Payload::parse(text, limits) {
        Ok(Payload::One(Message::Request(request))) => {
            Some(encode_request(&id, &request.method, request.params.as_ref()).into())
        }
        Ok(Payload::One(Message::Response(response))) => {
            response.outcome.ok().map(|result| encode_result(&id, &result))
        }
        _ => None,
    }
}

fn best(mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (start, mut times) = (Instant::now(), 0_u32);
        while start.elapsed() < ROUND {
            for _ in 0..16 {
                work();
            }
            times += 16;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(times));
    }
    best
}

fn messages() -> Vec<(&'static str, Bytes, Limits)> {
    let call = |text: &str| {
        Bytes::from(format!(
            r#"{{"jsonrpc":"2.0","id":41,"method":"tools/call","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{"elicitation":{{"form":{{}}}}}}}},"name":"get_weather","arguments":{{"city":"Oslo","text":"{text}"}}}}}}"#
        ))
    };
    let tool = |n: usize| {
        format!(
            r#"{{"name":"tool_{n}","title":"Tool {n}","description":"Does the thing with the number {n}, and says how it went.","inputSchema":{{"type":"object","properties":{{"path":{{"type":"string","description":"where"}},"limit":{{"type":"integer","minimum":1,"maximum":100}}}},"required":["path"]}},"annotations":{{"readOnlyHint":true}}}}"#
        )
    };
    let tools: Vec<String> = (0..200).map(tool).collect();
    let rows: Vec<String> =
        (0..500).map(|n| format!(r#"{{"id":{n},"price":{n}.50,"name":"row {n}","tags":["a","b"]}}"#)).collect();
    let result = |inner: &str| Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":41,"result":{inner}}}"#));
    vec![
        ("tools/call, small", call("hello"), Limits::DOWNSTREAM),
        ("tools/call, 64 KiB argument", call(&"x".repeat(64 << 10)), Limits::DOWNSTREAM),
        ("result, small", result(r#"{"content":[{"type":"text","text":"4 °C"}]}"#), Limits::UPSTREAM),
        (
            "result, structured",
            result(&format!(r#"{{"content":[],"structuredContent":{{"rows":[{}]}}}}"#, rows.join(","))),
            Limits::UPSTREAM,
        ),
        ("tools/list, 200 tools", result(&format!(r#"{{"tools":[{}]}}"#, tools.join(","))), Limits::UPSTREAM),
    ]
}
