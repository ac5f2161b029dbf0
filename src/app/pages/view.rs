//! What the page shows, in words. Text of servers becomes plain text here, and HTML in the template, which escapes it.

use askama::Template;

use crate::{
    auth::Access,
    hub::{Health, Link},
    protocol::Era,
};

use super::{
    assets::{ICON, STYLE},
    inventory::{Count, Inventory},
};

use super::super::gateway::Entry;

mod snippets;

use snippets::Snippet;

/// How much of a text that a server says is shown, in characters.
const NAME: usize = 80;
const REASON: usize = 400;

/// Which of the pages and documents of others are there.
#[derive(Debug, Default)]
pub(super) struct Links {
    docs: bool,
    openapi: bool,
    metrics: bool,
    readyz: bool,
    /// The REST routes of the mounts.
    api: bool,
    /// A Swagger UI for each mount.
    mount_docs: bool,
}

/// Who looks at the page.
pub(super) struct Visitor {
    /// Their name, where there is authentication.
    name: Option<String>,
    is_to_all: bool,
}

/// The page at `/`.
#[derive(Template)]
#[template(path = "home.html")]
pub(super) struct Home<'a> {
    version: &'static str,
    style: &'static str,
    icon: &'static str,
    base: &'a str,
    /// What comes before the paths it links to.
    below: &'a str,
    visitor: &'a Visitor,
    links: &'a Links,
    summary: String,
    mounts: Vec<Shown<'a>>,
    snippets: Vec<Snippet>,
}

/// One mount on the page.
struct Shown<'a> {
    name: &'a str,
    title: String,
    url: String,
    state: &'static str,
    word: &'static str,
    reason: Option<String>,
    server: Option<String>,
    transport: &'static str,
    revision: Option<(&'static str, &'static str)>,
    counts: Vec<(String, &'static str)>,
}

// === impl Links ===

impl Links {
    /// Those that are among these paths.
    pub(super) fn among<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let mut links = Self::default();
        for path in paths {
            match path {
                "/docs" | "/docs/" => links.docs = true,
                "/openapi.json" => links.openapi = true,
                "/metrics" => links.metrics = true,
                "/readyz" => links.readyz = true,
                "/api/mounts" => links.api = true,
                "/api/mounts/{mount}/docs" | "/api/mounts/{mount}/docs/" => links.mount_docs = true,
                _ => {}
            }
        }
        links
    }
}

// === impl Visitor ===

impl Visitor {
    /// Who has this access; `is_known` says whether anybody authenticated them.
    pub(super) fn new(access: &Access, is_known: bool) -> Self {
        let name = is_known.then(|| plain(access.principal().as_str(), NAME));
        Self { name: name.filter(|name| !name.is_empty()), is_to_all: access.is_to_all() }
    }
}

// === impl Home ===

impl<'a> Home<'a> {
    pub(super) fn new(
        base: &'a str,
        below: &'a str,
        visitor: &'a Visitor,
        links: &'a Links,
        mounts: impl Iterator<Item = (&'a Entry, &'a Option<Inventory>)>,
    ) -> Self {
        let mounts: Vec<_> = mounts.map(|(entry, inventory)| Shown::new(base, entry, inventory.as_ref())).collect();
        let names: Vec<_> = mounts.iter().map(|mount| mount.name).collect();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            style: &STYLE.path,
            icon: &ICON.path,
            base,
            below,
            visitor,
            links,
            summary: summary(&mounts),
            snippets: snippets::all(base, &names, visitor.name.is_some(), links.api),
            mounts,
        }
    }
}

fn summary(mounts: &[Shown<'_>]) -> String {
    let of = |state: &str| mounts.iter().filter(|mount| mount.state == state).count();
    let all = match mounts.len() {
        0 => return "No servers".to_owned(),
        1 => "1 server".to_owned(),
        n => format!("{n} servers"),
    };
    let states = [(of("up"), "up"), (of("down"), "down"), (of("unknown"), "not tried yet")];
    let states: Vec<_> = states.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    format!("{all}: {}", states.join(", "))
}

// === impl Shown ===

impl<'a> Shown<'a> {
    fn new(base: &str, entry: &'a Entry, inventory: Option<&Inventory>) -> Self {
        let name = entry.name();
        let (state, word, reason) = match entry.mount().health() {
            Health::Up => ("up", "Up", None),
            Health::Down(reason) => ("down", "Down", Some(plain(&reason, REASON))),
            Health::Unknown => ("unknown", "Not tried yet", None),
        };
        let Link { transport, revision } = entry.mount().link();
        let named = |inventory: &Inventory| {
            let name = plain(inventory.name.as_deref()?, NAME);
            let version = inventory.version.as_deref().map(|version| plain(version, 24)).unwrap_or_default();
            Some(format!("{name} {version}").trim().to_owned()).filter(|text| !text.is_empty())
        };
        let title = entry.title().map(|title| plain(title, NAME)).filter(|title| !title.is_empty());
        Self {
            name,
            title: title.unwrap_or_else(|| name.to_owned()),
            url: format!("{base}/mcp/{name}"),
            state,
            word,
            reason,
            server: inventory.and_then(named),
            transport: match transport {
                "http" => "streamable HTTP",
                "stdio" => "stdio, a child process",
                "in-process" => "inside Rialto",
                "none" => "none",
                other => other,
            },
            revision: revision.map(|revision| {
                let era = match revision.era() {
                    Era::Legacy => "legacy era",
                    Era::Modern => "modern era",
                };
                (revision.as_str(), era)
            }),
            counts: inventory.map(|inventory| inventory.counts.iter().map(counted).collect()).unwrap_or_default(),
        }
    }
}

fn counted((family, count): &(&'static str, Count)) -> (String, &'static str) {
    let one = match *family {
        "tools" => "tool",
        "resources" => "resource",
        "prompts" => "prompt",
        other => other,
    };
    match count {
        Count::Exactly(1) => ("1".to_owned(), one),
        Count::Exactly(n) => (n.to_string(), family),
        Count::MoreThan(n) => (format!("{n}+"), family),
    }
}

/// Text of others as plain text: on one line, short, and without what cannot be seen or turns the rest around. The template
/// escapes what is left.
fn plain(text: &str, most: usize) -> String {
    let mut plain = String::new();
    let mut length = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let word = word.chars().filter(|c| !is_hidden(*c));
        let mut gap = !plain.is_empty();
        for c in word {
            if length >= most {
                plain.push('…');
                return plain;
            }
            if std::mem::take(&mut gap) {
                plain.push(' ');
                length += 1;
            }
            plain.push(c);
            length += 1;
        }
    }
    plain
}

/// Characters that have no shape of their own: marks that turn text around, joiners, tags, and the like.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_plain_and_short() {
        for (text, expected) in [
            ("Documentation", "Documentation"),
            ("  two\r\n\twords \u{0} here ", "two words here"),
            ("\u{202e}txt.exe\u{202c}", "txt.exe"),
            ("a\u{e0041}b\u{200b}c", "abc"),
            ("\u{1b}[2Jgone", "[2Jgone"),
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
            ("\u{2028}", ""),
            ("", ""),
        ] {
            assert_eq!(plain(text, 80), expected, "{text:?}");
        }
        let long = plain(&"a".repeat(1 << 20), 80);
        assert_eq!(long.chars().count(), 81);
        assert!(long.ends_with('…'));
    }
}
