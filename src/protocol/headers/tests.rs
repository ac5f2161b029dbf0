use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::jsonrpc::{Raw, RawObject, scan::ScanLimits};

fn raw(text: &str) -> Raw {
    Raw::scan(Bytes::from(text.to_owned()), ScanLimits::ANSWER).unwrap_or_else(|e| panic!("{e} in {text}"))
}

fn object(text: &str) -> RawObject {
    raw(text).to_object().unwrap()
}

fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap())
        })
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}

fn call(name: &[u8]) -> HeaderMap {
    headers(&[("MCP-Protocol-Version", b"2026-07-28"), ("mcp-METHOD", b"tools/call"), ("Mcp-Name", name)])
}

fn check_call(headers: &HeaderMap, name: &str) -> Result<(), Mismatch> {
    check_standard(headers, "tools/call", Some(name), "2026-07-28")
}

#[test]
fn era_174_175_the_standard_headers_say_what_the_body_says() {
    assert_eq!(check_call(&call(b"t"), "t"), Ok(()));
    for header in [PROTOCOL_VERSION, METHOD, NAME] {
        let mut map = call(b"t");
        map.insert(&header, HeaderValue::from_static("TOOLS/CALL"));
        assert_eq!(check_call(&map, "t"), Err(Mismatch::Differs(header.clone())));
        map.remove(&header);
        assert_eq!(check_call(&map, "t"), Err(Mismatch::Missing(header)));
    }
    // The name of other methods is nobody's business, and tasks are named by some clients only.
    assert_eq!(check_standard(&call(b"anything"), "tools/call", None, "2026-07-28"), Ok(()));
    let task = headers(&[("mcp-protocol-version", b"2026-07-28"), ("mcp-method", b"tasks/get")]);
    assert_eq!(check_standard(&task, "tasks/get", Some("1"), "2026-07-28"), Ok(()));
    let mut named = task;
    named.insert(NAME, HeaderValue::from_static("2"));
    assert_eq!(check_standard(&named, "tasks/get", Some("1"), "2026-07-28"), Err(Mismatch::Differs(NAME)));
}

#[test]
fn era_176_177_names_are_trimmed_and_decoded() {
    assert_eq!(check_call(&call(b" \tt\t "), "t"), Ok(()));
    assert_eq!(check_call(&call(b"=?base64?w6k=?="), "é"), Ok(()));
    assert_eq!(check_call(&call(b"=?base64?w6k=?="), "e"), Err(Mismatch::Differs(NAME)));
    for malformed in [&b"=?base64?w6k?="[..], b"=?base64?w6l=?=", b"=?base64?!!!!?=", b"=?base64?/w==?=", b"\xc3\xa9"] {
        assert_eq!(check_call(&call(malformed), "é"), Err(Mismatch::Malformed(NAME)), "{malformed:?}");
    }
    // The method is never encoded: proxies read it as it stands.
    let mut map = call(b"t");
    map.insert(METHOD, HeaderValue::from_static("=?base64?dG9vbHMvY2FsbA==?="));
    assert_eq!(check_call(&map, "t"), Err(Mismatch::Differs(METHOD)));
    map.insert(METHOD, HeaderValue::from_bytes(b"tools/call\xff").unwrap());
    assert_eq!(check_call(&map, "t"), Err(Mismatch::Malformed(METHOD)));
}

#[test]
fn era_178_a_name_that_looks_encoded_is_encoded_once_more() {
    let name = "=?base64?eA==?=";
    let encoded = encode_value(name).into_owned();
    assert_eq!(encoded, "=?base64?PT9iYXNlNjQ/ZUE9PT89?=");
    assert_eq!(check_call(&call(encoded.as_bytes()), name), Ok(()));
    assert_eq!(check_call(&call(name.as_bytes()), name), Err(Mismatch::Differs(NAME)));
}

#[test]
fn era_179_repeated_headers_are_refused() {
    for header in [PROTOCOL_VERSION, METHOD, NAME] {
        let mut map = call(b"t");
        let same = map[&header].clone();
        map.append(&header, same);
        assert_eq!(check_call(&map, "t"), Err(Mismatch::Duplicate(header)));
    }
}

