//! What Rialto does at its edges, over real sockets, pipes and processes.

#[cfg(test)]
mod upstream_http;
