//! Digests by meaning: two texts of the same JSON value have the same digest, whatever their key order and spacing.

use aws_lc_rs::digest::{SHA256, digest};

use crate::{
    jsonrpc::{Kind, Raw, RawObject},
    protocol::{Method, meta},
};

/// A SHA-256 digest.
pub(super) type Digest = [u8; 32];

/// Parameters that differ between the legs of one call.
pub(super) const LEG_MEMBERS: [&str; 3] = [meta::META, INPUT_RESPONSES, REQUEST_STATE];
/// The answers of a client.
pub(super) const INPUT_RESPONSES: &str = "inputResponses";
/// What a client echoes with them.
pub(super) const REQUEST_STATE: &str = "requestState";

/// The digest of what all legs of a call have in common.
pub(super) fn of_call(method: &Method, params: &Raw) -> Digest {
    let mut params = params.to_object().unwrap_or_default();
    params.retain(|name| !LEG_MEMBERS.contains(&name));
    let mut text = Raw::from(method.as_str()).as_bytes().to_vec();
    write_object(&params, &mut text);
    sha256(&text)
}

/// The digest of an object.
pub(super) fn of_object(object: &RawObject) -> Digest {
    let mut text = Vec::new();
    write_object(object, &mut text);
    sha256(&text)
}

fn sha256(text: &[u8]) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text).as_ref());
    bytes
}

/// Writes the canonical text. The nesting is bounded by the scan that the value has passed.
fn write(value: &Raw, out: &mut Vec<u8>) {
    match value.kind() {
        Kind::Object => write_object(&value.to_object().unwrap_or_default(), out),
        Kind::Array => {
            out.push(b'[');
            for element in value.to_array().unwrap_or_default() {
                write(&element, out);
                out.push(b',');
            }
            out.push(b']');
        }
        Kind::String => match value.as_text() {
            Some(text) => out.extend_from_slice(Raw::from(&*text).as_bytes()),
            None => out.extend_from_slice(value.as_bytes()),
        },
        Kind::Number => write_number(value.as_bytes(), out),
        Kind::Bool | Kind::Null => out.extend_from_slice(value.as_bytes()),
    }
}

fn write_object(object: &RawObject, out: &mut Vec<u8>) {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_by(|a, b| a.0.cmp(&b.0));
    out.push(b'{');
    for (name, value) in members {
        out.extend_from_slice(Raw::from(&*name).as_bytes());
        out.push(b':');
        write(value, out);
        out.push(b',');
    }
    out.push(b'}');
}

/// Numbers that a double holds exactly enough are the same however they are spelled, as a client that writes its request
/// anew may spell them otherwise. All others count as they stand.
fn write_number(text: &[u8], out: &mut Vec<u8>) {
    let digits = text.iter().take_while(|b| !matches!(b, b'e' | b'E')).filter(|b| b.is_ascii_digit());
    let significant = digits.skip_while(|&&b| b == b'0').count();
    let number: Option<f64> = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
    match number {
        Some(n) if n.is_finite() && significant <= 15 && (n != 0.0 || significant == 0) => {
            // Zero has two signs and one meaning.
            let n = if n == 0.0 { 0.0 } else { n };
            out.extend_from_slice(format!("{n:e}").as_bytes());
        }
        _ => out.extend_from_slice(text),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::jsonrpc::scan::ScanLimits;

    fn digest_of(params: &str) -> Digest {
        let params = Raw::scan(Bytes::copy_from_slice(params.as_bytes()), ScanLimits::REQUEST).unwrap();
        of_call(&Method::ToolsCall, &params)
    }

    #[test]
    fn era_244_the_same_value_has_the_same_digest() {
        let same = [
            (r#"{"a":1.0,"b":[1,2]}"#, r#"{ "b": [1, 2.0], "a": 1 }"#),
            (r#"{"a":"\u00e9\/"}"#, r#"{"a":"é/"}"#),
            (r#"{"a":1e2}"#, r#"{"a":100}"#),
            (r#"{"a":-0.0}"#, r#"{"a":0}"#),
            (r#"{"a":1,"_meta":{"x":1},"requestState":"s","inputResponses":{}}"#, r#"{"a":1,"_meta":{}}"#),
            (r#"{"\u0061":1}"#, r#"{"a":1}"#),
        ];
        for (one, other) in same {
            assert_eq!(digest_of(one), digest_of(other), "{one} {other}");
        }
    }

    #[test]
    fn sec_029_another_value_has_another_digest() {
        let differ = [
            (r#"{"a":1}"#, r#"{"a":2}"#),
            (r#"{"a":1}"#, r#"{"a":"1"}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#),
            (r#"{"a":[[],[]]}"#, r#"{"a":[[[]]]}"#),
            (r#"{"a":12345678901234567890}"#, r#"{"a":12345678901234567891}"#),
            (r#"{"a":1e400}"#, r#"{"a":2e400}"#),
            (r#"{"a":1e-400}"#, r#"{"a":0}"#),
            (r#"{"a":null}"#, r"{}"),
            (r#"{"a":"x"}"#, r#"{"a":"x "}"#),
            (r#"{"a":{"b":1}}"#, r#"{"a":{"b":1,"c":1}}"#),
        ];
        for (one, other) in differ {
            assert_ne!(digest_of(one), digest_of(other), "{one} {other}");
        }
        let params = Raw::constant(r#"{"name":"x"}"#);
        assert_ne!(of_call(&Method::ToolsCall, &params), of_call(&Method::PromptsGet, &params));
    }
}
