//! Which Service answers a request: HTTPRoutes (Gateway API v1) of all vclusters
//! as one table by host name. Pure.
//!
//! What must stay true: a route of one Organization's vcluster never answers for
//! a host name of another's Environment.

use std::collections::HashMap;

use http::HeaderMap;
use serde_json::Value;

/// Logical cluster, namespace, name.
pub type Key = (String, String, String);

/// Rules by host name.
#[derive(Debug, Default)]
pub struct Routes {
    hosts: HashMap<String, Vec<Rule>>,
}

/// What a request must look like, and who answers it.
#[derive(Debug, Clone)]
struct Rule {
    matching: Match,
    backends: Vec<Backend>,
    /// Age, namespace and name: the older route wins where two are as precise.
    precedence: (String, String, String),
}

#[derive(Debug, Clone, Default)]
struct Match {
    path: PathMatch,
    method: Option<String>,
    headers: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
enum PathMatch {
    Exact(String),
    Prefix(String),
}

impl Default for PathMatch {
    fn default() -> Self {
        Self::Prefix("/".to_owned())
    }
}

/// A Service's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Logical cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// The Service.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// Its share among the rule's backends.
    pub weight: u32,
}

/// Why a route is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Gateway API's word for it.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// A route, and whether it is served.
pub type Verdict = (Key, Result<(), Refusal>);

impl Routes {
    /// Builds the table. Answers also, for every route, whether it is served.
    pub fn build<'a>(
        routes: impl IntoIterator<Item = (&'a Key, &'a Value)>,
        domain: &str,
    ) -> (Self, Vec<Verdict>) {
        let mut table = Self::default();
        let mut verdicts = Vec::new();
        for (key, route) in routes {
            let verdict = table.add(key, route, domain);
            verdicts.push((key.clone(), verdict));
        }
        for rules in table.hosts.values_mut() {
            rules.sort_by(|a, b| {
                b.matching
                    .precision()
                    .cmp(&a.matching.precision())
                    .then_with(|| a.precedence.cmp(&b.precedence))
            });
        }
        (table, verdicts)
    }

    fn add(&mut self, key: &Key, route: &Value, domain: &str) -> Result<(), Refusal> {
        let (cluster, namespace, name) = key;
        let mut rules = Vec::new();
        let created = route
            .pointer("/metadata/creationTimestamp")
            .and_then(Value::as_str)
            .unwrap_or_default();
        for rule in list(route, "/spec/rules") {
            if list(rule, "/filters").next().is_some() {
                return Err(Refusal {
                    reason: "UnsupportedValue",
                    message: "filters are not supported by this gateway".to_owned(),
                });
            }
            let backends = list(rule, "/backendRefs")
                .map(|backend| backend_of(backend, cluster, namespace))
                .collect::<Result<Vec<_>, _>>()?;
            let mut matches = list(rule, "/matches")
                .map(match_of)
                .collect::<Result<Vec<_>, _>>()?;
            if matches.is_empty() {
                matches.push(Match::default());
            }
            rules.extend(matches.into_iter().map(|matching| Rule {
                matching,
                backends: backends.clone(),
                precedence: (created.to_owned(), namespace.clone(), name.clone()),
            }));
        }
        let hosts: Vec<&str> = list(route, "/spec/hostnames")
            .filter_map(Value::as_str)
            .collect();
        if hosts.is_empty() {
            return Err(Refusal {
                reason: "UnsupportedValue",
                message: "spec.hostnames is empty; name the host".to_owned(),
            });
        }
        for host in &hosts {
            if !is_own(host, cluster, domain) {
                return Err(Refusal {
                    reason: "NotAllowedByListeners",
                    message: format!(
                        "{host} is not {{application}}.{{environment}}.{domain} of an Environment in this vcluster"
                    ),
                });
            }
        }
        for host in hosts {
            self.hosts
                .entry(host.to_ascii_lowercase())
                .or_default()
                .extend(rules.iter().cloned());
        }
        Ok(())
    }

    /// Whether any route is there for a host.
    pub fn knows(&self, host: &str) -> bool {
        self.hosts.contains_key(host)
    }

    /// Who answers; empty when the rule that fits has no backend.
    pub fn find(
        &self,
        host: &str,
        method: &str,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<&[Backend]> {
        let rules = self.hosts.get(host)?;
        rules
            .iter()
            .find(|rule| rule.matching.fits(method, path, headers))
            .map(|rule| rule.backends.as_slice())
    }
}

