//! Which retry is taken, which is told again what it was told, and which is refused: against a model that keeps everything.

use super::*;

/// What the client and the server have been told of one call.
struct Model {
    window: Duration,
    /// The newest generation that was shown; 0 for none.
    newest: u32,
    /// Requests that wait.
    waiting: HashSet<u64>,
    /// The answers that the newest generation was answered with, while that retry waits or may come again.
    taken: Option<Digest>,
    /// What each retry was told in the end, and when.
    told: HashMap<(u32, Digest), (String, Instant)>,
    /// Questions that the server waits for, by their key once that is known, with their serial numbers.
    open: HashMap<String, u64>,
    finished: bool,
    over: bool,
}

/// A reply without the request that it goes to.
fn short(reply: &Reply<&'static str>) -> String {
    told(&[Action::Reply(0, reply.clone())]).remove(0)
}

/// One of three sets of answers to whatever is asked: good ones, useless ones, none.
fn given(keys: &[String], kind: u8) -> RawObject {
    let mut given = RawObject::new();
    for key in keys {
        match kind {
            0 => given.set(key, Raw::constant(r#"{"action":"accept"}"#)),
            1 => given.set(key, Raw::constant("12345")),
            _ => {}
        }
    }
    given
}

impl Model {
    /// What a retry has to lead to first; empty where that is an answer which may have been let go of by now.
    fn expected(&self, generation: u32, digest: Digest, now: Instant) -> &'static str {
        let before = self.told.get(&(generation, digest));
        if self.over {
            "Stale"
        } else if before.is_some_and(|(_, at)| now < *at + Limits::default().repeat) {
            ""
        } else if generation == self.newest && generation > 0 && !(self.finished && self.is_told()) {
            match self.taken {
                Some(taken) if taken == digest => "again",
                Some(_) => "Stale",
                None if !self.waiting.is_empty() => "Stale",
                None => "accept",
            }
        } else {
            "Stale"
        }
    }

    /// Whether the outcome was delivered.
    fn is_told(&self) -> bool {
        self.told.values().any(|(reply, _)| reply.contains("Done"))
    }

    /// Notes what is told to those who wait.
    fn note(&mut self, actions: &[Action<&'static str>], now: Instant) {
        let (generation, taken) = (self.newest, self.taken);
        for action in actions {
            match action {
                Action::Reply(waiter, reply) => {
                    if !self.waiting.remove(waiter) {
                        continue;
                    }
                    match reply {
                        Reply::Ask { generation: next, requests } => {
                            assert!(*next == generation + 1 || *next == self.newest, "a generation was left out");
                            assert!(requests.iter().all(|(key, _)| self.open.contains_key(&*key)));
                            self.newest = *next;
                        }
                        Reply::Useless(_) => {
                            self.taken = None;
                            continue;
                        }
                        Reply::Done(_) => assert!(self.finished),
                        Reply::Stale | Reply::Expired | Reply::Lost => continue,
                    }
                    if let Some(digest) = taken {
                        self.told.insert((generation, digest), (short(reply), now));
                    }
                    self.taken = None;
                }
                Action::Answer(serial, _) | Action::Refuse(serial, _) => {
                    let before = self.open.len();
                    self.open.retain(|_, open| open != serial);
                    assert_eq!(self.open.len() + 1, before, "a question was answered that was not open");
                }
                Action::End(_) => self.over = true,
                Action::Accept(_) | Action::Linger(_) | Action::Forget => {}
            }
        }
    }
}

proptest! {
    #[test]
    fn a_generation_is_answered_once_and_told_the_same_for_a_minute(
        steps in prop::collection::vec(step(), 1..80),
        window in prop_oneof![Just(0_u64), Just(5)],
    ) {
        let mut now = Instant::now();
        let window = Duration::from_secs(window);
        let mut record = Record::new(now, 0, capable(), reattaching(window));
        let mut model = Model {
            window, newest: 0, waiting: HashSet::from([0]), taken: None, told: HashMap::new(), open: HashMap::new(),
            finished: false, over: false,
        };
        let (mut serial, mut waiter) = (0, 0);
        for step in steps {
            let event = match step {
                Step::Ask(_) if !model.over && !model.finished => {
                    serial += 1;
                    Event::Asked(serial, form())
                }
                Step::Retry(back, kind, _, _) => {
                    waiter += 1;
                    let (generation, kind) = (model.newest.saturating_sub(back), kind % 3);
                    let shown: Vec<_> = record.open.iter().filter(|o| o.shown).map(|o| o.key.clone()).collect();
                    let (answers, digest) = (given(&shown, kind), [kind; 32]);
                    let expected = model.expected(generation, digest, now);
                    let again = model.told.get(&(generation, digest)).map(|(reply, _)| reply.clone());
                    let retry = Retry { waiter, generation, answers, digest, capabilities: capable() };
                    let actions = record.on(Event::Retry(retry), now);
                    let first = match actions.first() {
                        Some(Action::Accept(own)) => {
                            prop_assert_eq!(*own, waiter);
                            "accept".to_owned()
                        }
                        Some(Action::Reply(own, reply)) => {
                            prop_assert_eq!(*own, waiter);
                            short(reply)
                        }
                        other => panic!("{other:?}"),
                    };
                    let passed_on = actions.iter().filter(|a| matches!(a, Action::Answer(..))).count();
                    match expected {
                        "accept" => {
                            prop_assert_eq!(first, "accept");
                            prop_assert_eq!(passed_on, if kind == 0 { shown.len() } else { 0 });
                            model.taken = Some(digest);
                            model.waiting.insert(waiter);
                        }
                        "again" => {
                            prop_assert_eq!(first, "accept");
                            prop_assert_eq!(passed_on, 0, "its answers were passed on before");
                            model.waiting.insert(waiter);
                        }
                        "" => {
                            // Only so many are kept.
                            prop_assert!(Some(&first) == again.as_ref() || first == "0 Stale", "{first} {again:?}");
                            prop_assert_eq!(actions.len(), 1);
                            continue;
                        }
                        stale => {
                            prop_assert_eq!(first, format!("0 {stale}"));
                            prop_assert_eq!(actions.len(), 1);
                            continue;
                        }
                    }
                    model.note(&actions, now);
                    continue;
                }
                Step::Leave(n) if !model.waiting.is_empty() => {
                    let mut waiting: Vec<_> = model.waiting.iter().copied().collect();
                    waiting.sort_unstable();
                    let waiter = waiting[n % waiting.len()];
                    model.waiting.remove(&waiter);
                    Event::Left(waiter)
                }
                Step::Finish(_) if !model.over && !model.finished => {
                    model.finished = true;
                    model.open.clear();
                    Event::Finished("done", 10)
                }
                Step::Wait(time) => {
                    now += Duration::from_millis(time);
                    Event::Tick
                }
                Step::Stop => Event::Stop,
                Step::Drain => Event::Drain,
                _ => continue,
            };
            let is_leaving = matches!(event, Event::Left(_));
            let asked = if let Event::Asked(serial, _) = &event { Some(*serial) } else { None };
            let actions = record.on(event, now);
            if let Some(open) = asked.and_then(|serial| record.open.iter().find(|o| o.serial == serial)) {
                model.open.insert(open.key.clone(), open.serial);
            } else if asked.is_some() {
                // Refused at once.
                prop_assert!(matches!(actions[..], [Action::Refuse(..)]), "{actions:?}");
                continue;
            }
            if is_leaving && model.waiting.is_empty() {
                let goes_on = model.taken.is_some() && !model.window.is_zero();
                prop_assert_eq!(actions.iter().any(|a| matches!(a, Action::End(_))), !goes_on);
            }
            model.note(&actions, now);
        }
    }
}
