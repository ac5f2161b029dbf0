//! What a legacy server asks, and what it is told when a call is given up.

use super::*;

fn elicit(id: impl Into<Value>) -> Value {
    let params = json!({"message": "?", "requestedSchema": {"type": "object", "properties": {}}});
    json!({"jsonrpc": "2.0", "id": id.into(), "method": "elicitation/create", "params": params})
}

#[tokio::test]
async fn a_question_is_put_to_the_call_that_runs() {
    let (session, mut server) = legacy_session().await;
    let (peer, mut heard) = Recorder::answering(json!({"action": "accept", "content": {"n": 1}}));
    let call = tokio::spawn(session.call(tool("asks", peer)));
    let sent = server.expect("tools/call").await;
    server.send(elicit("q1")).await;
    assert_eq!(soon("the question", heard.recv()).await.expect("open").asked(), "elicitation/create");
    let answer = server.next().await;
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": "q1", "result": {"action": "accept", "content": {"n": 1}}}));
    server.result(&sent, text("thanks")).await;
    soon("the result", call).await.expect("no panic").expect("a result");
}

#[tokio::test]
async fn what_belongs_to_no_call_is_asked_outside() {
    let (connector, mut started) = played(LineSettings::default());
    let (opening, _, mut outside) = opening();
    let (session, mut server) = shake_hands(&connector, opening, &mut started, async |server| {
        server.legacy().await;
    })
    .await;
    server.send(json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"})).await;
    assert_eq!(soon("the question", outside.recv()).await.expect("open").asked(), "roots/list");
    server.send(json!({"jsonrpc": "2.0", "id": 2, "method": "ping"})).await;
    assert_eq!(server.next().await, json!({"jsonrpc": "2.0", "id": 2, "result": {}}));
    server.send(json!({"jsonrpc": "2.0", "id": 3, "method": "tools/list"})).await;
    assert_eq!(server.next().await["error"]["code"], -32601);
    // A list may not ask: its question is not put to it.
    let _list = tokio::spawn(session.call(request(Method::ToolsList, &json!({}), Arc::new(SilentPeer))));
    server.expect("tools/list").await;
    server.send(elicit(4)).await;
    assert_eq!(soon("the question", outside.recv()).await.expect("open").asked(), "elicitation/create");
}

#[tokio::test]
async fn a_question_that_was_not_declared_is_refused_and_the_call_says_so() {
    let (connector, mut started) = played(LineSettings::default());
    let opening = Opening {
        caller: caller_in(Scope::shared(Arc::new(SilentPeer)), Revision::R2026_07_28, &json!({})),
        outside: Arc::new(SilentPeer),
        counts: Arc::default(),
        alone: false,
        lent: false,
    };
    let (session, mut server) = shake_hands(&connector, opening, &mut started, async |server| {
        server.legacy().await;
    })
    .await;
    let mut outgoing = tool("asks", Arc::new(SilentPeer));
    outgoing.capabilities = rialto::protocol::ClientCapabilities::default();
    let call = tokio::spawn(session.call(outgoing));
    let sent = server.expect("tools/call").await;
    server.send(elicit(1)).await;
    assert_eq!(server.next().await["error"]["code"], -32602);
    server.error(&sent, -32603).await;
    let fault = soon("the fault", call).await.expect("no panic").expect_err("a fault");
    assert!(matches!(&fault, Fault::Undeclared { cause, .. } if cause.code == -32603));
}

/// The order that a server needs to make sense of it: the cancellation, then the answers to what it asked in the call,
/// then anything newer.
#[tokio::test]
async fn a_dropped_call_is_cancelled_before_anything_newer_is_sent() {
    let (session, mut server) = legacy_session().await;
    let (peer, mut heard) = Recorder::new();
    let outgoing = tool("asks", peer);
    let life = outgoing.life.clone();
    let mut call = session.call(outgoing);
    assert!(futures_util::poll!(&mut call).is_pending());
    let sent = server.expect("tools/call").await;
    server.send(elicit("q")).await;
    server.send(json!({"jsonrpc": "2.0", "id": "s", "method": "sampling/createMessage", "params": {}})).await;
    for _ in 0..2 {
        tokio::select! {
            _ = &mut call => panic!("the call has no answer"),
            heard = soon("the question", heard.recv()) => { heard.expect("open").asked(); }
        }
    }
    life.abandon("the client went away");
    drop(call);
    let mut next = session.call(tool("next", Arc::new(SilentPeer)));
    assert!(futures_util::poll!(&mut next).is_pending());
    let cancelled = server.expect("notifications/cancelled").await;
    assert_eq!(cancelled["params"], json!({"requestId": sent["id"], "reason": "the client went away"}));
    let mut answers = [server.next().await, server.next().await];
    answers.sort_by_key(|a| a["id"].to_string());
    assert_eq!(answers[0], json!({"jsonrpc": "2.0", "id": "q", "result": {"action": "cancel"}}));
    assert_eq!((&answers[1]["id"], &answers[1]["error"]["code"]), (&json!("s"), &json!(-1)));
    assert_eq!(server.expect("tools/call").await["params"]["name"], "next");
    // A late answer reaches nobody, and nothing breaks.
    server.result(&sent, text("late")).await;
    server.send(json!({"jsonrpc": "2.0", "id": 9, "method": "ping"})).await;
    assert_eq!(server.next().await["id"], 9);
    let mut withdrawn = 0;
    while let Ok(Heard::Withdrawn) = heard.try_recv() {
        withdrawn += 1;
    }
    assert_eq!(withdrawn, 2);
}

#[tokio::test]
async fn a_modern_call_is_cancelled_on_the_pipe_too() {
    let (session, mut server) = modern_session().await;
    let mut call = session.call(tool("slow", Arc::new(SilentPeer)));
    assert!(futures_util::poll!(&mut call).is_pending());
    let sent = server.expect("tools/call").await;
    drop(call);
    assert_eq!(server.expect("notifications/cancelled").await["params"], json!({"requestId": sent["id"]}));
}

#[tokio::test]
async fn a_question_outlives_the_call_it_was_put_to_by_mistake() {
    let (session, mut server) = legacy_session().await;
    let (first_peer, mut first_heard) = Recorder::answering(json!({"action": "accept"}));
    let (second_peer, mut second_heard) = Recorder::new();
    let first = tokio::spawn(session.call(tool("first", first_peer)));
    let first_sent = server.expect("tools/call").await;
    let second = tokio::spawn(session.call(tool("second", second_peer)));
    let second_sent = server.expect("tools/call").await;
    // The first call asks, and the question is put to the one started last.
    server.send(elicit("q")).await;
    assert_eq!(soon("the question", second_heard.recv()).await.expect("open").asked(), "elicitation/create");
    server.result(&second_sent, text("done")).await;
    soon("the second", second).await.expect("no panic").expect("a result");
    assert_eq!(soon("the question", first_heard.recv()).await.expect("open").asked(), "elicitation/create");
    assert_eq!(server.next().await, json!({"jsonrpc": "2.0", "id": "q", "result": {"action": "accept"}}));
    server.result(&first_sent, text("done")).await;
    soon("the first", first).await.expect("no panic").expect("a result");
}

#[tokio::test]
async fn a_question_that_the_server_takes_back_is_not_answered() {
    let (session, mut server) = legacy_session().await;
    let (peer, mut heard) = Recorder::new();
    let call = tokio::spawn(session.call(tool("asks", peer)));
    let sent = server.expect("tools/call").await;
    server.send(elicit("q")).await;
    soon("the question", heard.recv()).await.expect("open").asked();
    server.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "q"}})).await;
    server.result(&sent, text("done")).await;
    soon("the result", call).await.expect("no panic").expect("a result");
    server.send(json!({"jsonrpc": "2.0", "id": 9, "method": "ping"})).await;
    assert_eq!(server.next().await["id"], 9, "the question was not answered");
}
