//! A process that waits for the next request with a session of its own.

use super::*;
use crate::server_kit::caller;
use rialto::upstream::Opening;

/// A server that writes down its starts and what it is told, and the file it does that in.
struct Watched {
    connector: ChildConnector,
    record: tempfile::TempPath,
}

fn watched(settings: ChildSettings) -> Watched {
    let record = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
    let connector = with_settings(&["--record", record.to_str().expect("text")], settings);
    Watched { connector, record }
}

impl Watched {
    /// Opens a session for one request of a client that can do this.
    async fn alone(&self, capabilities: Value) -> Arc<dyn Session> {
        let caller = caller(Revision::R2026_07_28, &capabilities);
        let opening =
            Opening { caller, outside: Arc::new(SilentPeer), counts: Arc::default(), alone: true, lent: false };
        soon("a session", self.connector.open(opening)).await.expect("a session")
    }

    fn pids(&self) -> Vec<i32> {
        let lines = lines_of(&self.record);
        lines.iter().filter_map(|line| line.strip_prefix("start ")?.parse().ok()).collect()
    }

    fn told(&self, what: &str) -> usize {
        lines_of(&self.record).iter().filter(|line| *line == what).count()
    }

    /// Waits until `count` processes were started in all; gives the last.
    async fn started(&self, count: usize) -> i32 {
        until(|| self.pids().len() >= count && self.told("initialize") >= count).await;
        assert_eq!(self.pids().len(), count);
        self.pids()[count - 1]
    }

    /// Opens sessions until one is in this process: it may have to be told a little longer than its record shows.
    async fn alone_in(&self, spare: i32) -> Arc<dyn Session> {
        soon("the process that waits", async {
            loop {
                let session = self.alone(json!({})).await;
                if pid(&*session).await == spare {
                    return session;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

#[tokio::test]
async fn a_request_with_a_session_of_its_own_finds_a_process_that_is_ready() {
    let server = watched(ChildSettings::default());
    let first = server.alone(json!({})).await;
    let own = pid(&*first).await;
    let spare = server.started(2).await;
    assert_ne!(spare, own);
    // It waits for whoever comes, and does nothing meanwhile: not even that the handshake is over is said to it.
    assert_eq!(server.told("notifications/initialized"), 1);
    let second = server.alone_in(spare).await;
    until(|| server.told("notifications/initialized") >= 2).await;
    // The next one waits already, and nobody else ever gets one of these.
    drop(first);
    drop(second);
    gone(own).await;
    gone(spare).await;
    let mut seen = std::collections::HashSet::from([own, spare]);
    for _ in 0..5 {
        let session = server.alone(json!({})).await;
        assert!(seen.insert(pid(&*session).await), "a process was used twice");
    }
    // With the connector goes what waits.
    let pids = server.pids();
    drop(server);
    for pid in pids {
        gone(pid).await;
    }
}

#[tokio::test]
async fn what_waits_was_told_what_its_client_can_do() {
    let server = watched(ChildSettings::default());
    let _first = server.alone(json!({})).await;
    let spare = server.started(2).await;
    let other = server.alone(json!({"roots": {}})).await;
    assert_ne!(pid(&*other).await, spare);
    // Of use is what was asked for last.
    gone(spare).await;
    let spare = server.started(4).await;
    assert_ne!(spare, pid(&*other).await);
    // Sessions that are kept want none, and take none.
    let kept = open(&server.connector).await;
    assert_ne!(pid(&*kept).await, spare);
    assert_eq!(server.pids().len(), 5);
    assert!(state(spare).is_some());
}

#[tokio::test]
async fn a_process_that_ends_while_it_waits_is_replaced() {
    let server = watched(ChildSettings::default());
    let _first = server.alone(json!({})).await;
    let since = Instant::now();
    let mut spare = server.started(2).await;
    for count in 3..=4 {
        kill(spare);
        spare = server.started(count).await;
    }
    assert!(since.elapsed() >= Duration::from_millis(1500), "half a second, then one: {:?}", since.elapsed());
    // One that has just ended is nobody's trouble.
    kill(spare);
    gone(spare).await;
    ask(&*server.alone(json!({})).await, "echo", json!({})).await.expect("an echo");
    assert_eq!(server.connector.health(), Health::Up);
}

#[tokio::test]
async fn what_waits_takes_no_place_from_those_who_ask() {
    // With two places there is none to spare: one runs, and one has to be free.
    let server = watched(ChildSettings { max_processes: 2, ..ChildSettings::default() });
    let first = server.alone(json!({})).await;
    ask(&*first, "echo", json!({})).await.expect("an echo");
    let second = server.alone(json!({})).await;
    ask(&*second, "echo", json!({})).await.expect("an echo");
    assert_eq!(server.pids().len(), 2);

    let server = watched(ChildSettings { max_processes: 3, ..ChildSettings::default() });
    let _first = server.alone(json!({})).await;
    let spare = server.started(2).await;
    let _second = open(&server.connector).await;
    assert!(state(spare).is_some());
    let third = open(&server.connector).await;
    ask(&*third, "echo", json!({})).await.expect("an echo");
    gone(spare).await;
    // Where all run for somebody, the answer is that.
    assert_eq!(refused(&server.connector).await.reason(), Some(Reason::Busy));
}
