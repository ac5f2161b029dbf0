//! The official JSON Schemas of MCP, where they are at hand: `<revision>.schema.json` in the folder that `MCP_SCHEMAS` names,
//! or in `../shared/spec` beside the crate. Without them a check says once that it was skipped.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

type Key = (String, String);

static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let folder = std::env::var_os("MCP_SCHEMAS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/spec")), PathBuf::from);
    let found = folder.is_dir().then_some(folder);
    if found.is_none() {
        eprintln!("skipped: the JSON Schemas of MCP are not here, set MCP_SCHEMAS to their folder");
    }
    found
});
static VALIDATORS: LazyLock<Mutex<HashMap<Key, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Panics with every fault when `value` is not what `definition` of the revision says.
#[track_caller]
pub(crate) fn assert_valid(revision: &str, definition: &str, value: &Value) {
    let faults = faults(revision, definition, value);
    assert!(faults.is_empty(), "not a {definition} of {revision}: {}\n{value:#}", faults.join("\n"));
}

/// What is wrong with `value`; nothing when the schemas are not there.
pub(crate) fn faults(revision: &str, definition: &str, value: &Value) -> Vec<String> {
    let Some(folder) = &*FOLDER else { return Vec::new() };
    let key = (revision.to_owned(), definition.to_owned());
    let mut validators = VALIDATORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let validator =
        Arc::clone(validators.entry(key).or_insert_with(|| Arc::new(compile(folder, revision, definition))));
    drop(validators);
    validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

/// What of `value` the revision defines: the schemas allow every other member as well, which is left out here. The whole of it
/// when the schemas are not there.
pub(crate) fn defined(revision: &str, definition: &str, value: &Value) -> Value {
    match document(revision) {
        Some(document) => Walk { document: &document }.keep(&Walk::definition(&document, definition), value).0,
        None => value.clone(),
    }
}

/// The schema of a revision, where it is at hand.
pub(crate) fn document(revision: &str) -> Option<Value> {
    FOLDER.as_ref().map(|folder| read(folder, revision))
}

/// A schema and its definitions, as one walks through them.
pub(crate) struct Walk<'d> {
    pub(crate) document: &'d Value,
}

impl Walk<'_> {
    /// The definition of this name.
    pub(crate) fn definition(document: &Value, name: &str) -> Value {
        let found = ["$defs", "definitions"].iter().find_map(|home| document[*home].get(name));
        found.unwrap_or_else(|| panic!("there is no {name}")).clone()
    }

    /// What a schema stands for; `None` for what may be any JSON.
    pub(crate) fn resolve(&self, schema: &Value) -> Option<Value> {
        match schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            Some("JSONValue" | "JSONObject" | "JSONArray") => None,
            Some(name) => self.resolve(&Self::definition(self.document, name)),
            None => Some(schema.clone()),
        }
    }

    /// What is defined of a value, and how many members are not.
    fn keep(&self, schema: &Value, value: &Value) -> (Value, usize) {
        let Some(schema) = self.resolve(schema) else { return (value.clone(), 0) };
        if let Some(branches) = schema["anyOf"].as_array() {
            let fitting = branches.iter().filter(|branch| self.fits(branch, value));
            let kept = fitting.map(|branch| self.keep(branch, value)).min_by_key(|(_, left_out)| *left_out);
            return kept.unwrap_or_else(|| (value.clone(), 0));
        }
        match value {
            Value::Array(items) => {
                let kept: Vec<_> = items.iter().map(|item| self.keep(&schema["items"], item)).collect();
                let left_out = kept.iter().map(|(_, left_out)| left_out).sum();
                (kept.into_iter().map(|(item, _)| item).collect(), left_out)
            }
            Value::Object(members) => self.keep_members(&schema, members),
            other => (other.clone(), 0),
        }
    }

    fn keep_members(&self, schema: &Value, members: &Map<String, Value>) -> (Value, usize) {
        let is_open = schema["additionalProperties"] != Value::Null || schema["properties"] == Value::Null;
        let (mut kept, mut left_out) = (Map::new(), 0);
        for (name, value) in members {
            let (value, without) = match schema["properties"].get(name) {
                // These are documents of another kind, which say by themselves what they hold.
                Some(_) if matches!(&**name, "inputSchema" | "outputSchema") => (value.clone(), 0),
                Some(own) => self.keep(own, value),
                None if is_open => self.keep(&schema["additionalProperties"], value),
                None => {
                    left_out += 1;
                    continue;
                }
            };
            left_out += without;
            kept.insert(name.clone(), value);
        }
        // All params have it, by the definition of every request and every notification.
        if let (Some(params), Some(Value::Object(own))) = (kept.get_mut("params"), members.get("params"))
            && let Some(meta) = own.get("_meta")
        {
            left_out -= usize::from(params.get("_meta").is_none());
            params["_meta"] = meta.clone();
        }
        (kept.into(), left_out)
    }

    /// Whether a value may be meant by a schema: the kind, and what has to be there.
    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let Some(schema) = self.resolve(schema) else { return true };
        if let Some(branches) = schema["anyOf"].as_array() {
            return branches.iter().any(|branch| self.fits(branch, value));
        }
        let kind = match value {
            Value::Object(_) => "object",
            Value::Array(_) => "array",
            Value::String(_) => "string",
            _ => "",
        };
        let is_of_kind = kind.is_empty() || schema["type"] == Value::Null || schema["type"] == kind;
        let is_listed = schema["enum"].as_array().is_none_or(|listed| listed.contains(value));
        let is_the_one = schema.get("const").is_none_or(|one| one == value);
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let has = |name: &str| value.get(name).is_some_and(|own| self.fits(&schema["properties"][name], own));
        is_of_kind && is_listed && is_the_one && { required }.all(has)
    }
}

fn compile(folder: &Path, revision: &str, definition: &str) -> Validator {
    let mut schema = read(folder, revision);
    let home = if schema.get("$defs").is_some() { "$defs" } else { "definitions" };
    assert!(schema[home].get(definition).is_some(), "{revision} has no {definition}");
    schema["$ref"] = json!(format!("#/{home}/{definition}"));
    jsonschema::validator_for(&schema).unwrap_or_else(|e| panic!("{revision}: {e}"))
}

fn read(folder: &Path, revision: &str) -> Value {
    let path = folder.join(format!("{revision}.schema.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
