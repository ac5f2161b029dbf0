//! Which numbered scenarios and attacks the tests claim.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The scenarios that no test here claims yet, with what they wait for. Together with the claims they are all that there are.
const LEFT: [(&str, &str); 4] = [
    ("HTTP+SSE, on either side", "002 011-020 022 032 042 052 062 072 082 088 124 156 311 329 458"),
    ("several servers behind one mount", "189 270 384-409 437"),
    ("several replicas", "232-233"),
    ("a soak of a day", "444"),
];

/// How many scenarios there are.
const SCENARIOS: u32 = 473;

/// The numbers that a text claims: `era_101_…` in a test's name, or `"ERA-101"` in a table of cases. `era_174_175_sec_030_…`
/// claims three.
fn claims(path: &Path, text: &str, found: &mut BTreeMap<&'static str, BTreeSet<u32>>) {
    for (at, _) in text.match_indices("fn ") {
        let name = text[at + 3..].split(['(', '<', ' ']).next().unwrap_or_default();
        let numbers = numbers(name.split('_'));
        if !numbers.is_empty() {
            assert!(is_test(&text[..at]), "{}: `{name}` claims to be a test", path.display());
        }
        for (kind, number) in numbers {
            found.entry(kind).or_default().insert(number);
        }
    }
    for row in text.split('"').filter(|row| row.starts_with("ERA-") || row.starts_with("SEC-")) {
        for (kind, number) in numbers(row.split([' ', '-', '_'])) {
            found.entry(kind).or_default().insert(number);
        }
    }
}

/// The numbers among these words, with the kind that was named before them.
fn numbers<'a>(words: impl Iterator<Item = &'a str>) -> Vec<(&'static str, u32)> {
    let mut kind = None;
    let mut numbers = Vec::new();
    for word in words {
        match (word, kind) {
            ("era" | "ERA", _) => kind = Some("ERA"),
            ("sec" | "SEC", _) => kind = Some("SEC"),
            (number, Some(kind)) if number.len() == 3 => {
                numbers.extend(number.parse().ok().map(|number| (kind, number)))
            }
            _ => kind = None,
        }
    }
    numbers
}

/// Whether the function that begins after this text is a test: it has the attribute, or stands in `proptest!`, which gives it.
fn is_test(before: &str) -> bool {
    let own = &before[before.rfind('}').unwrap_or_default()..];
    own.contains("test]") || own.contains("test(") || own.contains("proptest! {")
}

fn walk(folder: &Path, found: &mut BTreeMap<&'static str, BTreeSet<u32>>) {
    for entry in fs::read_dir(folder).expect("a folder of this package") {
        let path = entry.expect("an entry").path();
        if path.ends_with(file!()) {
            // What this file says of claims is none.
        } else if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs" || e == "py") {
            claims(&path, &fs::read_to_string(&path).expect("text"), found);
        }
    }
}

fn ranges(numbers: &BTreeSet<u32>) -> String {
    let mut text = String::new();
    let mut all = numbers.iter().copied().peekable();
    while let Some(first) = all.next() {
        let mut last = first;
        while all.peek() == Some(&(last + 1)) {
            last += 1;
            all.next();
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&if first == last { format!("{first:03}") } else { format!("{first:03}-{last:03}") });
    }
    text
}

/// What [`ranges`] writes as one word.
fn range(text: &str) -> std::ops::RangeInclusive<u32> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    first.parse().expect("a number")..=last.parse().expect("a number")
}

#[test]
fn the_numbers_that_are_covered() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    walk(&root.join("tests"), &mut found);
    walk(&root.join("src"), &mut found);
    for (kind, numbers) in &found {
        println!("{kind}: {} covered: {}", numbers.len(), ranges(numbers));
    }
    for (why, numbers) in LEFT {
        println!("left to {why}: {numbers}");
    }
    let left: BTreeSet<u32> = LEFT.iter().flat_map(|(_, numbers)| numbers.split(' ')).flat_map(range).collect();
    let claimed = found.get("ERA").cloned().unwrap_or_default();
    let both: BTreeSet<_> = claimed.intersection(&left).copied().collect();
    assert!(both.is_empty(), "tested, so no longer left: {}", ranges(&both));
    let neither = (1..=SCENARIOS).filter(|number| !claimed.contains(number) && !left.contains(number)).collect();
    assert_eq!(ranges(&neither), "", "neither tested nor left");
    let unknown = claimed.into_iter().filter(|number| !(1..=SCENARIOS).contains(number)).collect();
    assert_eq!(ranges(&unknown), "", "there are no such scenarios");
}
