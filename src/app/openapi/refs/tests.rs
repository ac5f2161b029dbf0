use serde_json::{Value, json};

use super::*;

fn moved(schema: &Value) -> serde_json::Map<String, Value> {
    components(&Raw::of(schema), "m.t.input").into_iter().map(|(name, raw)| (name, raw.parse().unwrap())).collect()
}

#[test]
fn what_needs_no_change_is_not_touched() {
    let schema = r##"{"type":"object","properties":{"n":{"maximum":123456789012345678901234567890.50,"minimum":-0.0},"$ref":{"type":"string"}},"zebra":{"$ref":"kept"},"enum":[{"$ref":"#/x"},1.0],"patternProperties":{"^a":true},"if":{"const":{"$id":"x"}},"then":false,"x-mcp-header":"\u0041"}"##;
    let moved = components(&Raw::constant(schema), "n");
    assert_eq!(format!("{:?}", moved[0].1), schema);
}

#[test]
fn references_follow_their_schema() {
    let moved = moved(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {
            "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "all": {"$ref": "#"}}},
            "a/b~c d": {"$ref": "#/$defs/Node/properties/next"},
        },
        "definitions": {"Old": {"minimum": 1}},
        "properties": {
            "a": {"$ref": "#/$defs/Node"},
            "b": {"$ref": "#/$defs/a~1b~0c%20d", "description": "kept"},
            "c": {"items": {"$ref": "#/definitions/Old"}},
            "d": {"$ref": "#/properties/a"},
        },
    }));
    let odd = format!("m.t.input.{}", slug("a/b~c d"));
    assert!(odd.starts_with("m.t.input.a_b_c_d."));
    assert_eq!(
        moved["m.t.input"],
        json!({"properties": {
            "a": {"$ref": "#/components/schemas/m.t.input.Node"},
            "b": {"$ref": format!("#/components/schemas/{odd}"), "description": "kept"},
            "c": {"items": {"$ref": "#/components/schemas/m.t.input.Old"}},
            "d": {"$ref": "#/components/schemas/m.t.input/properties/a"},
        }})
    );
    assert_eq!(
        moved["m.t.input.Node"]["properties"],
        json!({
            "next": {"$ref": "#/components/schemas/m.t.input.Node"},
            "all": {"$ref": "#/components/schemas/m.t.input"},
        })
    );
    assert_eq!(moved[&odd], json!({"$ref": "#/components/schemas/m.t.input.Node/properties/next"}));
    assert_eq!(moved["m.t.input.Old"], json!({"minimum": 1}));
    assert_eq!(moved.len(), 4);
}

#[test]
fn names_of_resources_and_anchors_are_resolved() {
    let moved = moved(&json!({
        "$id": "https://example.com/root.json",
        "$anchor": "top",
        "$defs": {
            "inner": {"$id": "inner.json", "$anchor": "here", "properties": {"x": {"$ref": "#/properties/y"}, "y": {}}},
            "tree": {"$dynamicAnchor": "node", "properties": {"child": {"$dynamicRef": "#node"}}},
        },
        "properties": {
            "a": {"$ref": "inner.json"},
            "b": {"$ref": "https://example.com/inner.json#here"},
            "c": {"$ref": "#top"},
            "d": {"$ref": "https://example.com/root.json#/properties/a"},
            "e": {"$ref": "inner.json#/properties/x"},
        },
    }));
    let at = |name: &str| moved["m.t.input"]["properties"][name]["$ref"].as_str().unwrap().to_owned();
    assert_eq!(at("a"), "#/components/schemas/m.t.input.inner");
    assert_eq!(at("b"), "#/components/schemas/m.t.input.inner");
    assert_eq!(at("c"), "#/components/schemas/m.t.input");
    assert_eq!(at("d"), "#/components/schemas/m.t.input/properties/a");
    assert_eq!(at("e"), "#/components/schemas/m.t.input.inner/properties/x");
    let inner = &moved["m.t.input.inner"];
    assert_eq!(inner["properties"]["x"]["$ref"], "#/components/schemas/m.t.input.inner/properties/y");
    assert_eq!(inner.get("$id"), None);
    let child = &moved["m.t.input.tree"]["properties"]["child"];
    assert_eq!(child, &json!({"$ref": "#/components/schemas/m.t.input.tree"}));
}

