//! Turns what a pod refers to (ConfigMaps, Secrets, claims, its own fields)
//! into values. Pure: the caller has fetched the objects.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use base64::Engine as _;
use serde_json::Value;

use crate::NodeError;

/// One environment variable, fully resolved.
pub type EnvironmentVariable = (String, String);

/// A file of a ConfigMap, Secret or projected volume.
#[derive(Clone, PartialEq, Eq)]
pub struct FileContent {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

/// Where a volume's content comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// Lives and dies with the pod; in memory when asked for.
    EmptyDir {
        /// Whether it is a tmpfs. Then every container has its own.
        memory: bool,
    },
    /// Generated files by relative path.
    Files(BTreeMap<String, FileContent>),
    /// A directory that outlives the pod and never has two pods.
    Persistent(PathBuf),
}

/// A pod's references as values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Environment by container name, in order.
    pub env: BTreeMap<String, Vec<EnvironmentVariable>>,
    /// Volumes by name.
    pub volumes: BTreeMap<String, VolumeSource>,
}

impl Resolved {
    /// The directories that no other pod may have meanwhile.
    pub(crate) fn persistent(&self) -> Vec<PathBuf> {
        self.volumes
            .values()
            .filter_map(|source| match source {
                VolumeSource::Persistent(path) => Some(path.clone()),
                _ => None,
            })
            .collect()
    }
}

/// The objects a pod may refer to.
pub trait Objects {
    /// A ConfigMap of the pod's namespace.
    fn config_map(&self, name: &str) -> Option<Value>;
    /// A Secret of the pod's namespace, `data` in base64.
    fn secret(&self, name: &str) -> Option<Value>;
    /// The directory of a bound claim.
    fn claim(&self, name: &str) -> Option<PathBuf>;
    /// A token for the pod's service account.
    fn token(&self, audience: Option<&str>) -> Option<String> {
        let _ = audience;
        None
    }
}

/// Resolves everything a pod refers to. A missing object is an error that
/// names it, unless the reference is optional.
pub fn resolve(
    pod: &Value,
    objects: &dyn Objects,
    address: Ipv4Addr,
) -> Result<Resolved, NodeError> {
    let mut resolved = Resolved::default();
    for list in ["/spec/initContainers", "/spec/containers"] {
        for container in items(pod, list) {
            let name = text(container, "/name").unwrap_or_default().to_owned();
            resolved
                .env
                .insert(name, environment(pod, container, objects, address)?);
        }
    }
    for volume in items(pod, "/spec/volumes") {
        let name = text(volume, "/name").unwrap_or_default().to_owned();
        let source = volume_source(pod, volume, objects, address)
            .map_err(|e| missing(format!("volume {name}: {e}")))?;
        resolved.volumes.insert(name, source);
    }
    Ok(resolved)
}

fn missing(reason: String) -> NodeError {
    NodeError::Specification { reason }
}

fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn is_optional(reference: &Value) -> bool {
    reference
        .get("optional")
        .and_then(Value::as_bool)
        .unwrap_or(false)
}

/// Keys and bytes of a ConfigMap or Secret.
fn data(object: &Value, is_secret: bool) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let decode = |s: &str| {
        base64::engine::general_purpose::STANDARD
            .decode(s.trim())
            .unwrap_or_default()
    };
    let fields = if is_secret {
        ["data", "stringData"]
    } else {
        ["binaryData", "data"]
    };
    for field in fields {
        for (key, value) in object
            .get(field)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let Some(value) = value.as_str() else {
                continue;
            };
            let is_base64 = field == "binaryData" || (is_secret && field == "data");
            let bytes = if is_base64 {
                decode(value)
            } else {
                value.as_bytes().to_vec()
            };
            all.insert(key.clone(), bytes);
        }
    }
    all
}

