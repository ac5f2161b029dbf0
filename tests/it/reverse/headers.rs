//! The headers that pass a route, and those that do not.

use axum::{Router, extract::Request, middleware, routing::get};
use http::{HeaderName, HeaderValue};
use rialto::{Reverse, Rialto, auth::Access, hub::Principal};
use serde_json::json;

use super::{echoing, exchange, gateway, get_raw, header, http, saying, seen};
use crate::library::serve;

#[tokio::test]
async fn what_is_meant_for_the_server_reaches_it_and_back() {
    let server = echoing().await;
    let gateway = gateway(server.base.as_str()).await;
    let response = http()
        .patch(gateway.at("/reports/may?page=2&page=3"))
        .header("accept", "text/csv")
        .header("cookie", "theme=dark")
        .header("x-custom", "one")
        .header("x-custom", "two")
        .body("grüße")
        .send()
        .await
        .unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["x-from"].as_bytes()), (200, &b"the server"[..]));
    let seen: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!((&seen["method"], &seen["target"]), (&json!("PATCH"), &json!("/may?page=2&page=3")));
    assert_eq!(seen["body"], "grüße");
    assert_eq!(header(&seen, "accept"), ["text/csv"]);
    assert_eq!(header(&seen, "cookie"), ["theme=dark"]);
    assert_eq!(header(&seen, "x-custom"), ["one", "two"]);
    // The host is that of the server.
    assert_eq!(header(&seen, "host"), [server.base.trim_start_matches("http://")]);
    assert_eq!(header(&seen, "content-length"), ["7"]);
}

