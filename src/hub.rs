//! What carries a call: who calls, what is asked, what comes back, and the peer that can be notified and asked meanwhile.
//!
//! Nothing here knows a transport, and nothing here knows which revision either end speaks. A downstream adapter turns its
//! wire into a [`Call`] and plays the [`Peer`]; a [`Mount`] answers with an [`Outcome`] or a [`Fault`].
//!
//! Invariant: a running call is a future with exactly one owner, and dropping it abandons the call. The drop itself is
//! synchronous and says nothing; what the server is told is written by the upstream session that owns the pending call.

mod call;
mod caller;
mod caught;
mod counts;
mod credentials;
mod fault;
mod gather;
mod layered;
mod life;
mod limit;
mod losses;
mod mount;
mod oddities;
mod open;
mod peer;
mod questions;

pub use call::{Attempt, Call, Outcome, RequestState};
pub use caller::{Answering, Caller, Principal, Scope, WeakCaller};
pub(crate) use caught::words;
pub use caught::{Caught, Sheltered};
pub use counts::Counts;
pub use credentials::Credentials;
pub use fault::{Fault, GatewayFault, Reason};
pub use gather::Gather;
pub(crate) use gather::{Stop, rounds, settle};
pub use layered::{
    After, AfterForward, Before, BeforeForward, CallService, Forwarded, Forwarding, Hooked, Layered, Verdict,
    after_forward, before_forward,
};
pub use life::{Asking, Life, LifeLimits, TIMED_OUT, TimedOut};
pub use limit::Limit;
pub use losses::LossCounts;
pub use mount::{Around, BoxFuture, Description, Filter, Health, Holding, Link, Listening, Mount};
pub use oddities::{Oddity, OddityCounts};
pub(crate) use open::{Asks, OpenQuestion};
pub use peer::{Answer, Peer, Question, Refusal, SilentPeer};
pub use questions::{QuestionCounts, QuestionEnd};