#[test]
fn sec_124_nothing_leads_out_of_the_document() {
    for reference in [
        "file:///etc/passwd",
        "http://evil.example/schema.json",
        "//evil.example/x",
        "other.json#/a",
        "#/$defs/Missing",
        "#/required",
        "#/$defs",
        "#nowhere",
        "#/%zz",
        "../../openapi.json",
        "#/components/schemas/Problem",
    ] {
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            let moved =
                moved(&json!({"required": ["a"], "$defs": {"A": {}}, "properties": {"a": {keyword: reference}}}));
            assert_eq!(moved["m.t.input"]["properties"]["a"], json!({UNRESOLVED: reference}), "{keyword} {reference}");
        }
    }
    let odd = moved(&json!({"$ref": 5, "properties": {"a": {"$ref": {"x": 1}}}}));
    assert_eq!(odd["m.t.input"], json!({UNRESOLVED: 5, "properties": {"a": {UNRESOLVED: {"x": 1}}}}));
}

#[test]
fn sec_124_words_of_openapi_have_no_meaning_in_a_tools_schema() {
    let mapping = json!({"propertyName": "kind", "mapping": {"a": "file:///etc/passwd"}});
    let moved = moved(&json!({"discriminator": mapping, "xml": 5, "externalDocs": {"url": "javascript:alert(1)"}}));
    assert_eq!(
        moved["m.t.input"],
        json!({"x-discriminator": mapping, "x-xml": 5, "x-externalDocs": {"url": "javascript:alert(1)"}})
    );
}

#[test]
fn sec_150_dialects_that_are_known_stay_and_others_go() {
    let of = |dialect: &str| {
        moved(&json!({"$schema": dialect, "definitions": {"A": {"items": [{"$ref": "#"}]}}, "type": "object"}))
    };
    let seven = of("http://json-schema.org/draft-07/schema#");
    assert_eq!(seven["m.t.input"], json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}));
    assert_eq!(seven["m.t.input.A"]["$schema"], "http://json-schema.org/draft-07/schema#");
    assert_eq!(of("http://evil.example/dialect")["m.t.input"], json!({"type": "object"}));
    assert_eq!(of("https://json-schema.org/draft/2020-12/schema")["m.t.input"], json!({"type": "object"}));
}

#[test]
fn sec_150_what_is_no_schema_is_not_repeated() {
    for schema in [json!({"type": 5}), json!({"required": "a"}), json!("text"), json!([]), json!(5)] {
        let moved = moved(&schema);
        assert!(moved["m.t.input"]["description"].as_str().unwrap().contains("not a valid"), "{schema}");
    }
    assert_eq!(moved(&json!(true))["m.t.input"], json!({}));
    assert_eq!(moved(&json!(false))["m.t.input"], json!({"not": {}}));
    assert_eq!(
        moved(&json!({"properties": {"a": 5, "b": true}}))["m.t.input"],
        json!({"properties": {"a": {}, "b": true}})
    );
}

/// What the server takes and what the document says are the same, for a schema that uses most of what there is.
#[test]
fn a_moved_schema_takes_what_the_original_takes() {
    let schema = json!({
        "$defs": {
            "Shape": {"oneOf": [{"$ref": "#/$defs/Circle"}, {"$ref": "#/$defs/Group"}]},
            "Circle": {"type": "object", "properties": {"r": {"exclusiveMinimum": 0}}, "required": ["r"], "additionalProperties": false},
            "Group": {"type": "object", "properties": {"of": {"type": "array", "items": {"$ref": "#/$defs/Shape"}, "minItems": 1}},
                "required": ["of"], "unevaluatedProperties": false},
        },
        "type": "object",
        "properties": {"shape": {"$ref": "#/$defs/Shape"}, "again": {"$ref": "#/properties/shape"}},
        "patternProperties": {"^x-": {"const": 1}},
        "dependentRequired": {"again": ["shape"]},
        "if": {"required": ["x-a"]}, "then": {"required": ["shape"]},
    });
    let document = json!({"components": {"schemas": moved(&schema)}, "$ref": "#/components/schemas/m.t.input"});
    let (original, moved) =
        (jsonschema::validator_for(&schema).unwrap(), jsonschema::validator_for(&document).unwrap());
    for (instance, valid) in [
        (json!({}), true),
        (json!({"shape": {"r": 1}}), true),
        (json!({"shape": {"r": 0}}), false),
        (json!({"shape": {"of": [{"r": 1}, {"of": [{"r": 2}]}]}}), true),
        (json!({"shape": {"of": [{"of": []}]}}), false),
        (json!({"again": {"r": 1}}), false),
        (json!({"x-a": 1}), false),
        (json!({"x-a": 2, "shape": {"r": 1}}), false),
        (json!({"x-a": 1, "shape": {"r": 1}}), true),
    ] {
        assert_eq!(original.is_valid(&instance), valid, "{instance}");
        assert_eq!(moved.is_valid(&instance), valid, "moved: {instance}");
    }
}
