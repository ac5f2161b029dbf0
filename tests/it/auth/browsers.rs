//! Pages of others, and what answers tell browsers (SEC-002, SEC-007 to SEC-009, SEC-121, SEC-122).

use axum::{Router, response::Html, routing::get};
use rialto::downstream::Settings;

use super::kit::{App, basic, bearer, call, head};

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"];

/// A page of somebody else comes nowhere, whatever it brings, and learns nothing from how it is refused.
#[tokio::test]
async fn sec_002_a_key_does_not_make_a_foreign_page_welcome() {
    let app = App::start().await;
    for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
        let headers = format!("{}origin: {origin}\r\n", bearer(&app.alice));
        for method in METHODS {
            for path in ["/mcp/docs", "/custom", "/readyz", "/healthz", "/mcp/nobody"] {
                let answer = app.ask(method, path, &headers).await;
                assert_eq!(answer.status, 403, "{method} {path} {origin}");
                assert_eq!(answer.header("www-authenticate"), None);
                assert_eq!(answer.header("access-control-allow-origin"), None);
            }
        }
    }
    assert!(app.is_untouched());
}

#[tokio::test]
async fn sec_007_preflights_need_no_key_and_open_nothing() {
    let app = App::start().await;
    let own = format!("http://localhost:{}", app.address.port());
    let preflight = |origin: &str, path: &str, more: &str| {
        format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: localhost:{}\r\norigin: {origin}\r\nconnection: close\r\n\
             access-control-request-method: POST\r\n\
             access-control-request-headers: authorization, x-api-key, mcp-param-x\r\n{more}\r\n",
            app.address.port()
        )
    };
    for path in ["/mcp/docs", "/custom", "/readyz", "/no/such"] {
        let answer = app.send(preflight(&own, path, "")).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(own.as_str()));
        assert_eq!(answer.header("access-control-allow-headers"), Some("authorization, x-api-key, mcp-param-x"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert!(answer.headers("vary").any(|vary| vary == "origin"), "{answer:?}");
        let exposed = answer.header("access-control-expose-headers").unwrap();
        for name in ["www-authenticate", "mcp-session-id", "mcp-protocol-version"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
    // SEC-009: a page of the internet may not reach into the network by asking politely.
    let private = app.send(preflight(&own, "/mcp/docs", "access-control-request-private-network: true\r\n")).await;
    assert_eq!(private.status, 204);
    assert!(!private.text.to_lowercase().contains("allow-private-network"), "{private:?}");
    let foreign = app.send(preflight("https://evil.example", "/mcp/docs", "")).await;
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (403, None));
    // What looks like a preflight and is none needs a key like everything else.
    for headers in [format!("origin: {own}\r\n"), "access-control-request-method: POST\r\n".to_owned(), String::new()] {
        let request = head("OPTIONS", "/mcp/docs", &headers);
        let host = format!("host: localhost:{}", app.address.port());
        let request = request.replace("host: localhost", &host);
        assert_eq!(app.send(request).await.status, 401, "{headers}");
    }
    assert!(app.is_untouched());
}

/// What a form of a foreign page can send without asking: bodies of three kinds, and cookies.
#[tokio::test]
async fn sec_008_forms_and_cookies_do_nothing() {
    let app = App::start().await;
    let good = call("/mcp/docs", &bearer(&app.alice));
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let form = good.replace("content-type: application/json", &format!("content-type: {kind}"));
        assert_eq!(app.send(&form).await.status, 415, "{kind}");
        assert_eq!(app.send(form.replace("authorization", "x-other")).await.status, 401, "no oracle: {kind}");
    }
    for cookie in ["session", "key", "authorization", "__Host-rialto", "token"] {
        let cookie = format!("cookie: {cookie}={0}; x={0}\r\n", app.alice);
        assert_eq!(app.call("docs", &cookie).await.status, 401);
        assert_eq!(app.ask("GET", "/custom", &cookie).await.status, 401);
    }
    assert_eq!(app.docs.count("tools/call"), 0);
    assert_eq!(app.send(good).await.status, 200);
}

#[tokio::test]
async fn sec_009_only_names_of_ours_are_destinations() {
    let app = App::start().await;
    let port = app.address.port();
    for host in [
        "0.0.0.0".to_owned(),
        format!("0.0.0.0:{port}"),
        format!("192.168.1.5:{port}"),
        format!("[::]:{port}"),
        format!("10.0.0.1:{port}"),
        "host.docker.internal".to_owned(),
    ] {
        for path in ["/healthz", "/readyz", "/mcp/docs"] {
            let request = head("GET", path, &bearer(&app.alice)).replace("localhost", &host);
            let answer = app.send(request).await;
            assert_eq!(answer.status, 403, "{host} {path}");
            assert!(!answer.text.contains(&host), "{answer:?}");
        }
    }
}

