//! Is an answer the right one?
//!
//! The first answer of a connection is parsed and compared with what the
//! upstream is known to say. Parsing every megabyte of every answer would make
//! the load slower than what it measures, so later answers are compared byte
//! for byte with the last one that was parsed, except where the request's id
//! stands; one that differs is parsed again. Thus every answer is checked as a
//! whole.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    cases::{Case, Operation},
    fault::{Doing, Fault, Result, excerpt, require},
    wire::{Era, Message, blob_text, sse_payloads, tool_name, tool_schema},
};

/// The first id of a request. All ids have the same number of digits, so that
/// answers have the same length.
pub(crate) const FIRST_ID: u64 = 10_000_000;
/// How many digits an id has.
const DIGITS: usize = 8;

/// A response as it came.
pub(crate) struct Answer {
    /// Whether it is a stream of events rather than one JSON body.
    pub(crate) sse: bool,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The raw result of the response to the request `id`.
    ///
    /// # Errors
    ///
    /// When there is none, or an error.
    pub(crate) fn with_result<T>(&self, id: u64, read: impl FnOnce(&RawValue) -> Result<T>) -> Result<T> {
        let payloads = if self.sse {
            sse_payloads(&self.body).into_iter().map(Cow::Owned).collect()
        } else {
            vec![Cow::Borrowed(&self.body[..])]
        };
        let id = id.to_string();
        for payload in &payloads {
            let message: Message<'_> =
                serde_json::from_slice(payload).doing(format_args!("not a JSON-RPC message: {}", excerpt(payload)))?;
            let is_ours = message.id.is_some_and(|raw| raw.get() == id);
            match (message.result, message.error) {
                (Some(result), None) if is_ours => return read(result),
                (_, Some(_)) => break,
                _ => {}
            }
        }
        let body = excerpt(&self.body);
        Err(Fault::new(format!("no result for request {id} in: {body}")))
    }
}

/// What the text of an echo is.
pub(crate) fn echo_text(id: impl std::fmt::Display) -> String {
    format!("an answer to request {id}")
}

/// An answer that was found to be right, to compare others with.
struct Learned {
    sse: bool,
    body: Bytes,
    /// Where the digits of the id stand.
    holes: Vec<usize>,
    /// Tools listed on the pages before this one.
    from: usize,
    /// Tools listed on this page.
    listed: usize,
    cursor: Option<Arc<str>>,
}

/// Checks the answers of one connection.
pub(crate) struct Checker {
    operation: Operation,
    era: Era,
    tools: usize,
    /// The text that `blob` is to answer with.
    blob: Arc<str>,
    /// One for each page of a list, one in all for a call.
    learned: Vec<Learned>,
    /// Tools listed by the pages of the operation under way.
    listed: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult<'a> {
    #[serde(borrow)]
    result_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<Vec<Content<'a>>>,
    is_error: Option<bool>,
    #[serde(borrow)]
    tools: Option<Vec<Tool<'a>>>,
    #[serde(borrow)]
    next_cursor: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tool<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    input_schema: &'a RawValue,
}

// === impl Checker ===

impl Checker {
    pub(crate) fn new(case: &Case, blob: Arc<str>) -> Self {
        Self { operation: case.operation, era: case.client, tools: case.tools, blob, learned: Vec::new(), listed: 0 }
    }

    /// The text that a case's `blob` answers with; empty for other operations.
    pub(crate) fn expected_blob(case: &Case) -> Arc<str> {
        match case.operation {
            Operation::Blob { kib } => blob_text(kib).into(),
            Operation::Echo | Operation::List => "".into(),
        }
    }

