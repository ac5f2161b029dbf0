//! Adding up a month.

use super::{
    calendar::{Date, Month},
    ledger::Record,
    model::{Currency, Kind, MonthFigures, Status, Sums},
};

/// The figures of the invoices of a month.
///
/// The sums cannot overflow: there are at most a thousand invoices of a million each.
pub(super) fn figures<'a>(month: Month, records: impl Iterator<Item = &'a Record>, today: Date) -> MonthFigures {
    let mut figures = MonthFigures { month, invoices: 0, unpaid: 0, overdue: 0, sums: Vec::new(), closed: None };
    for record in records {
        let status = record.status(today);
        figures.invoices += 1;
        figures.unpaid += usize::from(status != Status::Paid);
        figures.overdue += usize::from(status == Status::Overdue);
        let sums = sums_in(&mut figures.sums, record.account.currency());
        let unpaid = if status == Status::Paid { 0 } else { record.cents };
        match record.kind {
            Kind::Sale => {
                sums.sales_cents += record.cents;
                sums.unpaid_sales_cents += unpaid;
            }
            Kind::Purchase => {
                sums.purchases_cents += record.cents;
                sums.unpaid_purchases_cents += unpaid;
            }
        }
    }
    figures.sums.sort_by_key(|sums| sums.currency);
    figures
}

fn sums_in(all: &mut Vec<Sums>, currency: Currency) -> &mut Sums {
    let at = all.iter().position(|sums| sums.currency == currency).unwrap_or(all.len());
    if at == all.len() {
        all.push(Sums {
            currency,
            sales_cents: 0,
            purchases_cents: 0,
            unpaid_sales_cents: 0,
            unpaid_purchases_cents: 0,
        });
    }
    &mut all[at]
}
