//! YAML.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned, UserMessageFormatter};

use super::{DEEPEST, Entry, Node, Value};
use crate::config::fault::{Fault, Key, Position};

pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let mut budget = serde_saphyr::Budget::default();
    budget.max_depth = DEEPEST;
    budget.max_documents = 2;
    budget.max_nodes = 100_000;
    // Aliases are handy in a config; a thousand of them are an attack.
    budget.max_aliases = 1_000;
    let options = serde_saphyr::options! {
        budget: Some(budget),
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(root) => Ok(node(root)),
        Err(error) => {
            let what = error.render_with_formatter(&UserMessageFormatter);
            // The place is said at the beginning of a fault already.
            let what = what.lines().next().unwrap_or("not YAML");
            let what = what.split(" at line ").next().unwrap_or(what).to_owned();
            Err(match error.location() {
                Some(location) => Fault::at(position(location), &Key::root(), what),
                None => Fault::general(what),
            })
        }
    }
}

/// A value without its own position, which the [`Spanned`] around it has.
struct Raw(Value);

struct RawVisitor;

fn node(spanned: Spanned<Raw>) -> Node {
    Node { at: position(spanned.referenced), value: spanned.value.0 }
}

fn position(location: Location) -> Position {
    let at_least_one = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
    Position { line: at_least_one(location.line()), column: at_least_one(location.column()) }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Raw, E> {
        Ok(Raw(Value::Bool(truth)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Raw, E> {
        Ok(Raw(u64::try_from(number).map_or(Value::Other("a number"), Value::Number)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Raw, E> {
        Ok(Raw(Value::Number(number)))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw(Value::Other("a number")))
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw(Value::Other("a number")))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw(Value::Other("a number")))
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Raw, E> {
        Ok(Raw(Value::Other("binary data")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw(Value::Text(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Raw, E> {
        Ok(Raw(Value::Text(text)))
    }

    fn visit_unit<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Raw>>()? {
            list.push(node(item));
        }
        Ok(Raw(Value::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Spanned<Raw>>()? {
            map.push(Entry { at: position(key.referenced), key: key.value, node: node(value) });
        }
        Ok(Raw(Value::Map(map)))
    }
}
