//! Who is calling, as the program around a proxy says.

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
};
use rialto::{Proxy, Rialto, auth::Access, hub::Principal};
use serde_json::{Value, json};

use super::{Client, ERAS, Lifecycle, answer, authenticated, in_process, serve, tool_by_hand};
use crate::matrix::process::{Fixture, until};

/// The number that a legacy server counts in a session, asked by a modern client.
async fn count(url: &str, user: Option<&str>) -> String {
    let mut call = tool_by_hand(url, "counter", json!({}));
    if let Some(user) = user {
        call = call.bearer_auth(user);
    }
    let (status, answer) = answer(call).await;
    assert_eq!(status, 200, "{answer}");
    answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

fn open_sessions(status: &Value) -> usize {
    status["open"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_nobody_share_nothing_and_leave_nothing() {
    let fixture = Fixture::start(&["--revision", "2025-11-25"]).await;
    let nested = Router::new().nest_service("/mcp/docs", Proxy::to(&fixture.url).into_service());
    let built = Rialto::builder().mount("docs", Proxy::to(&fixture.url)).build();
    for app in [authenticated(nested), authenticated(built)] {
        let served = serve(app).await;
        let url = served.at("/mcp/docs");
        // Strangers, one after the other and at once: each has a session of its own, in which it is the first.
        assert_eq!(count(&url, None).await, "1");
        let (one, other) = tokio::join!(count(&url, None), count(&url, None));
        assert_eq!((one.as_str(), other.as_str()), ("1", "1"));
        until("the sessions of strangers end", || async { open_sessions(&fixture.status().await) == 0 }).await;

        // One principal shares a session over its requests, and with nobody else.
        assert_eq!(count(&url, Some("ada")).await, "1");
        assert_eq!(count(&url, Some("alan")).await, "1");
        assert_eq!(count(&url, Some("ada")).await, "2");
        assert_eq!(count(&url, None).await, "1");
        until("two sessions stay", || async { open_sessions(&fixture.status().await) == 2 }).await;
        drop(served);
        until("they end with the application", || async { open_sessions(&fixture.status().await) == 0 }).await;
    }
    let violations = fixture.status().await["violations"].clone();
    assert_eq!(violations, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_machine_of_one_user_nobody_is_that_user() {
    let fixture = Fixture::start(&["--revision", "2025-11-25"]).await;
    let nested = Router::new().nest_service("/mcp/docs", Proxy::to(&fixture.url).local().into_service());
    let built = Rialto::builder().local().mount("docs", Proxy::to(&fixture.url)).build();
    for app in [nested, built] {
        let served = serve(app).await;
        let url = served.at("/mcp/docs");
        assert_eq!((count(&url, None).await, count(&url, None).await), ("1".to_owned(), "2".to_owned()));
    }
}

/// Middleware that lets each user use what its name says.
fn restricted(app: Router) -> Router {
    app.layer(middleware::from_fn(async |mut request: Request, next: Next| -> Response {
        let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let user = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
        let access = match user.strip_prefix("only-") {
            Some(mount) => Access::only(Principal::new(&user), [mount]),
            None => Access::to_all(Principal::new(&user)),
        };
        request.extensions_mut().insert(access);
        next.run(request).await
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_principal_uses_its_mounts_and_no_others() {
    let nested = Router::new()
        .nest_service("/mcp/docs", in_process().name("docs").into_service())
        .nest("/mcp/finance", in_process().name("finance").into_router());
    let built = Rialto::builder().mount("docs", in_process()).mount("finance", in_process()).build();
    for app in [restricted(nested), restricted(built)] {
        let served = serve(app).await;
        let everywhere = ["docs", "finance"];
        for (user, may) in [("only-docs", &everywhere[..1]), ("only-finance", &everywhere[1..]), ("root", &everywhere)]
        {
            for mount in everywhere {
                let url = served.at(&format!("/mcp/{mount}"));
                if may.contains(&mount) {
                    for era in ERAS {
                        let client = Client::connect_as(Some(user), &url, era, json!({})).await;
                        assert_eq!(client.said("echo", &json!({ "text": "in" })).await, "in", "{user} at {mount}");
                        client.close().await;
                    }
                    continue;
                }
                let call = tool_by_hand(&url, "echo", json!({ "text": "in" })).bearer_auth(user);
                let response = call.send().await.unwrap();
                assert_eq!(response.status().as_u16(), 403, "{user} at {mount}");
                assert!(response.headers().get("www-authenticate").is_none());
                assert_eq!(response.headers()["content-type"], "application/json");
                assert_eq!(response.text().await.unwrap(), r#"{"error":"access_denied"}"#);
            }
        }
    }
}

#[tokio::test]
async fn a_session_belongs_to_whoever_began_it() {
    let app = Router::new().nest_service("/mcp/docs", in_process().into_service());
    let served = serve(authenticated(app)).await;
    let url = served.at("/mcp/docs");
    let client = Client::connect_as(Some("ada"), &url, Lifecycle::Initialize, json!({})).await;
    client.said("echo", &json!({ "text": "mine" })).await;
    let session = client.sessions.lock().unwrap()[0].to_string();
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    for (user, expected) in [(Some("ada"), 200), (Some("alan"), 404), (None, 404)] {
        let mut request = crate::matrix::client::http_client()
            .post(&url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-session-id", &session)
            .body(ping.clone());
        if let Some(user) = user {
            request = request.bearer_auth(user);
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), expected, "{user:?}");
    }
    client.close().await;
}
