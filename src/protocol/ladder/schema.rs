//! Schemas of tools for clients whose revision allows fewer of them. They are walked as raw values, so that numbers and
//! order survive; no reference is ever followed, and what breaks the bounds is not walked to its end.

use crate::jsonrpc::{Kind, Raw, RawObject};

const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 10_000;

/// Keywords that hold data rather than schemas.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];
/// Keywords that hold schemas by name.
const MAPS: [&str; 6] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// Whether the root says that it describes an object, as legacy revisions want it.
pub(super) fn has_object_root(schema: &Raw) -> bool {
    schema.to_object().is_some_and(|root| root.get("type").is_some_and(|kind| kind.is_text("object")))
}

/// The schema without booleans right under `properties`, where legacy revisions want objects; `None` when there are none.
pub(super) fn without_boolean_properties(schema: &Raw) -> Option<Raw> {
    let mut root = schema.to_object()?;
    let mut properties = root.get_object("properties")?;
    let booleans: Vec<(String, Raw)> =
        properties.iter().filter_map(|(name, part)| Some((name.into_owned(), spelled_out(part)?))).collect();
    if booleans.is_empty() {
        return None;
    }
    for (name, part) in booleans {
        properties.set(&name, part);
    }
    root.set("properties", properties.to_raw());
    Some(root.to_raw())
}

/// A boolean schema as an object that means the same.
fn spelled_out(schema: &Raw) -> Option<Raw> {
    schema.as_bool().map(|all| Raw::constant(if all { "{}" } else { r#"{"not":{}}"# }))
}

/// The schema of an object whose member `result` is what `schema` describes; references within the document keep leading
/// where they led. `None` for what is no schema, or too large to be walked.
pub(super) fn wrap(schema: &Raw) -> Option<Raw> {
    let mut inner = match spelled_out(schema) {
        Some(schema) => schema.to_object()?,
        None => schema.to_object()?,
    };
    let mut wrapper = RawObject::new();
    if let Some(dialect) = inner.remove("$schema") {
        wrapper.set("$schema", dialect);
    }
    let mut inner = inner.to_raw();
    if may_refer(&inner) {
        let mut nodes = 0;
        if let Some(edit) = shift(&inner, 0, &mut nodes).ok()? {
            inner = edit;
        }
    }
    wrapper.set("type", Raw::from("object"));
    wrapper.set("properties", RawObject::from([("result", inner)]).to_raw());
    wrapper.set("required", Raw::constant(r#"["result"]"#));
    Some(wrapper.to_raw())
}

/// Whether there can be a reference at all; keys may hide behind escapes.
fn may_refer(schema: &Raw) -> bool {
    let text = schema.as_bytes();
    ["$ref", "$dynamicRef", "\\u00"].iter().any(|needle| memchr::memmem::find(text, needle.as_bytes()).is_some())
}

/// A bound was broken.
struct TooLarge;

/// Moves the references of one schema under `/properties/result`; `None` when it has none.
fn shift(schema: &Raw, depth: usize, nodes: &mut usize) -> Result<Option<Raw>, TooLarge> {
    *nodes += 1;
    if depth > MAX_DEPTH || *nodes > MAX_NODES {
        return Err(TooLarge);
    }
    match schema.kind() {
        Kind::Array => {
            let mut elements = schema.to_array().unwrap_or_default();
            let mut edited = false;
            for element in &mut elements {
                if let Some(edit) = shift(element, depth + 1, nodes)? {
                    *element = edit;
                    edited = true;
                }
            }
            Ok(edited.then(|| Raw::array(&elements)))
        }
        Kind::Object => {
            let object = schema.to_object().unwrap_or_default();
            // A schema with an identity of its own is a document of its own.
            if object.get("$id").and_then(Raw::as_text).is_some_and(|id| !id.starts_with('#')) {
                return Ok(None);
            }
            shift_members(object, |keyword, value| match keyword {
                "$ref" | "$dynamicRef" => Ok(shifted_pointer(value)),
                data if DATA.contains(&data) => Ok(None),
                map if MAPS.contains(&map) => match value.to_object() {
                    Some(parts) => shift_members(parts, |_, part| shift(part, depth + 1, nodes)),
                    None => Ok(None),
                },
                _ => shift(value, depth + 1, nodes),
            })
        }
        _ => Ok(None),
    }
}

fn shift_members(
    mut object: RawObject,
    mut edit: impl FnMut(&str, &Raw) -> Result<Option<Raw>, TooLarge>,
) -> Result<Option<Raw>, TooLarge> {
    let mut edits = Vec::new();
    for (name, value) in object.iter() {
        if let Some(other) = edit(&name, value)? {
            edits.push((name.into_owned(), other));
        }
    }
    if edits.is_empty() {
        return Ok(None);
    }
    for (name, value) in edits {
        object.set(&name, value);
    }
    Ok(Some(object.to_raw()))
}

/// A JSON pointer into this document, moved. Anchors and other documents stay.
fn shifted_pointer(reference: &Raw) -> Option<Raw> {
    let text = reference.as_text()?;
    let pointer = text.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'))?;
    Some(Raw::from(&*format!("#/properties/result{pointer}")))
}
