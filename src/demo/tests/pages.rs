//! The pages themselves: they are well formed, and what they say about this server is true.

use super::super::{
    corpus::{Corpus, URI_PREFIX},
    search::search,
    tools,
};

#[test]
fn every_page_has_a_title_a_summary_and_sections() {
    let corpus = Corpus::new();
    assert!((8..=20).contains(&corpus.pages().len()));
    for page in corpus.pages() {
        let name = page.name;
        assert!(page.text.starts_with("# "), "{name}");
        assert!(!page.title.is_empty() && !page.title.starts_with('#'), "{name}");
        assert!(page.summary.ends_with('.'), "{name}: {}", page.summary);
        assert!(page.sections.len() >= 3, "{name}");
        let lines = page.text.lines().count();
        assert!((40..=150).contains(&lines), "{name} has {lines} lines");
        let fences = page.text.lines().filter(|line| line.starts_with("```"));
        assert_eq!(fences.count() % 2, 0, "{name}: a code block is not closed");
    }
}

#[test]
fn sections_have_names_of_their_own_and_make_up_the_page() {
    for page in Corpus::new().pages() {
        let mut names: Vec<_> = page.sections.iter().map(|section| &section.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), page.sections.len(), "{}", page.name);
        let sections: usize = page.sections.iter().map(|s| s.text.trim().len()).sum();
        assert!(page.opening.len() + sections <= page.text.len());
        for section in &page.sections {
            assert!(section.text.starts_with("## "), "{}", section.name);
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(section.name.chars().all(allowed), "{}", section.name);
        }
    }
}

#[test]
fn number_signs_in_code_are_no_headings() {
    let page = super::super::corpus::Page::parse(
        "sample",
        "# Sample\n\nOne\nparagraph.\n\n## First\n\n```sh\n## not a heading\n```\n\n## Second part!\n\nText.\n",
    );
    assert_eq!(page.title, "Sample");
    assert_eq!(page.summary, "One paragraph.");
    let names: Vec<_> = page.sections.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["first", "second-part"]);
    assert!(page.sections[0].text.contains("## not a heading"));
}

/// Where a page says "see `name`" or "the page `name`", there is such a page.
#[test]
fn pages_that_are_referred_to_exist() {
    let corpus = Corpus::new();
    for page in corpus.pages() {
        for lead in ["see `", "the page `", "The page `"] {
            for rest in page.text.split(lead).skip(1) {
                let name = rest.split('`').next().unwrap_or_default();
                assert!(corpus.page(name).is_some(), "{} refers to {name}", page.name);
            }
        }
    }
}

#[test]
fn the_quick_start_names_every_tool_of_this_server() {
    let corpus = Corpus::new();
    let page = corpus.page("quick-start").expect("there is a quick start");
    for tool in tools::definitions() {
        assert!(page.text.contains(&format!("| tool | `{}` |", tool.name)));
    }
    assert!(page.text.contains(URI_PREFIX));
}

#[test]
fn a_search_finds_the_page_that_is_about_it_first() {
    let corpus = Corpus::new();
    let first = |query: &str| search(&corpus, query).first().map(|hit| hit.page.name);
    for (query, page) in [
        ("seal_keys", "handles"),
        ("start_timeout", "config"),
        ("reason connect_failed", "errors"),
        ("what is a rung", "glossary"),
        ("how do I choose the era of a server", "servers"),
        ("parked call deadline", "questions"),
        ("request body limit", "limits"),
        ("process exits restarted", "servers"),
        ("Host not allowed 403", "troubleshooting"),
        ("resume a stream", "sessions"),
        ("pay an invoice", "finance"),
        ("swagger ui", "rest"),
        ("before_forward hook", "library"),
    ] {
        assert_eq!(first(query), Some(page), "{query}");
    }
    assert_eq!(first("zyzzyva"), None);
    assert_eq!(first("?!"), None);
}

#[test]
fn snippets_are_short_and_have_the_word() {
    let corpus = Corpus::new();
    for query in ["guardian", "Last-Event-ID", "AES", "the"] {
        for hit in search(&corpus, query).iter().take(3) {
            assert!(hit.snippet.chars().count() <= 202, "{}", hit.snippet);
            let word = query.to_lowercase().replace("last-event-id", "event");
            assert!(hit.snippet.to_lowercase().contains(&word), "{}", hit.snippet);
        }
    }
}
