//! The tool `pay_invoice`: asks the user before a payment above a limit.
//!
//! A payment cannot be undone, so that a client without forms cannot make a large one at all: that a model says its user
//! agrees is not the user's word.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ElicitRequest, ElicitRequestParams, ElicitResult,
        ElicitationAction, ElicitationSchema, InputRequest,
    },
    schemars::{self, JsonSchema},
    service::RequestContext,
};
use serde::Serialize;
use serde_json::json;

use super::{
    super::{
        super::{
            ask::{Answer, Question, ask, shows_forms},
            kit::{refusal, structured},
            log::Log,
        },
        model::{Invoice, Kind},
        refusal::Refusal,
    },
    Session,
    reading::InvoiceArguments,
    tools::refused,
};

/// The key of the question in `inputRequests`, and of the answer in the form.
const CONFIRM: &str = "confirm";

/// How long a person may take to answer.
const PATIENCE: Duration = Duration::from_secs(600);

/// What came of a payment.
#[derive(Serialize, JsonSchema)]
pub(super) struct Payment {
    /// Whether it was paid, and why not.
    outcome: Outcome,
    /// The invoice: as it is now if it was paid, as it was asked about if not.
    invoice: Invoice,
}

/// Whether an invoice was paid: `declined` and `cancelled` are what the user said to the question.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Paid,
    Declined,
    Cancelled,
}

/// Runs the tool.
///
/// # Errors
///
/// The state that came back is not one that was given out for this payment, or the call was cancelled.
pub(super) async fn run(
    session: &Session,
    arguments: InvoiceArguments,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
    log: &Log<'_>,
) -> Result<CallToolResponse, ErrorData> {
    let ledger = &session.company.ledger;
    // The books know what needs somebody's word. They look at that last, so that nobody is asked for what cannot be done.
    let paid = match ledger.pay(arguments.invoice, false) {
        Err(Refusal::NotConfirmed { id, amount }) => {
            let invoice = match ledger.invoice(id) {
                Ok(invoice) => invoice,
                Err(reason) => return Ok(refused(&reason).into()),
            };
            let question = Question {
                key: CONFIRM,
                request: InputRequest::Elicitation(form(&invoice)?),
                // What is confirmed is this amount of this invoice, and nothing else.
                about: &(arguments, amount),
                can_be_asked: shows_forms(context),
                patience: PATIENCE,
            };
            let outcome = match ask::<ElicitResult, _>(&session.company.seal, question, request, context).await? {
                Answer::First(question) => return Ok(question.into()),
                Answer::Impossible => return Ok(not_here(&Refusal::NotConfirmed { id, amount }).into()),
                Answer::Missing => Outcome::Cancelled,
                Answer::Given(answer) => outcome_of(&answer),
            };
            log.info(json!({ "message": "asked", "invoice": id, "outcome": outcome })).await;
            if outcome != Outcome::Paid {
                return structured(&Payment { outcome, invoice });
            }
            // The question was open for a while. If somebody else has paid it meanwhile, the books say so.
            ledger.pay(id, true)
        }
        paid => paid,
    };
    match paid {
        Ok(invoice) => {
            log.info(json!({ "message": "paid", "invoice": invoice.id })).await;
            structured(&Payment { outcome: Outcome::Paid, invoice })
        }
        Err(reason) => Ok(refused(&reason).into()),
    }
}

/// The answer to a client that has no way to ask its user.
fn not_here(reason: &Refusal) -> CallToolResult {
    refusal(format!(
        "{reason}; this client cannot ask its user, so it cannot be done here: tell the user to pay it in the REST API, or \
         with a client that can show forms"
    ))
}

/// Only a form that was sent with a yes in it means yes.
fn outcome_of(answer: &ElicitResult) -> Outcome {
    match answer.action {
        ElicitationAction::Accept => {
            let content = answer.content.as_ref();
            match content.and_then(|content| content.get(CONFIRM)).and_then(serde_json::Value::as_bool) {
                Some(true) => Outcome::Paid,
                _ => Outcome::Declined,
            }
        }
        ElicitationAction::Decline => Outcome::Declined,
        _ => Outcome::Cancelled,
    }
}

/// The form: yes or no. A flag is a shape that every revision with forms knows.
fn form(invoice: &Invoice) -> Result<ElicitRequest, ErrorData> {
    let Invoice { id, amount, counterparty, account, .. } = invoice;
    let message = match invoice.kind {
        Kind::Purchase => {
            format!("Pay {amount} to {counterparty} from the account `{}`? Invoice {id}.", account.name())
        }
        Kind::Sale => {
            format!("Book that {counterparty} has paid {amount} into the account `{}`? Invoice {id}.", account.name())
        }
    };
    let requested_schema = ElicitationSchema::builder()
        .required_bool_with(CONFIRM, |flag| flag.title("Yes").description("The payment cannot be undone."))
        .build()
        .map_err(|error| ErrorData::internal_error(error, None))?;
    Ok(ElicitRequest::new(ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema }))
}
