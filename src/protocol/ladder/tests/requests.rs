use super::{LEGACY, R24, R26, R0326, R1125, object, raw, request, schema_files};
use crate::protocol::{ClientCapabilities, Method, ladder::Plan};

const SNEAKY: &str = r#"{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"1999","io.modelcontextprotocol/logLevel":"debug","io.modelcontextprotocol/future":1,"traceparent":"00-1"},"inputResponses":{},"requestState":"s","x":1.0}"#;

#[test]
fn a_modern_server_gets_the_envelope_of_the_legacy_client() {
    let declared = object(
        r#"{"roots":{"listChanged":true},"sampling":{"tools":{}},"elicitation":{},"tasks":{"list":{}},"extensions":{"io.modelcontextprotocol/tasks":{},"a.b/c":{"d":1}},"experimental":{"e":{}},"custom":3,"x":{}}"#,
    );
    let capabilities = ClientCapabilities::new(declared);
    let info = raw(r#"{"name":"c","version":"1","title":"C"}"#);
    let level = raw(r#""warning""#);
    for client in LEGACY {
        let plan = Plan::between(client, R26);
        let params = request(
            plan,
            &Method::ToolsCall,
            r#"{"name":"t","_meta":{"progressToken":7,"k":"v","io.modelcontextprotocol/related-task":{"taskId":"1"}}}"#,
            |e| {
                e.capabilities = &capabilities;
                e.client_info = Some(&info);
                e.log_level = Some(&level);
            },
        );
        let expected = concat!(
            r#"{"name":"t","_meta":{"progressToken":7,"k":"v","io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
            r#""io.modelcontextprotocol/clientInfo":{"name":"c","version":"1","title":"C"},"#,
            r#""io.modelcontextprotocol/clientCapabilities":{"roots":{},"sampling":{"tools":{}},"elicitation":{},"#,
            r#""experimental":{"e":{}},"custom":3,"x":{},"extensions":{"a.b/c":{"d":1}}},"#,
            r#""io.modelcontextprotocol/logLevel":"warning"}}"#,
        );
        assert_eq!(params, expected);
        schema_files::assert_valid("2026-07-28", "CallToolRequestParams", &serde_json::from_str(&params).unwrap());
    }
}

#[test]
fn what_a_client_declares_wrongly_is_not_passed_on() {
    let capabilities = ClientCapabilities::new(object(r#"{"roots":true,"sampling":1,"elicitation":null}"#));
    let info = raw(r#""me""#);
    let level = raw("3");
    let params = request(Plan::between(R1125, R26), &Method::ToolsList, r#"{"_meta":5}"#, |e| {
        e.capabilities = &capabilities;
        e.client_info = Some(&info);
        e.log_level = Some(&level);
    });
    let expected = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}"#;
    assert_eq!(params, expected);
}

#[test]
fn the_tasks_extension_is_declared_only_where_the_gateway_handles_a_task() {
    let params =
        request(Plan::between(R1125, R26), &Method::ToolsCall, r#"{"name":"t","task":{"ttl":1}}"#, |e| e.tasks = true);
    assert!(!params.contains("ttl"), "{params}");
    assert!(params.contains(r#"clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#), "{params}");
}

#[test]
fn era_434_a_legacy_client_cannot_set_what_belongs_to_a_modern_hop() {
    let kept = r#""io.modelcontextprotocol/future":1,"traceparent":"00-1""#;
    for client in LEGACY {
        for server in LEGACY {
            let params = request(Plan::between(client, server), &Method::ToolsCall, SNEAKY, |_| {});
            assert_eq!(params, format!(r#"{{"name":"t","_meta":{{{kept}}},"x":1.0}}"#));
        }
        let params = request(Plan::between(client, R26), &Method::ToolsCall, SNEAKY, |_| {});
        assert_eq!(
            params,
            format!(
                r#"{{"name":"t","_meta":{{{kept},"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}},"x":1.0}}"#
            )
        );
    }
    assert_eq!(request(Plan::between(R26, R26), &Method::ToolsCall, SNEAKY, |_| {}), SNEAKY);
}

#[test]
fn a_legacy_server_gets_neither_envelope_nor_answers() {
    let check = |input: &str, expected: &str| {
        for server in LEGACY {
            assert_eq!(request(Plan::between(R26, server), &Method::ToolsCall, input, |_| {}), expected);
        }
    };
    check(SNEAKY, r#"{"name":"t","_meta":{"io.modelcontextprotocol/future":1,"traceparent":"00-1"},"x":1.0}"#);
    check(r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}},"name":"t"}"#, r#"{"name":"t"}"#);
    check(
        r#"{"_meta":{"progressToken":"p","io.modelcontextprotocol/clientCapabilities":{}}}"#,
        r#"{"_meta":{"progressToken":"p"}}"#,
    );
    check(r#"{ "name" : "t" , "_meta" : {} }"#, r#"{ "name" : "t" , "_meta" : {} }"#);
    check("{}", "{}");
}

#[test]
fn what_the_gateway_put_there_itself_stays() {
    let retry = r#"{"name":"t","inputResponses":{"a":{}},"requestState":"s"}"#;
    let up = request(Plan::between(R1125, R26), &Method::ToolsCall, retry, |e| {
        e.ours = &["inputResponses", "requestState"];
    });
    assert!(up.starts_with(r#"{"name":"t","inputResponses":{"a":{}},"requestState":"s","_meta""#), "{up}");
    let task = r#"{"name":"t","task":{"ttl":1}}"#;
    let plan = Plan::between(R26, R1125);
    assert_eq!(request(plan, &Method::ToolsCall, task, |_| {}), r#"{"name":"t"}"#);
    assert_eq!(request(plan, &Method::ToolsCall, task, |e| e.ours = &["task"]), task);
    assert_eq!(request(Plan::between(R1125, R1125), &Method::ToolsCall, task, |_| {}), task);
}

#[test]
fn members_of_methods_that_no_revision_defines_are_their_own() {
    let method = Method::parse("acme/do");
    let params = r#"{"requestState":"mine","inputResponses":[],"task":1}"#;
    for plan in [Plan::between(R26, R24), Plan::between(R0326, R24)] {
        assert_eq!(request(plan, &method, params, |_| {}), params);
    }
}