/// Whatever is answered, and by whom.
#[tokio::test]
async fn sec_121_every_answer_is_guarded_against_browsers() {
    let page = "default-src 'none'; style-src 'self'";
    let own = get(move || async move {
        ([("content-security-policy", page), ("cache-control", "max-age=60")], Html("<p>hi"))
    });
    let app = App::with(Settings::default(), |builder| builder.routes(Router::new().route("/page", own))).await;
    let key = bearer(&app.alice);
    let listen = {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
        head(
            "POST",
            "/mcp/docs",
            &format!(
                "{key}content-type: application/json\r\naccept: application/json, text/event-stream\r\ncontent-length: {}\r\n",
                body.len()
            ),
        ) + body
    };
    let answers = [
        ("200", app.call("docs", &key).await),
        ("200 session", app.send(listen).await),
        ("200 page", app.ask("GET", "/page", &key).await),
        ("200 custom", app.ask("GET", "/custom", &key).await),
        ("200 public", app.ask("GET", "/readyz", "").await),
        (
            "204 preflight",
            app.send(head("OPTIONS", "/x", "origin: http://localhost\r\naccess-control-request-method: GET\r\n")).await,
        ),
        ("400 guard", app.send("GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await),
        ("400 credentials", app.ask("GET", "/", "authorization: Bearer\r\n").await),
        ("401", app.ask("GET", "/", "").await),
        ("403 mount", app.call("finance", &bearer(&app.bob)).await),
        ("403 host", app.send("GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").await),
        ("404", app.ask("GET", "/mcp/nobody", "").await),
        ("405", app.ask("PUT", "/mcp/docs", &key).await),
        ("414", app.send(head("GET", &format!("/?{}", "x".repeat(9000)), "")).await),
        ("415", app.ask("POST", "/mcp/docs", &key).await),
    ];
    for (what, answer) in answers {
        assert!(answer.status.to_string().starts_with(&what[..3]), "{what}: {answer:?}");
        let once = |name: &str| {
            let values: Vec<_> = answer.headers(name).collect();
            assert_eq!(values.len(), 1, "{what}: {name} {values:?}");
            values[0].to_owned()
        };
        assert_eq!(once("x-content-type-options"), "nosniff");
        assert_eq!(once("referrer-policy"), "no-referrer");
        let (policy, cache) = (once("content-security-policy"), once("cache-control"));
        if what == "200 page" {
            // A page says itself what it needs.
            assert_eq!((&*policy, &*cache), (page, "max-age=60"));
        } else {
            assert_eq!(
                policy, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
                "{what}"
            );
            assert_eq!(cache, "no-store", "{what}");
        }
        let vary: Vec<_> = answer.headers("vary").filter(|vary| vary.contains("authorization")).collect();
        assert_eq!(vary, ["authorization, x-api-key"], "{what}");
        for name in ["server", "x-powered-by", "access-control-allow-origin"] {
            assert!(answer.header(name).is_none() || what.contains("preflight"), "{what}: {name}");
        }
    }
}

/// There is no session to steal, fix or ride on: nothing sets a cookie, nothing is done by looking, and a page from elsewhere
/// does nothing even where it knows a key.
#[tokio::test]
async fn sec_122_looking_does_nothing_and_pages_from_elsewhere_do_nothing_either() {
    let app = App::start().await;
    let key = bearer(&app.alice);
    let filled = |path: &str| {
        path.replace("{mount}", "docs")
            .replace("{tool}", "secret_tool")
            .replace("{prompt}", "p")
            .replace("{*path}", "x")
    };
    let mut looked = 0;
    for route in &app.routes {
        for query in ["", "?_method=POST&method=tools/call&uri=test%3A%2F%2Fa"] {
            for method in ["GET", "HEAD"] {
                let override_it = format!("{key}x-http-method-override: POST\r\ncookie: __Host-rialto=fixed\r\n");
                let answer = app.ask(method, &format!("{}{query}", filled(&route.path)), &override_it).await;
                assert!(answer.headers("set-cookie").next().is_none(), "{}: {answer:?}", route.path);
                looked += 1;
            }
        }
    }
    assert!(looked > 80, "{looked}");
    let path = "/api/mounts/docs/tools/secret_tool";
    let act = |headers: &str| {
        let body = r#"{"text":"hi"}"#;
        let framing = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        head("POST", path, &format!("{headers}{framing}")) + body
    };
    let own = format!("origin: http://localhost:{}\r\n", app.address.port());
    for (headers, status) in [
        (format!("{key}origin: https://evil.example\r\n"), 403),
        (format!("{key}origin: null\r\n"), 403),
        (format!("{own}cookie: authorization={0}; __Host-rialto={0}\r\n", app.alice), 401),
        // What a browser sends by itself once its user has opened the page at `/`.
        (basic(&app.alice), 401),
    ] {
        let answer = app.send(act(&headers)).await;
        assert_eq!(answer.status, status, "{headers}: {answer:?}");
        assert!(answer.headers("set-cookie").next().is_none());
    }
    assert_eq!(app.docs.count("tools/call"), 0);
    assert_eq!(app.send(act(&key)).await.status, 200, "a program with the key does act");
    assert_eq!(app.docs.count("tools/call"), 1);
    for method in ["tools/call", "prompts/get", "resources/subscribe", "logging/setLevel"] {
        let by_program = usize::from(method == "tools/call");
        assert_eq!(app.docs.count(method) + app.finance.count(method), by_program, "{method}");
    }
}
