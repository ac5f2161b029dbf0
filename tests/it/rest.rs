//! REST: every mount over plain HTTP and JSON.

use rialto::app::problem::Kind;
use serde_json::{Value, json};

use crate::matrix::process::{Fixture, Rialto, fixture_command};

pub(crate) mod app;
mod calls;
mod events;
mod hostile;
mod lists;
mod parity;
mod problems;

use app::Answer;

/// Fails unless the answer is a problem of this kind, and gives the problem.
#[track_caller]
pub(crate) fn assert_problem(answer: &Answer, kind: Kind) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["type"], kind.urn(), "{answer:?}");
    assert_eq!(answer.status, kind.status(), "{answer:?}");
    assert_eq!(problem["status"], kind.status().as_u16());
    assert_eq!(problem["title"], kind.title());
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{answer:?}");
    problem
}

/// A Rialto in front of servers of every kind: `old` and `new` as children, `old-http` and `new-http` over HTTP.
pub(crate) struct Everything {
    pub(crate) rialto: Rialto,
    _fixtures: [Fixture; 2],
}

pub(crate) const EVERY_MOUNT: [(&str, &str, &str, &str); 4] = [
    ("old", "stdio", "legacy", "2024-11-05"),
    ("old-http", "http", "legacy", "2025-11-25"),
    ("new", "stdio", "modern", "2026-07-28"),
    ("new-http", "http", "modern", "2026-07-28"),
];

impl Everything {
    pub(crate) async fn start() -> Self {
        let old = Fixture::start(&["--revision", "2025-11-25", "--many-tools"]).await;
        let new = Fixture::start(&["--revision", "2026-07-28", "--many-tools"]).await;
        let servers = json!({
            "old": fixture_command(&["--revision", "2024-11-05", "--many-tools"]),
            "old-http": old.entry(),
            "new": fixture_command(&["--revision", "2026-07-28", "--many-tools"]),
            "new-http": new.entry(),
        });
        Self { rialto: Rialto::start(&servers).await, _fixtures: [old, new] }
    }

    pub(crate) fn url(&self, mount: &str, rest: &str) -> String {
        format!("{}/api/mounts/{mount}{rest}", self.rialto.base)
    }
}
