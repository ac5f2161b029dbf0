//! The tools that ask nothing: listing, calling, progress, cancellation, logging.

use std::time::Duration;

use rmcp::{
    model::{CancelledNotificationParam, ClientRequest, ProtocolVersion, RequestMetaObject, Tool},
    service::PeerRequestOptions,
};
use serde_json::{Value, json};

use super::{BOTH_ERAS, Era, Form, Seen, Session, call, error_of, refused, structured, text, within};

#[tokio::test]
async fn the_server_introduces_itself() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        let info = session.client.peer_info().expect("the server said who it is");
        let server = info.server_info.as_ref().expect("it gave its name");
        assert_eq!(server.name, "rialto-docs", "{era:?}");
        assert_eq!(server.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(server.title.as_deref(), Some("Rialto documentation"));
        let instructions = info.instructions.as_deref().unwrap_or_default();
        assert!(instructions.contains("search"), "{instructions}");

        let capabilities = serde_json::to_value(&info.capabilities).expect("JSON");
        for family in ["tools", "resources", "prompts"] {
            assert_eq!(capabilities[family]["listChanged"], true, "{family}");
        }
        assert!(capabilities["completions"].is_object());
        assert!(capabilities["logging"].is_object());
        assert!(capabilities["resources"].get("subscribe").is_none());
        session.close().await;
    }
}

#[tokio::test]
async fn tools_are_listed_with_schemas_and_hints() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        let list = within(session.client.list_tools(None)).await.expect("a list");
        assert_eq!(list.ttl_ms.is_some(), era == Era::Modern);
        assert_eq!(list.cache_scope.is_some(), era == Era::Modern);
        assert!(list.ttl_ms.is_none_or(|ttl| ttl > 0));
        let names: Vec<_> = list.tools.iter().map(|tool| tool.name.as_ref()).collect();
        let expected = ["search", "list_pages", "read_page", "index_pages", "recommend"];
        assert_eq!(names, expected, "{era:?}");
        for tool in &list.tools {
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            assert_eq!(tool.input_schema["additionalProperties"], false);
            assert!(tool.description.is_some() && tool.title.is_some());
            let hints = tool.annotations.as_ref().expect("the tool has hints");
            assert_eq!(hints.read_only_hint, Some(true));
            assert_eq!(hints.idempotent_hint, Some(true));
            assert_eq!(hints.open_world_hint, Some(false));
            jsonschema::validator_for(&Value::Object(tool.input_schema.as_ref().clone()))
                .expect("the input schema is a schema");
        }
        session.close().await;
    }
}

/// Every tool with an output schema keeps to it.
#[tokio::test]
async fn structured_content_fits_the_output_schema() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        let list = within(session.client.list_tools(None)).await.expect("a list");
        for (name, arguments) in [
            ("search", json!({ "query": "sealed handles" })),
            ("search", json!({ "query": "zyzzyva" })),
            ("list_pages", json!({})),
            ("index_pages", json!({ "pause_ms": 0 })),
            ("recommend", json!({ "role": "operator", "goal": "restart" })),
            ("recommend", json!({})),
        ] {
            let tool: &Tool = list.tools.iter().find(|tool| tool.name == name).expect(name);
            let schema = tool.output_schema.as_ref().expect("an output schema");
            let schema = Value::Object(schema.as_ref().clone());
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
async fn search_ranks_and_limits() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        let arguments = json!({ "query": "requestState sealed", "limit": 3 });
        let found = structured(session.call("search", arguments).await);
        let hits = found["hits"].as_array().expect("hits");
        assert_eq!(hits.len(), 3);
        assert!(found["total"].as_u64() > Some(3));
        let scores: Vec<_> = hits.iter().map(|hit| hit["score"].as_f64()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
        for hit in hits {
            let uri = hit["uri"].as_str().expect("a URI");
            let request = rmcp::model::ReadResourceRequestParams::new(uri);
            let read = within(session.client.read_resource(request)).await;
            assert_eq!(read.expect("the hit can be read").contents.len(), 1);
        }
        session.close().await;
    }
}

