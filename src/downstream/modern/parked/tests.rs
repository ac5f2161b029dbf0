use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use proptest::prelude::*;

use super::*;
use crate::{jsonrpc::Kind, protocol::method::question};

mod generations;

type Record = Parked<&'static str>;

fn reattaching(reattach: Duration) -> Arc<Limits> {
    Arc::new(Limits { reattach, ..Limits::default() })
}

fn capable() -> ClientCapabilities {
    ClientCapabilities::new(Raw::constant(r#"{"elicitation":{},"roots":{}}"#).to_object().unwrap())
}

fn form() -> Question {
    Question { method: question::ELICIT.to_owned(), params: None, key: None }
}

fn answers(text: &'static str) -> RawObject {
    Raw::constant(text).to_object().unwrap()
}

fn retry(waiter: u64, generation: u32, given: &'static str) -> Event<&'static str> {
    let mut digest = [0; 32];
    let length = given.len().min(32);
    digest[..length].copy_from_slice(&given.as_bytes()[..length]);
    Event::Retry(Retry { waiter, generation, answers: answers(given), digest, capabilities: capable() })
}

/// What the actions were, in short.
fn told(actions: &[Action<&'static str>]) -> Vec<String> {
    let short = |action: &Action<&'static str>| match action {
        Action::Answer(serial, _) => format!("answer {serial}"),
        Action::Refuse(serial, refusal) => {
            format!("refuse {serial} {}", format!("{refusal:?}").split('(').next().unwrap_or_default())
        }
        Action::Accept(waiter) => format!("accept {waiter}"),
        Action::Reply(waiter, Reply::Ask { generation, requests }) => {
            let keys: Vec<_> = requests.iter().map(|(key, _)| key.into_owned()).collect();
            format!("{waiter} asked {generation} {}", keys.join(","))
        }
        Action::Reply(waiter, reply) => format!("{waiter} {reply:?}"),
        Action::End(reason) => format!("end: {reason}"),
        Action::Linger(_) => "linger".to_owned(),
        Action::Forget => "forget".to_owned(),
    };
    actions.iter().map(short).collect()
}

/// Plays events, each after so many milliseconds, and expects what they lead to.
fn play(script: &[(u64, Event<&'static str>, &[&str])]) {
    play_with(Duration::ZERO, script);
}

/// The same where a retry may come again within `window`.
fn play_with(window: Duration, script: &[(u64, Event<&'static str>, &[&str])]) {
    let mut now = Instant::now();
    let mut record = Record::new(now, 0, capable(), reattaching(window));
    for (n, (after, event, expected)) in script.iter().enumerate() {
        now += Duration::from_millis(*after);
        assert_eq!(told(&record.on(event.clone(), now)), *expected, "step {n}: {event:?}");
    }
}

const YES: &str = r#"{"i1":{"action":"accept"}}"#;
const BOTH: &str = r#"{"i1":{"action":"accept"},"i2":{"action":"cancel"}}"#;
const SECOND: &str = r#"{"i2":{"action":"accept"}}"#;
const MAYBE: &str = r#"{"i1":{"action":"maybe"}}"#;

#[test]
fn questions_are_gathered_and_answered() {
    play(&[
        (0, Event::Asked(1, form()), &[]),
        (20, Event::Asked(2, form()), &[]),
        (24, Event::Tick, &[]),
        (1, Event::Tick, &["0 asked 1 i1,i2"]),
        (0, Event::Asked(3, form()), &[]),
        (5000, Event::Tick, &[]),
        (0, retry(1, 1, BOTH), &["accept 1", "answer 1", "answer 2", "1 asked 2 i3"]),
        (0, retry(2, 2, r#"{"i3":{"action":"decline"}}"#), &["accept 2", "answer 3"]),
        (0, Event::Finished("done", 9), &["2 Done(\"done\")", "linger"]),
        (60_000, Event::Tick, &["forget"]),
    ]);
}

#[test]
fn era_210_211_212_213_answers_that_come_twice() {
    play(&[
        (0, Event::Asked(1, form()), &[]),
        (25, Event::Tick, &["0 asked 1 i1"]),
        (0, retry(1, 0, YES), &["1 Stale"]),
        (0, retry(1, 2, YES), &["1 Stale"]),
        (0, retry(1, 1, YES), &["accept 1", "answer 1"]),
        (0, retry(2, 1, YES), &["accept 2"]),
        (0, retry(3, 1, MAYBE), &["3 Stale"]),
        (0, Event::Left(1), &[]),
        (0, Event::Asked(2, form()), &[]),
        (25, Event::Tick, &["2 asked 2 i2"]),
        (0, retry(4, 1, YES), &["4 asked 2 i2"]),
        (0, retry(5, 1, SECOND), &["5 Stale"]),
        (60_000, retry(6, 1, YES), &["6 Stale"]),
        (0, retry(7, 2, SECOND), &["accept 7", "answer 2"]),
        (0, Event::Finished("done", 2 << 20), &["7 Done(\"done\")", "linger"]),
        // Too large to be kept.
        (0, retry(8, 2, SECOND), &["8 Stale"]),
    ]);
}

#[test]
fn so_many_wishes_of_a_server_are_remembered_and_no_more() {
    let now = Instant::now();
    let mut record = Record::new(now, 0, capable(), Arc::default());
    let mut key_of = |serial: u64, wish: String| {
        record.on(Event::Asked(serial, Question { key: Some(wish), ..form() }), now);
        let key = record.open[0].key.clone();
        record.on(Event::Withdrawn(serial), now);
        (key, record.wished.len())
    };
    for serial in 0..1000_u64 {
        let ours = format!("i{}", serial.saturating_sub(255));
        let (key, remembered) = key_of(serial, format!("wish {serial}"));
        assert_eq!(key, if serial < 256 { format!("wish {serial}") } else { ours });
        assert!(remembered <= 256);
    }
    let mut record = Record::new(now, 0, capable(), Arc::default());
    for wish in ["i1", "i", "", "same", "same"] {
        record.on(Event::Asked(0, Question { key: Some(wish.to_owned()), ..form() }), now);
    }
    let keys: Vec<_> = record.open.iter().map(|open| &*open.key).collect();
    assert_eq!(keys, ["i1", "i2", "i3", "same", "i4"], "a key of ours is nobody's wish");
}

#[test]
fn era_200_202_partial_and_useless_answers() {
    play(&[
        (0, Event::Asked(1, form()), &[]),
        (0, Event::Asked(2, form()), &[]),
        (25, Event::Tick, &["0 asked 1 i1,i2"]),
        (0, retry(1, 1, SECOND), &["accept 1", "answer 2", "1 asked 2 i1"]),
        (0, retry(2, 2, MAYBE), &["accept 2", "2 asked 3 i1"]),
        (0, retry(3, 3, "{}"), &["accept 3", "3 asked 4 i1"]),
        (0, retry(4, 4, MAYBE), &["accept 4", "4 Useless(\"i1\")"]),
        (0, retry(5, 4, YES), &["accept 5", "answer 1"]),
        (0, Event::Left(5), &["end: the client closed the stream"]),
        (0, retry(6, 4, YES), &["6 Stale"]),
    ]);
}

#[test]
fn era_214_215_216_234_the_ways_a_wait_ends() {
    let asked: [(u64, Event<&str>, &[&str]); 2] =
        [(0, Event::Asked(1, form()), &[]), (25, Event::Tick, &["0 asked 1 i1"])];
    let with = |rest: &[(u64, Event<&'static str>, &[&str])]| {
        let mut script: Vec<_> = asked.to_vec();
        script.extend_from_slice(rest);
        let mut now = Instant::now();
        let mut record = Record::new(now, 0, capable(), Arc::default());
        for (after, event, expected) in script {
            now += Duration::from_millis(after);
            assert_eq!(told(&record.on(event.clone(), now)), expected, "{event:?}");
        }
    };
    with(&[(599_999, Event::Tick, &[]), (1, Event::Tick, &["end: the client did not return"])]);
    with(&[(0, Event::Drain, &["end: the gateway stops"])]);
    with(&[(0, Event::Lost, &["end: the call was lost"])]);
    with(&[
        (0, Event::Finished("late", 1), &[]),
        (0, retry(1, 1, MAYBE), &["accept 1", "1 Done(\"late\")", "linger"]),
        (0, retry(2, 1, MAYBE), &["2 Done(\"late\")"]),
    ]);
    with(&[
        (0, Event::Withdrawn(1), &[]),
        (0, retry(1, 1, YES), &["accept 1"]),
        (0, Event::Drain, &[]),
        (0, Event::Asked(2, form()), &["refuse 2 Lapsed"]),
        (3_600_000, Event::Tick, &["1 Expired", "end: the call took too long"]),
    ]);
    let nothing = ClientCapabilities::default();
    let poorer = Retry { waiter: 1, generation: 1, answers: answers("{}"), digest: [0; 32], capabilities: nothing };
    with(&[
        (0, Event::Asked(2, form()), &[]),
        (0, Event::Retry(poorer), &["accept 1", "refuse 1 Undeclared", "refuse 2 Undeclared"]),
        (0, Event::Asked(3, form()), &["refuse 3 Undeclared"]),
    ]);
}

#[test]
fn era_221_222_a_retry_whose_stream_broke_may_come_again_within_the_window() {
    let window = Duration::from_secs(5);
    let begun: [(u64, Event<&'static str>, &[&str]); 4] = [
        (0, Event::Asked(1, form()), &[]),
        (25, Event::Tick, &["0 asked 1 i1"]),
        (0, retry(1, 1, YES), &["accept 1", "answer 1"]),
        (0, Event::Left(1), &[]),
    ];
    let with = |rest: &[(u64, Event<&'static str>, &[&str])]| {
        let mut script = begun.to_vec();
        script.extend_from_slice(rest);
        play_with(window, &script);
    };
    with(&[(4_999, Event::Tick, &[]), (1, Event::Tick, &["end: the client closed the stream"])]);
    // Only the same retry; what it brought was passed on before.
    with(&[
        (0, retry(2, 1, MAYBE), &["2 Stale"]),
        (4_000, retry(3, 1, YES), &["accept 3"]),
        (9_000, Event::Tick, &[]),
        (0, Event::Finished("done", 4), &["3 Done(\"done\")", "linger"]),
    ]);
    // Meanwhile the server may ask, or be done.
    with(&[
        (0, Event::Asked(2, form()), &[]),
        (1_000, Event::Tick, &[]),
        (0, retry(2, 1, YES), &["accept 2"]),
        (0, Event::Tick, &["2 asked 2 i2"]),
        (599_999, Event::Tick, &[]),
        (1, Event::Tick, &["end: the client did not return"]),
    ]);
    with(&[(0, Event::Finished("done", 4), &[]), (0, retry(2, 1, YES), &["accept 2", "2 Done(\"done\")", "linger"])]);
    with(&[(0, Event::Drain, &["end: the gateway stops"])]);
    // It is for retries: who closes the first stream cancels the call.
    play_with(window, &[(0, Event::Left(0), &["end: the client closed the stream"])]);
}

#[test]
fn era_234_before_the_end_what_was_asked_may_be_answered_and_nothing_more_is_asked() {
    play(&[
        (0, Event::Asked(1, form()), &[]),
        (0, Event::Asked(2, form()), &[]),
        (25, Event::Tick, &["0 asked 1 i1,i2"]),
        (0, Event::Asked(3, form()), &[]),
        (0, Event::Stop, &["refuse 3 Lapsed"]),
        (0, Event::Asked(4, form()), &["refuse 4 Lapsed"]),
        (0, retry(1, 1, YES), &["accept 1", "answer 1", "1 asked 2 i2"]),
        (0, retry(2, 2, SECOND), &["accept 2", "answer 2"]),
        (0, Event::Asked(5, form()), &["refuse 5 Lapsed"]),
        (0, Event::Drain, &[]),
        (0, Event::Finished("done", 4), &["2 Done(\"done\")", "linger"]),
    ]);
}

#[test]
fn a_client_that_asks_again_for_what_it_lost_is_there() {
    play(&[
        (0, Event::Asked(1, form()), &[]),
        (25, Event::Tick, &["0 asked 1 i1"]),
        (0, retry(1, 1, YES), &["accept 1", "answer 1"]),
        (0, Event::Asked(2, form()), &[]),
        (25, Event::Tick, &["1 asked 2 i2"]),
        (50_000, retry(2, 1, YES), &["2 asked 2 i2"]),
        (599_999, Event::Tick, &[]),
        (1, Event::Tick, &["end: the client did not return"]),
    ]);
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    /// With a key that the server wishes for, or none.
    Ask(Option<&'static str>),
    Withdraw(usize),
    /// Which generation, counted back from the newest; how each open question is answered: well, badly, not at all; and
    /// whether the client still declares anything.
    Retry(u32, u8, u8, bool),
    Leave(usize),
    Finish(usize),
    Wait(u64),
    Stop,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop_oneof![Just(None), Just(Some("name")), Just(Some("i2")), Just(Some(""))].prop_map(Step::Ask),
        2 => any::<usize>().prop_map(Step::Withdraw),
        8 => (0..3_u32, any::<u8>(), 0..3_u8, prop::bool::weighted(0.9))
            .prop_map(|(back, how, digest, able)| Step::Retry(back, how, digest, able)),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => prop_oneof![Just(10_usize), Just(2 << 20)].prop_map(Step::Finish),
        8 => prop_oneof![Just(25_u64), Just(100), 0..2_000_000_u64].prop_map(Step::Wait),
        1 => Just(Step::Stop),
        1 => Just(Step::Drain),
    ]
}

/// What must hold whatever happens.
#[derive(Default)]
struct Watch {
    /// Questions that the server still waits for.
    open: HashSet<u64>,
    /// Requests that still wait.
    waiting: HashSet<u64>,
    keys: HashMap<String, u64>,
    newest: u32,
    ended: bool,
    finished: bool,
}

impl Watch {
    fn see(&mut self, actions: &[Action<&'static str>], replayed: bool) {
        for action in actions {
            assert!(!self.ended || matches!(action, Action::Reply(_, Reply::Stale)), "{action:?} after the end");
            match action {
                Action::Answer(serial, _) | Action::Refuse(serial, _) => {
                    assert!(self.open.remove(serial), "question {serial} was over");
                }
                Action::Accept(waiter) => assert!(self.waiting.contains(waiter)),
                Action::Reply(waiter, reply) => {
                    assert!(self.waiting.remove(waiter), "request {waiter} was answered before");
                    if let Reply::Ask { generation, requests } = reply {
                        assert!(!requests.is_empty());
                        if !replayed {
                            assert!(*generation == self.newest + 1 || *generation == self.newest);
                            self.newest = *generation;
                        }
                        for (key, request) in requests.iter() {
                            let serial = request.to_object().unwrap().get_object("params").unwrap();
                            let serial: u64 = serial.get("serial").unwrap().parse().unwrap();
                            assert_eq!(
                                *self.keys.entry(key.into_owned()).or_insert(serial),
                                serial,
                                "a key came twice"
                            );
                        }
                    }
                }
                Action::End(_) => {
                    assert!(self.waiting.is_empty(), "nobody is left behind");
                    self.ended = true;
                }
                Action::Linger(length) => assert!(*length > 0 && *length <= 1 << 20),
                Action::Forget => assert!(self.finished && self.waiting.is_empty()),
            }
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_answered_twice_and_nobody_waits_for_ever(
        steps in prop::collection::vec(step(), 1..60),
        window in prop_oneof![Just(0_u64), Just(5)],
    ) {
        let mut now = Instant::now();
        let begun = now;
        let mut record = Record::new(now, 0, capable(), reattaching(Duration::from_secs(window)));
        let mut watch = Watch { waiting: HashSet::from([0]), ..Watch::default() };
        let (mut serial, mut waiter) = (0, 0);
        for step in steps {
            let over = watch.ended || watch.finished;
            let mut replayed = false;
            let event = match step {
                Step::Ask(wish) if !over => {
                    serial += 1;
                    watch.open.insert(serial);
                    let params = RawObject::from([("serial", Raw::of(&serial))]);
                    Event::Asked(serial, Question { params: Some(params), key: wish.map(str::to_owned), ..form() })
                }
                Step::Withdraw(n) if !over && !watch.open.is_empty() => {
                    let mut open: Vec<_> = watch.open.iter().copied().collect();
                    open.sort_unstable();
                    let serial = open[n % open.len()];
                    watch.open.remove(&serial);
                    Event::Withdrawn(serial)
                }
                Step::Retry(back, how, digest, able) => {
                    waiter += 1;
                    watch.waiting.insert(waiter);
                    let generation = watch.newest.saturating_sub(back);
                    replayed = back > 0 || watch.finished;
                    let mut given = RawObject::new();
                    for (n, open) in record.open.iter().enumerate() {
                        match (how >> (2 * (n % 4))) & 3 {
                            0 | 1 => given.set(&open.key, Raw::constant(r#"{"action":"accept"}"#)),
                            2 => given.set(&open.key, Raw::constant("12345")),
                            _ => {}
                        }
                    }
                    let digest = [digest; 32];
                    let capabilities = if able { capable() } else { ClientCapabilities::default() };
                    Event::Retry(Retry { waiter, generation, answers: given, digest, capabilities })
                }
                Step::Leave(n) if !watch.waiting.is_empty() => {
                    let mut waiting: Vec<_> = watch.waiting.iter().copied().collect();
                    waiting.sort_unstable();
                    let waiter = waiting[n % waiting.len()];
                    watch.waiting.remove(&waiter);
                    Event::Left(waiter)
                }
                Step::Finish(length) if !over => {
                    watch.finished = true;
                    watch.open.clear();
                    Event::Finished("done", length)
                }
                Step::Wait(time) => {
                    now += Duration::from_millis(time);
                    Event::Tick
                }
                Step::Stop => Event::Stop,
                Step::Drain => Event::Drain,
                _ => continue,
            };
            let actions = record.on(event, now);
            watch.see(&actions, replayed);
            prop_assert!(record.open.len() <= QUESTIONS);
            prop_assert!(record.deadline() <= begun.max(now) + Limits::default().parked_total, "there is always a time at which it ends");
            prop_assert!(watch.ended || record.open.len() == watch.open.len(), "the same questions are open");
        }
        // Left alone, every call comes to an end, and by then everybody has an answer.
        for _ in 0..10 {
            if watch.ended {
                break;
            }
            now = now.max(record.deadline());
            let actions = record.on(Event::Tick, now);
            let forgotten = actions.iter().any(|a| matches!(a, Action::Forget));
            watch.see(&actions, false);
            if forgotten {
                break;
            }
        }
        prop_assert!(watch.ended || record.phase == Phase::Delivered);
        prop_assert!(watch.waiting.is_empty());
    }
}

#[test]
fn the_answers_kept_are_objects() {
    // An answer reaches the server as the client wrote it.
    let mut record = Record::new(Instant::now(), 0, capable(), Arc::default());
    let now = Instant::now();
    record.on(Event::Asked(1, form()), now);
    record.on(Event::Tick, now + Limits::default().gather);
    let given = r#"{"i1":{"action":"accept","content":{"n":1.0},"x":[]}}"#;
    let actions = record.on(retry(1, 1, given), now + Limits::default().gather);
    let Some(Action::Answer(1, answer)) = actions.get(1) else { panic!("{actions:?}") };
    assert_eq!(answer.to_raw().as_bytes(), br#"{"action":"accept","content":{"n":1.0},"x":[]}"#);
    assert_eq!(answer.to_raw().kind(), Kind::Object);
}
