//! What is wrong with a config file, said so that it can be mended.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where something stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
}

/// One thing that is wrong, or, as a warning, strange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    at: Option<Position>,
    key: Key,
    what: String,
    hint: Option<String>,
}

/// Everything found wrong with a config file.
///
/// Prints one fault after the other, in the order of the file, in the form that editors and
/// terminals make clickable:
///
/// ```text
/// mcp.json:3:14: error: mcpServers.docs.url: not a URL: relative URL without a base
///   hint: write the whole address, such as `https://docs.example/mcp`
/// ```
#[derive(Debug)]
pub struct Faults {
    file: PathBuf,
    faults: Vec<Fault>,
}

/// The way to a value from the top of the file, such as `mcpServers.docs.args[2]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Key(String);

// === impl Fault ===

impl Fault {
    /// A fault of the file as a whole.
    pub(super) fn general(what: impl Into<String>) -> Self {
        Self { at: None, key: Key::root(), what: what.into(), hint: None }
    }

    pub(super) fn at(at: Position, key: &Key, what: impl Into<String>) -> Self {
        Self { at: Some(at), key: key.clone(), ..Self::general(what) }
    }

    pub(super) fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint(hint);
        self
    }

    /// Where it is, unless it concerns the file as a whole.
    pub fn position(&self) -> Option<Position> {
        self.at
    }

    /// The way to the key, such as `mcpServers.docs.url`. Empty at the top of the file.
    pub fn key(&self) -> &str {
        &self.key.0
    }

    /// What is wrong.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do about it.
    pub fn to_do(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Writes `file:line:column: severity: key: what`, and the hint on a line of its own.
    pub(super) fn write(&self, out: &mut impl fmt::Write, file: &Path, severity: &str) -> fmt::Result {
        write!(out, "{}:", file.display())?;
        if let Some(at) = self.at {
            write!(out, "{}:{}:", at.line, at.column)?;
        }
        write!(out, " {severity}: ")?;
        if !self.key.0.is_empty() {
            write!(out, "{}: ", self.key.0)?;
        }
        out.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(out, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

// === impl Faults ===

impl Faults {
    pub(super) fn new(file: &Path, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| fault.at);
        Self { file: file.to_owned(), faults }
    }

    /// The faults in the order of the file. There is at least one.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.faults.iter()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.write(f, &self.file, "error")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

// === impl Key ===

impl Key {
    pub(super) fn root() -> Self {
        Self::default()
    }

    pub(super) fn child(&self, name: &str) -> Self {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let dot = if self.0.is_empty() { "" } else { "." };
        Self(if !name.is_empty() && name.bytes().all(is_plain) {
            format!("{}{dot}{name}", self.0)
        } else {
            format!("{}{dot}{name:?}", self.0)
        })
    }

    pub(super) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}
