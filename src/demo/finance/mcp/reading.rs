//! The tools that only look.

use rmcp::{
    ErrorData,
    model::CallToolResponse,
    schemars::{self, JsonSchema},
};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        super::kit::{refusal, structured, whole},
        calendar::Month,
        ledger::Ledger,
        model::{Account, AccountId, Filter, InvoiceId, Kind, Status},
    },
    tools::refused,
};

/// The largest page: lists are read by models, which pay for every line.
const MAX_PAGE: u16 = 50;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoArguments {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListArguments {
    /// Only sales, or only purchases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Kind")]
    kind: Option<Kind>,
    /// Only those that are open, overdue or paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Status")]
    status: Option<Status>,
    /// Only those of this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AccountId")]
    account: Option<AccountId>,
    /// Only those issued in this month, such as `2026-10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Month")]
    month: Option<Month>,
    /// How many to return at most.
    #[serde(default = "usual_page", deserialize_with = "whole")]
    #[schemars(range(min = 1, max = 50))]
    limit: u16,
    /// Where to go on: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "InvoiceId")]
    cursor: Option<InvoiceId>,
}

fn usual_page() -> u16 {
    20
}

/// One invoice.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InvoiceArguments {
    /// The number of the invoice, such as `2026-0017`.
    pub(super) invoice: InvoiceId,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Accounts {
    /// The accounts.
    accounts: Vec<Account>,
}

pub(super) fn accounts(ledger: &Ledger, NoArguments {}: NoArguments) -> Result<CallToolResponse, ErrorData> {
    structured(&Accounts { accounts: ledger.accounts() })
}

pub(super) fn invoices(ledger: &Ledger, arguments: ListArguments) -> Result<CallToolResponse, ErrorData> {
    let ListArguments { kind, status, account, month, limit, cursor } = arguments;
    if !(1..=MAX_PAGE).contains(&limit) {
        return Ok(refusal(format!("`limit` must be between 1 and {MAX_PAGE}")).into());
    }
    structured(&ledger.invoices(Filter { kind, status, account, month }, cursor, limit.into()))
}

pub(super) fn invoice(ledger: &Ledger, arguments: InvoiceArguments) -> Result<CallToolResponse, ErrorData> {
    match ledger.invoice(arguments.invoice) {
        Ok(invoice) => structured(&invoice),
        Err(reason) => Ok(refused(&reason).into()),
    }
}
