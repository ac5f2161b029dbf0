//! Task ids, as clients know them: sealed, so that each opens for its principal at its mount only.

use crate::{
    jsonrpc::{Raw, RawObject, scan::ScanLimits},
    seal::{Purpose, Sealer},
};

/// The longest id of a server that is taken, in bytes: the sealed one travels in a header.
const LONGEST: usize = 1024;

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// At a modern server; the id is the server's.
    Extension,
    /// At a legacy server, whose own words its client speaks; the id is the server's.
    Passed,
    /// The gateway keeps it; the id is the gateway's.
    Kept,
}

impl Kind {
    const ALL: [(Self, &str); 3] = [(Self::Extension, "x"), (Self::Passed, "p"), (Self::Kept, "k")];
}

/// What an id of ours stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Handle {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    /// The tool that was called, where its result has to be shaped for the client by what is known of the tool.
    pub(crate) tool: Option<String>,
}

impl Handle {
    /// Seals it; `None` for a server's id that is too long.
    pub(super) fn seal(&self, sealer: &Sealer, principal: &str, mount: &str) -> Option<String> {
        if self.id.len() > LONGEST {
            return None;
        }
        let kind = Kind::ALL.into_iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, word)| word);
        let mut payload = RawObject::from([("k", Raw::from(kind)), ("i", Raw::from(&*self.id))]);
        if let Some(tool) = self.tool.as_ref().filter(|tool| tool.len() <= LONGEST) {
            payload.set("t", Raw::from(&**tool));
        }
        Some(sealer.seal(Purpose::Task, principal, mount, payload.to_raw().as_bytes()))
    }

    /// Opens an id; `None` whatever is wrong with it.
    pub(super) fn open(sealer: &Sealer, principal: &str, mount: &str, sealed: &str) -> Option<Self> {
        let payload = sealer.open(Purpose::Task, principal, mount, sealed).ok()?;
        let payload = Raw::scan(payload.into(), ScanLimits::REQUEST).ok()?.to_object()?;
        let kind = payload.get("k")?;
        let (kind, _) = Kind::ALL.into_iter().find(|(_, word)| kind.is_text(word))?;
        let text = |key: &str| payload.get(key).and_then(|v| Some(v.as_text()?.into_owned()));
        Some(Self { kind, id: text("i")?, tool: text("t") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_032_a_task_id_opens_for_its_principal_at_its_mount() {
        let sealer = Sealer::random();
        for (kind, _) in Kind::ALL {
            let handle = Handle { kind, id: "786512e2/\"é".to_owned(), tool: Some("slow".to_owned()) };
            let sealed = handle.seal(&sealer, "alice", "docs").unwrap();
            assert!(sealed.bytes().all(|b| b.is_ascii_graphic()));
            assert_eq!(Handle::open(&sealer, "alice", "docs", &sealed), Some(handle));
            assert_eq!(Handle::open(&sealer, "bob", "docs", &sealed), None);
            assert_eq!(Handle::open(&sealer, "alice", "finance", &sealed), None);
            let cursor = sealed.replacen("t1.", "c1.", 1);
            assert_eq!(Handle::open(&sealer, "alice", "docs", &cursor), None);
        }
        let long = Handle { kind: Kind::Extension, id: "x".repeat(LONGEST + 1), tool: None };
        assert_eq!(long.seal(&sealer, "alice", "docs"), None);
    }
}
