//! What nobody here knows the meaning of arrives as it was sent: numbers, unknown members, keys of `_meta`.

use serde_json::value::RawValue;

use super::*;

/// Numbers that a reader of doubles would change, and texts that a writer of JSON would.
const LEXEMES: &str = r#"{"int":123456789012345678901234567890,"dec":1.10,"exp":1E5,"neg":-0,"odd":9007199254740993,"one":1.0,"z":{"b":1,"a":2},"esc":"\u0041\/é\ud83d\ude00"}"#;

fn member<'a>(text: &'a str, path: &[&str]) -> &'a str {
    let mut value: &RawValue = serde_json::from_str(text).unwrap();
    for name in path {
        let members: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).unwrap();
        value = members.get(*name).unwrap_or_else(|| panic!("no {name} in {text}"));
    }
    value.get()
}

/// A result whose parts are texts.
fn result(seen: &Seen, result: &str) -> Reply {
    let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, seen.body["id"]);
    Reply::text(200, "application/json", text)
}

#[tokio::test]
async fn era_433_sec_068_numbers_keep_their_words() {
    for speaks in SERVERS {
        for streamed in [false, true] {
            let server = server(speaks, json!([plain_tool("t")]), move |seen| async move {
                let result = format!(
                    r#"{{"resultType":"complete","content":[{{"type":"text","text":"x","vendor":{LEXEMES}}}],"structuredContent":{LEXEMES},"acme":{LEXEMES},"_meta":{{"acme.example/x":{LEXEMES}}}}}"#
                );
                let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, seen.body["id"]);
                match streamed {
                    true => Reply::text(200, "text/event-stream", format!("data: {text}\n\n")),
                    false => Reply::text(200, "application/json", text),
                }
            })
            .await;
            let rialto = gateway(&server).await;
            for revision in ["2025-06-18", LEGACY, MODERN] {
                let client = client(&rialto, revision).await;
                let before = server.seen().len();
                let reply = call_with(&client, "t", LEXEMES, &[]).await;
                let sent = server.seen().split_off(before);
                let call = sent.iter().find(|seen| seen.text.contains("tools/call")).unwrap();
                assert_eq!(member(&call.text, &["params", "arguments"]), LEXEMES, "{speaks:?} {revision}");
                let result = reply.raw_result();
                for path in [&["structuredContent"][..], &["acme"], &["_meta", "acme.example/x"]] {
                    assert_eq!(member(result, path), LEXEMES, "{speaks:?} {revision} {path:?}");
                }
                assert!(member(result, &["content"]).contains(&format!(r#""vendor":{LEXEMES}"#)), "{result}");
            }
        }
    }
}

#[tokio::test]
async fn era_433_sec_068_numbers_keep_their_words_in_notifications_and_errors() {
    const DATA: &str = r#"{"int":123456789012345678901234567890,"dec":1.10,"exp":1E5,"neg":-0}"#;
    for speaks in SERVERS {
        let server = server(speaks, json!([plain_tool("t")]), move |seen| async move {
            let token = &seen.body["params"]["_meta"]["progressToken"];
            let note = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1.50,"total":9007199254740993,"_meta":{{"acme.example/x":{DATA}}}}}}}"#
            );
            let error = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":1001,"message":"m","data":{DATA}}}}}"#, seen.body["id"]);
            Reply::text(200, "text/event-stream", format!("data: {note}\n\ndata: {error}\n\n"))
        })
        .await;
        let rialto = gateway(&server).await;
        for revision in CLIENTS {
            let client = client(&rialto, revision).await;
            let reply = client.call_collecting("t", json!({}), &json!("mine")).await;
            assert_eq!(member(&reply.text, &["error", "data"]), DATA, "{speaks:?} {revision}");
            // The client of these tests reads notifications into doubles: what is exact shows as far as they can.
            assert_eq!(reply.notifications[0]["params"]["total"].to_string(), "9007199254740993");
            assert!(reply.notifications[0]["params"]["_meta"]["acme.example/x"].is_object());
        }
    }
}

