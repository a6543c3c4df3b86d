//! For tests of the harness's own logic: what it asks the project, and what it does upon
//! the answers, which have the shapes of Hetzner's API
//! (<https://docs.hetzner.cloud/reference/cloud>). It makes nothing and stands for no
//! cloud; a run cannot name it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::settings::Project;

pub const TOKEN: &str = "canary-e2e-token-12345";

#[derive(Default)]
struct State {
    /// By path, such as `/servers/7`.
    things: BTreeMap<String, Value>,
    /// How often deleting a thing is refused still.
    in_use: BTreeMap<u64, usize>,
    /// How many requests fail still.
    failures: usize,
    calls: Vec<String>,
}

pub struct Api {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Api {
    pub fn new() -> Self {
        // Another test of this process may have installed it.
        _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &shared);
            }
        });
        Self { address, state }
    }

    pub fn project(&self, token: &str) -> Project {
        Project::standing_in(&self.address, token)
    }

    /// Puts a thing into the project.
    pub fn has(&self, kind: &str, id: u64, labels: Value) {
        let thing = json!({"id": id, "name": format!("thing-{id}"), "labels": labels});
        let mut state = self.state.lock().unwrap();
        state.things.insert(format!("/{kind}/{id}"), thing);
    }

    /// Refuses to delete a thing so often.
    pub fn is_in_use(&self, id: u64, times: usize) {
        self.state.lock().unwrap().in_use.insert(id, times);
    }

    /// Answers the next requests with an error of its own.
    pub fn fails(&self, times: usize) {
        self.state.lock().unwrap().failures = times;
    }

    /// Method and path of each request.
    pub fn calls(&self) -> Vec<String> {
        self.state.lock().unwrap().calls.clone()
    }

    /// Paths of what is in the project.
    pub fn left(&self) -> Vec<String> {
        self.state.lock().unwrap().things.keys().cloned().collect()
    }
}

/// Answers one request; the connection ends with it.
fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let Some((method, rest)) = head.first().and_then(|line| line.split_once(' ')) else {
        return;
    };
    let target = rest.split(' ').next().unwrap();
    let path = target.split('?').next().unwrap();
    let path = path.strip_prefix("/v1").unwrap();
    let is_signed = head
        .iter()
        .any(|line| line.eq_ignore_ascii_case(&format!("authorization: Bearer {TOKEN}")));
    let (status, body) = state.lock().unwrap().answer(method, path, is_signed);
    let body = body.to_string();
    let length = body.len();
    // Who asked may be gone.
    _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
}

impl State {
    fn answer(&mut self, method: &str, path: &str, is_signed: bool) -> (&'static str, Value) {
        let refusal = |code: &str| json!({"error": {"code": code, "message": code}});
        self.calls.push(format!("{method} {path}"));
        if !is_signed {
            return ("401 Unauthorized", refusal("unauthorized"));
        }
        if self.failures > 0 {
            self.failures -= 1;
            return ("503 Service Unavailable", refusal("unavailable"));
        }
        if method == "GET" {
            let kind = path.trim_start_matches('/');
            let of_kind = |place: &&String| place.split('/').nth(1) == Some(kind);
            let places: Vec<&String> = self.things.keys().filter(of_kind).collect();
            let things: Vec<&Value> = places.iter().map(|place| &self.things[*place]).collect();
            let meta = json!({"pagination": {"page": 1, "next_page": null}});
            return ("200 OK", json!({kind: things, "meta": meta}));
        }
        assert_eq!(method, "DELETE", "{path}");
        let Some(id) = self.things.get(path).and_then(|it| it["id"].as_u64()) else {
            return ("404 Not Found", refusal("not_found"));
        };
        match self.in_use.get_mut(&id) {
            Some(times) if *times > 0 => {
                *times -= 1;
                ("409 Conflict", refusal("resource_in_use"))
            }
            _ => {
                self.things.remove(path);
                ("200 OK", json!({}))
            }
        }
    }
}
