//! Host, Origin and preflights (SEC-001 to SEC-007, SEC-048).

use super::raw::{FORBIDDEN, Gateway, Setup};

/// A gateway on loopback that is also known under a name, and published through a proxy under
/// another.
async fn published() -> Gateway {
    Gateway::with(Setup {
        hosts: vec!["box.lan".parse().unwrap(), "gw.example".parse().unwrap()],
        public_url: Some("https://gw.example".parse().unwrap()),
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn sec_001_only_our_own_names_are_served() {
    let gateway = published().await;
    let port = gateway.address.port();
    let foreign = [
        "evil.example.com".to_owned(),
        format!("evil.example.com:{port}"),
        "localhost.evil.com".to_owned(),
        "127.0.0.1.evil.com".to_owned(),
        "gw.example.evil.com".to_owned(),
        "evil.com#gw.example".to_owned(),
        "0.0.0.0".to_owned(),
        format!("0.0.0.0:{port}"),
        "evil-gw.example".to_owned(),
        "[::2]".to_owned(),
    ];
    for host in foreign {
        assert_eq!(gateway.post(&format!("host: {host}\r\n")).await, FORBIDDEN, "{host}");
    }
    // The same for a route that does not exist: the guard stands before the router.
    let elsewhere = gateway.exchange("GET /metrics HTTP/1.1\r\nhost: evil.example.com\r\n\r\n").await.only();
    assert_eq!(elsewhere.status, FORBIDDEN);
    assert!(elsewhere.text.contains("rialto.hosts"), "{}", elsewhere.text);
    assert!(!elsewhere.text.contains("evil"), "{}", elsewhere.text);
    assert_eq!(gateway.calls(), 0);

    let ours = [
        "localhost".to_owned(),
        format!("localhost:{port}"),
        "LOCALHOST:1".to_owned(),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{port}"),
        "[::1]".to_owned(),
        "[::1]:9000".to_owned(),
        "gw.example".to_owned(),
        "GW.example:8443".to_owned(),
        "box.lan:80".to_owned(),
    ];
    let count = ours.len();
    for host in ours {
        assert_eq!(gateway.post(&format!("host: {host}\r\n")).await, 200, "{host}");
    }
    assert_eq!(gateway.calls(), count);
}

#[tokio::test]
async fn sec_001_names_are_ours_only_where_they_were_configured() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.post("host: gw.example\r\n").await, FORBIDDEN);
}

#[tokio::test]
async fn era_136_sec_002_foreign_pages_are_refused_for_every_method() {
    let gateway = published().await;
    for method in ["GET", "POST", "DELETE", "OPTIONS", "PUT"] {
        let request = format!("{method} /mcp/docs HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\n\r\n");
        assert_eq!(gateway.exchange(request).await.only().status, FORBIDDEN, "{method}");
    }
    assert_eq!(gateway.calls(), 0);
}

#[tokio::test]
async fn sec_003_origins_count_only_as_exact_tuples() {
    let gateway = published().await;
    let foreign = [
        "null",
        "",
        "https://gw.example.evil.com",
        "https://evil-gw.example",
        "https://gw.example@evil",
        "https://user@gw.example",
        "http://gw.example",
        "http://gw.example:443",
        "https://gw.example:444",
        "https://gw.example/path",
        "https://gw.example/",
        "HTTPS://gw.example",
        "file://",
        "file://gw.example",
        "https://gw.ex\u{e4}mple",
        "gw.example",
        "//gw.example",
        "https://gw.example, https://evil.example",
        "https://gw.example\u{a0}",
        "http://localhost.",
        "http://127.1",
        "chrome-extension://abcdef",
    ];
    for origin in foreign {
        let headers = format!("host: gw.example\r\norigin: {origin}\r\n");
        assert_eq!(gateway.post(&headers).await, FORBIDDEN, "{origin}");
    }
    let ours = [
        ("gw.example", "https://gw.example"),
        ("gw.example", "https://gw.example:443"),
        ("gw.example", "https://GW.Example"),
        ("localhost", "https://gw.example"),
        ("localhost:8000", "http://localhost:8000"),
        ("127.0.0.1:8000", "http://localhost:6274"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("box.lan:8000", "http://box.lan:8000"),
        ("box.lan", "http://box.lan:80"),
    ];
    for (host, origin) in ours {
        let headers = format!("host: {host}\r\norigin: {origin}\r\n");
        assert_eq!(gateway.post(&headers).await, 200, "{host} {origin}");
    }
    // A page on another port of a name of ours is another page.
    let headers = "host: box.lan:8000\r\norigin: http://box.lan:9000\r\n";
    assert_eq!(gateway.post(headers).await, FORBIDDEN);
    let two = "host: gw.example\r\norigin: https://gw.example\r\norigin: https://gw.example\r\n";
    assert_eq!(gateway.post(two).await, 400);
}

#[tokio::test]
async fn era_136_sec_004_no_origin_is_no_page() {
    let gateway = published().await;
    assert_eq!(gateway.post("host: gw.example\r\n").await, 200);
}

#[tokio::test]
async fn sec_005_there_is_exactly_one_host() {
    let gateway = published().await;
    let broken = [
        "",
        "host: localhost\r\nhost: localhost\r\n",
        "host: localhost\r\nhost: evil.example\r\n",
        "host:\r\n",
        "host: user@localhost\r\n",
        "host: local host\r\n",
        "host: localhost:99999\r\n",
        "host: localhost:\r\n",
        "host: localhost:0\r\n",
        "host: localhost:+80\r\n",
        "host: localhost.\r\n",
        "host: [fe80::1%25eth0]\r\n",
        "host: [::1\r\n",
        "host: ::1\r\n",
        "host: localhost, localhost\r\n",
    ];
    for headers in broken {
        assert_eq!(gateway.post(headers).await, 400, "{headers:?}");
    }
    let absolute = [
        ("http://evil.example/mcp/docs", "localhost", 400),
        ("http://localhost/mcp/docs", "gw.example", 400),
        ("http://localhost:1/mcp/docs", "localhost:2", 400),
        ("http://user@localhost/mcp/docs", "localhost", 400),
        ("http://evil.example/mcp/docs", "evil.example", FORBIDDEN),
        ("http://LOCALHOST/mcp/docs", "localhost", 200),
    ];
    for (target, host, status) in absolute {
        let request =
            format!("POST {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}");
        assert_eq!(gateway.exchange(request).await.only().status, status, "{target} {host}");
    }
    let old = "GET /mcp/docs HTTP/1.0\r\n\r\n";
    assert!(gateway.exchange(old).await.text().starts_with("HTTP/1.0 400"));
    assert_eq!(gateway.calls(), 1);
}

#[tokio::test]
async fn era_137_sec_007_preflights_name_what_mcp_needs_and_share_with_nobody_else() {
    let gateway = published().await;
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /mcp/docs HTTP/1.1\r\nhost: localhost:8000\r\norigin: {origin}\r\nconnection: close\r\n\
             access-control-request-method: POST\r\n\
             access-control-request-headers: mcp-method,Mcp-Param-Region, authorization, x-evil, mcp-a b\r\n\r\n"
        )
    };
    let own = gateway.exchange(preflight("http://localhost:8000")).await.only();
    assert_eq!(own.status, 204);
    assert_eq!(own.header("access-control-allow-origin"), Some("http://localhost:8000"));
    assert_eq!(own.header("access-control-allow-headers"), Some("mcp-method, Mcp-Param-Region, authorization"));
    assert_eq!(own.header("access-control-allow-methods"), Some("GET, POST, DELETE, OPTIONS"));
    assert!(own.header("access-control-expose-headers").unwrap().contains("mcp-session-id"));
    assert_eq!(own.header("vary"), Some("origin"));
    assert_eq!(own.header("access-control-allow-credentials"), None);

    // Another loopback page may ask, but sharing is off until origins can be named.
    let neighbour = gateway.exchange(preflight("http://localhost:6274")).await.only();
    assert_eq!(neighbour.status, 204);
    assert_eq!(neighbour.header("access-control-allow-origin"), None);

    let foreign = gateway.exchange(preflight("https://evil.example")).await.only();
    assert_eq!(foreign.status, FORBIDDEN);
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    assert_eq!(gateway.calls(), 0);
}

