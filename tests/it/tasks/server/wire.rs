//! How the server is reached.

use std::sync::Arc;

use rialto::upstream::in_process::InProcessConnector;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream},
    sync::mpsc,
};

use crate::upstream_http::scripted::{Reply, Scripted, send};

use super::{Speaks, TaskServer};

impl TaskServer {
    /// Over HTTP. A legacy server has a session and a standing stream.
    pub(in crate::tasks) async fn over_http(self: &Arc<Self>) -> Scripted {
        let server = self.clone();
        Scripted::start(move |seen| {
            let server = server.clone();
            async move {
                let legacy = server.speaks == Speaks::Legacy;
                match seen.verb.as_str() {
                    "DELETE" => return Reply::empty(204),
                    "GET" if !legacy => return Reply::empty(405),
                    _ => {}
                }
                let (reply, pieces) = Reply::events();
                let (out, mut said) = mpsc::channel(64);
                if let Some(name) = seen.header("mcp-name") {
                    server.lock().headers.push((seen.method().to_owned(), name.to_owned()));
                }
                let reply = match seen.method() {
                    "initialize" => reply.with("mcp-session-id", "s-1"),
                    _ => reply,
                };
                if seen.verb == http::Method::GET {
                    server.lock().standing = Some(out);
                    server.changed.send_replace(());
                } else if seen.body.get("id").is_none() || seen.body.get("method").is_none() {
                    server.take(seen.body, out).await;
                    return Reply::empty(202);
                } else {
                    tokio::spawn(server.take(seen.body, out));
                }
                tokio::spawn(async move {
                    loop {
                        tokio::select! {
                            next = said.recv() => match next {
                                Some(message) => send(&pieces, &message).await,
                                None => return,
                            },
                            () = pieces.closed() => return,
                        }
                    }
                });
                reply
            }
        })
        .await
    }

    /// Over lines, as a process or a server in this process is.
    pub(in crate::tasks) fn over_lines(self: &Arc<Self>) -> InProcessConnector {
        let server = self.clone();
        InProcessConnector::new("docs", move |io: DuplexStream| {
            let server = server.clone();
            async move {
                server.open.send_modify(|open| *open += 1);
                let (reader, mut writer) = tokio::io::split(io);
                let (out, mut said) = mpsc::channel::<Value>(64);
                server.lock().standing = Some(out.clone());
                server.changed.send_replace(());
                let writing = async {
                    while let Some(message) = said.recv().await {
                        let line = format!("{message}\n");
                        if writer.write_all(line.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                };
                let reading = async {
                    let mut lines = BufReader::new(reader).lines();
                    while let Ok(Some(line)) = lines.next_line().await {
                        let message: Value = serde_json::from_str(&line).unwrap();
                        // Everything in order, other than what has to wait.
                        tokio::spawn(server.clone().take(message, out.clone()));
                    }
                };
                let mut hung_up = server.hung_up.subscribe();
                tokio::select! {
                    () = writing => {}
                    () = reading => {}
                    _ = hung_up.changed() => {}
                }
                server.open.send_modify(|open| *open -= 1);
            }
        })
    }
}
