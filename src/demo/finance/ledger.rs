//! The books, shared by everybody who uses the demo: REST clients, MCP clients, and people in a browser.
//!
//! There is one lock, it is held for a few lines at a time and never while something is awaited. Everything here answers
//! at once; what takes time, such as closing a month, is a row of such steps with the waiting in between.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    calendar::{Clock, Date, Month},
    changes::{Announcer, Change, Changes},
    model::{
        Account, AccountId, Filter, Invoice, InvoiceId, InvoicePage, Kind, MAX_CENTS, MAX_TERMS, Money, MonthFigures,
        NewInvoice, Status,
    },
    refusal::Refusal,
    seed, sums,
};

/// How many invoices there may be. Nothing is ever deleted, so that the demo is full then, until it is started again.
pub(super) const MAX_INVOICES: usize = 1_000;

/// Payments above this many cents, in whichever currency, need somebody's word.
pub(super) const CONFIRM_ABOVE: i64 = 100_000;

/// The longest name of a counterparty, and the longest description, in characters.
const MAX_NAME: usize = 100;
const MAX_DESCRIPTION: usize = 500;

/// The books of the company. Clones are the same books.
#[derive(Clone)]
pub(crate) struct Ledger {
    clock: Clock,
    books: Arc<Mutex<Books>>,
    announcer: Arc<Announcer>,
}

struct Books {
    /// What is on each account, in cents.
    balances: BTreeMap<AccountId, i64>,
    invoices: BTreeMap<InvoiceId, Record>,
    /// The figures of months that are closed.
    closed: BTreeMap<Month, MonthFigures>,
    /// The months that somebody is closing at this moment.
    closing: BTreeSet<Month>,
}

/// An invoice as the books have it: without what follows from the day.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) counterparty: String,
    pub(super) description: String,
    pub(super) account: AccountId,
    pub(super) cents: i64,
    pub(super) issued: Date,
    pub(super) due: Date,
    pub(super) paid: Option<Date>,
}

// === impl Ledger ===

impl Ledger {
    /// The books of a small company by the autumn of 2026.
    pub(crate) fn new(clock: Clock) -> Self {
        let books = Books {
            balances: seed::balances(),
            invoices: seed::invoices(),
            closed: BTreeMap::new(),
            closing: BTreeSet::new(),
        };
        let ledger = Self { clock, books: Arc::new(Mutex::new(books)), announcer: Arc::default() };
        for (month, day) in seed::CLOSED {
            let mut books = ledger.books();
            let figures = MonthFigures { closed: Some(day), ..books.figures(month, day) };
            books.closed.insert(month, figures);
        }
        ledger
    }

    /// Which day it is.
    pub(super) fn today(&self) -> Date {
        (self.clock)()
    }

    /// What changes from now on.
    pub(super) fn changes(&self) -> Changes {
        self.announcer.changes()
    }

    /// All accounts.
    pub(super) fn accounts(&self) -> Vec<Account> {
        let books = self.books();
        AccountId::ALL.into_iter().map(|id| books.account(id)).collect()
    }

    /// One account.
    pub(super) fn account(&self, id: AccountId) -> Account {
        self.books().account(id)
    }

    /// One invoice.
    ///
    /// # Errors
    /// There is none of that number.
    pub(super) fn invoice(&self, id: InvoiceId) -> Result<Invoice, Refusal> {
        let today = self.today();
        let books = self.books();
        let record = books.invoices.get(&id).ok_or(Refusal::NoInvoice(id))?;
        Ok(record.shown(id, today))
    }

    /// The invoices that fit, the newest first: at most `limit`, and only those before `cursor` in the list.
    pub(super) fn invoices(&self, filter: Filter, cursor: Option<InvoiceId>, limit: usize) -> InvoicePage {
        let today = self.today();
        let books = self.books();
        let end = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let mut fitting = books.invoices.range((Bound::Unbounded, end)).rev().filter(|(_, r)| r.fits(filter, today));
        let invoices: Vec<_> = fitting.by_ref().take(limit).map(|(id, record)| record.shown(*id, today)).collect();
        let next = fitting.next().and(invoices.last()).map(|last| last.id);
        InvoicePage { invoices, next }
    }

