use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use crate::{jsonrpc::code, protocol::method::question};

use super::*;

fn roots(key: Option<&str>) -> Question {
    Question { method: question::ROOTS.to_owned(), params: None, key: key.map(str::to_owned) }
}

fn answers(keys: &[&str]) -> RawObject {
    let mut answers = RawObject::new();
    for key in keys {
        answers.set(key, Raw::constant(r#"{"roots":[]}"#));
    }
    answers
}

fn keys(record: &Record) -> Vec<String> {
    record.questions().map(|(key, _)| key.to_owned()).collect()
}

/// Actions in short.
fn told(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .map(|action| match action {
            Action::Answer(serial, answer) => format!("{serial}={}", if answer.is_ok() { "ok" } else { "refused" }),
            Action::Put(wait, serial, _) => format!("{wait} puts {serial}"),
            Action::Take(wait, serial) => format!("{wait} takes {serial}"),
            Action::Stop => "stop".to_owned(),
            Action::Changed => "changed".to_owned(),
        })
        .collect()
}

#[test]
fn questions_are_shown_by_key_and_answered_once() {
    let mut record = Record::default();
    assert_eq!(told(&record.on(Event::Asked(1, roots(None)))), ["changed"]);
    assert_eq!(record.status(), Status::InputRequired);
    record.on(Event::Asked(2, roots(Some("name"))));
    record.on(Event::Asked(3, roots(Some("name"))));
    assert_eq!(keys(&record), ["t1", "name", "t2"]);
    assert_eq!(told(&record.on(Event::Answers(answers(&["name", "nobody"])))), ["2=ok", "changed"]);
    assert!(record.on(Event::Answers(answers(&["name"]))).is_empty());
    let useless = RawObject::from([("t1", Raw::constant("12345")), ("t2", Raw::constant("{}"))]);
    assert!(record.on(Event::Answers(useless)).is_empty());
    assert_eq!(told(&record.on(Event::Withdrawn(1))), ["changed"]);
    assert_eq!(told(&record.on(Event::Answers(answers(&["t1", "t2"])))), ["3=ok", "changed"]);
    assert_eq!(record.status(), Status::Working);
}

#[test]
fn one_wait_at_a_time_puts_a_question() {
    let mut record = Record::default();
    record.on(Event::Asked(1, roots(None)));
    assert_eq!(told(&record.on(Event::Joined(7))), ["7 puts 1"]);
    assert!(record.on(Event::Joined(8)).is_empty());
    assert_eq!(told(&record.on(Event::Left(7))), ["8 puts 1"]);
    assert!(record.on(Event::Told(7, 1, Ok(RawObject::new()))).is_empty());
    assert!(told(&record.on(Event::Told(8, 1, Err(Refusal::NoOne)))).is_empty());
    assert_eq!(record.status(), Status::InputRequired);
    assert_eq!(told(&record.on(Event::Joined(9))), ["9 puts 1"]);
    let declined = Err(Refusal::Answered(ErrorObject::new(code::INTERNAL, "no")));
    assert_eq!(told(&record.on(Event::Told(9, 1, declined))), ["1=refused", "changed"]);
}

#[test]
fn only_so_many_questions_are_open_and_so_many_wishes_remembered() {
    let mut record = Record::default();
    for serial in 1..=64 {
        assert_eq!(told(&record.on(Event::Asked(serial, roots(None)))), ["changed"]);
    }
    assert_eq!(told(&record.on(Event::Asked(65, roots(None)))), ["65=refused"]);
    assert_eq!(told(&record.on(Event::Withdrawn(1))), ["changed"]);
    assert_eq!(told(&record.on(Event::Asked(66, roots(Some("t2"))))), ["changed"], "a key of ours is nobody's wish");
    assert_eq!(record.questions().last().map(|(key, _)| key.to_owned()).as_deref(), Some("t65"));

    let mut record = Record::default();
    for serial in 0..1000 {
        record.on(Event::Asked(serial, roots(Some(&format!("wish {serial}")))));
        let ours = format!("t{}", serial.saturating_sub(255));
        assert_eq!(keys(&record), [if serial < 256 { format!("wish {serial}") } else { ours }]);
        record.on(Event::Withdrawn(serial));
    }
    assert_eq!(record.wished.len(), 256);
}

#[test]
fn an_end_is_for_ever() {
    let mut record = Record::default();
    record.on(Event::Joined(7));
    record.on(Event::Asked(1, roots(None)));
    assert_eq!(told(&record.on(Event::Cancelled)), ["stop", "7 takes 1", "1=refused", "changed"]);
    assert!(record.on(Event::Ended(End::Completed(Raw::null()))).is_empty());
    assert!(record.on(Event::Cancelled).is_empty());
    assert_eq!(told(&record.on(Event::Asked(2, roots(None)))), ["2=refused"]);
    assert_eq!(record.end(), Some(&End::Cancelled));
}

fn events() -> impl Strategy<Value = Vec<(u8, u64, u64)>> {
    prop::collection::vec((0..8_u8, 0..6_u64, 0..4_u64), 0..80)
}

proptest! {
    /// Whatever happens in whatever order: a question is answered or taken back at most once and never forgotten, no two waits
    /// put the same one at a time, keys are never used again, an end is never left, and who watches hears of every change.
    #[test]
    fn a_task_keeps_its_promises(script in events()) {
        let mut record = Record::default();
        let (mut serial, mut all_keys) = (0, HashSet::new());
        let (mut open, mut putting): (HashSet<u64>, HashMap<u64, u64>) = (HashSet::new(), HashMap::new());
        let (mut joined, mut waits) = (0, HashSet::new());
        for (what, which, who) in script {
            let before = (record.status(), keys(&record));
            let mut withdrawn = None;
            let event = match what {
                0 | 1 => {
                    serial += 1;
                    open.insert(serial);
                    Event::Asked(serial, roots((which > 3).then_some("wish")))
                }
                2 => {
                    let serial = which + 1;
                    withdrawn = open.remove(&serial).then_some(serial);
                    Event::Withdrawn(serial)
                }
                3 => Event::Answers(answers(&[&format!("t{which}"), "wish"])),
                4 => {
                    joined += 1;
                    waits.insert(joined);
                    Event::Joined(joined)
                }
                5 => {
                    let wait = who + 1;
                    waits.remove(&wait);
                    putting.retain(|_, by| *by != wait);
                    Event::Left(wait)
                }
                6 => {
                    let answer = if who == 0 { Err(Refusal::NoOne) } else { Ok(RawObject::new()) };
                    Event::Told(putting.remove(&which).unwrap_or(who), which, answer)
                }
                _ if who == 0 => Event::Cancelled,
                _ if who == 1 => Event::Ended(End::Completed(Raw::null())),
                _ => Event::Withdrawn(1000),
            };
            let actions = record.on(event);
            let changed = actions.iter().filter(|a| matches!(a, Action::Changed)).count();
            for action in &actions {
                match action {
                    Action::Answer(serial, _) => prop_assert!(open.remove(serial), "{serial} was answered before"),
                    Action::Put(wait, serial, _) => {
                        prop_assert!(waits.contains(wait), "{wait} does not wait");
                        prop_assert!(putting.insert(*serial, *wait).is_none(), "{serial} is put twice");
                    }
                    Action::Take(wait, serial) => prop_assert_eq!(putting.remove(serial), Some(*wait)),
                    Action::Stop | Action::Changed => {}
                }
            }
            if let Some(withdrawn) = withdrawn {
                putting.remove(&withdrawn);
            }
            putting.retain(|serial, _| open.contains(serial));
            let after = (record.status(), keys(&record));
            prop_assert_eq!(changed, usize::from(before != after));
            prop_assert_eq!(record.questions().count(), open.len());
            for key in &after.1 {
                prop_assert!(before.1.contains(key) || all_keys.insert(key.clone()), "{} was used before", key);
            }
            if before.0.is_terminal() {
                prop_assert_eq!(before.0, after.0);
            } else if after.0 != Status::InputRequired {
                prop_assert!(open.is_empty());
            }
        }
    }
}
