//! What real processes say, and how they are understood.

use std::io::Write;

use super::*;

/// Ends at the probe; started again, initialised without it, and never probed again.
#[tokio::test]
async fn era_157_a_server_that_ends_at_the_probe_is_started_again_without_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let record = directory.path().join("record");
    let connector = connector(&["--era", "exits", "--record", record.to_str().expect("text")]);
    let session = open(&connector).await;
    assert_eq!(session.revision(), Revision::R2025_11_25);
    assert_eq!(connector.known_sharing(), Some(Sharing::ScopeAndCapabilities));
    assert_eq!(connector.health(), Health::Up);
    assert_eq!(ask(&*session, "echo", json!({"a": 1})).await.expect("an echo"), json!({"a": 1}));
    let _another = open(&connector).await;
    let said: Vec<_> =
        lines_of(&record).into_iter().map(|l| l.split(' ').next().unwrap_or_default().to_owned()).collect();
    let handshake = ["start", "initialize", "notifications/initialized"];
    assert_eq!(said[..2], ["start", "server/discover"]);
    assert_eq!(said[2..5], handshake);
    assert_eq!(said[5], "tools/call");
    assert_eq!(said[6..8], handshake[..2]);
}

#[tokio::test]
async fn era_158_a_server_that_ignores_the_probe_is_initialised() {
    let settings = ChildSettings { probe_timeout: Duration::from_millis(100), ..ChildSettings::default() };
    let connector = with_settings(&["--era", "silent"], settings);
    let session = open(&connector).await;
    assert!(!session.revision().is_modern());
    ask(&*session, "echo", json!({})).await.expect("an echo");
}

#[tokio::test]
async fn era_159_a_modern_server_that_starts_slowly_is_modern_in_the_end() {
    let settings = ChildSettings { probe_timeout: Duration::from_millis(100), ..ChildSettings::default() };
    let connector = with_settings(&["--era", "modern", "--late", "0.6"], settings);
    let session = open(&connector).await;
    assert!(session.revision().is_modern());
    assert_eq!(connector.known_sharing(), Some(Sharing::Everybody));
    ask(&*session, "echo", json!({})).await.expect("an echo");
}

#[tokio::test]
async fn era_160_161_sec_106_banners_and_carriage_returns_do_not_matter() {
    for era in ["legacy", "modern"] {
        let connector = connector(&["--era", era, "--banner", "150", "--crlf"]);
        let session = open(&connector).await;
        assert_eq!(session.revision().is_modern(), era == "modern");
        ask(&*session, "echo", json!({"text": "a\r\nb"})).await.expect("an echo");
    }
}

#[tokio::test]
async fn sec_104_lines_beyond_the_cap_cost_their_call_and_no_more() {
    let settings = ChildSettings { line_cap: 1024 * 1024, ..ChildSettings::default() };
    let connector = with_settings(&["--era", "modern"], settings);
    let session = open(&connector).await;
    let fault = ask(&*session, "big", json!({"size": 8 * 1024 * 1024})).await.expect_err("too long");
    assert_eq!(fault.reason(), Some(Reason::Limit));
    assert_eq!(ask(&*session, "endless", json!({"size": 64 * 1024 * 1024})).await.expect("goes on"), "done");
    let fits = ask(&*session, "big", json!({"size": 1000 * 1000})).await.expect("fits");
    assert_eq!(fits.as_str().map(str::len), Some(1000 * 1000));
}

/// Standard error never stops the server, and the log takes what it can.
#[tokio::test]
async fn sec_105_standard_error_goes_to_the_log_within_bounds() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = crate::support::log::listen(subscriber);
    let mut target = raw(&[]);
    target.env = vec![("SECRET".to_owned(), "line 7".to_owned()), ("TOKEN".to_owned(), "ERROR forged".to_owned())];
    let settings = ChildSettings { stderr_lines: 20, ..ChildSettings::default() };
    let connector = ChildConnector::new("loud", target, settings);
    let session = open(&connector).await;
    ask(&*session, "shout", json!({"lines": 5, "size": 0})).await.expect("done");
    let since = Instant::now();
    ask(&*session, "shout", json!({"lines": 50_000, "size": 50_000_000})).await.expect("done");
    assert!(since.elapsed() < Duration::from_secs(10));
    ask(&*session, "echo", json!({})).await.expect("an echo");
    let pid = pid(&*session).await;
    drop(session);
    gone(pid).await;
    until(|| log.text().contains("left out lines")).await;
    let text = log.text();
    let of_stderr: Vec<_> = text.lines().filter(|l| l.contains("rialto::stderr") && l.contains("INFO")).collect();
    assert!(of_stderr.len() < 500, "{} lines", of_stderr.len());
    assert!(of_stderr[0].ends_with("line 0 upstream=loud"), "{}", of_stderr[0]);
    let forged = of_stderr.iter().find(|l| l.contains("2026-01-01")).expect("the forged line");
    assert!(forged.contains("\\u{1b}[2J\\u{1b}[31m2026-01-01 ***"), "{forged}");
    assert!(!text.contains('\x1b') && text.lines().all(|l| l.len() < 10_000));
}

#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn sec_110_a_process_that_stops_reading_and_floods_is_ended() {
    let settings = ChildSettings { write_timeout: Duration::from_millis(500), ..ChildSettings::default() };
    let connector = with_settings(&["--era", "modern"], settings);
    let session = open(&connector).await;
    let pid = pid(&*session).await;
    let mut calls = vec![tokio::spawn(session.call(tool("stop_reading", Arc::new(SilentPeer))))];
    for _ in 0..100 {
        let params = json!({"name": "echo", "arguments": {"x": "x".repeat(100_000)}});
        calls.push(tokio::spawn(session.call(request(Method::ToolsCall, &params, Arc::new(SilentPeer)))));
    }
    for call in calls {
        let fault = soon("the fault", call).await.expect("no panic").expect_err("a fault");
        assert_eq!(fault.reason(), Some(Reason::UpstreamExited));
    }
    assert!(!session.is_open());
    gone(pid).await;
}
