//! The `x-mcp-header` annotations of a tool's input schema (2026-07-28, basic/transports#custom-headers-from-tool-parameters).

use http::HeaderName;

use crate::jsonrpc::{Raw, RawObject};

use super::{PARAM_PREFIX, ToolHeaders};

const KEY: &str = "x-mcp-header";
/// How deeply schemas may nest where annotations are looked for.
const MAX_DEPTH: usize = 64;
/// How many schemas one input schema may hold where annotations are looked for.
const MAX_NODES: usize = 10_000;
/// How many annotations one tool may have.
const MAX_ANNOTATIONS: usize = 64;

/// Keywords whose value is one schema, or an array of schemas.
const PARTS: [&str; 16] = [
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "propertyNames",
    "contentSchema",
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
];
/// Keywords, other than `properties`, whose value holds schemas by name.
const MAPS: [&str; 5] = ["patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// Why the annotations of a tool are invalid. A client over HTTP has to leave such a tool out of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnnotation {
    /// The name is no string, empty, or holds characters that a header name cannot have.
    #[error("an `x-mcp-header` annotation is not a header name")]
    Name,
    /// Two annotations name the same header, case aside.
    #[error("two `x-mcp-header` annotations name the same header")]
    Repeated,
    /// The annotated property is neither a string, an integer nor a boolean.
    #[error("an `x-mcp-header` annotation stands on something other than a string, an integer or a boolean")]
    Type,
    /// The annotated schema is not reached from the root through `properties` alone.
    #[error("an `x-mcp-header` annotation stands where `properties` alone do not lead")]
    Unreachable,
    /// More than 64 annotations.
    #[error("more than {MAX_ANNOTATIONS} `x-mcp-header` annotations")]
    TooMany,
    /// The schema is nested too deeply or too large to be searched.
    #[error("an input schema with `x-mcp-header` annotations is too large")]
    TooLarge,
}

/// What an annotated property holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Text,
    Integer,
    Boolean,
}

/// One valid annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Annotation {
    pub(super) header: HeaderName,
    /// The names of the properties that lead to the value.
    pub(super) path: Vec<Box<str>>,
    pub(super) scalar: Scalar,
}

/// Whether there may be an annotation anywhere in the value: a look at its bytes, so that what has none is never walked.
#[must_use]
pub fn may_annotate(value: &Raw) -> bool {
    let text = value.as_bytes();
    // A key can hide from the plain search only behind an escape of an ASCII character.
    memchr::memmem::find(text, KEY.as_bytes()).is_some()
        || memchr::memmem::find_iter(text, br"\u00").any(|at| matches!(text.get(at + 4), Some(b'2'..=b'7')))
}

/// The input schema without the annotations that are invalid; `None` when nothing has to be changed, or when the schema is
/// too large to be searched.
#[must_use]
pub fn repair(input_schema: &Raw) -> Option<Raw> {
    if !may_annotate(input_schema) {
        return None;
    }
    let mut walk = Walk { repair: true, ..Walk::default() };
    walk.schema(input_schema, true, 0).ok().flatten()
}

impl ToolHeaders {
    /// Reads the annotations of a tool's `inputSchema`.
    ///
    /// # Errors
    /// The first annotation that is invalid, or the bound that the schema breaks.
    pub fn read(input_schema: &Raw) -> Result<Self, InvalidAnnotation> {
        if !may_annotate(input_schema) {
            return Ok(Self::default());
        }
        let mut walk = Walk::default();
        walk.schema(input_schema, true, 0)?;
        Ok(Self::of(walk.found))
    }
}

/// One way through a schema, which reads the annotations and in repair takes the invalid ones out.
#[derive(Default)]
struct Walk {
    repair: bool,
    found: Vec<Annotation>,
    nodes: usize,
    /// The properties from the root to where the walk is.
    path: Vec<Box<str>>,
}

impl Walk {
    /// Walks one schema; what it looks like repaired, if it had to be.
    fn schema(&mut self, schema: &Raw, reachable: bool, depth: usize) -> Result<Option<Raw>, InvalidAnnotation> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(InvalidAnnotation::TooLarge);
        }
        let Some(mut object) = schema.to_object() else { return Ok(None) };
        let mut invalid = false;
        if let Some(name) = object.get(KEY) {
            match self.annotation(&object, name, reachable) {
                Ok(annotation) => self.found.push(annotation),
                Err(_) if self.repair => invalid = true,
                Err(fault) => return Err(fault),
            }
        }
        let mut edits = Vec::new();
        for (keyword, value) in object.iter() {
            let edit = match &*keyword {
                "properties" => self.map(value, reachable, depth)?,
                part if PARTS.contains(&part) => self.part(value, depth)?,
                map if MAPS.contains(&map) => self.map(value, false, depth)?,
                _ => None,
            };
            edits.extend(edit.map(|edit| (keyword.into_owned(), edit)));
        }
        if !invalid && edits.is_empty() {
            return Ok(None);
        }
        if invalid {
            object.remove(KEY);
        }
        for (keyword, value) in edits {
            object.set(&keyword, value);
        }
        Ok(Some(object.to_raw()))
    }

    /// Walks schemas by name.
    fn map(&mut self, value: &Raw, reachable: bool, depth: usize) -> Result<Option<Raw>, InvalidAnnotation> {
        let Some(mut object) = value.to_object() else { return Ok(None) };
        let mut edits = Vec::new();
        for (name, schema) in object.iter() {
            self.path.push(name.as_ref().into());
            let edit = self.schema(schema, reachable, depth + 1)?;
            self.path.pop();
            edits.extend(edit.map(|edit| (name.into_owned(), edit)));
        }
        if edits.is_empty() {
            return Ok(None);
        }
        for (name, schema) in edits {
            object.set(&name, schema);
        }
        Ok(Some(object.to_raw()))
    }

    /// Walks one schema or an array of them, where nothing may be annotated.
    fn part(&mut self, value: &Raw, depth: usize) -> Result<Option<Raw>, InvalidAnnotation> {
        let Some(mut elements) = value.to_array() else { return self.schema(value, false, depth + 1) };
        let mut edited = false;
        for element in &mut elements {
            if let Some(edit) = self.schema(element, false, depth + 1)? {
                *element = edit;
                edited = true;
            }
        }
        Ok(edited.then(|| Raw::array(&elements)))
    }

    fn annotation(&self, schema: &RawObject, name: &Raw, reachable: bool) -> Result<Annotation, InvalidAnnotation> {
        if !reachable || self.path.is_empty() {
            return Err(InvalidAnnotation::Unreachable);
        }
        let name = name.as_text().filter(|name| !name.is_empty()).ok_or(InvalidAnnotation::Name)?;
        // A header name takes exactly the characters of a token (RFC 9110, section 5.6.2).
        let header =
            HeaderName::from_bytes(format!("{PARAM_PREFIX}{name}").as_bytes()).map_err(|_| InvalidAnnotation::Name)?;
        let scalar = match schema.get("type").and_then(Raw::as_text).as_deref() {
            Some("string") => Scalar::Text,
            Some("integer") => Scalar::Integer,
            Some("boolean") => Scalar::Boolean,
            _ => return Err(InvalidAnnotation::Type),
        };
        if self.found.iter().any(|known| known.header == header) {
            return Err(InvalidAnnotation::Repeated);
        }
        if self.found.len() >= MAX_ANNOTATIONS {
            return Err(InvalidAnnotation::TooMany);
        }
        Ok(Annotation { header, path: self.path.clone(), scalar })
    }
}
