//! Days and months, and the clock that says which day it is.

use std::{
    fmt,
    str::FromStr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::text::text_type;

/// Says which day it is. Handed in, so that tests decide what is overdue.
pub(crate) type Clock = Arc<dyn Fn() -> Date + Send + Sync>;

/// The day by the clock of this machine, in UTC.
pub(super) fn system_clock() -> Clock {
    Arc::new(|| {
        // A clock before 1970 is as wrong as one that stands still there.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Date::from_days(i64::try_from(since.as_secs() / 86_400).unwrap_or_default())
    })
}

/// A day.
// The order of the fields is the order of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// A month of a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Month {
    year: u16,
    month: u8,
}

/// A text that is not a day or a month.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub(crate) struct NotInCalendar {
    text: String,
    wanted: &'static str,
}

// === impl Date ===

impl Date {
    /// The day in a month of a year.
    ///
    /// # Panics
    /// When there is no such day. It is for days that stand in the program.
    pub(crate) const fn new(year: u16, month: u8, day: u8) -> Self {
        assert!(month >= 1 && month <= 12 && day >= 1 && day <= Month { year, month }.days(), "there is no such day");
        Self { year, month, day }
    }

    /// Its year.
    pub(super) fn year(self) -> u16 {
        self.year
    }

    /// Its month.
    pub(super) fn month(self) -> Month {
        Month { year: self.year, month: self.month }
    }

    /// The day so many days later.
    pub(super) fn plus_days(self, days: u16) -> Self {
        Self::from_days(self.days() + i64::from(days))
    }

    /// Days since 1970-01-01, by the proleptic Gregorian calendar. Years begin in March here, so that the day that some
    /// years lack is the last of its year.
    fn days(self) -> i64 {
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = (i64::from(self.month) + 9) % 12;
        let of_year = (153 * from_march + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// The reverse of [`days`](Self::days).
    pub(super) fn from_days(days: i64) -> Self {
        let days = days + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        // Only a clock that is off by thousands of years leads out of these ranges.
        let year = u16::try_from(year.clamp(0, 9999)).unwrap_or_default();
        Self { year, month: u8::try_from(month).unwrap_or(1), day: u8::try_from(day).unwrap_or(1) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = NotInCalendar;

    fn from_str(text: &str) -> Result<Self, NotInCalendar> {
        let wanted = "a day such as `2026-03-31`";
        let wrong = || NotInCalendar { text: text.to_owned(), wanted };
        let (month, day) = text.rsplit_once('-').ok_or_else(wrong)?;
        let month: Month = month.parse().map_err(|_| wrong())?;
        let day = digits(day, 2).and_then(|day| u8::try_from(day).ok()).ok_or_else(wrong)?;
        let exists = (1..=month.days()).contains(&day);
        exists.then_some(Self { year: month.year, month: month.month, day }).ok_or_else(wrong)
    }
}

text_type!(
    Date,
    pattern: "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
    example: "2026-10-14",
    "A day: year, month and day"
);

// === impl Month ===

impl Month {
    /// The month of a year.
    ///
    /// # Panics
    /// When there is no such month. It is for months that stand in the program.
    pub(super) const fn new(year: u16, month: u8) -> Self {
        assert!(month >= 1 && month <= 12, "there is no such month");
        Self { year, month }
    }

    const fn days(self) -> u8 {
        let leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = NotInCalendar;

    fn from_str(text: &str) -> Result<Self, NotInCalendar> {
        let wrong = || NotInCalendar { text: text.to_owned(), wanted: "a month such as `2026-03`" };
        let (year, month) = text.split_once('-').ok_or_else(wrong)?;
        let year = digits(year, 4).ok_or_else(wrong)?;
        let month = digits(month, 2).filter(|month| (1..=12).contains(month)).ok_or_else(wrong)?;
        Ok(Self { year, month: u8::try_from(month).map_err(|_| wrong())? })
    }
}

text_type!(Month, pattern: "^[0-9]{4}-(0[1-9]|1[0-2])$", example: "2026-10", "A month: year and month");

/// A number of exactly so many decimal digits; `u16::from_str` would take a sign as well.
pub(super) fn digits(text: &str, count: usize) -> Option<u16> {
    let plain = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}
