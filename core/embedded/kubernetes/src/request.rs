//! What a request asks for, read from its method, path and query alone.

use http::{Method, Uri};
use percent_encoding::percent_decode_str;

/// Query parameters in order.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Parses a query string.
    pub fn parse(query: &str) -> Self {
        let decode = |text: &str| {
            percent_decode_str(&text.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned()
        };
        Self(
            query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of a parameter, "" when absent.
    pub fn get(&self, key: &str) -> &str {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    }

    /// Every value of a parameter.
    pub fn all(&self, key: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(name, _)| name == key)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// Whether the parameter is given at all.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// A parameter read as Kubernetes reads booleans.
    pub fn flag(&self, key: &str) -> bool {
        self.has(key) && !matches!(self.get(key), "0" | "false" | "False" | "FALSE" | "f" | "F")
    }
}

/// A resource path below `/api/v1` or `/apis/{group}/{version}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourcePath {
    /// API group, "" for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource name.
    pub resource: String,
    /// Namespace, "" for none.
    pub namespace: String,
    /// Object name, "" for the collection.
    pub name: String,
    /// Subresource, "" for none.
    pub subresource: String,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A collection, an object or a subresource.
    Resource(ResourcePath),
    /// Anything else, by its path inside the cluster, without slashes at the ends.
    Path(String),
}

/// A parsed request line.
#[derive(Debug, Clone)]
pub struct RequestInfo {
    /// Logical cluster; `*` for all.
    pub cluster: String,
    /// What it leads to.
    pub target: Target,
    /// Path inside the cluster, as a client sees it.
    pub path: String,
    /// RBAC verb.
    pub verb: &'static str,
    /// Query parameters.
    pub params: Params,
}

impl RequestInfo {
    /// Reads the request line; `None` when the path is not below `/clusters/{name}`.
    pub fn parse(method: &Method, uri: &Uri) -> Option<Self> {
        let rest = uri.path().strip_prefix("/clusters/")?;
        let (cluster, path) = rest.split_once('/').unwrap_or((rest, ""));
        let cluster = decode(cluster);
        if cluster.is_empty() {
            return None;
        }
        let params = Params::parse(uri.query().unwrap_or_default());
        let segments: Vec<String> = path
            .trim_matches('/')
            .split('/')
            .filter(|one| !one.is_empty())
            .map(decode)
            .collect();
        let target = match resource_path(&segments) {
            Some(found) => Target::Resource(found),
            None => Target::Path(segments.join("/")),
        };
        let verb = verb_of(method, &target, &params);
        Some(Self {
            cluster,
            target,
            path: format!("/{path}"),
            verb,
            params,
        })
    }
}

fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn resource_path(segments: &[String]) -> Option<ResourcePath> {
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let mut path = ResourcePath {
        group: group.into(),
        version: version.into(),
        ..ResourcePath::default()
    };
    let rest = match rest {
        [] => return None,
        ["namespaces", name, sub @ ("status" | "finalize")] if group.is_empty() => {
            path.resource = "namespaces".into();
            path.namespace = (*name).to_owned();
            path.name = (*name).to_owned();
            path.subresource = (*sub).to_owned();
            return Some(path);
        }
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => {
            path.namespace = (*namespace).to_owned();
            rest
        }
        other => other,
    };
    match rest {
        [resource] => path.resource = (*resource).to_owned(),
        [resource, name] => {
            path.resource = (*resource).to_owned();
            path.name = (*name).to_owned();
        }
        [resource, name, sub, ..] => {
            path.resource = (*resource).to_owned();
            path.name = (*name).to_owned();
            path.subresource = (*sub).to_owned();
        }
        [] => return None,
    }
    if path.resource == "namespaces" && group.is_empty() {
        path.namespace.clone_from(&path.name);
    }
    Some(path)
}

fn verb_of(method: &Method, target: &Target, params: &Params) -> &'static str {
    let Target::Resource(path) = target else {
        return match *method {
            Method::POST => "post",
            Method::PUT => "put",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            Method::HEAD => "head",
            _ => "get",
        };
    };
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if path.name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ if params.flag("watch") && path.subresource.is_empty() => "watch",
        _ if path.name.is_empty() => "list",
        _ => "get",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: Method, uri: &str) -> RequestInfo {
        RequestInfo::parse(&method, &uri.parse().unwrap()).unwrap()
    }

    #[test]
    fn paths_name_cluster_verb_and_object() {
        let table = [
            (
                Method::GET,
                "/clusters/a/api/v1/pods",
                "list",
                ("", "pods", "", "", ""),
            ),
            (
                Method::GET,
                "/clusters/a/api/v1/pods?watch=1",
                "watch",
                ("", "pods", "", "", ""),
            ),
            (
                Method::GET,
                "/clusters/a/api/v1/namespaces/x",
                "get",
                ("", "namespaces", "x", "x", ""),
            ),
            (
                Method::PUT,
                "/clusters/a/api/v1/namespaces/x/finalize",
                "update",
                ("", "namespaces", "x", "x", "finalize"),
            ),
            (
                Method::POST,
                "/clusters/a/api/v1/namespaces/x/pods",
                "create",
                ("", "pods", "x", "", ""),
            ),
            (
                Method::PATCH,
                "/clusters/a/apis/apps/v1/namespaces/x/deployments/d/scale",
                "patch",
                ("apps", "deployments", "x", "d", "scale"),
            ),
            (
                Method::DELETE,
                "/clusters/a/apis/apps/v1/namespaces/x/deployments",
                "deletecollection",
                ("apps", "deployments", "x", "", ""),
            ),
        ];
        for (method, uri, verb, (group, resource, namespace, name, sub)) in table {
            let info = parse(method, uri);
            assert_eq!(info.verb, verb, "{uri}");
            let Target::Resource(path) = info.target else {
                panic!("{uri}")
            };
            assert_eq!(
                (
                    path.group.as_str(),
                    path.resource.as_str(),
                    path.namespace.as_str(),
                    path.name.as_str(),
                    path.subresource.as_str()
                ),
                (group, resource, namespace, name, sub),
                "{uri}"
            );
        }
    }

    #[test]
    fn other_paths_stay_paths() {
        let info = parse(Method::GET, "/clusters/a/openapi/v3/apis/apps/v1?hash=1");
        assert_eq!(info.target, Target::Path("openapi/v3/apis/apps/v1".into()));
        let info = parse(Method::GET, "/clusters/a");
        assert_eq!(info.target, Target::Path(String::new()));
        assert!(RequestInfo::parse(&Method::GET, &"/metrics".parse().unwrap()).is_none());
    }
}
