//! What changes, with the SDK at one end or at both.

use rmcp::model::{ServerNotification, SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams};
use serde_json::json;

use super::{
    peer::{Client, Lifecycle, Seen},
    server::RmcpServer,
};
use crate::{
    matrix::process::{Fixture, Rialto, fixture_command},
    server_kit::soon,
};

const URI: &str = "test://text";

/// Servers of both eras, of this project and of the SDK: the latter speaks both, and is spoken to in each.
async fn world() -> (Rialto, [Fixture; 2], RmcpServer) {
    let legacy = Fixture::start(&["--revision", "2025-11-25"]).await;
    let modern = Fixture::start(&["--revision", "2026-07-28"]).await;
    let server = RmcpServer::start().await;
    let config = json!({
        "mcpServers": {
            "legacy": legacy.entry(),
            "modern": modern.entry(),
            "legacy-child": fixture_command(&["--revision", "2025-11-25"]),
            "modern-child": fixture_command(&["--revision", "2026-07-28"]),
            "rmcp": { "url": server.url },
            "rmcp-legacy": { "url": server.url },
        },
        "rialto": { "servers": { "rmcp": { "era": "modern" }, "rmcp-legacy": { "era": "legacy" } } },
    });
    let rialto = Rialto::start_file("mcp.json", &config.to_string()).await;
    (rialto, [legacy, modern], server)
}

const MOUNTS: [&str; 6] = ["legacy", "modern", "legacy-child", "modern-child", "rmcp", "rmcp-legacy"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn era_307_the_legacy_client_of_rmcp_hears_of_changes_from_every_server() {
    let (rialto, _fixtures, _server) = world().await;
    for mount in MOUNTS {
        let mut client = Client::connect(&rialto.mount(mount), Lifecycle::Initialize, json!({})).await;
        #[expect(deprecated, reason = "the client speaks the era in which this is how one subscribes")]
        let subscribing = client.service.subscribe(SubscribeRequestParams::new(URI));
        soon("subscribing", Box::pin(subscribing)).await.unwrap_or_else(|e| panic!("{mount}: {e}"));
        client.said("touch", &json!({})).await;
        let (mut updated, mut changed) = (false, false);
        while !(updated && changed) {
            match client.next_seen().await {
                Seen::Updated(uri) => {
                    assert_eq!(uri, URI, "{mount}");
                    updated = true;
                }
                Seen::Tools => changed = true,
                other => panic!("{mount}: {other:?}"),
            }
        }
        #[expect(deprecated, reason = "the same")]
        let unsubscribing = client.service.unsubscribe(UnsubscribeRequestParams::new(URI));
        soon("unsubscribing", Box::pin(unsubscribing)).await.unwrap_or_else(|e| panic!("{mount}: {e}"));
        client.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn era_290_294_the_modern_client_of_rmcp_listens_to_every_server() {
    let (rialto, _fixtures, _server) = world().await;
    for mount in MOUNTS {
        let client = Client::connect(&rialto.mount(mount), Lifecycle::Discover, json!({})).await;
        let filter =
            SubscriptionFilter::builder().tools_list_changed().resource_subscriptions([URI.to_owned()]).build();
        let listening = soon("listening", Box::pin(client.service.listen(filter))).await;
        let mut listening = listening.unwrap_or_else(|e| panic!("{mount}: {e}"));
        let honoured = listening.acknowledged();
        assert_eq!(honoured.tools_list_changed, Some(true), "{mount}");
        assert_eq!(honoured.resource_subscriptions, Some(vec![URI.to_owned()]), "{mount}");
        client.said("touch", &json!({})).await;
        let (mut updated, mut changed) = (false, false);
        while !(updated && changed) {
            match soon("a change", listening.next()).await.unwrap_or_else(|e| panic!("{mount}: {e}")) {
                Some(ServerNotification::ResourceUpdatedNotification(update)) => {
                    assert_eq!(update.params.uri, URI, "{mount}");
                    updated = true;
                }
                Some(ServerNotification::ToolListChangedNotification(_)) => changed = true,
                other => panic!("{mount}: {other:?}"),
            }
        }
        soon("the end", listening.cancel()).await.unwrap();
        client.close().await;
    }
}
