//! The books as ordinary REST routes, documented by their own code: `utoipa` reads the types and the comments, and
//! `utoipa_axum` adds each route to the router and to the OpenAPI document in one step.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
    routing::any,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    calendar::Month,
    ledger::Ledger,
    model::{Account, AccountId, Filter, Invoice, InvoiceId, InvoicePage, Kind, MonthFigures, NewInvoice, Status},
    refusal::Refusal,
};

mod extract;
mod problem;

use extract::{Body, OptionalBody, PathText, Query};
use problem::{Problem, ProblemType};

/// The longest body, in bytes. The largest invoice is much smaller.
const BODY: usize = 16 * 1024;

/// The page size of a list when none is asked for, and the largest.
const PAGE: u16 = 20;
const MAX_PAGE: u16 = 100;

/// The media type of problems, where an attribute takes nothing but a literal.
macro_rules! problems {
    () => {
        "application/problem+json"
    };
}

#[derive(OpenApi)]
#[openapi(tags((name = "ledger", description = "The books of a small company, the same that the MCP server `finance` has")))]
struct Document;

/// The routes under `/api/finance`, and their part of the OpenAPI document.
pub(super) fn router(ledger: Ledger) -> (Router, utoipa::openapi::OpenApi) {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(list_accounts))
        .routes(routes!(read_account))
        .routes(routes!(list_invoices, create_invoice))
        .routes(routes!(read_invoice))
        .routes(routes!(pay_invoice))
        .routes(routes!(read_month))
        .with_state(ledger)
        .split_for_parts();
    let router = router
        // What axum answers by itself would be plain text, or nothing at all.
        .method_not_allowed_fallback(async || {
            Problem::new(ProblemType::MethodNotAllowed, "see `Allow` for those it has")
        })
        .route("/api/finance", any(nothing))
        .route("/api/finance/", any(nothing))
        .route("/api/finance/{*rest}", any(nothing))
        .layer(DefaultBodyLimit::max(BODY));
    (router, document)
}

/// The answer at every path below that is not one of the routes.
async fn nothing() -> Problem {
    Problem::new(ProblemType::NotFound, "nothing is at this path")
}

/// All accounts.
#[derive(Serialize, ToSchema)]
#[schema(as = finance::Accounts)]
struct Accounts {
    /// The accounts, in the order of the books.
    accounts: Vec<Account>,
}

/// Which invoices are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InvoiceQuery {
    /// Only sales, or only purchases.
    #[param(inline)]
    kind: Option<Kind>,
    /// Only those that are open, overdue or paid.
    #[param(inline)]
    status: Option<Status>,
    /// Only those of this account.
    #[param(inline)]
    account: Option<AccountId>,
    /// Only those issued in this month.
    #[param(inline)]
    month: Option<Month>,
    /// How many at most.
    #[serde(default = "usual_page")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: u16,
    /// Where to go on: `next` of the page before.
    #[param(inline)]
    cursor: Option<InvoiceId>,
}

fn usual_page() -> u16 {
    PAGE
}

/// How to pay.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = finance::Payment)]
#[serde(deny_unknown_fields)]
struct Payment {
    /// Says that somebody has agreed. Payments above 1,000.00 in the account's currency are refused without it.
    #[serde(default)]
    confirm: bool,
}

/// List the accounts
///
/// All accounts of the company with what is on them.
#[utoipa::path(
    get, path = "/api/finance/accounts", tag = "ledger", operation_id = "ledger_list_accounts",
    responses((status = 200, description = "The accounts", body = Accounts)),
)]
async fn list_accounts(State(ledger): State<Ledger>) -> Json<Accounts> {
    Json(Accounts { accounts: ledger.accounts() })
}

/// Read an account
#[utoipa::path(
    get, path = "/api/finance/accounts/{account}", tag = "ledger", operation_id = "ledger_read_account",
    params(("account" = inline(AccountId), Path, description = "Its name")),
    responses(
        (status = 200, description = "The account", body = Account),
        (status = 404, description = "There is no such account", body = Problem, content_type = problems!()),
    ),
)]
async fn read_account(State(ledger): State<Ledger>, PathText(name): PathText) -> Result<Json<Account>, Problem> {
    let id = AccountId::ALL.into_iter().find(|id| id.name() == name).ok_or_else(|| {
        let names = AccountId::ALL.map(AccountId::name).join("`, `");
        Problem::new(ProblemType::AccountNotFound, format!("the accounts are `{names}`"))
    })?;
    Ok(Json(ledger.account(id)))
}

/// List invoices
///
/// The invoices that fit, the newest first, a page at a time.
#[utoipa::path(
    get, path = "/api/finance/invoices", tag = "ledger", operation_id = "ledger_list_invoices",
    params(InvoiceQuery),
    responses(
        (status = 200, description = "A page of invoices; `next` is there if there are more", body = InvoicePage),
        (status = 400, description = "A parameter is unknown, repeated or has a wrong value",
            body = Problem, content_type = problems!()),
    ),
)]
async fn list_invoices(
    State(ledger): State<Ledger>,
    Query(query): Query<InvoiceQuery>,
) -> Result<Json<InvoicePage>, Problem> {
    if !(1..=MAX_PAGE).contains(&query.limit) {
        let detail = format!("`limit` must be between 1 and {MAX_PAGE}");
        return Err(Problem::new(ProblemType::InvalidQuery, detail));
    }
    let InvoiceQuery { kind, status, account, month, limit, cursor } = query;
    Ok(Json(ledger.invoices(Filter { kind, status, account, month }, cursor, limit.into())))
}

