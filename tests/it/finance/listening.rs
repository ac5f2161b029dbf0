//! Word of changes: whichever face makes them, subscribers of both eras hear of them.

use rmcp::model::{ReadResourceRequestParams, ServerNotification, SubscriptionFilter};
use serde_json::json;

use super::{
    Demo, LARGE, SMALL,
    client::{Client, Era, Seen, User},
};
use crate::server_kit::soon;

fn uri(invoice: &str) -> String {
    format!("finance://invoices/{invoice}")
}

/// Reads an invoice as a resource.
async fn read(client: &Client, invoice: &str) -> serde_json::Value {
    let request = ReadResourceRequestParams::new(uri(invoice));
    let read = soon("resources/read", Box::pin(client.service.read_resource(request))).await.unwrap();
    let read = serde_json::to_value(&read.contents).unwrap();
    serde_json::from_str(read[0]["text"].as_str().unwrap()).unwrap()
}

#[tokio::test]
#[expect(deprecated, reason = "2026-07-28 has another way, which is tested below")]
async fn a_legacy_subscriber_hears_of_what_rest_and_others_do() {
    use rmcp::model::{SubscribeRequestParams, UnsubscribeRequestParams};
    let demo = Demo::start().await;
    let mut client = Client::connect(&demo.mcp(), Era::Legacy, User::Away).await;
    for invoice in [LARGE, SMALL] {
        let request = SubscribeRequestParams::new(uri(invoice));
        soon("resources/subscribe", client.service.subscribe(request)).await.unwrap();
    }

    // REST creates.
    let new = demo.create().await;
    assert_eq!(client.next_seen().await, Seen::ListChanged);
    let listed = soon("resources/list", client.service.list_all_resources()).await.unwrap();
    assert!(listed.iter().any(|resource| resource.uri == uri(&new)), "the new one is listed");

    // REST pays.
    assert_eq!(demo.post(&format!("/invoices/{LARGE}/pay"), &json!({ "confirm": true })).await.status, 200);
    assert_eq!(client.next_seen().await, Seen::Updated(uri(LARGE)));
    assert_eq!(read(&client, LARGE).await["status"], "paid");

    // A client of the other era pays.
    let other = Client::connect(&demo.mcp(), Era::Modern, User::Away).await;
    other.structured("pay_invoice", json!({ "invoice": SMALL })).await;
    assert_eq!(client.next_seen().await, Seen::Updated(uri(SMALL)));
    assert!(demo.is_paid(SMALL).await);

    // Who does not want to hear it any more does not.
    let request = UnsubscribeRequestParams::new(uri(SMALL));
    soon("resources/unsubscribe", client.service.unsubscribe(request)).await.unwrap();
    other.structured("pay_invoice", json!({ "invoice": new })).await;
    demo.create().await;
    assert_eq!(client.next_seen().await, Seen::ListChanged);
    assert!(client.has_seen_all());
    other.close().await;
    client.close().await;
}

#[tokio::test]
async fn a_modern_listener_hears_of_what_rest_and_others_do() {
    let demo = Demo::start().await;
    let client = Client::connect(&demo.mcp(), Era::Modern, User::Away).await;
    let filter =
        SubscriptionFilter::builder().resources_list_changed().resource_subscriptions([uri(LARGE), uri(SMALL)]).build();
    let mut listening = soon("subscriptions/listen", client.service.listen(filter.clone())).await.unwrap();
    assert_eq!(listening.acknowledged(), &filter);
    let next = async |listening: &mut rmcp::service::Subscription| {
        let next = soon("a notification", listening.next()).await.unwrap();
        match next.expect("the subscription goes on") {
            ServerNotification::ResourceListChangedNotification(_) => Seen::ListChanged,
            ServerNotification::ResourceUpdatedNotification(update) => Seen::Updated(update.params.uri),
            other => panic!("{other:?}"),
        }
    };

    let new = demo.create().await;
    assert_eq!(next(&mut listening).await, Seen::ListChanged);
    assert_eq!(read(&client, &new).await["counterparty"], "Nordlicht Optik GmbH");

    assert_eq!(demo.post(&format!("/invoices/{LARGE}/pay"), &json!({ "confirm": true })).await.status, 200);
    assert_eq!(next(&mut listening).await, Seen::Updated(uri(LARGE)));

    let other = Client::connect(&demo.mcp(), Era::Legacy, User::Away).await;
    other.structured("pay_invoice", json!({ "invoice": SMALL })).await;
    assert_eq!(next(&mut listening).await, Seen::Updated(uri(SMALL)));
    assert!(demo.is_paid(SMALL).await);

    soon("the end of the subscription", listening.cancel()).await.unwrap();
    other.close().await;
    client.close().await;
}

/// One client of each era, REST, and one ledger: everybody sees the same at the end.
#[tokio::test]
async fn everybody_sees_one_set_of_books() {
    let demo = Demo::start().await;
    let legacy = Client::connect(&demo.mcp(), Era::Legacy, User::Away).await;
    let modern = Client::connect(&demo.mcp(), Era::Modern, User::Away).await;
    let new = |description: &str| {
        json!({
            "kind": "purchase", "counterparty": "Caffè Rialto", "description": description, "account": "cash",
            "amount_cents": 250,
        })
    };
    let by_legacy = legacy.structured("create_invoice", new("Coffee")).await;
    let by_modern = modern.structured("create_invoice", new("Tea")).await;
    let by_rest = demo.post("/invoices", &new("Water")).await.body;
    let ids = [&by_rest, &by_modern, &by_legacy].map(|invoice| invoice["id"].clone());
    let newest = |list: serde_json::Value| {
        let invoices = list["invoices"].as_array().unwrap().iter();
        invoices.take(3).map(|invoice| invoice["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(newest(demo.get("/invoices").await.body), ids);
    for client in [&legacy, &modern] {
        assert_eq!(newest(client.structured("list_invoices", json!({})).await), ids);
    }
    assert_eq!(legacy.structured("get_invoice", json!({ "invoice": by_modern["id"] })).await, by_modern);
    assert_eq!(modern.structured("get_invoice", json!({ "invoice": by_rest["id"] })).await, by_rest);
    legacy.close().await;
    modern.close().await;
}
