use std::time::Instant;

use serde_json::{Map, json};

use super::*;

fn raw(value: &Value) -> Raw {
    Raw::of(value)
}

async fn check(schema: &Value, arguments: &Value) -> Checked {
    let schemas = Schemas::default();
    schemas.check(&schemas.schema(&raw(schema)), &raw(arguments)).await
}

async fn violations(schema: &Value, arguments: &Value) -> Vec<(String, String)> {
    match check(schema, arguments).await {
        Checked::Valid => Vec::new(),
        Checked::Invalid(violations) => violations.into_iter().map(|v| (v.pointer, v.detail)).collect(),
        Checked::Unchecked(reason) => panic!("unchecked: {reason:?}"),
    }
}

#[track_caller]
fn assert_unchecked(checked: &Checked, reason: &str) {
    match checked {
        Checked::Unchecked(Some(told)) => assert!(told.contains(reason), "{told}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn violations_say_where_and_what() {
    let schema = json!({
        "type": "object",
        "properties": {"n": {"type": "integer"}, "list": {"items": {"enum": ["a", "b"]}}, "a/b~c": {"minLength": 2}},
        "required": ["n"],
        "additionalProperties": false,
    });
    assert_eq!(violations(&schema, &json!({"n": 1, "list": ["a"], "a/b~c": "xy"})).await, []);
    let mut found = violations(&schema, &json!({"list": ["a", "c"], "a/b~c": "x", "other": 1})).await;
    found.sort();
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["", "", "/a~1b~0c", "/list/1"]);
    assert!(found[0].1.contains("\"n\" is a required property") || found[1].1.contains("\"n\" is a required property"));
    assert!(found.iter().any(|(_, detail)| detail.contains("'other'")), "{found:?}");
}

#[tokio::test]
async fn sec_150_each_dialect_is_read_as_itself_and_2020_12_where_none_is_named() {
    // `prefixItems` came with 2020-12, `items` as a list was before it, and draft 4 wrote `exclusiveMinimum: true`.
    let modern = json!({"properties": {"a": {"prefixItems": [{"type": "string"}]}}});
    assert_eq!(violations(&modern, &json!({"a": [1]})).await.len(), 1);
    let seven = json!({"$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"a": {"items": [{"type": "string"}]}}});
    assert_eq!(violations(&seven, &json!({"a": [1]})).await.len(), 1);
    let four = json!({"$schema": "http://json-schema.org/draft-04/schema#",
        "properties": {"a": {"minimum": 3, "exclusiveMinimum": true}}});
    assert_eq!(violations(&four, &json!({"a": 3})).await.len(), 1);
    assert_eq!(violations(&json!(true), &json!({"a": 3})).await, []);
    assert_eq!(violations(&json!(false), &json!({"a": 3})).await.len(), 1);
}

#[tokio::test]
async fn sec_150_a_schema_that_is_none_leaves_the_call_to_the_server() {
    for schema in [
        json!({"type": 5}),
        json!({"properties": []}),
        json!({"$schema": "https://dialect.example/unknown", "type": "object"}),
        json!({"pattern": "("}),
        json!("a string"),
    ] {
        let checked = check(&schema, &json!({})).await;
        assert!(matches!(checked, Checked::Unchecked(Some(_))), "{schema}: {checked:?}");
    }
}

#[tokio::test]
async fn a_reason_is_told_once() {
    let schemas = Schemas::default();
    let schema = raw(&json!({"type": 5}));
    let arguments = raw(&json!({}));
    assert!(matches!(schemas.check(&schemas.schema(&schema), &arguments).await, Checked::Unchecked(Some(_))));
    assert!(matches!(schemas.check(&schemas.schema(&schema), &arguments).await, Checked::Unchecked(None)));
}

#[tokio::test]
async fn numbers_that_are_not_kept_exactly_refuse_nothing() {
    let text = |text: &'static str| Raw::constant(text);
    let schemas = Schemas::default();
    let schema = schemas.schema(&text(r#"{"properties": {"n": {"type": "integer", "multipleOf": 10}}}"#));
    for (arguments, valid) in [
        (r#"{"n": 20}"#, Some(true)),
        (r#"{"n": 21}"#, Some(false)),
        (r#"{"n": 123456789012345678901234567891}"#, None),
        (r#"{"n": 1e400}"#, None),
        (r#"{"n": "123456789012345678901234567891"}"#, Some(false)),
    ] {
        let checked = schemas.check(&schema, &text(arguments)).await;
        match valid {
            Some(true) => assert!(matches!(checked, Checked::Valid), "{arguments}: {checked:?}"),
            Some(false) => assert!(matches!(checked, Checked::Invalid(_)), "{arguments}: {checked:?}"),
            None => assert!(!matches!(checked, Checked::Invalid(_)), "{arguments}: {checked:?}"),
        }
    }
}

fn doubling(levels: usize) -> Value {
    let mut all: Map<String, Value> = Map::new();
    all.insert("a0".into(), json!({"minimum": 0}));
    for level in 1..=levels {
        let below = json!({"$ref": format!("#/$defs/a{}", level - 1)});
        all.insert(format!("a{level}"), json!({"allOf": [below, below]}));
    }
    json!({"$defs": all, "properties": {"x": {"$ref": format!("#/$defs/a{levels}")}}})
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({"c": inner}))
}

#[tokio::test]
async fn sec_148_bombs_end_in_time_and_the_call_goes_on() {
    let twice = json!({"$defs": {"n": {
        "required": ["zz"],
        "allOf": [{"properties": {"c": {"$ref": "#/$defs/n"}}}, {"properties": {"c": {"$ref": "#/$defs/n"}}}],
    }}, "$ref": "#/$defs/n"});
    let unevaluated = json!({"$defs": {"n": {
        "unevaluatedProperties": false,
        "allOf": [{"properties": {"c": {"$ref": "#/$defs/n"}}}, {"properties": {"c": {"$ref": "#/$defs/n"}}}],
    }}, "$ref": "#/$defs/n"});
    let maze = (0..40).fold(
        json!({"properties": {"x": {}}}),
        |inner, n| json!({"unevaluatedProperties": false, "anyOf": [inner, {"properties": {format!("p{n}"): {}}}]}),
    );
    let many: Map<String, Value> = (0..100_000).map(|n| (format!("p{n}"), json!({"type": "string"}))).collect();
    let words: Vec<String> = (0..1_000_000).map(|n| n.to_string()).collect();
    let chain: Map<String, Value> =
        (0..5_000).map(|n| (format!("a{n}"), json!({"$ref": format!("#/$defs/a{}", n + 1)}))).collect();
    for (name, schema, arguments) in [
        ("allOf doubled 30 times", doubling(30), json!({"x": {"y": 1}})),
        ("allOf doubled 30 times, failing", doubling(30), json!({"x": -1})),
        ("two ways down, 60 levels", twice, nested(60)),
        ("unevaluated, 60 levels", unevaluated, nested(60)),
        ("a maze", maze, json!({"x": 1, "y": 2})),
        ("a reference to itself", json!({"$ref": "#"}), json!({"a": 1})),
        ("a dynamic loop", json!({"$dynamicAnchor": "n", "$dynamicRef": "#n"}), json!({"a": 1})),
        ("100 000 properties", json!({"properties": many}), json!({"p1": 1})),
        ("a million values", json!({"properties": {"x": {"enum": words}}}), json!({"x": 1})),
        ("nested too deeply", (0..120).fold(json!({}), |inner, _| json!({"not": inner})), json!({})),
        ("a chain of references", json!({"$defs": chain, "$ref": "#/$defs/a0"}), json!({})),
        (
            "unique items",
            json!({"properties": {"x": {"uniqueItems": true}}}),
            json!({"x": (0..100_000).collect::<Vec<_>>()}),
        ),
    ] {
        let schemas = Schemas::default();
        let schema = schemas.schema(&raw(&schema));
        let arguments = raw(&arguments);
        // Compiled before the clock runs: that is bounded by the caps.
        let _ = schemas.check(&schema, &raw(&json!({}))).await;
        let begun = Instant::now();
        let checked = schemas.check(&schema, &arguments).await;
        let took = begun.elapsed();
        println!("{name}: {took:?}, {}", format!("{checked:?}").chars().take(150).collect::<String>());
        assert!(took < PATIENCE, "{name}: {took:?}");
    }
}

/// The longest chain of references that the caps let through, in its most costly forms.
#[tokio::test]
async fn sec_148_what_the_caps_let_through_fits_the_stack() {
    type Link = fn(Value) -> Value;
    let links: [(&str, Link, Value); 3] = [
        ("plain", |next| next, json!({})),
        ("all", |next| json!({"allOf": [{"anyOf": [{"oneOf": [next]}]}]}), json!({})),
        (
            "down",
            |next| json!({"properties": {"c": {"items": {"not": {"not": next}}}}, "unevaluatedProperties": true}),
            nested(60),
        ),
    ];
    for (name, link, arguments) in links {
        let mut all: Map<String, Value> =
            (0..990).map(|n| (format!("a{n}"), link(json!({"$ref": format!("#/$defs/a{}", n + 1)})))).collect();
        all.insert("a990".into(), json!({"required": ["zz"]}));
        let checked = check(&json!({"$defs": all, "$ref": "#/$defs/a0"}), &arguments).await;
        println!("{name}: {checked:?}");
    }
}

#[tokio::test]
async fn sec_149_patterns_that_never_end_are_given_up() {
    let text = format!("{}!", "a".repeat(100_000));
    for pattern in ["(a+)+$", r"^(a|a)*\1b", "^(?=(a+)+$)a", "((a{1000}){1000}){1000}"] {
        let schemas = Schemas::default();
        let schema = schemas.schema(&raw(&json!({"properties": {"x": {"pattern": pattern}}})));
        let _ = schemas.check(&schema, &raw(&json!({}))).await;
        let begun = Instant::now();
        let checked = schemas.check(&schema, &raw(&json!({"x": text}))).await;
        let took = begun.elapsed();
        println!("{pattern}: {took:?}, {checked:?}");
        assert!(took < PATIENCE, "{pattern}: {took:?}");
    }
    assert_unchecked(
        &check(&json!({"properties": {"x": {"pattern": r"^(a|a)*\1b"}}}), &json!({"x": text})).await,
        "pattern",
    );
}

/// The threads that serve others are free meanwhile.
#[tokio::test]
async fn sec_148_a_check_does_not_hold_up_the_runtime() {
    let schemas = Arc::new(Schemas::default());
    let schema = schemas.schema(&raw(&doubling(30)));
    let arguments = raw(&json!({"x": -1}));
    let checks: Vec<_> = (0..32)
        .map(|_| {
            let (schemas, schema, arguments) = (schemas.clone(), schema.clone(), arguments.clone());
            tokio::spawn(async move { schemas.check(&schema, &arguments).await })
        })
        .collect();
    // On the one thread of this runtime: each check that ran on it would be one turn.
    let mut turns = 0;
    while !checks.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        turns += 1;
    }
    assert!(turns > 2 * checks.len(), "{turns} turns");
    for check in checks {
        assert!(!matches!(check.await.unwrap(), Checked::Valid));
    }
}

#[tokio::test]
async fn sec_147_nothing_is_fetched_for_a_schema() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"type": "object", "required": ["from-a-file"]}"#).unwrap();
    let file = file.path().display();
    for schema in [
        json!({"$ref": format!("{base}/schema.json")}),
        json!({"$ref": format!("file://{file}")}),
        json!({"$ref": "file:///etc/passwd"}),
        json!({"$schema": format!("{base}/dialect")}),
        json!({"$id": format!("{base}/here/"), "$ref": "there.json"}),
        json!({"$dynamicRef": format!("{base}/schema.json#node")}),
        json!({"properties": {"x": {"$ref": format!("{base}/schema.json")}}}),
    ] {
        let checked = check(&schema, &json!({})).await;
        assert!(matches!(checked, Checked::Unchecked(Some(_))), "{schema}: {checked:?}");
    }
    let came = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    assert!(came.is_err(), "somebody asked for a schema");
}

#[test]
fn few_schemas_are_kept() {
    let schemas = Schemas::default();
    for n in 0..SCHEMAS * 2 {
        let _ = schemas.schema(&raw(&json!({"minimum": n})));
    }
    let large = "x".repeat(caps::BYTES / 2);
    for n in 0..100 {
        let _ = schemas.schema(&raw(&json!({"title": large, "minimum": n})));
    }
    let known = schemas.known.lock().unwrap();
    assert!(known.schemas.len() <= SCHEMAS && known.schemas.len() == known.order.len());
    assert!(known.bytes <= SCHEMA_BYTES);
    assert_eq!(known.bytes, known.order.iter().map(|text| text.as_bytes().len()).sum::<usize>());
}
