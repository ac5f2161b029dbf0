//! What is left out for clients that shall be sent nothing but what their revision defines.
//!
//! Revisions have added members to things that older ones have as well, mostly words for people. Every revision lets its
//! clients ignore what they do not know, so these members are left in their places, unless the operator has clients that do
//! not. Only what a later revision brought is taken out: a member that no revision defines is the server's own, and stays.

use crate::{
    jsonrpc::{Kind, Raw, RawObject},
    protocol::{
        Method, Revision,
        meta::META,
        method::{notification, question},
    },
};

use Revision::{R2025_03_26, R2025_06_18, R2025_11_25, R2026_07_28};

/// What a thing gained after the revision that brought it.
pub(super) struct Shape {
    /// Its later members, with the revision that brought each.
    gained: &'static [(&'static str, Revision)],
    /// Its members that hold things which gained something: one, or an array of them.
    parts: &'static [(&'static str, &'static Self)],
}

const NOTHING: &[(&str, Revision)] = &[];
const NO_PARTS: &[(&str, &Shape)] = &[];

// === what clients are sent ===

static ANNOTATIONS: Shape = Shape { gained: &[("lastModified", R2025_06_18)], parts: NO_PARTS };

static CONTENTS: Shape = Shape { gained: &[(META, R2025_06_18)], parts: NO_PARTS };

/// Blocks of every kind: what one kind gained, no other one ever had under another meaning.
static CONTENT: Shape = Shape {
    gained: &[(META, R2025_06_18), ("icons", R2025_11_25)],
    parts: &[("annotations", &ANNOTATIONS), ("resource", &CONTENTS)],
};

static TOOL: Shape = Shape {
    gained: &[
        ("annotations", R2025_03_26),
        ("title", R2025_06_18),
        ("outputSchema", R2025_06_18),
        (META, R2025_06_18),
        ("icons", R2025_11_25),
    ],
    parts: NO_PARTS,
};

/// Resources and their templates.
static RESOURCE: Shape = Shape {
    gained: &[("title", R2025_06_18), (META, R2025_06_18), ("icons", R2025_11_25)],
    parts: &[("annotations", &ANNOTATIONS)],
};

static PROMPT: Shape = Shape {
    gained: &[("title", R2025_06_18), (META, R2025_06_18), ("icons", R2025_11_25)],
    parts: &[("arguments", &ARGUMENT)],
};

static ARGUMENT: Shape = Shape { gained: &[("title", R2025_06_18)], parts: NO_PARTS };

static PROMPT_MESSAGE: Shape = Shape { gained: NOTHING, parts: &[("content", &CONTENT)] };

static SAMPLING_MESSAGE: Shape = Shape { gained: &[(META, R2025_11_25)], parts: &[("content", &CONTENT)] };

static FORM: Shape = Shape { gained: &[("$schema", R2025_11_25)], parts: NO_PARTS };

/// `Implementation`.
pub(super) static SOMEBODY: Shape = Shape {
    gained: &[
        ("title", R2025_06_18),
        ("description", R2025_11_25),
        ("icons", R2025_11_25),
        ("websiteUrl", R2025_11_25),
    ],
    parts: NO_PARTS,
};

pub(super) static CAPABILITIES: Shape = Shape {
    gained: &[("completions", R2025_03_26), ("tasks", R2025_11_25), ("extensions", R2026_07_28)],
    parts: NO_PARTS,
};

/// The result of a request.
pub(super) fn of_result(method: &Method) -> Option<&'static Shape> {
    static TOOLS: Shape = Shape { gained: NOTHING, parts: &[("tools", &TOOL)] };
    static RAN: Shape = Shape { gained: &[("structuredContent", R2025_06_18)], parts: &[("content", &CONTENT)] };
    static PROMPTS: Shape = Shape { gained: NOTHING, parts: &[("prompts", &PROMPT)] };
    static SPOKEN: Shape = Shape { gained: NOTHING, parts: &[("messages", &PROMPT_MESSAGE)] };
    static RESOURCES: Shape = Shape { gained: NOTHING, parts: &[("resources", &RESOURCE)] };
    static TEMPLATES: Shape = Shape { gained: NOTHING, parts: &[("resourceTemplates", &RESOURCE)] };
    static READ: Shape = Shape { gained: NOTHING, parts: &[("contents", &CONTENTS)] };
    Some(match method {
        Method::ToolsList => &TOOLS,
        Method::ToolsCall => &RAN,
        Method::PromptsList => &PROMPTS,
        Method::PromptsGet => &SPOKEN,
        Method::ResourcesList => &RESOURCES,
        Method::TemplatesList => &TEMPLATES,
        Method::ResourcesRead => &READ,
        _ => return None,
    })
}

/// The params of a notification.
pub(super) fn of_notification(method: &str) -> Option<&'static Shape> {
    static PROGRESS: Shape = Shape { gained: &[("message", R2025_03_26)], parts: NO_PARTS };
    (method == notification::PROGRESS).then_some(&PROGRESS)
}

/// The params of a question.
pub(super) fn of_question(method: &str) -> Option<&'static Shape> {
    static SAMPLING: Shape = Shape {
        gained: &[("task", R2025_11_25), ("tools", R2025_11_25), ("toolChoice", R2025_11_25)],
        parts: &[("messages", &SAMPLING_MESSAGE)],
    };
    static ELICITATION: Shape =
        Shape { gained: &[("task", R2025_11_25), ("mode", R2025_11_25)], parts: &[("requestedSchema", &FORM)] };
    match method {
        question::SAMPLE => Some(&SAMPLING),
        question::ELICIT => Some(&ELICITATION),
        _ => None,
    }
}

// === impl Shape ===

impl Shape {
    /// Takes out what came after `client`; whether there was anything.
    pub(super) fn trim(&self, client: Revision, object: &mut RawObject) -> bool {
        let mut changed = false;
        for (name, _) in self.gained.iter().filter(|(_, since)| client < *since) {
            changed |= object.remove(name).is_some();
        }
        for (name, part) in self.parts {
            if let Some(other) = object.get(name).and_then(|value| part.trimmed(client, value)) {
                object.set(name, other);
                changed = true;
            }
        }
        changed
    }

    /// The thing, or the array of things, without what came after `client`; `None` where there is nothing to take out.
    pub(super) fn trimmed(&self, client: Revision, value: &Raw) -> Option<Raw> {
        match value.kind() {
            Kind::Object => {
                let mut object = value.to_object()?;
                self.trim(client, &mut object).then(|| object.to_raw())
            }
            Kind::Array => {
                let mut elements = value.to_array()?;
                let mut changed = false;
                for element in elements.iter_mut().filter(|element| element.kind() == Kind::Object) {
                    if let Some(other) = self.trimmed(client, element) {
                        *element = other;
                        changed = true;
                    }
                }
                changed.then(|| Raw::array(&elements))
            }
            _ => None,
        }
    }
}