    /// The numbers of all invoices, in order, after `after`.
    pub(super) fn invoice_ids(&self, after: Option<InvoiceId>) -> Vec<InvoiceId> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.books().invoices.range((start, Bound::Unbounded)).map(|(id, _)| *id).collect()
    }

    /// The months in which invoices were issued.
    pub(super) fn months(&self) -> Vec<Month> {
        let months: BTreeSet<_> = self.books().invoices.values().map(|record| record.issued.month()).collect();
        months.into_iter().collect()
    }

    /// Adds an invoice, issued today.
    ///
    /// # Errors
    /// Something in it is out of bounds, or the books are full.
    pub(super) fn create(&self, new: NewInvoice) -> Result<Invoice, Refusal> {
        check_text("counterparty", &new.counterparty, MAX_NAME)?;
        check_text("description", &new.description, MAX_DESCRIPTION)?;
        if !(1..=MAX_CENTS).contains(&new.amount_cents) {
            return Err(Refusal::invalid("amount_cents", format!("must be between 1 and {MAX_CENTS}")));
        }
        if new.terms_days > MAX_TERMS {
            return Err(Refusal::invalid("terms_days", format!("must be between 0 and {MAX_TERMS}")));
        }
        let today = self.today();
        let mut books = self.books();
        if books.invoices.len() >= MAX_INVOICES {
            return Err(Refusal::Full);
        }
        let year = today.year();
        let last = books.invoices.keys().rev().find(|id| id.year == year);
        let id = InvoiceId { year, number: last.map_or(0, |id| id.number) + 1 };
        let record = Record {
            kind: new.kind,
            counterparty: new.counterparty,
            description: new.description,
            account: new.account,
            cents: new.amount_cents,
            issued: today,
            due: today.plus_days(new.terms_days),
            paid: None,
        };
        let invoice = record.shown(id, today);
        books.invoices.insert(id, record);
        self.announcer.announce(Change::Created(id));
        Ok(invoice)
    }

    /// Pays an invoice: from its account if it is a purchase, into it if it is a sale. `confirmed` says that somebody has
    /// agreed, which payments above [`CONFIRM_ABOVE`] need.
    ///
    /// # Errors
    /// There is no such invoice, it is paid already, there is not enough on the account, or, last of all, nobody has agreed.
    pub(super) fn pay(&self, id: InvoiceId, confirmed: bool) -> Result<Invoice, Refusal> {
        let today = self.today();
        let mut books = self.books();
        let Books { balances, invoices, .. } = &mut *books;
        let record = invoices.get_mut(&id).ok_or(Refusal::NoInvoice(id))?;
        if let Some(on) = record.paid {
            return Err(Refusal::AlreadyPaid { id, on });
        }
        let balance = balances.entry(record.account).or_default();
        let after = match record.kind {
            Kind::Sale => *balance + record.cents,
            Kind::Purchase => *balance - record.cents,
        };
        if after < 0 {
            let balance = Money { cents: *balance, currency: record.account.currency() };
            return Err(Refusal::NotEnough { account: record.account, balance, amount: record.amount() });
        }
        if record.needs_confirmation() && !confirmed {
            return Err(Refusal::NotConfirmed { id, amount: record.amount() });
        }
        *balance = after;
        record.paid = Some(today);
        let invoice = record.shown(id, today);
        self.announcer.announce(Change::Paid(id));
        Ok(invoice)
    }

    /// What a month brought.
    ///
    /// # Errors
    /// No invoice was issued in it.
    pub(super) fn month(&self, month: Month) -> Result<MonthFigures, Refusal> {
        let today = self.today();
        let books = self.books();
        if let Some(figures) = books.closed.get(&month) {
            return Ok(figures.clone());
        }
        let figures = books.figures(month, today);
        if figures.invoices == 0 { Err(Refusal::NoMonth(month)) } else { Ok(figures) }
    }

    /// Marks a month as being closed, and gives its invoices as they are now.
    ///
    /// # Errors
    /// It is not over, it is closed, somebody else is closing it, or no invoice was issued in it.
    pub(super) fn start_closing(&self, month: Month) -> Result<Vec<(InvoiceId, Record)>, Refusal> {
        let today = self.today();
        let mut books = self.books();
        if let Some(figures) = books.closed.get(&month) {
            return Err(Refusal::MonthClosed { month, on: figures.closed.unwrap_or(today) });
        }
        if month >= today.month() {
            return Err(Refusal::MonthNotOver(month));
        }
        let records = books.issued_in(month).map(|(id, record)| (*id, record.clone())).collect::<Vec<_>>();
        if records.is_empty() {
            return Err(Refusal::NoMonth(month));
        }
        if !books.closing.insert(month) {
            return Err(Refusal::MonthBeingClosed(month));
        }
        Ok(records)
    }

    /// Ends the closing of a month: with its figures if it is closed now, without if it stays open.
    pub(super) fn end_closing(&self, month: Month, figures: Option<MonthFigures>) {
        let mut books = self.books();
        books.closing.remove(&month);
        if let Some(figures) = figures {
            books.closed.insert(month, figures);
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Nothing that is done under the lock can panic half-way, so that what is there is whole.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Books ===

impl Books {
    fn account(&self, id: AccountId) -> Account {
        let cents = self.balances.get(&id).copied().unwrap_or_default();
        Account { id, title: id.title(), balance: Money { cents, currency: id.currency() } }
    }

    fn issued_in(&self, month: Month) -> impl Iterator<Item = (&InvoiceId, &Record)> {
        self.invoices.iter().filter(move |(_, record)| record.issued.month() == month)
    }

    fn figures(&self, month: Month, today: Date) -> MonthFigures {
        sums::figures(month, self.issued_in(month).map(|(_, record)| record), today)
    }
}

// === impl Record ===

impl Record {
    /// What had become of it by the end of that day.
    pub(super) fn status(&self, today: Date) -> Status {
        match self.paid {
            Some(on) if on <= today => Status::Paid,
            _ if today > self.due => Status::Overdue,
            _ => Status::Open,
        }
    }

    fn amount(&self) -> Money {
        Money { cents: self.cents, currency: self.account.currency() }
    }

    fn needs_confirmation(&self) -> bool {
        self.cents > CONFIRM_ABOVE
    }

    fn fits(&self, filter: Filter, today: Date) -> bool {
        filter.kind.is_none_or(|kind| kind == self.kind)
            && filter.status.is_none_or(|status| status == self.status(today))
            && filter.account.is_none_or(|account| account == self.account)
            && filter.month.is_none_or(|month| month == self.issued.month())
    }

    fn shown(&self, id: InvoiceId, today: Date) -> Invoice {
        Invoice {
            id,
            kind: self.kind,
            counterparty: self.counterparty.clone(),
            description: self.description.clone(),
            account: self.account,
            amount: self.amount(),
            issued: self.issued,
            due: self.due,
            status: self.status(today),
            paid: self.paid,
            uri: id.uri(),
        }
    }
}

/// Texts do not begin with a space and have no control characters, which could pass for something else in a terminal or a
/// log. The schemas say the same by a pattern.
fn check_text(field: &'static str, text: &str, longest: usize) -> Result<(), Refusal> {
    // A text of more bytes than that has more characters, too, and is not counted.
    let characters = if text.len() > longest * 4 { usize::MAX } else { text.chars().count() };
    if !(1..=longest).contains(&characters) {
        return Err(Refusal::invalid(field, format!("must have between 1 and {longest} characters")));
    }
    if text.starts_with(' ') || text.chars().any(|c| c.is_control()) {
        return Err(Refusal::invalid(field, "must not begin with a space, and have no control characters"));
    }
    Ok(())
}