#[tokio::test]
async fn pages_and_sections_can_be_read() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        let listed = structured(session.call("list_pages", json!({})).await);
        for page in listed["pages"].as_array().expect("pages") {
            let whole = session.call("read_page", json!({ "page": page["page"] })).await;
            let title = page["title"].as_str().expect("a title");
            assert!(text(&whole).starts_with(&format!("# {title}\n")));
            let link = whole.content[1].as_resource_link().expect("a link");
            assert_eq!(json!(link.uri), page["uri"]);
            for section in page["sections"].as_array().expect("sections") {
                let arguments = json!({ "page": page["page"], "section": section });
                let part = session.call("read_page", arguments).await;
                assert!(text(&part).starts_with("## "));
                assert!(text(&whole).contains(text(&part)));
            }
        }
        session.close().await;
    }
}

#[tokio::test]
async fn clients_that_know_no_links_get_none() {
    for (revision, blocks) in
        [(ProtocolVersion::V_2024_11_05, 1), (ProtocolVersion::V_2025_03_26, 1), (ProtocolVersion::V_2025_06_18, 2)]
    {
        let session = Session::open_at(revision.clone(), Form::Missing).await;
        let page = session.call("read_page", json!({ "page": "eras" })).await;
        assert_eq!(page.content.len(), blocks, "{revision}");
        session.close().await;
    }
}

/// Some clients understand only plain schemas.
#[tokio::test]
async fn input_schemas_have_no_references() {
    let session = Session::open(Era::Modern, Form::Missing).await;
    let list = within(session.client.list_tools(None)).await;
    for tool in list.expect("a list").tools {
        let schema = serde_json::to_string(&tool.input_schema).expect("JSON");
        for construct in ["$ref", "anyOf", "oneOf", "null"] {
            assert!(!schema.contains(construct), "{}: {schema}", tool.name);
        }
    }
    session.close().await;
}

#[tokio::test]
async fn wrong_arguments_are_explained_to_the_model() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        for (name, arguments, says) in [
            ("search", json!({}), "query"),
            ("search", json!({ "query": " " }), "query"),
            ("search", json!({ "query": "x".repeat(1001) }), "query"),
            ("search", json!({ "query": "era", "limit": 0 }), "limit"),
            ("search", json!({ "query": "era", "limit": 51 }), "limit"),
            ("search", json!({ "query": "era", "pages": 2 }), "pages"),
            ("list_pages", json!({ "all": true }), "all"),
            ("read_page", json!({ "page": "nothing" }), "quick-start"),
            ("read_page", json!({ "page": "eras", "section": "x" }), "one-url-for-both"),
            ("index_pages", json!({ "pause_ms": -1 }), "pause_ms"),
            ("recommend", json!({ "role": "king" }), "operator"),
            ("recommend", json!({ "goal": "x".repeat(1001) }), "goal"),
        ] {
            let result = session.call(name, arguments.clone()).await;
            let message = refused(&result);
            // serde does not name the field whose value does not fit, but the value.
            let fits = message.contains(says) || message.contains("-1");
            assert!(fits, "{name} {arguments}: {message}");
        }
        let unknown = within(session.client.call_tool(call("dance", json!({})))).await;
        let (code, message) = error_of(unknown);
        assert_eq!(code, -32602);
        assert!(message.contains("dance"), "{message}");
        session.close().await;
    }
}

#[tokio::test]
async fn indexing_reports_progress_page_by_page() {
    for era in BOTH_ERAS {
        let mut session = Session::open(era, Form::Missing).await;
        // The client adds a progress token to every call by itself.
        let index = structured(session.call("index_pages", json!({ "pause_ms": 0 })).await);
        let pages = index["pages"].as_array().expect("pages");
        for (done, page) in pages.iter().enumerate() {
            let Seen::Progress(progress) = session.next_seen().await else {
                panic!("expected progress");
            };
            assert_eq!(progress.progress, done as f64 + 1.0);
            assert_eq!(progress.total, Some(pages.len() as f64));
            assert_eq!(progress.message.as_deref(), page["page"].as_str());
        }
        assert!(session.seen.try_recv().is_err(), "one for each page");
        assert!(index["words"].as_u64() > Some(1000));
        session.close().await;
    }
}

