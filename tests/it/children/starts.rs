//! How processes are started: with which words, variables and descriptors, and how often.

use super::*;

#[tokio::test]
async fn sec_072_arguments_reach_the_program_as_they_are() {
    let nasty = ["a; id", "$(id)", "`id`", "| && > *", "two\nlines", "\u{201c}quotes\u{201d} 'and' \"more\"", ""];
    let mut options = vec!["--"];
    options.extend(nasty);
    let mut target = raw(&options);
    target.env = vec![("TRICKY".to_owned(), "$(id) `id`; true".to_owned())];
    let connector = ChildConnector::new("raw", target, ChildSettings::default());
    let session = open(&connector).await;
    assert_eq!(ask(&*session, "argv", json!({})).await.expect("argv").as_array().expect("a list")[1..], nasty);
    assert_eq!(ask(&*session, "env", json!({})).await.expect("env")["TRICKY"], "$(id) `id`; true");
}

#[tokio::test]
async fn sec_114_only_a_few_variables_of_ours_and_its_own_reach_a_program() {
    // Cargo sets this for its tests: it stands for everything that is not on the list.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let mut target = raw(&[]);
    target.env = vec![("TOKEN".to_owned(), "its own".to_owned()), ("NODE_OPTIONS".to_owned(), "explicit".to_owned())];
    let connector = ChildConnector::new("raw", target, ChildSettings::default());
    let session = open(&connector).await;
    let env = ask(&*session, "env", json!({})).await.expect("env");
    let env = env.as_object().expect("an object");
    assert_eq!((&env["TOKEN"], &env["NODE_OPTIONS"]), (&json!("its own"), &json!("explicit")));
    assert!(env.contains_key("PATH"));
    let safe = [
        "PATH",
        "HOME",
        "LANG",
        "TZ",
        "TMPDIR",
        "USER",
        "LOGNAME",
        "SHELL",
        "TERM",
        "TOKEN",
        "NODE_OPTIONS",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NODE_EXTRA_CA_CERTS",
        "REQUESTS_CA_BUNDLE",
    ];
    for name in env.keys() {
        assert!(safe.contains(&&**name) || name.starts_with("LC_"), "{name} leaked");
    }
}

#[tokio::test]
async fn sec_115_a_program_inherits_three_descriptors() {
    let sockets: Vec<_> = (0..200).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket")).collect();
    let connector = connector(&[]);
    let session = open(&connector).await;
    let fds = ask(&*session, "fds", json!({})).await.expect("descriptors");
    let fds = fds.as_object().expect("an object");
    assert!(["0", "1", "2"].iter().all(|fd| fds.contains_key(*fd)));
    // Whoever started this test may have handed it files to be handed on; what was opened here must not be.
    let handed_on = |fd: &str| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim);
        flags.is_some_and(|flags| i64::from_str_radix(flags, 8).is_ok_and(|flags| flags & 0o2_000_000 == 0))
    };
    for (fd, link) in fds {
        assert!(handed_on(fd), "{fd} is {link}, and {} sockets are open here", sockets.len());
    }
    assert!(fds.len() < 20, "{fds:?}");
}

#[tokio::test]
async fn a_program_runs_in_its_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut target = raw(&[]);
    target.cwd = Some(directory.path().to_owned());
    let connector = ChildConnector::new("raw", target.clone(), ChildSettings::default());
    let session = open(&connector).await;
    let cwd = ask(&*session, "cwd", json!({})).await.expect("a directory");
    let real = directory.path().canonicalize().expect("a path");
    assert_eq!(cwd, json!(real));
    target.cwd = Some(directory.path().join("missing"));
    let fault = refused(&ChildConnector::new("raw", target, ChildSettings::default())).await;
    assert!(fault.to_string().contains("`cwd` does not exist"), "{fault}");
}

/// A program that is not there.
#[tokio::test]
async fn sec_109_a_missing_program_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("no-program");
    std::fs::write(&file, "text").expect("written");
    for (command, says) in [
        ("rialto-no-such-program", "its command `rialto-no-such-program` was not found"),
        ("/nowhere/private/rialto-program", "its command `rialto-program` was not found"),
        (file.to_str().expect("text"), "its command `no-program` may not be executed"),
    ] {
        let target = CommandTarget { command: command.to_owned(), ..CommandTarget::default() };
        let connector = ChildConnector::new("missing", target, ChildSettings::default());
        let since = Instant::now();
        let fault = refused(&connector).await;
        assert!(since.elapsed() < Duration::from_secs(2));
        assert_eq!(fault.reason(), Some(Reason::ConnectFailed));
        assert!(fault.to_string().contains(says), "{fault}");
        assert!(!fault.to_string().contains('/'), "no paths: {fault}");
        assert_eq!(connector.health(), Health::Down(fault.to_string()));
    }
}

/// A program that ends at once is started a few times, further and further apart, and then calls fail at once.
#[tokio::test]
async fn sec_109_a_program_that_ends_at_once_is_not_started_for_every_call() {
    let directory = tempfile::tempdir().expect("a directory");
    let record = directory.path().join("record");
    let script = format!("echo \"start $$\" >> '{}'; exit 7", record.display());
    let target =
        CommandTarget { command: "sh".to_owned(), args: vec!["-c".to_owned(), script], ..CommandTarget::default() };
    let connector = ChildConnector::new("dies", target, ChildSettings::default());
    for _ in 0..5 {
        let fault = refused(&connector).await;
        assert_eq!(fault.reason(), Some(Reason::UpstreamExited));
        assert!(fault.to_string().contains("exit status: 7"), "{fault}");
    }
    let started = starts_in(&record);
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        let since = Instant::now();
        let Fault::Gateway(fault) = refused(&connector).await else { panic!("a gateway fault") };
        quickest = quickest.min(since.elapsed());
        assert_eq!(fault.reason, Reason::ConnectFailed);
        assert!(fault.retry_after.is_some() && fault.message.contains("exit status: 7"), "{fault}");
    }
    assert!(quickest < Duration::from_millis(50), "{quickest:?}");
    assert_eq!(starts_in(&record), started);
    assert!(started <= 10, "twice an attempt, as the first end may be the probe's fault: {started}");
    assert!(matches!(connector.health(), Health::Down(why) if why.contains("exit status: 7")));
}

#[tokio::test]
async fn processes_of_a_server_are_capped() {
    let settings = ChildSettings { max_processes: 2, ..ChildSettings::default() };
    let connector = ChildConnector::new("raw", raw(&[]), settings);
    let first = open(&connector).await;
    let _second = open(&connector).await;
    let fault = refused(&connector).await;
    assert_eq!(fault.reason(), Some(Reason::Busy));
    assert!(fault.to_string().contains("`max_processes`"), "{fault}");
    assert_eq!(connector.health(), Health::Up);
    let pid = pid(&*first).await;
    drop(first);
    gone(pid).await;
    // The place is given back a moment after the process is gone.
    soon("a place", async {
        while connector.open(quiet_opening()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
