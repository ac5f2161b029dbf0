//! The dated revisions of MCP and the two eras they fall into.

/// A protocol revision, in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2024-11-05: HTTP+SSE.
    R2024_11_05,
    /// 2025-03-26: streamable HTTP, batches.
    R2025_03_26,
    /// 2025-06-18: elicitation, structured results, the version header.
    R2025_06_18,
    /// 2025-11-25: URL elicitation, tasks, polling streams.
    R2025_11_25,
    /// 2026-07-28: stateless.
    R2026_07_28,
}

/// How a revision works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// Handshake and sessions, up to 2025-11-25.
    Legacy,
    /// Stateless, every request carries its envelope, from 2026-07-28.
    Modern,
}

impl Revision {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] =
        [Self::R2024_11_05, Self::R2025_03_26, Self::R2025_06_18, Self::R2025_11_25, Self::R2026_07_28];
    /// The newest revision of the legacy era.
    pub const NEWEST_LEGACY: Self = Self::R2025_11_25;
    /// The newest revision of the modern era.
    pub const NEWEST_MODERN: Self = Self::R2026_07_28;
    /// The modern revisions that are served, as `supportedVersions` lists them.
    pub const MODERN: [Self; 1] = [Self::R2026_07_28];

    /// The date that names it on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::R2024_11_05 => "2024-11-05",
            Self::R2025_03_26 => "2025-03-26",
            Self::R2025_06_18 => "2025-06-18",
            Self::R2025_11_25 => "2025-11-25",
            Self::R2026_07_28 => "2026-07-28",
        }
    }

    /// The revision that `date` names.
    #[must_use]
    pub fn parse(date: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == date)
    }

    /// Its era.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::R2026_07_28 => Era::Modern,
            _ => Era::Legacy,
        }
    }

    /// Whether it belongs to the modern era.
    #[must_use]
    pub const fn is_modern(self) -> bool {
        matches!(self.era(), Era::Modern)
    }

    /// What `initialize` answers to a client that asks for `requested` (2025-11-25, basic/lifecycle#version-negotiation):
    /// the same where it is a legacy revision, the oldest for anything older, the newest legacy one for the rest. A modern
    /// revision is never answered to `initialize`.
    #[must_use]
    pub fn negotiate(requested: &str) -> Self {
        match Self::parse(requested) {
            Some(revision) if !revision.is_modern() => revision,
            Some(_) => Self::NEWEST_LEGACY,
            None if requested < Self::R2024_11_05.as_str() => Self::R2024_11_05,
            None => Self::NEWEST_LEGACY,
        }
    }

    /// What a server meant that answered `initialize` with `answered`: a known legacy revision, or for an unknown string
    /// the newest legacy one that is not newer. `None` for a modern revision, which `initialize` must not name.
    #[must_use]
    pub fn answered(answered: &str) -> Option<Self> {
        match Self::parse(answered) {
            Some(revision) => (!revision.is_modern()).then_some(revision),
            None if answered >= Self::R2026_07_28.as_str() => None,
            None => Some(
                Self::ALL
                    .into_iter()
                    .rev()
                    .find(|r| !r.is_modern() && r.as_str() <= answered)
                    .unwrap_or(Self::R2024_11_05),
            ),
        }
    }
}

/// What comes of the revisions that a server lists when it is asked for a modern one (2026-07-28, server/discover and
/// basic/index#error-codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// A modern revision that is spoken here.
    Modern(Revision),
    /// Nothing modern that is spoken here, and no reason not to try the legacy era: there is a legacy revision beside those
    /// that nobody knows here, or nothing in the list is a revision.
    Legacy,
    /// Nothing but revisions that came after those that are known here.
    Newer,
}

impl Offer {
    /// Reads a list of revisions.
    pub fn of<'a>(dates: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut modern, mut legacy, mut newer) = (None, false, false);
        for date in dates {
            match Revision::parse(date) {
                Some(revision) if revision.is_modern() => modern = modern.max(Some(revision)),
                Some(_) => legacy = true,
                None if !is_date(date) => {}
                None if date > Revision::NEWEST_LEGACY.as_str() => newer = true,
                None => legacy = true,
            }
        }
        match modern {
            Some(revision) => Self::Modern(revision),
            None if newer && !legacy => Self::Newer,
            None => Self::Legacy,
        }
    }
}

/// Whether a text is a date as revisions are named by.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, b)| if matches!(at, 4 | 7) { b == b'-' } else { b.is_ascii_digit() })
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_list_of_revisions_offers() {
        let modern = Offer::Modern(Revision::R2026_07_28);
        for (dates, offer) in [
            (&["2026-07-28"][..], modern),
            (&["1999-01-01", "2026-07-28", "2099-01-01"], modern),
            (&["2025-11-25", "2026-07-28"], modern),
            (&["2025-11-25"], Offer::Legacy),
            (&["2027-01-01", "2025-03-26"], Offer::Legacy),
            (&["2024-10-07", "2027-01-01"], Offer::Legacy),
            (&["2027-01-01"], Offer::Newer),
            (&["2026-01-01", "DRAFT-2027-v1"], Offer::Newer),
            (&["DRAFT-2027-v1", "", "2027-1-01"], Offer::Legacy),
            (&[], Offer::Legacy),
        ] {
            assert_eq!(Offer::of(dates.iter().copied()), offer, "{dates:?}");
        }
    }
}
