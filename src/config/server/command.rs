//! Entries with a command.

use std::path::PathBuf;

use crate::config::Kind;
use crate::config::expand::has_reference;
use crate::config::fault::Key;
use crate::config::reader::Reader;
use crate::config::tree::{Entry, Node};

pub(super) fn read_command(reader: &mut Reader<'_>, entry: &Entry, command: &Entry, key: &Key) -> Option<Kind> {
    let faults = reader.faults().len();
    let command_key = key.child("command");
    let program = reader.raw_text(&command.node, &command_key).map(str::to_owned);
    if let Some(program) = &program {
        if has_reference(program) {
            reader
                .fault(command.node.at, &command_key, "references are not expanded in `command`")
                .hint("write the program itself; references are fine in `args` and `env`");
        } else if program.trim().is_empty() || program.contains('\0') {
            reader
                .fault(command.node.at, &command_key, "not the name of a program")
                .hint("write its path, or a name to look up in `PATH`");
        }
    }
    let args = match entry.node.get("args") {
        Some(args) => read_args(reader, &args.node, &key.child("args")),
        None => Vec::new(),
    };
    let env = match entry.node.get("env") {
        Some(env) => read_env(reader, &env.node, &key.child("env")),
        None => Vec::new(),
    };
    let cwd = entry.node.get("cwd").and_then(|cwd| read_cwd(reader, &cwd.node, &key.child("cwd")));
    if reader.faults().len() > faults {
        return None;
    }
    Some(Kind::Command { command: program?, args, env, cwd })
}

fn read_args(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Vec<String> {
    let mut args = Vec::new();
    for (key, item) in reader.list(node, key) {
        args.extend(read_child_text(reader, item, &key));
    }
    args
}

fn read_env(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Vec<(String, String)> {
    let mut env = Vec::new();
    for field in reader.map(node, key).unwrap_or_default() {
        let key = key.child(&field.key);
        if field.key.is_empty() || field.key.contains(['=', '\0']) || has_reference(&field.key) {
            reader.fault(field.at, &key, "not the name of an environment variable").hint("no `=` and no references");
            continue;
        }
        let value = read_child_text(reader, &field.node, &key);
        env.extend(value.map(|value| (field.key.clone(), value)));
    }
    env
}

fn read_cwd(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<PathBuf> {
    let text = read_child_text(reader, node, key)?;
    Some(reader.directory().join(text))
}

/// A string that is handed to a process, which cannot take a NUL.
fn read_child_text(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<String> {
    let text = reader.text(node, key)?.value;
    if text.contains('\0') {
        reader.fault(node.at, key, "its value holds a NUL, which no process can be given").hint("take it out");
        return None;
    }
    Some(text)
}
