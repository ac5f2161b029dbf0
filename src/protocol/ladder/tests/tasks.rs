use super::{LEGACY, R26, R0618, R1125, object, request, result, text};
use crate::protocol::{
    Method,
    ladder::{Facts, Plan},
};

fn task(plan: Plan, task: &str) -> String {
    text(&plan.task(object(task)))
}

#[test]
fn era_358_a_task_changes_its_words_and_nothing_else() {
    let up = Plan::between(R26, R1125);
    let legacy = r#"{"taskId":"t","status":"working","x":1.0,"ttl":60000,"pollInterval":5e2}"#;
    assert_eq!(task(up, legacy), r#"{"taskId":"t","status":"working","x":1.0,"ttlMs":60000,"pollIntervalMs":5e2}"#);
    assert_eq!(task(up, r#"{"taskId":"t","ttl":null}"#), r#"{"taskId":"t","ttlMs":null}"#);
    assert_eq!(task(up, r#"{"taskId":"t"}"#), r#"{"taskId":"t","ttlMs":null}"#);

    let down = Plan::between(R1125, R26);
    let modern =
        r#"{"resultType":"complete","taskId":"t","status":"completed","ttlMs":null,"result":{"isError":false}}"#;
    assert_eq!(task(down, modern), r#"{"taskId":"t","status":"completed","ttl":null}"#);
    for same in [R26, R1125] {
        assert_eq!(task(Plan::between(same, same), modern), modern);
    }
}

#[test]
fn era_354_a_tool_that_failed_is_a_task_that_failed_in_the_older_words_alone() {
    let failed = r#"{"taskId":"t","status":"completed","ttlMs":1,"result":{"isError":true}}"#;
    assert_eq!(task(Plan::between(R1125, R26), failed), r#"{"taskId":"t","status":"failed","ttl":1}"#);
    let asking = r#"{"taskId":"t","status":"input_required","ttlMs":1,"inputRequests":{}}"#;
    assert_eq!(task(Plan::between(R1125, R26), asking), r#"{"taskId":"t","status":"input_required","ttl":1}"#);
}

#[test]
fn tools_of_a_modern_server_may_be_tasks_where_those_are_bridged() {
    let tools = r#"{"tools":[{"name":"t","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}]}"#;
    let has = |client, tasks| {
        let facts = Facts { tasks, ..Facts::default() };
        result(Plan::between(client, R26), &Method::ToolsList, tools, &facts).contains("optional")
    };
    assert!(has(R1125, true));
    assert!(!has(R1125, false) && !has(R0618, true));
    for client in LEGACY {
        assert!(
            !result(Plan::between(client, R26), &Method::ToolsList, tools, &Facts::default()).contains("execution")
        );
    }
}

#[test]
fn only_what_the_gateway_wants_as_a_task_is_asked_for_as_one() {
    let call = r#"{"name":"t","task":{"ttl":1}}"#;
    for plan in [Plan::between(R26, R1125), Plan::between(R0618, R1125), Plan::between(R1125, R0618)] {
        assert_eq!(request(plan, &Method::ToolsCall, call, |_| {}), r#"{"name":"t"}"#, "{plan:?}");
        assert_eq!(request(plan, &Method::ToolsCall, call, |envelope| envelope.ours = &["task"]), call, "{plan:?}");
    }
    assert_eq!(request(Plan::between(R1125, R1125), &Method::ToolsCall, call, |_| {}), call);
    assert_eq!(request(Plan::between(R0618, R1125), &Method::PromptsGet, call, |_| {}), call);
}
