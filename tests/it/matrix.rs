//! Every revision of the client against every kind of server: the same suite, through one Rialto, over real processes.
//!
//! The columns that are missing are those of transports that Rialto does not have yet.

use std::{panic::AssertUnwindSafe, path::PathBuf, time::Duration};

use futures_util::{FutureExt, future::join_all};
use rustix::process::Signal;
use serde_json::{Map, Value};

pub(crate) mod client;
mod demo;
mod fidelity;
pub(crate) mod pipe;
pub(crate) mod process;
mod questions;
mod reply;
pub(crate) mod sse;
mod suite;
mod traffic;
pub(crate) mod wire;

use client::{Client, MODERN};
use process::{Fixture, Rialto, fixture_command, processes_with, until};

/// A kind of server.
struct Column {
    name: &'static str,
    /// The revision it speaks, or `dual`.
    revision: &'static str,
    /// Over HTTP; otherwise a child.
    http: bool,
    /// It remembers nothing, and can neither report progress nor ask.
    stateless: bool,
    arguments: &'static [&'static str],
}

const COLUMNS: [Column; 9] = [
    Column { name: "V1", revision: "2024-11-05", http: false, stateless: false, arguments: &[] },
    Column { name: "V3", revision: "2025-03-26", http: true, stateless: false, arguments: &[] },
    Column { name: "V4", revision: "2025-06-18", http: true, stateless: false, arguments: &[] },
    Column { name: "V5", revision: "2025-11-25", http: true, stateless: false, arguments: &["--resumable"] },
    Column {
        name: "V6",
        revision: "2025-11-25",
        http: true,
        stateless: true,
        arguments: &["--stateless", "--json-only"],
    },
    Column { name: "V7", revision: "2025-11-25", http: false, stateless: false, arguments: &[] },
    Column { name: "V8", revision: MODERN, http: false, stateless: false, arguments: &[] },
    Column { name: "V9", revision: MODERN, http: true, stateless: false, arguments: &[] },
    Column { name: "V10", revision: "dual", http: true, stateless: false, arguments: &[] },
];

/// The revisions of the clients over HTTP. K2 speaks 2024-11-05 over a transport that is not there yet; here that revision
/// is spoken over streamable HTTP.
const K3: &str = "2025-03-26";
const K4: &str = "2025-06-18";
const K5: &str = "2025-11-25";
const K8: &str = MODERN;
const OLDEST: &str = "2024-11-05";

/// The number of each combination over HTTP: the client's revision, and a number for each column.
const ROWS: [(&str, [&str; 9]); 5] = [
    (OLDEST, ["-", "-", "-", "-", "-", "-", "-", "-", "-"]),
    (K3, ["ERA-021", "ERA-023", "ERA-024", "ERA-025", "ERA-026", "ERA-027", "ERA-028", "ERA-029", "ERA-030"]),
    (K4, ["ERA-031", "ERA-033", "ERA-034", "ERA-035", "ERA-036", "ERA-037", "ERA-038", "ERA-039", "ERA-040"]),
    (K5, ["ERA-041", "ERA-043", "ERA-044", "ERA-045", "ERA-046", "ERA-047", "ERA-048", "ERA-049", "ERA-050"]),
    (K8, ["ERA-071", "ERA-073", "ERA-074", "ERA-075", "ERA-076", "ERA-077", "ERA-078", "ERA-079", "ERA-080"]),
];

/// The same for clients that start `rialto stdio`.
const PIPED: [(&str, [&str; 9]); 3] = [
    (OLDEST, ["ERA-001", "ERA-003", "ERA-004", "ERA-005", "ERA-006", "ERA-007", "ERA-008", "ERA-009", "ERA-010"]),
    (K5, ["ERA-051", "ERA-053", "ERA-054", "ERA-055", "ERA-056", "ERA-057", "ERA-058", "ERA-059", "ERA-060"]),
    (K8, ["ERA-061", "ERA-063", "ERA-064", "ERA-065", "ERA-066", "ERA-067", "ERA-068", "ERA-069", "ERA-070"]),
];

/// One combination of a client and a server.
struct Cell {
    number: &'static str,
    client: &'static str,
    column: &'static Column,
    /// Where the client connects.
    url: String,
    /// The config file that it starts `rialto stdio` with, where it does.
    over: Option<PathBuf>,
    /// Where the server is, when it is there over HTTP.
    server: Option<String>,
    /// An argument of the server's process, when it is a child.
    tag: String,
    /// There is no Rialto between the two.
    direct: bool,
}

impl Cell {
    /// A client, which fills in forms where there is content for them.
    async fn connect(&self, content: Option<Value>) -> Client {
        match (&self.over, content) {
            (Some(file), content) => Client::launch(file, &self.column.name.to_lowercase(), self.client, content).await,
            (None, Some(content)) => Client::connect_answering(&self.url, self.client, content).await,
            (None, None) => Client::connect(&self.url, self.client).await,
        }
    }

