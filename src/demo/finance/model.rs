//! What the company keeps books about. Each type is what both faces show: REST with its schema in the OpenAPI document,
//! and MCP with its schema in the tools.

use std::{fmt, str::FromStr};

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::kit::whole,
    calendar::{Date, Month, digits},
    text::text_type,
};

/// What the URI of an invoice begins with.
pub(super) const INVOICES: &str = "finance://invoices/";

/// The largest amount of an invoice, in cents: one million.
pub(super) const MAX_CENTS: i64 = 100_000_000;

/// The longest time to pay, in days.
pub(super) const MAX_TERMS: u16 = 120;

/// A currency.
// Here and below: no comments on variants, and inline, so that the schema is the plain `enum` that every client can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, JsonSchema)]
#[schema(as = finance::Currency)]
#[schemars(inline)]
pub(crate) enum Currency {
    #[serde(rename = "EUR")]
    Eur,
    #[serde(rename = "USD")]
    Usd,
    #[serde(rename = "GBP")]
    Gbp,
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eur => "EUR",
            Self::Usd => "USD",
            Self::Gbp => "GBP",
        })
    }
}

/// An amount of money. Cents are counted, never divided, so that nothing is ever rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, JsonSchema)]
#[schema(as = finance::Money)]
#[schemars(inline)]
pub(crate) struct Money {
    /// How much, in hundredths of the currency's unit.
    #[schema(example = 124_900)]
    pub(crate) cents: i64,
    /// In which currency.
    pub(crate) currency: Currency,
}

impl fmt::Display for Money {
    /// As people write it: `1,249.00 EUR`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cents < 0 {
            f.write_str("-")?;
        }
        let (units, cents) = (self.cents.unsigned_abs() / 100, self.cents.unsigned_abs() % 100);
        let units = units.to_string();
        for (at, digit) in units.char_indices() {
            if at > 0 && (units.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        write!(f, ".{cents:02} {}", self.currency)
    }
}

/// One of the company's accounts. They are fixed, like the rooms of a house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, JsonSchema)]
#[schema(as = finance::AccountId)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AccountId {
    Main,
    Dollar,
    Pound,
    Cash,
}

impl AccountId {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Main, Self::Dollar, Self::Pound, Self::Cash];

    /// The currency that it is kept in.
    pub(super) fn currency(self) -> Currency {
        match self {
            Self::Main | Self::Cash => Currency::Eur,
            Self::Dollar => Currency::Usd,
            Self::Pound => Currency::Gbp,
        }
    }

    /// What people call it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Main => "Main account",
            Self::Dollar => "Dollar account",
            Self::Pound => "Pound account",
            Self::Cash => "Petty cash",
        }
    }

    /// Its name in paths and in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Dollar => "dollar",
            Self::Pound => "pound",
            Self::Cash => "cash",
        }
    }
}

/// An account and what is on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema, JsonSchema)]
#[schema(as = finance::Account)]
#[schemars(inline)]
pub(crate) struct Account {
    /// Its name in paths and arguments.
    pub(super) id: AccountId,
    /// What people call it.
    pub(super) title: &'static str,
    /// What is on it now.
    pub(super) balance: Money,
}

/// The number of an invoice: the year it was issued in, and its place in that year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InvoiceId {
    pub(super) year: u16,
    pub(super) number: u16,
}

/// A text that is not the number of an invoice.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the number of an invoice, such as `2026-0017`")]
pub(crate) struct NotAnInvoiceId(String);

impl InvoiceId {
    /// Its URI as a resource.
    pub(super) fn uri(self) -> String {
        format!("{INVOICES}{self}")
    }

    /// The number that a resource's URI names.
    pub(super) fn from_uri(uri: &str) -> Option<Self> {
        uri.strip_prefix(INVOICES)?.parse().ok()
    }
}

impl fmt::Display for InvoiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:04}", self.year, self.number)
    }
}

impl FromStr for InvoiceId {
    type Err = NotAnInvoiceId;

    fn from_str(text: &str) -> Result<Self, NotAnInvoiceId> {
        let parts = text.split_once('-').and_then(|(year, number)| Some((digits(year, 4)?, digits(number, 4)?)));
        let (year, number) = parts.ok_or_else(|| NotAnInvoiceId(text.chars().take(40).collect()))?;
        Ok(Self { year, number })
    }
}

text_type!(
    InvoiceId,
    pattern: "^[0-9]{4}-[0-9]{4}$",
    example: "2026-0017",
    "The number of an invoice: the year it was issued in, and its place in that year"
);

/// Which way the money of an invoice goes: in for a sale, out for a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[schema(as = finance::Kind)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Sale,
    Purchase,
}

