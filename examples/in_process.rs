//! An MCP server written with the Rust SDK, inside the program: no socket, no child process, and clients of every revision.
//!
//! ```sh
//! cargo run --example in_process -- 127.0.0.1:8080
//! ```
//!
//! Then point an MCP client at `http://127.0.0.1:8080/mcp/notes`. What it writes is at `/notes` for everybody else.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, routing::get};
use rialto::{Proxy, Rialto};
use rmcp::{
    ServerHandler, ServiceExt,
    handler::server::wrapper::Parameters,
    schemars::{self, JsonSchema},
    tool, tool_handler, tool_router,
};
use serde::Deserialize;
use tokio::net::TcpListener;

/// What everybody shares: each session of a client has a server of its own, and all of them have the same notes.
#[derive(Clone, Default)]
struct Notes {
    all: Arc<Mutex<Vec<String>>>,
}

#[derive(Deserialize, JsonSchema)]
struct Note {
    /// What is to be remembered.
    text: String,
}

#[tool_router]
impl Notes {
    #[tool(description = "Writes a note.")]
    fn write(&self, Parameters(note): Parameters<Note>) -> String {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(note.text);
        format!("there are {} notes now", all.len())
    }

    #[tool(description = "Reads all notes.")]
    fn read(&self) -> String {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

#[tool_handler]
impl ServerHandler for Notes {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let notes = Notes::default();

    // Called once for every session, with the server's end of a stream in memory. It runs until that stream ends.
    let served = notes.clone();
    let proxy = Proxy::in_process(move |io| {
        let server = served.clone();
        async move {
            // On the heap, for the future of an opening session is large.
            if let Ok(session) = Box::pin(server.serve(io)).await {
                let _ = session.waiting().await;
            }
        }
    });

    // The same notes, for those who do not speak MCP.
    let page = Router::new().route("/notes", get(async move || notes.read()));
    let app = Rialto::builder().mount("notes", proxy).routes(page).local().build();

    let listener = TcpListener::bind(listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
