//! Why the books refuse something, in words that a person or a model can act on.

use super::{
    calendar::{Date, Month},
    ledger::{CONFIRM_ABOVE, MAX_INVOICES},
    model::{AccountId, InvoiceId, Money},
};

/// Why something was not done. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Nobody wrote such an invoice.
    #[error("there is no invoice `{0}`")]
    NoInvoice(InvoiceId),
    /// Nothing happened in that month.
    #[error("no invoice was issued in {0}")]
    NoMonth(Month),
    /// A value is out of bounds.
    #[error("`{field}` {problem}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// What it should be.
        problem: String,
    },
    /// There are as many invoices as there may be.
    #[error("the books are full: they hold {MAX_INVOICES} invoices; restart the demo to begin again")]
    Full,
    /// It cannot be paid twice.
    #[error("invoice `{id}` was paid on {on}; there is nothing left to pay")]
    AlreadyPaid {
        /// The invoice.
        id: InvoiceId,
        /// When.
        on: Date,
    },
    /// Somebody has to agree first.
    #[error("paying invoice `{id}` moves {amount}, and payments above {} have to be confirmed", limit(*amount))]
    NotConfirmed {
        /// The invoice.
        id: InvoiceId,
        /// How much would be paid.
        amount: Money,
    },
    /// The account does not have it.
    #[error("the account `{}` has {balance}, which is less than {amount}", account.name())]
    NotEnough {
        /// The account.
        account: AccountId,
        /// What it has.
        balance: Money,
        /// What would be paid.
        amount: Money,
    },
    /// The month goes on.
    #[error("{0} is not over yet; only past months can be closed")]
    MonthNotOver(Month),
    /// It was closed before.
    #[error("{month} was closed on {on}")]
    MonthClosed {
        /// The month.
        month: Month,
        /// When.
        on: Date,
    },
    /// Two cannot close it at once.
    #[error("{0} is being closed at this moment; look again when that is done")]
    MonthBeingClosed(Month),
}

impl Refusal {
    pub(super) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { field, problem: problem.into() }
    }
}

/// Above what a payment in that currency has to be confirmed.
pub(super) fn limit(amount: Money) -> Money {
    Money { cents: CONFIRM_ABOVE, ..amount }
}