#[tokio::test]
async fn era_432_members_that_nobody_knows_pass_both_ways() {
    let vendor = r#"{"b":[1.0,null],"a":{"x":"y"}}"#;
    for speaks in SERVERS {
        let list = format!(
            r#"{{"resultType":"complete","ttlMs":0,"cacheScope":"private","acme":{vendor},"tools":[{{"name":"t","acme":{vendor},"inputSchema":{{"type":"object","acme":{vendor}}},"annotations":{{"acme":{vendor}}},"_meta":{{"acme.example/x":{vendor}}}}}]}}"#
        );
        let list = if speaks == Speaks::Legacy {
            list.replace(r#""resultType":"complete","ttlMs":0,"cacheScope":"private","#, "")
        } else {
            list
        };
        let server = Scripted::start(move |seen| {
            let list = list.clone();
            async move {
                if seen.method() == "tools/list" {
                    return result(&seen, &list);
                }
                if let Some(reply) = speaks.greets(&seen) {
                    return reply;
                }
                let note = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"acme": [1],
                    "progressToken": seen.body["params"]["_meta"]["progressToken"], "progress": 1}});
                let answer = format!(
                    r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete","content":[{{"type":"text","text":"x","acme":{vendor}}}],"acme":{vendor}}}}}"#,
                    seen.body["id"]
                );
                Reply::text(200, "text/event-stream", format!("data: {note}\n\ndata: {answer}\n\n"))
            }
        })
        .await;
        let rialto = gateway(&server).await;
        for revision in CLIENTS {
            let what = format!("{speaks:?} {revision}");
            let client = client(&rialto, revision).await;
            let listed = client.request("tools/list", json!({})).await;
            let listed = listed.raw_result();
            assert_eq!(member(listed, &["acme"]), vendor, "{what}");
            assert_eq!(listed.matches(vendor).count(), 5, "{what}: {listed}");

            let params = format!(r#"{{"name":"t","arguments":{{}},"acme":{vendor}}}"#);
            let token = Some(json!("mine"));
            let ask = Ask { id: client.id(), method: "tools/call", params, token, headers: &[] };
            let reply = client.ask(ask).await;
            assert_eq!(reply.raw_result().matches(vendor).count(), 2, "{what}: {}", reply.text);
            assert_eq!(reply.notifications[0]["params"]["acme"], json!([1]), "{what}");
            let call = calls(&server).pop().unwrap();
            assert_eq!(member(&call.text, &["params", "acme"]), vendor, "{what}");
        }
    }
}

#[tokio::test]
async fn era_434_keys_of_meta_pass_unless_they_are_of_this_hop() {
    for speaks in SERVERS {
        let server = server(speaks, json!([plain_tool("t")]), |seen| async move {
            let mut result = said("ran");
            result["_meta"] = json!({"io.modelcontextprotocol/future": {"n": 1}, "acme.example/x": "y"});
            Reply::json(200, &seen.result(result))
        })
        .await;
        let rialto = gateway(&server).await;
        for revision in CLIENTS {
            let what = format!("{speaks:?} {revision}");
            let client = client(&rialto, revision).await;
            let mut meta = json!({"io.modelcontextprotocol/future": {"n": 1}, "acme.example/x": "y", "plain": 1});
            if revision == MODERN {
                for (key, value) in [
                    ("protocolVersion", json!(MODERN)),
                    ("clientInfo", json!({"name": "c", "version": "1"})),
                    ("clientCapabilities", json!({})),
                ] {
                    meta[format!("io.modelcontextprotocol/{key}")] = value;
                }
            } else {
                // A legacy client has no business to say these. (With a version it would be a modern one.)
                for key in ["clientInfo", "clientCapabilities", "logLevel", "subscriptionId", "serverInfo"] {
                    meta[format!("io.modelcontextprotocol/{key}")] = json!("forged");
                }
            }
            let reply = raw_call(&rialto, &client, &meta).await;
            assert_eq!(reply["result"]["_meta"]["io.modelcontextprotocol/future"], json!({"n": 1}), "{what}: {reply}");
            assert_eq!(reply["result"]["_meta"]["acme.example/x"], "y", "{what}");
            let call = calls(&server).pop().unwrap();
            let got = &call.body["params"]["_meta"];
            assert_eq!(got["io.modelcontextprotocol/future"], json!({"n": 1}), "{what}: {got}");
            assert_eq!((&got["acme.example/x"], &got["plain"]), (&json!("y"), &json!(1)), "{what}: {got}");
            assert!(!got.to_string().contains("forged"), "{what}: {got}");
            let version = &got["io.modelcontextprotocol/protocolVersion"];
            let expected = if speaks == Speaks::Modern { json!(MODERN) } else { Value::Null };
            assert_eq!(*version, expected, "{what}: {got}");
        }
    }
}

/// A call of a tool whose `_meta` is written by the test.
async fn raw_call(rialto: &Rialto, client: &Client, meta: &Value) -> Value {
    let params = json!({"name": "t", "arguments": {}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let url = rialto.mount("docs");
    let request = match client.session() {
        Some(session) => legacy_call(&url).header("mcp-session-id", session),
        None => modern_call(&url, "t"),
    };
    answered(request, body).await.1
}
