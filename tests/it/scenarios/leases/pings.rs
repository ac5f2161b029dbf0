//! Sessions in which nothing goes on, whose servers are pinged.

use rialto::hub::{Holding, Mount};

use super::*;

/// What the servers were told: how often they were pinged, and that their session ended.
#[derive(Default)]
struct Told {
    pings: Mutex<Vec<usize>>,
    ended: Mutex<Vec<usize>>,
    /// From now on no server says anything.
    hangs: std::sync::atomic::AtomicBool,
}

/// A server over pipes, which answers until it hangs.
fn piped() -> (Arc<dyn Connector>, Arc<Told>) {
    let (connector, mut started) = played(of_old());
    let told = Arc::<Told>::default();
    let own = told.clone();
    tokio::spawn(async move {
        let mut number = 0;
        while let Some(mut server) = started.recv().await {
            number += 1;
            let told = own.clone();
            tokio::spawn(async move {
                // A session that was opened after the others hung works.
                let hung_before = told.hangs.load(Ordering::SeqCst);
                server.initialize(LEGACY).await;
                while let Some(message) = server.heard().await {
                    let hangs = told.hangs.load(Ordering::SeqCst) && !hung_before;
                    match message["method"].as_str() {
                        Some("ping") => {
                            told.pings.lock().unwrap().push(number);
                            if !hangs {
                                // That it knows no ping is an answer, too.
                                server.error(&message, -32601).await;
                            }
                        }
                        Some("tools/list") if !hangs => server.result(&message, json!({"tools": []})).await,
                        Some("tools/call") if message["params"]["name"] == "never" => {}
                        Some("tools/call") if !hangs => server.result(&message, text(number).unwrap()).await,
                        _ => {}
                    }
                }
                told.ended.lock().unwrap().push(number);
            });
        }
    });
    (connector, told)
}

fn behind(connector: Arc<dyn Connector>, share: Share, pings: bool) -> (Arc<Gateway>, Single) {
    let settings = Settings::default();
    let terms = Terms { ping_idle: pings, ..share.into() };
    let single = mount(connector, terms, &settings);
    (Arc::new(Gateway::around(Arc::new(single.clone()) as Arc<dyn Mount>, settings)), single)
}

async fn t(gateway: &Gateway) -> String {
    said(&tool("t", json!({})).capabilities(json!({"sampling": {}})).send(gateway).await.response())
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_is_pinged_and_its_idle_session_still_ends() {
    for share in [Share::Principal, Share::LEASED, Share::Everybody] {
        let (connector, told) = piped();
        let (gateway, single) = behind(connector, share, true);
        assert_eq!(t(&gateway).await, "1");
        after(59).await;
        assert_eq!(t(&gateway).await, "1");
        after(59).await;
        assert!(told.pings.lock().unwrap().is_empty(), "it was in use");
        after(40).await;
        assert_eq!(*told.pings.lock().unwrap(), [1]);
        after(200).await;
        assert!((2..=5).contains(&told.pings.lock().unwrap().len()), "{:?}", told.pings);
        assert!(told.ended.lock().unwrap().is_empty());
        // No ping is a use of the session.
        after(400).await;
        assert_eq!((told.ended.lock().unwrap().clone(), single.holding()), (vec![1], Holding::default()));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_pinged_unasked() {
    let (connector, told) = piped();
    let (gateway, _) = behind(connector, Share::Principal, false);
    assert_eq!(t(&gateway).await, "1");
    after(500).await;
    assert!(told.pings.lock().unwrap().is_empty() && told.ended.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_twice_gets_a_new_session_with_the_next_call() {
    let (connector, told) = piped();
    let (gateway, _) = behind(connector, Share::Principal, true);
    assert_eq!(t(&gateway).await, "1");
    told.hangs.store(true, Ordering::SeqCst);
    after(95).await;
    assert_eq!((told.pings.lock().unwrap().len(), told.ended.lock().unwrap().len()), (1, 0));
    after(50).await;
    assert_eq!((told.pings.lock().unwrap().clone(), told.ended.lock().unwrap().clone()), (vec![1, 1], vec![1]));
    assert_eq!(t(&gateway).await, "2");
}

/// A call that runs is a sign of nothing, and the session is not idle.
#[tokio::test(start_paused = true)]
async fn a_session_in_which_a_call_runs_is_not_pinged() {
    let (connector, told) = piped();
    let (gateway, _) = behind(connector, Share::Principal, true);
    let own = gateway.clone();
    let never =
        tokio::spawn(async move { tool("never", json!({})).capabilities(json!({"sampling": {}})).send(&own).await });
    after(400).await;
    assert!(told.pings.lock().unwrap().is_empty());
    never.abort();
    after(95).await;
    assert_eq!(told.pings.lock().unwrap().len(), 1);
}

/// The sessions of legacy clients are pinged as well, as long as those are there.
#[tokio::test]
async fn a_legacy_client_gets_a_new_session_and_does_not_notice() {
    let (connector, told) = piped();
    let (gateway, _) = behind(connector, Share::Principal, true);
    let gateway = Arc::into_inner(gateway).unwrap().listen().await;
    let client = legacy(&gateway, LEGACY, json!({})).await;
    let call = async |id: u64| said(&client.call(id, "t").await.unwrap().json());
    assert_eq!(call(1).await, "1");
    let pinged = || told.pings.lock().unwrap().len();
    // Longer than a session that others share may be idle, and not as long as that of a client may.
    for n in 0.. {
        if n >= 30 && pinged() >= 8 {
            break;
        }
        assert!(n < 55, "{} pings", pinged());
        later(Duration::from_secs(31)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(call(2).await, "1", "a client's own session does not end");
    told.hangs.store(true, Ordering::SeqCst);
    for n in 0.. {
        if *told.ended.lock().unwrap() == [1] {
            break;
        }
        assert!(n < 100, "{:?}", told.ended.lock().unwrap());
        later(Duration::from_secs(11)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(call(3).await, "2");
}
