use super::{LEGACY, R24, R26, R0618, R1125, object, raw, schema_files, text};
use crate::{
    jsonrpc::ErrorObject,
    protocol::{
        ClientCapabilities, Method,
        ladder::{Facts, Plan},
    },
};

fn error(code: i64, data: Option<&str>) -> ErrorObject {
    ErrorObject { code, message: "m".into(), data: data.map(raw) }
}

#[track_caller]
fn check(plan: Plan, method: &Method, facts: &Facts<'_>, input: (i64, Option<&str>), expected: (i64, Option<&str>)) {
    let output = plan.error(method, error(input.0, input.1), facts);
    let seen = (output.code, output.data.as_ref().map(|d| std::str::from_utf8(d.as_bytes()).unwrap()));
    assert_eq!(seen, expected, "{plan:?} {input:?}");
    schema_files::assert_valid("2026-07-28", "Error", &output.to_raw().parse::<serde_json::Value>().unwrap());
}

#[test]
fn era_410_a_resource_that_is_not_found_has_the_code_of_the_clients_era() {
    let facts = Facts { uri: Some("a:b"), ..Facts::default() };
    for server in LEGACY {
        let modern = |input, expected| {
            check(Plan::between(R26, server), &Method::ResourcesRead, &facts, (-32002, input), (-32602, expected));
        };
        modern(None, Some(r#"{"uri":"a:b"}"#));
        modern(Some(r#"{"uri":"own"}"#), Some(r#"{"uri":"own"}"#));
        modern(Some(r#"{"x":1.0}"#), Some(r#"{"x":1.0,"uri":"a:b"}"#));
        modern(Some("5"), Some(r#"{"original":5,"uri":"a:b"}"#));
        for client in LEGACY {
            check(Plan::between(client, server), &Method::ResourcesRead, &facts, (-32002, None), (-32002, None));
        }
    }
    let pass = (-32602, Some(r#"{"uri":"a:b"}"#));
    check(Plan::between(R1125, R26), &Method::ResourcesRead, &facts, pass, pass);
    check(Plan::between(R26, R26), &Method::ResourcesRead, &facts, (-32002, None), pass);
}

#[test]
fn era_416_codes_of_servers_own_pass_unless_they_are_reserved() {
    let facts = Facts::default();
    for plan in super::crossing_plans() {
        for code in [1001, -1, -32000, -32019, -32100, -32603, -32601] {
            check(plan, &Method::ToolsCall, &facts, (code, Some(r#"{"a":1.0}"#)), (code, Some(r#"{"a":1.0}"#)));
        }
        if plan.client != R26 {
            check(plan, &Method::ToolsCall, &facts, (-32050, Some("1")), (-32050, Some("1")));
        }
    }
    for server in LEGACY {
        // Private codes of a legacy server, and the call may have run.
        for code in [-32020, -32021, -32022, -32050, -32099] {
            let expected = format!(r#"{{"source":"upstream","code":{code},"data":[1]}}"#);
            let plan = Plan::between(R26, server);
            check(plan, &Method::ToolsCall, &facts, (code, Some("[1]")), (-32603, Some(&expected)));
            check(Plan::between(R24, server), &Method::ToolsCall, &facts, (code, None), (code, None));
        }
    }
    let expected = r#"{"source":"upstream","code":-32050}"#;
    check(Plan::between(R26, R26), &Method::ToolsCall, &facts, (-32050, None), (-32603, Some(expected)));
}

#[test]
fn era_187_what_is_wrong_on_the_hop_to_the_server_is_never_relayed() {
    let facts = Facts { upstream: Some("u"), ..Facts::default() };
    for client in [R24, R1125, R26] {
        let plan = Plan::between(client, R26);
        let data = |reason| format!(r#"{{"source":"gateway","upstream":"u","reason":"{reason}","retryable":false}}"#);
        let headers = data("upstream_header_mismatch");
        check(plan, &Method::ToolsCall, &facts, (-32020, Some("1")), (-32603, Some(&headers)));
        check(plan, &Method::ToolsCall, &facts, (-32022, None), (-32603, Some(&data("upstream_version"))));
    }
}

#[test]
fn era_417_a_missing_capability_is_relayed_only_where_it_is_missing() {
    let seen = |declared: &str, required: &str| {
        let capabilities = ClientCapabilities::new(object(declared));
        let facts = Facts { capabilities: Some(&capabilities), ..Facts::default() };
        let data = format!(r#"{{"requiredCapabilities":{required}}}"#);
        let code = Plan::between(R26, R26).error(&Method::ToolsCall, error(-32021, Some(&data)), &facts).code;
        code == -32021
    };
    assert!(seen("{}", r#"{"sampling":{}}"#));
    assert!(seen(r#"{"sampling":{}}"#, r#"{"sampling":{"tools":{}}}"#));
    assert!(seen(r#"{"elicitation":{}}"#, r#"{"elicitation":{"url":{}}}"#));
    assert!(seen(r#"{"elicitation":{"url":{}}}"#, r#"{"elicitation":{"form":{}}}"#));
    assert!(seen("{}", r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#));
    assert!(!seen(r#"{"sampling":{}}"#, r#"{"sampling":{}}"#));
    assert!(!seen(r#"{"elicitation":{}}"#, r#"{"elicitation":{"form":{}}}"#));
    assert!(!seen("{}", r#"["sampling"]"#), "a list of names is not what the error carries");
    let relayed = (-32021, Some(r#"{"requiredCapabilities":{"sampling":{}}}"#));
    check(Plan::between(R1125, R26), &Method::ToolsCall, &Facts::default(), relayed, relayed);
    check(Plan::between(R26, R26), &Method::ToolsCall, &Facts::default(), relayed, relayed);
}

const URL_REQUIRED: &str =
    r#"{"elicitations":[{"mode":"url","elicitationId":"1","url":"https://x.example/","message":"Sign in"}]}"#;

#[test]
fn era_414_a_page_that_must_be_visited_is_told_to_clients_that_have_no_code_for_it() {
    let facts = Facts::default();
    let input = (-32042, Some(URL_REQUIRED));
    check(Plan::between(R1125, R1125), &Method::ToolsCall, &facts, input, input);
    for client in [R24, R0618] {
        let plan = Plan::between(client, R1125);
        let output = plan.error(&Method::ResourcesRead, error(-32042, Some(URL_REQUIRED)), &facts);
        assert_eq!((output.code, &*output.message), (-32603, "m\nSign in\nhttps://x.example/"));
        assert!(plan.error_as_result(&Method::ResourcesRead, &error(-32042, None)).is_none());
        let told = plan.error_as_result(&Method::ToolsCall, &error(-32042, Some(URL_REQUIRED))).unwrap();
        let expected = r#"{"content":[{"type":"text","text":"m\nSign in\nhttps://x.example/"}],"isError":true}"#;
        assert_eq!(text(&told), expected);
        assert!(plan.error_as_result(&Method::ToolsCall, &error(-32603, None)).is_none());
    }
    let hidden = format!(r#"{{"source":"upstream","code":-32042,"data":{URL_REQUIRED}}}"#);
    check(Plan::between(R26, R1125), &Method::PromptsList, &facts, input, (-32603, Some(&hidden)));
    assert!(Plan::between(R26, R1125).error_as_result(&Method::ToolsCall, &error(-32042, None)).is_none());
}

#[test]
fn a_method_that_a_legacy_server_does_not_know_is_not_found() {
    let other = Method::parse("acme/do");
    for code in [-32600, -32601, -32602] {
        check(Plan::between(R26, R1125), &other, &Facts::default(), (code, None), (-32601, None));
        check(Plan::between(R24, R1125), &other, &Facts::default(), (code, None), (code, None));
        check(Plan::between(R26, R1125), &Method::ToolsCall, &Facts::default(), (code, None), (code, None));
    }
}

#[test]
fn era_411_a_resource_that_is_not_there_in_the_code_of_the_legacy_era() {
    let facts = Facts { uri: Some("a://b"), legacy_resource_code: true, ..Facts::default() };
    let told =
        |plan: Plan, method: &Method, error: ErrorObject, facts: &Facts<'_>| plan.error(method, error, facts).code;
    let missing = || error(-32602, Some(r#"{"uri":"a:\/\/b"}"#));
    for client in LEGACY {
        let plan = Plan::between(client, R26);
        assert_eq!(told(plan, &Method::ResourcesRead, missing(), &facts), -32002);
        let told_data = plan.error(&Method::ResourcesRead, missing(), &facts).data;
        assert_eq!(told_data, Some(raw(r#"{"uri":"a:\/\/b"}"#)));
        assert_eq!(
            told(plan, &Method::ResourcesRead, missing(), &Facts { legacy_resource_code: false, ..facts }),
            -32602
        );
        assert_eq!(told(plan, &Method::PromptsGet, missing(), &facts), -32602);
        for other in [Some(r#"{"uri":"a://c"}"#), Some("[]"), None] {
            assert_eq!(told(plan, &Method::ResourcesRead, error(-32602, other), &facts), -32602);
        }
        assert_eq!(told(plan, &Method::ResourcesRead, error(-32603, Some(r#"{"uri":"a://b"}"#)), &facts), -32603);
        // A legacy server means something else by its code.
        for server in LEGACY {
            assert_eq!(told(Plan::between(client, server), &Method::ResourcesRead, missing(), &facts), -32602);
        }
    }
    assert_eq!(told(Plan::between(R26, R26), &Method::ResourcesRead, missing(), &facts), -32602);
}
