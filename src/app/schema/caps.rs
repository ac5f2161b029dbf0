//! What a schema may be at most to be compiled here.

use serde_json::Value;

/// Its text, in bytes. What is longer is not even read.
pub(super) const BYTES: usize = 256 * 1024;
/// Values in it.
const NODES: usize = 20_000;
/// How deep they are nested.
const DEPTH: usize = 96;
/// References: following one after the other goes as deep as there are references.
const REFERENCES: usize = 1_000;
/// Regular expressions, each of which is compiled.
const PATTERNS: usize = 256;

#[derive(Default)]
struct Count {
    nodes: usize,
    references: usize,
    patterns: usize,
}

/// Refuses what is too much. Everything is counted wherever it stands, so that no two readings of a schema disagree here.
///
/// # Errors
/// What there is too much of.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    Count::default().visit(schema, 1)
}

impl Count {
    fn visit(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        self.nodes += 1;
        if depth > DEPTH {
            return Err(format!("it is nested more than {DEPTH} levels deep"));
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match (name.as_str(), member) {
                        ("$ref" | "$dynamicRef" | "$recursiveRef", _) => self.references += 1,
                        ("pattern", _) => self.patterns += 1,
                        ("patternProperties", Value::Object(patterns)) => self.patterns += patterns.len(),
                        _ => {}
                    }
                    self.visit(member, depth + 1)?;
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.visit(item, depth + 1)?;
                }
            }
            _ => {}
        }
        let over = |name: &str, most: usize| Err(format!("it has more than {most} {name}"));
        match self {
            Self { nodes, .. } if *nodes > NODES => over("values", NODES),
            Self { references, .. } if *references > REFERENCES => over("references", REFERENCES),
            Self { patterns, .. } if *patterns > PATTERNS => over("patterns", PATTERNS),
            _ => Ok(()),
        }
    }
}
