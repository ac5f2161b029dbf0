//! Bytes that mean one thing here and another thing there: line breaks in values, headers for one hop, headers that
//! disagree with the body, and bodies that are none.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::{matrix::sse::Events, server_kit::soon};

/// Sends bytes as they are and reads until the gateway closes.
async fn exchange(rialto: &Rialto, bytes: &[u8]) -> String {
    let address = rialto.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut read = Vec::new();
    soon("the end of the answer", stream.read_to_end(&mut read)).await.unwrap();
    String::from_utf8_lossy(&read).into_owned()
}

/// A modern call of a tool, framed by hand, with these header lines besides those of the transport.
fn framed(tool: &str, arguments: &Value, headers: &str) -> Vec<u8> {
    let params = json!({"_meta": envelope(), "name": tool, "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let length = body.len();
    let head = format!(
        "POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

/// The header lines of a modern call that is in order.
fn in_order(tool: &str) -> String {
    format!("connection: close\r\nmcp-protocol-version: {MODERN}\r\nmcp-method: tools/call\r\nmcp-name: {tool}\r\n")
}

fn region_tool() -> Value {
    json!({"name": "where", "inputSchema": {"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"}}}})
}

#[tokio::test]
async fn sec_049_line_breaks_in_values_stay_values() {
    let tools = json!([region_tool()]);
    let server = server(Speaks::Modern, tools, |seen| async move {
        match seen.method() {
            "tools/call" => says(&seen, "ran"),
            _ => Reply::json(404, &seen.error(-32601, "Method not found")),
        }
    })
    .await;
    let rialto = gateway(&server).await;
    let values = [
        "eu\r\nX-Evil: 1",
        "eu\nX-Evil: 1",
        "\0",
        "a\u{2028}b",
        "\u{10a}\u{10d}X-Evil: 1",
        "\t\ttabs",
        " padded ",
        "=?base64?eA==?=",
        "\u{7f}",
        "",
    ];
    for revision in CLIENTS {
        let client = client(&rialto, revision).await;
        for value in values {
            let arguments = json!({"region": value}).to_string();
            let mirrored = [("mcp-param-region", value.to_owned())];
            let mirrored = if client.is_modern() { &mirrored[..] } else { &[] };
            assert_eq!(call_with(&client, "where", &arguments, mirrored).await.said(), "ran", "{value:?}");
            let call = calls(&server).pop().unwrap();
            assert_eq!(call.body["params"]["arguments"]["region"], value);
            let header = call.headers.get("mcp-param-region").unwrap();
            let decoded = rialto::protocol::headers::decode_value(header.as_bytes()).unwrap();
            assert_eq!(decoded, value, "{header:?}");

            // A name of a tool, which is in a header as well.
            client.call(value, json!({})).await;
            let call = calls(&server).pop().unwrap();
            let header = call.headers.get("mcp-name").unwrap();
            assert_eq!(rialto::protocol::headers::decode_value(header.as_bytes()).unwrap(), value);
        }
    }
    for seen in server.seen() {
        assert_eq!(seen.headers.get("x-evil"), None);
    }
}

#[tokio::test]
async fn sec_049_line_breaks_in_answers_split_no_event() {
    for speaks in SERVERS {
        let server = server(speaks, json!([plain_tool("t")]), |seen| async move {
            let note = json!({"jsonrpc": "2.0", "method": "notifications/progress",
                "params": {"progressToken": seen.body["params"]["_meta"]["progressToken"], "progress": 1,
                    "message": "one\r\n\r\nevent: evil\r\ndata: {}\r\n\r\n\u{2028}\u{0}"}});
            // JSON may stand on several lines, and every kind of line break may be between its tokens.
            let text = format!(
                "{{\"jsonrpc\":\"2.0\",\r\"id\":{},\r\n\"result\":{{\n\n\"resultType\":\"complete\",\r\r\"content\":[{{\"type\":\"text\",\r\n\r\n\"text\":\"two\\r\\n\\r\\ndata: evil\\u2028\"}}]}}}}",
                seen.body["id"]
            );
            let lines: String = text.split(['\r', '\n']).map(|line| format!("data: {line}\n")).collect();
            Reply::text(200, "text/event-stream", format!("data: {note}\n\n{lines}\n"))
        })
        .await;
        let rialto = gateway(&server).await;
        for revision in CLIENTS {
            let client = client(&rialto, revision).await;
            let reply = client.call_collecting("t", json!({}), &json!("mine")).await;
            assert_eq!(reply.said(), "two\r\n\r\ndata: evil\u{2028}", "{speaks:?} {revision}");
            let message = &reply.notifications[0]["params"]["message"];
            assert_eq!(message, "one\r\n\r\nevent: evil\r\ndata: {}\r\n\r\n\u{2028}\u{0}", "{speaks:?} {revision}");
        }
    }
}

#[tokio::test]
async fn sec_050_headers_for_one_hop_end_here() {
    for speaks in SERVERS {
        let server = server(speaks, json!([plain_tool("t")]), |seen| async move {
            says(&seen, "ran")
                .with("connection", "x-internal, keep-alive")
                .with("x-internal", "CANARY_A")
                .with("keep-alive", "timeout=7")
                .with("set-cookie", "CANARY_B=1")
                .with("proxy-authenticate", "CANARY_D")
                .with("mcp-session-id", "CANARY_S")
                .with("upgrade", "h2c")
        })
        .await;
        let rialto = gateway_with(&server, json!({"forward_headers": ["x-tenant", "x-hop"]})).await;
        let headers = format!(
            "connection: close, X-Hop, mcp-param-hop, Mcp-Name\r\nkeep-alive: timeout=9\r\nte: trailers\r\n\
             proxy-connection: keep-alive\r\nupgrade: websocket\r\nx-hop: 1\r\nmcp-param-hop: 1\r\nmcp-param-far: 1\r\n\
             x-tenant: acme\r\n{}",
            in_order("t").replace("connection: close\r\n", "")
        );
        let answer = exchange(&rialto, &framed("t", &json!({}), &headers)).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("ran"), "{answer}");
        for canary in ["CANARY", "timeout=7", "h2c"] {
            assert!(!answer.contains(canary), "{canary}: {answer}");
        }
        let call = calls(&server).pop().unwrap();
        for name in ["keep-alive", "te", "proxy-connection", "upgrade", "x-hop", "mcp-param-hop"] {
            assert_eq!(call.headers.get(name), None, "{name}");
        }
        assert_eq!(call.header("x-tenant"), Some("acme"));
        assert_eq!(call.header("mcp-param-far"), (speaks == Speaks::Modern).then_some("1"));

        // To nominate a header does not make anybody look away.
        let nominated = in_order("other").replace("close", "close, mcp-name, authorization, mcp-method");
        let answer = exchange(&rialto, &framed("t", &json!({}), &nominated)).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("-32020"), "{answer}");
        assert_eq!(calls(&server).len(), 1);
    }
}

