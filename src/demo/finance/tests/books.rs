//! The books themselves: the calendar, money, bounds, and word of changes.

use serde_json::json;

use super::{
    super::{
        calendar::{Date, Month},
        changes::{Change, News},
        ledger::MAX_INVOICES,
        model::{Currency, InvoiceId, Money, NewInvoice},
        refusal::Refusal,
    },
    Fixture,
};
use crate::demo::tests::within;

fn purchase() -> NewInvoice {
    serde_json::from_value(json!({
        "kind": "purchase", "counterparty": "Caffè Rialto", "description": "Coffee", "account": "cash", "amount_cents": 1,
    }))
    .expect("an invoice")
}

#[test]
fn days_are_counted_as_the_calendar_does() {
    for (from, days, to) in [
        (Date::new(2026, 11, 20), 30, "2026-12-20"),
        (Date::new(2026, 12, 31), 1, "2027-01-01"),
        (Date::new(2028, 2, 28), 1, "2028-02-29"),
        (Date::new(2100, 2, 28), 1, "2100-03-01"),
        (Date::new(2000, 2, 29), 366, "2001-03-01"),
        (Date::new(1999, 12, 31), 60, "2000-02-29"),
    ] {
        assert_eq!(from.plus_days(days).to_string(), to);
    }
    assert_eq!(Date::from_days(0).to_string(), "1970-01-01");
    assert_eq!(Date::from_days(20_777).to_string(), "2026-11-20");
    let (mut day, mut next) = (Date::new(1999, 12, 31), 0);
    while day < Date::new(2101, 1, 1) {
        let tomorrow = day.plus_days(1);
        assert!(tomorrow > day && tomorrow.to_string().parse::<Date>().expect("a day") == tomorrow);
        day = tomorrow;
        next += 1;
    }
    assert_eq!(next, 36_891);
    for wrong in ["2026-02-29", "2026-13-01", "2026-00-10", "2026-1-1", "2026-01-32", "2026-01", "", "+026-01-01"] {
        assert!(wrong.parse::<Date>().is_err(), "{wrong}");
    }
    assert_eq!("2026-02".parse::<Month>().expect("a month"), Month::new(2026, 2));
}

#[test]
fn money_is_written_as_people_do() {
    for (cents, text) in [
        (0, "0.00 EUR"),
        (5, "0.05 EUR"),
        (124_900, "1,249.00 EUR"),
        (-100_000_000, "-1,000,000.00 EUR"),
        (i64::MIN, "-92,233,720,368,547,758.08 EUR"),
    ] {
        assert_eq!(Money { cents, currency: Currency::Eur }.to_string(), text);
    }
}

#[test]
fn an_invoice_is_overdue_after_the_day_it_was_due() {
    let fixture = Fixture::new();
    let ledger = &fixture.finance.0.ledger;
    let status = || ledger.invoice(InvoiceId { year: 2026, number: 42 }).expect("an invoice").status.to_string();
    for (day, expected) in [(Date::new(2026, 12, 16), "open"), (Date::new(2026, 12, 17), "overdue")] {
        fixture.set_today(day);
        assert_eq!(status(), expected, "{day}");
    }
    ledger.pay(InvoiceId { year: 2026, number: 42 }, true).expect("it can be paid");
    assert_eq!(status(), "paid");
}

#[test]
fn numbers_begin_again_with_the_year() {
    let fixture = Fixture::new();
    let ledger = &fixture.finance.0.ledger;
    assert_eq!(ledger.create(purchase()).expect("an invoice").id.to_string(), "2026-0044");
    fixture.set_today(Date::new(2027, 1, 1));
    assert_eq!(ledger.create(purchase()).expect("an invoice").id.to_string(), "2027-0001");
    assert_eq!(ledger.create(purchase()).expect("an invoice").id.to_string(), "2027-0002");
}

#[test]
fn the_books_have_an_end() {
    let fixture = Fixture::new();
    let ledger = &fixture.finance.0.ledger;
    for _ in ledger.invoice_ids(None).len()..MAX_INVOICES {
        ledger.create(purchase()).expect("there is room");
    }
    let full = ledger.create(purchase()).expect_err("there is no room");
    assert!(matches!(full, Refusal::Full), "{full}");
    assert_eq!(ledger.invoice_ids(None).len(), MAX_INVOICES);
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_told_so() {
    let fixture = Fixture::new();
    let ledger = &fixture.finance.0.ledger;
    let (mut quick, mut slow) = (ledger.changes(), ledger.changes());
    let first = ledger.create(purchase()).expect("an invoice").id;
    assert_eq!(within(quick.next()).await, Some(News::Changes(vec![Change::Created(first)])));
    for _ in 0..256 {
        ledger.create(purchase()).expect("an invoice");
    }
    let Some(News::Changes(rest)) = within(quick.next()).await else { panic!("everything is kept") };
    assert_eq!(rest.len(), 256);
    assert!(slow.is_behind(&quick));
    assert_eq!(within(slow.next()).await, Some(News::Missed));
    let last = ledger.create(purchase()).expect("an invoice").id;
    assert_eq!(within(slow.next()).await, Some(News::Changes(vec![Change::Created(last)])), "it has caught up");
}
