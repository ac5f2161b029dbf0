//! Clients on one connection: over pipes in this process where the process is not the point, and over the standard input
//! and output of `rialto stdio` where it is.

mod ending;
mod eras;
mod framing;
pub(crate) mod kit;
mod legacy;
mod library;
mod modern;
mod process;
mod slow;

use kit::{Pipe, modern, request};

const NEWEST: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";
