//! The questions: the word of a person before a large payment, and the words of a model about a month.

use rmcp::{
    ServiceError,
    model::{CallToolRequestParams, CallToolResponse, InputResponses},
};
use serde_json::{Value, json};

use super::Fixture;
use crate::demo::tests::{BOTH_ERAS, Era, Form, Seen, Session, call, error_of, refused, structured, within};

/// A sale of 3,680.00 EUR that nobody has paid.
const LARGE: &str = "2026-0017";

async fn status(fixture: &Fixture, number: &str) -> Value {
    fixture.get(&format!("/invoices/{number}")).await.body["status"].clone()
}

#[tokio::test]
async fn a_large_payment_is_made_if_the_user_agrees() {
    for era in BOTH_ERAS {
        let fixture = Fixture::new();
        let mut session = fixture.open(era, Form::Accept(json!({ "confirm": true }))).await;
        let result = structured(session.call("pay_invoice", json!({ "invoice": LARGE })).await);
        assert_eq!((&result["outcome"], &result["invoice"]["status"]), (&json!("paid"), &json!("paid")), "{era:?}");
        let Seen::Asked(question) = session.next_seen().await else { panic!("expected the question") };
        let message = question["message"].as_str().expect("a text");
        assert!(message.contains("3,680.00 EUR") && message.contains("Cantieri Adriatici"), "{message}");
        assert_eq!(question["requestedSchema"]["required"], json!(["confirm"]));
        assert_eq!(question["requestedSchema"]["properties"]["confirm"]["type"], "boolean");
        assert!(session.seen.try_recv().is_err(), "one question is enough");
        assert_eq!(status(&fixture, LARGE).await, "paid", "REST sees what MCP paid");
        session.close().await;
    }
}

#[tokio::test]
async fn a_large_payment_is_not_made_without_a_yes() {
    for era in BOTH_ERAS {
        for (form, outcome) in [
            (Form::Decline, "declined"),
            (Form::Close, "cancelled"),
            (Form::Accept(json!({ "confirm": false })), "declined"),
            (Form::Accept(json!({ "confirm": "true" })), "declined"),
            (Form::Accept(json!({})), "declined"),
        ] {
            let fixture = Fixture::new();
            let session = fixture.open(era, form).await;
            let result = structured(session.call("pay_invoice", json!({ "invoice": LARGE })).await);
            assert_eq!(result["outcome"], outcome, "{era:?}");
            assert_eq!(result["invoice"]["status"], "overdue");
            assert_eq!(status(&fixture, LARGE).await, "overdue");
            session.close().await;
        }
        let fixture = Fixture::new();
        let session = fixture.open(era, Form::Missing).await;
        let result = session.call("pay_invoice", json!({ "invoice": LARGE })).await;
        assert!(refused(&result).contains("cannot ask"), "{era:?}: {result:?}");
        assert_eq!(status(&fixture, LARGE).await, "overdue");
        session.close().await;
    }
    let fixture = Fixture::new();
    let session = fixture.open(Era::Legacy, Form::Fail).await;
    let result = structured(session.call("pay_invoice", json!({ "invoice": LARGE })).await);
    assert_eq!(result["outcome"], "cancelled");
    session.close().await;
}

#[tokio::test]
async fn nobody_is_asked_about_a_small_payment_or_an_impossible_one() {
    for era in BOTH_ERAS {
        let fixture = Fixture::new();
        let mut session = fixture.open(era, Form::Fail).await;
        let result = structured(session.call("pay_invoice", json!({ "invoice": "2026-0034" })).await);
        assert_eq!(result["outcome"], "paid");
        for (number, says) in [("2026-0028", "was paid"), ("2026-9999", "no invoice")] {
            let result = session.call("pay_invoice", json!({ "invoice": number })).await;
            assert!(refused(&result).contains(says), "{result:?}");
        }
        assert!(session.seen.try_recv().is_err());
        session.close().await;
    }
}

async fn send(session: &Session, request: CallToolRequestParams) -> Result<CallToolResponse, ServiceError> {
    within(session.client.call_tool_once(request)).await
}

fn asked(response: Result<CallToolResponse, ServiceError>) -> (String, String) {
    let Ok(CallToolResponse::InputRequired(asked)) = response else { panic!("expected a question, got {response:?}") };
    let keys: Vec<_> = asked.input_requests.expect("a question").into_keys().collect();
    (keys.join(","), asked.request_state.expect("a state"))
}

