//! What Rialto does at its edges, over real sockets, pipes and processes. The integration tests, in one binary.

#![expect(clippy::unwrap_used, reason = "where a test's own setup fails, the test fails")]

mod auth;
mod children;
mod config;
mod coverage;
mod edges;
mod finance;
mod legacy;
mod legacy_support;
mod library;
mod lifecycle;
mod limits;
mod lines;
mod listener;
mod matrix;
mod metrics;
mod modern;
mod openapi;
mod pages;
mod piped;
mod rest;
mod reverse;
mod rmcp_client;
mod scenarios;
mod server_kit;
mod simulation;
mod subscriptions;
mod support;
mod tasks;
mod upstream_http;
