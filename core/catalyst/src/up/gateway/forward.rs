//! One request over one connection to a pod, and the answer back, upgrades
//! (WebSocket) included. What must stay true: no Application sees, or sets, the
//! cookies by which somebody is signed in at the Sovereign itself.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use http::header::{
    CONNECTION, COOKIE, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Sends `request` to the pod behind `stream`.
pub async fn forward(
    mut request: Request<Body>,
    stream: TcpStream,
    host: &str,
    is_tls: bool,
) -> Response {
    drop(stream.set_nodelay(true));
    let upgrade = request.headers().get(UPGRADE).cloned();
    let client_side = upgrade.as_ref().map(|_| hyper::upgrade::on(&mut request));
    let outgoing = match prepare(request, host, is_tls, upgrade.as_ref()) {
        Ok(outgoing) => outgoing,
        Err(error) => return failed(host, &error.to_string()),
    };
    let (mut sender, connection) = match http1::handshake(TokioIo::new(stream)).await {
        Ok(pair) => pair,
        Err(error) => return failed(host, &error.to_string()),
    };
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(error = %error, "connection to a pod ended early");
        }
    });
    let mut answer = match sender.send_request(outgoing).await {
        Ok(answer) => answer,
        Err(error) => return failed(host, &error.to_string()),
    };
    keep_own_cookies_unset(answer.headers_mut());
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client_side) = client_side
    {
        let pod_side = hyper::upgrade::on(&mut answer);
        tokio::spawn(async move {
            if let (Ok(client), Ok(pod)) = (client_side.await, pod_side.await) {
                let (mut client, mut pod) = (TokioIo::new(client), TokioIo::new(pod));
                drop(tokio::io::copy_bidirectional(&mut client, &mut pod).await);
            }
        });
        return answer.map(Body::new).into_response();
    }
    let (mut parts, body) = answer.into_parts();
    strip(&mut parts.headers);
    parts.version = http::Version::HTTP_11;
    Response::from_parts(parts, Body::new(body))
}

fn prepare(
    request: Request<Body>,
    host: &str,
    is_tls: bool,
    upgrade: Option<&HeaderValue>,
) -> Result<Request<Body>, http::Error> {
    let (mut parts, body) = request.into_parts();
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = parts
        .uri
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    parts.uri = Uri::builder().path_and_query(path).build()?;
    parts.version = http::Version::HTTP_11;
    strip(&mut parts.headers);
    keep_own_cookies_back(&mut parts.headers);
    // HTTP/2 names the host in the URI only.
    if let Some(authority) = authority {
        parts.headers.entry(HOST).or_insert(authority);
    }
    if let Some(upgrade) = upgrade {
        parts.headers.insert(UPGRADE, upgrade.clone());
        parts
            .headers
            .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    // What a client says about itself here must not pass for what was seen.
    let seen = [
        ("x-forwarded-for", peer.map(|peer| peer.to_string())),
        (
            "x-forwarded-proto",
            Some(if is_tls { "https" } else { "http" }.to_owned()),
        ),
        ("x-forwarded-host", Some(host.to_owned())),
    ];
    parts.headers.remove("forwarded");
    for (name, value) in seen {
        parts.headers.remove(name);
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            parts.headers.insert(HeaderName::from_static(name), value);
        }
    }
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = parts.uri;
    *outgoing.headers_mut() = parts.headers;
    Ok(outgoing)
}

/// Removes what concerns one connection only (RFC 9110, section 7.6.1).
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Whether a cookie of this name is the console's or the issuer's. Cookies know
/// no ports: where an Application is reached by another port of a host at which
/// somebody is signed in, browsers send them along.
fn is_own_cookie(pair: &[u8]) -> bool {
    let pair = pair.trim_ascii_start();
    ["catalyst", "__Host-catalyst", "__Secure-catalyst"]
        .iter()
        .any(|own| {
            pair.get(..own.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(own.as_bytes()))
        })
}

fn keep_own_cookies_back(headers: &mut HeaderMap) {
    let kept: Vec<HeaderValue> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| {
            let pairs: Vec<&[u8]> = value
                .as_bytes()
                .split(|byte| *byte == b';')
                .filter(|pair| !is_own_cookie(pair))
                .collect();
            let kept = pairs.join(&b';');
            let kept = kept.trim_ascii();
            (!kept.is_empty()).then(|| HeaderValue::from_bytes(kept).ok())?
        })
        .collect();
    headers.remove(COOKIE);
    for value in kept {
        headers.append(COOKIE, value);
    }
}

fn keep_own_cookies_unset(headers: &mut HeaderMap) {
    let kept: Vec<HeaderValue> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|value| !is_own_cookie(value.as_bytes()))
        .cloned()
        .collect();
    headers.remove(SET_COOKIE);
    for value in kept {
        headers.append(SET_COOKIE, value);
    }
}

fn failed(host: &str, why: &str) -> Response {
    tracing::debug!(host, why, "a pod's answer failed");
    (
        StatusCode::BAD_GATEWAY,
        format!("{host} broke off before it answered. Try again; its logs may say why.\n"),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_sovereigns_own_cookies_reach_no_application() {
        for (sent, expected) in [
            (vec!["a=1; catalyst_session=x; b=2"], vec!["a=1; b=2"]),
            (vec!["catalyst_session=x"], vec![]),
            (
                vec!["catalyst-session=x; __Host-catalyst_session=y"],
                vec![],
            ),
            (vec!["Catalyst_session=x;a=1", "b=2"], vec!["a=1", "b=2"]),
            (vec!["my_catalyst=1"], vec!["my_catalyst=1"]),
        ] {
            let mut headers = headers(COOKIE, &sent);
            keep_own_cookies_back(&mut headers);
            assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn no_application_sets_the_sovereigns_own_cookies() {
        let set = [
            "a=1; Path=/",
            "catalyst_session=x; Path=/",
            "__Host-catalyst_session=x",
        ];
        let mut headers = headers(SET_COOKIE, &set);
        keep_own_cookies_unset(&mut headers);
        assert_eq!(
            headers.get_all(SET_COOKIE).iter().collect::<Vec<_>>(),
            ["a=1; Path=/"]
        );
    }
}
