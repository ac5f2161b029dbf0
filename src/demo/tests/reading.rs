//! Resources, templates, the prompt, completion and subscriptions.

use rmcp::model::{
    ArgumentInfo, CompleteRequestParams, GetPromptRequestParams, PaginatedRequestParams, ReadResourceRequestParams,
    Reference, ResourceContents, SubscriptionFilter,
};
use serde_json::json;

use super::{BOTH_ERAS, Era, Form, Session, context, error_of, within};

const PAGE: &str = "rialto://docs/{page}";
const SECTION: &str = "rialto://docs/{page}/{section}";

#[tokio::test]
async fn every_listed_page_can_be_read() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        let list = within(session.client.list_resources(None)).await.expect("a list");
        assert_eq!(list.ttl_ms.is_some(), era == Era::Modern);
        assert!(list.resources.len() >= 8);
        for page in &list.resources {
            assert_eq!(page.mime_type.as_deref(), Some("text/markdown"));
            assert!(page.title.is_some() && page.description.is_some());
            let request = ReadResourceRequestParams::new(page.uri.as_str());
            let read = within(session.client.read_resource(request)).await;
            let read = read.expect("the page can be read");
            assert_eq!(read.ttl_ms.is_some(), era == Era::Modern);
            let [ResourceContents::TextResourceContents { uri, text, mime_type, .. }] = read.contents.as_slice() else {
                panic!("a page is one text");
            };
            assert_eq!(uri, &page.uri);
            assert_eq!(mime_type, &page.mime_type);
            assert_eq!(page.size, Some(text.len() as u64));
        }
        session.close().await;
    }
}

#[tokio::test]
async fn templates_lead_to_pages_and_sections() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        let list = within(session.client.list_resource_templates(None)).await;
        let list = list.expect("a list").resource_templates;
        let templates: Vec<_> = list.iter().map(|t| t.uri_template.as_str()).collect();
        assert_eq!(templates, [PAGE, SECTION]);
        let uri = SECTION.replace("{page}", "errors").replace("{section}", "reasons");
        let request = ReadResourceRequestParams::new(uri.as_str());
        let read = within(session.client.read_resource(request)).await;
        let read = read.expect("the section can be read");
        let contents = serde_json::to_value(&read.contents).expect("JSON");
        assert_eq!(contents[0]["uri"], uri);
        let text = contents[0]["text"].as_str().expect("a text");
        assert!(text.starts_with("## Reasons\n") && !text.contains("\n## "));
        session.close().await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        for uri in [
            "rialto://docs/nothing",
            "rialto://docs/",
            "rialto://docs/eras/nothing",
            "rialto://docs/eras/",
            "rialto://docs/eras/one-url-for-both/more",
            "rialto://docs/eras?x=1",
            "file:///etc/passwd",
            "",
        ] {
            let request = ReadResourceRequestParams::new(uri);
            let result = within(session.client.read_resource(request)).await;
            let Err(rmcp::ServiceError::McpError(error)) = result else {
                panic!("{uri} should not be there: {result:?}");
            };
            let expected = if era == Era::Modern { -32602 } else { -32002 };
            assert_eq!(error.code.0, expected, "{uri}");
            assert_eq!(error.data, Some(json!({ "uri": uri })));
        }
        session.close().await;
    }
}

#[tokio::test]
async fn a_cursor_from_nowhere_is_refused() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        let page = || {
            let cursor = Some("page-2".to_owned());
            Some(PaginatedRequestParams::default().with_cursor(cursor))
        };
        let client = &session.client;
        assert_eq!(error_of(within(client.list_tools(page())).await).0, -32602);
        assert_eq!(error_of(within(client.list_prompts(page())).await).0, -32602);
        assert_eq!(error_of(within(client.list_resources(page())).await).0, -32602);
        let templates = within(client.list_resource_templates(page())).await;
        assert_eq!(error_of(templates).0, -32602);
        session.close().await;
    }
}

#[tokio::test]
async fn the_prompt_attaches_the_page() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        let list = within(session.client.list_prompts(None)).await.expect("a list");
        let prompt = list.prompts.first().expect("there is a prompt");
        assert_eq!(prompt.name, "explain");
        let arguments = prompt.arguments.as_ref().expect("it has arguments");
        let required: Vec<_> = arguments.iter().map(|a| (a.name.as_str(), a.required)).collect();
        assert_eq!(required, [("topic", Some(true)), ("audience", Some(false))]);

        for (topic, page) in [("Eras", "eras"), ("how do I set seal_keys", "handles")] {
            let arguments = json!({ "topic": topic, "audience": "operator" });
            let request = GetPromptRequestParams::new("explain")
                .with_arguments(arguments.as_object().cloned().unwrap_or_default());
            let prompt = within(session.client.get_prompt(request)).await.expect("a prompt");
            let messages = serde_json::to_value(&prompt.messages).expect("JSON");
            let task = messages[0]["content"]["text"].as_str().expect("a text");
            assert!(task.contains(topic) && task.contains("operator"), "{task}");
            assert_eq!(messages[1]["content"]["type"], "resource");
            let attached = &messages[1]["content"]["resource"];
            assert_eq!(attached["uri"], format!("rialto://docs/{page}"));
            assert_eq!(attached["mimeType"], "text/markdown");
            assert!(attached["text"].as_str().is_some_and(|text| text.starts_with("# ")));
        }
        session.close().await;
    }
}

