//! Which numbered scenarios and attacks the tests claim.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The numbers that a text claims: `era_101_…` in a test's name, or `"ERA-101"` in a table of cases.
fn claims(text: &str, found: &mut BTreeMap<&'static str, BTreeSet<u32>>) {
    for (kind, name, row) in [("ERA", "fn era_", "\"ERA-"), ("SEC", "sec_", "\"SEC-")] {
        for mark in [name, row] {
            for (at, _) in text.match_indices(mark) {
                let rest = &text[at + mark.len()..];
                // `era_174_175_…` claims both.
                for part in rest.split(['_', '-', '"', '(', ' ']).take_while(|p| p.len() == 3) {
                    match part.parse() {
                        Ok(number) => found.entry(kind).or_default().insert(number),
                        Err(_) => break,
                    };
                }
            }
        }
    }
}

fn walk(folder: &Path, found: &mut BTreeMap<&'static str, BTreeSet<u32>>) {
    for entry in fs::read_dir(folder).expect("a folder of this package") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs" || e == "py") {
            claims(&fs::read_to_string(&path).expect("text"), found);
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

#[test]
fn the_numbers_that_are_covered() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    walk(&root.join("tests"), &mut found);
    walk(&root.join("src"), &mut found);
    for (kind, numbers) in &found {
        println!("{kind}: {} covered: {}", numbers.len(), ranges(numbers));
    }
    assert!(found.len() == 2, "no scenario or attack is covered by any test");
}
