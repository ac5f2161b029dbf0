//! A config file as a tree, whatever its format. Every value and key knows where it stands.

mod json;
mod toml;
mod yaml;

use std::path::Path;

use super::fault::{Fault, Key, Position};

/// How deep values may lie within each other. Real files need five levels; the YAML reader needs up
/// to 45 KiB of stack for each.
const DEEPEST: usize = 20;

/// The formats, by the extension of the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    Json,
    Yaml,
    Toml,
}

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// Values, as far as a config tells them apart.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file. After [`parse`] no key is there twice.
    Map(Vec<Entry>),
    /// A whole number that is not negative.
    Number(u64),
    /// What no setting takes, by the name of its kind: any other number, a date.
    Other(&'static str),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key stands.
    pub(super) at: Position,
    pub(super) node: Node,
}

/// Reads a text. Gives the tree, its first entry where a key is there twice, and a fault for each
/// such key.
pub(super) fn parse(text: &str, format: Format) -> Result<(Node, Vec<Fault>), Fault> {
    // Windows editors like to put a byte order mark there.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut root = match format {
        Format::Json => json::parse(text),
        Format::Yaml => yaml::parse(text),
        Format::Toml => toml::parse(text),
    }?;
    let mut faults = Vec::new();
    tidy(&mut root, &Key::root(), 0, &mut faults)?;
    Ok((root, faults))
}

/// Takes out repeated keys and refuses what lies too deep.
fn tidy(node: &mut Node, key: &Key, depth: usize, faults: &mut Vec<Fault>) -> Result<(), Fault> {
    if depth > DEEPEST {
        return Err(Fault::at(node.at, &Key::root(), format!("nested more than {DEEPEST} levels deep")));
    }
    match &mut node.value {
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                tidy(item, &key.index(index), depth + 1, faults)?;
            }
        }
        Value::Map(entries) => {
            let mut seen = std::collections::HashMap::new();
            entries.retain(|entry| match seen.get(&entry.key) {
                None => {
                    seen.insert(entry.key.clone(), entry.at);
                    true
                }
                Some(&Position { line, .. }) => {
                    let again = Fault::at(entry.at, &key.child(&entry.key), "this key is there twice");
                    faults.push(again.with_hint(format!("the first one is in line {line}; keep one of them")));
                    false
                }
            });
            for entry in entries {
                let key = key.child(&entry.key);
                tidy(&mut entry.node, &key, depth + 1, faults)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::Number(_) | Value::Other(_) => {}
    }
    Ok(())
}

// === impl Format ===

impl Format {
    pub(super) fn of(path: &Path) -> Result<Self, Fault> {
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        match extension.as_deref().and_then(|extension| extension.to_str()) {
            Some("json" | "jsonc") => Ok(Self::Json),
            Some("yaml" | "yml") => Ok(Self::Yaml),
            Some("toml") => Ok(Self::Toml),
            _ => Err(Fault::general("the name of the file does not say its format")
                .with_hint("let it end in `.json`, `.jsonc`, `.yaml`, `.yml` or `.toml`")),
        }
    }
}

// === impl Node ===

impl Node {
    /// The entry of a map under a key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// What it is, with its article, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Number(_) => "a number",
            Value::Other(kind) => kind,
        }
    }
}

/// The beginnings of lines, to turn byte offsets into positions.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

// === impl Lines ===

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        Self { text, starts: std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect() }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(start..offset).unwrap_or_default();
        // Each character has one byte that does not continue another.
        let column = before.iter().filter(|&&byte| byte & 0xc0 != 0x80).count() + 1;
        Position { line, column }
    }
}