#[tokio::test]
async fn sec_050_fields_of_a_connection_end_there_in_both_directions() {
    let server = echoing().await;
    let echoed = gateway(server.base.as_str()).await;
    let hop = "connection: close, X-Secret, te, authorization\r\nx-secret: 1\r\nkeep-alive: timeout=5\r\nte: trailers\r\n\
        trailer: x-t\r\nupgrade: h2c\r\nhttp2-settings: AAA\r\nproxy-connection: keep-alive\r\nproxy-authorization: x\r\n\
        expect: 100-continue\r\nx-kept: 1\r\n";
    let request = format!("GET /reports HTTP/1.1\r\nhost: localhost\r\n{hop}\r\n");
    let answer = exchange(&echoed.base, &request).await;
    let (_, body) = answer.rsplit_once("\r\n\r\n").unwrap();
    // The body may come in chunks; the JSON is one line of it.
    let body = body.lines().find(|line| line.starts_with('{')).unwrap_or(body);
    let seen: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"));
    for gone in [
        "connection",
        "x-secret",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
        "proxy-connection",
        "proxy-authorization",
        "expect",
        "transfer-encoding",
    ] {
        assert_eq!(header(&seen, gone), Vec::<String>::new(), "{gone}: {seen}");
    }
    assert_eq!(header(&seen, "x-kept"), ["1"]);

    let (server, _serving) = saying(
        "HTTP/1.1 200 OK\r\nconnection: close, X-Internal\r\nx-internal: 10.0.0.1\r\nkeep-alive: timeout=5\r\n\
         proxy-authenticate: Basic\r\nupgrade: h2c\r\ntransfer-encoding: chunked\r\nx-kept: 1\r\ntrailer: x-late\r\n\r\n\
         2\r\nok\r\n0\r\nx-late: 1\r\n\r\n",
    )
    .await;
    let gateway = gateway(server.as_str()).await;
    let response = http().get(gateway.at("/reports")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    for gone in ["x-internal", "keep-alive", "proxy-authenticate", "upgrade", "trailer", "connection", "x-late"] {
        assert!(!response.headers().contains_key(gone), "{gone}: {:?}", response.headers());
    }
    assert_eq!(response.headers()["x-kept"], "1");
    assert_eq!(response.text().await.unwrap(), "ok");
}

#[tokio::test]
async fn what_proves_who_calls_goes_no_further() {
    let server = echoing().await;
    let plain = gateway(server.base.as_str()).await;
    let call = |base: &str| {
        let request = http().get(format!("{base}/reports"));
        request.bearer_auth("for-rialto").header("x-api-key", "for-rialto").header("x-token", "the client's")
    };
    let (_, sent) = seen(call(&plain.base)).await;
    assert!(!sent.to_string().contains("for-rialto"), "{sent}");
    assert_eq!(header(&sent, "x-token"), ["the client's"]);

    // The credentials that the server wants are the route's own, in place of whatever the client says.
    let own = Reverse::to(&server.base)
        .header(HeaderName::from_static("x-token"), HeaderValue::from_static("own"))
        .header(HeaderName::from_static("authorization"), HeaderValue::from_static("Bearer own"))
        .header(HeaderName::from_static("host"), HeaderValue::from_static("evil.example"))
        .header(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_static("1.2.3.4"));
    let own = gateway(own).await;
    let (_, sent) = seen(call(&own.base)).await;
    assert_eq!(
        (header(&sent, "x-token"), header(&sent, "authorization")),
        (vec!["own".into()], vec!["Bearer own".into()])
    );
    assert_eq!(header(&sent, "host"), [server.base.trim_start_matches("http://")]);
    assert!(!sent.to_string().contains("1.2.3.4"), "{sent}");
}

#[tokio::test]
async fn who_asked_for_what_is_said_by_rialto_alone() {
    let server = echoing().await;
    let gateway = gateway(server.base.as_str()).await;
    let mut request = http().get(gateway.at("/reports/a")).header("forwarded", "for=6.6.6.6;host=evil");
    for name in ["for", "host", "proto", "prefix", "port", "server", "uri"] {
        request = request.header(format!("x-forwarded-{name}"), "evil");
    }
    for name in ["x-real-ip", "x-client-ip", "true-client-ip"] {
        request = request.header(name, "6.6.6.6");
    }
    let (status, sent) = seen(request).await;
    assert_eq!(status, 200);
    assert!(!sent.to_string().contains("evil") && !sent.to_string().contains("6.6.6"), "{sent}");
    let host = gateway.base.trim_start_matches("http://");
    assert_eq!(header(&sent, "x-forwarded-host"), [host]);
    assert_eq!(header(&sent, "x-forwarded-proto"), ["http"]);
    assert_eq!(header(&sent, "x-forwarded-prefix"), ["/reports"]);
    // This program did not ask axum who is connected.
    assert_eq!(header(&sent, "forwarded"), [format!("for=unknown;host=\"{host}\";proto=http")]);
    assert_eq!(header(&sent, "x-forwarded-for"), Vec::<String>::new());
}

#[tokio::test]
async fn the_client_and_the_public_address_are_told_where_they_are_known() {
    let server = echoing().await;
    let app = Rialto::builder()
        .hosts(["other.example".parse().unwrap()])
        .public_url("https://gw.example".parse().unwrap())
        .route_to("/reports", server.base.as_str())
        .build();
    let app = Router::new().nest("/deep", Router::new().nest("/gw", app));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let service = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    for (host, proto) in [("gw.example", "https"), ("GW.example:443", "https"), ("other.example", "http")] {
        let (status, sent) = seen(http().get(format!("{base}/deep/gw/reports/a")).header("host", host)).await;
        assert_eq!(status, 200, "{sent}");
        assert_eq!(header(&sent, "x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(header(&sent, "x-forwarded-host"), [host]);
        assert_eq!(header(&sent, "x-forwarded-proto"), [proto]);
        assert_eq!(header(&sent, "x-forwarded-prefix"), ["/deep/gw/reports"]);
        assert_eq!(header(&sent, "forwarded"), [format!("for=127.0.0.1;host=\"{host}\";proto={proto}")]);
    }
}

#[tokio::test]
async fn sec_058_headers_that_override_the_request_have_no_effect_anywhere() {
    let server = echoing().await;
    let gateway = gateway(server.base.as_str()).await;
    let overrides = "x-http-method-override: DELETE\r\nx-http-method: DELETE\r\nx-method-override: DELETE\r\n\
        x-original-url: /admin\r\nx-original-uri: /admin\r\nx-rewrite-url: /admin\r\n";
    let (status, answer) = get_raw(&gateway.base, "/reports/a", overrides).await;
    assert_eq!(status, 200);
    assert!(answer.contains(r#""method":"GET""#) && answer.contains(r#""target":"/a""#), "{answer}");
    assert!(!answer.contains("DELETE") && !answer.contains("admin"), "{answer}");
    // Nor do they lead to another route of Rialto's own.
    let (status, answer) =
        get_raw(&gateway.base, "/nowhere", "x-original-url: /healthz\r\nx-rewrite-url: /healthz\r\n").await;
    assert_eq!(status, 404, "{answer}");
    let (status, _) =
        get_raw(&gateway.base, "/mcp/docs", "x-forwarded-prefix: /reports\r\nmcp-method: tools/list\r\n").await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn a_route_is_for_those_who_may_use_it() {
    let server = echoing().await;
    let app = Rialto::builder()
        .route_to("/reports", server.base.as_str())
        .routes(Router::new().route("/hello", get(async || "hello")).fallback(async || "the fallback"))
        .layer(middleware::from_fn(async |mut request: Request, next: middleware::Next| {
            let access = Access::only(Principal::new("ci"), ["docs"]);
            match request.headers().get("x-may").map(|may| may.as_bytes()) {
                Some(b"docs") => drop(request.extensions_mut().insert(access)),
                Some(b"docs and routes") => drop(request.extensions_mut().insert(access.and_routes())),
                _ => {}
            }
            next.run(request).await
        }))
        .build();
    let served = serve(app).await;
    let get = |path: &str, may: &str| http().get(served.at(path)).header("x-may", may);
    for path in ["/reports/a", "/hello"] {
        assert_eq!(seen(get(path, "everything")).await.0, 200, "{path}");
        assert_eq!(seen(get(path, "docs and routes")).await.0, 200, "{path}");
        // Whoever may use some mounts only may not use what stands behind a route with credentials of the operator's.
        let (status, problem) = seen(get(path, "docs")).await;
        assert_eq!((status, &problem["type"]), (403, &json!("urn:rialto:problem:forbidden")), "{path}");
    }
    // A fallback of the program's is a route like any other, and nothing is nothing.
    assert_eq!(seen(get("/nowhere", "everything")).await, (200, json!("the fallback")));
    assert_eq!(seen(get("/nowhere", "docs")).await.0, 404);
}

/// The version is that of each hop (RFC 9112, section 2.3): an old server does not make our answer an old one.
#[tokio::test]
async fn an_old_server_is_answered_for_in_the_clients_version() {
    let (base, _serving) = saying("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let gateway = gateway(base.as_str()).await;
    let answer = exchange(&gateway.base, "GET /reports HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("hi"), "{answer}");
}
