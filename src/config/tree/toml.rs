//! TOML.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::{Entry, Lines, Node, Value};
use crate::config::fault::{Fault, Key};

pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let lines = Lines::new(text);
    let root = DeTable::parse(text).map_err(|error| {
        let at = lines.position(error.span().map_or(0, |span| span.start));
        // The first line only: the others may repeat the text of the file, which may hold secrets.
        let what = error.message().lines().next().unwrap_or("not TOML");
        Fault::at(at, &Key::root(), what)
    })?;
    Ok(Node { at: lines.position(0), value: table(root.into_inner(), &lines) })
}

fn table(table: DeTable<'_>, lines: &Lines<'_>) -> Value {
    let mut entries: Vec<(Spanned<DeString<'_>>, Spanned<DeValue<'_>>)> = table.into_iter().collect();
    // The parser sorts by name; the order of the file means something.
    entries.sort_by_key(|(key, _)| key.span().start);
    let entries = entries.into_iter().map(|(key, value)| Entry {
        at: lines.position(key.span().start),
        key: key.into_inner().into_owned(),
        node: node(value, lines),
    });
    Value::Map(entries.collect())
}

fn node(value: Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    Node {
        at: lines.position(value.span().start),
        value: match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Boolean(truth) => Value::Bool(truth),
            DeValue::Integer(number) => {
                u64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Other("a number"), Value::Number)
            }
            DeValue::Float(_) => Value::Other("a number"),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(items) => Value::List(items.into_iter().map(|item| node(item, lines)).collect()),
            DeValue::Table(inner) => table(inner, lines),
        },
    }
}
