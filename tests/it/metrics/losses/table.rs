//! What messages lose on their way, by what it is.

use super::*;

/// One way to lose something.
struct Case {
    kind: &'static str,
    /// What the server speaks, and what it says.
    server: (&'static str, Play),
    client: &'static str,
    /// What the client declares and answers.
    able: (Value, Value),
    /// What it asks for.
    request: (&'static str, Value),
}

fn cases() -> Vec<Case> {
    let call = || ("tools/call", json!({ "name": "t", "arguments": {} }));
    let nothing = || (json!({}), Value::Null);
    let content: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => vec![result(
            heard,
            json!({ "content": [
                { "type": "audio", "data": "AAAA", "mimeType": "audio/wav" },
                { "type": "resource_link", "uri": "test://a", "name": "a" },
            ] }),
        )],
        Some("prompts/get") => vec![result(
            heard,
            json!({ "messages": [{ "role": "user", "content": { "type": "resource_link", "uri": "a:b", "name": "b" } }] }),
        )],
        _ => Vec::new(),
    };
    let list: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => vec![result(heard, json!({ "content": [], "structuredContent": [1, 2] }))],
        Some("tools/list") => {
            let mut tool = tool();
            tool["outputSchema"] = json!({ "type": "array" });
            vec![result(heard, json!({ "tools": [tool], "ttlMs": 60_000, "cacheScope": "private" }))]
        }
        _ => Vec::new(),
    };
    let structured: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => vec![result(heard, json!({ "content": [], "structuredContent": { "a": 1 } }))],
        _ => Vec::new(),
    };
    let many: Play = |heard, call| {
        let color = json!({ "type": "string", "default": "red" });
        let schema = json!({ "type": "object", "properties": { "color": color } });
        let form = json!({ "mode": "form", "message": "Which?", "requestedSchema": schema });
        asking(heard, call, asks("elicitation/create", form))
    };
    let page: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => {
            let page =
                json!({ "mode": "url", "elicitationId": "e1", "url": "https://a.example/", "message": "Sign in" });
            vec![json!({ "jsonrpc": "2.0", "id": heard["id"], "error": {
                "code": -32042, "message": "Sign in first", "data": { "elicitations": [page] } } })]
        }
        _ => Vec::new(),
    };
    let samples: Play = |heard, call| {
        let message = json!({ "role": "user", "content": { "type": "text", "text": "hello" } });
        asking(heard, call, asks("sampling/createMessage", json!({ "messages": [message], "maxTokens": 10 })))
    };
    let visited: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => {
            vec![says("notifications/elicitation/complete", json!({ "elicitationId": "e1" })), result(heard, said())]
        }
        _ => Vec::new(),
    };
    let logs: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => {
            let late = says("notifications/message", json!({ "level": "error", "data": "afterwards" }));
            vec![result(heard, said()), late]
        }
        _ => Vec::new(),
    };
    let in_parts = json!({ "role": "assistant", "model": "m", "content": [
        { "type": "text", "text": "two" }, { "type": "text", "text": "parts" }] });
    let form = json!({ "action": "accept", "content": { "color": "blue" } });
    let prompt = ("prompts/get", json!({ "name": "p" }));
    let of = |kind, server, client, able, request| Case { kind, server, client, able, request };
    vec![
        of("content", (LEGACY, content), R24, nothing(), call()),
        of("content", (LEGACY, content), R0326, nothing(), prompt),
        of("structured_content", (LEGACY, structured), R0326, nothing(), call()),
        of("output_schema", (MODERN, list), LEGACY, nothing(), ("tools/list", json!({}))),
        of("output_schema", (MODERN, list), R24, nothing(), ("tools/list", json!({}))),
        of("form", (LEGACY, many), R0618, (json!({ "elicitation": {} }), form), call()),
        of("page", (LEGACY, page), R0618, nothing(), call()),
        of("sampling", (R0618, samples), LEGACY, (json!({ "sampling": {} }), in_parts), call()),
        of("notification", (LEGACY, visited), MODERN, nothing(), call()),
        of("notification", (LEGACY, visited), R0618, nothing(), call()),
        of("log_message", (LEGACY, logs), MODERN, nothing(), call()),
    ]
}

#[tokio::test]
async fn what_is_lost_is_counted_by_what_it_is() {
    for Case { kind, server: (revision, play), client, able: (capabilities, answer), request: (method, params) } in
        cases()
    {
        let app = App::start(rialto::Rialto::builder().mount("docs", piped(revision, play)).local()).await;
        let client = connect(&app, client, capabilities, answer).await;
        for times in 1..=2 {
            client.request(method, params.clone()).await.result();
            // A list is fetched once.
            let times = if kind == "output_schema" { 1 } else { times };
            app.until(kind, |scrape| lost(scrape, kind) == times).await;
            assert_eq!(app.scrape().await.sum("rialto_bridging_losses_total"), times, "{kind}: and nothing else");
        }
        client.close().await;
    }
}

#[tokio::test]
async fn between_ends_that_speak_the_same_nothing_is_lost() {
    for Case { kind, server: (_, play), able: (capabilities, answer), request: (method, params), .. } in cases() {
        if matches!(kind, "log_message" | "output_schema") {
            continue;
        }
        let app = App::start(rialto::Rialto::builder().mount("docs", piped(LEGACY, play)).local()).await;
        let client = connect(&app, LEGACY, capabilities, answer).await;
        client.request(method, params.clone()).await;
        assert_eq!(app.scrape().await.sum("rialto_bridging_losses_total"), 0, "{kind}");
        client.close().await;
    }
}

/// In front of a server of both eras there are two mounts, which count as one.
#[tokio::test]
async fn both_ways_to_a_server_of_both_eras_count_together() {
    let links: Play = |heard, _| match heard["method"].as_str() {
        Some("tools/call") => {
            let content = json!({ "content": [{ "type": "resource_link", "uri": "a:b", "name": "b" }] });
            vec![result(heard, content)]
        }
        _ => Vec::new(),
    };
    let proxy = piped(LEGACY, links).era(EraChoice::Match);
    let app = App::start(rialto::Rialto::builder().mount("docs", proxy).local()).await;
    let client = Client::connect(&app.mount("docs"), R0326).await;
    client.call("t", json!({})).await.result();
    assert_eq!(lost(&app.scrape().await, "content"), 1);
    client.close().await;
}