#[test]
fn the_message_names_the_header_and_quotes_no_value() {
    let mut map = call(b"t");
    map.insert(NAME, HeaderValue::from_static("<script>"));
    let error = check_call(&map, "also-secret").unwrap_err().to_error();
    assert_eq!(error.code, -32020);
    assert_eq!(error.message, "Header mismatch: header `mcp-name` differs from the body");
}

#[test]
fn the_standard_headers_of_a_request_pass_their_own_check() {
    let map: HeaderMap = standard("tools/call", Some("é"), "2026-07-28").collect();
    assert_eq!(map.len(), 3);
    assert_eq!(check_call(&map, "é"), Ok(()));
    assert_eq!(standard("tools/list", None, "2026-07-28").count(), 2);
}

const SCHEMA: &str = r#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"count":{"type":"integer","x-mcp-header":"Count"},"dry":{"type":"boolean","x-mcp-header":"Dry"},"a":{"type":"object","properties":{"b":{"type":"string","x-mcp-header":"Inner"}}}}}"#;

fn tool() -> ToolHeaders {
    ToolHeaders::read(&raw(SCHEMA)).unwrap()
}

fn check_params(pairs: &[(&str, &[u8])], arguments: &str) -> Result<(), String> {
    tool().check(&headers(pairs), Some(&object(arguments))).map_err(|mismatch| mismatch.to_string())
}

