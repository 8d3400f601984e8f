//! A small HTTP/1.1 client: what a load generator needs, and no more.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest head or event that is taken, in bytes.
const TEXT_MAX: usize = 4 << 20;
/// Bytes read at a time.
const READ: usize = 8 << 10;

/// An answer read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{}: {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    address: SocketAddr,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address })
    }

    /// Asks, and reads the answer to its end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Result<Answer> {
        let body = body.unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{kind}{length}\r\n{body}",
            self.address
        );
        self.stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        let head_end = self.read_head(&mut bytes).await?;
        let head = String::from_utf8_lossy(bytes.get(..head_end).unwrap_or_default()).into_owned();
        let status = status_of(&head)?;
        let mut answer = Answer { status, head, body: bytes.split_off(head_end + 4) };
        let length: usize =
            answer.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        while answer.body.len() < length {
            if self.stream.read_buf(&mut answer.body).await? == 0 {
                bail!("the answer was cut off");
            }
        }
        Ok(answer)
    }

    async fn read_head(&mut self, bytes: &mut Vec<u8>) -> Result<usize> {
        loop {
            if let Some(end) = find(bytes, b"\r\n\r\n") {
                return Ok(end);
            }
            if bytes.len() > TEXT_MAX || self.stream.read_buf(bytes).await? == 0 {
                bail!("the server closed the connection");
            }
        }
    }

    /// Begins a stream of events.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) async fn watch(mut self, path: &str, last: Option<&str>) -> Result<Events> {
        let last = last.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n{last}\r\n",
            self.address
        );
        self.stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        let head_end = self.read_head(&mut bytes).await?;
        let head = String::from_utf8_lossy(bytes.get(..head_end).unwrap_or_default()).into_owned();
        if status_of(&head)? != 200 {
            bail!("a stream was refused: {head}");
        }
        let raw = bytes.split_off(head_end + 4);
        Ok(Events { stream: self.stream, raw, text: Vec::new(), left: 0 })
    }
}

fn status_of(head: &str) -> Result<u16> {
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.with_context(|| format!("not an answer: {head}"))
}

/// Where `part` begins in `bytes`.
pub(crate) fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// A stream of events.
pub(crate) struct Events {
    stream: TcpStream,
    /// As it came, in chunks.
    raw: Vec<u8>,
    /// What was in the chunks.
    text: Vec<u8>,
    /// Bytes of the chunk at hand that are still to come, its line end included.
    left: usize,
}

/// One event.
#[derive(Debug, Default, Clone)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

impl Event {
    /// The data as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.data).with_context(|| self.data.clone())
    }
}

impl Events {
    /// The next event; `None` when the stream ended.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no stream of events.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.take()? {
                return Ok(Some(event));
            }
            self.raw.reserve(READ);
            if self.stream.read_buf(&mut self.raw).await? == 0 {
                return Ok(None);
            }
            self.unchunk()?;
        }
    }

    /// An event that has come already.
    fn take(&mut self) -> Result<Option<Event>> {
        self.unchunk()?;
        while let Some(end) = find(&self.text, b"\n\n") {
            let rest = self.text.split_off(end + 2);
            let text = std::mem::replace(&mut self.text, rest);
            let event = event(&String::from_utf8_lossy(&text));
            if !event.name.is_empty() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn unchunk(&mut self) -> Result<()> {
        loop {
            if self.left > 0 {
                let now = self.left.min(self.raw.len());
                let rest = self.raw.split_off(now);
                let mut part = std::mem::replace(&mut self.raw, rest);
                // The last two bytes of a chunk are its line end.
                let of_text = now.min(self.left.saturating_sub(2));
                part.truncate(of_text);
                self.text.append(&mut part);
                self.left -= now;
                if self.left > 0 {
                    return Ok(());
                }
            }
            let Some(end) = find(&self.raw, b"\r\n") else { return Ok(()) };
            let size = std::str::from_utf8(self.raw.get(..end).unwrap_or_default())?;
            let size = usize::from_str_radix(size.trim(), 16).context("not a chunk")?;
            self.raw.drain(..end + 2);
            self.left = size + 2;
            if size > TEXT_MAX {
                bail!("a chunk of {size} bytes");
            }
        }
    }
}

fn event(text: &str) -> Event {
    let mut event = Event::default();
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("event", name)) => event.name = name.to_owned(),
            Some(("id", id)) => event.id = Some(id.to_owned()),
            Some(("data", data)) => event.data = data.to_owned(),
            _ => {}
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_a_name_an_id_and_data() {
        let found = event(": note\nid: 1.a\nevent: change\ndata: {\"a\": 1}\n\n");
        assert_eq!((found.name.as_str(), found.id.as_deref()), ("change", Some("1.a")));
        assert_eq!(found.data, "{\"a\": 1}");
        assert_eq!(event("retry: 5\n\n").name, "");
    }
}
