//! The trace that a client's request belongs to, and how it goes on (W3C Trace Context; 2026-07-28, basic/index#meta).

use super::*;
use crate::matrix::process::fixture_path;

const ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "00f067aa0ba902b7";
const OTHER: &str = "11f067aa0ba902b7";

fn parent(span: &str) -> String {
    format!("00-{ID}-{span}-01")
}

/// A call of the tool `t` with these keys in `_meta` and these headers, sent as a client of either era sends it.
async fn call(rialto: &Rialto, revision: &str, tool: &str, meta: Value, headers: &[(&str, &str)]) -> Value {
    let url = rialto.mount("docs");
    let mut params = json!({"name": tool, "arguments": {}});
    let mut keys = if revision == MODERN { envelope() } else { json!({}) };
    keys.as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
    if keys != json!({}) {
        params["_meta"] = keys;
    }
    let request = if revision == MODERN { modern_call(&url, tool) } else { legacy_call(&url) };
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let (status, answer) = answered(request, body).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The span of a `traceparent` of our trace.
fn span_of(parent: &str) -> &str {
    let span = parent.strip_prefix(&format!("00-{ID}-")).and_then(|rest| rest.strip_suffix("-01"));
    let span = span.unwrap_or_else(|| panic!("another trace: {parent}"));
    assert!(span.len() == 16 && span.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{parent}");
    span
}

#[tokio::test]
async fn era_435_a_trace_goes_on_with_a_span_of_its_own_for_each_request() {
    for speaks in SERVERS {
        let server = server(speaks, json!([]), |seen| async move { says(&seen, "ran") }).await;
        // Whoever names the headers gets no second copy of them.
        let rialto = gateway_with(&server, json!({"forward_headers": ["traceparent", "tracestate"]})).await;
        let (own, others) = (parent(SPAN), parent(OTHER));
        let in_meta = json!({"traceparent": own, "tracestate": "a=1,b=2", "baggage": "c=3"});
        let in_headers = [("traceparent", own.as_str()), ("tracestate", "a=1"), ("tracestate", "b=2")];
        let mut spans = vec![SPAN.to_owned(), OTHER.to_owned()];
        for revision in CLIENTS {
            for (meta, headers) in [
                (in_meta.clone(), &[][..]),
                (json!({}), &in_headers),
                // What is said of the message counts before what is said of its way.
                (in_meta.clone(), &[("traceparent", &*others), ("tracestate", "z=9")]),
            ] {
                call(&rialto, revision, "t", meta.clone(), headers).await;
                let seen = calls(&server).pop().unwrap();
                let keys = &seen.body["params"]["_meta"];
                let span = span_of(keys["traceparent"].as_str().unwrap()).to_owned();
                assert!(!spans.contains(&span), "{speaks:?} {revision}: {span} was there before");
                spans.push(span);
                assert_eq!(keys["tracestate"], "a=1,b=2");
                assert_eq!(keys.get("baggage"), meta.get("baggage"));
                for name in ["traceparent", "tracestate"] {
                    let values: Vec<_> = seen.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect();
                    assert_eq!(values, [keys[name].as_str().unwrap()], "{speaks:?} {revision} {name}");
                }
            }
        }
        for seen in server.seen() {
            let is_ours = matches!(seen.method(), "server/discover" | "initialize" | "notifications/initialized");
            assert!(!is_ours || seen.header("traceparent").is_none(), "{}", seen.text);
        }
    }
}

#[tokio::test]
async fn era_435_lists_that_are_fetched_for_a_client_are_of_its_trace() {
    for speaks in SERVERS {
        let server = server(speaks, json!([plain_tool("t")]), |seen| async move { says(&seen, "ran") }).await;
        let rialto = gateway(&server).await;
        let client = client(&rialto, LEGACY).await;
        let headers = [("traceparent", parent(SPAN))];
        let ask = Ask { id: "1".into(), method: "tools/list", params: "{}".into(), token: None, headers: &headers };
        client.ask(ask).await.result();
        let lists: Vec<_> = server.seen().into_iter().filter(|seen| seen.method() == "tools/list").collect();
        let traced: Vec<_> = lists.iter().filter_map(|seen| seen.header("traceparent")).collect();
        let [traced] = traced[..] else { panic!("{speaks:?}: {traced:?}") };
        assert_ne!(span_of(traced), SPAN);
    }
}

#[tokio::test]
async fn era_435_sec_156_what_is_malformed_goes_nowhere() {
    let zero = format!("00-{}-{SPAN}-01", "0".repeat(32));
    let (future, capitals, long) =
        (format!("ff-{ID}-{SPAN}-01"), parent(SPAN).to_uppercase(), format!("{}-{}", parent(SPAN), "x".repeat(4000)));
    for speaks in SERVERS {
        let server = server(speaks, json!([]), |seen| async move { says(&seen, "ran") }).await;
        let rialto = gateway(&server).await;
        for revision in CLIENTS {
            for wrong in ["CANARY", &zero, &future, &capitals, &long] {
                let meta = json!({"traceparent": wrong, "tracestate": "canary=1", "a": 1});
                call(&rialto, revision, "t", meta, &[]).await;
                call(&rialto, revision, "t", json!({"a": 1}), &[("traceparent", wrong), ("tracestate", "canary=1")])
                    .await;
                for seen in calls(&server).split_off(calls(&server).len() - 2) {
                    assert_eq!(seen.body["params"]["_meta"]["a"], 1, "{}", seen.text);
                    let all = format!("{:?} {}", seen.headers, seen.text).to_lowercase();
                    assert!(!all.contains("trace") && !all.contains("canary"), "{speaks:?} {revision} {wrong}: {all}");
                }
            }
            // A state that is none does not spoil the trace.
            let state = "x".repeat(4000);
            call(&rialto, revision, "t", json!({"traceparent": parent(SPAN), "tracestate": state}), &[]).await;
            let seen = calls(&server).pop().unwrap();
            span_of(seen.header("traceparent").unwrap());
            assert!(seen.header("tracestate").is_none() && !seen.text.contains("tracestate"), "{}", seen.text);
        }
    }
}

#[tokio::test]
async fn era_435_the_servers_of_pipes_hear_of_it_and_the_logs_tell_both_ends() {
    let raw = fixture_path().with_file_name(format!("raw-server{}", std::env::consts::EXE_SUFFIX));
    for era in ["modern", "legacy"] {
        let config = json!({"mcpServers": {"docs": {"command": raw, "args": ["--era", era]}}}).to_string();
        let log = "info,rialto::access=debug,rialto::trace=debug";
        let rialto = Rialto::run_with(Some(("mcp.json", &config)), |command| {
            command.args(["--listen", "127.0.0.1:0", "--log", log])
        });
        let rialto = rialto.await.unwrap();
        for revision in CLIENTS {
            let headers = [("traceparent", &*parent(SPAN))];
            let answer = call(&rialto, revision, "meta", json!({}), &headers).await;
            let keys = &answer["result"]["structuredContent"]["value"];
            let span = span_of(keys["traceparent"].as_str().unwrap_or_else(|| panic!("{answer}"))).to_owned();
            let lines = async || {
                let log = rialto.log();
                let sent =
                    format!("trace=\"{ID}\" parent=\"{SPAN}\" span=\"{span}\" upstream=\"docs\" method=\"tools/call\"");
                let asked = format!("trace=\"{ID}\" span=\"{SPAN}\"");
                log.contains(&sent) && log.lines().any(|line| line.contains("rialto::access") && line.contains(&asked))
            };
            crate::matrix::process::until("the lines of the request", lines).await;
        }
        // REST is a client like any other.
        let call = http_client().post(format!("{}/api/mounts/docs/tools/meta", rialto.base));
        let call = call.header("content-type", "application/json").header("traceparent", parent(OTHER));
        let answer: Value = serde_json::from_str(&call.body("{}").send().await.unwrap().text().await.unwrap()).unwrap();
        assert_ne!(span_of(answer["value"]["traceparent"].as_str().unwrap()), OTHER, "{answer}");
    }
}
