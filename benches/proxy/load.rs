//! The load: a number of connections, each with one operation under way.

mod client;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

pub(crate) use self::client::messages_received;
use self::client::{Client, Shared};
use crate::{
    cases::Case,
    check::{Checker, FIRST_ID},
    contestants::Target,
    fault::{Doing, Result},
};

/// Connections to one target, with their sessions where the era has sessions.
pub(crate) struct Fleet {
    clients: Vec<Client>,
}

/// What one window of load came to.
pub(crate) struct Measured {
    /// How long each operation took, in nanoseconds, in rising order.
    pub(crate) latencies: Vec<u64>,
    /// From the first request to the last answer.
    pub(crate) wall: Duration,
}

// === impl Fleet ===

impl Fleet {
    /// Connects, opens the sessions, and has one operation answered on each
    /// connection.
    ///
    /// # Errors
    ///
    /// When the target cannot be reached or answers wrongly.
    pub(crate) async fn open(case: &Case, target: Target, connections: usize) -> Result<Self> {
        let shared = Arc::new(Shared { case: *case, target, next_id: AtomicU64::new(FIRST_ID) });
        let blob = Checker::expected_blob(case);
        let mut clients = Vec::with_capacity(connections);
        for _ in 0..connections {
            let checker = Checker::new(case, Arc::clone(&blob));
            let mut client = Client::open(Arc::clone(&shared), checker).await?;
            client.operate().await?;
            clients.push(client);
        }
        Ok(Self { clients })
    }

    /// Sends operations for as long as the window lasts, at least one on each
    /// connection, and checks every answer.
    ///
    /// # Errors
    ///
    /// The first wrong answer.
    pub(crate) async fn drive(&mut self, window: Duration) -> Result<Measured> {
        let start = Instant::now();
        let end = start + window;
        let mut running: JoinSet<Result<(Client, Vec<u64>)>> = JoinSet::new();
        for mut client in self.clients.drain(..) {
            running.spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let latency = client.operate().await?;
                    latencies.push(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
                    if Instant::now() >= end {
                        return Ok((client, latencies));
                    }
                }
            });
        }
        let mut all = Vec::new();
        while let Some(finished) = running.join_next().await {
            let (client, latencies) = finished.doing("running the load")??;
            all.extend(latencies);
            self.clients.push(client);
        }
        let wall = start.elapsed();
        all.sort_unstable();
        Ok(Measured { latencies: all, wall })
    }

    /// Ends the sessions.
    pub(crate) async fn close(self) {
        for client in self.clients {
            client.close().await;
        }
    }
}
