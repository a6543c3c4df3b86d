//! What `/metrics` tells, in the text format of OpenMetrics.
//!
//! Open to programs on this machine, as is customary; over the network only the
//! Sovereign's administrators read it.
//!
//! Names follow `catalyst_<part>_<thing>_<unit>`; the process's own follow the
//! names that Prometheus' clients use everywhere.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use catalyst_kubernetes::Identity;
use http::header::{CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::identity::{Introspection, bearer};

const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The group of the Kubernetes API that may do everything.
const MASTERS: &str = "system:masters";
/// From one millisecond to half a minute.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.3, 1.0, 5.0, 30.0];

/// The surfaces of the one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Surface {
    Api,
    Application,
    Console,
    Git,
    Issuer,
    Kubernetes,
    Registry,
    Vault,
}

impl Surface {
    fn of(path: &str) -> Self {
        match path.split('/').nth(1).unwrap_or_default() {
            "v2" => Self::Registry,
            "api" if path.starts_with("/api/v2.0/") => Self::Registry,
            "api" => Self::Api,
            "git" => Self::Git,
            "oidc" => Self::Issuer,
            "vault" => Self::Vault,
            "clusters" => Self::Kubernetes,
            _ => Self::Console,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    surface: Surface,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SurfaceLabels {
    surface: Surface,
}

type Durations = Family<SurfaceLabels, Histogram, fn() -> Histogram>;

/// The numbers; clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    ready: Gauge,
    resident: Gauge,
    descriptors: Gauge,
}

impl Metrics {
    /// Numbers that all begin at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let durations = Durations::new_with_constructor(|| Histogram::new(BUCKETS));
        let (ready, resident, descriptors) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register(
            "catalyst_server_requests",
            "Requests answered, by surface and HTTP status",
            requests.clone(),
        );
        registry.register(
            "catalyst_server_request_duration_seconds",
            "Time until the head of an answer was known",
            durations.clone(),
        );
        registry.register(
            "catalyst_sovereign_ready",
            "Whether everything is ready: 0 or 1",
            ready.clone(),
        );
        registry.register(
            "process_resident_memory_bytes",
            "Resident memory",
            resident.clone(),
        );
        registry.register(
            "process_open_fds",
            "Open file descriptors",
            descriptors.clone(),
        );
        Self {
            registry: Arc::new(registry),
            requests,
            durations,
            ready,
            resident,
            descriptors,
        }
    }

    /// Everything is ready.
    pub fn set_ready(&self) {
        self.ready.set(1);
    }

    /// A request was answered; `path` is absent where an Application answered.
    pub fn answered(&self, path: Option<&str>, status: StatusCode, took: Duration) {
        let surface = path.map_or(Surface::Application, Surface::of);
        let status = status.as_u16();
        self.requests
            .get_or_create(&RequestLabels { surface, status })
            .inc();
        self.durations
            .get_or_create(&SurfaceLabels { surface })
            .observe(took.as_secs_f64());
    }

    /// The answer to `GET /metrics`.
    pub async fn answer(&self, introspection: &Introspection, request: Request) -> Response {
        if is_from_here(&request) || has_administrators_certificate(&request) {
            return self.page();
        }
        let Some(token) = bearer(request.headers()) else {
            return unauthorized("the request carries no credentials");
        };
        match introspection.is_administrator(&token).await {
            Ok(Some(true)) => self.page(),
            Ok(Some(false)) => (
                StatusCode::FORBIDDEN,
                "cannot show the metrics: this takes a sovereign-admin; ask one of them\n",
            )
                .into_response(),
            Ok(None) => unauthorized("the token is not, or no longer, valid"),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "token not recognised");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "cannot show the metrics: the issuer does not answer whose token this is; try again in a moment\n",
                )
                    .into_response()
            }
        }
    }

    fn page(&self) -> Response {
        self.resident.set(resident().unwrap_or_default());
        self.descriptors.set(descriptors().unwrap_or_default());
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => ([(CONTENT_TYPE, CONTENT)], text).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// Whether a program on this machine asks this machine. By its name too: what a
/// browser is led here by, or a proxy passes on, bears another one.
fn is_from_here(request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let is_near = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    let host = request
        .uri()
        .authority()
        .map(|authority| authority.host())
        .or_else(|| {
            let named = request.headers().get(HOST)?.to_str().ok()?;
            named.parse::<http::uri::Authority>().ok()?;
            Some(match named.rsplit_once(':') {
                Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
                _ => named,
            })
        });
    let is_meant = host.is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || address
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    });
    let was_passed_on = ["forwarded", "x-forwarded-for", "x-forwarded-host"]
        .iter()
        .any(|header| request.headers().contains_key(*header));
    is_near && is_meant && !was_passed_on
}