/// What has become of an invoice: overdue is open after the day it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[schema(as = finance::Status)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Open,
    Overdue,
    Paid,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Overdue => "overdue",
            Self::Paid => "paid",
        })
    }
}

/// An invoice: one that the company sent to a customer, or one that a supplier sent to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema, JsonSchema)]
#[schema(as = finance::Invoice)]
#[schemars(inline)]
pub(crate) struct Invoice {
    /// Its number.
    pub(super) id: InvoiceId,
    /// Whether the company sells or buys.
    pub(super) kind: Kind,
    /// The customer or the supplier.
    #[schema(example = "Nordlicht Optik GmbH")]
    pub(super) counterparty: String,
    /// What it is for.
    #[schema(example = "20 laser levels L2")]
    pub(super) description: String,
    /// The account that is paid into or from.
    pub(super) account: AccountId,
    /// What is to be paid.
    pub(super) amount: Money,
    /// The day it was issued.
    pub(super) issued: Date,
    /// The last day to pay it.
    pub(super) due: Date,
    /// What has become of it.
    pub(super) status: Status,
    /// The day it was paid; only there if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    #[schemars(with = "Date")]
    pub(super) paid: Option<Date>,
    /// Its URI as a resource of the MCP server.
    #[schema(example = "finance://invoices/2026-0017")]
    pub(super) uri: String,
}

/// An invoice to be added to the books. It is issued today.
#[derive(Clone, Debug, Deserialize, ToSchema, JsonSchema)]
#[schema(as = finance::NewInvoice)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvoice {
    /// Whether the company sells or buys.
    pub(super) kind: Kind,
    /// The customer or the supplier.
    #[schema(example = "Nordlicht Optik GmbH", min_length = 1, max_length = 100)]
    #[schema(pattern = "^[^\\x00-\\x20\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[^\x00-\x20\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"))]
    pub(super) counterparty: String,
    /// What it is for.
    #[schema(example = "20 laser levels L2", min_length = 1, max_length = 500)]
    #[schema(pattern = "^[^\\x00-\\x20\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$")]
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[^\x00-\x20\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"))]
    pub(super) description: String,
    /// The account that is paid into or from. It decides the currency.
    pub(super) account: AccountId,
    /// What is to be paid, in hundredths of the account's currency.
    #[serde(deserialize_with = "whole")]
    #[schema(example = 124_900, minimum = 1, maximum = 100_000_000)]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub(super) amount_cents: i64,
    /// How many days there are to pay it.
    #[serde(default = "usual_terms", deserialize_with = "whole")]
    #[schema(default = 30, minimum = 0, maximum = 120)]
    #[schemars(range(min = 0, max = 120))]
    pub(super) terms_days: u16,
}

fn usual_terms() -> u16 {
    30
}

/// Which invoices are wanted. What is left out does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter {
    pub(super) kind: Option<Kind>,
    pub(super) status: Option<Status>,
    pub(super) account: Option<AccountId>,
    /// The month they were issued in.
    pub(super) month: Option<Month>,
}

/// Some invoices of a list, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema, JsonSchema)]
#[schema(as = finance::InvoicePage)]
pub(crate) struct InvoicePage {
    /// The invoices.
    pub(super) invoices: Vec<Invoice>,
    /// Give this as `cursor` to get the rest; not there if this is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    #[schemars(with = "InvoiceId")]
    pub(super) next: Option<InvoiceId>,
}

/// What a month brought. Once the month is closed, this does not change any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema, JsonSchema)]
#[schema(as = finance::MonthFigures)]
#[schemars(inline)]
pub(crate) struct MonthFigures {
    /// The month.
    pub(super) month: Month,
    /// How many invoices were issued.
    pub(super) invoices: usize,
    /// How many of them are not paid, overdue ones included.
    pub(super) unpaid: usize,
    /// How many of them are overdue.
    pub(super) overdue: usize,
    /// The sums, for each currency that there was an invoice in.
    pub(super) sums: Vec<Sums>,
    /// The day the month was closed; not there if it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    #[schemars(with = "Date")]
    pub(super) closed: Option<Date>,
}

/// The sums of a month in one currency, all of them in cents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema, JsonSchema)]
#[schema(as = finance::Sums)]
#[schemars(inline)]
pub(crate) struct Sums {
    /// The currency.
    pub(super) currency: Currency,
    /// What was sold.
    pub(super) sales_cents: i64,
    /// What was bought.
    pub(super) purchases_cents: i64,
    /// What customers still have to pay.
    pub(super) unpaid_sales_cents: i64,
    /// What the company still has to pay.
    pub(super) unpaid_purchases_cents: i64,
}
