//! Typed access to the tree that collects faults instead of stopping at the first.

use std::path::{Path, PathBuf};

use super::Environment;
use super::expand::{Text, expand};
use super::fault::{Fault, Key, Position};
use super::name::suggest;
use super::tree::{Entry, Node, Value};

/// Reads values out of a tree. What it cannot read it notes as a fault and gives as `None`.
pub(super) struct Reader<'a> {
    file: &'a Path,
    directory: PathBuf,
    environment: Environment<'a>,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a Path, environment: Environment<'a>, faults: Vec<Fault>) -> Self {
        Self {
            file,
            directory: file.parent().unwrap_or(Path::new("")).to_owned(),
            environment,
            faults,
            warnings: Vec::new(),
        }
    }

    /// The directory that relative paths count from.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    pub(super) fn into_warnings(mut self) -> Vec<String> {
        self.warnings.sort_by_key(Fault::position);
        let print = |warning: &Fault| {
            let mut line = String::new();
            match warning.write(&mut line, self.file, "warning") {
                Ok(()) => line,
                // Writing to a string does not fail; if it did, the bare words would do.
                Err(_) => warning.what().to_owned(),
            }
        };
        self.warnings.iter().map(print).collect()
    }

    pub(super) fn fault(&mut self, at: Position, key: &Key, what: impl Into<String>) -> &mut Fault {
        note(&mut self.faults, Fault::at(at, key, what))
    }

    pub(super) fn warn(&mut self, at: Position, key: &Key, what: impl Into<String>) -> &mut Fault {
        note(&mut self.warnings, Fault::at(at, key, what))
    }

    pub(super) fn map<'n>(&mut self, node: &'n Node, key: &Key) -> Option<&'n [Entry]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            _ => self.mismatch(node, key, "a map"),
        }
    }

    pub(super) fn bool(&mut self, node: &Node, key: &Key) -> Option<bool> {
        match node.value {
            Value::Bool(truth) => Some(truth),
            _ => self.mismatch(node, key, "true or false"),
        }
    }

    /// How many of something. A number that comes from the environment is text.
    pub(super) fn count(&mut self, node: &Node, key: &Key, least: usize, most: usize) -> Option<usize> {
        let count = match &node.value {
            Value::Text(_) => self.text(node, key)?.value.parse().ok(),
            Value::Whole(number) => usize::try_from(*number).ok(),
            _ => None,
        };
        let count = count.filter(|count| (least..=most).contains(count));
        if count.is_none() {
            self.fault(node.at, key, format!("not a number from {least} to {most}"))
                .hint(format!("write a whole number, such as `{}`", least.max(1).saturating_mul(16).min(most)));
        }
        count
    }

    /// A string with its references expanded.
    pub(super) fn text(&mut self, node: &Node, key: &Key) -> Option<Text> {
        let raw = self.raw_text(node, key)?;
        match expand(raw, self.environment, &self.directory) {
            Ok(text) => Some(text),
            Err(error) => {
                self.fault(node.at, key, error.what).hint(error.hint);
                None
            }
        }
    }

    /// A string as it stands in the file.
    pub(super) fn raw_text<'n>(&mut self, node: &'n Node, key: &Key) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => Some(text),
            _ => self.mismatch(node, key, "a string"),
        }
    }

    /// The items of a list with the key of each.
    pub(super) fn list<'n>(&mut self, node: &'n Node, key: &Key) -> Vec<(Key, &'n Node)> {
        match &node.value {
            Value::List(items) => {
                let keyed = items.iter().enumerate().map(|(index, item)| (key.index(index), item));
                keyed.collect()
            }
            _ => self.mismatch(node, key, "a list").unwrap_or_default(),
        }
    }

    /// One of a few words. The message repeats a wrong one only if it stands in the file.
    pub(super) fn choice<T: Copy>(&mut self, node: &Node, key: &Key, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, key)?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text.value) {
            return Some(*choice);
        }
        let what = if text.is_literal {
            format!("not a known value: `{}`", text.value.escape_debug())
        } else {
            "not a known value".to_owned()
        };
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let hint = suggest(if text.is_literal { &text.value } else { "" }, &words);
        self.fault(node.at, key, what).hint(hint);
        None
    }

    fn mismatch<T>(&mut self, node: &Node, key: &Key, wanted: &str) -> Option<T> {
        let fault = self.fault(node.at, key, format!("must be {wanted}, but is {}", node.kind()));
        if wanted == "a string" && matches!(node.value, Value::Other(_) | Value::Whole(_) | Value::Bool(_)) {
            fault.hint("put it in quotes");
        }
        None
    }
}

/// Appends a fault and gives it back for its hint.
fn note(faults: &mut Vec<Fault>, fault: Fault) -> &mut Fault {
    let index = faults.len();
    faults.push(fault);
    &mut faults[index]
}
