//! The lists of a server, as far as their changes are announced.

use std::ops::{BitAnd, BitOr, BitOrAssign};

use crate::{
    hub::{Description, Filter},
    jsonrpc::{Raw, RawObject},
    protocol::{Family, Method, method::notification},
};

/// A kind of list.
#[derive(Debug)]
pub(in crate::mount) struct Kind {
    bit: Kinds,
    /// What asks for it in the filter of `subscriptions/listen`.
    key: &'static str,
    family: Family,
    /// How its changes are announced.
    pub(in crate::mount) method: &'static str,
}

static KINDS: [Kind; 3] = [
    Kind { bit: Kinds(1), key: "toolsListChanged", family: Family::Tools, method: notification::TOOLS_CHANGED },
    Kind { bit: Kinds(2), key: "promptsListChanged", family: Family::Prompts, method: notification::PROMPTS_CHANGED },
    Kind {
        bit: Kinds(4),
        key: "resourcesListChanged",
        family: Family::Resources,
        method: notification::RESOURCES_CHANGED,
    },
];

/// Some of the three kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::mount) struct Kinds(u8);

impl Kinds {
    /// The kind that an announcement is about.
    pub(in crate::mount) fn announced(method: &str) -> Option<Self> {
        KINDS.iter().find(|kind| kind.method == method).map(|kind| kind.bit)
    }

    /// Those whose changes the server says that it announces.
    pub(in crate::mount) fn offered(server: &Description) -> Self {
        let announces = |kind: &&Kind| {
            let family = server.capabilities.get_object(kind.family.as_str());
            family.and_then(|f| f.get("listChanged").and_then(Raw::as_bool)).unwrap_or(false)
        };
        KINDS.iter().filter(announces).fold(Self::default(), |all, kind| all | kind.bit)
    }

    /// Those that the server has and says nothing about.
    pub(in crate::mount) fn silent(server: &Description) -> Self {
        let has = KINDS.iter().filter(|kind| server.offers(kind.family));
        has.fold(Self::default(), |all, kind| all | kind.bit).without(Self::offered(server))
    }

    /// Those that a filter names.
    pub(in crate::mount) fn of_filter(Filter(filter): &Filter) -> Self {
        let named = |kind: &&Kind| filter.get(kind.key).and_then(Raw::as_bool) == Some(true);
        KINDS.iter().filter(named).fold(Self::default(), |all, kind| all | kind.bit)
    }

    /// A filter that names these.
    pub(in crate::mount) fn to_filter(self) -> RawObject {
        let mut filter = RawObject::new();
        for kind in self.each() {
            filter.set(kind.key, Raw::constant("true"));
        }
        filter
    }

    /// One after the other.
    pub(in crate::mount) fn each(self) -> impl Iterator<Item = &'static Kind> {
        KINDS.iter().filter(move |kind| !(kind.bit & self).is_empty())
    }

    /// The number of a single kind, from 0 to 2.
    pub(super) fn index(self) -> usize {
        (self.0.trailing_zeros() as usize).min(2)
    }

    /// These without those.
    pub(super) const fn without(self, those: Self) -> Self {
        Self(self.0 & !those.0)
    }

    pub(in crate::mount) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Kind {
    /// The family of features that it belongs to.
    pub(in crate::mount) fn family(&self) -> Family {
        self.family
    }

    /// What a filter names it by.
    pub(in crate::mount) fn key(&self) -> &'static str {
        self.key
    }

    /// The methods that list what is announced together.
    pub(super) fn lists(&self) -> &'static [Method] {
        match self.family {
            Family::Tools => &[Method::ToolsList],
            Family::Prompts => &[Method::PromptsList],
            _ => &[Method::ResourcesList, Method::TemplatesList],
        }
    }

    pub(super) fn kinds(&self) -> Kinds {
        self.bit
    }
}

impl BitOr for Kinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Kinds {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Kinds {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
