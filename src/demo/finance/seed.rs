//! The books as they are when the demo starts: Ponte Instruments, makers of measuring instruments, in 2026.

use std::collections::BTreeMap;

use super::{
    calendar::{Date, Month},
    ledger::Record,
    model::{
        AccountId::{self, Cash, Dollar, Main, Pound},
        InvoiceId,
        Kind::{self, Purchase, Sale},
    },
};

const YEAR: u16 = 2026;

/// A day of the year: month and day.
type Day = (u8, u8);

/// Kind, account, day of issue, days to pay, day of payment, cents, counterparty, description.
type Row = (Kind, AccountId, Day, u16, Option<Day>, i64, &'static str, &'static str);

/// The months that are closed already, and when they were.
pub(super) const CLOSED: [(Month, Date); 2] =
    [(Month::new(YEAR, 6), Date::new(YEAR, 7, 8)), (Month::new(YEAR, 7), Date::new(YEAR, 8, 7))];

/// What is on each account, in cents.
pub(super) fn balances() -> BTreeMap<AccountId, i64> {
    BTreeMap::from([(Main, 4_318_055), (Dollar, 1_194_000), (Pound, 612_540), (Cash, 31_280)])
}

/// The invoices, numbered in the order in which they were issued.
pub(super) fn invoices() -> BTreeMap<InvoiceId, Record> {
    let day = |(month, day): Day| Date::new(YEAR, month, day);
    let numbered = (1..).zip(ROWS);
    let invoices = numbered.map(|(number, (kind, account, issued, terms, paid, cents, counterparty, description))| {
        let record = Record {
            kind,
            counterparty: counterparty.to_owned(),
            description: description.to_owned(),
            account,
            cents,
            issued: day(issued),
            due: day(issued).plus_days(terms),
            paid: paid.map(day),
        };
        (InvoiceId { year: YEAR, number }, record)
    });
    invoices.collect()
}