fn object(
    reference: &Value,
    objects: &dyn Objects,
    is_secret: bool,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, String> {
    let name = text(reference, "/name")
        .or_else(|| text(reference, "/secretName"))
        .unwrap_or_default();
    let found = if is_secret {
        objects.secret(name)
    } else {
        objects.config_map(name)
    };
    match found {
        Some(value) => Ok(Some(data(&value, is_secret))),
        None if is_optional(reference) => Ok(None),
        None => Err(format!(
            "{} \"{name}\" not found; create it and the pod starts",
            if is_secret { "secret" } else { "configmap" }
        )),
    }
}

fn environment(
    pod: &Value,
    container: &Value,
    objects: &dyn Objects,
    address: Ipv4Addr,
) -> Result<Vec<EnvironmentVariable>, NodeError> {
    let mut env: Vec<EnvironmentVariable> = Vec::new();
    for from in items(container, "/envFrom") {
        let prefix = text(from, "/prefix").unwrap_or_default();
        for (field, is_secret) in [("configMapRef", false), ("secretRef", true)] {
            let Some(reference) = from.get(field) else {
                continue;
            };
            let found = object(reference, objects, is_secret)
                .map_err(|e| missing(format!("envFrom: {e}")))?;
            for (key, value) in found.unwrap_or_default() {
                set(
                    &mut env,
                    format!("{prefix}{key}"),
                    String::from_utf8_lossy(&value).into_owned(),
                );
            }
        }
    }
    for variable in items(container, "/env") {
        let name = text(variable, "/name").unwrap_or_default().to_owned();
        let fail = |e: String| missing(format!("environment variable {name}: {e}"));
        let value = if let Some(source) = variable.get("valueFrom") {
            match value_from(pod, container, source, objects, address).map_err(fail)? {
                Some(value) => value,
                None => continue,
            }
        } else {
            expand(text(variable, "/value").unwrap_or_default(), &env)
        };
        set(&mut env, name, value);
    }
    Ok(env)
}

fn set(env: &mut Vec<EnvironmentVariable>, name: String, value: String) {
    env.retain(|(n, _)| *n != name);
    env.push((name, value));
}

/// Replaces `$(NAME)`; `$$` is a literal dollar and unknown names stay.
pub fn expand(text: &str, env: &[EnvironmentVariable]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|a| a.split_once(')')) {
            match env.iter().find(|(n, _)| n == name) {
                Some((_, value)) => out.push_str(value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn value_from(
    pod: &Value,
    container: &Value,
    source: &Value,
    objects: &dyn Objects,
    address: Ipv4Addr,
) -> Result<Option<String>, String> {
    for (field, is_secret) in [("configMapKeyRef", false), ("secretKeyRef", true)] {
        let Some(reference) = source.get(field) else {
            continue;
        };
        let key = text(reference, "/key").unwrap_or_default();
        let Some(found) = object(reference, objects, is_secret)? else {
            return Ok(None);
        };
        return match found.get(key) {
            Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
            None if is_optional(reference) => Ok(None),
            None => Err(format!("{field} has no key \"{key}\"")),
        };
    }
    if let Some(path) = text(source, "/fieldRef/fieldPath") {
        return field(pod, path, address).map(Some);
    }
    if let Some(resource) = text(source, "/resourceFieldRef/resource") {
        let value = container.pointer(&format!("/resources/{}", resource.replace('.', "/")));
        let value = value.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
        let value = value.unwrap_or_else(|| "0".to_owned());
        let number = if resource.ends_with("memory") {
            crate::pod::quantity(&value).map(|n| n.to_string())
        } else {
            crate::pod::quantity_millis(&value).map(|n| n.div_ceil(1000).to_string())
        };
        return number
            .map(Some)
            .ok_or_else(|| format!("{resource} is not a quantity"));
    }
    Err("valueFrom names no source this node knows".to_owned())
}

/// A field of the pod, as the downward API names it.
fn field(pod: &Value, path: &str, address: Ipv4Addr) -> Result<String, String> {
    if let Some((map, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        let map = format!("/{}", map.replace('.', "/"));
        let value = pod
            .pointer(&map)
            .and_then(|m| m.get(key))
            .and_then(Value::as_str);
        return Ok(value.unwrap_or_default().to_owned());
    }
    match path {
        "status.podIP" | "status.podIPs" => return Ok(address.to_string()),
        "status.hostIP" | "status.hostIPs" => return Ok(Ipv4Addr::LOCALHOST.to_string()),
        "spec.serviceAccountName" => {
            return Ok(text(pod, "/spec/serviceAccountName")
                .unwrap_or("default")
                .to_owned());
        }
        "metadata.labels" | "metadata.annotations" => {
            let map = pod
                .pointer(&format!("/{}", path.replace('.', "/")))
                .and_then(Value::as_object);
            let lines = map
                .into_iter()
                .flatten()
                .map(|(k, v)| format!("{k}={:?}", v.as_str().unwrap_or_default()));
            return Ok(lines.collect::<Vec<_>>().join("\n"));
        }
        _ => {}
    }
    let known = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
    ];
    if !known.contains(&path) {
        return Err(format!("fieldPath {path} is not offered"));
    }
    Ok(text(pod, &format!("/{}", path.replace('.', "/")))
        .unwrap_or_default()
        .to_owned())
}

fn volume_source(
    pod: &Value,
    volume: &Value,
    objects: &dyn Objects,
    address: Ipv4Addr,
) -> Result<VolumeSource, String> {
    if let Some(source) = volume.get("emptyDir") {
        return Ok(VolumeSource::EmptyDir {
            memory: text(source, "/medium") == Some("Memory"),
        });
    }
    if let Some(name) = text(volume, "/persistentVolumeClaim/claimName") {
        return objects
            .claim(name)
            .map(VolumeSource::Persistent)
            .ok_or_else(|| format!("persistentvolumeclaim \"{name}\" not found or not bound"));
    }
    let mut files = BTreeMap::new();
    if let Some(projected) = volume.get("projected") {
        let mode = mode_of(projected, "defaultMode").unwrap_or(0o644);
        for source in items(projected, "/sources") {
            add_files(pod, source, objects, address, mode, &mut files)?;
        }
        return Ok(VolumeSource::Files(files));
    }
    for (kind, inner) in [
        ("configMap", "configMap"),
        ("secret", "secret"),
        ("downwardAPI", "downwardAPI"),
    ] {
        if let Some(source) = volume.get(kind) {
            let mode = mode_of(source, "defaultMode").unwrap_or(0o644);
            let wrapped = serde_json::json!({ inner: source });
            add_files(pod, &wrapped, objects, address, mode, &mut files)?;
            return Ok(VolumeSource::Files(files));
        }
    }
    Err("its type is not one this node offers (emptyDir, configMap, secret, projected, downwardAPI, persistentVolumeClaim)".to_owned())
}

fn mode_of(value: &Value, field: &str) -> Option<u32> {
    value
        .get(field)
        .and_then(Value::as_u64)
        .map(|m| m as u32 & 0o777)
}

fn add_files(
    pod: &Value,
    source: &Value,
    objects: &dyn Objects,
    address: Ipv4Addr,
    mode: u32,
    files: &mut BTreeMap<String, FileContent>,
) -> Result<(), String> {
    for (kind, is_secret) in [("configMap", false), ("secret", true)] {
        let Some(reference) = source.get(kind) else {
            continue;
        };
        let Some(found) = object(reference, objects, is_secret)? else {
            continue;
        };
        let chosen = items(reference, "/items");
        if chosen.is_empty() {
            for (key, bytes) in found {
                insert(files, &key, bytes, mode)?;
            }
            continue;
        }
        for item in chosen {
            let key = text(item, "/key").unwrap_or_default();
            let path = text(item, "/path").unwrap_or(key);
            match found.get(key) {
                Some(bytes) => insert(
                    files,
                    path,
                    bytes.clone(),
                    mode_of(item, "mode").unwrap_or(mode),
                )?,
                None if is_optional(reference) => {}
                None => return Err(format!("{kind} has no key \"{key}\"")),
            }
        }
    }
    for item in items(source, "/downwardAPI/items") {
        let path = text(item, "/path").unwrap_or_default();
        let value = match text(item, "/fieldRef/fieldPath") {
            Some(from) => field(pod, from, address)?,
            None => return Err(format!("downwardAPI item {path} has no fieldRef")),
        };
        insert(
            files,
            path,
            value.into_bytes(),
            mode_of(item, "mode").unwrap_or(mode),
        )?;
    }
    if let Some(token) = source.get("serviceAccountToken") {
        let path = text(token, "/path").unwrap_or("token");
        let value = objects
            .token(text(token, "/audience"))
            .ok_or("no token is issued for this service account")?;
        insert(files, path, value.into_bytes(), mode)?;
    }
    Ok(())
}

fn insert(
    files: &mut BTreeMap<String, FileContent>,
    path: &str,
    bytes: Vec<u8>,
    mode: u32,
) -> Result<(), String> {
    let is_safe = !path.is_empty()
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..");
    if !is_safe {
        return Err(format!("path {path:?} leads out of the volume"));
    }
    files.insert(path.to_owned(), FileContent { bytes, mode });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Fixture;
    impl Objects for Fixture {
        fn config_map(&self, name: &str) -> Option<Value> {
            (name == "settings").then(|| json!({"data": {"colour": "red", "size": "9"}}))
        }
        fn secret(&self, name: &str) -> Option<Value> {
            (name == "db").then(|| json!({"data": {"password": "czNjcmV0"}}))
        }
        fn claim(&self, name: &str) -> Option<PathBuf> {
            (name == "data").then(|| PathBuf::from("/volumes/data"))
        }
    }

    fn pod(spec: Value) -> Value {
        json!({"metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"a": "b"}}, "spec": spec})
    }

    #[test]
    fn environment_comes_from_everywhere_in_order() {
        let pod = pod(json!({"containers": [{"name": "c",
        "envFrom": [{"prefix": "S_", "configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            {"name": "URL", "value": "pg://u:$(PASSWORD)@db/$$x/$(NONE)"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}},
            {"name": "GONE", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y", "optional": true}}}
        ]}]}));
        let resolved = resolve(&pod, &Fixture, Ipv4Addr::new(10, 0, 0, 7))
            .ok()
            .unwrap();
        let env: Vec<String> = resolved.env["c"]
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        assert_eq!(
            env,
            [
                "S_colour=red",
                "S_size=9",
                "PASSWORD=s3cret",
                "URL=pg://u:s3cret@db/$x/$(NONE)",
                "IP=10.0.0.7",
                "LABEL=b"
            ]
        );
    }

    #[test]
    fn missing_objects_are_named() {
        let pod = pod(
            json!({"containers": [], "volumes": [{"name": "v", "secret": {"secretName": "nope"}}]}),
        );
        let Err(error) = resolve(&pod, &Fixture, Ipv4Addr::LOCALHOST) else {
            panic!("must fail")
        };
        assert_eq!(
            error.to_string(),
            "cannot run the pod: volume v: secret \"nope\" not found; create it and the pod starts"
        );
    }

    #[test]
    fn volumes_take_chosen_keys_and_never_leave_their_folder() {
        let volumes = |item: Value| {
            pod(json!({"volumes": [{"name": "v", "projected": {"sources": [item]}}]}))
        };
        let good = volumes(
            json!({"configMap": {"name": "settings", "items": [{"key": "size", "path": "a/b", "mode": 256}]}}),
        );
        let resolved = resolve(&good, &Fixture, Ipv4Addr::LOCALHOST).ok().unwrap();
        let VolumeSource::Files(files) = &resolved.volumes["v"] else {
            panic!("files")
        };
        assert_eq!(
            (files["a/b"].bytes.as_slice(), files["a/b"].mode),
            (b"9".as_slice(), 0o400)
        );
        let bad = volumes(
            json!({"configMap": {"name": "settings", "items": [{"key": "size", "path": "../b"}]}}),
        );
        assert!(resolve(&bad, &Fixture, Ipv4Addr::LOCALHOST).is_err());
    }
}
