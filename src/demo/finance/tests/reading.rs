//! Invoices as resources, prompts, and completion.

use rmcp::model::{
    ArgumentInfo, CompleteRequestParams, GetPromptRequestParams, PaginatedRequestParams, ReadResourceRequestParams,
    Reference,
};
use serde_json::{Value, json};

use super::Fixture;
use crate::demo::tests::{BOTH_ERAS, Era, Form, error_of, within};

const TEMPLATE: &str = "finance://invoices/{id}";

#[tokio::test]
async fn every_invoice_is_listed_and_can_be_read() {
    for era in BOTH_ERAS {
        let fixture = Fixture::new();
        for _ in 0..70 {
            let new = json!({
                "kind": "purchase", "counterparty": "Caffè Rialto", "description": "Coffee", "account": "cash",
                "amount_cents": 120,
            });
            assert!(fixture.post("/invoices", &new).await.status.is_success());
        }
        let session = fixture.open(era, Form::Missing).await;
        let first = within(session.client.list_resources(None)).await.expect("a page");
        assert_eq!(first.resources.len(), 100);
        assert!(first.next_cursor.is_some());
        assert_eq!(first.ttl_ms, (era == Era::Modern).then_some(0), "books change at any time");
        let all = within(session.client.list_all_resources()).await.expect("all pages");
        assert_eq!(all.len(), 113);
        assert!(all.iter().map(|resource| &resource.uri).is_sorted());
        for resource in &all[..3] {
            let read = ReadResourceRequestParams::new(resource.uri.as_str());
            let read = within(session.client.read_resource(read)).await.expect("an invoice");
            let read = serde_json::to_value(&read.contents).expect("JSON");
            assert_eq!(read[0]["mimeType"], "application/json");
            let invoice: Value = serde_json::from_str(read[0]["text"].as_str().expect("a text")).expect("JSON");
            assert_eq!(invoice["uri"], resource.uri);
            assert_eq!(fixture.get(&format!("/invoices/{}", resource.name)).await.body, invoice);
        }
        let templates = within(session.client.list_resource_templates(None)).await.expect("templates");
        assert_eq!(templates.resource_templates[0].uri_template, TEMPLATE);
        session.close().await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let fixture = Fixture::new();
    for era in BOTH_ERAS {
        let session = fixture.open(era, Form::Missing).await;
        for uri in
            ["finance://invoices/2026-9999", "finance://invoices/", "finance://accounts/main", "file:///etc/passwd"]
        {
            let read = within(session.client.read_resource(ReadResourceRequestParams::new(uri))).await;
            assert_eq!(error_of(read).0, if era == Era::Modern { -32602 } else { -32002 }, "{uri}");
        }
        let page = Some(PaginatedRequestParams::default().with_cursor(Some("page-2".to_owned())));
        assert_eq!(error_of(within(session.client.list_resources(page.clone())).await).0, -32602);
        assert_eq!(error_of(within(session.client.list_tools(page)).await).0, -32602);
        session.close().await;
    }
}

#[tokio::test]
async fn prompts_bring_what_they_are_about() {
    let fixture = Fixture::new();
    for era in BOTH_ERAS {
        let session = fixture.open(era, Form::Missing).await;
        let get = async |name: &str, arguments: Value| {
            let arguments = arguments.as_object().cloned().unwrap_or_default();
            within(session.client.get_prompt(GetPromptRequestParams::new(name).with_arguments(arguments))).await
        };
        let letter = get("dunning_letter", json!({ "invoice": "2026-0017", "tone": "firm" })).await.expect("a prompt");
        let messages = serde_json::to_value(&letter.messages).expect("JSON");
        let task = messages[0]["content"]["text"].as_str().expect("a text");
        assert!(task.contains("firm") && task.contains("3,680.00 EUR") && task.contains("2026-09-05"), "{task}");
        assert_eq!(messages[1]["content"]["resource"]["uri"], "finance://invoices/2026-0017");
        let review = get("month_review", json!({ "month": "2026-10" })).await.expect("a prompt");
        assert!(serde_json::to_string(&review.messages).expect("JSON").contains("2026-10"));

        for (name, arguments, says) in [
            ("dunning_letter", json!({}), "invoice"),
            ("dunning_letter", json!({ "invoice": "2026-0001" }), "overdue"),
            ("dunning_letter", json!({ "invoice": "2026-0002" }), "overdue"),
            ("dunning_letter", json!({ "invoice": "2026-9999" }), "2026-9999"),
            ("dunning_letter", json!({ "invoice": "2026-0017", "tone": "rude" }), "friendly"),
            ("month_review", json!({ "month": "2030-01" }), "2030-01"),
            ("sing", json!({}), "sing"),
        ] {
            let (code, message) = error_of(get(name, arguments.clone()).await);
            assert_eq!(code, -32602);
            assert!(message.contains(says), "{name} {arguments}: {message}");
        }
        session.close().await;
    }
}

#[tokio::test]
async fn arguments_and_the_variable_are_completed() {
    let fixture = Fixture::new();
    for era in BOTH_ERAS {
        let session = fixture.open(era, Form::Missing).await;
        let complete = async |reference: Reference, argument: &str, typed: &str| {
            let request = CompleteRequestParams::new(reference, ArgumentInfo::new(argument, typed));
            within(session.client.complete(request)).await
        };
        for (reference, argument, typed, first) in [
            (Reference::for_resource(TEMPLATE), "id", "2026-001", "2026-0010"),
            (Reference::for_prompt("dunning_letter"), "invoice", "17", "2026-0017"),
            (Reference::for_prompt("dunning_letter"), "tone", "fi", "firm"),
            (Reference::for_prompt("month_review"), "month", "10", "2026-10"),
        ] {
            let values = complete(reference, argument, typed).await.expect("values").completion.values;
            assert_eq!(values.first().map(String::as_str), Some(first), "{argument} {typed}: {values:?}");
        }
        let paid = complete(Reference::for_prompt("dunning_letter"), "invoice", "0001").await.expect("values");
        assert!(paid.completion.values.is_empty(), "nobody is reminded of what is paid");
        let nothing = complete(Reference::for_resource("file:///{path}"), "path", "").await;
        assert_eq!(error_of(nothing).0, -32602);
        session.close().await;
    }
}
