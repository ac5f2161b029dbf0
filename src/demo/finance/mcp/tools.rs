//! The tools: how they are listed, and who does what they do.

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, Tool, ToolAnnotations},
    service::RequestContext,
};

use super::{
    super::{
        super::{
            kit::{arguments, refusal},
            log::Log,
        },
        closing::Closed,
        model::{Invoice, InvoicePage, NewInvoice},
        refusal::Refusal,
    },
    Session, close, create, pay, reading, summarise,
};

/// What a tool does to the books, as the hints of its annotations say it.
enum Effect {
    /// Nothing.
    Reads,
    /// It adds something, and once more if it is called once more.
    Adds,
    /// It does something that cannot be undone. Calling it again does nothing more.
    Settles,
}

/// All tools, as they are listed.
pub(in super::super) fn definitions() -> Vec<Tool> {
    vec![
        tool("list_accounts", "List the accounts", Effect::Reads, "List the company's accounts with their balances.")
            .with_input_schema::<reading::NoArguments>()
            .with_output_schema::<reading::Accounts>(),
        tool(
            "list_invoices",
            "List invoices",
            Effect::Reads,
            "List invoices, the newest first. Filter by status, account, kind, and month of issue; `next` is the cursor of \
             the next page.",
        )
        .with_input_schema::<reading::ListArguments>()
        .with_output_schema::<InvoicePage>(),
        tool("get_invoice", "Read an invoice", Effect::Reads, "Read one invoice by its number.")
            .with_input_schema::<reading::InvoiceArguments>()
            .with_output_schema::<Invoice>(),
        tool(
            "create_invoice",
            "Create an invoice",
            Effect::Adds,
            "Add an invoice to the books, issued today: a sale to a customer, or a purchase from a supplier.",
        )
        .with_input_schema::<NewInvoice>()
        .with_output_schema::<Invoice>(),
        tool(
            "pay_invoice",
            "Pay an invoice",
            Effect::Settles,
            "Pay a purchase from its account, or book that a customer has paid a sale. The user is asked before a payment \
             above 1,000.00 in the account's currency.",
        )
        .with_input_schema::<reading::InvoiceArguments>()
        .with_output_schema::<pay::Payment>(),
        tool(
            "close_month",
            "Close a month",
            Effect::Settles,
            "Close a month that is over: its figures are added up and do not change any more. Reports progress after each \
             step; cancelling it leaves the month open.",
        )
        .with_input_schema::<close::Arguments>()
        .with_output_schema::<Closed>(),
        tool(
            "summarise_month",
            "Summarise a month",
            Effect::Reads,
            "Say in a few sentences what a month brought. The client's model writes them if the client lets it.",
        )
        .with_input_schema::<summarise::Arguments>()
        .with_output_schema::<summarise::Summary>(),
    ]
}

/// Nothing of this leaves the books of the company.
fn tool(name: &'static str, title: &'static str, effect: Effect, description: &'static str) -> Tool {
    let (reads, destroys, idempotent) = match effect {
        Effect::Reads => (true, false, true),
        Effect::Adds => (false, false, false),
        Effect::Settles => (false, true, true),
    };
    let hints = ToolAnnotations::with_title(title)
        .read_only(reads)
        .destructive(destroys)
        .idempotent(idempotent)
        .open_world(false);
    Tool::new(name, description, serde_json::Map::new()).with_title(title).with_annotations(hints)
}

/// Runs a tool.
///
/// # Errors
///
/// There is no tool of that name, the state of a question does not fit, or the call was cancelled. Arguments that do
/// not fit and what the books refuse are the tool's result, so that a model can see what was wrong and what to do.
pub(super) async fn call(
    session: &Session,
    request: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let name = request.name.clone();
    let ledger = &session.company.ledger;
    let log = Log::new(context, &session.level, &name);
    // Takes the arguments as whatever the tool takes, or says what is wrong with them.
    macro_rules! given {
        () => {
            match arguments(&request) {
                Ok(arguments) => arguments,
                Err(wrong) => return Ok(refusal(wrong).into()),
            }
        };
    }
    // What takes its time is boxed, so that a short call does not carry the room for it.
    match name.as_ref() {
        "list_accounts" => reading::accounts(ledger, given!()),
        "list_invoices" => reading::invoices(ledger, given!()),
        "get_invoice" => reading::invoice(ledger, given!()),
        "create_invoice" => Box::pin(create::run(ledger, given!(), context, &log)).await,
        "pay_invoice" => {
            let arguments = given!();
            Box::pin(pay::run(session, arguments, &request, context, &log)).await
        }
        "close_month" => Box::pin(close::run(ledger, given!(), context, &log)).await,
        "summarise_month" => {
            let arguments = given!();
            Box::pin(summarise::run(session, arguments, &request, context, &log)).await
        }
        _ => Err(ErrorData::invalid_params(format!("unknown tool: `{name}`"), None)),
    }
}

/// What the books refuse, in words that a model can act on.
pub(super) fn refused(refused: &Refusal) -> CallToolResult {
    let advice = match refused {
        Refusal::NoInvoice(_) => "; `list_invoices` shows the numbers",
        Refusal::NoMonth(_) => "; `list_invoices` shows when invoices were issued",
        Refusal::NotEnough { .. } => "; leave it open until there is more on it, and tell the user",
        Refusal::MonthClosed { .. } => "; `summarise_month` shows its figures",
        _ => "",
    };
    refusal(format!("{refused}{advice}"))
}
