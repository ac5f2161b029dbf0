//! Sealed handles: what a client keeps for us and must neither read, change, lend nor use elsewhere.
//!
//! Session ids, `requestState`, cursors and task ids are AES-256-GCM over a small payload, bound to the principal, the mount and the
//! purpose. Every failure looks the same from outside.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hkdf,
    rand::{SecureRandom, SystemRandom},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The longest handle that is looked at, in bytes.
pub const MAX_HANDLE: usize = 16 * 1024;
/// The shortest secret a key is made from, in bytes.
pub const MIN_SECRET: usize = 32;

const KEY_ID: usize = 4;

/// What a handle is for. A handle of one purpose opens for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A legacy session (`Mcp-Session-Id`).
    Session,
    /// A call that waits for answers (`requestState`).
    RequestState,
    /// A place in a list (`nextCursor`).
    Cursor,
    /// A task (`taskId`).
    Task,
}

impl Purpose {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "s1.",
            Self::RequestState => "g1.",
            Self::Cursor => "c1.",
            Self::Task => "t1.",
        }
    }

    /// Whether a text looks like a handle of this purpose, whether or not it opens.
    #[must_use]
    pub fn marks(self, text: &str) -> bool {
        text.starts_with(self.prefix())
    }
}

/// The handle does not open: damaged, of another key, principal, mount or purpose. There is nothing more to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid or expired handle")]
pub struct Unsealable;

/// A secret is too short to make a key from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a seal key needs at least {MIN_SECRET} bytes, this one has {0}")]
pub struct ShortSecret(pub usize);

struct Key {
    id: [u8; KEY_ID],
    key: LessSafeKey,
}

/// Seals and opens handles with a ring of keys: the first seals, all of them open.
pub struct Sealer {
    ring: Vec<Key>,
    random: SystemRandom,
    /// Whether the keys were given, so that handles outlive the process.
    lasting: bool,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("keys", &self.ring.len()).finish_non_exhaustive()
    }
}

impl Sealer {
    /// A ring made from secrets, the first one sealing.
    ///
    /// # Errors
    /// When a secret is too short. An empty list gives a random key.
    pub fn new<S: AsRef<[u8]>>(secrets: &[S]) -> Result<Self, ShortSecret> {
        if secrets.is_empty() {
            return Ok(Self::random());
        }
        let ring = secrets.iter().map(|s| Key::derive(s.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { ring, random: SystemRandom::new(), lasting: true })
    }

    /// A ring of one random key: handles do not outlive the process.
    #[must_use]
    pub fn random() -> Self {
        let random = SystemRandom::new();
        let secret = random_bytes::<32>(&random);
        let ring = Key::derive(&secret).into_iter().collect();
        Self { ring, random, lasting: false }
    }

    /// Whether what it seals can be opened after a restart.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// Seals `payload` for one principal, mount and purpose. Visible ASCII.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, principal: &str, mount: &str, payload: &[u8]) -> String {
        let mut sealed = Vec::with_capacity(KEY_ID + NONCE_LEN + payload.len() + 16);
        if let Some(key) = self.ring.first() {
            let nonce = random_bytes::<NONCE_LEN>(&self.random);
            let mut body = payload.to_vec();
            let aad = Aad::from(associated(purpose, principal, mount));
            // Fails only for payloads of many gigabytes; an empty handle then opens for nobody.
            if key.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body).is_ok() {
                sealed.extend_from_slice(&key.id);
                sealed.extend_from_slice(&nonce);
                sealed.extend_from_slice(&body);
            }
        }
        format!("{}{}", purpose.prefix(), URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a handle.
    ///
    /// # Errors
    /// [`Unsealable`], whatever the cause.
    pub fn open(&self, purpose: Purpose, principal: &str, mount: &str, handle: &str) -> Result<Vec<u8>, Unsealable> {
        if handle.len() > MAX_HANDLE {
            return Err(Unsealable);
        }
        let text = handle.strip_prefix(purpose.prefix()).ok_or(Unsealable)?;
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| Unsealable)?;
        let (id, rest) = sealed.split_at_checked(KEY_ID).ok_or(Unsealable)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(Unsealable)?;
        let key = self.ring.iter().find(|k| k.id == id).ok_or(Unsealable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealable)?;
        let mut body = body.to_vec();
        let aad = Aad::from(associated(purpose, principal, mount));
        let length = key.key.open_in_place(nonce, aad, &mut body).map_err(|_| Unsealable)?.len();
        body.truncate(length);
        Ok(body)
    }
}

