//! The tools that ask nothing.

use rmcp::{
    model::{CancelledNotificationParam, ClientRequest},
    service::PeerRequestOptions,
};
use serde_json::{Value, json};

use super::Fixture;
use crate::demo::tests::{BOTH_ERAS, Era, Form, Seen, call, error_of, refused, structured, text, within};

#[tokio::test]
async fn tools_are_listed_with_schemas_and_honest_hints() {
    let fixture = Fixture::new();
    for era in BOTH_ERAS {
        let session = fixture.open(era, Form::Missing).await;
        let list = within(session.client.list_tools(None)).await.expect("a list");
        let hints: Vec<_> = list
            .tools
            .iter()
            .map(|tool| {
                let hints = tool.annotations.as_ref().expect("hints");
                assert_eq!(hints.open_world_hint, Some(false));
                let said = (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint);
                (tool.name.as_ref(), said)
            })
            .collect();
        let (reads, adds) = ((Some(true), Some(false), Some(true)), (Some(false), Some(false), Some(false)));
        let settles = (Some(false), Some(true), Some(true));
        let expected = [
            ("list_accounts", reads),
            ("list_invoices", reads),
            ("get_invoice", reads),
            ("create_invoice", adds),
            ("pay_invoice", settles),
            ("close_month", settles),
            ("summarise_month", reads),
        ];
        assert_eq!(hints, expected, "{era:?}");
        for tool in &list.tools {
            assert!(tool.title.is_some() && tool.description.is_some());
            assert_eq!(tool.input_schema["additionalProperties"], false, "{}", tool.name);
            let input = serde_json::to_string(&tool.input_schema).expect("JSON");
            // Some clients understand only plain schemas.
            for construct in ["$ref", "anyOf", "oneOf", "null"] {
                assert!(!input.contains(construct), "{}: {input}", tool.name);
            }
            for schema in [Some(&tool.input_schema), tool.output_schema.as_ref()] {
                let schema = schema.expect("both schemas").as_ref().clone();
                jsonschema::draft202012::meta::validate(&Value::Object(schema)).expect("a schema");
            }
        }
        session.close().await;
    }
}

