//! Keys: what a caller shows to be known.
//!
//! A key is kept as its SHA-256 digest and nothing else. That is enough for secrets of this length that a machine made: there
//! is nothing to guess, so that a slow hash would cost time and protect nothing.

use std::{collections::BTreeSet, fmt, sync::Arc};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, SHA256_OUTPUT_LEN, digest},
    rand::{SecureRandom, SystemRandom},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::hub::Principal;

use super::{access::Access, placeholder::is_placeholder};

#[cfg(test)]
mod tests;

/// The shortest key, in bytes.
pub const SHORTEST_KEY: usize = 16;
/// The longest key, in bytes. A longer credential is refused without being looked at.
pub(super) const LONGEST_KEY: usize = 16 * 1024;
/// The most keys. All of them are compared for every request.
pub const MOST_KEYS: usize = 1024;
/// The longest name of a principal, in characters.
const LONGEST_PRINCIPAL: usize = 128;

/// Stands before a hash that is written down.
const HASHED: &str = "sha256:";

type Digest = [u8; SHA256_OUTPUT_LEN];

/// A key: whose it is, and which mounts it opens. Cloning shares them. Only its hash is kept.
#[derive(Clone)]
pub struct Key {
    digest: Digest,
    access: Access,
}

/// The keys that open an application: see [`Builder::auth`](crate::app::Builder::auth). Cloning shares them.
#[derive(Clone)]
pub struct Auth {
    keys: Arc<[Key]>,
}

/// A text cannot be a key. No variant holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; {}", self.parts().0, self.parts().1)]
pub enum BadKey {
    /// There is nothing.
    Empty,
    /// It has fewer than [`SHORTEST_KEY`] bytes.
    Short,
    /// It is longer than any header.
    Long,
    /// It has characters that no `Authorization: Bearer` can carry (RFC 6750, section 2.1).
    Characters,
    /// Everybody knows it.
    Placeholder,
    /// It begins like a hash, and is none.
    Hash,
    /// The principal has no name that can be shown: it is empty, too long, or has control characters in it.
    Principal,
}

/// A set of keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeys {
    /// There is none.
    #[error("there are no keys, so nobody could come in")]
    None,
    /// The same key is there twice.
    #[error("two of the keys are the same")]
    Repeated,
    /// There are more than [`MOST_KEYS`].
    #[error("there are more than {MOST_KEYS} keys")]
    Many,
}

/// A new key: `rialto_` and 32 random bytes, in characters that every header, shell and URL takes.
#[must_use]
pub fn fresh_key() -> String {
    let mut bytes = [0; 32];
    // The operating system's generator does not fail once it works, and a predictable key must never be handed out.
    #[expect(clippy::expect_used, reason = "without randomness there is no key to hand out")]
    SystemRandom::new().fill(&mut bytes).expect("randomness of the operating system");
    format!("rialto_{}", URL_SAFE_NO_PAD.encode(bytes))
}

fn hash(key: &[u8]) -> Digest {
    let mut out = [0; SHA256_OUTPUT_LEN];
    out.copy_from_slice(digest(&SHA256, key).as_ref());
    out
}

fn is_same(one: &Digest, other: &Digest) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

/// Whether a text can be a bearer token: `b64token` (RFC 6750, section 2.1).
pub(super) fn is_token(text: &[u8]) -> bool {
    let filled = text.iter().rposition(|b| *b != b'=').map_or(0, |last| last + 1);
    filled > 0 && text[..filled].iter().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(b))
}

/// Whether a principal can have this name: something that a log can show.
pub(crate) fn is_principal(name: &str) -> bool {
    let is_printable = |c: char| !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
    let is_short = name.chars().count() <= LONGEST_PRINCIPAL;
    is_short && !name.is_empty() && name.trim() == name && name.chars().all(is_printable)
}

// === impl Key ===

impl Key {
    /// A key of `principal`, in clear. Line breaks at its end, as files have them, do not count.
    ///
    /// # Errors
    /// It is too short, well known, or not made of letters, digits and `-._~+/` with `=` at the end.
    pub fn new(principal: &str, key: &str) -> Result<Self, BadKey> {
        let key = key.trim_end_matches(['\r', '\n']);
        match key.len() {
            0 => return Err(BadKey::Empty),
            length if length < SHORTEST_KEY => return Err(BadKey::Short),
            length if length > LONGEST_KEY => return Err(BadKey::Long),
            _ => {}
        }
        if !is_token(key.as_bytes()) {
            return Err(BadKey::Characters);
        }
        if is_placeholder(key) {
            return Err(BadKey::Placeholder);
        }
        Self::with(principal, hash(key.as_bytes()))
    }

