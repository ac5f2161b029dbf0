//! What a client is told when there is no answer.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use rialto::{Reverse, Rialto};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};

use super::{echoing, gateway, http, saying, seen};
use crate::{
    library::serve,
    support::wait::{soon, within},
};

/// Checks that an answer is a problem of a kind.
fn is_problem((status, problem): &(u16, Value), expected: u16, kind: &str) {
    assert_eq!((*status, &problem["status"]), (expected, &json!(expected)), "{problem}");
    assert_eq!(problem["type"], format!("urn:rialto:problem:{kind}"));
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    // Where the server is, is nobody's business.
    assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_a_problem_of_its_route_alone() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let server = echoing().await;
    let app = Rialto::builder()
        .route_to("/nobody", nobody.as_str())
        .route_to("/nonsense", "not a url")
        .route_to("/query", "http://127.0.0.1:9000/?x=1")
        .route_to("/here", server.base.as_str());
    let served = serve(app.build()).await;
    for path in ["/nobody", "/nonsense/x", "/query"] {
        is_problem(&seen(http().get(served.at(path))).await, 502, "upstream-unreachable");
    }
    assert_eq!(seen(http().get(served.at("/here"))).await.0, 200);
}

#[tokio::test]
async fn a_server_that_breaks_off_before_it_answers_is_a_problem() {
    for broken in ["", "HTTP/1.1 200 O", "nonsense\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"] {
        let (server, _serving) = saying(broken).await;
        let gateway = gateway(server.as_str()).await;
        is_problem(&seen(http().get(gateway.at("/reports"))).await, 502, "upstream-failed");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client() {
    let (server, _serving) = saying("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").await;
    let gateway = gateway(server.as_str()).await;
    let response = within(http().get(gateway.at("/reports")).send()).await.unwrap();
    assert!(within(response.bytes()).await.is_err(), "what is missing must not look like the end");
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_a_problem() {
    let silent = serve(Router::new().fallback(std::future::pending::<&'static str>)).await;
    let gateway = gateway(Reverse::to(&silent.base).timeout(Duration::from_millis(100))).await;
    is_problem(&seen(http().get(gateway.at("/reports"))).await, 504, "upstream-timeout");
    is_problem(&seen(http().post(gateway.at("/reports")).body("x")).await, 504, "upstream-timeout");
}

/// The time of the server runs while it has the request, and not while the client still sends it.
#[tokio::test]
async fn the_time_of_a_server_does_not_run_while_the_client_sends() {
    let server = echoing().await;
    let gateway = gateway(Reverse::to(&server.base).timeout(Duration::from_millis(300))).await;
    let slowly = stream::iter(["a", "b", "c"]).then(|part| async move {
        tokio::time::sleep(Duration::from_millis(400)).await;
        Ok::<_, std::convert::Infallible>(Bytes::from(part))
    });
    let request = http().post(gateway.at("/reports")).body(reqwest::Body::wrap_stream(slowly));
    let (status, sent) = seen(request).await;
    assert_eq!((status, &sent["body"]), (200, &json!("abc")), "{sent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests_at_once_are_told_so() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let held = move || {
        let gate = waiting.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            "through"
        }
    };
    // The head comes at once and the end when the gate is opened: answers that are still being read count.
    let body = gate.clone();
    let begun = move || {
        let gate = body.clone();
        let rest = stream::once(async move {
            gate.acquire().await.unwrap().forget();
            Ok::<_, std::convert::Infallible>(Bytes::from("end"))
        });
        std::future::ready(Body::from_stream(stream::iter([Ok(Bytes::from("begin"))]).chain(rest)))
    };
    let server = serve(Router::new().route("/held", get(held)).route("/begun", get(begun))).await;
    let gateway = gateway(server.base.as_str()).await;
    let client = http();
    let mut open = Vec::new();
    for _ in 0..256 {
        let mut response = within(client.get(gateway.at("/reports/begun")).send()).await.unwrap();
        assert_eq!(within(response.chunk()).await.unwrap().unwrap(), "begin");
        open.push(response);
    }
    let refused = client.get(gateway.at("/reports/held")).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    let problem: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    is_problem(&(503, problem), 503, "busy");
    // Other parts of the application do not notice.
    assert_eq!(client.get(gateway.at("/healthz")).send().await.unwrap().status().as_u16(), 200);

    gate.add_permits(257);
    for response in open {
        assert_eq!(within(response.bytes()).await.unwrap(), "end");
    }
    let through = soon("a free place", client.get(gateway.at("/reports/held")).send()).await.unwrap();
    assert_eq!(through.text().await.unwrap(), "through");
}
