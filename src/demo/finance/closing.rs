//! Closing a month: a row of steps, so that it can be watched, and given up before the last of them.

use rmcp::schemars::{self, JsonSchema};
use serde::Serialize;

use super::{
    calendar::Month,
    ledger::{Ledger, Record},
    model::{InvoiceId, Kind, MonthFigures, Status},
    refusal::Refusal,
    sums,
};

/// How many steps there are.
pub(super) const STEPS: usize = 5;

/// A month that is being closed. Dropping it before the end leaves the month open, as if nothing had been done.
pub(super) struct Closing {
    ledger: Ledger,
    month: Month,
    /// The invoices as they were at the beginning: all steps are about the same.
    records: Vec<(InvoiceId, Record)>,
    figures: Option<MonthFigures>,
    carried_over: Vec<InvoiceId>,
    done: Vec<StepDone>,
    ended: bool,
}

/// A step that was taken.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct StepDone {
    /// Its name.
    pub(super) step: &'static str,
    /// What came of it.
    pub(super) result: String,
}

/// What closing a month came to.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Closed {
    /// The final figures.
    pub(super) figures: MonthFigures,
    /// The invoices that are not paid and have to be watched in the months after.
    pub(super) carried_over: Vec<InvoiceId>,
    /// The steps that were taken.
    pub(super) steps: Vec<StepDone>,
}

impl Closing {
    /// Begins to close a month.
    ///
    /// # Errors
    /// It cannot be closed, or not now.
    pub(super) fn start(ledger: &Ledger, month: Month) -> Result<Self, Refusal> {
        let records = ledger.start_closing(month)?;
        let ledger = ledger.clone();
        let (carried_over, done) = (Vec::new(), Vec::with_capacity(STEPS));
        Ok(Self { ledger, month, records, figures: None, carried_over, done, ended: false })
    }

    /// Takes the next step, and says what came of it. `None` when all of them are taken.
    pub(super) fn advance(&mut self) -> Option<&StepDone> {
        let today = self.ledger.today();
        let (step, result) = match self.done.len() {
            0 => ("freeze", format!("{} invoices of {}", self.records.len(), self.month)),
            1 => {
                let sales = self.records.iter().filter(|(_, record)| record.kind == Kind::Sale).count();
                ("sort", format!("{sales} sales and {} purchases", self.records.len() - sales))
            }
            2 => {
                let figures = sums::figures(self.month, self.records.iter().map(|(_, record)| record), today);
                let count = figures.sums.len();
                self.figures = Some(figures);
                ("add up", format!("sums in {count} {}", if count == 1 { "currency" } else { "currencies" }))
            }
            3 => {
                let unpaid = self.records.iter().filter(|(_, record)| record.status(today) != Status::Paid);
                self.carried_over = unpaid.map(|(id, _)| *id).collect();
                ("carry over", format!("{} unpaid invoices", self.carried_over.len()))
            }
            4 => {
                if let Some(figures) = &mut self.figures {
                    figures.closed = Some(today);
                }
                self.ledger.end_closing(self.month, self.figures.clone());
                self.ended = true;
                ("close", format!("{} is closed", self.month))
            }
            _ => return None,
        };
        self.done.push(StepDone { step, result });
        self.done.last()
    }

    /// What it came to; `None` before the last step.
    pub(super) fn closed(mut self) -> Option<Closed> {
        let figures = self.figures.take().filter(|_| self.ended)?;
        Some(Closed {
            figures,
            carried_over: std::mem::take(&mut self.carried_over),
            steps: std::mem::take(&mut self.done),
        })
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if !self.ended {
            self.ledger.end_closing(self.month, None);
        }
    }
}
