//! Who is calling, and what they may reach.
//!
//! Authentication happens once, outermost, before any route is looked at; what it finds out travels as an [`Access`] in the
//! request's extensions. A host application with middleware of its own puts an `Access`, or only a
//! [`Principal`](crate::hub::Principal), there itself.
//!
//! Callers prove who they are with keys ([`Auth`]). The layer reads them, refuses in the words of RFC 6750 and RFC 9457, and
//! takes every credential out of the request, so that nothing inside can pass one on. Which paths ask for what is said by
//! [`Doors`].

mod access;
mod complaints;
mod credential;
mod doors;
mod key;
mod layer;
mod placeholder;
mod refusal;

pub use access::{Access, Unidentified};
pub(crate) use credential::SHOWN_IN;
pub use doors::{Door, Doors};
pub(crate) use key::is_principal;
pub use key::{Auth, BadKey, BadKeys, Key, MOST_KEYS, SHORTEST_KEY, fresh_key};
pub use layer::{Authenticate, Authenticated};
