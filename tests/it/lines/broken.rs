//! What a server may do wrong, and what it costs.

use super::*;

fn exited(fault: &Fault) -> bool {
    fault.reason() == Some(Reason::UpstreamExited)
}

/// Noise is skipped, and nothing is written back.
#[tokio::test]
async fn era_160_sec_096_106_what_is_no_message_is_skipped() {
    let (connector, mut started) = played(LineSettings::default());
    let (session, mut server) = shake_hands(&connector, quiet_opening(), &mut started, async |server| {
        for n in 0..300 {
            server.write(format!("Starting up, {n} \x1b[31m%\r\n\n").as_bytes()).await;
        }
        server.legacy().await;
    })
    .await;
    let call = tokio::spawn(session.call(tool("x", Arc::new(SilentPeer))));
    let sent = server.expect("tools/call").await;
    let garbage: [&[u8]; 10] = [
        b"console.log\n",
        b"{\n",
        b"{\"jsonrpc\":\"1.0\",\"method\":\"x\",\"id\":1}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":4}\n",
        b"\xff\xfe\x00\n",
        b"[]\n",
        b"{\"jsonrpc\":\"2.0\",\"method\":\"x\"} {\"jsonrpc\":\"2.0\",\"method\":\"y\"}\n",
        b"\"text\"\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"\"}}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":12345,\"result\":{}}\n",
    ];
    for line in garbage {
        server.write(line).await;
    }
    server.result(&sent, text("fine")).await;
    let result = soon("the result", call).await.expect("no panic").expect("a result");
    assert_eq!(value(&result), text("fine"));
    let _next = tokio::spawn(session.call(tool("next", Arc::new(SilentPeer))));
    server.expect("tools/call").await;
}

#[tokio::test]
async fn a_broken_answer_costs_its_own_call() {
    let (session, mut server) = legacy_session().await;
    let broken = tokio::spawn(session.call(tool("broken", Arc::new(SilentPeer))));
    let id = server.expect("tools/call").await["id"].clone();
    let fine = tokio::spawn(session.call(tool("fine", Arc::new(SilentPeer))));
    let sent = server.expect("tools/call").await;
    server.write(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"n\":NaN}}}}\n").as_bytes()).await;
    let fault = soon("the fault", broken).await.expect("no panic").expect_err("a fault");
    assert_eq!(fault.reason(), Some(Reason::UpstreamProtocol));
    server.result(&sent, text("fine")).await;
    soon("the result", fine).await.expect("no panic").expect("a result");
}

#[tokio::test]
async fn sec_098_099_the_first_answer_counts() {
    let (session, mut server) = legacy_session().await;
    let call = tokio::spawn(session.call(tool("x", Arc::new(SilentPeer))));
    let sent = server.expect("tools/call").await;
    server.result(&sent, text("first")).await;
    for _ in 0..1000 {
        server.error(&sent, -32603).await;
    }
    let result = soon("the result", call).await.expect("no panic").expect("a result");
    assert_eq!(value(&result), text("first"));
    let next = tokio::spawn(session.call(tool("next", Arc::new(SilentPeer))));
    let sent = server.expect("tools/call").await;
    server.result(&sent, text("second")).await;
    soon("the result", next).await.expect("no panic").expect("a result");
}

/// The line is thrown away, its call hears of it, the session goes on.
#[tokio::test]
async fn sec_104_an_answer_beyond_the_cap_costs_its_own_call() {
    let cap = 64 * 1024;
    let settings = LineSettings { line_cap: cap, ..LineSettings::default() };
    let (connector, mut started) = played(settings);
    let (session, mut server) = shake_hands(&connector, quiet_opening(), &mut started, async |server| {
        server.legacy().await;
    })
    .await;
    let large = "x".repeat(cap);
    for id_first in [true, false] {
        let call = tokio::spawn(session.call(tool("large", Arc::new(SilentPeer))));
        let id = server.expect("tools/call").await["id"].clone();
        let line = if id_first {
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"text\":\"{large}\"}}}}\n")
        } else {
            format!("{{\"result\":{{\"text\":\"{large}\"}},\"jsonrpc\":\"2.0\",\"id\":{id}}}\n")
        };
        server.write(line.as_bytes()).await;
        let fault = soon("the fault", call).await.expect("no panic").expect_err("a fault");
        assert_eq!(fault.reason(), Some(Reason::Limit), "{id_first}");
    }
    // One that ends exactly at the cap is fine, and so is one that comes byte by byte.
    let call = tokio::spawn(session.call(tool("fits", Arc::new(SilentPeer))));
    let sent = server.expect("tools/call").await;
    let frame = json!({"jsonrpc": "2.0", "id": sent["id"], "result": {"text": ""}}).to_string().len();
    server.result(&sent, json!({"text": "y".repeat(cap - frame)})).await;
    soon("the result", call).await.expect("no panic").expect("a result");
    let call = tokio::spawn(session.call(tool("slow", Arc::new(SilentPeer))));
    let sent = server.expect("tools/call").await;
    for byte in format!("{}\r\n", json!({"jsonrpc": "2.0", "id": sent["id"], "result": {}})).bytes() {
        server.write(&[byte]).await;
    }
    soon("the result", call).await.expect("no panic").expect("a result");
}

