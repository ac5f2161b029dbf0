//! `rialto.limits`: every key reaches what it bounds, the documentation has them all, and wrong ones are told.
//!
//! For each key there is a test `limit_<key>` that sets it in a config, and meets the bound: those of clients here, those of
//! servers beside the other scenarios.

mod clients;
mod faults;
mod one_server;
mod sessions;

use rialto::{Limits, config::Config};
use serde_json::{Value, json};

/// The limits that a config with these has.
pub(crate) fn limits(limits: &Value) -> Limits {
    match parse(&json!({ "limits": limits })) {
        Ok(config) => config.limits,
        Err(faults) => panic!("{faults}"),
    }
}

fn parse(rialto: &Value) -> Result<Config, rialto::config::Faults> {
    let text = json!({ "mcpServers": { "docs": { "url": "http://a/" } }, "rialto": rialto });
    Config::parse(&format!("{text:#}"), "mcp.json".as_ref(), &|name| (name == "NUMBER").then(|| "12".into()))
}

/// The keys there are, of which some are left out: an unknown one is answered with them.
fn keys(rialto: &Value) -> Vec<String> {
    let faults = parse(rialto).unwrap_err();
    let fault = faults.iter().next().unwrap();
    let hint = fault.to_do().unwrap();
    let names = hint.strip_prefix("valid here: ").unwrap_or_else(|| panic!("{hint}"));
    names.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()
}

const UNKNOWN: &str = "xxxxxxxxxxxxxxxxxxxxxxxx";

#[test]
fn every_key_is_met_in_a_test() {
    const TESTS: [&str; 4] = [
        include_str!("limits/clients.rs"),
        include_str!("limits/sessions.rs"),
        include_str!("scenarios/limits.rs"),
        include_str!("scenarios/limits/kept.rs"),
    ];
    let keys = keys(&json!({ "limits": { UNKNOWN: 1 } }));
    assert!(keys.len() >= 40, "{keys:?}");
    for key in &keys {
        let test = format!("async fn limit_{key}()");
        assert_eq!(TESTS.iter().filter(|text| text.contains(&test)).count(), 1, "{test}");
    }
}

#[test]
fn every_key_is_documented_with_its_default() {
    const PAGE: &str = include_str!("../../src/demo/docs/limits.md");
    let of_servers = keys(&json!({ "servers": { "docs": { "limits": { UNKNOWN: 1 } } } }));
    for key in keys(&json!({ "limits": { UNKNOWN: 1 } })) {
        let marked = format!("`{key}`{}", if of_servers.contains(&key) { "*" } else { "" });
        let rows: Vec<Vec<&str>> = PAGE
            .lines()
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>())
            .filter(|cells| cells.get(1) == Some(&&*marked))
            .collect();
        assert_eq!(rows.len(), 1, "{marked}: {rows:?}");
        let default = rows[0][2];
        if key == "probe" {
            assert_eq!(default, "10s over HTTP, otherwise 5s");
            continue;
        }
        let value = default.parse::<u64>().map_or_else(|_| json!(default), |number| json!(number));
        assert_eq!(limits(&json!({ key.as_str(): value })), Limits::default(), "{key}");
    }
}
