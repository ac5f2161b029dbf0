//! A proxy in a program that has its client on a pair of byte streams.

use std::sync::Arc;

use rialto::Proxy;
use rmcp::model::ProtocolVersion;
use serde_json::json;
use tokio::io::{duplex, split};

use super::{
    NEWEST, Pipe,
    eras::{client_of, fixture},
    kit::{done, text_of, tool},
    modern, request,
};
use crate::{
    rmcp_client::peer::{Client, Lifecycle, Seen},
    support::wait::soon,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_sdk_uses_both_eras_over_a_pipe() {
    for server in [NEWEST, super::MODERN] {
        for lifecycle in [Lifecycle::Initialize, Lifecycle::Discover, Lifecycle::Auto] {
            let at = format!("{lifecycle:?}, server of {server}");
            let (near, far) = duplex(64 * 1024);
            let (reader, writer) = split(far);
            let serving = tokio::spawn(fixture(server).serve_lines(reader, writer));
            let mut client = Client::connect_over(near, lifecycle, json!({"color": "teal"})).await;
            let negotiated = client.service.peer_info().unwrap().protocol_version.clone();
            let expected =
                if lifecycle.is_modern() { ProtocolVersion::V_2026_07_28 } else { ProtocolVersion::V_2025_11_25 };
            assert_eq!(negotiated, expected, "{at}");
            let tools = soon("tools/list", client.service.list_all_tools()).await.unwrap();
            assert!(tools.iter().any(|tool| tool.name == "echo"), "{at}");
            assert_eq!(client.said("echo", &json!({"text": "hi"})).await, "hi", "{at}");
            assert_eq!(client.said("slow", &json!({"steps": 2, "ms": 1})).await, "done after 2 steps", "{at}");
            assert!(matches!(client.next_seen().await, Seen::Progress(_)), "{at}");
            assert!(client.said("ask", &json!({})).await.contains("teal"), "{at}");
            client.close().await;
            done(serving).await;
        }
    }
}

#[tokio::test]
async fn two_clients_share_nothing() {
    // In both eras a client has a session with the server of its own.
    let (mut first, one) = client_of(fixture(NEWEST));
    let (mut second, two) = client_of(fixture(NEWEST));
    for client in [&mut first, &mut second] {
        client.handshake(NEWEST).await;
        assert_eq!(text_of(&client.ask(&request(1, "tools/call", tool("counter"))).await), "1");
        assert_eq!(text_of(&client.ask(&modern("m", "tools/call", tool("counter"))).await), "1");
    }
    assert_eq!(text_of(&first.ask(&request(2, "tools/call", tool("counter"))).await), "2");
    assert_eq!(text_of(&first.ask(&modern("n", "tools/call", tool("counter"))).await), "2");
    // What the one says ends nothing of the other.
    let slow = json!({"name": "slow", "arguments": {"steps": 5, "ms": 20}});
    first.send(&request(3, "tools/call", slow)).await;
    second.cancel(3).await;
    assert_eq!(text_of(&first.answer(&json!(3)).await), "done after 5 steps");
    first.close().await;
    done(one).await;
    assert_eq!(text_of(&second.ask(&request(4, "tools/call", tool("counter"))).await), "2");
    second.close().await;
    done(two).await;
}

/// Clients of one endpoint, on connections of their own: neither scope nor session is shared, whoever they are.
#[tokio::test]
async fn two_connections_of_one_endpoint_share_nothing() {
    use rialto::{
        downstream::{Endpoint, Settings},
        hub::{Gather, Limit},
        mount::{Share, Single},
        seal::Sealer,
    };

    use crate::subscriptions::server::{Server, Speaks, Through};

    let server = Server::new(Speaks::Legacy);
    let sealer = Arc::new(Sealer::random());
    let single = Single::new("docs", server.connector(Through::Pipe).await, Share::Principal, sealer.clone());
    let stack = Arc::new(Limit::new(Gather::new(Arc::new(single), 10)));
    let endpoint = Endpoint::new(stack, Settings { sealer, ..Settings::default() });
    let (mut first, one) = Pipe::at_endpoint(&endpoint);
    let (mut second, two) = Pipe::at_endpoint(&endpoint);
    for client in [&mut first, &mut second] {
        client.ask(&modern(1, "tools/call", tool("t"))).await;
        client.handshake(NEWEST).await;
        client.ask(&request(2, "tools/call", tool("t"))).await;
    }
    let mut sessions = server.sessions_of("tools/call");
    assert_eq!(sessions.len(), 4);
    sessions.sort();
    sessions.dedup();
    assert_eq!(sessions.len(), 4, "{sessions:?}");
    for (mut client, serving) in [(first, one), (second, two)] {
        client.close().await;
        client.rest().await;
        done(serving).await;
    }
    crate::subscriptions::until("the end of every session", || server.ways() == 0).await;
}

#[tokio::test]
async fn a_name_that_is_none_is_a_mistake_of_the_program() {
    let (near, far) = duplex(1024);
    let (reader, writer) = split(far);
    let serving = tokio::spawn(Proxy::to("http://127.0.0.1:1/mcp").name("no name").serve_lines(reader, writer));
    assert!(soon("the panic", serving).await.is_err_and(|error| error.is_panic()));
    drop(near);
}