    /// The revision that the server is spoken to in.
    fn upstream(&self) -> &'static str {
        match self.column.revision {
            "dual" if self.direct => self.client,
            "dual" => MODERN,
            revision => revision,
        }
    }

    /// The same revision on both sides, so that nothing has to be rewritten.
    fn is_same(&self) -> bool {
        self.upstream() == self.client
    }

    /// Whether the server has sessions, and the client one of its own.
    fn has_sessions(&self) -> bool {
        self.client != MODERN && self.upstream() != MODERN && !self.column.stateless
    }

    /// Whether the server can ask the client something.
    fn can_ask(&self) -> bool {
        self.client >= "2025-06-18" && self.upstream() >= "2025-06-18" && !self.column.stateless
    }

    /// Runs a step and says what went wrong with it.
    async fn step<T>(&self, name: &str, step: impl Future<Output = T>) -> Result<T, String> {
        let bounded = tokio::time::timeout(Duration::from_secs(30), step);
        let what = match AssertUnwindSafe(bounded).catch_unwind().await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(_)) => "it took longer than 30 s".to_owned(),
            Err(panic) => match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
                (Some(text), _) => text.clone(),
                (None, Some(text)) => (*text).to_owned(),
                (None, None) => "it panicked".to_owned(),
            },
        };
        let what: String = what.chars().take(1500).collect();
        Err(format!("{} ({} × {}), {name}: {what}", self.number, self.client, self.column.name))
    }
}

/// The combinations of one row, before anybody can connect: the cells, the entries of `mcpServers`, the servers over HTTP.
async fn set(rows: &[(&str, [&'static str; 9])], client: &'static str) -> (Vec<Cell>, Value, Vec<Fixture>) {
    let numbers = rows.iter().find(|(revision, _)| *revision == client).unwrap().1;
    let mut servers = Map::new();
    let (mut cells, mut fixtures) = (Vec::new(), Vec::new());
    for (column, number) in COLUMNS.iter().zip(numbers) {
        let tag = format!("row-{client}-{number}-{}-{}", column.name, std::process::id());
        let arguments = [&["--revision", column.revision], column.arguments].concat();
        let mut server = None;
        let entry = if column.http {
            let fixture = Fixture::start(&arguments).await;
            let entry = fixture.entry();
            server = Some(fixture.url.clone());
            fixtures.push(fixture);
            entry
        } else {
            fixture_command(&[&arguments[..], &["--tag", &tag]].concat())
        };
        servers.insert(column.name.to_lowercase(), entry);
        let (url, over) = (String::new(), None);
        cells.push(Cell { number, client, column, url, over, server, tag, direct: false });
    }
    (cells, Value::Object(servers), fixtures)
}

/// The combinations of one row behind one Rialto.
async fn row(client: &'static str) {
    let (mut cells, servers, fixtures) = set(&ROWS, client).await;
    let mut rialto = Rialto::start(&servers).await;
    for cell in &mut cells {
        cell.url = rialto.mount(&cell.column.name.to_lowercase());
    }
    let failed = join_all(cells.iter().map(suite::run)).await.concat();
    assert!(failed.is_empty(), "{} steps failed:\n{}\n\nlog:\n{}", failed.len(), failed.join("\n"), rialto.log());

    // Whatever was still open towards the servers ends with Rialto.
    rialto.signal(Signal::TERM);
    assert!(rialto.ended().await.success(), "{}", rialto.log());
    for cell in &cells {
        until(&format!("the end of the children of {}", cell.column.name), || async {
            processes_with(&cell.tag).is_empty()
        })
        .await;
    }
    for fixture in &fixtures {
        let open = fixture.status().await["open"].clone();
        assert_eq!(open, serde_json::json!([]), "sessions that were not ended:\n{}", rialto.log());
    }
}

/// The combinations of a row whose clients each start a Rialto of their own.
async fn piped(client: &'static str) {
    let (mut cells, servers, fixtures) = set(&PIPED, client).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcp.json");
    std::fs::write(&file, serde_json::json!({ "mcpServers": servers }).to_string()).unwrap();
    for cell in &mut cells {
        cell.over = Some(file.clone());
    }
    let failed = join_all(cells.iter().map(suite::run)).await.concat();
    assert!(failed.is_empty(), "{} steps failed:\n{}", failed.len(), failed.join("\n"));
    for fixture in &fixtures {
        assert_eq!(fixture.status().await["open"], serde_json::json!([]), "sessions that were not ended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_2024_11_05_starts_rialto_in_front_of_every_server() {
    piped(OLDEST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_2025_11_25_starts_rialto_in_front_of_every_server() {
    piped(K5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_2026_07_28_starts_rialto_in_front_of_every_server() {
    piped(K8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_2024_11_05_uses_every_server() {
    row(OLDEST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_2025_03_26_uses_every_server() {
    row(K3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_2025_06_18_uses_every_server() {
    row(K4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_2025_11_25_uses_every_server() {
    row(K5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_2026_07_28_uses_every_server() {
    row(K8).await;
}

/// The suite itself, where nothing is between: what fails here is wrong with the tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_and_servers_of_the_same_era_agree_without_rialto() {
    let (mut cells, mut fixtures) = (Vec::new(), Vec::new());
    for column in COLUMNS.iter().filter(|column| column.http) {
        for (client, _) in ROWS {
            if column.revision != client && column.revision != "dual" {
                continue;
            }
            let fixture = Fixture::start(&[&["--revision", column.revision], column.arguments].concat()).await;
            let (url, server) = (fixture.url.clone(), Some(fixture.url.clone()));
            let (over, tag) = (None, String::new());
            cells.push(Cell { number: "directly", client, column, url, over, server, tag, direct: true });
            fixtures.push(fixture);
        }
    }
    let failed = join_all(cells.iter().map(suite::run)).await.concat();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
