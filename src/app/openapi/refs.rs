//! Moving a tool's JSON Schema into a document without changing what it means.
//!
//! A schema's references are relative to itself; in a document they have to name its new place. So each schema becomes a
//! component, the definitions at its root become components beside it, and every `$ref` in it is written anew. Nothing else
//! of it is touched: members that no vocabulary knows, their order and the spelling of numbers stay as the server sent them.
//! What leads out of the schema is not followed, by nobody: it is kept as text under a name that no tool acts on.

use std::collections::{HashMap, HashSet};

use percent_encoding::percent_decode_str;
use url::Url;

use crate::jsonrpc::{Kind, Raw, RawObject};

use super::names::{fragment, slug};

/// Where a reference stood that leads nowhere.
const UNRESOLVED: &str = "x-rialto-unresolved-ref";
/// The dialect of OpenAPI 3.1's schemas, near enough.
const DEFAULT_DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// The other dialects that tools know by name, and so need not fetch.
const DIALECTS: [&str; 5] = [
    "http://json-schema.org/draft-04/schema",
    "http://json-schema.org/draft-06/schema",
    "http://json-schema.org/draft-07/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2019-09/schema#",
];

/// What a keyword holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// A schema, or a list of them.
    Schemas,
    /// Schemas by name.
    Named,
    /// Schemas or lists of names, by name.
    Mixed,
    /// A reference.
    Reference,
    /// Something about the schema as a resource of its own, which it no longer is.
    Identity,
    /// A word that OpenAPI reads in a way of its own.
    OpenApis,
    /// Anything else.
    Data,
}

fn holds(keyword: &str) -> Holds {
    match keyword {
        "allOf"
        | "anyOf"
        | "oneOf"
        | "not"
        | "if"
        | "then"
        | "else"
        | "items"
        | "prefixItems"
        | "additionalItems"
        | "contains"
        | "additionalProperties"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema" => Holds::Schemas,
        "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions" => Holds::Named,
        "dependencies" => Holds::Mixed,
        "$ref" | "$dynamicRef" | "$recursiveRef" => Holds::Reference,
        "$schema" | "$id" | "$anchor" | "$dynamicAnchor" | "$recursiveAnchor" | "$vocabulary" => Holds::Identity,
        "discriminator" | "xml" | "externalDocs" => Holds::OpenApis,
        _ => Holds::Data,
    }
}

/// A place in a schema.
type Path = Vec<String>;

/// The components that a schema becomes, itself first.
pub(super) fn components(schema: &Raw, name: &str) -> Vec<(String, Raw)> {
    let Some(root) = schema.to_object() else {
        return vec![(name.to_owned(), sound(schema.clone()))];
    };
    let mut index = Index::default();
    index.visit(schema, &Vec::new(), &Vec::new(), None);
    let own = Rewriting { index, name };
    let dialect =
        root.get("$schema").and_then(Raw::as_text).filter(|text| is_known_dialect(text)).map(|text| Raw::from(&*text));
    let component = |raw: &Raw, path: &Path| {
        let mut text = Vec::with_capacity(raw.as_bytes().len() + 64);
        own.write(raw, path, &own.index.resource_of(path), dialect.as_ref(), &mut text);
        sound(written(text))
    };
    let mut components = vec![(name.to_owned(), component(schema, &Vec::new()))];
    for container in ["$defs", "definitions"] {
        let Some(definitions) = root.get_object(container) else { continue };
        for (definition, raw) in definitions.iter() {
            let path = vec![container.to_owned(), definition.into_owned()];
            components.push((own.definition(&path[0], &path[1]), component(raw, &path)));
        }
    }
    components
}

fn is_known_dialect(text: &str) -> bool {
    let bare = text.trim_end_matches('#');
    bare != DEFAULT_DIALECT && DIALECTS.contains(&bare)
}

/// What was just written from parts of a scanned text.
fn written(text: Vec<u8>) -> Raw {
    Raw::scan(text.into(), crate::jsonrpc::scan::ScanLimits::ANSWER).unwrap_or_else(|_| Raw::constant("{}"))
}

