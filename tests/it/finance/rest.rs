//! The REST routes in the real program, behind its own guard. What they do in detail is tested with the demo's code.

use serde_json::json;

use super::{Demo, LARGE};

#[tokio::test]
async fn the_routes_are_there_beside_the_mounts() {
    let demo = Demo::start().await;
    let accounts = demo.get("/accounts").await;
    assert_eq!((accounts.status, accounts.body["accounts"].as_array().map(Vec::len)), (200, Some(4)));
    let new = demo.create().await;
    let created = demo.get(&format!("/invoices/{new}")).await;
    assert_eq!((created.status, &created.body["status"]), (200, &json!("open")));
    let docs = demo.http.get(format!("{}/readyz", demo.rialto.base));
    let mounts = demo.send(docs).await.body["mounts"].clone();
    assert!(mounts["docs"].is_object() && mounts["finance"].is_object(), "{mounts}");
}

#[tokio::test]
async fn what_goes_wrong_is_a_problem() {
    let demo = Demo::start().await;
    let pay = format!("/invoices/{LARGE}/pay");
    let replies = [
        (demo.get("/invoices/2026-9999").await, 404, "invoice-not-found"),
        (demo.get("/invoices?limit=1000").await, 400, "invalid-query"),
        (demo.get("/nothing").await, 404, "not-found"),
        (demo.post("/invoices", &json!({})).await, 422, "invalid-body"),
        (demo.post(&pay, &json!({})).await, 409, "confirmation-required"),
        (demo.send(demo.http.post(demo.url(&pay)).body("yes")).await, 415, "not-json"),
        (demo.send(demo.http.delete(demo.url(&pay))).await, 405, "method-not-allowed"),
    ];
    for (reply, status, kind) in replies {
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.headers["content-type"], "application/problem+json", "{reply:?}");
        assert_eq!(reply.body["type"], format!("urn:finance:problem:{kind}"), "{reply:?}");
        assert_eq!(reply.headers.contains_key("allow"), status == 405, "{reply:?}");
    }
    assert!(!demo.is_paid(LARGE).await);
}