#[test]
fn era_180_arguments_and_headers_come_together() {
    let region = [("mcp-param-region", &b"eu"[..])];
    assert_eq!(check_params(&region, r#"{"region":"eu"}"#), Ok(()));
    assert_eq!(check_params(&[], "{}"), Ok(()));
    assert_eq!(check_params(&[], r#"{"region":null}"#), Ok(()));
    assert!(check_params(&[], r#"{"region":"eu"}"#).unwrap_err().contains("missing"));
    assert!(check_params(&region, "{}").unwrap_err().contains("nothing that it mirrors"));
    assert!(check_params(&region, r#"{"region":null}"#).unwrap_err().contains("nothing that it mirrors"));
    assert!(check_params(&region, r#"{"region":"us"}"#).unwrap_err().contains("differs"));
    assert!(check_params(&region, r#"{"region":["eu"]}"#).unwrap_err().contains("differs"));
    assert!(check_params(&[region[0], region[0]], r#"{"region":"eu"}"#).unwrap_err().contains("more than once"));
    assert!(
        check_params(&[("mcp-param-region", b"=?base64?x?=")], r#"{"region":"x"}"#).unwrap_err().contains("malformed")
    );
    assert!(tool().check(&headers(&region), None).is_err());
    assert_eq!(check_params(&[("mcp-param-other", b"x")], "{}"), Ok(()));
}

#[test]
fn era_181_scalars_are_compared_as_what_they_are() {
    for header in [&b"42"[..], b"42.0", b"4.2e1", b" 42 "] {
        for argument in ["42", "42.0", "420e-1"] {
            let arguments = format!(r#"{{"count":{argument}}}"#);
            assert_eq!(check_params(&[("mcp-param-count", header)], &arguments), Ok(()), "{header:?} {argument}");
        }
    }
    for header in [&b"43"[..], b"42.5", b"+42", b"0x2a", b"", b"NaN"] {
        assert!(check_params(&[("mcp-param-count", header)], r#"{"count":42}"#).is_err(), "{header:?}");
    }
    // Beyond 2^53 only the same spelling is the same number.
    let large = r#"{"count":9007199254740993}"#;
    assert_eq!(check_params(&[("mcp-param-count", b"9007199254740993")], large), Ok(()));
    assert!(check_params(&[("mcp-param-count", b"9007199254740992")], large).is_err());
    assert_eq!(check_params(&[("mcp-param-dry", b"true")], r#"{"dry":true}"#), Ok(()));
    assert!(check_params(&[("mcp-param-dry", b"True")], r#"{"dry":true}"#).is_err());
    assert_eq!(check_params(&[("mcp-param-region", b"42")], r#"{"region":"42"}"#), Ok(()));
    assert!(check_params(&[("mcp-param-region", b"42.0")], r#"{"region":"42"}"#).is_err());
}

#[test]
fn era_182_nested_properties_are_mirrored() {
    assert_eq!(check_params(&[("mcp-param-inner", b"x")], r#"{"a":{"b":"x"}}"#), Ok(()));
    assert!(check_params(&[], r#"{"a":{"b":"x"}}"#).is_err());
    assert_eq!(check_params(&[], r#"{"a":7,"b":"x"}"#), Ok(()));
}

#[test]
fn era_183_awkward_strings_travel_encoded() {
    let check = |argument: &str, header: &str| {
        let arguments = RawObject::from([("region", Raw::from(argument))]);
        let encoded = tool().encode(&arguments);
        assert_eq!(encoded.len(), 1);
        assert_eq!((encoded[0].0.as_str(), encoded[0].1.to_str().unwrap()), ("mcp-param-region", header));
        let map: HeaderMap = encoded.into_iter().collect();
        assert_eq!(tool().check(&map, Some(&arguments)), Ok(()));
    };
    check("eu west", "eu west");
    check("", "");
    check(" eu", "=?base64?IGV1?=");
    check("a\nb", "=?base64?YQpi?=");
    check("a\tb", "=?base64?YQli?=");
    check("é", "=?base64?w6k=?=");
}

#[test]
fn arguments_are_encoded_for_the_server() {
    let arguments = object(r#"{"region":"eu","count":42.0,"dry":false,"a":{"b":null}}"#);
    let encoded: Vec<(String, String)> = tool()
        .encode(&arguments)
        .into_iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let expected = [("mcp-param-region", "eu"), ("mcp-param-count", "42"), ("mcp-param-dry", "false")];
    assert_eq!(encoded, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(tool().encode(&object(r#"{"region":{},"count":[]}"#)).is_empty());
    assert!(!tool().is_empty() && tool().mirrors(&HeaderName::from_static("mcp-param-dry")));
}

#[test]
fn era_184_annotations_that_break_a_rule_are_found() {
    use InvalidAnnotation as Invalid;
    let check = |schema: &str, expected: Result<usize, Invalid>| {
        let read = ToolHeaders::read(&raw(schema));
        assert_eq!(
            read.as_ref().map(|h| h.encode(&object(r#"{"a":"1","b":"2"}"#)).len()).map_err(|e| *e),
            expected,
            "{schema}"
        );
    };
    let property = |schema: &str| format!(r#"{{"type":"object","properties":{{"a":{schema}}}}}"#);
    check(&property(r#"{"type":"string","x-mcp-header":"A"}"#), Ok(1));
    check(&property(r#"{"type":"string","x-mcp-\u0068eader":"A"}"#), Ok(1));
    check(&property(r#"{"type":"string","x-mcp-header":""}"#), Err(Invalid::Name));
    check(&property(r#"{"type":"string","x-mcp-header":"a:b"}"#), Err(Invalid::Name));
    check(&property(r#"{"type":"string","x-mcp-header":"é"}"#), Err(Invalid::Name));
    check(&property(r#"{"type":"string","x-mcp-header":null}"#), Err(Invalid::Name));
    for kind in [r#""number""#, r#""object""#, r#"["string","null"]"#, "null"] {
        check(&property(&format!(r#"{{"type":{kind},"x-mcp-header":"A"}}"#)), Err(Invalid::Type));
    }
    check(&property(r#"{"x-mcp-header":"A"}"#), Err(Invalid::Type));
    let inner = r#"{"type":"string","x-mcp-header":"A"}"#;
    for keyword in [
        "items",
        "additionalItems",
        "contains",
        "additionalProperties",
        "unevaluatedItems",
        "unevaluatedProperties",
        "propertyNames",
        "contentSchema",
        "not",
        "if",
        "then",
        "else",
    ] {
        check(&property(&format!(r#"{{"{keyword}":{inner}}}"#)), Err(Invalid::Unreachable));
        check(&property(&format!(r#"{{"{keyword}":{{"properties":{{"z":{inner}}}}}}}"#)), Err(Invalid::Unreachable));
    }
    for keyword in ["prefixItems", "items", "oneOf", "anyOf", "allOf"] {
        check(&property(&format!(r#"{{"{keyword}":[true,{inner}]}}"#)), Err(Invalid::Unreachable));
    }
    for keyword in ["$defs", "definitions", "patternProperties", "dependentSchemas", "dependencies"] {
        check(&format!(r#"{{"type":"object","{keyword}":{{"default":{inner}}}}}"#), Err(Invalid::Unreachable));
    }
    check(r#"{"type":"object","x-mcp-header":"A"}"#, Err(Invalid::Unreachable));
    // Data and the names of properties are no annotations.
    check(&property(r#"{"type":"string","default":{"x-mcp-header":1},"enum":[{"x-mcp-header":1}]}"#), Ok(0));
    check(r#"{"type":"object","properties":{"x-mcp-header":{"type":"number"}}}"#, Ok(0));
    check(
        r#"{"properties":{"a":{"type":"string","x-mcp-header":"R"},"b":{"type":"string","x-mcp-header":"r"}}}"#,
        Err(Invalid::Repeated),
    );
}

#[test]
fn annotations_are_looked_for_within_bounds() {
    let many = |n: usize| {
        let properties: Vec<String> =
            (0..n).map(|n| format!(r#""p{n}":{{"type":"string","x-mcp-header":"H{n}"}}"#)).collect();
        format!(r#"{{"properties":{{{}}}}}"#, properties.join(","))
    };
    assert!(ToolHeaders::read(&raw(&many(64))).is_ok());
    assert_eq!(ToolHeaders::read(&raw(&many(65))), Err(InvalidAnnotation::TooMany));
    let deep = format!(r#"{}{{"x-mcp-header":"A"}}{}"#, r#"{"not":"#.repeat(70), "}".repeat(70));
    assert_eq!(ToolHeaders::read(&raw(&deep)), Err(InvalidAnnotation::TooLarge));
    let wide = format!(r#"{{"anyOf":[{}{{"x-mcp-header":"A"}}]}}"#, "{},".repeat(10_001));
    assert_eq!(ToolHeaders::read(&raw(&wide)), Err(InvalidAnnotation::TooLarge));
    assert!(repair(&raw(&wide)).is_none());
    // A large schema without annotations is never walked.
    let plain = format!(r#"{{"anyOf":[{}true],"description":"\u2014"}}"#, "{},".repeat(10_001));
    assert!(ToolHeaders::read(&raw(&plain)).is_ok_and(|h| h.is_empty()));
}

#[test]
fn era_185_repair_takes_out_what_is_invalid_and_keeps_the_rest() {
    let schema = r#"{"type":"object","x-mcp-header":"Root","properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"number","x-mcp-header":"B","minimum":1.0}},"$defs":{"d":{"type":"string","x-mcp-header":"D"}}}"#;
    let expected = r#"{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"number","minimum":1.0}},"$defs":{"d":{"type":"string"}}}"#;
    let repaired = repair(&raw(schema)).unwrap();
    assert_eq!(repaired, raw(expected));
    assert!(ToolHeaders::read(&repaired).is_ok());
    assert!(repair(&repaired).is_none());
    assert!(repair(&raw(SCHEMA)).is_none());
}

proptest! {
    #[test]
    fn every_text_survives_a_header(text in any::<String>()) {
        let encoded = encode_value(&text);
        prop_assert!(HeaderValue::from_str(&encoded).is_ok());
        let decoded = decode_value(encoded.as_bytes()).unwrap();
        prop_assert_eq!(&*decoded, &*text);
    }

    #[test]
    fn no_header_makes_the_check_panic(value in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = decode_value(&value);
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let mut map = HeaderMap::new();
            map.insert(NAME, value);
            let _ = check_call(&map, "t");
        }
    }
}
