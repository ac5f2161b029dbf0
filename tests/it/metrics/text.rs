//! A strict reader of OpenMetrics text, written against the specification (OpenMetrics 1.0.0) and not against the writer.

use std::collections::{BTreeMap, BTreeSet};

/// What was read: samples by name and labels.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
    pub(crate) families: BTreeMap<String, Family>,
}

/// A family as its comments describe it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) unit: Option<String>,
}

impl Scrape {
    /// Reads a scrape, and panics at the first thing that the specification does not allow.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        let body = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no `# EOF` at the end:\n{text}"));
        let mut current: Option<String> = None;
        for line in body.lines() {
            assert!(!line.is_empty() && line.trim() == line, "a line with spaces around it: {line:?}");
            if let Some(comment) = line.strip_prefix("# ") {
                let (what, rest) = comment.split_once(' ').expect(line);
                let (name, value) = rest.split_once(' ').expect(line);
                assert!(is_name(name), "{line}");
                if current.as_deref() != Some(name) {
                    assert!(!scrape.families.contains_key(name), "the family comes twice: {line}");
                    current = Some(name.to_owned());
                }
                let family = scrape.families.entry(name.to_owned()).or_default();
                let place = match what {
                    "HELP" => &mut family.help,
                    "TYPE" => &mut family.kind,
                    "UNIT" => family.unit.get_or_insert_default(),
                    _ => panic!("{line}"),
                };
                assert!(place.is_empty() && !value.is_empty(), "said twice: {line}");
                *place = value.to_owned();
            } else {
                let name = current.clone().unwrap_or_else(|| panic!("no family before {line}"));
                scrape.sample(&name, line);
            }
        }
        scrape.check();
        scrape
    }

    fn sample(&mut self, family: &str, line: &str) {
        let end = line.find(['{', ' ']).expect(line);
        let (name, rest) = line.split_at(end);
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} is not of {family}"));
        let allowed: &[&str] = match &*self.families[family].kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            kind => panic!("{family} is of an unknown type {kind:?}"),
        };
        assert!(allowed.contains(&suffix), "{line}: not a sample of this type");
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest, line),
            None => (BTreeMap::new(), rest),
        };
        let value = rest.strip_prefix(' ').expect(line);
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
        let before = self.samples.insert((name.to_owned(), labels), value);
        assert!(before.is_none(), "the sample comes twice: {line}");
    }

    fn check(&self) {
        for (name, family) in &self.families {
            assert!(!family.help.is_empty() && !family.kind.is_empty(), "{name} is not described");
            if let Some(unit) = &family.unit {
                assert!(name.ends_with(&format!("_{unit}")), "{name} does not end with its unit {unit}");
            }
            if family.kind == "histogram" {
                self.check_histogram(name);
            }
        }
        for ((name, labels), value) in &self.samples {
            assert!(*value >= 0.0, "{name} {labels:?} is negative");
        }
    }

    fn check_histogram(&self, name: &str) {
        let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
        for ((_, labels), value) in self.samples.iter().filter(|((n, _), _)| *n == format!("{name}_bucket")) {
            let mut labels = labels.clone();
            let bound = labels.remove("le").expect("a bucket has a bound");
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
            series.entry(labels).or_default().push((bound, *value));
        }
        for (labels, mut buckets) in series {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{name} {labels:?} is not cumulative: {buckets:?}");
            let (last, count) = buckets.last().copied().unwrap();
            assert!(last.is_infinite(), "{name} {labels:?} has no last bucket");
            assert_eq!(self.samples[&(format!("{name}_count"), labels.clone())], count, "{name} {labels:?}");
            assert!(self.samples.contains_key(&(format!("{name}_sum"), labels)), "{name} has no sum");
        }
    }

    /// The value of a sample; 0 where it is not there, as nothing was counted then.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).map_or(0, |value| *value as u64)
    }

    /// Calls by mount, method and outcome.
    pub(crate) fn calls(&self, mount: &str, method: &str, outcome: &str) -> u64 {
        self.value("rialto_calls_total", &[("mount", mount), ("method", method), ("outcome", outcome)])
    }

    /// All values of a label.
    pub(crate) fn values_of(&self, label: &str) -> BTreeSet<&str> {
        self.samples.keys().filter_map(|(_, labels)| labels.get(label)).map(String::as_str).collect()
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The sum of the samples with this name.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        self.samples.iter().filter(|((n, _), _)| n == name).map(|(_, value)| *value as u64).sum()
    }
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Labels from behind their opening brace, and what follows the closing one.
fn labels<'t>(mut rest: &'t str, line: &str) -> (BTreeMap<String, String>, &'t str) {
    let mut labels = BTreeMap::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
        assert!(is_name(name), "{line}");
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().unwrap_or_else(|| panic!("an open text: {line}")) {
                (at, '"') => break at,
                (_, '\\') => match chars.next().map(|(_, c)| c) {
                    Some('n') => value.push('\n'),
                    Some(c @ ('\\' | '"')) => value.push(c),
                    _ => panic!("an unknown escape: {line}"),
                },
                (_, c) => value.push(c),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "a label twice: {line}");
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (labels, rest.strip_prefix('}').unwrap_or_else(|| panic!("an open brace: {line}"))),
        }
    }
}
