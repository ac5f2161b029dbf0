//! The official JSON Schemas of MCP, where they are at hand: `<revision>.schema.json` in the folder that `MCP_SCHEMAS` names,
//! or in `../shared/spec` beside the crate. Without them a check says once that it was skipped.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use serde_json::{Value, json};

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

fn compile(folder: &std::path::Path, revision: &str, definition: &str) -> Validator {
    let path = folder.join(format!("{revision}.schema.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut schema: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let home = if schema.get("$defs").is_some() { "$defs" } else { "definitions" };
    assert!(schema[home].get(definition).is_some(), "{revision} has no {definition}");
    schema["$ref"] = json!(format!("#/{home}/{definition}"));
    jsonschema::validator_for(&schema).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
