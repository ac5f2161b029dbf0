//! Behaviour at the boundaries, over real pipes, processes and sockets.

mod lines;
mod server_kit;
