//! Unknown members, their order and the spelling of numbers survive every plan (ERA-432, ERA-433).

use proptest::prelude::*;

use super::{LEGACY, R26, object, request, text};
use crate::protocol::{
    Losses, Method, Revision,
    ladder::{Facts, Plan},
};

/// JSON that no revision says anything about, spelled in every way.
fn anything() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1.0".to_owned()),
        Just("1e400".to_owned()),
        Just("12345678901234567890".to_owned()),
        Just("-0".to_owned()),
        Just("null".to_owned()),
        Just(r#""\u00e9\/""#.to_owned()),
        Just("true".to_owned()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|parts| format!("[ {} ]", parts.join(" ,"))),
            proptest::collection::vec(inner, 0..4).prop_map(|parts| {
                let members: Vec<String> =
                    parts.iter().enumerate().map(|(n, part)| format!("\"u{n}\" : {part}")).collect();
                format!("{{ {} }}", members.join(", "))
            }),
        ]
    })
}

fn members(values: &[String]) -> String {
    values.iter().enumerate().map(|(n, value)| format!(r#","x{n}":{value}"#)).collect()
}

fn methods() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::ToolsCall),
        Just(Method::ToolsList),
        Just(Method::PromptsGet),
        Just(Method::ResourcesRead),
        Just(Method::Complete),
        Just(Method::parse("acme/do")),
    ]
}

proptest! {
    #[test]
    fn era_432_433_unknown_members_survive_every_plan(values in proptest::collection::vec(anything(), 1..5), method in methods()) {
        let members = members(&values);
        let meta = format!(r#""_meta":{{"io.modelcontextprotocol/future":{},"k":1.0}}"#, values[0]);
        for plan in super::crossing_plans() {
            let input = format!(r#"{{"name":"n",{}{members}}}"#, meta);
            let up = request(plan, &method, &input, |_| {});
            prop_assert!(up.contains(&members), "{plan:?} {up}");
            prop_assert!(up.contains(&meta[..meta.len() - 1]), "{plan:?} {up}");
            let input = format!(
                r#"{{"content":[{{"type":"text","text":"t"{members}}}],"tools":[{{"name":"t","inputSchema":{{"type":"object"{members}}}{members}}}],{meta}{members}}}"#
            );
            let down = text(&plan.result(&method, object(&input), &Facts::default(), &mut Losses::default()));
            prop_assert_eq!(down.matches(&members).count(), 4, "{:?} {}", plan, down);
            prop_assert!(down.contains(&meta[..meta.len() - 1]), "{plan:?} {down}");
        }
    }

    #[test]
    fn era_432_between_equal_revisions_not_a_byte_is_touched(values in proptest::collection::vec(anything(), 0..5), method in methods()) {
        let members = members(&values);
        let params = format!(r#"{{ "name" : "n" , "_meta" : {{ "progressToken" : 1 }}{members} }}"#);
        let result = format!(
            r#"{{ "content":[ ], "tools":[ {{"name":"t","execution":{{}},"inputSchema":{{"type":"object"}}{members}}} ] , "resultType":"complete", "ttlMs":1, "cacheScope":"public"{members} }}"#
        );
        for revision in Revision::ALL {
            let plan = Plan::between(revision, revision);
            prop_assert_eq!(&request(plan, &method, &params, |_| {}), &params);
            let facts = Facts { http: true, ..Facts::default() };
            prop_assert_eq!(&text(&plan.result(&method, object(&result), &facts, &mut Losses::default())), &result);
        }
    }

    #[test]
    fn no_plan_panics_on_any_json(value in anything(), method in methods()) {
        let shapes = [
            format!(r#"{{"content":{value},"structuredContent":{value},"messages":{value},"tools":[{value}],"_meta":{value}}}"#),
            format!(r#"{{"tools":[{{"inputSchema":{value},"outputSchema":{value},"x-mcp-header":1}}],"content":[{value}],"messages":[{{"content":{value}}}]}}"#),
        ];
        for client in Revision::ALL {
            for server in Revision::ALL {
                let plan = Plan::between(client, server);
                for shape in &shapes {
                    let object = object(shape);
                    let _ = plan.result(&method, object.clone(), &Facts::default(), &mut Losses::default());
                    let _ = plan.capabilities(object.clone());
                    for question in ["elicitation/create", "sampling/createMessage"] {
                        let _ = plan.can_ask(question, Some(&object));
                        let _ = plan.question(question, Some(object.clone()), String::new, &mut Losses::default());
                        let _ = plan.answer(question, object.clone(), &mut Losses::default());
                    }
                }
            }
        }
    }
}

#[test]
fn era_434_unknown_keys_of_the_protocols_own_prefix_pass() {
    let params = r#"{"_meta":{"io.modelcontextprotocol/future":{"a":1.0}}}"#;
    for legacy in LEGACY {
        assert_eq!(request(Plan::between(R26, legacy), &Method::ToolsCall, params, |_| {}), params);
    }
    assert_eq!(request(Plan::between(R26, R26), &Method::ToolsCall, params, |_| {}), params);
}