/// The clock stands still until nobody has anything to do, so the pauses between pages take no time.
#[tokio::test(start_paused = true)]
async fn indexing_stops_when_it_is_cancelled() {
    for era in BOTH_ERAS {
        let mut session = Session::open(era, Form::Missing).await;
        let arguments = json!({ "pause_ms": 1000 });
        let request = rmcp::model::CallToolRequest::new(call("index_pages", arguments));
        let sent = session
            .client
            .send_cancellable_request(ClientRequest::CallToolRequest(request), PeerRequestOptions::no_options());
        let running = within(sent).await.expect("the call is sent");
        assert!(matches!(session.next_seen().await, Seen::Progress(_)));
        let id = Some(running.id.clone());
        let cancelled = CancelledNotificationParam::new(id, Some("enough".to_owned()));
        within(session.client.notify_cancelled(cancelled)).await.expect("the cancellation is sent");
        // All other pages would have been read long before this.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let more = session.seen.try_recv();
        assert!(more.is_err(), "{era:?}: {more:?} came after the cancellation");
        structured(session.call("list_pages", json!({})).await);
        session.close().await;
    }
}

#[tokio::test]
#[expect(deprecated, reason = "2026-07-28 deprecates logging, but has it")]
async fn a_legacy_client_hears_the_log_from_the_level_it_sets() {
    use rmcp::model::{LoggingLevel, SetLevelRequestParams};
    let mut session = Session::open(Era::Legacy, Form::Missing).await;
    session.call("search", json!({ "query": "era" })).await;
    assert!(session.seen.try_recv().is_err(), "nobody asked for a log");

    let set = SetLevelRequestParams::new(LoggingLevel::Info);
    within(session.client.set_level(set)).await.expect("the level is set");
    session.call("search", json!({ "query": "era" })).await;
    let Seen::Log { level, logger, data } = session.next_seen().await else {
        panic!("expected a log message");
    };
    assert_eq!(level, "info");
    assert_eq!(logger.as_deref(), Some("search"));
    assert_eq!(data["query"], "era");

    let set = SetLevelRequestParams::new(LoggingLevel::Error);
    within(session.client.set_level(set)).await.expect("the level is set");
    session.call("search", json!({ "query": "era" })).await;
    assert!(session.seen.try_recv().is_err(), "all is well");
    session.close().await;
}

#[tokio::test]
#[expect(deprecated, reason = "2026-07-28 deprecates logging, but has it")]
async fn a_modern_client_hears_the_log_of_the_calls_it_asks_for() {
    use rmcp::model::{LoggingLevel, SetLevelRequestParams};
    let mut session = Session::open(Era::Modern, Form::Missing).await;
    let set = SetLevelRequestParams::new(LoggingLevel::Debug);
    let (code, _) = error_of(within(session.client.set_level(set)).await);
    assert_eq!(code, -32601, "the modern era has no such method");

    session.call("search", json!({ "query": "era" })).await;
    assert!(session.seen.try_recv().is_err(), "nobody asked for a log");

    let mut meta = RequestMetaObject::new();
    meta.set_log_level(LoggingLevel::Debug);
    let mut request = call("index_pages", json!({ "pause_ms": 0 }));
    request.meta = Some(meta);
    let index = within(session.client.call_tool(request)).await.expect("an index");
    let pages = structured(index)["pages"].as_array().map_or(0, Vec::len);
    let mut levels = Vec::new();
    while let Ok(seen) = session.seen.try_recv() {
        if let Seen::Log { level, .. } = seen {
            levels.push(level);
        }
    }
    assert_eq!(levels.iter().filter(|level| *level == "debug").count(), pages);
    assert_eq!(levels.last().map(String::as_str), Some("info"));
    session.close().await;
}

/// JSON Schema counts `3.0` among the integers (2020-12, validation, section 6.1.1), and some clients write them so.
#[tokio::test]
async fn whole_numbers_may_be_written_with_a_point() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        let hits = structured(session.call("search", json!({ "query": "era", "limit": 3.0 })).await);
        assert_eq!(hits["hits"].as_array().map(Vec::len), Some(3), "{era:?}");
        structured(session.call("index_pages", json!({ "pause_ms": 0.0 })).await);
        for limit in [json!(3.5), json!(-1.0), json!(1e300), json!("3"), json!(256)] {
            let result = session.call("search", json!({ "query": "era", "limit": limit })).await;
            assert!(refused(&result).contains("search"), "{era:?} {limit}");
        }
        session.close().await;
    }
}