#[tokio::test]
async fn batches_are_taken_apart() {
    let (session, mut server) = legacy_session().await;
    let (peer, mut heard) = Recorder::new();
    let first = tokio::spawn(session.call(tool("a", peer)));
    let a = server.expect("tools/call").await;
    let second = tokio::spawn(session.call(tool("b", Arc::new(SilentPeer))));
    let b = server.expect("tools/call").await;
    let token = format!("p{}", a["id"]);
    server
        .send(json!([
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}},
            {"what": "is this"},
            {"jsonrpc": "2.0", "id": b["id"], "result": {}},
            {"jsonrpc": "2.0", "id": a["id"], "result": {}},
        ]))
        .await;
    soon("a", first).await.expect("no panic").expect("a result");
    soon("b", second).await.expect("no panic").expect("a result");
    assert_eq!(heard.try_recv().expect("progress").told().0, "notifications/progress");
}

#[tokio::test]
async fn a_server_that_writes_too_much_rubbish_is_given_up() {
    let settings = LineSettings { bad_lines: 5, ..LineSettings::default() };
    let (connector, mut started) = played(settings);
    let (session, mut server) = shake_hands(&connector, quiet_opening(), &mut started, async |server| {
        server.legacy().await;
    })
    .await;
    let call = tokio::spawn(session.call(tool("x", Arc::new(SilentPeer))));
    server.expect("tools/call").await;
    for _ in 0..6 {
        server.write(b"rubbish\n").await;
    }
    let fault = soon("the fault", call).await.expect("no panic").expect_err("a fault");
    assert_eq!(fault.reason(), Some(Reason::UpstreamProtocol));
    assert!(!session.is_open());
    assert!(server.ended().await);
}

/// Calls to a server that does not read are given up, or never sent; it counts as hung after a while.
#[tokio::test]
async fn sec_110_a_server_that_does_not_read_holds_nothing_up() {
    let settings = LineSettings { write_timeout: Duration::from_millis(300), ..LineSettings::default() };
    let (connector, mut started) = played(settings);
    let (session, mut server) = shake_hands(&connector, quiet_opening(), &mut started, async |server| {
        server.legacy().await;
    })
    .await;
    let mut calls = Vec::new();
    for n in 0..100 {
        let params = json!({"name": format!("t{n}"), "arguments": {"x": "x".repeat(100_000)}});
        calls.push(tokio::spawn(session.call(request(Method::ToolsCall, &params, Arc::new(SilentPeer)))));
    }
    // Meanwhile what it says is heard.
    for n in 0..1000 {
        server.send(json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": n}})).await;
    }
    for call in calls {
        let fault = soon("the fault", call).await.expect("no panic").expect_err("a fault");
        assert!(exited(&fault), "{fault}");
    }
    assert!(!session.is_open());
}

#[tokio::test]
async fn what_was_given_up_before_it_was_written_is_never_sent() {
    let (session, mut server) = legacy_session().await;
    let large = json!({"name": "large", "arguments": {"x": "x".repeat(1_000_000)}});
    // It does not fit into the pipe: whatever comes next has to wait.
    let first = tokio::spawn(session.call(request(Method::ToolsCall, &large, Arc::new(SilentPeer))));
    let mut probe = session.call(tool("probe", Arc::new(SilentPeer)));
    let mut seen = vec![0; 100_000];
    tokio::io::AsyncReadExt::read_exact(server.lines.get_mut(), &mut seen).await.expect("readable");
    for n in 0..50 {
        let mut call = session.call(tool(&format!("t{n}"), Arc::new(SilentPeer)));
        assert!(futures_util::poll!(&mut call).is_pending());
    }
    assert!(futures_util::poll!(&mut probe).is_pending());
    let rest = server.lines.next_line().await.expect("readable").expect("the rest of the line");
    assert!(rest.ends_with("}"));
    assert_eq!(server.expect("tools/call").await["params"]["name"], "probe");
    first.abort();
    server.expect("notifications/cancelled").await;
}

#[tokio::test]
async fn sec_118_a_panic_of_a_server_in_process_ends_its_own_session() {
    let connector = InProcessConnector::new("panics", |stream| async move {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let message: Value = serde_json::from_str(&line).expect("JSON");
            let result = match message["method"].as_str() {
                Some("server/discover") => {
                    json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}})
                }
                _ if message["params"]["name"] == "panic" => panic!("as it was told to"),
                _ if message["params"]["name"] == "hang" => continue,
                _ => json!({"resultType": "complete", "content": []}),
            };
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
            writer.write_all(format!("{answer}\n").as_bytes()).await.expect("writable");
        }
    });
    let session = soon("open", connector.open(quiet_opening())).await.expect("a session");
    let other = soon("open", connector.open(quiet_opening())).await.expect("another session");
    let pending = tokio::spawn(session.call(tool("hang", Arc::new(SilentPeer))));
    let fault = call_tool(&*session, "panic").await.expect_err("a fault");
    assert!(exited(&fault) && fault.to_string().contains("panicked"), "{fault}");
    assert!(exited(&soon("the other call", pending).await.expect("no panic here").expect_err("a fault")));
    assert!(!session.is_open());
    assert!(matches!(connector.health(), Health::Down(_)));
    let late = call_tool(&*session, "x").await.expect_err("a fault");
    assert!(exited(&late));
    call_tool(&*other, "x").await.expect("the other session is untouched");
    let next = soon("open", connector.open(quiet_opening())).await.expect("a session");
    call_tool(&*next, "x").await.expect("a result");
    assert_eq!(connector.health(), Health::Up);
}
