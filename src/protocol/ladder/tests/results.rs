use super::{LEGACY, R24, R26, R0326, R0618, R1125, check_result, raw, result};
use crate::protocol::{
    Losses, Method, Revision,
    ladder::{Facts, Plan},
};

const PLAIN: Facts<'static> = Facts {
    tasks: false,
    server_info: None,
    http: false,
    ttl_ms: 0,
    public: false,
    uri: None,
    wrapped_output: false,
    capabilities: None,
    upstream: None,
    legacy_resource_code: false,
};

#[test]
fn era_287_results_that_are_empty_by_definition_are_exactly_empty() {
    for method in [Method::Ping, Method::SetLevel, Method::ResourcesSubscribe, Method::ResourcesUnsubscribe] {
        for client in LEGACY {
            for server in Revision::ALL {
                let full = r#"{"resultType":"complete","_meta":{"x":1},"ok":true}"#;
                check_result(Plan::between(client, server), &method, &PLAIN, full, "{}");
                check_result(Plan::between(client, server), &method, &PLAIN, "{}", "{}");
            }
        }
    }
}

#[test]
fn legacy_clients_see_nothing_of_the_modern_era() {
    let input = r#"{"resultType":"complete","prompts":[],"ttlMs":5,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"},"io.modelcontextprotocol/future":2},"extra":1e400}"#;
    let expected = r#"{"prompts":[],"_meta":{"io.modelcontextprotocol/future":2},"extra":1e400}"#;
    for client in LEGACY {
        // Not through the schema: 1e400 fits no double.
        let output = Plan::between(client, R26).result(
            &Method::PromptsList,
            super::object(input),
            &PLAIN,
            &mut Losses::default(),
        );
        assert_eq!(super::text(&output), expected);
        check_result(
            Plan::between(client, R26),
            &Method::ResourcesRead,
            &PLAIN,
            r#"{"contents":[],"_meta":{"io.modelcontextprotocol/serverInfo":{}},"resultType":"complete"}"#,
            r#"{"contents":[]}"#,
        );
    }
}

#[test]
fn era_288_a_result_type_of_a_legacy_server_is_deleted_and_never_believed() {
    let input = r#"{"resultType":"input_required","inputRequests":{},"content":[]}"#;
    for server in LEGACY {
        let modern = r#"{"resultType":"complete","inputRequests":{},"content":[]}"#;
        check_result(Plan::between(R26, server), &Method::ToolsCall, &PLAIN, input, modern);
        for client in LEGACY.into_iter().filter(|client| *client != server) {
            let legacy = r#"{"inputRequests":{},"content":[]}"#;
            check_result(Plan::between(client, server), &Method::ToolsCall, &PLAIN, input, legacy);
        }
    }
}

