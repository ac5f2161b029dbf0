//! Who is calling, and what they may reach.
//!
//! Authentication happens once, outermost, before any route is looked at; what it finds out travels as an [`Access`] in the
//! request's extensions. A host application with middleware of its own puts an `Access`, or only a
//! [`Principal`], there itself.

mod access;

pub use access::{Access, Unidentified};
