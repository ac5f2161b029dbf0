//! Mounts: what stands between a call and the sessions of a server.
//!
//! A [`Single`] mount is in front of one server. It keeps the sessions that its callers share (`pool`), what the server
//! lists (`catalog`), tells its callers what changes (`changes`), carries tasks between their two designs (`tasks`), and
//! translates between the revisions of both ends; nothing above it knows what the server speaks.

mod beside;
mod catalog;
mod changes;
mod matching;
mod outside;
mod pages;
mod pool;
mod single;
mod tasks;
mod terms;
mod translate;

pub use matching::Matching;
pub use pool::Share;
pub use single::Single;
pub use tasks::Tasking;
pub use terms::Terms;
