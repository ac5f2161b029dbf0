//! The config file: what it understands, and what it says about the rest.

mod auth;
mod faults;
mod formats;
mod listening;
mod references;
mod routes;
mod servers;

use std::ffi::OsString;
use std::path::Path;

use rialto::config::{Config, Faults, Kind, Server};

/// The environment of these tests; that of the process is never looked at.
fn environment(name: &str) -> Option<OsString> {
    let value = match name {
        "TOKEN" => "CANARY_token",
        "HOST" => "docs.example",
        "EMPTY" => "",
        "REFERENCE" => "${TOKEN}",
        "SHELL_WORDS" => "$(id); `id` \"quoted\" 'single'\n- yaml: true\n",
        "LISTEN" => "127.0.0.1:9000",
        "SEAL" => "0123456789abcdef0123456789abcdef",
        _ => return None,
    };
    Some(value.into())
}

fn parse_as(file: &str, text: &str) -> Result<Config, Faults> {
    Config::parse(text, Path::new(file), &environment)
}

fn parse(text: &str) -> Config {
    match parse_as("mcp.json", text) {
        Ok(config) => config,
        Err(faults) => panic!("{faults}\n{text}"),
    }
}

/// The config of one entry, written as the inside of its braces.
fn entry(fields: &str) -> Config {
    parse(&format!(r#"{{ "mcpServers": {{ "docs": {{ {fields} }} }} }}"#))
}

fn faults(text: &str) -> String {
    match parse_as("mcp.json", text) {
        Ok(config) => panic!("no fault: {config:?}\n{text}"),
        Err(faults) => faults.to_string(),
    }
}

fn entry_faults(fields: &str) -> String {
    faults(&format!(r#"{{ "mcpServers": {{ "docs": {{ {fields} }} }} }}"#))
}

/// The faults of a `rialto` key, written as the inside of its braces, beside two servers.
fn settings_faults(settings: &str) -> String {
    faults(&format!(
        r#"{{ "mcpServers": {{ "docs": {{ "url": "http://a/" }}, "My Files": {{ "command": "x" }} }},
  "rialto": {{ {settings} }} }}"#
    ))
}

fn url(server: &Server) -> &str {
    match &server.kind {
        Kind::Http { url, .. } => url.as_str(),
        other => panic!("not reached by a URL: {other:?}"),
    }
}
