//! No process stays when the gateway is killed. The gateway and its guardian are this test program, run again.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use rialto::upstream::child::guardian_main;

use super::*;

const ROLE: &str = "RIALTO_TEST_ROLE";

/// This program again, running one test alone.
fn again(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("our own path"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command
}

fn guardian() -> Guardian {
    Guardian::start_with(|| Ok(again("children::guardian::plays_the_guardian", "guardian"))).expect("a guardian")
}

#[test]
fn plays_the_guardian() {
    if std::env::var(ROLE).is_ok_and(|role| role == "guardian") {
        let _ = guardian_main();
    }
}

/// Starts a server that ignores SIGTERM and the end of its input, with a grandchild, says their ids and waits.
#[test]
fn plays_the_gateway() {
    if std::env::var(ROLE).is_ok_and(|role| role == "gateway") {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let settings = ChildSettings { guardian: Some(guardian()), ..ChildSettings::default() };
            let connector = ChildConnector::new("raw", raw(&["--deaf"]), settings);
            let session = open(&connector).await;
            let grandchild = ask(&*session, "grandchild", json!({})).await.expect("a pid");
            println!("\nfamily {} {grandchild}", pid(&*session).await);
            // Until the test is over, one way or the other.
            let _ = std::io::stdin().read(&mut [0]);
        });
    }
}

#[tokio::test]
async fn sec_113_a_gateway_that_is_killed_leaves_no_process() {
    let mut gateway = again("children::guardian::plays_the_gateway", "gateway")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a gateway");
    let output = BufReader::new(gateway.stdout.take().expect("its output"));
    let family = tokio::task::spawn_blocking(move || {
        let line = output.lines().map_while(Result::ok).find(|line| line.starts_with("family "));
        let line = line.expect("the family");
        line.split(' ').skip(1).map(|pid| pid.parse().expect("a pid")).collect::<Vec<i32>>()
    });
    let family = soon("the family", family).await.expect("no panic");
    assert_eq!(family.len(), 2);
    assert!(family.iter().all(|&pid| state(pid).is_some()));
    gateway.kill().expect("killed");
    gateway.wait().expect("ended");
    let since = Instant::now();
    for pid in family {
        ended(pid).await;
    }
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

/// The guardians of this process.
fn guardians() -> Vec<i32> {
    let ours = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").expect("processes");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let parent = std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|stat| Some(stat.rsplit(')').next()?.split_whitespace().nth(1)?.to_owned()));
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        parent.is_some_and(|parent| parent == ours) && command.contains("plays_the_guardian")
    })
    .collect()
}

/// What has ended is not the guardian's any more, and a guardian that was killed is replaced by one that knows the rest.
#[tokio::test]
async fn a_guardian_that_is_lost_is_replaced() {
    let settings = ChildSettings { guardian: Some(guardian()), ..ChildSettings::default() };
    let watching = settings.guardian.clone().expect("a guardian");
    let watches = |pid: i32| format!("{watching:?}").contains(&format!("Group({pid})"));
    let connector = ChildConnector::new("raw", raw(&[]), settings);
    let session = open(&connector).await;
    let first = pid(&*session).await;
    assert!(watches(first), "{watching:?}");
    let [guardian] = guardians()[..] else { panic!("one guardian: {:?}", guardians()) };
    kill(guardian);
    gone(guardian).await;
    let other = open(&connector).await;
    let second = pid(&*other).await;
    assert!(watches(first) && watches(second), "{watching:?}");
    let [replaced] = guardians()[..] else { panic!("one guardian: {:?}", guardians()) };
    assert_ne!(guardian, replaced);
    drop(session);
    until(|| !watches(first)).await;
    assert!(watches(second));
}
