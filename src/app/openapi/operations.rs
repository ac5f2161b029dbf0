//! The tools of one mount as operations.

use serde_json::{Map, Value, json};

use crate::{
    app::rest::{Catalog, Tool},
    jsonrpc::{Kind, Raw, RawObject},
};

use super::{
    fixed::{CALLING, errors},
    names::{operation_id, segment, slug},
    refs,
};

/// What the tools of a mount add to a document.
#[derive(Debug, Default)]
pub(super) struct Operations {
    /// Path to path item.
    pub(super) paths: Vec<(String, Raw)>,
    /// Name to component.
    pub(super) schemas: Vec<(String, Raw)>,
    /// Tools that no path can name.
    pub(super) left_out: Vec<String>,
    /// How much memory it takes, about.
    pub(super) bytes: usize,
}

/// What the operations of a mount depend on beside its tools.
pub(super) struct Setting<'a> {
    pub(super) mount: &'a str,
    /// All mounts of the gateway.
    pub(super) mounts: &'a [&'a str],
    /// The ids of other operations.
    pub(super) taken: &'a [String],
    pub(super) asks_for_keys: bool,
}

/// The operations of all tools of a catalog.
pub(super) fn of_catalog(catalog: &Catalog, setting: &Setting<'_>) -> Operations {
    let mut operations = Operations::default();
    for tool in catalog.tools() {
        let Some(segment) = segment(&tool.name) else {
            operations.left_out.push(tool.name.clone());
            continue;
        };
        let component = format!("{}.{}", setting.mount, slug(&tool.name));
        let item = path_item(tool, &component, setting, &mut operations.schemas);
        operations.paths.push((format!("/api/mounts/{}/tools/{segment}", setting.mount), item));
    }
    let size = |(name, raw): &(String, Raw)| name.len() + raw.as_bytes().len() + 64;
    operations.bytes = operations.paths.iter().chain(&operations.schemas).map(size).sum();
    operations
}

fn path_item(tool: &Tool, component: &str, setting: &Setting<'_>, schemas: &mut Vec<(String, Raw)>) -> Raw {
    let listed = &tool.object;
    let mut schema_at = |member: &str, name: &str| {
        let schema = listed.get(member).filter(|schema| matches!(schema.kind(), Kind::Object | Kind::Bool))?;
        let name = format!("{component}.{name}");
        schemas.extend(refs::components(schema, &name));
        Some(json!({"$ref": format!("#/components/schemas/{name}")}))
    };
    let input = schema_at("inputSchema", "input").unwrap_or_else(|| json!({"$ref": "#/components/schemas/Arguments"}));
    let output =
        schema_at("outputSchema", "output").unwrap_or_else(|| json!({"$ref": "#/components/schemas/ToolContent"}));
    let may_be_empty = listed.get_object("inputSchema").is_none_or(|schema| refs::takes_nothing(&schema));

    let mut id = operation_id(setting.mount, &tool.name, setting.mounts);
    if setting.taken.contains(&id) {
        id = format!("{id}.{}", super::names::tag(&[setting.mount, &tool.name]));
    }
    let mut responses: Map<String, Value> = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "What the tool answered",
            "content": {
                "application/json": {"schema": output},
                "text/event-stream": {"schema": {"type": "string"}},
            },
        }),
    );
    responses.extend(errors(CALLING, setting.asks_for_keys));

    let annotations = listed.get_object("annotations");
    let title = text(listed.get("title")).or_else(|| text(annotations.as_ref()?.get("title")));
    let mut operation = RawObject::from([
        ("tags", Raw::of(&[setting.mount])),
        ("operationId", Raw::from(&*id)),
        ("summary", title.unwrap_or_else(|| Raw::from(&*tool.name))),
    ]);
    if let Some(description) = text(listed.get("description")) {
        operation.set("description", description);
    }
    operation.set("x-mcp-tool", Raw::from(&*tool.name));
    if let Some(annotations) = annotations {
        operation.set("x-mcp-annotations", annotations.to_raw());
    }
    let body = json!({"required": !may_be_empty, "content": {"application/json": {"schema": input}}});
    operation.set("requestBody", Raw::of(&body));
    operation.set("responses", Raw::of(&responses));
    RawObject::from([("post", operation.to_raw())]).to_raw()
}

fn text(raw: Option<&Raw>) -> Option<Raw> {
    raw.filter(|raw| raw.kind() == Kind::String).cloned()
}
