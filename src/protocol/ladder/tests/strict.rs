//! Strict clients are sent nothing that a later revision brought, checked against the schemas of all revisions: what can be
//! sent at all is made from the schema of the server's, and what may be left of it is looked up in that of the client's.

use serde_json::{Map, Value, json};

use super::{LEGACY, R24, R26, R0618, R1125, definition, object, schema_files, value};
use crate::{
    jsonrpc::RawObject,
    protocol::{
        Losses, Method, Revision,
        ladder::{Facts, Plan},
    },
};

const METHODS: [Method; 8] = [
    Method::ToolsList,
    Method::ToolsCall,
    Method::PromptsList,
    Method::PromptsGet,
    Method::ResourcesList,
    Method::TemplatesList,
    Method::ResourcesRead,
    Method::Complete,
];

/// Makes everything that a schema describes, each with all the members it can have.
struct Maker<'d>(schema_files::Walk<'d>);

impl Maker<'_> {
    /// One value for each way in which the schema can be met that matters here.
    fn every(&self, schema: &Value) -> Vec<Value> {
        let Some(schema) = self.0.resolve(schema) else { return vec![json!({"k": 1})] };
        if let Some(branches) = schema["anyOf"].as_array() {
            return branches.iter().flat_map(|branch| self.every(branch)).collect();
        }
        if let Some(one) = schema.get("const").or_else(|| schema["enum"].get(0)) {
            return vec![one.clone()];
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
        match kind {
            "object" => self.every_object(&schema),
            "array" => vec![self.every(&schema["items"]).into()],
            "string" => vec![match schema["format"].as_str() {
                Some("byte") => json!("AA=="),
                Some(_) => json!("file:///x"),
                None => json!("x"),
            }],
            "boolean" => vec![json!(true)],
            _ => vec![schema.get("maximum").or_else(|| schema.get("minimum")).cloned().unwrap_or_else(|| json!(1))],
        }
    }

    fn every_object(&self, schema: &Value) -> Vec<Value> {
        let defined = schema["properties"].as_object().cloned().unwrap_or_default();
        let others = &schema["additionalProperties"];
        if defined.is_empty() {
            let others = if others.is_object() { self.every(others) } else { vec![json!(1)] };
            return vec![
                others.into_iter().enumerate().map(|(n, v)| (format!("k{n}"), v)).collect::<Map<_, _>>().into(),
            ];
        }
        let members: Vec<(String, Vec<Value>)> = defined.into_iter().map(|(n, own)| (n, self.every(&own))).collect();
        let most = members.iter().map(|(_, ways)| ways.len()).max().unwrap_or(0);
        let one = |n: usize| members.iter().map(move |(name, ways)| (name.clone(), ways[n % ways.len()].clone()));
        (0..most).map(|n| one(n).collect::<Map<_, _>>().into()).collect()
    }
}

/// Everything that a definition of a revision describes; nothing without the schemas.
fn made(revision: Revision, definition: &str) -> Vec<Value> {
    let Some(document) = schema_files::document(revision.as_str()) else { return Vec::new() };
    let schema = schema_files::Walk::definition(&document, definition);
    let made = Maker(schema_files::Walk { document: &document }).every(&schema);
    for one in &made {
        schema_files::assert_valid(revision.as_str(), definition, one);
    }
    assert!(!made.is_empty(), "nothing was made of {definition}");
    made
}

fn defined(client: Revision, definition: &str, value: &Value) -> Value {
    schema_files::defined(client.as_str(), definition, value)
}

/// The plans to older clients, as they are usually and as they are strictly.
fn plans() -> impl Iterator<Item = (Plan, Plan)> {
    let older = super::crossing_plans().filter(|plan| plan.client < plan.server);
    older.map(|plan| (plan, Plan { strict: true, ..plan }))
}

/// Checks that the strict form is the usual one without what the client's revision does not define, no less and no more.
#[track_caller]
fn check(plan: Plan, definition: &str, usual: &Value, strict: &Value) -> bool {
    assert_eq!(*strict, defined(plan.client, definition, usual), "{plan:?} {definition}");
    usual != strict
}

#[test]
fn results_have_what_the_clients_revision_defines_and_nothing_later() {
    let mut changed = 0;
    for (plan, strict) in plans() {
        for method in METHODS {
            let definition = definition(&method).unwrap();
            for sent in made(plan.server, definition) {
                let sent = object(&sent.to_string());
                let [usual, strict] = [plan, strict]
                    .map(|plan| value(&plan.result(&method, sent.clone(), &Facts::default(), &mut Losses::default())));
                changed += usize::from(check(plan, definition, &usual, &strict));
            }
        }
    }
    assert!(changed > 20 || made(R26, "Tool").is_empty(), "{changed}");
}

