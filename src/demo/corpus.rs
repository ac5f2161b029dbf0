//! The pages: Markdown that is part of the program, split into sections at its second-level headings.

/// The pages in reading order, by the name under which they are addressed.
const SOURCES: [(&str, &str); 19] = [
    ("overview", include_str!("docs/overview.md")),
    ("quick-start", include_str!("docs/quick-start.md")),
    ("stdio", include_str!("docs/stdio.md")),
    ("finance", include_str!("docs/finance.md")),
    ("config", include_str!("docs/config.md")),
    ("servers", include_str!("docs/servers.md")),
    ("eras", include_str!("docs/eras.md")),
    ("questions", include_str!("docs/questions.md")),
    ("bridging", include_str!("docs/bridging.md")),
    ("sessions", include_str!("docs/sessions.md")),
    ("rest", include_str!("docs/rest.md")),
    ("library", include_str!("docs/library.md")),
    ("handles", include_str!("docs/handles.md")),
    ("keys", include_str!("docs/keys.md")),
    ("limits", include_str!("docs/limits.md")),
    ("metrics", include_str!("docs/metrics.md")),
    ("errors", include_str!("docs/errors.md")),
    ("troubleshooting", include_str!("docs/troubleshooting.md")),
    ("glossary", include_str!("docs/glossary.md")),
];

/// What every URI of the documentation begins with.
pub(super) const URI_PREFIX: &str = "rialto://docs/";

/// All pages, in reading order.
pub(super) struct Corpus {
    pages: Vec<Page>,
}

/// One page.
pub(super) struct Page {
    /// The name used in URIs, in lower case.
    pub(super) name: &'static str,
    /// The first-level heading.
    pub(super) title: &'static str,
    /// The first paragraph, on one line.
    pub(super) summary: String,
    /// The whole page as Markdown.
    pub(super) text: &'static str,
    /// What stands before the first second-level heading.
    pub(super) opening: &'static str,
    /// The parts under second-level headings.
    pub(super) sections: Vec<Section>,
}

/// One second-level section of a page.
pub(super) struct Section {
    /// The name used in URIs, made from the heading.
    pub(super) name: String,
    /// The heading without its number signs.
    pub(super) heading: &'static str,
    /// The section as Markdown, its heading included.
    pub(super) text: &'static str,
}

impl Corpus {
    /// Reads all pages.
    pub(super) fn new() -> Self {
        let pages = SOURCES.iter().map(|(name, text)| Page::parse(name, text));
        Self { pages: pages.collect() }
    }

    /// The pages in reading order.
    pub(super) fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// The page of that name.
    pub(super) fn page(&self, name: &str) -> Option<&Page> {
        self.pages.iter().find(|page| page.name == name)
    }
}

impl Page {
    /// Reads a page from its Markdown.
    pub(super) fn parse(name: &'static str, text: &'static str) -> Self {
        let starts = section_starts(text);
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        let sections = starts.iter().zip(ends);
        let opening = &text[..starts.first().copied().unwrap_or(text.len())];
        let mut lines = opening.lines();
        let title = lines.next().unwrap_or(name).trim_start_matches("# ");
        let paragraph = lines.skip_while(|line| line.is_empty());
        let paragraph: Vec<_> = paragraph.take_while(|line| !line.is_empty()).collect();
        Self {
            name,
            title,
            summary: paragraph.join(" "),
            text,
            opening,
            sections: sections.map(|(start, end)| Section::parse(&text[*start..end])).collect(),
        }
    }

    /// The section of that name.
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The URI of the page.
    pub(super) fn uri(&self) -> String {
        format!("{URI_PREFIX}{}", self.name)
    }

    /// The URI of one of its sections.
    pub(super) fn section_uri(&self, section: &Section) -> String {
        format!("{URI_PREFIX}{}/{}", self.name, section.name)
    }

    /// The number of words in the page.
    pub(super) fn words(&self) -> usize {
        self.text.split_whitespace().count()
    }
}

impl Section {
    fn parse(text: &'static str) -> Self {
        let heading = text.lines().next().unwrap_or_default();
        let heading = heading.trim_start_matches("## ");
        Self { name: slug(heading), heading, text: text.trim_end() }
    }
}

/// Where the second-level headings begin, leaving out lines inside code blocks.
fn section_starts(text: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut offset = 0;
    let mut in_code = false;
    for line in text.split_inclusive('\n') {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if !in_code && line.starts_with("## ") {
            starts.push(offset);
        }
        offset += line.len();
    }
    starts
}

/// A heading as part of a URI: lower-case letters and digits, with single hyphens between the words.
fn slug(heading: &str) -> String {
    let words = heading.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join("-").to_ascii_lowercase()
}
