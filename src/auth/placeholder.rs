//! Keys that are none: what examples, templates and tired people write where a key belongs.

/// The words that such texts are made of, in lower case.
const WORDS: [&str; 54] = [
    "a",
    "admin",
    "an",
    "api",
    "auth",
    "bearer",
    "change",
    "changed",
    "default",
    "demo",
    "dev",
    "enter",
    "example",
    "fake",
    "fixme",
    "foo",
    "bar",
    "here",
    "insert",
    "is",
    "it",
    "key",
    "letmein",
    "long",
    "master",
    "mcp",
    "me",
    "my",
    "not",
    "own",
    "pass",
    "password",
    "placeholder",
    "please",
    "put",
    "qwerty",
    "replace",
    "rialto",
    "root",
    "sample",
    "secret",
    "some",
    "string",
    "super",
    "test",
    "testing",
    "the",
    "this",
    "todo",
    "token",
    "value",
    "very",
    "with",
    "your",
];

/// The longest text that is looked at word by word, in bytes; nobody writes a placeholder of that length.
const LONGEST: usize = 256;

/// Whether a text is no secret whatever its length: made of nothing but such words and numbers, of a few characters over
/// and over, or of a row of the alphabet.
pub(super) fn is_placeholder(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let mut distinct: Vec<u8> = text.bytes().collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len() < 5 || is_row(text.as_bytes()) || is_words(&text)
}

/// `1234567890…`, `0123456789abcdef`, `abcdefgh…`.
fn is_row(text: &[u8]) -> bool {
    let follows =
        |a: u8, b: u8| b == a.wrapping_add(1) || (a == b'9' && matches!(b, b'0' | b'a')) || (b == b'0' && a == b'f');
    text.windows(2).all(|pair| follows(pair[0], pair[1]))
}

/// Whether the letters of a text are words of the list one after the other.
fn is_words(text: &str) -> bool {
    let letters: Vec<u8> = text.bytes().filter(u8::is_ascii_lowercase).collect();
    if letters.is_empty() || letters.len() > LONGEST {
        return false;
    }
    let mut reached = vec![false; letters.len() + 1];
    reached[0] = true;
    for from in 0..letters.len() {
        if !reached[from] {
            continue;
        }
        let rest = &letters[from..];
        for word in WORDS.iter().filter(|word| rest.starts_with(word.as_bytes())) {
            reached[from + word.len()] = true;
        }
    }
    reached[letters.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_examples_is_no_key() {
        let none = [
            "changemechangeme",
            "CHANGE-ME-CHANGE-ME",
            "please_change_this_key",
            "your-api-key-here-1234",
            "replace-with-your-own-secret",
            "my-super-secret-token",
            "password12345678",
            "0123456789abcdef",
            "0123456789abcdef0123456789abcdef",
            "12345678901234567890",
            "abcdefghijklmnopqrstuvwxyz",
            "xxxxxxxxxxxxxxxxxxxxxxxx",
            "00000000000000000000",
            "abababababababababab",
        ];
        for text in none {
            assert!(is_placeholder(text), "{text}");
        }
        let keys = [
            "rialto_4Yp0dXv8o3XJm1mWl1w2kqkq9oZbq0xZ2yqk5m8v9aE",
            "f3b1c2d4e5a69788c1d2e3f4a5b6c7d8",
            "correct-horse-battery-staple",
            "4829104756382910",
            "mykey4Yp0dXv8o3XJm1mWl1w2",
        ];
        for text in keys {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
