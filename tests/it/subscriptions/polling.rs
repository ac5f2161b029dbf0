//! Servers that do not announce changes of their lists, and are looked at now and then.

use super::*;

const TOOLS_CHANGE: &str = "toolsListChanged";

/// A server that announces nothing, behind a gateway that looks for itself.
async fn silent(speaks: Speaks) -> (Server, Gateway) {
    let server = Server::new(speaks);
    server.manners().capabilities = json!({"tools": {}, "resources": {"subscribe": true}});
    server.manners().capabilities["resources"]["listChanged"] = json!(true);
    let sealer = Arc::new(Sealer::random());
    let connector = server.connector(Through::Pipe).await;
    let mount = Single::new("docs", connector, Terms { poll_lists: true, ..Terms::default() }, sealer.clone());
    (server, Gateway::with(&[&Arc::new(mount)], Settings { sealer, ..Settings::default() }))
}

fn looks(server: &Server) -> usize {
    server.seen("tools/list").len()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_announces_nothing_is_looked_at_while_somebody_listens() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let (server, gateway) = silent(speaks).await;
        let discovered = modern("server/discover", json!({})).response(&gateway, 200).await;
        assert_eq!(discovered["result"]["capabilities"]["tools"]["listChanged"], true, "{speaks:?}");
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(looks(&server), 0, "{speaks:?}: nobody listens");

        let filter = json!({TOOLS_CHANGE: true, "promptsListChanged": true, "resourceSubscriptions": ["a:x"]});
        let (mut stream, honoured) = listen_to(&gateway, listen(filter)).await;
        assert_eq!(honoured[TOOLS_CHANGE], true, "{speaks:?}");
        assert_eq!(honoured["resourceSubscriptions"], json!(["a:x"]), "{speaks:?}");
        tokio::time::sleep(Duration::from_secs(300)).await;
        let before = looks(&server);
        assert!((4..=6).contains(&before), "{speaks:?}: {before}");
        let quiet = tokio::time::timeout(Duration::from_secs(1), stream.next()).await;
        assert!(quiet.is_err(), "{speaks:?}: nothing has changed");
        server.manners().tools = vec!["new"];
        let heard = tokio::time::timeout(Duration::from_secs(80), stream.next()).await.expect("news").unwrap();
        assert_eq!(heard["method"], TOOLS, "{speaks:?}");
        // What the server does say comes on the same stream.
        server.updates("a:x");
        assert_eq!(next(&mut stream).await, updated("a:x", 1), "{speaks:?}");
        drop(stream);
        tokio::time::sleep(Duration::from_secs(80)).await;
        let before = looks(&server);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(looks(&server), before, "{speaks:?}: nobody listens any more");

        let client = Legacy::connect(&gateway).await;
        assert_eq!(client.capabilities["tools"]["listChanged"], true, "{speaks:?}");
        let mut outside = client.outside().await;
        tokio::time::sleep(Duration::from_secs(80)).await;
        server.manners().tools = vec!["new", "newer"];
        assert_eq!(outside.next_within(Duration::from_secs(80)).await.0, TOOLS, "{speaks:?}");
        client.close().await;
    }
}

/// Where nobody wants it, nobody looks, and clients are told the truth.
#[tokio::test(start_paused = true)]
async fn a_server_is_not_looked_at_unasked() {
    let server = Server::new(Speaks::Legacy);
    server.manners().capabilities = json!({"tools": {}});
    let gateway = gateway(&server, Through::Pipe).await;
    let (_stream, honoured) = listen_to(&gateway, listen(json!({TOOLS_CHANGE: true}))).await;
    assert_eq!(honoured, json!({}));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(looks(&server), 0);
}
