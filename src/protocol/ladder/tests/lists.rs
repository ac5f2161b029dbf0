use super::{LEGACY, R24, R26, R0326, R0618, R1125, check_result, object, raw, result, text, value};
use crate::protocol::{
    Losses, Method,
    ladder::{Facts, Plan},
};

const MODERN: &str = r#""resultType":"complete","ttlMs":0,"cacheScope":"private""#;

fn one(tool: &str) -> String {
    format!(r#"{{"tools":[{tool}]}}"#)
}

#[track_caller]
fn check(plan: Plan, tool: &str, expected: &str) {
    let (input, expected) = if plan.client == R26 {
        (one(tool), format!(r#"{{"tools":[{expected}],{MODERN}}}"#))
    } else {
        (one(tool), one(expected))
    };
    check_result(plan, &Method::ToolsList, &Facts::default(), &input, &expected);
}

#[test]
fn era_284_output_schemas_that_describe_no_object_are_wrapped() {
    let tool = r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"array","items":{"type":"number","minimum":1.0}}}"#;
    let wrapped = r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"result":{"type":"array","items":{"type":"number","minimum":1.0}}},"required":["result"]}}"#;
    for client in [R0618, R1125] {
        let plan = Plan::between(client, R26);
        check(plan, tool, wrapped);
        assert!(plan.wraps_output(&object(tool)));
        let fine = r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":"object"}}"#;
        check(plan, fine, fine);
        assert!(!plan.wraps_output(&object(fine)));
        for root in [r#"{"type":["object","null"]}"#, r#"{"oneOf":[{"type":"object"}]}"#, "{}"] {
            let tool = format!(r#"{{"name":"t","inputSchema":{{"type":"object"}},"outputSchema":{root}}}"#);
            assert!(plan.wraps_output(&object(&tool)), "{root}");
            assert!(
                result(plan, &Method::ToolsList, &one(&tool), &Facts::default())
                    .contains(&format!(r#""properties":{{"result":{root}}}"#))
            );
        }
    }
    for plan in [Plan::between(R26, R26), Plan::between(R0326, R26), Plan::between(R0618, R1125)] {
        assert!(!plan.wraps_output(&object(tool)), "{plan:?}");
    }
}

#[test]
fn era_285_clients_without_structured_results_get_no_output_schema() {
    let tool = r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":"array"},"title":"T"}"#;
    for client in [R24, R0326] {
        for server in [R0618, R1125, R26] {
            check(Plan::between(client, server), tool, r#"{"name":"t","inputSchema":{"type":"object"},"title":"T"}"#);
        }
    }
}

#[test]
fn era_286_references_lead_where_they_led() {
    let schema = r##"{"type":"array","items":{"$ref":"#/$defs/x"},"$defs":{"x":{"anyOf":[{"$ref":"#"},{"type":"null"}]},"$ref":{"$dynamicRef":"#a"},"own":{"$id":"https://x.example/y","$ref":"#/z"},"anchor":{"$id":"#q","$ref":"#/$defs/x"}},"default":{"$ref":"#/$defs/x"},"properties":{"default":{"$ref":"#/$defs/x"},"enum":{"enum":[{"$ref":"#"}]}},"x":{"$ref":"other.json#/a"}}"##;
    let expected = r##"{"type":"array","items":{"$ref":"#/properties/result/$defs/x"},"$defs":{"x":{"anyOf":[{"$ref":"#/properties/result"},{"type":"null"}]},"$ref":{"$dynamicRef":"#a"},"own":{"$id":"https://x.example/y","$ref":"#/z"},"anchor":{"$id":"#q","$ref":"#/properties/result/$defs/x"}},"default":{"$ref":"#/$defs/x"},"properties":{"default":{"$ref":"#/properties/result/$defs/x"},"enum":{"enum":[{"$ref":"#"}]}},"x":{"$ref":"other.json#/a"}}"##;
    check(
        Plan::between(R1125, R26),
        &format!(r#"{{"name":"t","inputSchema":{{"type":"object"}},"outputSchema":{schema}}}"#),
        &format!(
            r#"{{"name":"t","inputSchema":{{"type":"object"}},"outputSchema":{{"type":"object","properties":{{"result":{expected}}},"required":["result"]}}}}"#
        ),
    );
}

#[test]
fn era_286_a_validator_accepts_through_the_wrapped_schema_what_it_accepted_before() {
    let schema = r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"array","items":{"$ref":"#/$defs/node"},"$defs":{"node":{"type":"object","properties":{"children":{"type":"array","items":{"$ref":"#/$defs/node"}},"name":{"type":"string"}},"required":["name"]}}}"##;
    let tool = format!(r#"{{"name":"t","inputSchema":{{"type":"object"}},"outputSchema":{schema}}}"#);
    let list = Plan::between(R1125, R26).result(
        &Method::ToolsList,
        object(&one(&tool)),
        &Facts::default(),
        &mut Losses::default(),
    );
    let before = jsonschema::validator_for(&raw(schema).parse().unwrap()).unwrap();
    let after = jsonschema::validator_for(&value(&list)["tools"][0]["outputSchema"]).unwrap();
    for content in [r#"[{"name":"a","children":[{"name":"b"}]}]"#, r#"[{"name":"a","children":[{}]}]"#, "[]", "[1]"] {
        let call = format!(r#"{{"content":[],"structuredContent":{content}}}"#);
        let facts = Facts { wrapped_output: true, ..Facts::default() };
        let wrapped =
            value(&Plan::between(R1125, R26).result(&Method::ToolsCall, object(&call), &facts, &mut Losses::default()));
        assert_eq!(
            before.is_valid(&raw(content).parse().unwrap()),
            after.is_valid(&wrapped["structuredContent"]),
            "{content}"
        );
    }
}

#[test]
fn a_schema_too_large_to_be_walked_is_not_shown_and_not_wrapped() {
    let deep = format!(r##"{}{{"$ref":"#"}}{}"##, r#"{"not":"#.repeat(80), "}".repeat(80));
    let wide = format!(r##"{{"anyOf":[{}{{"$ref":"#"}}]}}"##, "{},".repeat(10_001));
    for schema in [deep, wide] {
        let tool = format!(r#"{{"name":"t","inputSchema":{{"type":"object"}},"outputSchema":{schema}}}"#);
        check(Plan::between(R1125, R26), &tool, r#"{"name":"t","inputSchema":{"type":"object"}}"#);
        assert!(!Plan::between(R1125, R26).wraps_output(&object(&tool)));
    }
}

#[test]
fn era_454_boolean_properties_are_spelled_out_for_legacy_clients() {
    let tool = r#"{"name":"t","inputSchema":{"type":"object","properties":{"x":true,"y":false,"z":{"properties":{"w":true}}},"oneOf":[true]}}"#;
    let expected = r#"{"name":"t","inputSchema":{"type":"object","properties":{"x":{},"y":{"not":{}},"z":{"properties":{"w":true}}},"oneOf":[true]}}"#;
    for client in LEGACY {
        check(Plan::between(client, R26), tool, expected);
    }
    check(Plan::between(R26, R26), tool, tool);
    let output =
        r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":"object","properties":{"x":true}}}"#;
    let expected =
        r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":"object","properties":{"x":{}}}}"#;
    check(Plan::between(R1125, R26), output, expected);
}

#[test]
fn execution_is_seen_by_2025_11_25_alone() {
    let tool = r#"{"name":"t","inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"}}"#;
    let without = r#"{"name":"t","inputSchema":{"type":"object"}}"#;
    for plan in [(R24, R1125), (R0618, R1125), (R0618, R26), (R1125, R26), (R26, R1125), (R26, R0618)] {
        check(Plan::between(plan.0, plan.1), tool, without);
    }
    check(Plan::between(R1125, R1125), tool, tool);
}

#[test]
fn era_184_a_tool_with_invalid_annotations_is_none_over_modern_http() {
    let bad =
        r#"{"name":"bad","inputSchema":{"type":"object","properties":{"n":{"type":"number","x-mcp-header":"N"}}}}"#;
    let good =
        r#"{"name":"good","inputSchema":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}"#;
    let facts = Facts { http: true, ..Facts::default() };
    for client in LEGACY {
        let output =
            result(Plan::between(client, R26), &Method::ToolsList, &format!(r#"{{"tools":[{bad},{good}]}}"#), &facts);
        assert_eq!(output, one(good));
    }
    let output =
        result(Plan::between(R26, R26), &Method::ToolsList, &format!(r#"{{{MODERN},"tools":[{bad},{good}]}}"#), &facts);
    assert_eq!(output, format!(r#"{{{MODERN},"tools":[{good}]}}"#));
}

#[test]
fn era_185_from_other_servers_the_tool_stays_and_its_invalid_annotation_goes() {
    let tool = r#"{"name":"t","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"},"c":{"type":"array","items":{"type":"string","x-mcp-header":"C"}}}}}"#;
    let mended = r#"{"name":"t","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string"},"c":{"type":"array","items":{"type":"string"}}}}}"#;
    for server in LEGACY {
        for http in [true, false] {
            let facts = Facts { http, ..Facts::default() };
            let output = result(Plan::between(R26, server), &Method::ToolsList, &one(tool), &facts);
            assert_eq!(output, format!(r#"{{"tools":[{mended}],{MODERN}}}"#));
        }
    }
    check(Plan::between(R26, R26), tool, mended);
    for client in LEGACY {
        check(Plan::between(client, R26), tool, tool);
    }
}

#[test]
fn era_289_what_describes_a_tool_is_the_same_on_both_ends() {
    let tool = r#"{"name":"t","title":"T","description":"d","icons":[{"src":"https://x.example/i.png","n":1.0}],"annotations":{"readOnlyHint":true,"x":[ 1 ]},"inputSchema":{"type":"object","x":1e5},"_meta":{"k":{"big":12345678901234567890}},"future":null}"#;
    for plan in super::crossing_plans() {
        check(plan, tool, tool);
    }
    let list = format!(r#"{{ "tools" : [ {tool} ] , {MODERN} }}"#);
    let output = Plan::between(R26, R26).result(
        &Method::ToolsList,
        object(&list),
        &Facts { http: true, ..Facts::default() },
        &mut Losses::default(),
    );
    assert_eq!(text(&output), list);
}

#[test]
fn what_is_no_tool_is_left_to_the_client() {
    for list in [r#"{"tools":7}"#, r#"{"tools":[1,"x",{}]}"#, "{}"] {
        let output =
            Plan::between(R24, R26).result(&Method::ToolsList, object(list), &Facts::default(), &mut Losses::default());
        assert_eq!(text(&output), list);
    }
}