/// A schema that is none would make the whole document invalid, so what the server sent is not repeated.
fn sound(schema: Raw) -> Raw {
    let valid = schema.parse::<serde_json::Value>().is_ok_and(|schema| jsonschema::meta::is_valid(&schema));
    match (schema.kind(), valid) {
        (Kind::Object, true) => schema,
        (Kind::Bool, _) if schema.as_bool() == Some(true) => Raw::constant("{}"),
        (Kind::Bool, _) => Raw::constant(r#"{"not":{}}"#),
        _ => Raw::constant(r#"{"description":"The schema that the server lists here is not a valid JSON Schema."}"#),
    }
}

/// What there is in a schema to refer to.
#[derive(Default)]
struct Index {
    /// Every place where a schema stands.
    places: HashSet<Path>,
    /// The places of schemas that are resources of their own.
    resources: HashMap<Path, Option<Url>>,
    /// The places by their `$id`, as it is written and as it resolves.
    ids: HashMap<String, Path>,
    /// The anchors of a resource.
    anchors: HashMap<(Path, String), Path>,
}

impl Index {
    fn visit(&mut self, raw: &Raw, path: &Path, resource: &Path, base: Option<&Url>) {
        if !matches!(raw.kind(), Kind::Object | Kind::Bool) {
            return;
        }
        self.places.insert(path.clone());
        let Some(object) = raw.to_object() else { return };
        let text = |name: &str| object.get(name).and_then(Raw::as_text);
        let (mut resource, mut base) = (resource.clone(), base.cloned());
        let id = text("$id");
        if let Some(id) = id.as_deref().filter(|id| !id.starts_with('#')) {
            let id = id.trim_end_matches('#');
            base = base.as_ref().map_or_else(|| Url::parse(id).ok(), |base| base.join(id).ok());
            resource.clone_from(path);
            self.ids.entry(id.to_owned()).or_insert_with(|| path.clone());
            if let Some(url) = &base {
                self.ids.entry(url.to_string()).or_insert_with(|| path.clone());
            }
        }
        if path.is_empty() || *path == resource {
            self.resources.insert(path.clone(), base.clone());
        }
        // Up to draft 7 an anchor is an `$id` that begins with `#`.
        let old = id.as_deref().and_then(|id| id.strip_prefix('#')).map(str::to_owned);
        let new = ["$anchor", "$dynamicAnchor"].into_iter().filter_map(|name| Some(text(name)?.into_owned()));
        for anchor in new.chain(old) {
            self.anchors.entry((resource.clone(), anchor)).or_insert_with(|| path.clone());
        }
        for (name, value) in object.iter() {
            let below = |rest: &[&str]| {
                let mut below = path.clone();
                below.push(name.to_string());
                below.extend(rest.iter().map(|r| (*r).to_owned()));
                below
            };
            match holds(&name) {
                Holds::Schemas => match value.to_array() {
                    Some(items) => {
                        for (n, item) in items.iter().enumerate() {
                            self.visit(item, &below(&[&n.to_string()]), &resource, base.as_ref());
                        }
                    }
                    None => self.visit(value, &below(&[]), &resource, base.as_ref()),
                },
                Holds::Named | Holds::Mixed => {
                    for (member, value) in value.to_object().unwrap_or_default().iter() {
                        self.visit(value, &below(&[&member]), &resource, base.as_ref());
                    }
                }
                _ => {}
            }
        }
    }

    /// The resource that a place belongs to.
    fn resource_of(&self, path: &Path) -> Path {
        let mut path = path.clone();
        while !self.resources.contains_key(&path) && path.pop().is_some() {}
        path
    }
}

struct Rewriting<'a> {
    index: Index,
    name: &'a str,
}

impl Rewriting<'_> {
    /// The component of a definition.
    fn definition(&self, container: &str, name: &str) -> String {
        // Both containers at once are unusual; the older one then gives way.
        match container {
            "$defs" => format!("{}.{}", self.name, slug(name)),
            _ if self.index.places.contains(&vec!["$defs".to_owned(), name.to_owned()]) => {
                format!("{}.definitions.{}", self.name, slug(name))
            }
            _ => format!("{}.{}", self.name, slug(name)),
        }
    }

    /// Where a reference leads in the document.
    fn target(&self, resource: &Path, reference: &str) -> Option<String> {
        let (base, fragment_text) = reference.split_once('#').unwrap_or((reference, ""));
        let resource = match base {
            "" => resource.clone(),
            base => {
                let joined =
                    self.index.resources.get(resource).and_then(Option::as_ref).and_then(|own| own.join(base).ok());
                let known = joined.and_then(|url| self.index.ids.get(url.as_str()));
                known.or_else(|| self.index.ids.get(base))?.clone()
            }
        };
        let place = match fragment_text {
            "" => resource,
            pointer if pointer.starts_with('/') => {
                let decoded = percent_decode_str(pointer).decode_utf8().ok()?;
                let mut place = resource;
                place.extend(decoded.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")));
                place
            }
            anchor => self.index.anchors.get(&(resource, anchor.to_owned()))?.clone(),
        };
        // A reference to what is no schema has no meaning, and one to nothing makes the document invalid.
        if !self.index.places.contains(&place) {
            return None;
        }
        let (component, rest) = match place.as_slice() {
            [container, name, rest @ ..] if matches!(&**container, "$defs" | "definitions") => {
                (self.definition(container, name), rest)
            }
            rest => (self.name.to_owned(), rest),
        };
        Some(format!("#/components/schemas/{component}{}", fragment(rest.iter().map(String::as_str))))
    }

    fn write(&self, raw: &Raw, path: &Path, resource: &Path, dialect: Option<&Raw>, out: &mut Vec<u8>) {
        let Some(object) = raw.to_object() else {
            out.extend_from_slice(if raw.kind() == Kind::Bool { raw.as_bytes() } else { b"{}" });
            return;
        };
        let mut members = Members::new(out);
        if let Some(dialect) = dialect {
            members.begin("$schema").extend_from_slice(dialect.as_bytes());
        }
        let refers = object.has("$ref");
        for (name, value) in object.iter() {
            let mut below = path.clone();
            below.push(name.to_string());
            match holds(&name) {
                Holds::Identity => {}
                // At the root they are components of their own.
                Holds::Named if path.is_empty() && matches!(&*name, "$defs" | "definitions") => {}
                Holds::OpenApis => members.begin(&format!("x-{name}")).extend_from_slice(value.as_bytes()),
                Holds::Data => members.begin(&name).extend_from_slice(value.as_bytes()),
                Holds::Reference => {
                    let text = value.as_text();
                    // A dynamic reference means what a plain one means while nobody extends the schema from outside.
                    let stands = name == "$ref" || !refers;
                    match text.filter(|_| stands).and_then(|text| self.target(resource, &text)) {
                        Some(target) => members.begin("$ref").extend_from_slice(Raw::from(&*target).as_bytes()),
                        None => members.begin(UNRESOLVED).extend_from_slice(value.as_bytes()),
                    }
                }
                Holds::Schemas => {
                    let out = members.begin(&name);
                    match value.to_array() {
                        Some(items) => {
                            out.push(b'[');
                            for (n, item) in items.iter().enumerate() {
                                if n > 0 {
                                    out.push(b',');
                                }
                                let mut below = below.clone();
                                below.push(n.to_string());
                                self.write_below(item, below, resource, out);
                            }
                            out.push(b']');
                        }
                        None => self.write_below(value, below, resource, out),
                    }
                }
                Holds::Named | Holds::Mixed => {
                    let Some(named) = value.to_object() else { continue };
                    let mixed = holds(&name) == Holds::Mixed;
                    let mut inner = Members::new(members.begin(&name));
                    for (member, value) in named.iter() {
                        let mut below = below.clone();
                        below.push(member.to_string());
                        let out = inner.begin(&member);
                        match value.kind() {
                            Kind::Array if mixed => out.extend_from_slice(value.as_bytes()),
                            _ => self.write_below(value, below, resource, out),
                        }
                    }
                    inner.end();
                }
            }
        }
        members.end();
    }

    fn write_below(&self, raw: &Raw, path: Path, resource: &Path, out: &mut Vec<u8>) {
        let resource = if self.index.resources.contains_key(&path) { &path } else { resource };
        self.write(raw, &path, resource, None, out);
    }
}

/// The members of an object that is being written. A name that was written already is written no second time.
struct Members<'a> {
    out: &'a mut Vec<u8>,
    names: HashSet<String>,
    spare: Vec<u8>,
}

impl<'a> Members<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, names: HashSet::new(), spare: Vec::new() }
    }

    /// Where the value of this member is to be written.
    fn begin(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.names.insert(name.to_owned()) {
            self.spare.clear();
            return &mut self.spare;
        }
        if self.names.len() > 1 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(Raw::from(name).as_bytes());
        self.out.push(b':');
        self.out
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

/// Whether an empty object may pass a schema, as far as its required members tell.
pub(super) fn takes_nothing(schema: &RawObject) -> bool {
    schema.get("required").and_then(Raw::to_array).is_none_or(|required| required.is_empty())
}

#[cfg(test)]
mod tests;
