//! Forms for 2025-06-18 clients (2025-11-25, client/elicitation#requested-schema): titled choices are spelled the old way,
//! defaults only booleans have, and what cannot be said the old way stays as it is.

use crate::{
    jsonrpc::{Raw, RawObject},
    protocol::{Loss, Losses},
};

/// Rewrites the params of a form elicitation. One that asks for a URL stays as it is.
pub(super) fn narrow(params: &mut RawObject, losses: &mut Losses) {
    if super::asks_for_url(params) {
        return;
    }
    params.remove("mode");
    let Some(mut schema) = params.get_object("requestedSchema") else { return };
    let Some(mut properties) = schema.get_object("properties") else { return };
    let fields: Vec<(String, Raw)> =
        properties.iter().filter_map(|(name, field)| Some((name.into_owned(), narrow_field(field, losses)?))).collect();
    if fields.is_empty() {
        return;
    }
    for (name, field) in fields {
        properties.set(&name, field);
    }
    schema.set("properties", properties.to_raw());
    params.set("requestedSchema", schema.to_raw());
}

/// One field in its older spelling; `None` when it needs no other. A field of several choices has no older one, and neither
/// has a default that is no boolean.
fn narrow_field(field: &Raw, losses: &mut Losses) -> Option<Raw> {
    let mut field = field.to_object()?;
    let is = |kind: &str| field.get("type").is_some_and(|own| own.is_text(kind));
    if is("array") {
        losses.add(Loss::Form);
    }
    if is("boolean") || is("array") {
        return None;
    }
    let mut changed = field.remove("default").is_some();
    if changed {
        losses.add(Loss::Form);
    }
    if let Some((values, names)) = field.get("oneOf").and_then(titled_choices) {
        field.remove("oneOf");
        field.set("enum", Raw::array(&values));
        field.set("enumNames", Raw::array(&names));
        changed = true;
    }
    changed.then(|| field.to_raw())
}

/// The values and the titles of `[{const, title}, …]`.
fn titled_choices(choices: &Raw) -> Option<(Vec<Raw>, Vec<Raw>)> {
    let choice = |choice: Raw| {
        let choice = choice.to_object()?;
        let value = choice.get("const")?.clone();
        let title = choice.get("title").cloned().unwrap_or_else(|| value.clone());
        Some((value, title))
    };
    choices.to_array()?.into_iter().map(choice).collect()
}
