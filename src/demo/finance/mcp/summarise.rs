//! The tool `summarise_month`: lets the client's model write what a month brought, and writes it itself where there is none.
#![expect(deprecated, reason = "2026-07-28 deprecates sampling, but has it; clients still offer it")]

use std::{fmt::Write, time::Duration};

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CreateMessageRequest, CreateMessageRequestParams, CreateMessageResult,
        InputRequest, SamplingMessage, SamplingMessageContentBlock,
    },
    schemars::{self, JsonSchema},
    service::RequestContext,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    super::{
        super::{
            ask::{Answer, Question, ask, has_a_model},
            kit::structured,
            log::Log,
        },
        calendar::Month,
        model::{Money, MonthFigures},
    },
    Session,
    tools::refused,
};

/// The key of the question in `inputRequests`.
const QUESTION: &str = "summary";

/// How long a model may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// How much a model may write, in tokens, and how much of it is kept, in characters.
const MAX_TOKENS: u32 = 400;
const MAX_CHARACTERS: usize = 4_000;

const SYSTEM: &str = "You are the bookkeeper of a small company. Use only the figures that you are given.";

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// The month, such as `2026-10`.
    month: Month,
}

/// What a month brought, in figures and in words.
#[derive(Serialize, JsonSchema)]
pub(super) struct Summary {
    /// The figures.
    figures: MonthFigures,
    /// The summary.
    text: String,
    /// Who wrote it.
    writer: Writer,
    /// The name of the model, if one wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    model: Option<String>,
}

/// Who wrote a summary: the client's model, or this program.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
enum Writer {
    Model,
    Program,
}

/// Runs the tool.
///
/// # Errors
///
/// The state that came back is not one that was given out for this call, or the call was cancelled.
pub(super) async fn run(
    session: &Session,
    arguments: Arguments,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
    log: &Log<'_>,
) -> Result<CallToolResponse, ErrorData> {
    let figures = match session.company.ledger.month(arguments.month) {
        Ok(figures) => figures,
        Err(reason) => return Ok(refused(&reason).into()),
    };
    let plain = in_words(&figures);
    let question = Question {
        key: QUESTION,
        request: InputRequest::CreateMessage(sampling(&plain)),
        about: &arguments,
        can_be_asked: has_a_model(context),
        patience: PATIENCE,
    };
    let written = match ask::<CreateMessageResult, _>(&session.company.seal, question, request, context).await? {
        Answer::First(question) => return Ok(question.into()),
        Answer::Given(answer) => written(&answer).map(|text| (text, answer.model)),
        Answer::Missing | Answer::Impossible => None,
    };
    let (text, writer, model) = match written {
        Some((text, model)) => (text, Writer::Model, Some(model)),
        None => (plain, Writer::Program, None),
    };
    log.info(json!({ "message": "summarised", "month": figures.month, "writer": writer })).await;
    structured(&Summary { figures, text, writer, model })
}

/// The question to the model. Only figures go into it: names and descriptions are what somebody else wrote, and could tell
/// the model what to do.
fn sampling(figures: &str) -> CreateMessageRequest {
    let task = format!("Summarise this month for the owner in at most four sentences.\n\n{figures}");
    let params = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(task)], MAX_TOKENS);
    CreateMessageRequest::new(params.with_system_prompt(SYSTEM))
}

/// What the model wrote, if it wrote anything.
fn written(answer: &CreateMessageResult) -> Option<String> {
    let texts = answer.message.content.iter().filter_map(|block| match block {
        SamplingMessageContentBlock::Text(text) => Some(text.text.trim()),
        _ => None,
    });
    let text: String = texts.collect::<Vec<_>>().join("\n").chars().take(MAX_CHARACTERS).collect();
    (!text.is_empty()).then_some(text)
}

/// The figures in plain words.
fn in_words(figures: &MonthFigures) -> String {
    let state = figures.closed.map_or_else(|| "is not closed yet".to_owned(), |day| format!("was closed on {day}"));
    let mut text = format!(
        "{}: {} invoices, {} of them unpaid and {} overdue. The month {state}.",
        figures.month, figures.invoices, figures.unpaid, figures.overdue
    );
    for sums in &figures.sums {
        let money = |cents| Money { cents, currency: sums.currency };
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "\n{}: sold {}, bought {}, result {}; customers owe {}, the company owes {}.",
            sums.currency,
            money(sums.sales_cents),
            money(sums.purchases_cents),
            money(sums.sales_cents - sums.purchases_cents),
            money(sums.unpaid_sales_cents),
            money(sums.unpaid_purchases_cents),
        );
    }
    text
}
