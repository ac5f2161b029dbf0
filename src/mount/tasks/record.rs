//! What becomes of a task that the gateway keeps: which questions are open, who puts them to the client, and how it ends.
//!
//! Everything here is decided by an event; nothing waits, and nothing is sent. A modern client sees the open questions when it
//! looks at the task and answers them by their keys; a legacy client that waits for the result is asked them one by one, each
//! by one of its waits.

use std::collections::HashSet;

use crate::{
    hub::{Answer, Question, Refusal},
    jsonrpc::{ErrorObject, Raw, RawObject},
    protocol::{answer, tasks::Status},
};

/// How many questions of one task may be open.
const QUESTIONS: usize = 64;
/// The longest key that a server may wish for, in bytes.
const KEY: usize = 128;
/// How many wishes of one task are granted: each is remembered for as long as the task is. Later questions get keys of ours.
const WISHES: usize = 256;

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// With the result of the call.
    Completed(Raw),
    /// With a JSON-RPC error.
    Failed(ErrorObject),
    /// Somebody cancelled it.
    Cancelled,
}

impl End {
    /// The status that it is in the extension, where a tool that failed has completed.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Completed(_) => Status::Completed,
            Self::Failed(_) => Status::Failed,
            Self::Cancelled => Status::Cancelled,
        }
    }
}

/// What happens to a task.
#[derive(Debug)]
pub(super) enum Event {
    /// The server asks; the number is of no other question of the task.
    Asked(u64, Question),
    /// The server needs no answer any more.
    Withdrawn(u64),
    /// A modern client answers, by key.
    Answers(RawObject),
    /// A legacy client waits for the result and can be asked; the number is of no other wait.
    Joined(u64),
    /// It does not wait any more.
    Left(u64),
    /// The client answered a question that one of its waits put to it.
    Told(u64, u64, Answer),
    /// The work is over.
    Ended(End),
    /// The client wants it cancelled, and nobody is left to say how it went on.
    Cancelled,
}

/// What is to be done about it.
#[derive(Debug)]
pub(super) enum Action {
    /// The server gets this answer to its question.
    Answer(u64, Answer),
    /// A wait puts a question to its client.
    Put(u64, u64, Question),
    /// A wait takes a question back that it put.
    Take(u64, u64),
    /// The work is dropped.
    Stop,
    /// Whoever watches the task sees something new.
    Changed,
}

struct Open {
    serial: u64,
    key: String,
    question: Question,
    /// The wait that puts it to its client.
    asker: Option<u64>,
    /// Waits that could not.
    failed: Vec<u64>,
}

/// The record of one task.
#[derive(Default)]
pub(super) struct Record {
    open: Vec<Open>,
    /// The last key of ours: `t` and this number.
    last_key: u64,
    /// The keys that the server wished for and got, which none of ours looks like.
    wished: HashSet<String>,
    waits: Vec<u64>,
    end: Option<End>,
}

impl Record {
    /// How far the task is, in the words of the extension.
    pub(super) fn status(&self) -> Status {
        match &self.end {
            Some(end) => end.status(),
            None if self.open.is_empty() => Status::Working,
            None => Status::InputRequired,
        }
    }

    /// How it ended, if it did.
    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The open questions, by key, in the order they were asked.
    pub(super) fn questions(&self) -> impl Iterator<Item = (&str, &Question)> {
        self.open.iter().map(|open| (&*open.key, &open.question))
    }