    /// A key of `principal` by its hash: `sha256:` and the 64 hexadecimal digits of the SHA-256 of the key.
    ///
    /// # Errors
    /// It is no such hash, or that of a key that everybody knows.
    pub fn hashed(principal: &str, hashed: &str) -> Result<Self, BadKey> {
        let digits = hashed.trim_end_matches(['\r', '\n']).strip_prefix(HASHED).ok_or(BadKey::Hash)?.as_bytes();
        let mut digest = [0; SHA256_OUTPUT_LEN];
        if digits.len() != 2 * digest.len() {
            return Err(BadKey::Hash);
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (nibble(pair[0])?, nibble(pair[1])?);
            *byte = high << 4 | low;
        }
        // A row of zeros in an example, or the hash of a variable that was not set.
        let is_known = digest.iter().all(|byte| *byte == digest[0]) || digest == hash(b"") || digest == hash(b"\n");
        if is_known {
            return Err(BadKey::Placeholder);
        }
        Self::with(principal, digest)
    }

    /// A key in either form, told apart by how it begins.
    ///
    /// # Errors
    /// As [`new`](Self::new) and [`hashed`](Self::hashed).
    pub fn parse(principal: &str, text: &str) -> Result<Self, BadKey> {
        if text.starts_with(HASHED) { Self::hashed(principal, text) } else { Self::new(principal, text) }
    }

    fn with(principal: &str, digest: Digest) -> Result<Self, BadKey> {
        if !is_principal(principal) {
            return Err(BadKey::Principal);
        }
        Ok(Self { digest, access: Access::to_all(Principal::new(principal)) })
    }

    /// Lets the key open the custom routes as well, where it [opens only](Self::only) some mounts.
    #[must_use]
    pub fn and_routes(mut self) -> Self {
        self.access = self.access.and_routes();
        self
    }

    /// Lets the key open these mounts only, and no custom route.
    #[must_use]
    pub fn only(mut self, mounts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.access = Access::only(self.access.principal().clone(), mounts);
        self
    }

    /// Who shows it, and what it opens.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Its hash, as [`hashed`](Self::hashed) takes it. It opens nothing.
    #[must_use]
    pub fn to_hash(&self) -> String {
        let digits: String = self.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{HASHED}{digits}")
    }

    /// Whether both are the same key, whosever it is.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        is_same(&self.digest, &other.digest)
    }
}

fn nibble(digit: u8) -> Result<u8, BadKey> {
    let value = char::from(digit).to_digit(16).ok_or(BadKey::Hash)?;
    u8::try_from(value).map_err(|_| BadKey::Hash)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

// === impl Auth ===

impl Auth {
    /// An application that these keys open.
    ///
    /// ```
    /// use rialto::auth::{Auth, Key};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let key = rialto::auth::fresh_key();
    /// let ci = Key::new("ci", &key)?.only(["docs"]);
    /// let auth = Auth::keys([ci])?;
    /// let app = rialto::Rialto::builder().auth(auth);
    /// # drop(app);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// There are none, too many, or one of them twice.
    pub fn keys(keys: impl IntoIterator<Item = Key>) -> Result<Self, BadKeys> {
        let keys: Arc<[Key]> = keys.into_iter().take(MOST_KEYS + 1).collect();
        if keys.is_empty() {
            return Err(BadKeys::None);
        }
        if keys.len() > MOST_KEYS {
            return Err(BadKeys::Many);
        }
        let distinct: BTreeSet<&Digest> = keys.iter().map(|key| &key.digest).collect();
        if distinct.len() < keys.len() {
            return Err(BadKeys::Repeated);
        }
        Ok(Self { keys })
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// How many principals have one.
    #[must_use]
    pub fn principals(&self) -> usize {
        let names: BTreeSet<&Principal> = self.keys.iter().map(|key| key.access.principal()).collect();
        names.len()
    }

    /// What a key opens that somebody shows, if it is one of these.
    #[must_use]
    pub fn find(&self, shown: &[u8]) -> Option<&Access> {
        self.compare(&hash(shown), is_same)
    }

    /// Compares with every key, whichever fits, so that the time taken tells nothing about them.
    fn compare(&self, shown: &Digest, is_same: impl Fn(&Digest, &Digest) -> bool) -> Option<&Access> {
        let mut found = None;
        for key in &*self.keys {
            if is_same(&key.digest, shown) {
                found = Some(&key.access);
            }
        }
        found
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("keys", &self.count()).finish_non_exhaustive()
    }
}

// === impl BadKey ===

impl BadKey {
    /// What is wrong, and what to do.
    pub(crate) fn parts(self) -> (&'static str, &'static str) {
        const MAKE: &str = "make one with `rialto key`";
        match self {
            Self::Empty => ("the key is empty", MAKE),
            Self::Short => ("the key is shorter than 16 bytes", MAKE),
            Self::Long => ("the key is longer than 16 KiB", MAKE),
            Self::Characters => (
                "the key has characters that an `Authorization: Bearer` header cannot carry",
                "use letters, digits and `-._~+/`, with `=` at the end; `rialto key` makes one",
            ),
            Self::Placeholder => ("the key is one that everybody knows", MAKE),
            Self::Hash => (
                "not the hash of a key",
                "write `sha256:` and 64 hexadecimal digits, as `rialto key` or `sha256sum` print them",
            ),
            Self::Principal => {
                ("not a name for a principal", "write up to 128 printable characters, without space at either end")
            }
        }
    }
}
