//! The live stream of the read model, as a client: server-sent events that go on
//! where they stopped when the connection breaks.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context;
use catalyst_api::StreamItem;
use reqwest::{Method, Response};

use super::api::Api;
use super::failure::is_signed_out;

/// Connection attempts in a row before giving up.
const ATTEMPTS: u32 = 6;
/// The longest event that is taken.
const LIMIT: usize = 16 * 1024 * 1024;

/// What the stream says.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// Something changed.
    Change(Box<StreamItem>),
    /// Some changes are lost: read everything anew.
    Reset,
}

/// An open stream.
pub struct Stream<'a> {
    api: &'a Api,
    response: Option<Response>,
    parser: Parser,
    ready: VecDeque<Event>,
}

impl<'a> Stream<'a> {
    /// Opens the stream from now on.
    pub async fn open(api: &'a Api) -> anyhow::Result<Self> {
        let mut stream = Self {
            api,
            response: None,
            parser: Parser::default(),
            ready: VecDeque::new(),
        };
        stream.response = Some(stream.connect().await?);
        Ok(stream)
    }

    async fn connect(&self) -> anyhow::Result<Response> {
        let mut request = self
            .api
            .request(Method::GET, &["stream"])
            .header("accept", "text/event-stream");
        if let Some(id) = &self.parser.last_id {
            request = request.header("last-event-id", id);
        }
        self.api.send(request).await
    }

    /// The next event. Connects again when the connection ends.
    pub async fn next(&mut self) -> anyhow::Result<Event> {
        let mut failures = 0;
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let Some(response) = &mut self.response else {
                match self.connect().await {
                    Ok(response) => {
                        // Without a position nothing says what was missed.
                        if self.parser.last_id.is_none() {
                            self.ready.push_back(Event::Reset);
                        }
                        self.response = Some(response);
                    }
                    Err(error) if failures + 1 >= ATTEMPTS || is_signed_out(&error) => {
                        return Err(error);
                    }
                    Err(_) => {
                        failures += 1;
                        tokio::time::sleep(Duration::from_millis(200 << failures)).await;
                    }
                }
                continue;
            };
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    failures = 0;
                    self.ready.extend(self.parser.feed(&chunk)?);
                }
                Ok(None) | Err(_) => {
                    self.response = None;
                    self.parser.forget_partial();
                }
            }
        }
    }
}

/// Cuts bytes into events, as the HTML standard says of `text/event-stream`.
#[derive(Debug, Default)]
struct Parser {
    buffer: Vec<u8>,
    last_id: Option<String>,
    id: Option<String>,
    event: String,
    data: String,
}

impl Parser {
    fn feed(&mut self, chunk: &[u8]) -> anyhow::Result<Vec<Event>> {
        self.buffer.extend_from_slice(chunk);
        let mut events = Vec::new();
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']).to_owned();
            events.extend(self.line(&line)?);
        }
        anyhow::ensure!(
            self.buffer.len() + self.data.len() <= LIMIT,
            "the stream sent an event that is too long"
        );
        Ok(events)
    }

    fn line(&mut self, line: &str) -> anyhow::Result<Option<Event>> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            _ => {}
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> anyhow::Result<Option<Event>> {
        if let Some(id) = self.id.take() {
            self.last_id = Some(id);
        }
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        match event.as_str() {
            "reset" => Ok(Some(Event::Reset)),
            "change" => serde_json::from_str(&data)
                .map(|item| Some(Event::Change(Box::new(item))))
                .context(
                    "cannot read a change; the Sovereign's version may differ from this one's",
                ),
            _ => Ok(None),
        }
    }

    fn forget_partial(&mut self) {
        self.buffer.clear();
        self.data.clear();
        self.event.clear();
        self.id = None;
    }
}

#[cfg(test)]
mod tests {
    use catalyst_api::Removed;

    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = ": hello\r\nid: 7\nevent: change\ndata: {\"kind\":\"removed\",\n\
                    data:\"item\":{\"kind\":\"policy\",\"name\":\"p\"}}\n\nevent: ping\n\n\
                    id: 9\nevent: reset\ndata: {}\n\nid: 10\nevent: cha";
        let removed = StreamItem::Removed(Removed {
            kind: "policy".into(),
            name: "p".into(),
            organization: None,
        });
        let expected = [Event::Change(Box::new(removed)), Event::Reset];
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                events.extend(parser.feed(chunk).unwrap());
            }
            assert_eq!(events, expected, "cut every {size} bytes");
            assert_eq!(parser.last_id.as_deref(), Some("9"));
        }
    }
}
