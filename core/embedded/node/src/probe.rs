//! Asks a container whether it started, lives and is ready.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::pod::{Command, Life};
use crate::sandbox::Sandbox;

/// Runs one probe once; the error is what the status shows.
pub(crate) async fn check(
    life: &Life,
    container: &str,
    probe: &crate::pod::Probe,
    sandbox: &Sandbox,
    port_of: impl Fn(&serde_json::Value) -> Option<u16>,
) -> Result<(), String> {
    let limit = Duration::from_secs(probe.timeout_seconds.unwrap_or(1).max(1));
    let attempt = async {
        if let Some(action) = &probe.exec {
            let command = Command::new(container, action.command.clone());
            let child = life.exec(&command).await.map_err(|e| e.to_string())?;
            let mut child = child;
            drop(child.stdin.take());
            let output = child.wait_with_output().await.map_err(|e| e.to_string())?;
            if output.status.success() {
                return Ok(());
            }
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.push_str(&String::from_utf8_lossy(&output.stderr));
            return Err(format!(
                "command ended with {}: {}",
                output.status.code().unwrap_or(-1),
                clip(text.trim())
            ));
        }
        if let Some(action) = &probe.tcp_socket {
            let port = port_of(&action.port).ok_or("the probe names no known port")?;
            let address = SocketAddrV4::new(sandbox.address, port);
            return sandbox
                .connect(address)
                .await
                .map(drop)
                .map_err(|e| e.to_string());
        }
        if let Some(action) = &probe.http_get {
            let port = port_of(&action.port).ok_or("the probe names no known port")?;
            let status = http_get(sandbox, sandbox.address, port, action).await?;
            return match status {
                200..=399 => Ok(()),
                _ => Err(format!("HTTP probe failed with statuscode: {status}")),
            };
        }
        Ok(())
    };
    match tokio::time::timeout(limit, attempt).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
    }
}

async fn http_get(
    sandbox: &Sandbox,
    address: Ipv4Addr,
    port: u16,
    action: &crate::pod::HttpAction,
) -> Result<u16, String> {
    let mut stream = sandbox
        .connect(SocketAddrV4::new(address, port))
        .await
        .map_err(|e| e.to_string())?;
    let is_clean = |text: &str| !text.contains(['\r', '\n']);
    let path = action.path.as_deref().unwrap_or("/");
    let mut request = format!("GET {path} HTTP/1.1\r\n");
    if !action
        .http_headers
        .iter()
        .any(|h| h.name.eq_ignore_ascii_case("host"))
    {
        request.push_str(&format!("Host: {address}:{port}\r\n"));
    }
    for header in &action.http_headers {
        if !is_clean(&header.name) || !is_clean(&header.value) {
            return Err("a probe header contains a line break".to_owned());
        }
        request.push_str(&format!("{}: {}\r\n", header.name, header.value));
    }
    if !is_clean(path) {
        return Err("the probe's path contains a line break".to_owned());
    }
    request.push_str("User-Agent: catalyst-probe\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|e| e.to_string())?;
    let mut head = Vec::new();
    while head.len() < 1024 && !head.contains(&b'\n') {
        let mut piece = [0u8; 256];
        match stream.read(&mut piece).await {
            Ok(0) => break,
            Ok(length) => head.extend_from_slice(piece.get(..length).unwrap_or_default()),
            Err(e) => return Err(e.to_string()),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().next().unwrap_or_default();
    line.strip_prefix("HTTP/1.")
        .and_then(|l| l.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| "the answer is not HTTP".to_owned())
}

fn clip(text: &str) -> String {
    text.chars().take(512).collect()
}