#[tokio::test]
async fn a_prompt_about_nothing_is_refused() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        for (name, arguments, says) in [
            ("explain", json!({}), "topic"),
            ("explain", json!({ "topic": "  " }), "topic"),
            ("explain", json!({ "topic": "zyzzyva" }), "quick-start"),
            ("sing", json!({ "topic": "eras" }), "sing"),
        ] {
            let request =
                GetPromptRequestParams::new(name).with_arguments(arguments.as_object().cloned().unwrap_or_default());
            let result = within(session.client.get_prompt(request)).await;
            let (code, message) = error_of(result);
            assert_eq!(code, -32602);
            assert!(message.contains(says), "{message}");
        }
        session.close().await;
    }
}

#[tokio::test]
async fn arguments_and_variables_are_completed() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        let of_eras = || context(&[("page", "eras")]);
        for (reference, argument, typed, chosen, expected) in [
            (Reference::for_prompt("explain"), "topic", "qu", None, vec!["quick-start", "questions"]),
            (Reference::for_prompt("explain"), "audience", "OP", None, vec!["operator"]),
            (Reference::for_prompt("explain"), "audience", "author", None, vec!["server author"]),
            (Reference::for_resource(PAGE), "page", "se", None, vec!["servers", "sessions"]),
            (Reference::for_resource(SECTION), "page", "gloss", None, vec!["glossary"]),
            (Reference::for_resource(SECTION), "section", "one", Some(of_eras()), vec!["one-url-for-both"]),
            (Reference::for_resource(PAGE), "page", "zyzzyva", None, vec![]),
        ] {
            let mut request = CompleteRequestParams::new(reference, ArgumentInfo::new(argument, typed));
            request.context = chosen;
            let result = within(session.client.complete(request)).await.expect("values");
            assert_eq!(result.completion.values, expected, "{argument} {typed}");
            assert_eq!(result.completion.total, Some(expected.len() as u32));
            assert_eq!(result.completion.has_more, Some(false));
        }
        session.close().await;
    }
}

#[tokio::test]
async fn completion_never_gives_more_than_a_hundred_values() {
    for era in BOTH_ERAS {
        let session = Session::open(era, Form::Missing).await;
        let everything = CompleteRequestParams::new(Reference::for_resource(SECTION), ArgumentInfo::new("section", ""));
        let result = within(session.client.complete(everything)).await.expect("values");
        let total = result.completion.total.expect("a total") as usize;
        assert_eq!(result.completion.values.len(), total.min(100));
        assert_eq!(result.completion.has_more, Some(total > 100));
        for (reference, argument) in [
            (Reference::for_prompt("sing"), "topic"),
            (Reference::for_prompt("explain"), "key"),
            (Reference::for_resource("file:///{path}"), "path"),
            (Reference::for_resource(PAGE), "section"),
        ] {
            let request = CompleteRequestParams::new(reference, ArgumentInfo::new(argument, ""));
            let (code, _) = error_of(within(session.client.complete(request)).await);
            assert_eq!(code, -32602, "{argument}");
        }
        session.close().await;
    }
}

#[tokio::test]
async fn a_modern_client_may_listen_for_what_never_changes() {
    let session = Session::open(Era::Modern, Form::Missing).await;
    let filter = SubscriptionFilter::builder()
        .tools_list_changed()
        .prompts_list_changed()
        .resources_list_changed()
        .resource_subscriptions(["rialto://docs/eras".to_owned()])
        .build();
    let mut listening = within(session.client.listen(filter)).await.expect("it is acknowledged");
    let honoured = listening.acknowledged();
    assert_eq!(honoured.tools_list_changed, Some(true));
    assert_eq!(honoured.prompts_list_changed, Some(true));
    assert_eq!(honoured.resources_list_changed, Some(true));
    let resources = honoured.resource_subscriptions.as_ref();
    assert!(resources.is_none_or(Vec::is_empty), "pages are not watched");
    within(listening.cancel()).await.expect("it ends");
    session.close().await;
}
