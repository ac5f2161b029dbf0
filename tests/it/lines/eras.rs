//! Which era a server is spoken to in, and what each era does on a pipe.

use super::*;

fn quick() -> LineSettings {
    LineSettings { probe_timeout: Duration::from_millis(50), ..LineSettings::default() }
}

#[tokio::test]
async fn a_modern_server_is_only_discovered() {
    let (connector, mut started) = played(LineSettings::default());
    assert_eq!((connector.known_sharing(), connector.health()), (None, Health::Unknown));
    let (session, mut server) = shake_hands(&connector, quiet_opening(), &mut started, async |server| {
        let probe = server.expect("server/discover").await;
        let meta = &probe["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
        assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({}));
        assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "rialto");
        server.discovered(&probe).await;
    })
    .await;
    assert_eq!(connector.known_sharing(), Some(Sharing::Everybody));
    assert_eq!(connector.health(), Health::Up);
    assert_eq!(session.revision(), Revision::R2026_07_28);
    assert!(session.description().until.is_some());
    assert_eq!(value(session.description().server_info.as_ref().expect("named"))["name"], "played");
    let call = tokio::spawn(session.call(tool("x", Arc::new(SilentPeer))));
    let sent = server.expect("tools/call").await;
    server.result(&sent, json!({"resultType": "input_required", "requestState": "s"})).await;
    let result = soon("the result", call).await.expect("no panic").expect("a result");
    assert_eq!(value(&result)["requestState"], "s");
}

#[tokio::test]
async fn a_legacy_server_gets_what_a_shared_session_declares() {
    let (connector, mut started) = played(LineSettings::default());
    let mut told = Value::Null;
    let (session, _server) = shake_hands(&connector, quiet_opening(), &mut started, async |server| {
        told = server.legacy().await;
    })
    .await;
    assert_eq!(told["protocolVersion"], "2025-11-25");
    assert_eq!(told["clientInfo"]["name"], "rialto");
    assert_eq!(told["capabilities"], json!({"roots": {}, "sampling": {}, "elicitation": {"form": {}}}));
    assert_eq!(session.revision(), Revision::R2025_11_25);
    assert_eq!(connector.known_sharing(), Some(Sharing::ScopeAndCapabilities));
    assert_eq!(value(session.description().instructions.as_ref().expect("some")), "be kind");
    let refused = soon("listen", session.listen(object(&json!({"notifications": {}})))).await;
    assert!(matches!(refused, Err(Fault::Answered(e)) if e.code == -32601));
}

#[tokio::test]
async fn a_clients_own_session_is_opened_as_the_client_opened_its_own() {
    let (connector, mut started) = played(LineSettings::default());
    let capabilities = json!({"elicitation": {}, "tasks": {"list": {}}, "experimental": {"y": {}, "x": {}}});
    let scope = Scope::session(Arc::new(SilentPeer));
    let caller = caller_in(scope, Revision::R2025_06_18, &capabilities);
    let opening = Opening { caller, outside: Arc::new(SilentPeer), counts: Arc::default(), alone: false, lent: false };
    let mut told = Value::Null;
    let (session, _server) = shake_hands(&connector, opening, &mut started, async |server| {
        let probe = server.expect("server/discover").await;
        server.error(&probe, -32602).await;
        told = server.initialize("2025-03-26").await;
    })
    .await;
    assert_eq!(told["protocolVersion"], "2025-06-18");
    assert_eq!(told["clientInfo"]["name"], "test-client");
    assert_eq!(told["capabilities"], json!({"elicitation": {}, "experimental": {"y": {}, "x": {}}}));
    assert_eq!(session.revision(), Revision::R2025_03_26);
}

