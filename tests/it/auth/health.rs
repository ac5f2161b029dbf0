//! What strangers learn from `/healthz` and `/readyz` (SEC-152), and what those pages say at the end.

use rialto::{Proxy, downstream::Settings};
use serde_json::json;

use super::kit::{App, basic, bearer, mounts};

#[tokio::test]
async fn sec_152_strangers_learn_that_it_is_ready_and_nothing_else() {
    let app = App::with(Settings::default(), |builder| {
        builder.mount("broken", Proxy::command("/opt/secret-program-name").args(["--token", "CANARY"]))
    })
    .await;
    rialto::app::assemble::watch(&app.gateway, app.shutdown.draining());
    let alice = bearer(&app.alice);
    crate::matrix::process::until("the broken mount to be down", || async {
        app.ask("GET", "/readyz", &alice).await.text.contains("down")
    })
    .await;
    let wrong = [String::new(), bearer("wrong"), basic(&app.alice), format!("cookie: key={}\r\n", app.alice)];
    for headers in wrong {
        let ready = app.ask("GET", "/readyz", &headers).await;
        assert_eq!((ready.status, ready.body()), (200, r#"{"status":"ready"}"#), "{headers}");
        let health = app.ask("GET", "/healthz", &headers).await;
        assert_eq!((health.status, health.body()), (200, "ok\n"), "{headers}");
        let head = app.ask("HEAD", "/readyz", &headers).await;
        assert_eq!((head.status, head.body()), (200, ""), "{headers}");
        for path in ["/metrics", "/debug/pprof", "/debug/vars", "/version", "/health", "/livez", "/status", "/env"] {
            assert_eq!(app.ask("GET", path, &headers).await.status, 401, "{path}");
        }
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(app.ask(method, "/readyz", "").await.status, 401, "{method}");
    }
}

#[tokio::test]
async fn sec_152_a_key_shows_the_mounts_it_opens() {
    let app = App::start().await;
    assert_eq!(mounts(&app.ask("GET", "/readyz", &bearer(&app.alice)).await), ["docs", "finance"]);
    assert_eq!(mounts(&app.ask("GET", "/readyz", &bearer(&app.bob)).await), ["docs"]);
    assert_eq!(mounts(&app.ask("GET", "/readyz", &format!("x-api-key: {}\r\n", app.bob)).await), ["docs"]);
    // Nothing of the servers, their tools or who uses them.
    app.call("docs", &bearer(&app.alice)).await;
    let ready = app.ask("GET", "/readyz", &bearer(&app.alice)).await;
    for secret in ["secret_tool", "127.0.0.1", "alice", "bob", &app.docs.port.to_string()] {
        assert!(!ready.body().contains(secret), "{secret}: {ready:?}");
    }
}

/// Without keys, the one user of this machine sees everything; strangers see that it is ready.
#[tokio::test]
async fn sec_152_who_is_not_known_sees_no_mounts() {
    use tower::ServiceExt;
    for (local, expected) in [
        (true, json!({"status": "ready", "mounts": {"docs": {"status": "unknown"}}})),
        (false, json!({"status": "ready"})),
    ] {
        let builder = rialto::Rialto::builder().mount("docs", Proxy::to("http://127.0.0.1:9/mcp"));
        let router = if local { builder.local() } else { builder }.assemble().router;
        let request = http::Request::builder().uri("/readyz").header("host", "localhost");
        let response = router.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap(), expected);
    }
}

/// A stop is announced before anything else happens: calls are taken as before, and whoever asks is told to go elsewhere.
#[tokio::test]
async fn sec_162_readiness_ends_first() {
    let app = App::start().await;
    app.shutdown.stop();
    for headers in [String::new(), bearer(&app.alice)] {
        let ready = app.ask("GET", "/readyz", &headers).await;
        assert_eq!(ready.status, 503, "{ready:?}");
        assert!(ready.body().contains(r#""status":"stopping""#), "{ready:?}");
        assert_eq!(app.ask("GET", "/healthz", &headers).await.status, 200, "it lives");
    }
    assert_eq!(app.call("docs", &bearer(&app.alice)).await.status, 200);
    app.shutdown.drain();
    crate::support::wait::within(app.serving).await.unwrap();
    assert!(tokio::net::TcpStream::connect(app.address).await.is_err(), "still accepting");
}
