//! Finding sections by words: each section is scored by how many of the words it has and how rare they are.

use super::corpus::{Corpus, Page, Section};

/// The longest snippet, in characters.
const SNIPPET_CHARS: usize = 200;

/// How much more a word counts in a heading or a page's title than in the text.
const HEADING_WEIGHT: f64 = 4.0;

/// How much a word counts that only begins with the word looked for.
const PREFIX_WEIGHT: f64 = 0.5;

/// Words that a question has and an answer does not need.
const FILLERS: [&str; 30] = [
    "a", "an", "and", "are", "be", "can", "do", "does", "for", "how", "i", "if", "in", "is", "it", "my", "of", "on",
    "or", "that", "the", "there", "this", "to", "what", "when", "where", "which", "why", "with",
];

/// A section that matches.
pub(super) struct Hit<'a> {
    pub(super) page: &'a Page,
    /// `None` for what stands before the page's first section.
    pub(super) section: Option<&'a Section>,
    /// Higher is better; only meaningful against other hits of the same search.
    pub(super) score: f64,
    /// The line that fits best.
    pub(super) snippet: String,
}

impl Hit<'_> {
    /// The heading of the section, or the title of the page.
    pub(super) fn heading(&self) -> &str {
        self.section.map_or(self.page.title, |section| section.heading)
    }

    /// The URI under which the section can be read.
    pub(super) fn uri(&self) -> String {
        match self.section {
            Some(section) => self.page.section_uri(section),
            None => self.page.uri(),
        }
    }
}

/// All sections with at least one of the words in `query`, best first.
pub(super) fn search<'a>(corpus: &'a Corpus, query: &str) -> Vec<Hit<'a>> {
    let parts: Vec<_> = corpus.pages().iter().flat_map(Part::of_page).collect();
    let wanted = wanted_words(query, &parts);
    let weights: Vec<_> = wanted.iter().map(|word| rarity(word, &parts)).collect();
    let mut hits: Vec<_> = parts.iter().filter_map(|part| part.hit(&wanted, &weights)).collect();
    // A stable sort: equal scores stay in reading order.
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    hits
}

/// A section, or the opening of a page, cut into words.
struct Part<'a> {
    page: &'a Page,
    section: Option<&'a Section>,
    text: &'a str,
    words: Vec<String>,
    heading_words: Vec<String>,
}

impl<'a> Part<'a> {
    fn of_page(page: &'a Page) -> impl Iterator<Item = Part<'a>> {
        let opening = Part::new(page, None, page.opening, page.title);
        let sections = page.sections.iter().map(move |section| {
            let heading = format!("{} {}", page.name, section.heading);
            Part::new(page, Some(section), section.text, &heading)
        });
        std::iter::once(opening).chain(sections)
    }

    fn new(page: &'a Page, section: Option<&'a Section>, text: &'a str, heading: &str) -> Self {
        Part { page, section, text, words: words(text), heading_words: words(heading) }
    }

    fn hit(&self, wanted: &[String], weights: &[f64]) -> Option<Hit<'a>> {
        // A long section has any word more often without being more about it.
        let length = 1.0 + self.words.len() as f64 / 200.0;
        let score: f64 = wanted
            .iter()
            .zip(weights)
            .map(|(word, weight)| {
                let count = matches(word, &self.words);
                let heading = matches(word, &self.heading_words).min(1.0);
                weight * (count / (count + length) + HEADING_WEIGHT * heading)
            })
            .sum();
        (score > 0.0).then(|| Hit { page: self.page, section: self.section, score, snippet: self.snippet(wanted) })
    }

    /// The line with most of the words, without Markdown's line markers, cut at a word's end.
    fn snippet(&self, wanted: &[String]) -> String {
        let lines = self.text.lines().filter(|line| is_prose(line));
        let best = lines.fold(("", -1.0), |best, line| {
            let here = words(line);
            let found: f64 = wanted.iter().map(|w| matches(w, &here).min(1.0)).sum();
            if found > best.1 { (line, found) } else { best }
        });
        shorten(best.0.trim_matches(['|', '-', ' ']))
    }
}

/// Headings, fences and table rules say nothing by themselves.
fn is_prose(line: &str) -> bool {
    !line.starts_with('#') && !line.starts_with("```") && line.contains(char::is_alphanumeric)
}

fn shorten(line: &str) -> String {
    if line.chars().count() <= SNIPPET_CHARS {
        return line.to_owned();
    }
    let cut: String = line.chars().take(SNIPPET_CHARS).collect();
    let end = cut.rfind(' ').unwrap_or(cut.len());
    format!("{} …", &cut[..end])
}

/// How often `word` is among `words`, counting words that begin with it in part.
fn matches(word: &str, words: &[String]) -> f64 {
    let weights = words.iter().map(|candidate| {
        if candidate == word {
            1.0
        } else if word.len() >= 3 && candidate.starts_with(word) {
            PREFIX_WEIGHT
        } else {
            0.0
        }
    });
    weights.sum()
}

/// A word that few sections have says more about them than one that most have.
fn rarity(word: &str, parts: &[Part<'_>]) -> f64 {
    let having = parts.iter().filter(|part| matches(word, &part.words) > 0.0).count();
    (1.0 + parts.len() as f64 / (1.0 + having as f64)).ln()
}

/// The words to look for. A name such as `seal_keys` means itself; only one that is nowhere means its parts.
fn wanted_words(query: &str, parts: &[Part<'_>]) -> Vec<String> {
    let known = |name: &str| {
        let word = stem(name.to_owned());
        parts.iter().any(|part| part.words.contains(&word))
    };
    let (fillers, telling): (Vec<_>, Vec<_>) = names(query).partition(|name| FILLERS.contains(&name.as_str()));
    let meant = if telling.is_empty() { fillers } else { telling };
    meant.into_iter().flat_map(|name| if known(&name) { vec![name] } else { with_parts(name) }).map(stem).collect()
}

/// The words of a text, in lower case and without their endings. A name such as `seal_keys` counts as itself and as its parts.
fn words(text: &str) -> Vec<String> {
    names(text).flat_map(with_parts).map(stem).collect()
}

/// Runs of letters, digits and underscores, in lower case.
fn names(text: &str) -> impl Iterator<Item = String> {
    let names = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let names = names.map(|name| name.trim_matches('_').to_lowercase());
    names.filter(|name| !name.is_empty())
}

/// A word without its ending, so that `resumed` and `resuming` are found by `resume`.
fn stem(word: String) -> String {
    let endings = ["ing", "ed", "es", "s", "e"];
    let stems = endings.iter().filter_map(|ending| word.strip_suffix(ending));
    let stem = stems.into_iter().find(|stem| stem.chars().count() >= 3);
    stem.map_or_else(|| word.clone(), str::to_owned)
}

fn with_parts(name: String) -> Vec<String> {
    let parts = name.split('_').filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.map(str::to_owned).collect();
    match parts.len() {
        1 => parts,
        _ => std::iter::once(name).chain(parts).collect(),
    }
}
