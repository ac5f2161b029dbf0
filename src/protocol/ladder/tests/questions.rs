use super::{LEGACY, R24, R26, R0326, R0618, R1125, object, schema_files, text, value};
use crate::protocol::{
    Losses,
    ladder::Plan,
    method::question::{ELICIT, ROOTS, SAMPLE},
};

fn ask(plan: Plan, method: &str, params: &str) -> Option<String> {
    plan.question(method, Some(object(params)), || "fresh".into(), &mut Losses::default()).map(|params| text(&params))
}

#[track_caller]
fn check(plan: Plan, method: &str, params: &str, expected: &str) {
    assert_eq!(ask(plan, method, params).as_deref(), Some(expected), "{plan:?}");
    let whole = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": value(&object(expected)) });
    let definition = if method == SAMPLE { "CreateMessageRequest" } else { "ElicitRequest" };
    schema_files::assert_valid(plan.client.as_str(), definition, &whole);
}

const FORM: &str = r#"{"mode":"form","message":"m","requestedSchema":{"type":"object","properties":{"s":{"type":"string","default":"d","minLength":1},"b":{"type":"boolean","default":true},"c":{"type":"string","oneOf":[{"const":"x","title":"X"},{"const":"y","title":"Y"}],"title":"C"}},"required":["s"]},"_meta":{"k":1}}"#;

#[test]
fn era_247_forms_are_spelled_the_old_way_for_2025_06_18() {
    let expected = r#"{"message":"m","requestedSchema":{"type":"object","properties":{"s":{"type":"string","minLength":1},"b":{"type":"boolean","default":true},"c":{"type":"string","title":"C","enum":["x","y"],"enumNames":["X","Y"]}},"required":["s"]},"_meta":{"k":1}}"#;
    for server in [R1125, R26] {
        check(Plan::between(R0618, server), ELICIT, FORM, expected);
    }
    check(Plan::between(R1125, R26), ELICIT, FORM, FORM);
    // What has no older spelling stays; the client may refuse it.
    let several = r#"{"message":"m","requestedSchema":{"$schema":"s","type":"object","properties":{"m":{"type":"array","items":{"type":"string","enum":["a"]},"default":["a"]}}}}"#;
    assert_eq!(ask(Plan::between(R0618, R26), ELICIT, several).as_deref(), Some(several));
}

#[test]
fn era_263_a_page_gets_an_id_for_2025_11_25() {
    let input = r#"{"mode":"url","message":"m","url":"https://x.example/"}"#;
    let expected = r#"{"mode":"url","message":"m","url":"https://x.example/","elicitationId":"fresh"}"#;
    check(Plan::between(R1125, R26), ELICIT, input, expected);
    check(Plan::between(R1125, R1125), ELICIT, expected, expected);
}