#[tokio::test]
async fn a_yes_holds_for_one_invoice_and_one_tool() {
    let fixture = Fixture::new();
    let session = fixture.open(Era::Modern, Form::Ignore).await;
    let pay = |number: &str| call("pay_invoice", json!({ "invoice": number }));
    let (key, state) = asked(send(&session, pay(LARGE)).await);
    assert_eq!(key, "confirm");
    let yes = InputResponses::from([(key, json!({ "action": "accept", "content": { "confirm": true } }))]);
    let with = |request: CallToolRequestParams, state: &str| {
        request.with_request_state(state.to_owned()).with_input_responses(yes.clone())
    };

    // An answer without the state, or with one for something else, moves nothing.
    let (_, other) = asked(send(&session, pay("2026-0032")).await);
    asked(send(&session, pay(LARGE).with_input_responses(yes.clone())).await);
    for (request, state) in
        [(pay(LARGE), other.as_str()), (pay("2026-0032"), &state), (pay(LARGE), ""), (pay(LARGE), "0.A")]
    {
        let (code, message) = error_of(send(&session, with(request, state)).await);
        assert_eq!((code, message.as_str()), (-32602, "Invalid or expired requestState"));
    }
    assert_eq!(status(&fixture, LARGE).await, "overdue");

    // Two retries of the same answer pay once; a session of somebody else may bring it.
    let second = fixture.open(Era::Modern, Form::Ignore).await;
    let Ok(CallToolResponse::Complete(paid)) = send(&second, with(pay(LARGE), &state)).await else {
        panic!("a result")
    };
    assert_eq!(structured(paid)["outcome"], "paid");
    let Ok(CallToolResponse::Complete(again)) = send(&session, with(pay(LARGE), &state)).await else {
        panic!("a result")
    };
    assert!(refused(&again).contains("was paid"));
    session.close().await;
    second.close().await;
}

#[tokio::test]
async fn an_invoice_that_is_paid_while_its_question_is_open_is_not_paid_again() {
    let fixture = Fixture::new();
    let session = fixture.open(Era::Modern, Form::Ignore).await;
    let pay = call("pay_invoice", json!({ "invoice": LARGE }));
    let (key, state) = asked(send(&session, pay.clone()).await);
    let paid = fixture.post(&format!("/invoices/{LARGE}/pay"), &json!({ "confirm": true })).await;
    assert!(paid.status.is_success());
    let balance = fixture.get("/accounts/main").await.body;
    let yes = InputResponses::from([(key, json!({ "action": "accept", "content": { "confirm": true } }))]);
    let response = send(&session, pay.with_request_state(state).with_input_responses(yes)).await;
    let Ok(CallToolResponse::Complete(result)) = response else { panic!("a result") };
    assert!(refused(&result).contains("was paid on 2026-11-20"));
    assert_eq!(fixture.get("/accounts/main").await.body, balance);
    session.close().await;
}

#[tokio::test]
async fn the_clients_model_summarises_a_month() {
    for era in BOTH_ERAS {
        let fixture = Fixture::new();
        let text = "October was quiet.";
        let mut session = fixture.open_with(era, Form::Missing, Some(text)).await;
        let summary = structured(session.call("summarise_month", json!({ "month": "2026-10" })).await);
        assert_eq!((&summary["text"], &summary["writer"]), (&json!(text), &json!("model")), "{era:?}");
        assert_eq!(summary["model"], "test-model");
        assert_eq!(summary["figures"], fixture.get("/months/2026-10").await.body);
        let Seen::Asked(question) = session.next_seen().await else { panic!("expected the question") };
        let prompt = question["messages"].to_string();
        assert!(prompt.contains("6,150.00 USD"), "{prompt}");
        assert!(!prompt.contains("Harbor"), "what others wrote does not reach the model: {prompt}");
        assert!(question["maxTokens"].as_u64().is_some_and(|tokens| tokens <= 1_000));
        session.close().await;
    }
}

#[tokio::test]
async fn a_month_is_summarised_without_a_model_too() {
    for era in BOTH_ERAS {
        let fixture = Fixture::new();
        // A model that writes nothing is as good as none.
        for model in [None, Some("  ")] {
            let session = fixture.open_with(era, Form::Missing, model).await;
            let summary = structured(session.call("summarise_month", json!({ "month": "2026-06" })).await);
            assert_eq!(summary["writer"], "program", "{era:?}");
            assert!(summary.get("model").is_none());
            let text = summary["text"].as_str().expect("a text");
            assert!(text.contains("was closed on 2026-07-08") && text.contains("2,031.50 EUR"), "{text}");
            session.close().await;
        }
    }
}

#[tokio::test]
async fn a_model_cannot_write_without_end() {
    static NOVEL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| "é".repeat(10_000));
    let fixture = Fixture::new();
    let session = fixture.open_with(Era::Legacy, Form::Missing, Some(&NOVEL)).await;
    let summary = structured(session.call("summarise_month", json!({ "month": "2026-10" })).await);
    assert_eq!(summary["text"].as_str().map(|text| text.chars().count()), Some(4_000));
    session.close().await;
}
