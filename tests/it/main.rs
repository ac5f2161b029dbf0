//! What Rialto does at its edges, over real sockets, pipes and processes.

mod upstream_http;