#[test]
fn modern_clients_get_what_every_modern_result_has() {
    let info = raw(r#"{"name":"s","version":"1"}"#);
    let facts = Facts { server_info: Some(&info), ttl_ms: 60_000, ..PLAIN };
    let info = r#""io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}"#;
    for server in LEGACY {
        let plan = Plan::between(R26, server);
        check_result(
            plan,
            &Method::ToolsCall,
            &facts,
            r#"{"isError":true,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"1"},"io.modelcontextprotocol/subscriptionId":3,"k":1}}"#,
            &format!(r#"{{"isError":true,"_meta":{{"k":1,{info}}},"content":[],"resultType":"complete"}}"#),
        );
        for method in [Method::PromptsList, Method::ResourcesList, Method::TemplatesList, Method::ToolsList] {
            let items = method.list_member().unwrap();
            check_result(
                plan,
                &method,
                &facts,
                &format!(r#"{{"{items}":[],"ttlMs":-1,"cacheScope":"everybody","nextCursor":"n"}}"#),
                &format!(
                    r#"{{"{items}":[],"ttlMs":60000,"cacheScope":"private","nextCursor":"n","resultType":"complete","_meta":{{{info}}}}}"#
                ),
            );
        }
        check_result(
            plan,
            &Method::ResourcesRead,
            &Facts { public: true, ttl_ms: 0, ..facts },
            r#"{"contents":[{"uri":"a:b","text":""}],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"own","version":"2"}}}"#,
            r#"{"contents":[{"uri":"a:b","text":""}],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"own","version":"2"}},"resultType":"complete","ttlMs":0,"cacheScope":"public"}"#,
        );
    }
    check_result(
        Plan::between(R26, R1125),
        &Method::Complete,
        &PLAIN,
        r#"{"completion":{"values":["a"]}}"#,
        r#"{"completion":{"values":["a"]},"resultType":"complete"}"#,
    );
}

#[test]
fn era_276_a_modern_result_is_completed_where_it_must_be_and_nowhere_else() {
    let plan = Plan::between(R26, R26);
    let check = |method: &Method, input: &str, expected: &str| check_result(plan, method, &PLAIN, input, expected);
    check(&Method::ToolsCall, r#"{"content":[]}"#, r#"{"content":[],"resultType":"complete"}"#);
    check(
        &Method::ToolsCall,
        r#"{ "content": [], "resultType":"complete" }"#,
        r#"{ "content": [], "resultType":"complete" }"#,
    );
    let bad = r#"{"resultType":"complete","tools":[],"ttlMs":-5,"cacheScope":"all"}"#;
    check(&Method::ToolsList, bad, r#"{"resultType":"complete","tools":[],"ttlMs":0,"cacheScope":"private"}"#);
    for ttl in ["1.5", "\"9\"", "null", "-0", "1e400"] {
        let input = format!(r#"{{"resultType":"complete","tools":[],"ttlMs":{ttl},"cacheScope":"public"}}"#);
        check(&Method::ToolsList, &input, r#"{"resultType":"complete","tools":[],"ttlMs":0,"cacheScope":"public"}"#);
    }
    let missing = r#"{"tools":[]}"#;
    check(&Method::ToolsList, missing, r#"{"tools":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#);
    let fine = r#"{ "resultType":"complete","tools":[ ],"ttlMs":5.0,"cacheScope":"public" }"#;
    check(&Method::ToolsList, fine, fine);
    // A question is not cacheable, and what it is is not for the ladder to judge.
    let asks = r#"{"resultType":"input_required","requestState":"s"}"#;
    assert_eq!(
        super::text(&plan.result(&Method::ResourcesRead, super::object(asks), &PLAIN, &mut Losses::default())),
        asks
    );
}

#[test]
fn era_283_content_is_told_in_the_kinds_that_the_client_knows() {
    let blocks = concat!(
        r#"{"type":"text","text":"t"},"#,
        r#"{"type":"audio","data":"AA==","mimeType":"audio/wav","annotations":{"priority":1}},"#,
        r#"{"type":"resource_link","uri":"a:b","name":"n","title":"T","annotations":{"priority":0.5}},"#,
        r#"{"type":"resource_link","uri":"a:c","name":"n"}"#
    );
    let audio = r#"{"type":"audio","data":"AA==","mimeType":"audio/wav","annotations":{"priority":1}}"#;
    let resource = r#"{"type":"resource","annotations":{"priority":1},"resource":{"uri":"audio:///1","mimeType":"audio/wav","blob":"AA=="}}"#;
    let links = r#"{"type":"text","text":"T: a:b","annotations":{"priority":0.5}},{"type":"text","text":"n: a:c"}"#;
    let input = format!(r#"{{"content":[{blocks}]}}"#);
    let text = r#"{"type":"text","text":"t"}"#;
    for server in [R1125, R26] {
        let call = |client, expected: String| {
            check_result(Plan::between(client, server), &Method::ToolsCall, &PLAIN, &input, &expected);
        };
        call(R24, format!(r#"{{"content":[{text},{resource},{links}]}}"#));
        call(R0326, format!(r#"{{"content":[{text},{audio},{links}]}}"#));
        call(R0618, input.clone());
        call(R1125, input.clone());
    }
    check_result(
        Plan::between(R24, R0326),
        &Method::PromptsGet,
        &PLAIN,
        &format!(r#"{{"messages":[{{"role":"user","content":{text}}},{{"role":"user","content":{audio},"x":1}}]}}"#),
        &format!(r#"{{"messages":[{{"role":"user","content":{text}}},{{"role":"user","content":{resource},"x":1}}]}}"#),
    );
}

#[test]
fn era_439_content_of_an_unknown_kind_is_named_to_older_clients() {
    let input = r#"{"content":[{"type":"hologram","x":1}]}"#;
    let named = r#"{"content":[{"type":"text","text":"[unsupported content hologram]"}]}"#;
    for client in [R24, R0326, R0618] {
        for server in [R1125, R26] {
            check_result(Plan::between(client, server), &Method::ToolsCall, &PLAIN, input, named);
        }
    }
    let untouched =
        Plan::between(R1125, R26).result(&Method::ToolsCall, super::object(input), &PLAIN, &mut Losses::default());
    assert_eq!(super::text(&untouched), input);
    let up = Plan::between(R26, R1125).result(&Method::ToolsCall, super::object(input), &PLAIN, &mut Losses::default());
    assert_eq!(super::text(&up), r#"{"content":[{"type":"hologram","x":1}],"resultType":"complete"}"#);
}

#[test]
fn era_284_structured_results_that_are_no_objects_are_wrapped_for_clients_that_want_objects() {
    let block = |json: &str| format!(r#"{{"type":"text","text":{}}}"#, serde_json::to_string(json).unwrap());
    for client in [R0618, R1125] {
        let plan = Plan::between(client, R26);
        for json in ["[1,2.50]", "3", "\"s\"", "null", "false"] {
            let input = format!(r#"{{"content":[],"structuredContent":{json},"resultType":"complete"}}"#);
            let expected = format!(r#"{{"content":[{}],"structuredContent":{{"result":{json}}}}}"#, block(json));
            check_result(plan, &Method::ToolsCall, &PLAIN, &input, &expected);
        }
        let input = r#"{"content":[{"type":"text","text":"x"}],"structuredContent":{"a":1}}"#;
        check_result(plan, &Method::ToolsCall, &PLAIN, input, input);
        let wrapped = r#"{"content":[{"type":"text","text":"x"}],"structuredContent":{"result":{"a":1}}}"#;
        check_result(plan, &Method::ToolsCall, &Facts { wrapped_output: true, ..PLAIN }, input, wrapped);
    }
}

#[test]
fn era_285_structured_results_are_told_as_text_to_clients_that_read_none() {
    for client in [R24, R0326] {
        for server in [R0618, R1125, R26] {
            let input =
                r#"{"structuredContent":{"a":"é"},"content":[{"type":"image","data":"","mimeType":"image/png"}]}"#;
            let expected = r#"{"structuredContent":{"a":"é"},"content":[{"type":"image","data":"","mimeType":"image/png"},{"type":"text","text":"{\"a\":\"é\"}"}]}"#;
            check_result(Plan::between(client, server), &Method::ToolsCall, &PLAIN, input, expected);
        }
        let list = r#"{"structuredContent":[1]}"#;
        let expected = r#"{"structuredContent":[1],"content":[{"type":"text","text":"[1]"}]}"#;
        check_result(Plan::between(client, R26), &Method::ToolsCall, &PLAIN, list, expected);
    }
}

#[test]
fn a_result_without_content_gets_some_where_the_eras_meet() {
    assert_eq!(result(Plan::between(R1125, R26), &Method::ToolsCall, "{}", &PLAIN), r#"{"content":[]}"#);
    assert_eq!(
        result(Plan::between(R26, R0618), &Method::ToolsCall, r#"{"content":null}"#, &PLAIN),
        r#"{"content":[],"resultType":"complete"}"#
    );
}
