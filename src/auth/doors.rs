//! Which paths ask for what.

use http::Method;

/// What a route asks of those who come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nothing: anybody may come to look, with GET or HEAD. Any other method asks for a key. Who brings a key is known all
    /// the same.
    Public,
    /// A key, as a bearer token or an API key.
    Key,
    /// A key; browsers may also bring it as the password of HTTP Basic, with GET or HEAD. For pages that people open, never
    /// for what acts: browsers send a password that they know along with requests that a foreign page made.
    Browser,
    /// There is nothing here, and who has no key is told so at once: a key would not help. For paths around those of ours
    /// where clients look for something.
    Nowhere,
}

/// Which door a path has.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    paths: matchit::Router<Door>,
}

// === impl Door ===

impl Door {
    /// What it is for one method.
    pub(super) fn to(self, method: &Method) -> Self {
        let looks = matches!(*method, Method::GET | Method::HEAD);
        match self {
            Self::Public | Self::Browser if !looks => Self::Key,
            door => door,
        }
    }
}

// === impl Doors ===

impl Doors {
    /// The doors of these paths, written as axum writes them.
    pub fn new<'a>(paths: impl IntoIterator<Item = (&'a str, Door)>) -> Self {
        let mut doors = Self::default();
        for (path, door) in paths {
            // A path that is no path, or is there twice, cannot be a route either. If it were one, it would ask for a key.
            let _ = doors.paths.insert(path, door);
        }
        doors
    }

    /// The door of a path. What is not known, a custom route or nothing at all, asks for a key.
    #[must_use]
    pub fn of(&self, path: &str) -> Door {
        self.paths.at(path).map_or(Door::Key, |found| *found.value)
    }
}