#[tokio::test]
async fn structured_content_fits_the_output_schema() {
    for era in BOTH_ERAS {
        let fixture = Fixture::new();
        let session = fixture.open(era, Form::Accept(json!({ "confirm": true }))).await;
        let list = within(session.client.list_tools(None)).await.expect("a list");
        let new = json!({
            "kind": "purchase", "counterparty": "Albion Type & Print", "description": "Posters", "account": "pound",
            "amount_cents": 12_000, "terms_days": 0,
        });
        for (name, arguments) in [
            ("list_accounts", json!({})),
            ("list_invoices", json!({ "limit": 3 })),
            ("list_invoices", json!({ "status": "overdue", "kind": "sale", "account": "main", "month": "2026-08" })),
            ("list_invoices", json!({ "cursor": "2026-0001" })),
            ("get_invoice", json!({ "invoice": "2026-0001" })),
            ("create_invoice", new),
            ("pay_invoice", json!({ "invoice": "2026-0034" })),
            ("pay_invoice", json!({ "invoice": "2026-0017" })),
            ("close_month", json!({ "month": "2026-08", "pause_ms": 0 })),
            ("summarise_month", json!({ "month": "2026-08" })),
            ("summarise_month", json!({ "month": "2026-10" })),
        ] {
            let tool = list.tools.iter().find(|tool| tool.name == name).expect(name);
            let schema = Value::Object(tool.output_schema.as_ref().expect("an output schema").as_ref().clone());
            let result = session.call(name, arguments).await;
            let as_text: Value = serde_json::from_str(text(&result)).expect("JSON as text");
            let content = structured(result);
            assert_eq!(as_text, content, "{name}");
            if let Err(error) = jsonschema::validate(&schema, &content) {
                panic!("{name} in {era:?}: {error}");
            }
        }
        session.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_explained_to_the_model() {
    let fixture = Fixture::new();
    for era in BOTH_ERAS {
        let session = fixture.open(era, Form::Missing).await;
        let new = |name: &str, value: Value| {
            let mut new = json!({
                "kind": "sale", "counterparty": "A", "description": "B", "account": "main", "amount_cents": 1,
            });
            new[name] = value;
            new
        };
        for (name, arguments, says) in [
            ("list_accounts", json!({ "all": true }), "all"),
            ("list_invoices", json!({ "limit": 51 }), "limit"),
            ("list_invoices", json!({ "status": "late" }), "overdue"),
            ("list_invoices", json!({ "month": "October" }), "2026-03"),
            ("get_invoice", json!({ "invoice": "17" }), "2026-0017"),
            ("get_invoice", json!({ "invoice": "2026-9999" }), "list_invoices"),
            ("create_invoice", json!({}), "kind"),
            ("create_invoice", new("amount_cents", json!(0)), "amount_cents"),
            ("create_invoice", new("account", json!("savings")), "cash"),
            ("create_invoice", new("counterparty", json!("\n")), "counterparty"),
            ("pay_invoice", json!({ "invoice": "2026-0001" }), "was paid on 2026-06-24"),
            ("pay_invoice", json!({ "invoice": "2026-0030" }), "312.80 EUR"),
            ("pay_invoice", json!({ "invoice": "2026-0034", "confirm": true }), "confirm"),
            ("close_month", json!({ "month": "2026-11" }), "not over"),
            ("close_month", json!({ "month": "2026-07" }), "was closed on 2026-08-07"),
            ("close_month", json!({ "month": "2020-01" }), "2020-01"),
            ("close_month", json!({ "month": "2026-08", "pause_ms": 5_000 }), "pause_ms"),
            ("summarise_month", json!({ "month": "2026-12" }), "2026-12"),
        ] {
            let result = session.call(name, arguments.clone()).await;
            let message = refused(&result);
            assert!(message.contains(says), "{name} {arguments}: {message}");
        }
        let unknown = within(session.client.call_tool(call("steal", json!({})))).await;
        let (code, message) = error_of(unknown);
        assert_eq!(code, -32602);
        assert!(message.contains("steal"), "{message}");
        session.close().await;
    }
}

/// JSON Schema counts `3.0` among the integers (2020-12, validation, section 6.1.1), and some clients write them so.
#[tokio::test]
async fn whole_numbers_may_be_written_with_a_point() {
    let fixture = Fixture::new();
    let session = fixture.open(BOTH_ERAS[0], Form::Missing).await;
    let page = structured(session.call("list_invoices", json!({ "limit": 3.0 })).await);
    assert_eq!(page["invoices"].as_array().map(Vec::len), Some(3));
    structured(session.call("close_month", json!({ "month": "2026-08", "pause_ms": 0.0 })).await);
    assert!(refused(&session.call("list_invoices", json!({ "limit": 3.5 })).await).contains("3.5"));
    session.close().await;
}

#[tokio::test]
async fn a_new_invoice_comes_with_a_link_to_it() {
    let fixture = Fixture::new();
    for era in BOTH_ERAS {
        let session = fixture.open(era, Form::Missing).await;
        let new = json!({
            "kind": "sale", "counterparty": "Thames Heritage Trust", "description": "Advice", "account": "pound",
            "amount_cents": 40_000,
        });
        let result = session.call("create_invoice", new).await;
        let link = result.content[1].as_resource_link().expect("a link").uri.clone();
        let invoice = structured(result);
        assert_eq!(invoice["uri"], link);
        assert_eq!(invoice["amount"], json!({ "cents": 40_000, "currency": "GBP" }));
        let seen = fixture.get(&format!("/invoices/{}", invoice["id"].as_str().expect("a number"))).await;
        assert_eq!(seen.body, invoice, "REST sees what MCP wrote");
        session.close().await;
    }
}

#[tokio::test]
async fn closing_a_month_reports_every_step() {
    for era in BOTH_ERAS {
        let fixture = Fixture::new();
        let mut session = fixture.open(era, Form::Missing).await;
        // The client adds a progress token to every call by itself.
        let closed = structured(session.call("close_month", json!({ "month": "2026-08", "pause_ms": 0 })).await);
        assert_eq!(closed["figures"]["closed"], "2026-11-20");
        assert_eq!(closed["carried_over"], json!(["2026-0017", "2026-0021"]));
        let steps = closed["steps"].as_array().expect("steps");
        assert_eq!(steps.len(), 5);
        for (done, step) in steps.iter().enumerate() {
            let Seen::Progress(progress) = session.next_seen().await else { panic!("expected progress") };
            assert_eq!((progress.progress, progress.total), (done as f64 + 1.0, Some(5.0)));
            let message = progress.message.expect("a message");
            assert!(message.starts_with(step["step"].as_str().expect("a name")), "{message}");
        }
        assert!(session.seen.try_recv().is_err(), "one for each step");
        assert_eq!(fixture.get("/months/2026-08").await.body, closed["figures"], "REST sees it closed");
        let again = session.call("close_month", json!({ "month": "2026-08" })).await;
        assert!(refused(&again).contains("was closed on 2026-11-20"));
        session.close().await;
    }
}

/// The clock stands still until nobody has anything to do, so the pauses between steps take no time.
#[tokio::test(start_paused = true)]
async fn a_month_whose_closing_is_cancelled_stays_open() {
    for era in BOTH_ERAS {
        let fixture = Fixture::new();
        let mut session = fixture.open(era, Form::Missing).await;
        let slowly = json!({ "month": "2026-08", "pause_ms": 2_000 });
        let request = rmcp::model::CallToolRequest::new(call("close_month", slowly.clone()));
        let sent = session
            .client
            .send_cancellable_request(ClientRequest::CallToolRequest(request), PeerRequestOptions::no_options());
        let running = within(sent).await.expect("the call is sent");
        assert!(matches!(session.next_seen().await, Seen::Progress(_)));
        // Meanwhile nobody else can close it, and everybody can read it.
        let other = session.call("close_month", slowly.clone()).await;
        assert!(refused(&other).contains("at this moment"), "{other:?}");
        assert!(fixture.get("/months/2026-08").await.body.get("closed").is_none());

        let cancelled = CancelledNotificationParam::new(Some(running.id.clone()), Some("enough".to_owned()));
        within(session.client.notify_cancelled(cancelled)).await.expect("the cancellation is sent");
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        while let Ok(seen) = session.seen.try_recv() {
            assert!(!matches!(&seen, Seen::Progress(step) if step.progress >= 5.0), "{era:?}: it was closed");
        }
        assert!(fixture.get("/months/2026-08").await.body.get("closed").is_none(), "{era:?}");
        structured(session.call("close_month", json!({ "month": "2026-08", "pause_ms": 0 })).await);
        session.close().await;
    }
}

#[tokio::test]
#[expect(deprecated, reason = "2026-07-28 deprecates logging, but has it")]
async fn who_asks_for_a_log_hears_what_is_done() {
    use rmcp::model::{LoggingLevel, RequestMetaObject, SetLevelRequestParams};
    for era in BOTH_ERAS {
        let fixture = Fixture::new();
        let mut session = fixture.open(era, Form::Missing).await;
        let mut request = call("pay_invoice", json!({ "invoice": "2026-0034" }));
        if era == Era::Legacy {
            within(session.client.set_level(SetLevelRequestParams::new(LoggingLevel::Info))).await.expect("a level");
        } else {
            let mut meta = RequestMetaObject::new();
            meta.set_log_level(LoggingLevel::Info);
            request.meta = Some(meta);
        }
        structured(within(session.client.call_tool(request)).await.expect("a payment"));
        let Seen::Log { level, logger, data } = session.next_seen().await else { panic!("expected a log message") };
        assert_eq!((level.as_str(), logger.as_deref()), ("info", Some("pay_invoice")));
        assert_eq!(data, json!({ "message": "paid", "invoice": "2026-0034" }));
        session.close().await;
    }
}
