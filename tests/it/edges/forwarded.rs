//! Which headers of clients reach servers.

use super::*;

const CANARIES: [(&str, &str); 12] = [
    ("authorization", "Bearer CANARY_IN"),
    ("cookie", "CANARY_C"),
    ("proxy-authorization", "Basic CANARY_P"),
    ("x-api-key", "CANARY_K"),
    ("x-forwarded-for", "CANARY_F"),
    ("forwarded", "for=CANARY_W"),
    ("traceparent", "CANARY_T"),
    ("baggage", "user=CANARY_B"),
    ("last-event-id", "CANARY_L"),
    ("x-tenant", "acme"),
    ("x-hop", "CANARY_H"),
    ("origin", "http://localhost"),
];

fn canaries() -> Vec<(&'static str, String)> {
    CANARIES.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

#[tokio::test]
async fn sec_017_only_named_headers_reach_a_server() {
    for speaks in SERVERS {
        let tools = json!([plain_tool("t")]);
        let server = server(speaks, tools, |seen| async move { says(&seen, "ran") }).await;
        for (settings, tenant) in
            [(json!({}), None), (json!({"forward_headers": ["X-Tenant", "x-other"]}), Some("acme"))]
        {
            let rialto = gateway_with(&server, settings).await;
            for revision in CLIENTS {
                let client = client(&rialto, revision).await;
                let before = server.seen().len();
                call_with(&client, "t", "{}", &canaries()).await.result();
                let ask = Ask {
                    id: client.id(),
                    method: "tools/list",
                    params: "{}".into(),
                    token: None,
                    headers: &canaries(),
                };
                client.ask(ask).await.result();
                let call = calls(&server).pop().unwrap();
                assert_eq!(call.header("x-tenant"), tenant, "{speaks:?} {revision}");
                if let Some(session) = client.session() {
                    assert!(server.seen().iter().all(|s| s.header("mcp-session-id") != Some(session)));
                }
                // Lists may differ by tenant as well.
                if tenant.is_some() {
                    let lists = server.seen().split_off(before).into_iter().filter(|s| s.method() == "tools/list");
                    assert!(lists.into_iter().any(|list| list.header("x-tenant") == tenant), "{speaks:?} {revision}");
                }
                client.close().await;
            }
        }
        for seen in server.seen() {
            let all = format!("{:?} {}", seen.headers, seen.text);
            assert!(!all.contains("CANARY"), "{speaks:?}: {all}");
        }
    }
}

#[tokio::test]
async fn sec_017_what_is_listed_for_one_tenant_is_not_shown_to_another() {
    for speaks in SERVERS {
        let server = Scripted::start(move |seen| async move {
            match (speaks.greets(&seen), seen.method()) {
                (Some(reply), _) => reply,
                (None, "tools/list") => {
                    let name = format!("of_{}", seen.header("x-tenant").unwrap_or("nobody"));
                    Reply::json(200, &seen.result(speaks.tools(&json!([plain_tool(&name)]))))
                }
                (None, _) => says(&seen, "ran"),
            }
        })
        .await;
        let rialto = gateway_with(&server, json!({"forward_headers": ["x-tenant"]})).await;
        for revision in CLIENTS {
            let client = client(&rialto, revision).await;
            for tenant in ["a", "b", "", "a"] {
                let headers = [("x-tenant", tenant.to_owned())];
                let headers = if tenant.is_empty() { &[][..] } else { &headers };
                let call = call_with(&client, "t", "{}", headers).await;
                assert_eq!(call.said(), "ran");
                let ask = Ask { id: client.id(), method: "tools/list", params: "{}".into(), token: None, headers };
                let list = client.ask(ask).await.result();
                let expected = if tenant.is_empty() { "of_nobody".to_owned() } else { format!("of_{tenant}") };
                assert_eq!(list["tools"][0]["name"], *expected, "{speaks:?} {revision}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_cannot_stand_in_for_what_the_operator_gave_the_server() {
    let server = server(Speaks::Modern, json!([]), |seen| async move { says(&seen, "ran") }).await;
    let config = json!({
        "mcpServers": {"docs": {"url": server.url(), "headers": {"x-tenant": "ours"}}},
        "rialto": {"servers": {"docs": {"forward_headers": ["x-tenant"]}}},
    });
    let rialto = Rialto::start_file("mcp.json", &config.to_string()).await;
    let client = client(&rialto, MODERN).await;
    call_with(&client, "t", "{}", &[("x-tenant", "theirs".to_owned())]).await.result();
    let values: Vec<_> = calls(&server)[0].headers.get_all("x-tenant").iter().cloned().collect();
    assert_eq!(values, ["ours"]);
}

#[tokio::test]
async fn sec_030_a_header_that_everybody_is_given_tells_nobody_apart() {
    let server = server(Speaks::Modern, json!([]), |seen| async move {
        let asked = json!({"resultType": "input_required", "requestState": "bare"});
        Reply::json(200, &seen.result(asked))
    })
    .await;
    let config = json!({
        "mcpServers": {"docs": {"url": server.url(), "headers": {"x-tenant": "ours"}}},
        "rialto": {"servers": {"docs": {
            "forward_headers": ["x-tenant", "x-key"], "mrtr": {"passthrough": true}}}},
    });
    let rialto = Rialto::start_file("mcp.json", &config.to_string()).await;
    for (header, is_bare) in [("x-tenant", false), ("x-key", true)] {
        let params = json!({"name": "t", "arguments": {}, "_meta": envelope()});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let request = modern_call(&rialto.mount("docs"), "t").header(header, "theirs");
        let (_, answer) = answered(request, body).await;
        assert_eq!(answer["result"]["requestState"] == "bare", is_bare, "{header}: {answer}");
        assert!(answer["result"]["requestState"].is_string(), "{header}: {answer}");
    }
}

#[tokio::test]
async fn sec_017_a_cursor_opens_no_page_of_another_tenant() {
    let many: Vec<_> = (0..1001).map(|n| plain_tool(&format!("t{n}"))).collect();
    let server = server(Speaks::Modern, json!(many), |seen| async move { says(&seen, "ran") }).await;
    let rialto = gateway_with(&server, json!({"forward_headers": ["x-tenant"]})).await;
    for revision in CLIENTS {
        let client = client(&rialto, revision).await;
        let page = |tenant: &'static str, cursor: &Value| {
            let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
            let (client, params) = (&client, params.to_string());
            async move {
                let headers = [("x-tenant", tenant.to_owned())];
                let (id, method) = (client.id(), "tools/list");
                client.ask(Ask { id, method, params, token: None, headers: &headers }).await
            }
        };
        let first = page("a", &Value::Null).await.result();
        assert_eq!(page("b", &first["nextCursor"]).await.error()["code"], -32602, "{revision}");
        assert_eq!(page("a", &first["nextCursor"]).await.result()["tools"][0]["name"], "t1000", "{revision}");
    }
}