#[rustfmt::skip]
const ROWS: [Row; 43] = [
    (Sale, Main, (6, 2), 30, Some((6, 24)), 124_900, "Nordlicht Optik GmbH", "20 laser levels L2"),
    (Purchase, Main, (6, 3), 14, Some((6, 15)), 318_000, "Fonderia Murano S.r.l.", "Brass housings, 400 pieces"),
    (Sale, Dollar, (6, 5), 45, Some((7, 14)), 489_500, "Harbor & Pine Survey Co.", "Theodolite T1 with tripod"),
    (Purchase, Cash, (6, 9), 0, Some((6, 9)), 4_680, "Caffè Rialto", "Coffee and milk for June"),
    (Sale, Pound, (6, 11), 30, Some((7, 8)), 236_000, "Marlow Bridgeworks Ltd", "Crack width gauges, set of 12"),
    (Purchase, Main, (6, 16), 30, Some((7, 13)), 189_050, "Strom Veneto S.p.A.", "Electricity, workshop, second quarter"),
    (Sale, Main, (6, 22), 30, Some((7, 20)), 78_250, "Atelier Kowalczyk", "Calibration of 5 laser levels"),
    (Purchase, Main, (6, 26), 30, Some((7, 24)), 1_240_000, "Immobiliare San Polo", "Rent of the workshop, third quarter"),
    (Sale, Main, (7, 1), 30, Some((7, 28)), 312_400, "Tiefbau Lindqvist AB", "Inclinometers, 8 pieces"),
    (Purchase, Dollar, (7, 3), 30, Some((7, 30)), 98_000, "Cascade Sensors Inc.", "MEMS sensors, 200 pieces"),
    (Sale, Pound, (7, 7), 30, Some((8, 4)), 54_000, "Thames Heritage Trust", "Repair of a plumb line recorder"),
    (Purchase, Main, (7, 10), 14, Some((7, 22)), 67_320, "Trasporti Lagunari", "Freight, July"),
    (Sale, Main, (7, 16), 30, Some((8, 12)), 159_900, "Nordlicht Optik GmbH", "Laser levels L2, second batch"),
    (Purchase, Cash, (7, 21), 0, Some((7, 21)), 11_240, "Ferramenta Zattere", "Screws and small tools"),
    (Sale, Dollar, (7, 27), 45, None, 275_000, "Harbor & Pine Survey Co.", "Training for six surveyors, two days"),
    (Purchase, Main, (8, 3), 30, Some((8, 31)), 45_900, "Studio Contabile Bragadin", "Bookkeeping, July"),
    (Sale, Main, (8, 6), 30, None, 368_000, "Cantieri Adriatici S.p.A.", "Strain gauges for the quay, 40 pieces"),
    (Purchase, Main, (8, 10), 14, Some((8, 20)), 142_600, "Fonderia Murano S.r.l.", "Aluminium plates"),
    (Sale, Pound, (8, 13), 30, Some((9, 9)), 88_000, "Marlow Bridgeworks Ltd", "Crack width gauges, spare parts"),
    (Purchase, Dollar, (8, 19), 30, Some((9, 14)), 212_500, "Cascade Sensors Inc.", "MEMS sensors, 450 pieces"),
    (Sale, Main, (8, 25), 30, None, 64_750, "Atelier Kowalczyk", "Calibration of 4 laser levels"),
    (Purchase, Main, (8, 28), 30, Some((9, 24)), 38_010, "Strom Veneto S.p.A.", "Electricity, office"),
    (Sale, Main, (9, 1), 30, Some((9, 29)), 527_000, "Tiefbau Lindqvist AB", "Inclinometers with radio, 10 pieces"),
    (Purchase, Main, (9, 2), 30, Some((10, 1)), 45_900, "Studio Contabile Bragadin", "Bookkeeping, August"),
    (Sale, Dollar, (9, 8), 45, Some((10, 20)), 129_500, "Cedar Rapids Rail Authority", "Track gauge, two sets"),
    (Purchase, Main, (9, 11), 14, Some((9, 24)), 71_080, "Trasporti Lagunari", "Freight, September"),
    (Sale, Main, (9, 17), 30, None, 219_900, "Nordlicht Optik GmbH", "Laser levels L3, pilot series"),
    (Purchase, Main, (9, 25), 30, Some((10, 23)), 1_240_000, "Immobiliare San Polo", "Rent of the workshop, fourth quarter"),
    (Sale, Pound, (9, 29), 30, Some((10, 27)), 147_300, "Thames Heritage Trust", "Tilt sensors for a bell tower"),
    (Purchase, Cash, (10, 5), 30, None, 42_000, "Ferramenta Zattere", "Workbench vice"),
    (Sale, Main, (10, 7), 30, Some((11, 5)), 96_400, "Cantieri Adriatici S.p.A.", "Strain gauges, replacements"),
    (Purchase, Main, (10, 9), 30, None, 263_500, "Fonderia Murano S.r.l.", "Brass housings, 320 pieces"),
    (Sale, Dollar, (10, 13), 45, None, 615_000, "Harbor & Pine Survey Co.", "Theodolite T2 with data logger"),
    (Purchase, Dollar, (10, 16), 30, None, 87_400, "Cascade Sensors Inc.", "Evaluation boards"),
    (Sale, Main, (10, 21), 30, None, 45_000, "Atelier Kowalczyk", "Calibration of 3 laser levels"),
    (Purchase, Main, (10, 23), 30, None, 189_050, "Strom Veneto S.p.A.", "Electricity, workshop, third quarter"),
    (Sale, Pound, (10, 28), 30, None, 310_500, "Marlow Bridgeworks Ltd", "Monitoring of a footbridge, first instalment"),
    (Purchase, Main, (11, 2), 30, None, 45_900, "Studio Contabile Bragadin", "Bookkeeping, October"),
    (Sale, Main, (11, 5), 30, None, 402_000, "Tiefbau Lindqvist AB", "Inclinometers with radio, 8 pieces"),
    (Purchase, Main, (11, 9), 14, None, 68_400, "Trasporti Lagunari", "Freight, November"),
    (Sale, Dollar, (11, 12), 45, None, 189_900, "Cedar Rapids Rail Authority", "Track gauge, service contract"),
    (Purchase, Pound, (11, 16), 30, None, 52_000, "Albion Type & Print", "Catalogue, English edition"),
    (Sale, Main, (11, 18), 30, None, 133_700, "Nordlicht Optik GmbH", "Laser levels L2, third batch"),
];
