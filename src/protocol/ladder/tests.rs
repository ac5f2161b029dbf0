use std::sync::LazyLock;

use bytes::Bytes;

use crate::{
    jsonrpc::{Raw, RawObject, scan::ScanLimits},
    protocol::{ClientCapabilities, Losses, Method, Revision},
};

use super::{Envelope, Facts, Plan};

mod capabilities;
mod errors;
mod fidelity;
mod lists;
mod notifications;
mod questions;
mod requests;
mod results;
#[path = "../../../tests/support/schema.rs"]
mod schema_files;
mod strict;
mod tasks;

const R24: Revision = Revision::R2024_11_05;
const R0326: Revision = Revision::R2025_03_26;
const R0618: Revision = Revision::R2025_06_18;
const R1125: Revision = Revision::R2025_11_25;
const R26: Revision = Revision::R2026_07_28;
const LEGACY: [Revision; 4] = [R24, R0326, R0618, R1125];

fn raw(text: &str) -> Raw {
    Raw::scan(Bytes::from(text.to_owned()), ScanLimits::ANSWER).unwrap_or_else(|e| panic!("{e} in {text}"))
}

fn object(text: &str) -> RawObject {
    raw(text).to_object().unwrap_or_else(|| panic!("no object: {text}"))
}

fn text(object: &RawObject) -> String {
    String::from_utf8(object.to_raw().as_bytes().to_vec()).unwrap()
}

fn value(object: &RawObject) -> serde_json::Value {
    object.to_raw().parse().unwrap()
}

#[test]
fn a_message_crosses_the_boundaries_one_after_the_other() {
    let crossed = |from, to| super::rungs(from, to).map(|(rung, _)| rung.newer()).collect::<Vec<_>>();
    assert_eq!(crossed(R24, R26), [R0326, R0618, R1125, R26]);
    assert_eq!(crossed(R26, R0326), [R26, R1125, R0618]);
    assert_eq!(crossed(R0618, R1125), [R1125]);
    assert!(Revision::ALL.into_iter().all(|revision| crossed(revision, revision).is_empty()));
}

/// Every plan of two different revisions.
fn crossing_plans() -> impl Iterator<Item = Plan> {
    Revision::ALL
        .into_iter()
        .flat_map(|client| Revision::ALL.map(|server| Plan::between(client, server)))
        .filter(|plan| !plan.is_empty())
}

fn request<'a>(plan: Plan, method: &Method, params: &str, edit: impl FnOnce(&mut Envelope<'a>)) -> String {
    static NOTHING: LazyLock<ClientCapabilities> = LazyLock::new(ClientCapabilities::default);
    let mut envelope = Envelope { client_info: None, capabilities: &NOTHING, log_level: None, tasks: false, ours: &[] };
    edit(&mut envelope);
    let mut params = object(params);
    plan.request(method, &mut params, &envelope);
    text(&params)
}

/// The result as the client gets it, checked against the schema of the client's revision.
#[track_caller]
fn result(plan: Plan, method: &Method, input: &str, facts: &Facts<'_>) -> String {
    let output = plan.result(method, object(input), facts, &mut Losses::default());
    if let Some(definition) = definition(method) {
        schema_files::assert_valid(plan.client.as_str(), definition, &value(&output));
    }
    text(&output)
}

#[track_caller]
fn check_result(plan: Plan, method: &Method, facts: &Facts<'_>, input: &str, expected: &str) {
    assert_eq!(result(plan, method, input, facts), expected, "{plan:?} {method} {input}");
}

fn definition(method: &Method) -> Option<&'static str> {
    Some(match method {
        Method::ToolsList => "ListToolsResult",
        Method::ToolsCall => "CallToolResult",
        Method::PromptsList => "ListPromptsResult",
        Method::PromptsGet => "GetPromptResult",
        Method::ResourcesList => "ListResourcesResult",
        Method::TemplatesList => "ListResourceTemplatesResult",
        Method::ResourcesRead => "ReadResourceResult",
        Method::Complete => "CompleteResult",
        Method::Ping | Method::SetLevel | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => "EmptyResult",
        _ => return None,
    })
}
