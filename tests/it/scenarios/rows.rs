//! The exact answers to what is wrong with a request itself, whatever the server behind the mount speaks.

use http::Method as Verb;

use super::*;

/// A gateway in front of a server of each era, whose tool has one mirrored argument where that exists.
async fn gateways() -> Vec<(&'static str, Gateway, Box<dyn std::any::Any>)> {
    let tools = json!([{"name": "t", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}}}]);
    let listing = tools.clone();
    let new_server = new(json!({"tools": {}}), move |seen| {
        let tools = listing.clone();
        async move { if seen.method() == "tools/list" { listed(&seen, &tools) } else { says(&seen, "ran") } }
    })
    .await;
    let old_server =
        Old::start(Like { capabilities: json!({"tools": {}}), tools, ..Like::default() }, |_| async { text("ran") })
            .await;
    let (newer, older) = (gateway_at(&new_server).await, gateway_at(&old_server.scripted).await);
    vec![("modern", newer, Box::new(new_server)), ("legacy", older, Box::new(old_server))]
}

#[tokio::test]
async fn what_is_wrong_with_a_modern_request_is_answered_alike_in_front_of_both_eras() {
    let good = || tool("t", json!({}));
    let list = || modern("tools/list", json!({}));
    for (server, gateway, _held) in gateways().await {
        let mut rows = vec![
            ("P1", good().text("{"), 400, json!(-32700)),
            ("P1", good().text(&b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}"[..]), 400, json!(-32700)),
            ("P2", good().text("1"), 400, json!(-32600)),
            ("P2", good().text(format!("[{}]", good().body())), 400, json!(-32600)),
            ("P2", good().text(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), 400, json!(-32600)),
            ("P2", good().id(Value::Null), 400, json!(-32600)),
            ("P2", good().id(1.5), 400, json!(-32600)),
            ("P2", good().text(good().body().to_string().replace(r#""2.0""#, r#""1.0""#)), 400, json!(-32600)),
            ("P3", good().without("mcp-protocol-version"), 400, json!(-32020)),
            ("P3", good().header("mcp-protocol-version", LEGACY), 400, json!(-32020)),
            ("P3", good().without("mcp-method"), 400, json!(-32020)),
            ("P3", good().header("mcp-method", "tools/list"), 400, json!(-32020)),
            ("P3", good().without("mcp-name"), 400, json!(-32020)),
            ("P3", good().header("mcp-name", "=?base64?!?="), 400, json!(-32020)),
            ("P3", good().another("mcp-name", "t"), 400, json!(-32020)),
            (
                "P4",
                good()
                    .header("mcp-protocol-version", "2099-01-01")
                    .meta("io.modelcontextprotocol/protocolVersion", json!("2099-01-01")),
                400,
                json!(-32022),
            ),
            ("P5", good().meta("io.modelcontextprotocol/protocolVersion", Value::Null), 400, json!(-32602)),
            ("P5", good().meta("io.modelcontextprotocol/clientCapabilities", Value::Null), 400, json!(-32602)),
            ("P6", modern("tasks/get", json!({"taskId": "x"})).header("mcp-name", "x"), 400, json!(-32021)),
            ("P7", modern("ping", json!({})), 404, json!(-32601)),
            ("P7", modern("logging/setLevel", json!({"level": "info"})), 404, json!(-32601)),
            ("P7", modern("resources/subscribe", json!({"uri": "a:b"})), 404, json!(-32601)),
            ("P7", modern("prompts/list", json!({})), 404, json!(-32601)),
            ("P8", list().verb(Verb::GET).text(""), 405, Value::Null),
            ("P8", list().verb(Verb::DELETE).text(""), 405, Value::Null),
            ("P9", list().header("mcp-session-id", "x").header("last-event-id", "y"), 200, Value::Null),
            ("P10", list().header("content-type", "text/plain"), 415, Value::Null),
            ("P10", list().header("accept", "text/html"), 406, Value::Null),
            ("P11", good().text(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#), 202, Value::Null),
            ("P12", good().header("mcp-method", "TOOLS/CALL"), 400, json!(-32020)),
            ("P12", list().header("mcp-method", " tools/list "), 200, Value::Null),
            ("P13", tool("nobody", json!({})), 200, Value::Null),
        ];
        // What a legacy server annotated was listed so, and holds as well.
        let mirrored = |value: &str| tool("t", json!({"n": 42})).header("mcp-param-n", value);
        rows.extend([
            ("P3", tool("t", json!({"n": 42})), 400, json!(-32020)),
            ("P3", mirrored("41"), 400, json!(-32020)),
            ("P3", mirrored("4 2"), 400, json!(-32020)),
            ("P3", mirrored("=?base64?NDI?="), 400, json!(-32020)),
            ("P3", mirrored("42").another("mcp-param-n", "42"), 400, json!(-32020)),
            ("P3", good().header("mcp-param-n", "42"), 400, json!(-32020)),
            ("P3", tool("t", json!({"n": null})).header("mcp-param-n", "42"), 400, json!(-32020)),
            ("P12", mirrored("42.0"), 200, Value::Null),
            ("P12", mirrored("42"), 200, Value::Null),
            ("P12", mirrored(" 42 "), 200, Value::Null),
        ]);
        for (row, sent, status, code) in rows {
            let whole = sent.send(&gateway).await;
            assert_eq!(whole.status, status, "{server} {row}: {sent:?}\n{}", whole.text);
            assert!(!whole.headers.contains_key("mcp-session-id"), "{row}");
            if status == 405 {
                assert_eq!(whole.headers["allow"], "POST", "{row}");
            }
            if status == 202 {
                assert_eq!(whole.text, "", "{row}");
            }
            if !code.is_null() {
                let response = whole.response();
                assert_eq!(response["error"]["code"], code, "{server} {row}: {sent:?}\n{response}");
                let data = &response["error"]["data"];
                match row {
                    "P1" | "P2" => assert!(response.get("id").is_none_or(|id| !id.is_null()), "{response}"),
                    "P4" => {
                        assert_eq!((&data["supported"], &data["requested"]), (&json!([MODERN]), &json!("2099-01-01")))
                    }
                    "P6" => assert!(data["requiredCapabilities"].is_object(), "{response}"),
                    _ => assert_eq!(response["id"], 1, "{row}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_legacy_request_is_answered_alike_in_front_of_both_eras() {
    for (server, gateway, _held) in gateways().await {
        let client = legacy(&gateway, LEGACY, json!({})).await;
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {}}});
        for (row, text, status, code) in [
            ("P1", "{".to_owned(), 400, Some(-32700)),
            ("P2", "1".to_owned(), 400, Some(-32600)),
            ("P2", format!("[{call}]"), 400, Some(-32600)),
            ("P2", call.to_string().replace("\"id\":1", "\"id\":null"), 400, Some(-32600)),
            ("P2", call.to_string().replace("\"id\":1", "\"id\":1.5"), 400, Some(-32600)),
            ("P2", call.to_string().replace("2.0", "1.0"), 400, Some(-32600)),
            ("P7", call.to_string().replace("tools/call", "prompts/get"), 200, Some(-32601)),
            ("P7", call.to_string().replace("tools/call", "tasks/update"), 200, Some(-32601)),
            ("P11", r#"{"jsonrpc":"2.0","method":"notifications/x"}"#.to_owned(), 202, None),
            ("P11", r#"{"jsonrpc":"2.0","id":"none","result":{}}"#.to_owned(), 202, None),
        ] {
            let reply = client.post_text(text.clone()).await;
            match code {
                Some(code) => assert_eq!(reply.fault(), (status, code), "{server} {row}: {text}"),
                None => assert_eq!((reply.status.as_u16(), reply.text()), (status, ""), "{server} {row}"),
            }
        }
        let reply = client.with_session(Some("nobodys")).post(&call).await;
        assert_eq!(reply.status, 404, "{server}");
        let plain = client.request(Verb::POST).header("content-type", "text/plain").body(call.to_string());
        assert_eq!(client.send(plain).await.status, 415);
        assert_eq!(client.accepting("text/html").post(&call).await.status, 406);
        assert_eq!(client.versioned(Some("1999-01-01")).post(&call).await.status, 400);
    }
}

/// What fails after a request was sent on is one error under the request's own id (P14).
#[tokio::test]
async fn what_fails_upstream_is_one_error_under_the_requests_id() {
    let new_server = new(json!({"tools": {}}), |seen| async move {
        match seen.body["params"]["name"].as_str() {
            None => listed(&seen, &json!([plain("t")])),
            Some("garbage") => Reply::text(200, "application/json", "{"),
            Some("cut") => Reply::messages(&[]),
            _ => Reply::empty(500),
        }
    })
    .await;
    let old_server = Scripted::start(|seen| async move {
        match (seen.verb.as_str(), seen.body["params"]["name"].as_str()) {
            ("GET", _) => Reply::empty(405),
            ("POST", Some("garbage")) => Reply::text(200, "application/json", "{"),
            ("POST", Some("cut")) => Reply::messages(&[]),
            ("POST", Some("t")) => Reply::empty(500),
            _ if seen.method() == "tools/list" => Reply::json(200, &seen.result(json!({"tools": [plain("t")]}))),
            _ => crate::upstream_http::housekeeping(&seen, LEGACY, Some("s-1")).unwrap(),
        }
    })
    .await;
    for server in [&new_server, &old_server] {
        let gateway = gateway_at(server).await;
        let client = legacy(&gateway, LEGACY, json!({})).await;
        for (name, reason) in [("garbage", "upstream_protocol"), ("cut", "stream_lost"), ("t", "upstream_http")] {
            let response = tool(name, json!({})).id("mine").response(&gateway, 200).await;
            assert_eq!((&response["id"], &response["error"]["data"]["reason"]), (&json!("mine"), &json!(reason)));
            let reply = client.call(7, name).await.unwrap();
            assert_eq!(reply.status, 200);
            let response = reply.json();
            assert_eq!((&response["id"], &response["error"]["data"]["reason"]), (&json!(7), &json!(reason)), "{name}");
        }
    }
}