/// The pipe's part: whatever the probe is answered with, a legacy server works.
#[tokio::test]
async fn era_146_any_refusal_of_the_probe_leads_to_initialize() {
    for code in [-32601, -32602, -32600, -32000, -32001, -32700, 0] {
        let (connector, mut started) = played(LineSettings::default());
        let (session, _server) = shake_hands(&connector, quiet_opening(), &mut started, async |server| {
            let probe = server.expect("server/discover").await;
            // Some cannot even read the id.
            let id = if code == -32700 { &Value::Null } else { &probe["id"] };
            server.send(json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "?"}})).await;
            server.initialize("2024-11-05").await;
        })
        .await;
        assert_eq!(session.revision(), Revision::R2024_11_05, "{code}");
    }
}

#[tokio::test]
async fn era_148_a_server_that_discovers_only_legacy_revisions_is_legacy() {
    for versions in [json!(["2025-11-25"]), json!(["2027-01-01", "2025-11-25"]), json!(["DRAFT-2027-v1"]), json!("x")] {
        for refuses in [false, true] {
            let (connector, mut started) = played(LineSettings::default());
            let (session, _server) = shake_hands(&connector, quiet_opening(), &mut started, async |server| {
                let probe = server.expect("server/discover").await;
                let data = json!({"supported": versions, "requested": "2026-07-28"});
                let error = json!({"code": -32022, "message": "Unsupported protocol version", "data": data});
                match refuses {
                    true => server.send(json!({"jsonrpc": "2.0", "id": probe["id"], "error": error})).await,
                    false => {
                        server.result(&probe, json!({"supportedVersions": versions, "capabilities": {}})).await;
                    }
                }
                server.initialize("2025-11-25").await;
            })
            .await;
            assert!(!session.revision().is_modern(), "{versions}");
        }
    }
}

#[tokio::test]
async fn era_150_a_server_that_is_newer_than_we_are_is_told_apart() {
    let (connector, mut started) = played(LineSettings::default());
    let open = tokio::spawn(connector.open(quiet_opening()));
    let mut server = start(&mut started).await;
    let probe = server.expect("server/discover").await;
    let data = json!({"supported": ["2027-01-01"], "requested": "2026-07-28"});
    let error = json!({"code": -32022, "message": "Unsupported protocol version", "data": data});
    server.send(json!({"jsonrpc": "2.0", "id": probe["id"], "error": error})).await;
    let fault = soon("the fault", open).await.expect("no panic").err().expect("a fault");
    assert_eq!(fault.reason(), Some(Reason::UpstreamVersion));
    assert!(matches!(connector.health(), Health::Down(_)));
}

#[tokio::test]
async fn era_158_silence_leads_to_initialize_and_the_probe_is_never_cancelled() {
    let (connector, mut started) = played(quick());
    let (session, _server) = shake_hands(&connector, quiet_opening(), &mut started, async |server| {
        server.expect("server/discover").await;
        server.initialize("2025-06-18").await;
    })
    .await;
    assert_eq!(session.revision(), Revision::R2025_06_18);
    assert_eq!(connector.known_sharing(), Some(Sharing::ScopeAndCapabilities));
}

/// The probe is answered late.
#[tokio::test]
async fn era_159_a_late_answer_to_the_probe_is_the_verdict() {
    let (connector, mut started) = played(quick());
    let (session, mut server) = shake_hands(&connector, quiet_opening(), &mut started, async |server| {
        let probe = server.expect("server/discover").await;
        let initialize = server.expect("initialize").await;
        server.discovered(&probe).await;
        server.error(&initialize, -32022).await;
    })
    .await;
    assert!(session.revision().is_modern());
    assert_eq!(connector.known_sharing(), Some(Sharing::Everybody));
    let _call = tokio::spawn(session.call(tool("x", Arc::new(SilentPeer))));
    server.expect("tools/call").await;
}

