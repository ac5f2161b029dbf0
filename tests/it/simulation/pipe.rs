//! A server at the end of a pipe: lines of JSON, one session a server.

use std::sync::Arc;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream},
    sync::mpsc,
};

use super::{
    Rules,
    ledger::{Gauge, Ledger, lock},
    random::Random,
    server::{Server, Session},
};

/// Serves until the pipe ends, or the server crashes.
pub(super) async fn serve(io: DuplexStream, rules: Rules, random: Random, ledger: Arc<Ledger>) {
    let _present = ledger.present(Gauge::Servers);
    let (reader, mut writer) = tokio::io::split(io);
    let (line, mut lines) = mpsc::unbounded_channel::<Value>();
    let server = Server::new(rules, random, ledger);
    let session = Session::of(&server);
    *lock(&session.standing) = Some(line.clone());
    if !server.rules.is_modern {
        server.changes_for(&session);
    }
    let mut reader = BufReader::new(reader).lines();
    loop {
        tokio::select! {
            biased;
            () = server.over.cancelled() => break,
            read = reader.next_line() => {
                let Ok(Some(read)) = read else { break };
                server.take(&session, serde_json::from_str(&read).unwrap(), line.clone());
            }
            Some(said) = lines.recv() => {
                if writer.write_all(format!("{said}\n").as_bytes()).await.is_err() { break }
            }
        }
    }
    session.end(&server);
    server.over.cancel();
}
