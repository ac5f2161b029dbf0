//! JSON, with comments and trailing commas, and nothing looser.

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::{Entry, Lines, Node, Value};
use crate::config::fault::{Fault, Key};

pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let lines = Lines::new(text);
    let parsed = parse_to_ast(text, &CollectOptions::default(), &options).map_err(|error| {
        let what = error.kind().to_string();
        Fault::at(lines.position(error.range().start), &Key::root(), lower_first(&what))
    })?;
    match parsed.value {
        Some(value) => Ok(node(value, &lines)),
        None => Err(Fault::general("the file is empty")),
    }
}

/// A number as it is written.
fn number(text: &str) -> Value {
    text.parse().map_or(Value::Other("a number"), Value::Number)
}

fn node(value: ast::Value<'_>, lines: &Lines<'_>) -> Node {
    Node {
        at: lines.position(value.start()),
        value: match value {
            ast::Value::NullKeyword(_) => Value::Null,
            ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
            ast::Value::NumberLit(literal) => number(literal.value),
            ast::Value::StringLit(literal) => Value::Text(literal.value.into_owned()),
            ast::Value::Array(array) => Value::List(array.elements.into_iter().map(|item| node(item, lines)).collect()),
            ast::Value::Object(object) => {
                let entries = object.properties.into_iter().map(|property| Entry {
                    at: lines.position(property.name.start()),
                    key: property.name.into_string(),
                    node: node(property.value, lines),
                });
                Value::Map(entries.collect())
            }
        },
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