/// Whether the handshake proved an administrator of the Kubernetes API, as the
/// kubeconfig in the data directory names one.
fn has_administrators_certificate(request: &Request) -> bool {
    let identity = request.extensions().get::<Identity>();
    identity.is_some_and(|identity| identity.groups.iter().any(|group| group == MASTERS))
}

fn unauthorized(why: &str) -> Response {
    let explanation = format!(
        "cannot show the metrics: {why}; send a sovereign-admin's access token as `Authorization: Bearer`, a client certificate of an administrator, or ask from the machine itself\n"
    );
    let mut response = (StatusCode::UNAUTHORIZED, explanation).into_response();
    let challenge = HeaderValue::from_static("Bearer");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = status.split_whitespace().nth(1)?.parse().ok()?;
    let page = i64::try_from(rustix::param::page_size()).ok()?;
    Some(pages.saturating_mul(page))
}

fn descriptors() -> Option<i64> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
    i64::try_from(open).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn requests_are_counted_by_surface_and_status() {
        let metrics = Metrics::new();
        let took = Duration::from_millis(3);
        for path in [
            "/api/v1/me",
            "/api/v2.0/projects",
            "/v2/acme/x/tags/list",
            "/clusters/a/api",
            "/",
        ] {
            metrics.answered(Some(path), StatusCode::OK, took);
        }
        metrics.answered(None, StatusCode::NOT_FOUND, took);
        metrics.set_ready();
        let body = metrics.page().into_body().collect().await.unwrap();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        for line in [
            "catalyst_server_requests_total{surface=\"Api\",status=\"200\"} 1",
            "catalyst_server_requests_total{surface=\"Registry\",status=\"200\"} 2",
            "catalyst_server_requests_total{surface=\"Application\",status=\"404\"} 1",
            "catalyst_sovereign_ready 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    fn request(peer: &str, host: &str, token: Option<&str>) -> Request {
        let mut request = http::Request::builder().uri("/metrics").header(HOST, host);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut request = request.body(axum::body::Body::empty()).unwrap();
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    }

    #[tokio::test]
    async fn over_the_network_only_administrators_read_them() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let issuer = axum::Router::new().route(
            "/oidc/introspect",
            axum::routing::post(|body: String| async move {
                let groups: &[&str] = match body.contains("token=boss") {
                    true => &["sovereign-admin"],
                    false => &["acme"],
                };
                let active = !body.contains("token=ended");
                axum::Json(serde_json::json!({"active": active, "username": "x", "groups": groups}))
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/oidc", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, issuer).await });
        let introspection = Introspection::new(reqwest::Client::new(), "catalyst", "s".to_owned());
        introspection.connect(&url);
        let metrics = Metrics::new();
        let far = "192.0.2.7:5000";
        for (peer, host, token, expected) in [
            ("127.0.0.1:5000", "127.0.0.1:8080", None, 200),
            ("[::1]:5000", "[::1]:8080", None, 200),
            ("[::ffff:127.0.0.1]:5000", "localhost", None, 200),
            // A page of another site, led here by its name.
            ("127.0.0.1:5000", "evil.example:8080", None, 401),
            ("127.0.0.1:5000", "127.0.0.1.evil.example", None, 401),
            (far, "127.0.0.1:8080", None, 401),
            (far, "catalyst.example", Some("ended"), 401),
            (far, "catalyst.example", Some("alice"), 403),
            (far, "catalyst.example", Some("boss"), 200),
        ] {
            let answer = metrics
                .answer(&introspection, request(peer, host, token))
                .await;
            assert_eq!(answer.status(), expected, "{peer} {host} {token:?}");
            assert_eq!(
                answer.headers().contains_key(WWW_AUTHENTICATE),
                expected == 401
            );
        }
        let mut passed_on = request("127.0.0.1:5000", "localhost", None);
        passed_on
            .headers_mut()
            .insert("x-forwarded-for", HeaderValue::from_static("192.0.2.7"));
        let answer = metrics.answer(&introspection, passed_on).await;
        assert_eq!(answer.status(), 401);

        for (identity, expected) in [
            (Identity::administrator("admin"), 200),
            (Identity::service_account("default", "robot"), 401),
        ] {
            let mut certified = request(far, "catalyst.example", None);
            certified.extensions_mut().insert(identity);
            let answer = metrics.answer(&introspection, certified).await;
            assert_eq!(answer.status(), expected);
        }
        serving.abort();
        let answer = metrics
            .answer(
                &introspection,
                request(far, "catalyst.example", Some("boss")),
            )
            .await;
        assert_eq!(answer.status(), 503);
    }
}
