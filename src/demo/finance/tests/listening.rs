//! Word of changes, whichever face made them.

use rmcp::model::{ServerNotification, SubscriptionFilter};
use serde_json::{Value, json};

use super::Fixture;
use crate::demo::tests::{Era, Form, Seen, error_of, structured, within};

fn sale() -> Value {
    json!({
        "kind": "sale", "counterparty": "Nordlicht Optik GmbH", "description": "One laser level", "account": "main",
        "amount_cents": 6_250,
    })
}

#[tokio::test]
#[expect(deprecated, reason = "2026-07-28 has another way, which is tested below")]
async fn a_legacy_client_hears_what_it_subscribed_to() {
    use rmcp::model::{SubscribeRequestParams, UnsubscribeRequestParams};
    let fixture = Fixture::new();
    let mut session = fixture.open(Era::Legacy, Form::Missing).await;
    let uri = "finance://invoices/2026-0035";
    within(session.client.subscribe(SubscribeRequestParams::new(uri))).await.expect("it subscribes");

    // REST writes, MCP hears.
    assert!(fixture.post("/invoices", &sale()).await.status.is_success());
    assert!(matches!(session.next_seen().await, Seen::ListChanged));
    assert!(fixture.post("/invoices/2026-0034/pay", &json!({})).await.status.is_success());
    assert!(fixture.post("/invoices/2026-0035/pay", &json!({})).await.status.is_success());
    let Seen::Updated(updated) = session.next_seen().await else { panic!("expected an update") };
    assert_eq!(updated, uri, "and nothing about the other one");

    // MCP writes, MCP hears: another session's payment, after the first has heard enough.
    within(session.client.unsubscribe(UnsubscribeRequestParams::new(uri))).await.expect("it unsubscribes");
    let other = fixture.open(Era::Modern, Form::Missing).await;
    structured(other.call("pay_invoice", json!({ "invoice": "2026-0038" })).await);
    structured(other.call("create_invoice", sale()).await);
    assert!(matches!(session.next_seen().await, Seen::ListChanged));
    assert!(session.seen.try_recv().is_err());

    let nowhere = within(session.client.subscribe(SubscribeRequestParams::new("finance://invoices/17"))).await;
    assert_eq!(error_of(nowhere).0, -32002);
    other.close().await;
    session.close().await;
}

#[tokio::test]
#[expect(deprecated, reason = "2026-07-28 has another way, which is tested below")]
async fn a_legacy_client_cannot_subscribe_to_everything() {
    use rmcp::model::SubscribeRequestParams;
    let fixture = Fixture::new();
    for _ in 0..100 {
        assert!(fixture.post("/invoices", &sale()).await.status.is_success());
    }
    let session = fixture.open(Era::Legacy, Form::Missing).await;
    for number in 1..=100 {
        let uri = format!("finance://invoices/2026-{number:04}");
        within(session.client.subscribe(SubscribeRequestParams::new(uri))).await.expect("it subscribes");
    }
    let again = SubscribeRequestParams::new("finance://invoices/2026-0001");
    within(session.client.subscribe(again)).await.expect("what it has already it may ask for again");
    let one_more = SubscribeRequestParams::new("finance://invoices/2026-0101");
    let (code, message) = error_of(within(session.client.subscribe(one_more)).await);
    assert_eq!(code, -32602);
    assert!(message.contains("100"), "{message}");
    session.close().await;
}

#[tokio::test]
async fn a_modern_client_hears_what_it_listens_to() {
    let fixture = Fixture::new();
    let mut session = fixture.open(Era::Modern, Form::Missing).await;
    let uri = "finance://invoices/2026-0035";
    let wanted = [uri.to_owned(), "file:///etc/passwd".to_owned()];
    let filter =
        SubscriptionFilter::builder().resources_list_changed().tools_list_changed().resource_subscriptions(wanted);
    let mut listening = within(session.client.listen(filter.build())).await.expect("it is acknowledged");
    let honoured = listening.acknowledged();
    assert_eq!(honoured.resources_list_changed, Some(true));
    assert_eq!(honoured.tools_list_changed, None, "tools change only with the program");
    assert_eq!(honoured.resource_subscriptions.as_deref(), Some(&[uri.to_owned()][..]));

    assert!(fixture.post("/invoices/2026-0034/pay", &json!({})).await.status.is_success());
    assert!(fixture.post("/invoices/2026-0035/pay", &json!({})).await.status.is_success());
    let news = within(listening.next()).await.expect("it goes on").expect("a notification");
    assert!(matches!(&news, ServerNotification::ResourceUpdatedNotification(n) if n.params.uri == uri), "{news:?}");
    assert!(fixture.post("/invoices", &sale()).await.status.is_success());
    let news = within(listening.next()).await.expect("it goes on").expect("a notification");
    assert!(matches!(news, ServerNotification::ResourceListChangedNotification(_)), "{news:?}");

    within(listening.cancel()).await.expect("it ends");
    assert!(fixture.post("/invoices", &sale()).await.status.is_success());
    structured(session.call("list_accounts", json!({})).await);
    assert!(session.seen.try_recv().is_err(), "who asks for nothing hears nothing");
    session.close().await;
}

/// Streams that are opened together hear the same, again and again.
#[tokio::test]
async fn streams_that_are_opened_together_hear_the_same() {
    let fixture = Fixture::new();
    let session = fixture.open(Era::Modern, Form::Missing).await;
    for _ in 0..20 {
        let filter = || SubscriptionFilter::builder().resources_list_changed().build();
        let (first, second) = tokio::join!(session.client.listen(filter()), session.client.listen(filter()));
        let (mut first, mut second) = (first.expect("a stream"), second.expect("a stream"));
        assert!(fixture.post("/invoices", &sale()).await.status.is_success());
        for stream in [&mut first, &mut second] {
            assert!(within(stream.next()).await.expect("it goes on").is_some());
            within(stream.cancel()).await.expect("it ends");
        }
    }
    session.close().await;
}
