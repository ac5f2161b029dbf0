//! What is measured: one entry for each kind of operation and pair of eras.

use crate::wire::Era::{self, Legacy, Modern};

/// What one operation of the load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// `tools/call` of `echo` with a short text.
    Echo,
    /// `tools/call` of `blob`, answered with this many KiB of text.
    Blob {
        /// Size of the text in KiB.
        kib: usize,
    },
    /// A whole `tools/list`: every page, where the server pages.
    List,
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// The same in words.
    pub(crate) what: &'static str,
    pub(crate) operation: Operation,
    /// What the load speaks.
    pub(crate) client: Era,
    /// What the upstream behind Rialto speaks. A proxy that only forwards bytes
    /// has an upstream of the client's era, for want of anything it could do
    /// with another.
    pub(crate) upstream: Era,
    /// Tools that the upstream lists.
    pub(crate) tools: usize,
    /// Whether the upstream answers with a stream of one event.
    pub(crate) sse: bool,
}

const fn case(name: &'static str, what: &'static str, operation: Operation, client: Era, upstream: Era) -> Case {
    Case { name, what, operation, client, upstream, tools: 10, sse: false }
}

const BLOB: Operation = Operation::Blob { kib: 64 };

/// Every case, in the order in which they run.
pub(crate) const CASES: [Case; 14] = [
    case("call-legacy", "small tools/call", Operation::Echo, Legacy, Legacy),
    case("call-modern", "small tools/call", Operation::Echo, Modern, Modern),
    Case { sse: true, ..case("sse-legacy", "small tools/call answered by SSE", Operation::Echo, Legacy, Legacy) },
    Case { sse: true, ..case("sse-modern", "small tools/call answered by SSE", Operation::Echo, Modern, Modern) },
    case("blob-legacy", "tools/call with a result of 64 KiB", BLOB, Legacy, Legacy),
    case("blob-modern", "tools/call with a result of 64 KiB", BLOB, Modern, Modern),
    case("cross-modern-legacy", "small tools/call across eras", Operation::Echo, Modern, Legacy),
    case("cross-legacy-modern", "small tools/call across eras", Operation::Echo, Legacy, Modern),
    case("list-10-legacy", "tools/list of 10 tools", Operation::List, Legacy, Legacy),
    case("list-10-modern", "tools/list of 10 tools", Operation::List, Modern, Modern),
    Case { tools: 1_000, ..case("list-1000-legacy", "tools/list of 1 000 tools", Operation::List, Legacy, Legacy) },
    Case { tools: 1_000, ..case("list-1000-modern", "tools/list of 1 000 tools", Operation::List, Modern, Modern) },
    Case { tools: 10_000, ..case("list-10000-legacy", "tools/list of 10 000 tools", Operation::List, Legacy, Legacy) },
    Case { tools: 10_000, ..case("list-10000-modern", "tools/list of 10 000 tools", Operation::List, Modern, Modern) },
];
