//! Paths that look like others, and headers that want to be a path or a method (SEC-057, SEC-058).

use super::kit::{App, bearer, call, mounts};

/// Bob may use `docs` only. Whatever he writes, he never reaches `finance`, and what is not spelled like a mount is none.
#[tokio::test]
async fn sec_057_no_path_leads_to_another_mount() {
    let app = App::start().await;
    let games = [
        "/mcp/docs/../finance",
        "/mcp/docs/..%2ffinance",
        "/mcp/docs%2f..%2ffinance",
        "/mcp/docs%2F%2E%2E%2Ffinance",
        "/mcp/docs/%2e%2e/finance",
        "/mcp/./finance",
        "/mcp//finance",
        "//mcp/docs",
        "/./mcp/docs",
        "/mcp/docs;x=/../finance",
        "/mcp/docs;jsessionid=1",
        "/mcp/docs%00",
        "/mcp/docs%00/finance",
        "/mcp/docs%c0%af..%c0%affinance",
        "/mcp/%c0%ae%c0%ae/mcp/docs",
        "/mcp/DOCS",
        "/MCP/docs",
        "/mcp/%64ocs",
        "/mcp/d%6Fcs",
        "/mcp/doc",
        "/mcp/docs2",
        "/mcp/fin",
        "/mcp/docs/finance",
        "/mcp/docs/sse/../../finance",
        "/mcp/docs%3Fx",
        "/mcp/docs%23",
        "/mcp/docs%20",
        "/mcp/docs.",
        "/mcp/docs//",
        "/mcp/{mount}",
        "/mcp/*",
    ];
    for path in games {
        for (key, open) in [(&app.bob, false), (&app.alice, true)] {
            let answer = app.send(call(path, &bearer(key))).await;
            // Under `/mcp/` nothing is there; elsewhere the application's own fallback may answer.
            let is_ours = !answer.text.contains("custom principal");
            assert!(!is_ours || matches!(answer.status, 400 | 404), "{path} {open}: {answer:?}");
            assert!(!answer.text.contains("this is"), "{path}: {answer:?}");
        }
        let stranger = app.send(call(path, "")).await;
        assert!(matches!(stranger.status, 400 | 401 | 404), "{path}: {stranger:?}");
    }
    // A backslash, or a byte that is none of a path, is no request at all.
    for path in ["/mcp/docs\\..\\finance", "/mcp/docs\u{e9}"] {
        let answer = app.send(call(path, &bearer(&app.bob))).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
    }
    assert_eq!(app.send(call(&format!("/mcp/{}", "x".repeat(8000)), &bearer(&app.bob))).await.status, 404);
    assert_eq!(app.send(call(&format!("/mcp/{}", "x".repeat(9000)), &bearer(&app.bob))).await.status, 414);
    assert!(app.is_untouched(), "{:?} {:?}", app.docs.trail(), app.finance.trail());
    // With and without a slash, and with a query that nobody asked for, it is the mount itself.
    for path in ["/mcp/docs", "/mcp/docs/", "/mcp/docs?mount=finance", "/mcp/docs/?/../finance"] {
        let answer = app.send(call(path, &bearer(&app.bob))).await;
        assert!(answer.status == 200 && answer.text.contains("this is docs"), "{path}: {answer:?}");
    }
    assert!(app.finance.seen().is_empty());
}

#[tokio::test]
async fn sec_058_no_header_overrides_the_request_line() {
    let app = App::start().await;
    let headers = [
        "x-http-method-override: GET",
        "x-http-method: GET",
        "x-method-override: DELETE",
        "x-original-url: /mcp/finance",
        "x-rewrite-url: /healthz",
        "x-original-uri: /readyz",
        "x-forwarded-path: /mcp/finance",
        "x-forwarded-prefix: /mcp/finance",
        "x-forwarded-host: evil.example",
        "x-forwarded-for: 127.0.0.1",
        "x-real-ip: 127.0.0.1",
        "forwarded: for=127.0.0.1;host=evil.example",
        "x-forwarded-user: alice",
        "x-remote-user: alice",
        "x-principal: alice",
    ];
    for header in headers {
        let header = format!("{header}\r\n");
        assert_eq!(app.call("docs", &header).await.status, 401, "{header}");
        assert_eq!(app.ask("POST", "/healthz", &header).await.status, 401, "{header}");
        let bob = bearer(&app.bob) + &header;
        assert!(app.call("docs", &bob).await.text.contains("this is docs"), "{header}");
        assert_eq!(app.call("finance", &bob).await.status, 403, "{header}");
        assert_eq!(mounts(&app.ask("GET", "/readyz", &bob).await), ["docs"], "{header}");
    }
    // The headers of MCP say nothing to a GET, and cannot make a call of it.
    let asked = "accept: text/event-stream\r\nmcp-method: tools/call\r\nmcp-name: secret_tool\r\n";
    let answer = app.ask("GET", "/mcp/docs", &(bearer(&app.bob) + asked)).await;
    assert_eq!(answer.status, 405, "{answer:?}");
    assert!(app.finance.seen().is_empty());
    assert_eq!(app.docs.count("tools/call"), headers.len());
}
