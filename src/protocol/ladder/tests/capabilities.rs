use super::{LEGACY, R24, R26, R0326, R0618, R1125, object, schema_files, text, value};
use crate::protocol::{Revision, ladder::Plan};

#[track_caller]
fn check(plan: Plan, input: &str, expected: &str) {
    let output = plan.capabilities(object(input));
    assert_eq!(text(&output), expected, "{plan:?}");
    schema_files::assert_valid(plan.client.as_str(), "ServerCapabilities", &value(&output));
}

#[test]
fn era_455_capabilities_are_objects_whatever_the_server_sends() {
    let input = r#"{"logging":true,"completions":1,"prompts":false,"resources":null,"tools":{"listChanged":"yes","x":1.0},"experimental":{"a":true,"b":{"c":1},"d":false},"own":7}"#;
    let expected = r#"{"logging":{},"completions":{},"tools":{"x":1.0},"experimental":{"a":{},"b":{"c":1}},"own":7}"#;
    for client in Revision::ALL {
        for server in Revision::ALL {
            check(Plan::between(client, server), input, expected);
        }
    }
}

#[test]
fn what_is_in_order_is_not_touched() {
    let input = r#"{ "tools" : {"listChanged":true}, "completions":{}, "extensions":{"a.b/c":{"x":1.0}} }"#;
    for client in Revision::ALL {
        for server in Revision::ALL {
            check(Plan::between(client, server), input, input);
        }
    }
}

#[test]
fn a_server_older_than_the_flag_for_completions_is_advertised_with_it() {
    for client in [R0326, R0618, R1125, R26] {
        check(Plan::between(client, R24), r#"{"tools":{}}"#, r#"{"tools":{},"completions":{}}"#);
        check(Plan::between(client, R0326), r#"{"tools":{}}"#, r#"{"tools":{}}"#);
    }
    check(Plan::between(R24, R1125), r#"{"tools":{}}"#, r#"{"tools":{}}"#);
    check(Plan::between(R24, R24), r#"{"tools":{}}"#, r#"{"tools":{}}"#);
}

#[test]
fn tasks_are_advertised_only_between_peers_that_mean_the_same_by_them() {
    let legacy = r#"{"completions":{},"tasks":{"list":{}}}"#;
    check(Plan::between(R1125, R1125), legacy, legacy);
    for client in [R24, R0618, R26] {
        check(Plan::between(client, R1125), legacy, r#"{"completions":{}}"#);
    }
    let modern = r#"{"completions":{},"extensions":{"io.modelcontextprotocol/tasks":{},"a.b/c":{}}}"#;
    let only = r#"{"completions":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
    check(Plan::between(R26, R26), modern, modern);
    for legacy in LEGACY {
        for plan in [Plan::between(legacy, R26), Plan::between(R26, legacy), Plan::between(legacy, legacy)] {
            check(plan, modern, r#"{"completions":{},"extensions":{"a.b/c":{}}}"#);
            check(plan, only, r#"{"completions":{}}"#);
        }
    }
}
