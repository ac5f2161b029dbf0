//! HTTP/1.1 as far as it is needed, and what may go wrong with it.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, split},
    sync::mpsc,
};

use super::{
    super::ledger::{Event, Gauge},
    Process, Program,
    streams::Stream,
};

pub(super) struct Request {
    pub(super) verb: String,
    pub(super) body: Value,
    pub(super) session: String,
    pub(super) last: Option<String>,
}

pub(super) enum Answer {
    Status(u16),
    /// What is said until the answer to this id.
    Lines(mpsc::UnboundedReceiver<Value>, Value),
    /// The same with the id of a new session.
    Greeting(mpsc::UnboundedReceiver<Value>, Value, String),
    /// A stream from this event on.
    Log(Arc<Stream>, usize),
}

/// The connection is not used any more.
struct Closed;

struct Wire {
    reader: ReadHalf<DuplexStream>,
    writer: WriteHalf<DuplexStream>,
    buffer: Vec<u8>,
}

/// Answers requests until the connection ends.
pub(super) async fn serve(io: DuplexStream, program: Arc<Program>, process: Arc<Process>) {
    let (reader, writer) = split(io);
    let mut wire = Wire { reader, writer, buffer: Vec::new() };
    while let Ok(request) = wire.request().await {
        if program.goes_wrong(80) {
            // It breaks before anything ran.
            return;
        }
        if program.goes_wrong(80) {
            if wire.status(if program.random.one_in(2) { 503 } else { 500 }).await.is_err() {
                return;
            }
            continue;
        }
        if program.goes_wrong(40) {
            tokio::time::sleep(Duration::from_millis(program.random.below(8000))).await;
        }
        if request.last.is_some() {
            program.ledger.happened(Event::Resumed);
        }
        let is_get = request.verb == "GET";
        let answer = process.answer(&program, request);
        if program.goes_wrong(80) {
            // It breaks before the head of the answer, and what runs goes on or not.
            return;
        }
        let _ear = is_get.then(|| program.ledger.present(Gauge::Ears));
        let is_done = match answer {
            Answer::Status(status) => wire.status(status).await,
            Answer::Lines(lines, id) => wire.lines(&program, lines, &id, "").await,
            Answer::Greeting(lines, id, session) => {
                wire.lines(&program, lines, &id, &format!("mcp-session-id: {session}\r\n")).await
            }
            Answer::Log(stream, from) => wire.log(&program, &stream, from).await,
        };
        if is_done.is_err() || program.goes_wrong(30) {
            return;
        }
    }
}

impl Wire {
    async fn request(&mut self) -> Result<Request, Closed> {
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                break String::from_utf8(std::mem::replace(&mut self.buffer, rest)).map_err(|_| Closed)?;
            }
            self.more().await?;
        };
        let header = |name: &str| {
            head.lines().skip(1).find_map(|line| {
                let (own, value) = line.split_once(':')?;
                own.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while self.buffer.len() < length {
            self.more().await?;
        }
        let rest = self.buffer.split_off(length);
        let body = std::mem::replace(&mut self.buffer, rest);
        Ok(Request {
            verb: head.split(' ').next().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            session: header("mcp-session-id").unwrap_or_default(),
            last: header("last-event-id"),
        })
    }

    async fn more(&mut self) -> Result<(), Closed> {
        match self.reader.read_buf(&mut self.buffer).await {
            Ok(read) if read > 0 => Ok(()),
            _ => Err(Closed),
        }
    }

    async fn write(&mut self, text: &str) -> Result<(), Closed> {
        self.writer.write_all(text.as_bytes()).await.map_err(|_| Closed)
    }

    async fn status(&mut self, status: u16) -> Result<(), Closed> {
        self.write(&format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")).await
    }

    async fn json(&mut self, headers: &str, body: &Value) -> Result<(), Closed> {
        let body = body.to_string();
        let length = body.len();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        self.write(&format!("{head}{headers}content-length: {length}\r\n\r\n{body}")).await
    }

    async fn head(&mut self, headers: &str) -> Result<(), Closed> {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n";
        self.write(&format!("{head}{headers}\r\n")).await
    }

    async fn event(&mut self, id: Option<&str>, data: &str) -> Result<(), Closed> {
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        let event = format!("{id}data: {data}\n\n");
        self.write(&format!("{:x}\r\n{event}\r\n", event.len())).await
    }

    /// Waits for something, unless the client closes the connection before.
    async fn unless_closed<T>(&mut self, waiting: impl Future<Output = T>) -> Result<T, Closed> {
        tokio::select! {
            biased;
            done = waiting => Ok(done),
            // Nobody sends a request before the last one is answered.
            _ = self.reader.read_buf(&mut self.buffer) => Err(Closed),
        }
    }

    /// Answers with what is said on `lines`: as JSON where nothing comes before the answer.
    async fn lines(
        &mut self,
        program: &Program,
        mut lines: mpsc::UnboundedReceiver<Value>,
        id: &Value,
        headers: &str,
    ) -> Result<(), Closed> {
        let is_end = |said: &Value| said.get("method").is_none() && said["id"] == *id;
        let mut next = self.unless_closed(lines.recv()).await?.ok_or(Closed)?;
        if is_end(&next) && program.random.one_in(2) {
            return self.json(headers, &next).await;
        }
        self.head(headers).await?;
        loop {
            if program.goes_wrong(60) {
                return Err(Closed);
            }
            self.event(None, &next.to_string()).await?;
            if is_end(&next) {
                if program.goes_wrong(20) {
                    self.event(None, &next.to_string()).await?;
                }
                return self.write("0\r\n\r\n").await;
            }
            next = self.unless_closed(lines.recv()).await?.ok_or(Closed)?;
        }
    }

    /// Answers with a stream: as JSON where its only event is there.
    async fn log(&mut self, program: &Program, stream: &Stream, from: usize) -> Result<(), Closed> {
        let mut at = from;
        if stream.number > 0 && from == 0 {
            let first = self.unless_closed(stream.after(0)).await?;
            tokio::task::yield_now().await;
            if let Some(first) = first.filter(|_| stream.is_whole(0) && program.random.one_in(2)) {
                return self.json("", &first).await;
            }
        }
        self.head("").await?;
        let id = |at: usize| stream.has_ids.then(|| format!("{}-{at}", stream.number));
        if stream.has_ids {
            self.event(id(at).as_deref(), "").await?;
        }
        loop {
            if program.goes_wrong(60) {
                return Err(Closed);
            }
            if stream.has_ids && program.goes_wrong(60) {
                // In order, but before its end: the client shall come back.
                return self.write("0\r\n\r\n").await;
            }
            let Some(next) = self.unless_closed(stream.after(at)).await? else {
                return self.write("0\r\n\r\n").await;
            };
            at += 1;
            self.event(id(at).as_deref(), &next.to_string()).await?;
            if program.goes_wrong(40) {
                self.event(id(at).as_deref(), &next.to_string()).await?;
            }
        }
    }
}