/// Create an invoice
///
/// Adds an invoice to the books, issued today. Its number follows the last one.
#[utoipa::path(
    post, path = "/api/finance/invoices", tag = "ledger", operation_id = "ledger_create_invoice",
    request_body = NewInvoice,
    responses(
        (status = 201, description = "The invoice", body = Invoice,
            headers(("Location" = String, description = "The path of the invoice"))),
        (status = 400, description = "The body is not JSON", body = Problem, content_type = problems!()),
        (status = 409, description = "The books are full", body = Problem, content_type = problems!()),
        (status = 413, description = "The body is too large", body = Problem, content_type = problems!()),
        (status = 415, description = "The body does not say that it is JSON", body = Problem, content_type = problems!()),
        (status = 422, description = "A value is missing, unknown or out of bounds",
            body = Problem, content_type = problems!()),
    ),
)]
async fn create_invoice(
    State(ledger): State<Ledger>,
    Body(new): Body<NewInvoice>,
) -> Result<impl IntoResponse, Problem> {
    let invoice = ledger.create(new)?;
    let location = format!("/api/finance/invoices/{}", invoice.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(invoice)))
}

/// Read an invoice
#[utoipa::path(
    get, path = "/api/finance/invoices/{invoice}", tag = "ledger", operation_id = "ledger_read_invoice",
    params(("invoice" = inline(InvoiceId), Path)),
    responses(
        (status = 200, description = "The invoice", body = Invoice),
        (status = 404, description = "There is no such invoice", body = Problem, content_type = problems!()),
    ),
)]
async fn read_invoice(State(ledger): State<Ledger>, PathText(invoice): PathText) -> Result<Json<Invoice>, Problem> {
    Ok(Json(ledger.invoice(invoice_id(&invoice)?)?))
}

/// Pay an invoice
///
/// Pays a purchase from its account, or books that the customer has paid a sale. A payment above 1,000.00 in the
/// account's currency needs `"confirm": true`; otherwise the body may be left out.
#[utoipa::path(
    post, path = "/api/finance/invoices/{invoice}/pay", tag = "ledger", operation_id = "ledger_pay_invoice",
    params(("invoice" = inline(InvoiceId), Path)),
    request_body = Option<Payment>,
    responses(
        (status = 200, description = "The invoice, now paid", body = Invoice),
        (status = 400, description = "The body is not JSON", body = Problem, content_type = problems!()),
        (status = 404, description = "There is no such invoice", body = Problem, content_type = problems!()),
        (status = 409, description = "It is paid already, has to be confirmed, or the account has not enough on it; \
            `type` says which", body = Problem, content_type = problems!()),
        (status = 413, description = "The body is too large", body = Problem, content_type = problems!()),
        (status = 415, description = "The body does not say that it is JSON", body = Problem, content_type = problems!()),
        (status = 422, description = "A value is unknown or of the wrong type", body = Problem, content_type = problems!()),
    ),
)]
async fn pay_invoice(
    State(ledger): State<Ledger>,
    PathText(invoice): PathText,
    OptionalBody(payment): OptionalBody<Payment>,
) -> Result<Json<Invoice>, Problem> {
    Ok(Json(ledger.pay(invoice_id(&invoice)?, payment.unwrap_or_default().confirm)?))
}

/// Read a month
///
/// What a month brought. The figures of a closed month do not change any more; months are closed by the MCP tool
/// `close_month`.
#[utoipa::path(
    get, path = "/api/finance/months/{month}", tag = "ledger", operation_id = "ledger_read_month",
    params(("month" = inline(Month), Path)),
    responses(
        (status = 200, description = "The figures", body = MonthFigures),
        (status = 404, description = "No invoice was issued in that month", body = Problem, content_type = problems!()),
    ),
)]
async fn read_month(State(ledger): State<Ledger>, PathText(month): PathText) -> Result<Json<MonthFigures>, Problem> {
    let month = month.parse().map_err(|error| Problem::new(ProblemType::MonthNotFound, format!("{error}")))?;
    Ok(Json(ledger.month(month)?))
}

/// The invoice that a path names. What is no number of an invoice is not found, like a number that is not given out.
fn invoice_id(text: &str) -> Result<InvoiceId, Problem> {
    text.parse().map_err(|error| Problem::new(ProblemType::InvoiceNotFound, format!("{error}")))
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = match refusal {
            Refusal::NoInvoice(_) => ProblemType::InvoiceNotFound,
            Refusal::NoMonth(_) => ProblemType::MonthNotFound,
            Refusal::Invalid { .. } => ProblemType::InvalidInvoice,
            Refusal::Full => ProblemType::BooksFull,
            Refusal::AlreadyPaid { .. } => ProblemType::AlreadyPaid,
            Refusal::NotConfirmed { .. } => ProblemType::ConfirmationRequired,
            Refusal::NotEnough { .. } => ProblemType::InsufficientFunds,
            Refusal::MonthNotOver(_) | Refusal::MonthClosed { .. } | Refusal::MonthBeingClosed(_) => {
                ProblemType::MonthState
            }
        };
        let advice = match refusal {
            Refusal::NotConfirmed { .. } => "; send `{\"confirm\": true}` to confirm it",
            _ => "",
        };
        Self::new(problem, format!("{refusal}{advice}"))
    }
}