#[tokio::test]
async fn sec_061_headers_that_disagree_with_the_body_stop_here() {
    let server =
        server(Speaks::Modern, json!([region_tool(), plain_tool("safe")]), |seen| async move { says(&seen, "ran") })
            .await;
    let rialto = gateway(&server).await;
    let good = in_order("where") + "mcp-param-region: eu\r\n";
    let arguments = json!({"region": "eu"});
    let changed = |from: &str, to: &str| good.replace(from, to);
    let faulty = [
        ("another method", changed("tools/call", "tools/list")),
        ("the method in capitals", changed("tools/call", "TOOLS/CALL")),
        ("the method encoded", changed("tools/call", "=?base64?dG9vbHMvY2FsbA==?=")),
        ("no method", changed("mcp-method: tools/call\r\n", "")),
        ("two methods", changed("mcp-method: tools/call\r\n", "mcp-method: tools/call\r\nmcp-method: tools/call\r\n")),
        ("another name", changed("mcp-name: where", "mcp-name: safe")),
        ("the name in capitals", changed("mcp-name: where", "mcp-name: WHERE")),
        ("another name, encoded", changed("mcp-name: where", "mcp-name: =?base64?c2FmZQ==?=")),
        ("no padding", changed("mcp-name: where", "mcp-name: =?base64?d2hlcmU?=")),
        ("no base64", changed("mcp-name: where", "mcp-name: =?base64?!!!!?=")),
        ("capitals around base64", changed("mcp-name: where", "mcp-name: =?BASE64?d2hlcmU=?=")),
        ("no name", changed("mcp-name: where\r\n", "")),
        ("two names", changed("mcp-name: where\r\n", "mcp-name: where\r\nmcp-name: safe\r\n")),
        ("another version", changed(MODERN, "2025-11-25")),
        ("no version", changed(&format!("mcp-protocol-version: {MODERN}\r\n"), "")),
        ("two versions", changed("mcp-method", "mcp-protocol-version: 2025-11-25\r\nmcp-method")),
        ("no argument", changed("mcp-param-region: eu\r\n", "")),
        ("another argument", changed("region: eu", "region: us")),
        ("the argument in capitals", changed("region: eu", "region: EU")),
        ("two arguments", changed("mcp-param-region: eu\r\n", "mcp-param-region: eu\r\nmcp-param-region: us\r\n")),
        ("another argument, encoded", changed("region: eu", "region: =?base64?dXM=?=")),
    ];
    for (what, headers) in faulty {
        let answer = exchange(&rialto, &framed("where", &arguments, &headers)).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{what}: {answer}");
        assert!(answer.contains("-32020"), "{what}: {answer}");
    }
    let extra = exchange(&rialto, &framed("where", &json!({}), &good)).await;
    assert!(extra.starts_with("HTTP/1.1 400") && extra.contains("-32020"), "an argument that is not there: {extra}");
    assert!(calls(&server).is_empty());
    let fine = [
        ("as it is", good.clone()),
        ("encoded without need", changed("mcp-name: where", "mcp-name: =?base64?d2hlcmU=?=")),
        ("encoded argument", changed("region: eu", "region: =?base64?ZXU=?=")),
        ("white space", changed("mcp-name: where", "mcp-name: \t where \t")),
    ];
    for (what, headers) in fine {
        let answer = exchange(&rialto, &framed("where", &arguments, &headers)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{what}: {answer}");
    }
}

#[tokio::test]
async fn sec_062_an_older_version_does_not_make_headers_count() {
    for speaks in SERVERS {
        let tools = json!([plain_tool("safe"), plain_tool("dangerous")]);
        let server = server(speaks, tools, |seen| async move { says(&seen, "ran") }).await;
        let rialto = gateway(&server).await;
        let client = client(&rialto, LEGACY).await;
        let lies = [("mcp-name", "safe".to_owned()), ("mcp-method", "tools/list".to_owned())];
        assert_eq!(call_with(&client, "dangerous", "{}", &lies).await.said(), "ran");
        let call = calls(&server).pop().unwrap();
        assert_eq!(call.body["params"]["name"], "dangerous");
        let (method, name) = match speaks {
            Speaks::Modern => (Some("tools/call"), Some("dangerous")),
            Speaks::Legacy => (None, None),
        };
        assert_eq!((call.header("mcp-method"), call.header("mcp-name")), (method, name));
        // A modern body under the header of another era, or none, is no legacy request.
        for version in ["mcp-protocol-version: 2025-11-25\r\n", ""] {
            let headers = in_order("safe").replace(&format!("mcp-protocol-version: {MODERN}\r\n"), version);
            let answer = exchange(&rialto, &framed("dangerous", &json!({}), &headers)).await;
            assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("-32020"), "{answer}");
        }
        assert_eq!(calls(&server).len(), 1);
    }
}

