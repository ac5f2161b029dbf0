//! Names of servers, and names that were meant.

/// The longest name of a mount.
pub(super) const LONGEST: usize = 63;

/// Paths below a mount that are not the mount's to give away.
pub(super) const RESERVED: [&str; 3] = ["sse", "ws", "messages"];

/// Whether `name` can be the name of a mount: letters, digits, `_` and `-`, a letter first, at most 63 of them, and none of
/// the words that mean something below a mount.
#[must_use]
pub fn is_mount_name(name: &str) -> bool {
    mount_name(name).is_some_and(|own| own == name) && name.len() <= LONGEST && !RESERVED.contains(&name)
}

/// The mount name of an entry: as it stands if it can be one, otherwise made into one (`My Files` →
/// `my-files`). `None` if nothing of it is left.
pub(super) fn mount_name(name: &str) -> Option<String> {
    let is_kept = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic());
    if starts_well && name.bytes().all(is_kept) {
        return Some(name.to_owned());
    }
    let mut slug = String::with_capacity(name.len());
    for word in name.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        let word = word.trim_matches('_');
        if word.is_empty() {
            continue;
        }
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(&word.to_ascii_lowercase());
    }
    match slug.bytes().next() {
        None => None,
        Some(first) if first.is_ascii_alphabetic() => Some(slug),
        // A digit cannot begin a name, since names become the beginning of tool names.
        Some(_) => Some(format!("server-{slug}")),
    }
}

/// The candidate that was most likely meant, if one is close enough to say so.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = plain(word);
    candidates
        .iter()
        .map(|&candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|&(distance, candidate)| distance <= 1 + candidate.len() / 4)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// The words to say about an unknown key: the nearest one, or all there are.
pub(super) fn suggest(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => "there are none to choose from".to_owned(),
        None => format!("valid here: `{}`", candidates.join("`, `")),
    }
}

/// Spellings that differ in case or punctuation only count as the same word. Cut off, since the
/// cost grows with the square.
fn plain(word: &str) -> Vec<char> {
    let letters = word.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).take(64).collect()
}

/// How many single letters must change, come or go (Levenshtein).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in to.iter().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_when_they_can_and_are_slugged_when_they_cannot() {
        let names = [
            ("docs", Some("docs")),
            ("user_service", Some("user_service")),
            ("GitHub", Some("GitHub")),
            ("a-b", Some("a-b")),
            ("My Files", Some("my-files")),
            ("  @scope/Server (v2) ", Some("scope-server-v2")),
            ("1password", Some("server-1password")),
            ("_private", Some("private")),
            ("..", None),
            ("", None),
            ("файлы", None),
            ("a/../b", Some("a-b")),
            ("%2e", Some("server-2e")),
        ];
        for (name, expected) in names {
            assert_eq!(mount_name(name).as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn what_was_meant_is_found() {
        let keys = ["listen", "hosts", "public_url", "seal_keys", "servers"];
        let words = [
            ("lisen", Some("listen")),
            ("host", Some("hosts")),
            ("publicUrl", Some("public_url")),
            ("SEAL-KEYS", Some("seal_keys")),
            ("auth", None),
            ("mounts", None),
        ];
        for (word, expected) in words {
            assert_eq!(nearest(word, &keys), expected, "{word}");
        }
    }
}
