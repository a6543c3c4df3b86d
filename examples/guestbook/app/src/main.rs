//! A guestbook: one page that shows the entries and takes new ones.
//!
//! Reads its settings from the environment: `DATABASE_URL`, `LISTEN`
//! (`0.0.0.0:8080`), `TITLE`. Entries live in PostgreSQL and nowhere else, so any
//! number of copies may run. `/healthz` answers while the process lives;
//! `/readyz` only while the database answers too.

mod http;
mod page;
mod store;

use std::{
    env,
    net::{TcpListener, TcpStream},
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use http::{Request, Response};
use store::Store;

/// Connections served at once; more wait in the listener's queue.
const WORKERS: usize = 8;

fn main() -> ExitCode {
    let Ok(url) = env::var("DATABASE_URL") else {
        eprintln!("guestbook: DATABASE_URL is not set; give the address of a PostgreSQL database");
        return ExitCode::from(2);
    };
    let listen = env::var("LISTEN").unwrap_or_else(|_| "0.0.0.0:8080".to_owned());
    let title = env::var("TITLE").unwrap_or_else(|_| "Guestbook".to_owned());
    let store = match Store::new(&url) {
        Ok(store) => Arc::new(store),
        // The address holds the password, so it is not printed.
        Err(_) => {
            eprintln!(
                "guestbook: DATABASE_URL is not a PostgreSQL address; write postgres://user:password@host:port/database"
            );
            return ExitCode::from(2);
        }
    };
    let listener = match TcpListener::bind(&listen) {
        Ok(listener) => Arc::new(listener),
        Err(error) => {
            eprintln!("guestbook: cannot listen on {listen}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("guestbook: listening on {listen}");
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (listener, store, title) = (listener.clone(), store.clone(), title.clone());
            thread::spawn(move || {
                loop {
                    match listener.accept() {
                        Ok((stream, _)) => serve(stream, &store, &title),
                        Err(error) => {
                            eprintln!("guestbook: cannot accept a connection: {error}");
                            thread::sleep(Duration::from_millis(100));
                        }
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        if worker.join().is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn serve(mut stream: TcpStream, store: &Store, title: &str) {
    let timeout = Some(Duration::from_secs(10));
    if stream.set_read_timeout(timeout).is_err() || stream.set_write_timeout(timeout).is_err() {
        return;
    }
    let response = match http::read(&mut stream) {
        Ok(request) => answer(&request, store, title),
        Err(response) => response,
    };
    // A client that left does not get its answer; nothing is lost by that.
    let _ = response.write(&mut stream);
}

fn answer(request: &Request, store: &Store, title: &str) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/healthz") => Response::text(200, "ok\n"),
        ("GET", "/readyz") => match store.ping() {
            Ok(()) => Response::text(200, "ok\n"),
            Err(error) => Response::text(503, &format!("{error}\n")),
        },
        ("GET", "/") => match store.entries() {
            Ok(entries) => Response::html(200, page::guestbook(title, &entries)),
            Err(error) => Response::html(503, page::failure(title, &error)),
        },
        ("GET", "/entries") => match store.entries() {
            Ok(entries) => Response::json(200, page::json(&entries)),
            Err(error) => Response::text(503, &format!("{error}\n")),
        },
        ("POST", "/") => post(request, store, title),
        ("GET" | "POST", _) => Response::text(
            404,
            "there is nothing at this address; the guestbook is at /\n",
        ),
        _ => Response::text(405, "only GET and POST are answered here\n"),
    }
}

fn post(request: &Request, store: &Store, title: &str) -> Response {
    let form = http::form(&request.body);
    let field = |name: &str| form.get(name).map(|text| text.trim()).unwrap_or_default();
    let (author, message) = (field("author"), field("message"));
    if author.is_empty() || message.is_empty() {
        return Response::html(
            400,
            page::failure(title, "Please give a name and a message."),
        );
    }
    if author.chars().count() > 80 || message.chars().count() > 2000 {
        let text = "A name has at most 80 characters and a message 2000.";
        return Response::html(400, page::failure(title, text));
    }
    match store.add(author, message) {
        Ok(()) => Response::redirect("/"),
        Err(error) => Response::html(503, page::failure(title, &error)),
    }
}
