//! Legacy servers: what they ask, on whichever stream.

use super::*;

#[tokio::test]
async fn a_question_on_the_calls_own_stream_is_answered() {
    let (reply, pieces) = Reply::events();
    let stream = Arc::new(Mutex::new(Some(reply)));
    let server = legacy(move |_| {
        let reply = stream.lock().unwrap().take().unwrap();
        async move { reply }
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open_for(&connector, shared(&eliciting())).await.unwrap();
    let (peer, _hears) = Client::new(Some(json!({"action": "accept", "content": {"n": 1.0}})));
    let running = tokio::spawn(session.call(asking(&peer, &eliciting())));
    let called = server.wait_for("tools/call").await;
    scripted::send(&pieces, &question("q-1")).await;
    let reply = server.wait_for("reply").await;
    assert_eq!(reply.body["id"], "q-1");
    assert_eq!(reply.body["result"], json!({"action": "accept", "content": {"n": 1.0}}));
    assert_eq!(reply.header("mcp-session-id"), Some("s-1"));
    // What the client never declared is refused without asking it; a ping is answered; the rest is unknown.
    for (n, method, answered) in
        [(2, "sampling/createMessage", json!(-32601)), (3, "ping", json!({})), (4, "acme/ask", json!(-32601))]
    {
        scripted::send(&pieces, &json!({"jsonrpc": "2.0", "id": n, "method": method, "params": {}})).await;
        let reply = server.wait_for_nth("reply", n).await;
        assert_eq!(reply.body["id"], n);
        assert!(reply.body["error"]["code"] == answered || reply.body["result"] == answered, "{method}");
    }
    scripted::send(&pieces, &called.result(json!({"done": 1}))).await;
    assert_eq!(value(&within(running).await.unwrap().unwrap()), json!({"done": 1}));
    assert_eq!(peer.heard.lock().unwrap().len(), 1);
    assert_eq!(*peer.withdrawn.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_question_on_the_standing_stream_reaches_the_call_that_can_answer_it() {
    let (calls, mut streams) = mpsc::unbounded_channel();
    let server = standing(calls).await;
    let connector = connector(&server.url(), settings());
    let (outside, mut outside_hears) = Client::new(Some(json!({"roots": []})));
    let opening = Opening {
        caller: shared(&json!({"elicitation": {"form": {}}, "roots": {}})),
        outside: outside.clone(),
        counts: Arc::default(),
        alone: false,
        lent: false,
    };
    let session = within(connector.open(opening)).await.unwrap();
    let (get, standing) = within(streams.recv()).await.unwrap();
    assert_eq!(get.verb, http::Method::GET);

    let (peer, mut hears) = Client::new(Some(json!({"action": "decline"})));
    let running = tokio::spawn(session.call(asking(&peer, &eliciting())));
    let (called, stream) = within(streams.recv()).await.unwrap();
    scripted::send(&standing, &question("q-1")).await;
    assert_eq!(within(hears.recv()).await.unwrap()["method"], "elicitation/create");
    assert_eq!(
        server.wait_for("reply").await.body,
        json!({"jsonrpc": "2.0", "id": "q-1", "result": {"action": "decline"}})
    );

    // No call can answer this one: it goes to whoever stands for the session.
    scripted::send(&standing, &json!({"jsonrpc": "2.0", "id": 9, "method": "roots/list"})).await;
    assert_eq!(within(outside_hears.recv()).await.unwrap()["method"], "roots/list");
    assert_eq!(server.wait_for_nth("reply", 2).await.body["result"], json!({"roots": []}));

    // Notifications: progress by its token, a log message to the only call, the rest to the session.
    let said = |method: &str, params: Value| json!({"jsonrpc": "2.0", "method": method, "params": params});
    let token = format!("p{}", called.body["id"]);
    scripted::send(&standing, &said("notifications/progress", json!({"progressToken": token, "progress": 1}))).await;
    scripted::send(&standing, &said("notifications/progress", json!({"progressToken": "p1", "progress": 2}))).await;
    scripted::send(&standing, &said("notifications/message", json!({"data": 1}))).await;
    scripted::send(&standing, &said("notifications/tools/list_changed", json!({}))).await;
    assert_eq!(within(outside_hears.recv()).await.unwrap()["method"], "notifications/tools/list_changed");
    let first = within(hears.recv()).await.unwrap();
    assert_eq!((first["method"].as_str(), &first["params"]["progress"]), (Some("notifications/progress"), &json!(1)));
    assert_eq!(within(hears.recv()).await.unwrap()["method"], "notifications/message");

    // A question that is taken back is taken back from the client too.
    scripted::send(&stream, &called.result(json!({}))).await;
    within(running).await.unwrap().unwrap();
    let (silent, mut hears) = Client::new(None);
    let running = tokio::spawn(session.call(asking(&silent, &eliciting())));
    let (called, stream) = within(streams.recv()).await.unwrap();
    scripted::send(&standing, &question("q-2")).await;
    within(hears.recv()).await.unwrap();
    scripted::send(&standing, &said("notifications/cancelled", json!({"requestId": "q-2"}))).await;
    within(async {
        while *silent.withdrawn.lock().unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // A response that comes on the standing stream counts.
    scripted::send(&standing, &called.result(json!({"here": 1}))).await;
    assert_eq!(value(&within(running).await.unwrap().unwrap()), json!({"here": 1}));
    assert_eq!(server.count("reply"), 2);
    drop(stream);
}

/// A session with a server whose streams are in the hands of the test, the standing one first.
async fn stood(
    server: &Scripted,
    streams: &mut mpsc::UnboundedReceiver<(Seen, mpsc::Sender<Piece>)>,
) -> (Arc<dyn Session>, mpsc::Sender<Piece>, mpsc::UnboundedReceiver<Value>) {
    let connector = connector(&server.url(), settings());
    let (outside, hears) = Client::new(None);
    let opening = Opening { caller: shared(&eliciting()), outside, counts: Arc::default(), alone: false, lent: false };
    let session = within(connector.open(opening)).await.unwrap();
    let (get, standing) = within(streams.recv()).await.unwrap();
    assert_eq!(get.verb, http::Method::GET);
    (session, standing, hears)
}

/// Waits until everything was read that was said on the standing stream.
async fn read_so_far(standing: &mpsc::Sender<Piece>, outside: &mut mpsc::UnboundedReceiver<Value>) {
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    scripted::send(standing, &changed).await;
    assert_eq!(within(outside.recv()).await.unwrap()["method"], "notifications/tools/list_changed");
}

/// A server that got no reply would wait for ever, and with it whatever else it does in the session.
#[tokio::test]
async fn a_question_is_refused_whose_call_is_dropped_before_it_looked() {
    let (calls, mut streams) = mpsc::unbounded_channel();
    let server = standing(calls).await;
    let (session, standing, mut outside) = stood(&server, &mut streams).await;
    let (peer, hears) = Client::new(None);
    let mut running = session.call(asking(&peer, &eliciting()));
    let (called, _stream) = tokio::select! {
        _ = &mut running => panic!("nothing was answered"),
        called = within(streams.recv()) => called.unwrap(),
    };
    // Nobody polls the call any more.
    scripted::send(&standing, &question("q-1")).await;
    scripted::send(&standing, &question("q-2")).await;
    let taken_back = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "q-2"}});
    scripted::send(&standing, &taken_back).await;
    read_so_far(&standing, &mut outside).await;
    drop(running);
    assert_eq!(server.wait_for("notifications/cancelled").await.body["params"]["requestId"], called.body["id"]);
    let reply = server.wait_for("reply").await;
    assert_eq!(reply.body, json!({"jsonrpc": "2.0", "id": "q-1", "result": {"action": "cancel"}}));
    assert!(hears.is_empty() && server.count("reply") == 1);
}

/// The head of an answer says nothing about when the rest of it comes.
#[tokio::test]
async fn a_question_is_put_to_a_call_whose_answer_has_begun() {
    let (calls, mut streams) = mpsc::unbounded_channel();
    let server = Scripted::start(move |seen| {
        let calls = calls.clone();
        async move {
            housekeeping(&seen, "2025-11-25", Some("s-1")).unwrap_or_else(|| {
                let (reply, pieces) = if seen.verb == http::Method::GET { Reply::events() } else { Reply::body() };
                let _ = calls.send((seen, pieces));
                reply
            })
        }
    })
    .await;
    let (session, standing, mut outside) = stood(&server, &mut streams).await;
    let (peer, _hears) = Client::new(Some(json!({"action": "decline"})));
    let running = tokio::spawn(session.call(asking(&peer, &eliciting())));
    let (called, body) = within(streams.recv()).await.unwrap();
    let result = called.result(json!({"done": 1})).to_string();
    let (begin, rest) = result.split_at(10);
    assert!(body.send(Piece::Text(begin.to_owned())).await.is_ok());
    read_so_far(&standing, &mut outside).await;
    scripted::send(&standing, &question("q-1")).await;
    assert_eq!(server.wait_for("reply").await.body["result"], json!({"action": "decline"}));
    assert!(body.send(Piece::Text(rest.to_owned())).await.is_ok());
    drop(body);
    assert_eq!(value(&within(running).await.unwrap().unwrap()), json!({"done": 1}));
}

/// What a server took back while a call was about to end is not put to the next.
#[tokio::test]
async fn a_question_that_was_taken_back_is_put_to_nobody_else() {
    let (calls, mut streams) = mpsc::unbounded_channel();
    let ends = Arc::new(tokio::sync::Notify::new());
    let end = ends.clone();
    let server = Scripted::start(move |seen| {
        let (calls, end) = (calls.clone(), end.clone());
        async move {
            if let Some(reply) = housekeeping(&seen, "2025-11-25", Some("s-1")) {
                return reply;
            }
            let (reply, pieces) = Reply::events();
            let is_second = seen.body["params"]["name"] == "second";
            let whole = Reply::json(200, &seen.result(json!({"done": 1})));
            let _ = calls.send((seen, pieces));
            if !is_second {
                return reply;
            }
            end.notified().await;
            whole
        }
    })
    .await;
    let (session, standing, mut outside) = stood(&server, &mut streams).await;
    let (other, mut others) = Client::new(Some(json!({"action": "decline"})));
    let staying = tokio::spawn(session.call(asking(&other, &eliciting())));
    let (stays, stream) = within(streams.recv()).await.unwrap();
    let (peer, _hears) = Client::new(Some(json!({"action": "decline"})));
    let second = Outgoing { params: object(&json!({"name": "second"})), ..asking(&peer, &eliciting()) };
    let mut running = session.call(second);
    tokio::select! {
        _ = &mut running => panic!("nothing was answered"),
        called = within(streams.recv()) => assert_eq!(called.unwrap().0.body["params"]["name"], "second"),
    }
    // Of both it is the one that began last, which nobody polls now.
    for id in ["q-1", "q-2"] {
        scripted::send(&standing, &question(id)).await;
    }
    let taken_back = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "q-1"}});
    scripted::send(&standing, &taken_back).await;
    ends.notify_one();
    read_so_far(&standing, &mut outside).await;
    // Its answer is there by now, and comes first.
    assert_eq!(value(&within(running).await.unwrap()), json!({"done": 1}));
    assert_eq!(server.wait_for("reply").await.body["id"], "q-2");
    let token = format!("p{}", stays.body["id"]);
    let params = json!({"progressToken": token, "progress": 1});
    let said = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
    scripted::send(&standing, &said).await;
    let mut asked = 0;
    while within(others.recv()).await.unwrap()["method"] != "notifications/progress" {
        asked += 1;
    }
    assert!(asked <= 1, "the other was asked what was taken back");
    scripted::send(&stream, &stays.result(json!({}))).await;
    within(staying).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_standing_stream_is_opened_again() {
    let (calls, mut streams) = mpsc::unbounded_channel();
    let server = standing(calls).await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let (_, first) = within(streams.recv()).await.unwrap();
    first.send(Piece::Text("id: 5\nretry: 20\ndata:\n\n".into())).await.ok().unwrap();
    drop(first);
    let (again, second) = within(streams.recv()).await.unwrap();
    assert_eq!(again.header("last-event-id"), Some("5"));
    drop(session);
    server.wait_for("DELETE").await;
    within(second.closed()).await;
}

#[tokio::test]
async fn a_question_that_was_refused_is_told_apart_when_the_call_fails_of_it() {
    let server = legacy(|seen| async move {
        let sampling = json!({"jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": {}});
        Reply::messages(&[sampling, seen.error(-32000, "cannot")])
    })
    .await;
    let connector = connector(&server.url(), settings());
    let session = open(&connector).await.unwrap();
    let Err(Fault::Undeclared { required, cause }) = call(&session, tool("t")).await else { panic!("it failed") };
    assert_eq!((value(&required), cause.code), (json!({"sampling": {}}), -32000));
}