    /// Checks the answer to request `id`, which asked for page number `page`
    /// (0 for a call). Returns the cursor of the next page, if there is one.
    ///
    /// # Errors
    ///
    /// When it is not the right answer, with the beginning of it.
    pub(crate) fn check(&mut self, page: usize, id: u64, answer: &Answer) -> Result<Option<Arc<str>>> {
        if page == 0 {
            self.listed = 0;
        }
        let known = self.learned.get(page).filter(|known| known.from == self.listed && known.matches(id, answer));
        let (listed, cursor) = if let Some(known) = known {
            (known.listed, known.cursor.clone())
        } else {
            let (listed, cursor) =
                self.read(id, answer).map_err(|fault| fault.while_doing(format_args!("the answer to request {id}")))?;
            let learned = Learned::new(id, answer, self.listed, listed, cursor.clone());
            self.learned.truncate(page);
            self.learned.push(learned);
            (listed, cursor)
        };
        self.listed += listed;
        if self.operation == Operation::List && cursor.is_none() {
            let (listed, tools) = (self.listed, self.tools);
            require!(listed == tools, "{listed} of {tools} tools were listed");
        }
        Ok(cursor)
    }

    /// Reads an answer as a whole: the tools it lists, and the next cursor.
    fn read(&self, id: u64, answer: &Answer) -> Result<(usize, Option<Arc<str>>)> {
        answer.with_result(id, |raw| {
            let result: ToolResult<'_> = serde_json::from_str(raw.get())
                .doing(format_args!("unreadable result {}", excerpt(raw.get().as_bytes())))?;
            if self.era == Era::Modern {
                let kind = result.result_type.as_deref();
                require!(kind == Some("complete"), "resultType is {kind:?}");
            }
            match self.operation {
                Operation::Echo => self.read_text(&result, &echo_text(id)),
                Operation::Blob { .. } => self.read_text(&result, &self.blob),
                Operation::List => self.read_page(&result),
            }
        })
    }

    fn read_text(&self, result: &ToolResult<'_>, expected: &str) -> Result<(usize, Option<Arc<str>>)> {
        require!(result.is_error != Some(true), "the tool failed");
        let texts = result.content.as_deref().unwrap_or_default();
        let [Content { text: Some(text) }] = texts else {
            return Err(Fault::new("the content is not one text"));
        };
        require!(
            text == expected,
            "the text is wrong: {} instead of {}",
            excerpt(text.as_bytes()),
            excerpt(expected.as_bytes())
        );
        Ok((0, None))
    }

    fn read_page(&self, result: &ToolResult<'_>) -> Result<(usize, Option<Arc<str>>)> {
        let tools = result.tools.as_deref().unwrap_or_default();
        require!(!tools.is_empty(), "no tools are listed");
        for (i, tool) in (self.listed..).zip(tools) {
            let expected = tool_name(i);
            require!(tool.name == expected, "tool {i} is {} instead of {expected}", tool.name);
            require!(
                tool.input_schema.get() == tool_schema(i),
                "the inputSchema of {expected} was changed to {}",
                tool.input_schema
            );
        }
        let cursor = result.next_cursor.as_deref().map(Arc::from);
        Ok((tools.len(), cursor))
    }
}

// === impl Learned ===

impl Learned {
    fn new(id: u64, answer: &Answer, from: usize, listed: usize, cursor: Option<Arc<str>>) -> Self {
        let id = id.to_string();
        Self {
            sse: answer.sse,
            holes: memchr::memmem::find_iter(&answer.body, &id).collect(),
            body: answer.body.clone(),
            from,
            listed,
            cursor,
        }
    }

    fn matches(&self, id: u64, answer: &Answer) -> bool {
        let (ours, theirs) = (&self.body, &answer.body);
        if self.sse != answer.sse || ours.len() != theirs.len() {
            return false;
        }
        let id = id.to_string();
        let mut from = 0;
        for &hole in &self.holes {
            let end = hole + DIGITS;
            if ours[from..hole] != theirs[from..hole] || theirs[hole..end] != *id.as_bytes() {
                return false;
            }
            from = end;
        }
        ours[from..] == theirs[from..]
    }
}