#[test]
fn era_262_what_the_clients_revision_cannot_say_is_not_asked() {
    let url = object(r#"{"mode":"url","message":"m","url":"https://x.example/"}"#);
    let form = object(FORM);
    for server in [R1125, R26] {
        assert!(Plan::between(R1125, server).can_ask(ELICIT, Some(&url)));
        assert!(!Plan::between(R0618, server).can_ask(ELICIT, Some(&url)));
        assert!(Plan::between(R0618, server).can_ask(ELICIT, Some(&form)));
        assert!(!Plan::between(R0326, server).can_ask(ELICIT, Some(&form)));
        let audio = object(r#"{"messages":[{"role":"user","content":[{"type":"text","text":""},{"type":"audio"}]}]}"#);
        assert!(!Plan::between(R24, server).can_ask(SAMPLE, Some(&audio)));
        assert!(Plan::between(R0326, server).can_ask(SAMPLE, Some(&audio)));
        let tools = object(r#"{"messages":[{"role":"user","content":{"type":"tool_result"}}]}"#);
        assert!(!Plan::between(R0618, server).can_ask(SAMPLE, Some(&tools)));
        assert!(Plan::between(R1125, server).can_ask(SAMPLE, Some(&tools)));
        assert!(Plan::between(R24, server).can_ask(ROOTS, None));
    }
}

#[test]
fn era_248_sampling_messages_of_several_blocks_become_several_messages() {
    let input = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","data":"","mimeType":"i/p"}],"x":1},{"role":"assistant","content":{"type":"text","text":"b"}},{"role":"user","content":[{"type":"text","text":"c"}]},{"role":"user","content":[]}],"maxTokens":5,"task":{"ttl":1}}"#;
    let expected = r#"{"messages":[{"role":"user","content":{"type":"text","text":"a"},"x":1},{"role":"user","content":{"type":"image","data":"","mimeType":"i/p"},"x":1},{"role":"assistant","content":{"type":"text","text":"b"}},{"role":"user","content":{"type":"text","text":"c"}}],"maxTokens":5}"#;
    for client in [R24, R0326, R0618] {
        check(Plan::between(client, R1125), SAMPLE, input, expected);
    }
    let modern = r#"{"messages":[{"role":"user","content":[]}],"maxTokens":5}"#;
    check(Plan::between(R1125, R26), SAMPLE, modern, modern);
}

#[test]
fn era_240_241_a_modern_client_sees_no_legacy_words_in_a_question() {
    for server in [R0618, R1125] {
        let plan = Plan::between(R26, server);
        check(
            plan,
            ELICIT,
            r#"{"mode":"url","message":"m","url":"https://x.example/","elicitationId":"e","task":{},"_meta":{"progressToken":1,"io.modelcontextprotocol/related-task":{"taskId":"t"},"rialto/input-key":"k","io.modelcontextprotocol/protocolVersion":"x"}}"#,
            r#"{"mode":"url","message":"m","url":"https://x.example/"}"#,
        );
        check(plan, ELICIT, FORM, FORM);
    }
    check(
        Plan::between(R26, R24),
        SAMPLE,
        r#"{"messages":[],"maxTokens":5,"temperature":1.0,"_meta":{"keep":1,"progressToken":2}}"#,
        r#"{"messages":[],"maxTokens":5,"temperature":1.0,"_meta":{"keep":1}}"#,
    );
}

#[test]
fn roots_are_asked_for_without_params_across_the_eras() {
    for legacy in LEGACY {
        for plan in [Plan::between(R26, legacy), Plan::between(legacy, R26)] {
            assert_eq!(ask(plan, ROOTS, r#"{"_meta":{"progressToken":1}}"#), None);
            assert!(plan.question(ROOTS, None, String::new, &mut Losses::default()).is_none());
        }
    }
}

#[test]
fn between_equal_revisions_a_question_and_its_answer_are_untouched() {
    let params = r#"{ "mode":"form", "task":{}, "_meta":{"io.modelcontextprotocol/related-task":1} }"#;
    for revision in crate::protocol::Revision::ALL {
        let plan = Plan::between(revision, revision);
        assert_eq!(ask(plan, ELICIT, params).as_deref(), Some(params));
        assert_eq!(text(&plan.answer(ELICIT, object(params), &mut Losses::default())), params);
    }
}

fn answer(plan: Plan, method: &str, answer: &str) -> String {
    text(&plan.answer(method, object(answer), &mut Losses::default()))
}

#[test]
fn an_answer_of_several_blocks_becomes_one_for_servers_that_take_one() {
    let check = |content: &str, expected: &str| {
        for client in [R1125, R26] {
            for server in [R0326, R0618] {
                let input = format!(r#"{{"role":"assistant","model":"m","content":{content}}}"#);
                let output = answer(Plan::between(client, server), SAMPLE, &input);
                assert_eq!(output, format!(r#"{{"role":"assistant","model":"m","content":{expected}}}"#));
                schema_files::assert_valid(
                    server.as_str(),
                    "CreateMessageResult",
                    &serde_json::from_str(&output).unwrap(),
                );
            }
        }
    };
    let text = r#"{"type":"text","text":"a","x":1.0}"#;
    let image = r#"{"type":"image","data":"","mimeType":"i/p"}"#;
    check(text, text);
    check(&format!("[{text}]"), text);
    check(&format!("[{image}]"), image);
    check(&format!(r#"[{text},{{"type":"text","text":"b"}}]"#), r#"{"type":"text","text":"a\nb"}"#);
    check("[]", r#"{"type":"text","text":""}"#);
    check(&format!("[{image},{image}]"), image);
    check(&format!("[{text},{image},{text}]"), &format!(r#"{image},"_meta":{{"rialto/omitted-text":"a\na"}}"#));
    let several = format!(r#"{{"content":[{text},{text}]}}"#);
    assert_eq!(answer(Plan::between(R26, R1125), SAMPLE, &several), several);
    let audio = r#"{"content":{"type":"audio","data":"","mimeType":"a/w"}}"#;
    let unsupported = r#"{"content":{"type":"text","text":"[unsupported content audio]"}}"#;
    assert_eq!(answer(Plan::between(R26, R24), SAMPLE, audio), unsupported);
    assert_eq!(answer(Plan::between(R26, R0326), SAMPLE, audio), audio);
}

#[test]
fn an_answer_keeps_nothing_of_its_own_hop() {
    let input = r#"{"action":"accept","content":{"n":1.0},"_meta":{"io.modelcontextprotocol/clientInfo":{},"k":1}}"#;
    let up = answer(Plan::between(R0618, R26), ELICIT, input);
    assert_eq!(up, r#"{"action":"accept","content":{"n":1.0}}"#);
    schema_files::assert_valid("2026-07-28", "InputResponse", &serde_json::from_str(&up).unwrap());
    let input =
        r#"{"action":"decline","resultType":"complete","_meta":{"io.modelcontextprotocol/clientInfo":{},"k":1}}"#;
    assert_eq!(answer(Plan::between(R26, R0618), ELICIT, input), r#"{"action":"decline","_meta":{"k":1}}"#);
}

#[test]
fn what_a_form_or_an_answer_loses_is_noted() {
    use crate::protocol::Loss;
    let lost = |plan: Plan, field: &str| {
        let params = format!(r#"{{"message":"m","requestedSchema":{{"type":"object","properties":{{"a":{field}}}}}}}"#);
        let mut losses = Losses::default();
        let _ = plan.question(ELICIT, Some(object(&params)), String::new, &mut losses);
        losses
    };
    let (several, default) = (r#"{"type":"array","items":{"type":"string"}}"#, r#"{"type":"string","default":"x"}"#);
    let titled = r#"{"type":"string","oneOf":[{"const":"a","title":"A"}]}"#;
    for server in [R1125, R26] {
        for (field, expected) in [
            (several, Losses::from(Loss::Form)),
            (default, Loss::Form.into()),
            (titled, Losses::default()),
            (r#"{"type":"boolean","default":true}"#, Losses::default()),
        ] {
            assert_eq!(lost(Plan::between(R0618, server), field), expected, "{field}");
            assert!(lost(Plan::between(R1125, server), field).is_empty(), "{field}");
        }
    }
    let lost = |client, server, content: &str| {
        let mut losses = Losses::default();
        let _ =
            Plan::between(client, server).answer(SAMPLE, object(&format!(r#"{{"content":{content}}}"#)), &mut losses);
        losses
    };
    let (text, audio) = (r#"{"type":"text","text":"a"}"#, r#"{"type":"audio","data":"","mimeType":"a/b"}"#);
    let both = format!("[{text},{audio}]");
    assert_eq!(lost(R1125, R0618, &both), Loss::Sampling.into());
    assert_eq!(lost(R1125, R0618, &format!("[{text}]")), Losses::default(), "one is one");
    assert_eq!(lost(R0618, R24, audio), Loss::Content.into());
    assert_eq!(lost(R1125, R24, &both).each().count(), 2);
    assert!(lost(R1125, R1125, &both).is_empty());
}
