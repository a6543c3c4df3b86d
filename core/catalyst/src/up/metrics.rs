//! What `/metrics` tells, in the text format of OpenMetrics.
//!
//! Names follow `catalyst_<part>_<thing>_<unit>`; the process's own follow the
//! names that Prometheus' clients use everywhere.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
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
    pub fn page(&self) -> Response {
        self.resident.set(resident().unwrap_or_default());
        self.descriptors.set(descriptors().unwrap_or_default());
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => ([(CONTENT_TYPE, CONTENT)], text).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
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
}
