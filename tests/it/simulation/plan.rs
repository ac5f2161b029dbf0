//! What a call wants, as its arguments say it.

use serde_json::{Value, json};

use super::{ledger::Mark, random::Random};

/// How often a modern server may answer one call with anything but its end.
pub(super) const ROUNDS: u64 = 8;

/// The tool that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// It may be a task.
    Work,
    /// It is always a task.
    Job,
}

impl Tool {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Job => "job",
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Form,
    Sample,
    Roots,
}

/// What a call wants: how many questions, how many words of progress, and how it ends.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) mark: Mark,
    pub(super) tool: Tool,
    pub(super) kind: Kind,
    pub(super) questions: u64,
    pub(super) together: bool,
    /// How often a modern server wants to be called again before it asks anything.
    pub(super) again: u64,
    pub(super) progress: u64,
    pub(super) end: String,
}

impl Plan {
    /// One that chance made up, with questions of a kind that the client answers.
    pub(super) fn of(mark: Mark, kinds: &[Kind], random: &Random) -> Self {
        let questions = random.below(4);
        let end = match random.below(16) {
            0 => "crash",
            1 => "error",
            2 => "twice",
            3 => "never",
            4 => "failed",
            _ => "well",
        };
        Self {
            mark,
            tool: if random.one_in(8) { Tool::Job } else { Tool::Work },
            kind: random.pick(kinds).copied().unwrap_or(Kind::Form),
            questions,
            together: random.one_in(2),
            again: if random.one_in(3) { random.below(3) } else { 0 },
            progress: random.below(3),
            end: end.to_owned(),
        }
    }

    pub(super) fn arguments(&self) -> Value {
        let kind = match self.kind {
            Kind::Form => "form",
            Kind::Sample => "sample",
            Kind::Roots => "roots",
        };
        json!({"mark": self.mark.to_string(), "tool": self.tool.name(), "kind": kind, "questions": self.questions,
            "together": self.together, "again": self.again, "progress": self.progress, "end": self.end})
    }

    pub(super) fn read(arguments: &Value) -> Option<Self> {
        let number = |name: &str| arguments[name].as_u64();
        Some(Self {
            mark: Mark::read(arguments["mark"].as_str()?)?,
            tool: if arguments["tool"] == "job" { Tool::Job } else { Tool::Work },
            kind: match arguments["kind"].as_str()? {
                "sample" => Kind::Sample,
                "roots" => Kind::Roots,
                _ => Kind::Form,
            },
            questions: number("questions")?,
            together: arguments["together"].as_bool()?,
            again: number("again")?,
            progress: number("progress")?,
            end: arguments["end"].as_str()?.to_owned(),
        })
    }

    /// The questions of a round, by their numbers.
    pub(super) fn round(&self, answered: u64) -> std::ops::Range<u64> {
        let last = if self.together { self.questions } else { (answered + 1).min(self.questions) };
        answered..last
    }

    /// A question as it is asked: its method and its parameters.
    pub(super) fn question(&self, number: u64) -> (&'static str, Value) {
        let words = format!("{}?{number}", self.mark);
        match self.kind {
            Kind::Form => {
                let schema = json!({"type": "object", "properties": {"answer": {"type": "string"}}});
                ("elicitation/create", json!({"mode": "form", "message": words, "requestedSchema": schema}))
            }
            Kind::Sample => {
                let message = json!({"role": "user", "content": {"type": "text", "text": words}});
                ("sampling/createMessage", json!({"messages": [message], "maxTokens": 5}))
            }
            Kind::Roots => ("roots/list", json!({})),
        }
    }

    /// Whether an answer refuses.
    ///
    /// # Errors
    /// When it is the answer to another question, or another's.
    pub(super) fn refuses(&self, number: u64, answer: &Value) -> Result<bool, String> {
        let words = format!("{}?{number}!", self.mark);
        let is_right = match self.kind {
            Kind::Form if answer["action"] != "accept" => return Ok(true),
            Kind::Form => answer["content"]["answer"] == words,
            Kind::Sample if answer.get("content").is_none() => return Ok(true),
            Kind::Sample => answer["content"]["text"] == words,
            Kind::Roots if answer.get("roots").is_none() => return Ok(true),
            Kind::Roots => answer["roots"][0]["uri"] == format!("file:///{}/", self.mark.owner),
        };
        match is_right {
            true => Ok(false),
            false => Err(format!("the question {}?{number} was answered with {answer}", self.mark)),
        }
    }
}

/// What a question is about, where it says so.
pub(super) fn asked_about(method: &str, params: &Value) -> Option<String> {
    let words = match method {
        "elicitation/create" => &params["message"],
        "sampling/createMessage" => &params["messages"][0]["content"]["text"],
        _ => return None,
    };
    words.as_str().map(str::to_owned)
}

/// The answer that `owner` gives.
pub(super) fn answer(method: &str, params: &Value, owner: &str, random: &Random) -> Value {
    let words = asked_about(method, params).unwrap_or_default();
    match method {
        "elicitation/create" if random.one_in(10) => json!({"action": "decline"}),
        "elicitation/create" => json!({"action": "accept", "content": {"answer": format!("{words}!")}}),
        "sampling/createMessage" => {
            let content = json!({"type": "text", "text": format!("{words}!")});
            json!({"role": "assistant", "content": content, "model": "simulated"})
        }
        _ => json!({"roots": [{"uri": format!("file:///{owner}/"), "name": "home"}]}),
    }
}

/// Something that may be subscribed to: one's own, or everybody's.
pub(super) fn uri(owner: &str, random: &Random) -> String {
    let whose = if random.one_in(3) { "all" } else { owner };
    format!("note://{whose}/{}", random.below(3))
}