impl Match {
    fn fits(&self, method: &str, path: &str, headers: &HeaderMap) -> bool {
        let path_fits = match &self.path {
            PathMatch::Exact(wanted) => path == wanted,
            PathMatch::Prefix(prefix) => {
                let prefix = prefix.trim_end_matches('/');
                path.strip_prefix(prefix)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        };
        path_fits
            && self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.headers.iter().all(|(name, value)| {
                headers.get(name).and_then(|found| found.to_str().ok()) == Some(value.as_str())
            })
    }

    /// Gateway API's order: exact paths, longer prefixes, a method, more headers.
    fn precision(&self) -> (bool, usize, bool, usize) {
        let (is_exact, length) = match &self.path {
            PathMatch::Exact(path) => (true, path.len()),
            PathMatch::Prefix(path) => (false, path.len()),
        };
        (is_exact, length, self.method.is_some(), self.headers.len())
    }
}

/// Whether a host name belongs to an Environment of the cluster's Organization.
fn is_own(host: &str, cluster: &str, domain: &str) -> bool {
    // The qualified name is {provider}-{region}-{building block}-{env type}-{organization}.
    let Some(organization) = cluster.splitn(5, '-').nth(4) else {
        return false;
    };
    host.to_ascii_lowercase()
        .strip_suffix(&format!(".{domain}"))
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(application, environment)| {
            catalyst_names::ApplicationName::new(application).is_ok()
                && organization_of(environment).as_deref() == Some(organization)
        })
}

/// The Organization in an Environment's name.
fn organization_of(environment: &str) -> Option<String> {
    let name = catalyst_names::EnvironmentName::new(environment).ok()?;
    let (organization, _) = name.parts().ok()?;
    Some(organization.to_string())
}

fn match_of(value: &Value) -> Result<Match, Refusal> {
    let unsupported = |what: &str| Refusal {
        reason: "UnsupportedValue",
        message: format!("{what} is not supported by this gateway"),
    };
    let text = |at: &str| value.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let path = text("/path/value").unwrap_or_else(|| "/".to_owned());
    let path = match text("/path/type").as_deref() {
        None | Some("PathPrefix") => PathMatch::Prefix(path),
        Some("Exact") => PathMatch::Exact(path),
        Some(other) => return Err(unsupported(&format!("a path match of type {other}"))),
    };
    if list(value, "/queryParams").next().is_some() {
        return Err(unsupported("matching query parameters"));
    }
    let mut headers = Vec::new();
    for header in list(value, "/headers") {
        let field = |name: &str| header.get(name).and_then(Value::as_str);
        if field("type").is_some_and(|kind| kind != "Exact") {
            return Err(unsupported("a header match that is not Exact"));
        }
        if let (Some(name), Some(wanted)) = (field("name"), field("value")) {
            headers.push((name.to_ascii_lowercase(), wanted.to_owned()));
        }
    }
    Ok(Match {
        path,
        method: text("/method"),
        headers,
    })
}

fn backend_of(value: &Value, cluster: &str, namespace: &str) -> Result<Backend, Refusal> {
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    if text("kind").is_some_and(|kind| kind != "Service") {
        return Err(Refusal {
            reason: "InvalidKind",
            message: "a backend is not a Service".to_owned(),
        });
    }
    if text("namespace").is_some_and(|other| other != namespace) {
        return Err(Refusal {
            reason: "RefNotPermitted",
            message: "a backend lies in another namespace".to_owned(),
        });
    }
    let port = value
        .get("port")
        .and_then(Value::as_u64)
        .and_then(|port| u16::try_from(port).ok());
    let (Some(service), Some(port)) = (text("name"), port) else {
        return Err(Refusal {
            reason: "BackendNotFound",
            message: "a backend has no name or no port".to_owned(),
        });
    };
    let weight = value.get("weight").and_then(Value::as_u64).unwrap_or(1);
    Ok(Backend {
        cluster: cluster.to_owned(),
        namespace: namespace.to_owned(),
        service: service.to_owned(),
        port,
        weight: u32::try_from(weight).unwrap_or(u32::MAX),
    })
}

