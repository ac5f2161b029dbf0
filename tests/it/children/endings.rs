//! How processes end, by themselves or by us, and what their calls hear.

use super::*;

/// Every pending call fails once, within a second; the next session is a new process.
#[tokio::test]
async fn era_422_sec_107_a_killed_process_fails_each_pending_call_within_a_second() {
    let connector = connector(&[]);
    let session = open(&connector).await;
    let pid = pid(&*session).await;
    let calls: Vec<_> = (0..100).map(|_| tokio::spawn(session.call(tool("hang", Arc::new(SilentPeer))))).collect();
    // The calls are on their way when this is answered.
    ask(&*session, "echo", json!({})).await.expect("an echo");
    let since = Instant::now();
    kill(pid);
    for call in calls {
        let fault = soon("the fault", call).await.expect("no panic").expect_err("a fault");
        assert_eq!(fault.reason(), Some(Reason::UpstreamExited));
        assert!(fault.to_string().contains("SIGKILL"), "{fault}");
    }
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert!(!session.is_open());
    let late = ask(&*session, "echo", json!({})).await.expect_err("closed");
    assert_eq!(late.reason(), Some(Reason::UpstreamExited));
    assert!(matches!(connector.health(), Health::Down(_)));
    let next = open(&connector).await;
    assert!(since.elapsed() < Duration::from_secs(3));
    ask(&*next, "echo", json!({})).await.expect("an echo");
    assert_eq!(connector.health(), Health::Up);
}

#[tokio::test]
async fn an_exit_in_the_middle_of_a_call_says_how_it_ended() {
    let connector = connector(&["--era", "modern"]);
    let session = open(&connector).await;
    let pending = tokio::spawn(session.call(tool("hang", Arc::new(SilentPeer))));
    let fault = ask(&*session, "crash", json!({})).await.expect_err("a fault");
    assert!(fault.to_string().contains("exit status: 3"), "{fault}");
    soon("the other call", pending).await.expect("no panic").expect_err("a fault");
    ask(&*open(&connector).await, "echo", json!({})).await.expect("an echo");
}

/// A process that is gone while a grandchild holds its output open.
#[tokio::test]
async fn the_end_of_a_process_is_noticed_though_its_output_stays_open() {
    let connector = connector(&[]);
    let session = open(&connector).await;
    let pid = pid(&*session).await;
    let grandchild = ask(&*session, "grandchild", json!({})).await.expect("a pid").as_i64().expect("a number");
    let call = tokio::spawn(session.call(tool("hang", Arc::new(SilentPeer))));
    ask(&*session, "echo", json!({})).await.expect("an echo");
    let since = Instant::now();
    kill(pid);
    soon("the fault", call).await.expect("no panic").expect_err("a fault");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    ended(i32::try_from(grandchild).expect("a pid")).await;
}

#[tokio::test]
async fn sec_111_nothing_stays_of_processes_that_ended() {
    let connector = connector(&["--era", "modern"]);
    let mut pids = Vec::new();
    for n in 0..12 {
        let session = open(&connector).await;
        pids.push(pid(&*session).await);
        match n % 3 {
            0 => drop(session),
            // A healthy session between crashes, or the server would count as one that keeps failing.
            1 if n < 6 => {
                ask(&*session, "crash", json!({})).await.expect_err("a fault");
            }
            _ => {
                let call = tokio::spawn(session.call(tool("hang", Arc::new(SilentPeer))));
                ask(&*session, "echo", json!({})).await.expect("an echo");
                drop(session);
                call.abort();
            }
        }
    }
    for pid in pids {
        assert!(gone(pid).await < Duration::from_secs(6));
    }
    // A start that failed half-way leaves nothing either.
    let settings =
        ChildSettings { start_timeout: Duration::from_millis(200), era: EraChoice::Modern, ..ChildSettings::default() };
    let directory = tempfile::tempdir().expect("a directory");
    let record = directory.path().join("record");
    let stuck = with_settings(&["--late", "60", "--record", record.to_str().expect("text")], settings);
    soon("the start", async {
        while starts_in(&record) == 0 {
            assert_eq!(refused(&stuck).await.reason(), Some(Reason::Timeout));
        }
    })
    .await;
    for line in lines_of(&record) {
        gone(line["start ".len()..].parse().expect("a pid")).await;
    }
}

/// The end of the input, SIGTERM and SIGKILL reach the whole group, grandchildren that ignore SIGTERM included.
#[tokio::test]
async fn sec_112_a_stubborn_family_is_gone_within_six_seconds() {
    let connector = connector(&["--deaf"]);
    let session = open(&connector).await;
    let pid = pid(&*session).await;
    let grandchild = ask(&*session, "grandchild", json!({})).await.expect("a pid").as_i64().expect("a number");
    let grandchild = i32::try_from(grandchild).expect("a pid");
    assert!(state(pid).is_some() && state(grandchild).is_some());
    let since = Instant::now();
    drop(session);
    gone(pid).await;
    ended(grandchild).await;
    let took = since.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(6)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_polite_process_is_gone_at_once() {
    let connector = connector(&[]);
    let session = open(&connector).await;
    let pid = pid(&*session).await;
    drop(session);
    assert!(gone(pid).await < Duration::from_secs(1));
}

/// Whatever still runs when the runtime ends is killed with it.
#[test]
fn no_process_outlives_the_runtime() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (pid, grandchild) = runtime.block_on(async {
        let connector = connector(&["--deaf"]);
        let session = open(&connector).await;
        let grandchild = ask(&*session, "grandchild", json!({})).await.expect("a pid").as_i64().expect("a number");
        (pid(&*session).await, i32::try_from(grandchild).expect("a pid"))
    });
    drop(runtime);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        ended(grandchild).await;
        // Nobody is left to reap it before this test ends.
        ended(pid).await;
    });
}
