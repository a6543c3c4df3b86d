//! The loopback end of a browser sign-in (RFC 8252, section 7.3): waits for the one
//! request that carries the code.

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::failure::hinted;

/// The most bytes of a request's head.
const HEAD: usize = 16 * 1024;

/// Listens on a free port; the redirect URI that leads there.
pub async fn listen() -> anyhow::Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("cannot listen on this machine for the browser's answer")?;
    let port = listener.local_addr()?.port();
    Ok((listener, format!("http://127.0.0.1:{port}/callback")))
}

/// Waits for the answer that has `state` and comes from `issuer`; its code.
/// Anything else that knocks is turned away.
pub async fn answer(listener: TcpListener, state: &str, issuer: &str) -> anyhow::Result<String> {
    loop {
        let (mut stream, _) = listener.accept().await.context("cannot accept")?;
        let Some(target) = target(&mut stream).await else {
            continue;
        };
        let Some(outcome) = read(&target, state, issuer) else {
            reply(&mut stream, "404 Not Found", "There is nothing here.").await;
            continue;
        };
        let (status, text) = match &outcome {
            Ok(_) => ("200 OK", "You are signed in. You may close this page."),
            Err(_) => (
                "400 Bad Request",
                "You are not signed in; see the terminal.",
            ),
        };
        reply(&mut stream, status, text).await;
        return outcome;
    }
}

/// What a request to the redirect URI says; `None` when it is not ours.
fn read(target: &str, state: &str, issuer: &str) -> Option<anyhow::Result<String>> {
    let url = Url::parse("http://127.0.0.1").ok()?.join(target).ok()?;
    let value = |name: &str| {
        url.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    if url.path() != "/callback" || value("state").as_deref() != Some(state) {
        return None;
    }
    // RFC 9207: an answer of another issuer is not for us.
    if value("iss").is_some_and(|from| from != issuer) {
        return None;
    }
    if let Some(error) = value("error") {
        let reason = value("error_description").unwrap_or(error);
        return Some(Err(hinted(
            format!("the issuer did not sign you in: {reason}"),
            "run `catalyst login` again",
        )));
    }
    value("code").map(Ok)
}

/// The request's target, from the first line of its head.
async fn target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD {
        let wait = std::time::Duration::from_secs(5);
        let length = tokio::time::timeout(wait, stream.read(&mut buffer))
            .await
            .ok()?
            .ok()
            .filter(|length| *length > 0)?;
        head.extend_from_slice(buffer.get(..length)?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.lines().next()?.split(' ');
    (words.next()? == "GET").then_some(())?;
    words.next().map(str::to_owned)
}

async fn reply(stream: &mut TcpStream, status: &str, text: &str) {
    let page = format!("<!doctype html><meta charset=utf-8><title>Catalyst</title><p>{text}</p>");
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n",
        page.len()
    );
    // The browser's page is a courtesy; the sign-in does not depend on it.
    _ = stream.write_all(head.as_bytes()).await;
    _ = stream.write_all(page.as_bytes()).await;
    _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_that_was_asked_for_counts() {
        let check = |target: &str, expected: Option<Result<&str, ()>>| {
            let found = read(target, "s", "http://i/oidc");
            let found = found.map(|outcome| outcome.map_err(drop));
            let expected = expected.map(|outcome| outcome.map(str::to_owned));
            assert_eq!(found, expected, "{target}");
        };
        check(
            "/callback?code=c&state=s&iss=http%3A%2F%2Fi%2Foidc",
            Some(Ok("c")),
        );
        check("/callback?code=c&state=s", Some(Ok("c")));
        check("/callback?code=c&state=other", None);
        check("/callback?code=c", None);
        check("/callback?code=c&state=s&iss=http://evil", None);
        check("/favicon.ico", None);
        check("/callback?error=access_denied&state=s", Some(Err(())));
        check("/callback?state=s", None);
    }
}