/// The probe was lost, and `initialize` is refused.
#[tokio::test]
async fn era_159_a_refused_initialize_leads_to_one_more_probe() {
    for code in [-32022, -32600, -32601] {
        let (connector, mut started) = played(quick());
        let (session, _server) = shake_hands(&connector, quiet_opening(), &mut started, async |server| {
            server.expect("server/discover").await;
            let initialize = server.expect("initialize").await;
            server.error(&initialize, code).await;
            server.modern().await;
        })
        .await;
        assert!(session.revision().is_modern(), "{code}");
    }
    let (connector, mut started) = played(quick());
    let open = tokio::spawn(connector.open(quiet_opening()));
    let mut server = start(&mut started).await;
    server.expect("server/discover").await;
    let initialize = server.expect("initialize").await;
    server.error(&initialize, -32603).await;
    let again = server.expect("server/discover").await;
    server.error(&again, -32601).await;
    let fault = soon("the fault", open).await.expect("no panic").err().expect("a fault");
    assert_eq!(fault.reason(), Some(Reason::UpstreamProtocol));
}

#[tokio::test]
async fn era_165_many_who_ask_cause_one_probe() {
    let (connector, mut started) = played(LineSettings::default());
    let asking: Vec<_> = (0..10).map(|_| tokio::spawn(connector.sharing())).collect();
    let mut server = start(&mut started).await;
    server.legacy_probe().await;
    for asked in asking {
        assert_eq!(soon("sharing", asked).await.expect("no panic").expect("known"), Sharing::ScopeAndCapabilities);
    }
    let open = tokio::spawn(connector.open(quiet_opening()));
    server.initialize("2025-11-25").await;
    soon("the session", open).await.expect("no panic").expect("a session");
    assert!(started.try_recv().is_err(), "the server that was probed is the one that is used");
}

impl Server {
    async fn legacy_probe(&mut self) {
        let probe = self.expect("server/discover").await;
        self.error(&probe, -32601).await;
    }
}

#[tokio::test]
async fn an_era_can_be_chosen() {
    let settings = |era| LineSettings { era, ..LineSettings::default() };
    let (connector, mut started) = played(settings(EraChoice::Legacy));
    assert_eq!(connector.known_sharing(), Some(Sharing::ScopeAndCapabilities));
    let (session, _server) = shake_hands(&connector, quiet_opening(), &mut started, async |server| {
        server.initialize("2025-11-25").await;
    })
    .await;
    assert!(!session.revision().is_modern());

    let (connector, mut started) = played(settings(EraChoice::Modern));
    assert_eq!(connector.known_sharing(), Some(Sharing::Everybody));
    let open = tokio::spawn(connector.open(quiet_opening()));
    start(&mut started).await.legacy_probe().await;
    let fault = soon("the fault", open).await.expect("no panic").err().expect("a fault");
    assert_eq!(fault.reason(), Some(Reason::UpstreamVersion));
}

