//! `${VAR}`, `${VAR:-default}` and `${file:PATH}` in a string of the config.
//!
//! One pass, over one string: what comes out of a variable or a file is never looked at again, so
//! it can neither refer to something else nor change what the file says. `$${` stands for `${`.
//! Nothing here puts a value into a message.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Environment;

/// The longest file that `${file:…}` takes, in bytes. They are keys and tokens.
const LONGEST_FILE: u64 = 64 * 1024;

/// A string of the config, expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) value: String,
    /// Whether it stands in the file as it is, so that a message may repeat it.
    pub(super) is_literal: bool,
}

/// Why a string could not be expanded, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExpandError {
    pub(super) what: String,
    pub(super) hint: String,
}

pub(super) fn has_reference(text: &str) -> bool {
    text.contains("${")
}

/// Expands the references in `text`. Relative files count from `directory`.
pub(super) fn expand(text: &str, environment: Environment<'_>, directory: &Path) -> Result<Text, ExpandError> {
    let mut value = String::with_capacity(text.len());
    let mut is_literal = true;
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, reference) = rest.split_at(start);
        if let Some(before) = before.strip_suffix('$') {
            value.push_str(before);
            value.push_str("${");
            rest = &reference[2..];
            continue;
        }
        value.push_str(before);
        let Some((inside, after)) = reference[2..].split_once('}') else {
            return Err(ExpandError {
                what: "`${` without its `}`".to_owned(),
                hint: "close it, or write `$${` for the two characters themselves".to_owned(),
            });
        };
        value.push_str(&resolve(inside, environment, directory)?);
        is_literal = false;
        rest = after;
    }
    value.push_str(rest);
    Ok(Text { value, is_literal })
}

fn resolve(inside: &str, environment: Environment<'_>, directory: &Path) -> Result<String, ExpandError> {
    if let Some(path) = inside.strip_prefix("file:") {
        return read(path, directory);
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_variable(name) {
        return Err(not_a_reference(name));
    }
    if default.is_some_and(has_reference) {
        return Err(ExpandError {
            what: format!("the default of `{name}` holds a reference of its own"),
            hint: "defaults are taken as they stand; write a plain text".to_owned(),
        });
    }
    let Some(found) = environment(name) else {
        return default.map(str::to_owned).ok_or_else(|| ExpandError {
            what: format!("the environment variable `{name}` is not set"),
            hint: format!("set it, or write `${{{name}:-default}}`"),
        });
    };
    let found = found.into_string().map_err(|_| ExpandError {
        what: format!("the environment variable `{name}` is not UTF-8 text"),
        hint: "set it to text".to_owned(),
    })?;
    // As in a shell: `:-` also replaces a variable that is set to nothing.
    Ok(match default {
        Some(default) if found.is_empty() => default.to_owned(),
        _ => found,
    })
}

fn read(path: &str, directory: &Path) -> Result<String, ExpandError> {
    let fail = |why: &str| ExpandError {
        what: format!("cannot take the file `{path}`: {why}"),
        hint: "name a small text file that Rialto may read; relative paths count from this config file".to_owned(),
    };
    let path = directory.join(path);
    // Asked first, since opening a pipe would wait for its writer.
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(fail("it is not a regular file")),
        Err(error) => return Err(fail(&error.to_string())),
    }
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| fail(&error.to_string()))?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(fail("it is longer than 64 KiB"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| fail("it is not UTF-8 text"))?;
    // Nearly every tool ends a file with a line break, and no secret does.
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

fn is_variable(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit()) && name.bytes().all(is_part)
}

/// Other clients have references of their own; say what to write instead.
fn not_a_reference(inside: &str) -> ExpandError {
    let hint = match inside.split_once(':') {
        Some(("env", name)) => format!("write `${{{name}}}`"),
        Some(("input", _)) => "Rialto asks for nothing while it starts; use `${VAR}` or `${file:PATH}`".to_owned(),
        _ => "known are `${VAR}`, `${VAR:-default}` and `${file:PATH}`; `$${` stands for `${` itself".to_owned(),
    };
    ExpandError { what: "not a reference that Rialto knows".to_owned(), hint }
}
