//! What is refused because there is too much at once (P14): a request has its answer, under its own id and with a 200, and
//! what says when to come back is in it. Clients of the TypeScript SDK lose the error that comes with another status, and one
//! such status ends all that a client of the Python SDK before 2.0 is doing. Who has no session yet has nothing to lose, and
//! gets a 503.

use rialto::{
    downstream::{HeldLimits, SessionLimits, Sessions},
    hub::Fault,
    seal::Sealer,
};

use super::*;
use crate::support::mount::{Scripted as Mount, says};

/// The whole answer to a request that there was no room for.
fn busy(id: &Value, message: &str, after: u64) -> Value {
    let data = json!({"source": "gateway", "reason": "busy", "retryable": true, "retryAfterMs": after});
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": message, "data": data}})
}

/// Fails unless a modern client was refused so.
fn assert_busy(whole: &crate::support::client::Whole, id: &Value, message: &str) {
    assert_eq!((whole.status, whole.response()), (200, busy(id, message, 1000)));
    assert_eq!(whole.headers["content-type"], "application/json");
    assert!(!whole.headers.contains_key("retry-after"), "on a success it says nothing");
}

/// Fails unless a legacy client was refused so.
fn assert_heard(reply: &Heard, id: &Value, message: &str) {
    assert_eq!((reply.status.as_u16(), reply.json()), (200, busy(id, message, 1000)));
    assert!(!reply.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn p14_calls_beyond_the_bounds_of_a_session_and_of_a_mount_are_told_to_come_back() {
    let mount = Arc::new(Mount::new(|call| async move {
        match call.tool().as_deref() {
            Some("holds") => std::future::pending().await,
            _ => says("ran"),
        }
    }));
    let gateway = Gateway::around(mount.clone(), Settings::default()).listen().await;
    // In batches, as there would be too many connections otherwise.
    let (crowd, other) =
        (legacy(&gateway, "2025-03-26", json!({})).await, legacy(&gateway, "2025-03-26", json!({})).await);
    let hold = |client: &Client, from: u64, count: u64| {
        let call = |id| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "holds"}});
        let (client, batch) = (client.clone(), Value::from_iter((from..from + count).map(call)));
        tokio::spawn(async move { client.post(&batch).await })
    };
    let mut held: Vec<_> = (0..20).map(|n| hold(&crowd, 50 * n, 50)).collect();
    soon("the calls of a session", mount.until(|counts| counts.begun == 1000)).await;
    let reply = crowd.call("one more", "t").await.unwrap();
    assert_heard(&reply, &json!("one more"), "too many requests of this session run at once");
    assert_eq!(said(&other.call(1, "t").await.unwrap().json()), "ran", "that is nobody else's trouble");

    held.push(hold(&other, 100, 24));
    soon("the calls of the mount", mount.until(|counts| counts.begun == 1025)).await;
    let message = "too many calls at once, try again later";
    let call = tool("t", json!({})).id("mine");
    let list = modern("tools/list", json!({})).principal("bob");
    let (called, listed, heard) = tokio::join!(call.send(&gateway), list.send(&gateway), other.call(7, "t"));
    assert_busy(&called, &json!("mine"), message);
    assert_busy(&listed, &json!(1), message);
    assert_heard(&heard.unwrap(), &json!(7), message);
    assert_eq!(mount.counts().begun, 1025, "nothing of it reached the server");

    // Whoever leaves makes room.
    assert_eq!(other.delete().await.status, 200);
    assert_eq!(said(&call.response(&gateway, 200).await), "ran");
    assert_eq!(crowd.delete().await.status, 200);
    for reply in held {
        assert_eq!(reply.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn p14_subscriptions_beyond_the_bound_are_told_to_come_back() {
    let limits = HeldLimits { listens_each: 1, listens_all: 2, ..HeldLimits::default() };
    let held = Arc::new(rialto::downstream::Held::new(limits));
    let (mount, _opened) = Mount::plain().listening(|filter| filter);
    let gateway = Gateway::with(&[&Arc::new(mount)], Settings { held, ..Settings::default() }).listen().await;
    let listen = |who: &str| modern("subscriptions/listen", json!({"notifications": {}})).id("l").principal(who);
    let message = "too many subscriptions are open";
    let mut alice = listen("alice").open(&gateway).await;
    assert_eq!(alice.next().await.unwrap()["method"], "notifications/subscriptions/acknowledged");
    assert_busy(&listen("alice").send(&gateway).await, &json!("l"), message);
    let bob = listen("bob").open(&gateway).await;
    assert!(bob.is_stream());
    assert_busy(&listen("carol").send(&gateway).await, &json!("l"), message);
    drop(alice);
    soon("a place", async {
        while gateway.settings.held.listens() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(listen("carol").open(&gateway).await.is_stream());
}

#[tokio::test]
async fn p14_sec_026_sessions_beyond_the_bound_cannot_begin_and_those_of_before_a_restart_wait() {
    let settings = |per_principal| Settings {
        sealer: Arc::new(Sealer::new(&[[1; 32]]).unwrap()),
        sessions: Arc::new(Sessions::new(SessionLimits { per_principal, ..SessionLimits::default() })),
        sessions_survive: true,
        ..Settings::default()
    };
    let mount = Arc::new(Mount::plain());
    let before = Gateway::with(&[&mount], settings(2)).listen().await;
    let [first, second] = [legacy(&before, LEGACY, json!({})).await, legacy(&before, LEGACY, json!({})).await];
    let message = "too many sessions: end those that are not needed with DELETE, or try again later";
    let refused = before_initialize(&before).await;
    assert_eq!((refused.status.as_u16(), refused.json()), (503, busy(&json!("i"), message, 30_000)));
    assert_eq!(refused.headers["retry-after"], "30");
    assert!(!refused.headers.contains_key("mcp-session-id"));

    let after = Gateway::with(&[&mount], settings(1)).listen().await;
    let (first, second) = (first.at(after.url("docs")), second.at(after.url("docs")));
    assert_eq!(first.ask(1, "tools/list", json!({})).await.status, 200);
    // In the middle of a session a request is answered; what has no answer has a status.
    let reply = second.ask(2, "tools/list", json!({})).await;
    assert_eq!((reply.status.as_u16(), reply.json()), (200, busy(&json!(2), message, 30_000)));
    for reply in [second.tell("notifications/x", json!({})).await, second.get(None).await, second.delete().await] {
        assert_eq!((reply.status.as_u16(), &reply.headers["retry-after"]), (503, &"30".parse().unwrap()));
    }
    assert_eq!(first.delete().await.status, 200);
    assert_eq!(second.ask(3, "tools/list", json!({})).await.status, 200);
}

async fn before_initialize(gateway: &Gateway) -> Heard {
    let info = json!({"name": "c", "version": "1"});
    let params = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": info});
    Client::new(gateway.url("docs")).ask("i", "initialize", params).await
}

/// However a call fails that was sent on, it is one error under its own id (P14).
#[tokio::test]
async fn p14_every_reason_is_one_error_with_a_200_for_either_era() {
    use rialto::hub::{GatewayFault, Reason};
    let mount = Arc::new(Mount::new(|call| async move {
        let name = call.tool().unwrap().into_owned();
        let reason = *Reason::ALL.iter().find(|reason| reason.as_str() == name).unwrap();
        if call.params.get_object("arguments").is_some_and(|arguments| arguments.has("streamed")) {
            crate::support::mount::progress(&call, 1);
            tokio::task::yield_now().await;
        }
        Err(Fault::Gateway(GatewayFault { upstream: Some("docs".into()), ..GatewayFault::new(reason, "it broke") }))
    }));
    let gateway = Gateway::start(&[&mount]).await;
    let client = legacy(&gateway, LEGACY, json!({})).await;
    for reason in Reason::ALL {
        let mut data = json!({"source": "gateway", "reason": reason.as_str(), "retryable": reason.is_retryable(), "upstream": "docs"});
        if *reason == Reason::Busy {
            data["retryAfterMs"] = json!(1000);
        }
        let error = json!({"code": -32603, "message": "upstream `docs`: it broke", "data": data});
        for arguments in [json!({}), json!({"streamed": true})] {
            let whole = tool(reason.as_str(), arguments.clone()).id("mine").token("t").send(&gateway).await;
            let expected = json!({"jsonrpc": "2.0", "id": "mine", "error": error});
            assert_eq!((whole.status, whole.response()), (200, expected), "{reason:?} {arguments}");
            assert_eq!(whole.notifications().len(), arguments.as_object().unwrap().len());
            let params = json!({"name": reason.as_str(), "arguments": arguments, "_meta": {"progressToken": "t"}});
            let reply = client.ask(7, "tools/call", params).await;
            let talk = converse(&client, reply, |question| panic!("asked {question}")).await;
            assert_eq!(talk.response, json!({"jsonrpc": "2.0", "id": 7, "error": error}), "{reason:?} {arguments}");
        }
    }
}