#[tokio::test]
async fn era_192_bodies_that_are_none_are_refused() {
    let server = server(Speaks::Modern, json!([]), |seen| async move { says(&seen, "ran") }).await;
    let rialto = gateway(&server).await;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"_meta": envelope(), "name": "t", "arguments": {}}})
    .to_string();
    let post = |kind: &str, encoding: Option<&str>, body: Vec<u8>| {
        let mut request = modern_call(&rialto.mount("docs"), "t");
        request = request.headers([(reqwest::header::CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect());
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        async move { request.body(body).send().await.unwrap() }
    };
    let json = "application/json";
    let cases = [
        ("text", "text/plain", None, body.clone().into_bytes(), 415, None),
        ("no type", "", None, body.clone().into_bytes(), 415, None),
        ("a form", "application/x-www-form-urlencoded", None, body.clone().into_bytes(), 415, None),
        ("compressed", json, Some("gzip"), body.clone().into_bytes(), 415, None),
        (
            "not UTF-8",
            json,
            None,
            body.replace("\"t\"", "\"\u{1}\"").bytes().map(|b| if b == 1 { 0xff } else { b }).collect(),
            400,
            Some(-32700),
        ),
        ("not JSON", json, None, b"{\"jsonrpc\":".to_vec(), 400, Some(-32700)),
        ("nothing", json, None, Vec::new(), 400, Some(-32700)),
        ("no message", json, None, b"{}".to_vec(), 400, Some(-32600)),
    ];
    for (what, kind, encoding, body, status, code) in cases {
        let response = post(kind, encoding, body).await;
        assert_eq!(response.status(), status, "{what}");
        let text = response.text().await.unwrap();
        if let Some(code) = code {
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(answer["error"]["code"], code, "{what}: {text}");
            assert_eq!(answer.get("id").filter(|id| !id.is_null()), None, "{what}: {text}");
        }
    }
    // What is too large is refused before it is read.
    let head = "POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                accept: application/json, text/event-stream\r\ncontent-length: 4194305\r\n\r\n{";
    assert!(exchange(&rialto, head.as_bytes()).await.starts_with("HTTP/1.1 413"));
    assert!(calls(&server).is_empty());
    assert_eq!(post("Application/JSON; charset=utf-8", None, body.into_bytes()).await.status(), 200);
}

#[tokio::test]
async fn era_136_137_pages_of_others_are_kept_out() {
    let server = server(Speaks::Modern, json!([plain_tool("t")]), |seen| async move { says(&seen, "ran") }).await;
    let rialto = gateway(&server).await;
    let session = client(&rialto, LEGACY).await.session().unwrap().to_owned();
    let own = rialto.base.clone();
    for verb in [reqwest::Method::GET, reqwest::Method::POST, reqwest::Method::DELETE] {
        for (origin, status) in [("https://evil.example", 403), ("null", 403)] {
            let request = http_client().request(verb.clone(), rialto.mount("docs"));
            let request = request.header("origin", origin).header("mcp-session-id", &session);
            let response = request.header("accept", "text/event-stream").body("{}").send().await.unwrap();
            assert_eq!(response.status(), status, "{verb} {origin}");
        }
    }
    // The session lives: nothing of that was done. Without an Origin, and from our own, requests are served.
    for origin in [None, Some(own.as_str())] {
        let mut request = http_client().get(rialto.mount("docs")).header("mcp-session-id", &session);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), 200, "{origin:?}");
        drop(Events::of(response, LEGACY));
    }
    let preflight = http_client()
        .request(reqwest::Method::OPTIONS, rialto.mount("docs"))
        .header("origin", &own)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "mcp-method,mcp-param-region,authorization")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 204);
    let header = |name: &str| preflight.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("access-control-allow-headers"), "mcp-method, mcp-param-region, authorization");
    assert!(header("access-control-expose-headers").contains("mcp-session-id"));
    assert_eq!(header("access-control-allow-origin"), own);
}