#[tokio::test]
async fn a_modern_server_must_not_ask() {
    let (session, mut server) = modern_session().await;
    let (peer, mut heard) = Recorder::answering(json!({"action": "accept"}));
    let call = tokio::spawn(session.call(tool("x", peer)));
    let sent = server.expect("tools/call").await;
    for method in ["elicitation/create", "ping", "roots/list"] {
        server.send(json!({"jsonrpc": "2.0", "id": method, "method": method})).await;
    }
    server.send(json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": 1}})).await;
    server.result(&sent, text("done")).await;
    soon("the result", call).await.expect("no panic").expect("a result");
    assert_eq!(heard.recv().await.expect("the log message").told().0, "notifications/message");
    let _next = tokio::spawn(session.call(tool("y", Arc::new(SilentPeer))));
    assert_eq!(server.expect("tools/call").await["params"]["name"], "y", "nothing was answered meanwhile");
}

#[tokio::test]
async fn listens_share_the_pipe_and_are_told_apart() {
    let (session, mut server) = modern_session().await;
    let params = json!({"notifications": {"toolsListChanged": true, "promptsListChanged": true}});
    let mut listening = Vec::new();
    for _ in 0..2 {
        let listen = tokio::spawn(session.listen(object(&params)));
        let id = server.expect("subscriptions/listen").await["id"].clone();
        let ack = json!({
            "_meta": {"io.modelcontextprotocol/subscriptionId": id},
            "notifications": {"toolsListChanged": true},
        });
        server
            .send(json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": ack}))
            .await;
        let subscription = soon("the acknowledgement", listen).await.expect("no panic").expect("a subscription");
        assert_eq!(value(&subscription.honoured.0.to_raw()), json!({"toolsListChanged": true}));
        listening.push((id, subscription));
    }
    for (n, (id, _)) in listening.iter().enumerate() {
        let params = json!({"_meta": {"io.modelcontextprotocol/subscriptionId": id, "n": n}});
        server.send(json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": params})).await;
    }
    for (n, (_, subscription)) in listening.iter_mut().enumerate() {
        let event = soon("the event", subscription.events.recv()).await.expect("an event");
        assert_eq!(value(&event.params.expect("params").to_raw()), json!({"_meta": {"n": n}}));
    }
    let (first, subscription) = listening.remove(0);
    drop(subscription);
    let cancelled = server.expect("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], first);
    let (second, mut subscription) = listening.remove(0);
    // The id of another request, though it comes in the name of this listen.
    let params = json!({"requestId": 4711, "_meta": {"io.modelcontextprotocol/subscriptionId": second}});
    server.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})).await;
    server.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": second}})).await;
    assert!(soon("the end", subscription.events.recv()).await.is_none());

    let refused = tokio::spawn(session.listen(object(&params)));
    let sent = server.expect("subscriptions/listen").await;
    server.error(&sent, -32601).await;
    let fault = soon("the fault", refused).await.expect("no panic").expect_err("refused");
    assert!(matches!(fault, Fault::Answered(e) if e.code == -32601));
}

#[tokio::test]
async fn calls_and_capabilities_of_others_do_not_matter_to_a_session_of_its_own() {
    let (connector, mut started) = played(LineSettings::default());
    let nobody = Opening {
        caller: caller_in(Scope::shared(Arc::new(SilentPeer)), Revision::R2026_07_28, &json!({})),
        outside: Arc::new(SilentPeer),
        counts: Arc::default(),
        alone: false,
        lent: false,
    };
    let mut told = Value::Null;
    let shake = async |server: &mut Server| told = server.legacy().await;
    let (_session, _server) = shake_hands(&connector, nobody, &mut started, shake).await;
    assert_eq!(told["capabilities"], json!({}));
    let shake = async |server: &mut Server| told = server.initialize("2025-11-25").await;
    let (_session, _server) = shake_hands(&connector, quiet_opening(), &mut started, shake).await;
    assert_eq!(told["capabilities"]["roots"], able()["roots"], "and the second start needs no probe");
}

/// The pipe's part: a legacy server is probed again at its first start after an hour, and until then it is not.
#[tokio::test(start_paused = true)]
async fn era_164_a_legacy_verdict_does_not_last_for_ever() {
    let (connector, mut started) = played(LineSettings::default());
    let shake = async |server: &mut Server| {
        server.legacy().await;
    };
    let _first = shake_hands(&connector, quiet_opening(), &mut started, shake).await;
    let shake = async |server: &mut Server| {
        server.initialize("2025-11-25").await;
    };
    let _second = shake_hands(&connector, quiet_opening(), &mut started, shake).await;
    tokio::time::advance(Duration::from_secs(3601)).await;
    assert_eq!(connector.known_sharing(), Some(Sharing::ScopeAndCapabilities));
    let (third, _server) =
        shake_hands(&connector, quiet_opening(), &mut started, async |server| server.modern().await).await;
    assert!(third.revision().is_modern());
    assert_eq!(connector.known_sharing(), Some(Sharing::Everybody));
}

/// The pipe's part: what was modern at the last start need not be at the next.
#[tokio::test]
async fn era_163_a_modern_verdict_is_checked_at_every_start() {
    let (connector, mut started) = played(LineSettings::default());
    let _first = shake_hands(&connector, quiet_opening(), &mut started, async |server| server.modern().await).await;
    let shake = async |server: &mut Server| {
        server.legacy().await;
    };
    let (second, _server) = shake_hands(&connector, quiet_opening(), &mut started, shake).await;
    assert!(!second.revision().is_modern());
    assert_eq!(connector.known_sharing(), Some(Sharing::ScopeAndCapabilities));
}
