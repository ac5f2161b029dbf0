//! Questions: the word of a person before a large payment, and the words of a model about a month.

use serde_json::json;

use super::{
    Demo, LARGE, SMALL,
    client::{BOTH_ERAS, Client, Seen, User},
};

#[tokio::test]
async fn a_large_payment_is_made_if_the_user_agrees_and_rest_sees_it() {
    for era in BOTH_ERAS {
        let demo = Demo::start().await;
        let before = demo.get("/accounts/main").await.body["balance"]["cents"].as_i64().unwrap();
        let mut client = Client::connect(&demo.mcp(), era, User::Agrees).await;
        let paid = client.structured("pay_invoice", json!({ "invoice": LARGE })).await;
        assert_eq!(paid["outcome"], "paid", "{era:?}");
        let Seen::Asked(question) = client.next_seen().await else { panic!("{era:?}: expected the question") };
        assert!(question.contains("3,680.00 EUR"), "{question}");
        assert!(client.has_seen_all(), "{era:?}: one question is enough");

        assert_eq!(demo.get(&format!("/invoices/{LARGE}")).await.body, paid["invoice"], "{era:?}");
        let after = demo.get("/accounts/main").await.body["balance"]["cents"].as_i64().unwrap();
        assert_eq!(after, before + 368_000, "{era:?}: paid once");
        let again = client.refused("pay_invoice", json!({ "invoice": LARGE })).await;
        assert!(again.contains("was paid on"), "{again}");
        client.close().await;
    }
}

#[tokio::test]
async fn a_large_payment_is_not_made_without_a_yes() {
    let demo = Demo::start().await;
    for era in BOTH_ERAS {
        for (user, outcome) in [(User::Declines, "declined"), (User::Closes, "cancelled")] {
            let mut client = Client::connect(&demo.mcp(), era, user).await;
            let unpaid = client.structured("pay_invoice", json!({ "invoice": LARGE })).await;
            assert_eq!(unpaid["outcome"], outcome, "{era:?}");
            assert!(matches!(client.next_seen().await, Seen::Asked(_)));
            assert!(!demo.is_paid(LARGE).await, "{era:?}: {user:?}");
            client.close().await;
        }
        let client = Client::connect(&demo.mcp(), era, User::Away).await;
        let reason = client.refused("pay_invoice", json!({ "invoice": LARGE })).await;
        assert!(reason.contains("cannot ask"), "{era:?}: {reason}");
        assert!(!demo.is_paid(LARGE).await, "{era:?}");
        client.close().await;
    }
    // What is small needs no question.
    let mut client = Client::connect(&demo.mcp(), BOTH_ERAS[0], User::Declines).await;
    let paid = client.structured("pay_invoice", json!({ "invoice": SMALL })).await;
    assert_eq!(paid["outcome"], "paid");
    assert!(client.has_seen_all() && demo.is_paid(SMALL).await);
    client.close().await;
}

#[tokio::test]
async fn the_clients_model_summarises_a_month() {
    let demo = Demo::start().await;
    for era in BOTH_ERAS {
        let model = Some("October was quiet.");
        let mut client = Client::with_model(&demo.mcp(), era, User::Away, model).await;
        let summary = client.structured("summarise_month", json!({ "month": "2026-10" })).await;
        assert_eq!(summary["text"], "October was quiet.", "{era:?}");
        assert_eq!((&summary["writer"], &summary["model"]), (&json!("model"), &json!("test-model")));
        assert_eq!(summary["figures"], demo.get("/months/2026-10").await.body);
        let Seen::Asked(question) = client.next_seen().await else { panic!("{era:?}: expected the question") };
        assert!(question.contains("6,150.00 USD"), "{question}");
        client.close().await;

        let client = Client::connect(&demo.mcp(), era, User::Away).await;
        let summary = client.structured("summarise_month", json!({ "month": "2026-10" })).await;
        assert_eq!(summary["writer"], "program", "{era:?}: there is no model");
        assert!(summary["text"].as_str().is_some_and(|text| text.contains("6,150.00 USD")), "{summary}");
        client.close().await;
    }
}
