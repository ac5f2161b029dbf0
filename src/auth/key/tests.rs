//! Keys: which fit, which are refused, and how they are compared.

use std::cell::Cell;

use super::*;

const KEYS: [&str; 3] = ["the-first-of-3-keys", "the-second-of-3-keys", "the-third-of-3-keys!"];

fn three() -> Auth {
    let keys = KEYS.map(|key| Key::new(&key[4..7], &key.replace('!', "x")).unwrap());
    Auth::keys(keys).unwrap()
}

/// Timing itself is too noisy to be asserted where tests share a processor. What makes it flat can be: a digest of fixed
/// length is compared with that of every key, whichever of them fits.
#[test]
fn sec_045_every_key_is_compared_whichever_fits() {
    let auth = three();
    let shown = [KEYS[0].to_owned(), KEYS[1].to_owned(), KEYS[2].replace('!', "x"), "x".repeat(9999), String::new()];
    for (index, shown) in shown.iter().enumerate() {
        let compared = Cell::new(0);
        let found = auth.compare(&hash(shown.as_bytes()), |one, other| {
            compared.set(compared.get() + 1);
            is_same(one, other)
        });
        assert_eq!(compared.get(), 3, "{index}");
        assert_eq!(found.is_some(), index < 3, "{index}");
    }
}

#[test]
fn sec_045_only_the_key_itself_fits() {
    let auth = three();
    let good = KEYS[0];
    assert_eq!(auth.find(good.as_bytes()).unwrap().principal().as_str(), "fir");
    let wrong = [
        good.replacen('t', "u", 1),
        good.replace("keys", "keyz"),
        good[..good.len() - 1].to_owned(),
        format!("{good}x"),
        format!("{good}\n"),
        format!(" {good}"),
        good.to_uppercase(),
        String::new(),
        // The hash is no key.
        Key::new("x", good).unwrap().to_hash(),
        Key::new("x", good).unwrap().to_hash()[7..].to_owned(),
    ];
    for wrong in wrong {
        assert!(auth.find(wrong.as_bytes()).is_none(), "{wrong}");
    }
}

#[test]
fn sec_045_weak_keys_are_refused() {
    let cases = [
        ("", BadKey::Empty),
        ("\n", BadKey::Empty),
        ("fifteen-bytes-x", BadKey::Short),
        ("fifteen-bytes-x\r\n", BadKey::Short),
        ("has spaces in its middle", BadKey::Characters),
        ("pass\u{e9}-partout-4711", BadKey::Characters),
        ("=================", BadKey::Characters),
        ("a=b-4711-4711-4711", BadKey::Characters),
        ("changemechangeme", BadKey::Placeholder),
    ];
    for (key, expected) in cases {
        assert_eq!(Key::new("ci", key).map(|_| ()), Err(expected), "{key:?}");
    }
    assert_eq!(Key::new("ci", &"x1y2z3".repeat(4000)).map(|_| ()), Err(BadKey::Long));
    let hashes = [
        ("sha256:abc", BadKey::Hash),
        ("abc", BadKey::Hash),
        (&format!("sha256:{}", "g".repeat(64)), BadKey::Hash),
        (&format!("sha256:{}", "0".repeat(64)), BadKey::Placeholder),
        ("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", BadKey::Placeholder),
    ];
    for (hashed, expected) in hashes {
        assert_eq!(Key::hashed("ci", hashed).map(|_| ()), Err(expected), "{hashed}");
    }
    for name in ["", " ", "a\nb", " ci", "ci\u{200b}", &"x".repeat(129)] {
        assert_eq!(Key::new(name, &fresh_key()).map(|_| ()), Err(BadKey::Principal), "{name:?}");
    }
}

#[test]
fn a_key_and_its_hash_are_the_same() {
    let fresh = fresh_key();
    assert_ne!(fresh, fresh_key());
    let plain = Key::new("ci", &format!("{fresh}\n")).unwrap();
    let hashed = Key::hashed("other", &plain.to_hash().to_uppercase().replace("SHA", "sha")).unwrap();
    assert!(plain.is_same(&hashed));
    assert!(Auth::keys([hashed.clone()]).unwrap().find(fresh.as_bytes()).is_some());
    assert_eq!(Auth::keys([plain.clone(), hashed]).map(|_| ()), Err(BadKeys::Repeated));
    assert_eq!(Auth::keys([]).map(|_| ()), Err(BadKeys::None));
    let many = (0..=MOST_KEYS).map(|_| Key::new("ci", &fresh_key()).unwrap());
    assert_eq!(Auth::keys(many).map(|_| ()), Err(BadKeys::Many));
    assert_eq!(format!("{plain:?} {:?}", Auth::keys([plain.clone()]).unwrap()), "Key { .. } Auth { keys: 1, .. }");
}
