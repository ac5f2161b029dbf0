//! `rialto.auth`: who may come in.

use super::Authentication;
use super::fault::Key;
use super::name::suggest;
use super::reader::Reader;
use super::server::Named;
use super::settings::unknown;
use super::tree::{Entry, Node, Value};
use crate::auth::{self, Auth, BadKey, MOST_KEYS};

const KEYS: [&str; 1] = ["keys"];
const KEY_KEYS: [&str; 4] = ["principal", "key", "mounts", "routes"];

/// Reads what is said. After a fault nothing is.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, key: &Key, named: &[Named]) -> Authentication {
    match &node.value {
        Value::Text(_) => {
            let choice = reader.choice(node, key, &[("none", ())]);
            choice.map_or(Authentication::Unsaid, |()| Authentication::Nobody)
        }
        Value::Map(entries) => {
            for entry in entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
                unknown(reader, entry, &key.child(&entry.key), &KEYS);
            }
            match node.get("keys") {
                Some(keys) => read_keys(reader, &keys.node, &key.child("keys"), named),
                None => {
                    no_keys(reader, node, key);
                    Authentication::Unsaid
                }
            }
        }
        _ => {
            let what = format!("must be a map with `keys`, or \"none\", but is {}", node.kind());
            reader.fault(node.at, key, what).hint("`rialto key` makes a key and shows how to write it");
            Authentication::Unsaid
        }
    }
}

fn no_keys(reader: &mut Reader<'_>, node: &Node, key: &Key) {
    reader
        .fault(node.at, key, "there are no keys in it")
        .hint("add `keys` with one entry for each, as `rialto key` shows it, or let everybody in with \"none\"");
}

fn read_keys(reader: &mut Reader<'_>, node: &Node, key: &Key, named: &[Named]) -> Authentication {
    let items = reader.list(node, key);
    if items.is_empty() {
        if matches!(node.value, Value::List(_)) {
            no_keys(reader, node, key);
        }
        return Authentication::Unsaid;
    }
    if items.len() > MOST_KEYS {
        reader.fault(node.at, key, format!("more than {MOST_KEYS} keys")).hint("let principals share fewer of them");
        return Authentication::Unsaid;
    }
    let mut keys: Vec<auth::Key> = Vec::new();
    for (key, item) in items {
        let Some(read) = read_key(reader, item, &key, named) else { continue };
        if keys.iter().any(|other| other.is_same(&read)) {
            reader
                .fault(item.at, &key, "this key is there already")
                .hint("give every principal keys of its own; a principal may have several");
            continue;
        }
        keys.push(read);
    }
    Auth::keys(keys).map_or(Authentication::Unsaid, Authentication::Keys)
}

fn read_key(reader: &mut Reader<'_>, node: &Node, key: &Key, named: &[Named]) -> Option<auth::Key> {
    for entry in reader.map(node, key)? {
        if !KEY_KEYS.contains(&entry.key.as_str()) {
            unknown(reader, entry, &key.child(&entry.key), &KEY_KEYS);
        }
    }
    let mounts = match node.get("mounts") {
        Some(mounts) => read_mounts(reader, &mounts.node, &key.child("mounts"), named).map(Some),
        None => Some(None),
    };
    // A key that opens all mounts opens everything; one that is kept to some is kept to them.
    let routes = match node.get("routes") {
        Some(routes) => reader.bool(&routes.node, &key.child("routes")),
        None => Some(mounts.as_ref().is_some_and(Option::is_none)),
    };
    let said = ["principal", "key"].map(|name| {
        let Some(entry) = node.get(name) else {
            reader
                .fault(node.at, key, format!("`{name}` is missing"))
                .hint("an entry has a `principal` and a `key`, as `rialto key` shows it");
            return None;
        };
        let text = reader.text(&entry.node, &key.child(name))?;
        Some((entry, text))
    });
    let [mut principal, text] = said;
    if let Some((entry, name)) = &principal
        && !auth::is_principal(&name.value)
    {
        bad(reader, entry, &key.child("principal"), BadKey::Principal);
        principal = None;
    }
    let (entry, text) = text?;
    // Without a good name the key is looked at all the same, so that all the faults are told at once.
    let name = principal.as_ref().map_or("unnamed", |(_, name)| name.value.as_str());
    let read = match auth::Key::parse(name, &text.value) {
        Ok(read) => read,
        Err(fault) => {
            bad(reader, entry, &key.child("key"), fault);
            return None;
        }
    };
    if text.is_literal && !text.value.starts_with("sha256:") {
        reader
            .warn(entry.node.at, &key.child("key"), "the key itself stands in this file")
            .hint(format!("write its hash, `{}`, or refer to it as `${{VAR}}` or `${{file:PATH}}`", read.to_hash()));
    }
    principal?;
    let (mounts, routes) = (mounts?, routes?);
    let read = match mounts {
        Some(mounts) => read.only(mounts),
        None if routes => read,
        None => read.only(named.iter().filter_map(|server| server.mount.clone())),
    };
    Some(if routes { read.and_routes() } else { read })
}

fn bad(reader: &mut Reader<'_>, entry: &Entry, key: &Key, fault: BadKey) {
    let (what, hint) = fault.parts();
    reader.fault(entry.node.at, key, what).hint(hint);
}

/// The mounts that a list names, by their names or those of their servers. One whose server is disabled is not there.
fn read_mounts(reader: &mut Reader<'_>, node: &Node, key: &Key, named: &[Named]) -> Option<Vec<String>> {
    let items = reader.list(node, key);
    if items.is_empty() {
        if matches!(node.value, Value::List(_)) {
            reader
                .fault(node.at, key, "it names no mount, so the key would open nothing")
                .hint("name some, or leave `mounts` out for all of them");
        }
        return None;
    }
    let mut mounts = Some(Vec::new());
    for (key, item) in items {
        let Some(text) = reader.text(item, &key) else {
            mounts = None;
            continue;
        };
        let by_name = named.iter().find(|server| server.mount.as_ref() == Some(&text.value));
        match by_name.or_else(|| named.iter().find(|server| server.original == text.value)) {
            Some(server) => {
                if let (Some(mounts), Some(name)) = (&mut mounts, &server.mount) {
                    mounts.push(name.clone());
                }
            }
            None => {
                let known: Vec<&str> = named.iter().map(|server| server.original.as_str()).collect();
                let shown = if text.is_literal { text.value.as_str() } else { "" };
                reader.fault(item.at, &key, "there is no mount of this name").hint(suggest(shown, &known));
                mounts = None;
            }
        }
    }
    mounts
}
