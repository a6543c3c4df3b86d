//! `catalyst open`: an Application in the browser, also where the machine does not
//! resolve `*.localhost`.

use std::net::SocketAddr;

use anyhow::Context;
use catalyst_api::ApplicationView;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::api::{Api, Connection};
use super::browser;
use super::change::In;
use super::failure::hinted;
use super::output::{plain, print, say};

/// The most bytes of a request's head.
const HEAD: usize = 64 * 1024;

/// Open an Application: prints its address, and opens a browser where there is one.
#[derive(Debug, clap::Args)]
pub struct Open {
    /// The Application.
    name: String,
    /// Print the address, and open no browser.
    #[arg(long)]
    print: bool,
    /// Forward a local port even if the address resolves.
    #[arg(long)]
    forward: bool,
    #[command(flatten)]
    place: In,
    #[command(flatten)]
    connection: Connection,
}

impl Open {
    /// Prints the address; forwards until interrupted where that is needed.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.connection.api().await?;
        let environment = &self.place.environment;
        let path = ["environments", environment, "applications", &self.name];
        let view: ApplicationView = api.get(&path).await?;
        let Some(address) = view.summary.url else {
            return Err(hinted(
                format!("{} has no page to open", self.name),
                format!(
                    "`catalyst get objects -e {environment} {}` shows what it has",
                    self.name
                ),
            ));
        };
        let url = Url::parse(&address)
            .with_context(|| format!("the Sovereign's address of {} is no URL", self.name))?;
        if !self.forward && (self.print || resolves(&url).await) {
            print(&format!("{}\n", plain(&address)))?;
            if !self.print {
                browser::open(&address);
            }
            return Ok(());
        }
        let host = authority(&url)?;
        let upstream = upstream(&api).await?;
        let listener = listen().await.context("cannot listen on this machine")?;
        let local = format!("http://{}{}", listener.local_addr()?, url.path());
        print(&format!("{local}\n"))?;
        say(&match self.forward {
            true => format!("Forwards to {host}; ends with Ctrl-C"),
            false => {
                format!("Forwards to {host}, which this machine does not resolve; ends with Ctrl-C")
            }
        });
        if !self.print {
            browser::open(&local);
        }
        forward(listener, upstream, host).await
    }
}

/// Not at the address where somebody may be signed in at the console: cookies
/// know no ports, and an Application must neither get nor set the console's.
async fn listen() -> std::io::Result<TcpListener> {
    match TcpListener::bind("127.0.0.2:0").await {
        Ok(listener) => Ok(listener),
        // Not every system has the whole of 127.0.0.0/8; the Sovereign's gateway
        // keeps its own cookies back there too.
        Err(_) => TcpListener::bind("127.0.0.1:0").await,
    }
}

fn authority(url: &Url) -> anyhow::Result<String> {
    if url.scheme() != "http" {
        return Err(hinted(
            format!("cannot forward to {url}: it wants TLS for its own name"),
            "make its name resolve on this machine, for instance in /etc/hosts",
        ));
    }
    let host = url.host_str().context("the address names no host")?;
    Ok(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

async fn resolves(url: &Url) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return false;
    };
    match tokio::net::lookup_host((host, port)).await {
        Ok(mut found) => found.next().is_some(),
        Err(_) => false,
    }
}

/// Where the Sovereign listens.
async fn upstream(api: &Api) -> anyhow::Result<SocketAddr> {
    let base = api.base();
    let host = base.host_str().context("the server has no name")?;
    let port = base.port_or_known_default().unwrap_or(80);
    tokio::net::lookup_host((host.trim_matches(['[', ']']), port))
        .await
        .context("cannot resolve the Sovereign's address")?
        .next()
        .context("the Sovereign's address does not resolve")
}

/// Passes connections on to `upstream`, each request with `host` as its Host.
async fn forward(listener: TcpListener, upstream: SocketAddr, host: String) -> anyhow::Result<()> {
    loop {
        let (client, _) = listener.accept().await.context("cannot accept")?;
        let host = host.clone();
        tokio::spawn(async move {
            if let Err(error) = pass(client, upstream, &host).await {
                tracing::debug!(error = format!("{error:#}"), "forwarding ended");
            }
        });
    }
}

/// One connection, one request: the answer's end closes it, so only the first head
/// has to be understood. What comes after an upgrade passes through.
async fn pass(mut client: TcpStream, upstream: SocketAddr, host: &str) -> anyhow::Result<()> {
    let mut head = Vec::new();
    let end = loop {
        if let Some(end) = head.windows(4).position(|end| end == b"\r\n\r\n") {
            break end + 4;
        }
        anyhow::ensure!(head.len() < HEAD, "the request's head is too long");
        let mut buffer = [0; 4096];
        let length = client.read(&mut buffer).await?;
        anyhow::ensure!(length > 0, "the request broke off");
        head.extend_from_slice(buffer.get(..length).unwrap_or_default());
    };
    let body = head.split_off(end);
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(rewrite(&head, host).as_bytes()).await?;
    server.write_all(&body).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// The head with another Host; closes the connection unless it is upgraded.
fn rewrite(head: &[u8], host: &str) -> String {
    let text = String::from_utf8_lossy(head);
    let is = |line: &str, name: &str| {
        line.split_once(':')
            .is_some_and(|(key, _)| key.trim().eq_ignore_ascii_case(name))
    };
    let is_upgrade = text.lines().any(|line| is(line, "upgrade"));
    let mut rewritten = String::new();
    for (index, line) in text.trim_end().lines().enumerate() {
        if is(line, "host") && index > 0 || (is(line, "connection") && !is_upgrade) {
            continue;
        }
        rewritten.push_str(line);
        rewritten.push_str("\r\n");
        if index == 0 {
            rewritten.push_str(&format!("Host: {host}\r\n"));
        }
    }
    if !is_upgrade {
        rewritten.push_str("Connection: close\r\n");
    }
    rewritten + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_passed_on_under_the_applications_name() {
        let check = |head: &str, expected: &str| {
            assert_eq!(rewrite(head.as_bytes(), "a.b.localhost:80"), expected);
        };
        check(
            "GET /x HTTP/1.1\r\nhost: 127.0.0.1:1\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost: a.b.localhost:80\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        );
        check(
            "GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost: a.b.localhost:80\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
    }

    #[tokio::test]
    async fn a_forwarded_request_reaches_the_server_with_its_body() {
        let app =
            axum::Router::new().fallback(|headers: http::HeaderMap, body: String| async move {
                format!("{} {body}", headers["host"].to_str().unwrap_or_default())
            });
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = server.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(server, app).await });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = listener.local_addr().unwrap();
        tokio::spawn(forward(
            listener,
            upstream,
            "guests.acme-dev.localhost:8080".into(),
        ));
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for body in ["one", "two"] {
            let answer = client
                .post(format!("http://{local}/"))
                .body(body)
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap();
            assert_eq!(answer, format!("guests.acme-dev.localhost:8080 {body}"));
        }
    }
}
