//! As much HTTP/1.1 as a page with a form needs: one request a connection.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::TcpStream,
};

const MAX_HEAD: usize = 16 * 1024;
const MAX_BODY: usize = 64 * 1024;

/// A request that was read whole.
pub struct Request {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
}

/// An answer.
pub struct Response {
    status: u16,
    kind: &'static str,
    location: Option<&'static str>,
    body: String,
}

impl Response {
    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.to_owned())
    }

    pub fn html(status: u16, body: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    pub fn json(status: u16, body: String) -> Self {
        Self::new(status, "application/json", body)
    }

    pub fn redirect(location: &'static str) -> Self {
        let mut response = Self::text(303, "");
        response.location = Some(location);
        response
    }

    fn new(status: u16, kind: &'static str, body: String) -> Self {
        Self {
            status,
            kind,
            location: None,
            body,
        }
    }

    pub fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let reason = match self.status {
            200 => "OK",
            303 => "See Other",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            413 => "Content Too Large",
            _ => "Service Unavailable",
        };
        let location = self
            .location
            .map(|location| format!("Location: {location}\r\n"))
            .unwrap_or_default();
        // The page is plain HTML of its own: no scripts, no foreign content.
        write!(
            stream,
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{location}\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; form-action 'self'\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{}",
            self.status,
            self.kind,
            self.body.len(),
            self.body
        )?;
        stream.flush()
    }
}

/// Reads one request, or the answer that refuses it.
pub fn read(stream: &mut TcpStream) -> Result<Request, Response> {
    let bad = |text: &str| Response::text(400, text);
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 4096];
    let end = loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > MAX_HEAD {
            return Err(Response::text(413, "the request's head is too long\n"));
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return Err(bad("the request ended early\n")),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version)) = (first.next(), first.next(), first.next())
    else {
        return Err(bad("the request line cannot be read\n"));
    };
    if !version.starts_with("HTTP/1.") {
        return Err(bad("only HTTP/1 is spoken here\n"));
    }
    let headers: BTreeMap<String, &str> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let length: usize = match headers.get("content-length") {
        Some(text) => text
            .parse()
            .map_err(|_| bad("Content-Length is not a number\n"))?,
        None if headers.contains_key("transfer-encoding") => {
            return Err(bad(
                "chunked requests are not read here; send Content-Length\n",
            ));
        }
        None => 0,
    };
    if length > MAX_BODY {
        return Err(Response::text(413, "the request is too long\n"));
    }
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return Err(bad("the request ended early\n")),
            Ok(count) => body.extend_from_slice(&buffer[..count]),
        }
    }
    body.truncate(length);
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Ok(Request {
        method: method.to_owned(),
        path,
        body,
    })
}

/// The fields of an `application/x-www-form-urlencoded` body.
pub fn form(body: &[u8]) -> BTreeMap<String, String> {
    body.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default());
            (name, decode(halves.next().unwrap_or_default()))
        })
        .collect()
}

fn decode(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let digit = |index: usize| {
            tail.get(index)
                .and_then(|byte| (*byte as char).to_digit(16))
        };
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            (b'+', ..) => bytes.push(b' '),
            (other, ..) => bytes.push(*other),
        }
    }
    // PostgreSQL's text holds no NUL.
    String::from_utf8_lossy(&bytes).replace('\0', "")
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let form = form("author=Ada+L.&message=1%2B1%3D2%20%C3%A9%zz%00&&x".as_bytes());
        assert_eq!(form["author"], "Ada L.");
        assert_eq!(form["message"], "1+1=2 é%zz");
        assert_eq!(form["x"], "");
    }
}