#[tokio::test]
async fn sec_048_what_may_come_once_comes_once() {
    let gateway = Gateway::start().await;
    let refused = [
        "authorization: Bearer good\r\nauthorization: Bearer bad\r\n",
        "authorization: Bearer bad\r\nAuthorization: Bearer good\r\n",
        "authorization: Bearer same\r\nauthorization: Bearer same\r\n",
        "content-type: application/json\r\ncontent-type: text/plain\r\n",
        "origin: http://localhost\r\norigin: http://localhost\r\n",
    ];
    for headers in refused {
        assert_eq!(gateway.post(&format!("host: localhost\r\n{headers}")).await, 400, "{headers:?}");
    }
    for name in ["authorization", "content-type", "host"] {
        let mut request = b"POST /mcp/docs HTTP/1.1\r\n".to_vec();
        if name != "host" {
            request.extend(b"host: localhost\r\n");
        }
        request.extend(name.as_bytes());
        request.extend(b": a\xffb\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(gateway.exchange(request).await.only().status, 400, "{name}");
    }
    assert_eq!(gateway.calls(), 0);

    // The headers of MCP get their answer from the MCP handlers, which must see them all.
    let both = gateway
        .exchange(
            "POST /mcp/docs HTTP/1.1\r\nhost: localhost\r\nmcp-name: safe\r\nmcp-name: dangerous\r\n\
             connection: close\r\ncontent-length: 0\r\n\r\n",
        )
        .await
        .only();
    assert_eq!(both.status, 200);
    assert!(both.text.contains("mcp-name=safe\nmcp-name=dangerous\n"), "{}", both.text);
}