impl Key {
    fn derive(secret: &[u8]) -> Result<Self, ShortSecret> {
        if secret.len() < MIN_SECRET {
            return Err(ShortSecret(secret.len()));
        }
        let mut bytes = [0; 32];
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, b"rialto/seal/1").extract(secret);
        let filled = derived.expand(&[b"aes-256-gcm"], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut bytes));
        let key = filled.and_then(|()| UnboundKey::new(&AES_256_GCM, &bytes)).map_err(|_| ShortSecret(secret.len()))?;
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&digest::digest(&digest::SHA256, &bytes).as_ref()[..KEY_ID]);
        Ok(Self { id, key: LessSafeKey::new(key) })
    }
}

fn associated(purpose: Purpose, principal: &str, mount: &str) -> Vec<u8> {
    [b"rialto/seal/1", purpose.prefix().as_bytes(), principal.as_bytes(), mount.as_bytes()].join(&0)
}

fn random_bytes<const N: usize>(random: &SystemRandom) -> [u8; N] {
    let mut bytes = [0; N];
    // The generator of the operating system failing leaves nothing that would be safe to go on with.
    assert!(random.fill(&mut bytes).is_ok(), "the system's random generator failed");
    bytes
}

/// `N` random bytes as hexadecimal digits.
#[must_use]
pub fn random_token<const N: usize>() -> String {
    use std::fmt::Write;
    random_bytes::<N>(&SystemRandom::new()).iter().fold(String::with_capacity(2 * N), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_opens_only_where_it_belongs() {
        let sealer = Sealer::random();
        let handle = sealer.seal(Purpose::Session, "alice", "docs", b"payload");
        assert_eq!(sealer.open(Purpose::Session, "alice", "docs", &handle).unwrap(), b"payload");
        assert!(handle.bytes().all(|b| (0x21..=0x7e).contains(&b)));
        for (purpose, principal, mount) in [
            (Purpose::Session, "bob", "docs"),
            (Purpose::Session, "alice", "finance"),
            (Purpose::Cursor, "alice", "docs"),
            (Purpose::Session, "alic", "edocs"),
        ] {
            assert_eq!(sealer.open(purpose, principal, mount, &handle), Err(Unsealable));
        }
        assert_eq!(Sealer::random().open(Purpose::Session, "alice", "docs", &handle), Err(Unsealable));
    }

    #[test]
    fn sec_028_every_flipped_bit_and_every_cut_is_refused() {
        let sealer = Sealer::random();
        let handle = sealer.seal(Purpose::RequestState, "alice", "docs", b"payload");
        let open = |text: &str| sealer.open(Purpose::RequestState, "alice", "docs", text);
        for at in 0..handle.len() {
            for bit in 0..7 {
                let mut bytes = handle.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                if let Ok(text) = String::from_utf8(bytes) {
                    assert!(open(&text).is_err(), "byte {at}, bit {bit}");
                }
            }
            assert!(open(&handle[..at]).is_err());
        }
        for text in [format!("{handle}="), format!("{handle}-TAMPERED"), format!(" {handle}"), String::new()] {
            assert!(open(&text).is_err());
        }
        assert!(open(&"x".repeat(10 << 20)).is_err());
    }

    /// A hundred thousand handles of the same thing: none comes twice, and no bit of what makes them differ stands still.
    #[test]
    fn sec_024_handles_never_repeat() {
        let sealer = Sealer::random();
        let mut nonces = std::collections::HashSet::new();
        let (mut ever, mut always) = ([0_u8; NONCE_LEN], [0xff_u8; NONCE_LEN]);
        for _ in 0..100_000 {
            let handle = sealer.seal(Purpose::Session, "alice", "docs", b"");
            let sealed = URL_SAFE_NO_PAD.decode(handle.strip_prefix("s1.").unwrap()).unwrap();
            let nonce: [u8; NONCE_LEN] = sealed[KEY_ID..][..NONCE_LEN].try_into().unwrap();
            for (at, byte) in nonce.iter().enumerate() {
                ever[at] |= byte;
                always[at] &= byte;
            }
            assert!(nonces.insert(nonce) && handle.len() >= 32);
        }
        assert_eq!((ever, always), ([0xff; NONCE_LEN], [0; NONCE_LEN]));
    }

    #[test]
    fn sec_029_keys_rotate() {
        let (old, new) = ([1_u8; 32], [2_u8; 32]);
        let before = Sealer::new(&[old]).unwrap();
        let handle = before.seal(Purpose::Cursor, "a", "m", b"x");
        assert!(Sealer::new(&[new, old]).unwrap().open(Purpose::Cursor, "a", "m", &handle).is_ok());
        assert!(Sealer::new(&[new]).unwrap().open(Purpose::Cursor, "a", "m", &handle).is_err());
        assert_eq!(Sealer::new(&[[0_u8; 31]]).unwrap_err(), ShortSecret(31));
    }
}