    /// What has to be done about an event.
    pub(super) fn on(&mut self, event: Event) -> Vec<Action> {
        let before = (self.status(), self.open.len());
        let mut actions = Vec::new();
        match event {
            Event::Asked(serial, question) => self.asked(serial, question, &mut actions),
            Event::Withdrawn(serial) => {
                if let Some(open) = self.close(|open| open.serial == serial) {
                    actions.extend(open.asker.map(|wait| Action::Take(wait, serial)));
                }
            }
            Event::Answers(answers) => self.answers(&answers, &mut actions),
            Event::Joined(wait) => {
                if self.end.is_none() {
                    self.waits.push(wait);
                    self.put(&mut actions);
                }
            }
            Event::Left(wait) => {
                self.waits.retain(|own| *own != wait);
                // No later wait has its number.
                self.open.iter_mut().for_each(|open| open.failed.retain(|own| *own != wait));
                for open in self.open.iter_mut().filter(|open| open.asker == Some(wait)) {
                    open.asker = None;
                }
                self.put(&mut actions);
            }
            Event::Told(wait, serial, answer) => self.told(wait, serial, answer, &mut actions),
            Event::Ended(end) => self.over(end, &mut actions),
            Event::Cancelled => {
                if self.end.is_none() {
                    actions.push(Action::Stop);
                }
                self.over(End::Cancelled, &mut actions);
            }
        }
        if before != (self.status(), self.open.len()) {
            actions.push(Action::Changed);
        }
        actions
    }

    fn asked(&mut self, serial: u64, question: Question, actions: &mut Vec<Action>) {
        if self.end.is_some() || self.open.len() >= QUESTIONS {
            actions.push(Action::Answer(serial, Err(Refusal::Lapsed)));
            return;
        }
        let key = self.key(question.key.as_deref());
        self.open.push(Open { serial, key, question, asker: None, failed: Vec::new() });
        self.put(actions);
    }

    /// A key that no other question of the task ever has (tasks extension, Task Update Requests): the one the server wishes
    /// for, unless it was used.
    fn key(&mut self, wish: Option<&str>) -> String {
        let is_ours = |key: &str| key.strip_prefix('t').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        let may_be = |key: &str| !key.is_empty() && key.len() <= KEY && !is_ours(key);
        if let Some(wish) = wish.filter(|wish| may_be(wish) && self.wished.len() < WISHES)
            && self.wished.insert(wish.to_owned())
        {
            return wish.to_owned();
        }
        self.last_key += 1;
        format!("t{}", self.last_key)
    }

    /// Gives the questions that nobody puts to the client to the wait that came last and can.
    fn put(&mut self, actions: &mut Vec<Action>) {
        for open in self.open.iter_mut().filter(|open| open.asker.is_none()) {
            if let Some(wait) = self.waits.iter().rev().find(|wait| !open.failed.contains(wait)) {
                open.asker = Some(*wait);
                actions.push(Action::Put(*wait, open.serial, open.question.clone()));
            }
        }
    }

    /// Answers count by the key alone. What no open question has, and what answers nothing, is passed over.
    fn answers(&mut self, answers: &RawObject, actions: &mut Vec<Action>) {
        for (key, given) in answers.iter() {
            let answers = |open: &Open| open.key == *key && answer::read(&open.question.method, given).is_some();
            let Some(open) = self.close(answers) else { continue };
            actions.extend(open.asker.map(|wait| Action::Take(wait, open.serial)));
            if let Some(answer) = answer::read(&open.question.method, given) {
                actions.push(Action::Answer(open.serial, Ok(answer)));
            }
        }
    }

    fn told(&mut self, wait: u64, serial: u64, answer: Answer, actions: &mut Vec<Action>) {
        let Some(open) = self.open.iter_mut().find(|open| open.serial == serial && open.asker == Some(wait)) else {
            return;
        };
        // The client is not there: that answers nothing. The question waits for its next wait.
        if matches!(answer, Err(Refusal::NoOne)) {
            open.asker = None;
            open.failed.push(wait);
            self.put(actions);
            return;
        }
        self.close(|open| open.serial == serial);
        actions.push(Action::Answer(serial, answer));
    }

    fn over(&mut self, end: End, actions: &mut Vec<Action>) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(end);
        for open in std::mem::take(&mut self.open) {
            actions.extend(open.asker.map(|wait| Action::Take(wait, open.serial)));
            actions.push(Action::Answer(open.serial, Err(Refusal::Lapsed)));
        }
        self.waits.clear();
    }

    fn close(&mut self, which: impl Fn(&Open) -> bool) -> Option<Open> {
        let at = self.open.iter().position(which)?;
        Some(self.open.remove(at))
    }
}

#[cfg(test)]
mod tests;