fn list<'a>(value: &'a Value, at: &str) -> impl Iterator<Item = &'a Value> {
    value
        .pointer(at)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CLUSTER: &str = "lo-loc-rtz-dev-acme";

    fn route(hosts: &[&str], rules: Value) -> Value {
        json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"hostnames": hosts, "rules": rules}})
    }

    fn key(cluster: &str, name: &str) -> Key {
        (cluster.to_owned(), "blog".to_owned(), name.to_owned())
    }

    fn to(service: &str) -> Value {
        json!([{"name": service, "port": 80}])
    }

    #[test]
    fn the_more_precise_rule_answers() {
        let routes = [(
            key(CLUSTER, "r"),
            route(
                &["blog.acme-dev.localhost"],
                json!([
                    {"backendRefs": to("all")},
                    {"matches": [{"path": {"type": "PathPrefix", "value": "/api"}}], "backendRefs": to("api")},
                    {"matches": [{"path": {"type": "Exact", "value": "/api/now"}}], "backendRefs": to("now")},
                    {"matches": [{"path": {"type": "PathPrefix", "value": "/api"}, "method": "POST"}], "backendRefs": to("write")},
                ]),
            ),
        )];
        let (table, verdicts) = Routes::build(routes.iter().map(|(k, v)| (k, v)), "localhost");
        assert_eq!(verdicts[0].1, Ok(()));
        for (method, path, wanted) in [
            ("GET", "/", "all"),
            ("GET", "/apis", "all"),
            ("GET", "/api", "api"),
            ("GET", "/api/x", "api"),
            ("POST", "/api/x", "write"),
            ("GET", "/api/now", "now"),
        ] {
            let found = table.find("blog.acme-dev.localhost", method, path, &HeaderMap::new());
            assert_eq!(found.unwrap()[0].service, wanted, "{method} {path}");
        }
        assert!(!table.knows("shop.acme-dev.localhost"));
    }

    #[test]
    fn a_route_answers_for_its_own_organization_only() {
        for (cluster, host, allowed) in [
            (CLUSTER, "blog.acme-dev.localhost", true),
            (CLUSTER, "blog.acme-prod.localhost", true),
            (CLUSTER, "blog.globex-prod.localhost", false),
            (CLUSTER, "localhost", false),
            (CLUSTER, "acme-dev.localhost", false),
            (CLUSTER, "blog.acme-dev.example", false),
            (CLUSTER, "a.blog.acme-dev.localhost", false),
            (CLUSTER, "*.acme-dev.localhost", false),
            ("lo-loc-rtz-dev-acme-two", "blog.acme-dev.localhost", false),
            (
                "lo-loc-rtz-dev-acme-two",
                "blog.acme-two-dev.localhost",
                true,
            ),
            ("lo-loc-rtz-dev", "blog.acme-dev.localhost", false),
        ] {
            let routes = [(
                key(cluster, "r"),
                route(&[host], json!([{"backendRefs": to("s")}])),
            )];
            let (table, verdicts) = Routes::build(routes.iter().map(|(k, v)| (k, v)), "localhost");
            assert_eq!(verdicts[0].1.is_ok(), allowed, "{cluster} {host}");
            assert_eq!(table.knows(host), allowed, "{cluster} {host}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_with_its_reason() {
        for (rules, reason) in [
            (
                json!([{"filters": [{"type": "URLRewrite"}]}]),
                "UnsupportedValue",
            ),
            (
                json!([{"backendRefs": [{"name": "s", "port": 1, "namespace": "other"}]}]),
                "RefNotPermitted",
            ),
            (
                json!([{"backendRefs": [{"name": "s", "port": 1, "kind": "Bucket"}]}]),
                "InvalidKind",
            ),
            (json!([{"backendRefs": [{"name": "s"}]}]), "BackendNotFound"),
        ] {
            let routes = [(
                key(CLUSTER, "r"),
                route(&["blog.acme-dev.localhost"], rules.clone()),
            )];
            let (_, verdicts) = Routes::build(routes.iter().map(|(k, v)| (k, v)), "localhost");
            assert_eq!(
                verdicts[0].1.as_ref().unwrap_err().reason,
                reason,
                "{rules}"
            );
        }
    }
}