#[test]
fn who_a_server_is_and_what_it_offers_are_told_in_the_clients_words() {
    for (plan, strict) in plans() {
        for sent in made(plan.server, "Implementation") {
            let [usual, strict] = [plan, strict].map(|plan| {
                let info = plan.server_info(object(&sent.to_string()).to_raw());
                info.parse::<Value>().unwrap()
            });
            assert_eq!(usual, sent);
            assert_eq!(
                check(plan, "Implementation", &usual, &strict),
                plan.client < R0618 && plan.server >= R0618 || plan.client < R1125 && plan.server >= R1125
            );
        }
        for sent in made(plan.server, "ServerCapabilities") {
            let [usual, strict] = [plan, strict].map(|plan| value(&plan.capabilities(object(&sent.to_string()))));
            check(plan, "ServerCapabilities", &usual, &strict);
        }
    }
}

#[test]
fn notifications_too() {
    for (plan, strict) in plans() {
        for definition in ["ProgressNotification", "LoggingMessageNotification", "ResourceUpdatedNotification"] {
            for sent in made(plan.server, definition) {
                let method = sent["method"].as_str().unwrap();
                let [usual, strict] = [plan, strict].map(|plan| {
                    let params = plan.notification(method, Some(object(&sent["params"].to_string())));
                    json!({"method": method, "params": params.as_ref().map(value)})
                });
                check(plan, definition, &usual, &strict);
            }
        }
    }
}

/// A question that asks the same by one message, or in one way, at a time, without what older revisions have no words for.
fn questions(plan: Plan, definition: &str) -> Vec<(String, RawObject)> {
    let made = made(plan.server, definition).into_iter().flat_map(|mut sent| {
        let method = sent["method"].as_str().unwrap().to_owned();
        if let Some(Value::Object(fields)) = sent.pointer_mut("/params/requestedSchema/properties") {
            // Choices of several are a kind of field that older revisions do not have at all; they stay.
            fields.retain(|_, field| plan.client >= R1125 || field["type"] != "array");
        }
        let params = sent["params"].clone();
        let messages = params["messages"].as_array().cloned();
        let each: Vec<Value> = match messages {
            None => vec![params],
            Some(messages) => messages
                .into_iter()
                .map(|message| {
                    let mut params = params.clone();
                    params["messages"] = json!([message]);
                    params
                })
                .collect(),
        };
        each.into_iter().map(move |params| (method.clone(), object(&params.to_string())))
    });
    made.filter(|(method, params)| plan.can_ask(method, Some(params))).collect()
}

#[test]
fn questions_too() {
    let mut asked = 0;
    for (plan, strict) in plans() {
        for (definition, since) in [("CreateMessageRequest", R24), ("ElicitRequest", R0618)] {
            if plan.client < since {
                continue;
            }
            for (method, params) in questions(plan, definition) {
                let [usual, strict] = [plan, strict].map(|plan| {
                    let params =
                        plan.question(&method, Some(params.clone()), || "e".to_owned(), &mut Losses::default());
                    json!({"method": method, "params": params.as_ref().map(value)})
                });
                check(plan, definition, &usual, &strict);
                asked += 1;
            }
        }
    }
    assert!(asked > 20 || made(R26, "Tool").is_empty(), "{asked}");
}

#[test]
fn what_no_revision_defines_and_what_nobody_is_strict_about_stays() {
    let list = r#"{"tools":[{"name":"t","title":"T","x-own":1.0,"inputSchema":{"type":"object"}}]}"#;
    for client in LEGACY {
        let plan = Plan::between(client, R26);
        let shown = |plan: Plan| {
            super::text(&plan.result(&Method::ToolsList, object(list), &Facts::default(), &mut Losses::default()))
        };
        assert_eq!(shown(plan), list);
        let expected = if client < R0618 { list.replace(r#""title":"T","#, "") } else { list.to_owned() };
        assert_eq!(shown(Plan { strict: true, ..plan }), expected);
        // Between equal revisions nothing is touched, and nothing is taken from newer clients.
        let same = Plan { strict: true, ..Plan::between(client, client) };
        let newer = Plan { strict: true, ..Plan::between(R26, client) };
        let ahead = r#"{ "tools" : [{"name":"t","icons":[],"title":"T","inputSchema":{"type":"object"}}] }"#;
        assert_eq!(
            super::text(&same.result(&Method::ToolsList, object(ahead), &Facts::default(), &mut Losses::default())),
            ahead
        );
        let told = newer.result(&Method::ToolsList, object(ahead), &Facts::default(), &mut Losses::default());
        assert!(super::text(&told).contains(r#""icons":[],"title":"T""#));
    }
}

#[test]
fn structured_results_are_text_for_those_who_know_no_others() {
    let ran = r#"{"content":[],"structuredContent":{"n":1.0},"resultType":"complete"}"#;
    let plan = Plan { strict: true, ..Plan::between(R24, R26) };
    let told = plan.result(&Method::ToolsCall, object(ran), &Facts::default(), &mut Losses::default());
    assert_eq!(super::text(&told), r#"{"content":[{"type":"text","text":"{\"n\":1.0}"}]}"#);
}
