//! The `Table` form: what `kubectl get` prints.

use serde_json::{Value, json};

use crate::catalog::Resource;
use crate::object::{array, integer, name, text};

type Cell = fn(&Value) -> Value;
/// Name, type, priority (0: always shown), value.
type Column = (&'static str, &'static str, i64, Cell);

/// A table of objects.
pub(crate) fn table(
    resource: &Resource,
    items: Vec<Value>,
    metadata: Value,
    include: &str,
) -> Value {
    let custom = resource
        .custom
        .as_ref()
        .map(|custom| custom.columns.clone());
    let builtin = columns(&resource.storage);
    let mut definitions = vec![json!({
        "name": "Name", "type": "string", "format": "name", "description": "Name of the object", "priority": 0,
    })];
    match &custom {
        Some(columns) => definitions.extend(columns.iter().map(|column| {
            json!({
                "name": text(column, "/name"), "type": text(column, "/type"), "format": text(column, "/format"),
                "description": text(column, "/description"), "priority": integer(column, "/priority").unwrap_or(0),
            })
        })),
        None => definitions.extend(builtin.iter().map(|(name, kind, priority, _)| {
            json!({"name": name, "type": kind, "format": "", "description": "", "priority": priority})
        })),
    }
    let without_columns = custom.as_ref().is_some_and(Vec::is_empty);
    if without_columns {
        definitions.push(
            json!({"name": "Age", "type": "date", "format": "", "description": "", "priority": 0}),
        );
    }
    let rows: Vec<Value> = items
        .into_iter()
        .map(|item| {
            let mut cells = vec![json!(name(&item))];
            match &custom {
                Some(columns) => {
                    cells.extend(columns.iter().map(|column| custom_cell(column, &item)))
                }
                None => cells.extend(builtin.iter().map(|(_, _, _, cell)| cell(&item))),
            }
            if without_columns {
                cells.push(age(&item));
            }
            let object = match include {
                "None" => Value::Null,
                "Object" => item,
                _ => json!({
                    "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                    "metadata": item.get("metadata").cloned().unwrap_or_default(),
                }),
            };
            json!({"cells": cells, "object": object})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}

fn custom_cell(column: &Value, item: &Value) -> Value {
    let path = text(column, "/jsonPath").to_owned();
    let found = json_path(item, &path);
    match (text(column, "/type"), found) {
        (_, None) => Value::Null,
        ("date", Some(value)) => json!(since(value.as_str().unwrap_or_default())),
        ("string", Some(value)) if !value.is_string() => json!(value.to_string()),
        (_, Some(value)) => value,
    }
}

/// The simple JSON paths of printer columns: fields, `[0]`, `[?(@.a=="b")]`,
/// and keys with escaped dots.
fn json_path(item: &Value, path: &str) -> Option<Value> {
    let mut current = item;
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let (inside, after) = tail.split_once(']')?;
            rest = after;
            current = if let Some(filter) = inside
                .strip_prefix("?(@.")
                .and_then(|one| one.strip_suffix(')'))
            {
                let (field, value) = filter.split_once("==")?;
                let value = value.trim().trim_matches(['"', '\'']);
                current
                    .as_array()?
                    .iter()
                    .find(|one| text(one, &format!("/{}", field.trim())) == value)?
            } else if let Ok(index) = inside.parse::<usize>() {
                current.get(index)?
            } else {
                current.get(inside.trim_matches(['"', '\'']))?
            };
        } else {
            let tail = rest.strip_prefix('.').unwrap_or(rest);
            let mut key = String::new();
            let mut characters = tail.char_indices();
            let mut end = tail.len();
            while let Some((at, one)) = characters.next() {
                match one {
                    '\\' => key.extend(characters.next().map(|(_, escaped)| escaped)),
                    '.' | '[' => {
                        end = at;
                        break;
                    }
                    other => key.push(other),
                }
            }
            rest = tail.get(end..).unwrap_or_default();
            current = current.get(&key)?;
        }
    }
    Some(current.clone())
}

/// A duration as kubectl shows ages.
pub(crate) fn human_duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, other: &str| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{other}")
        }
    };
    match seconds {
        ..0 => "<invalid>".into(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        _ => two(days / 365, "y", days % 365, "d"),
    }
}

fn since(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(then) => human_duration(jiff::Timestamp::now().as_second() - then.as_second()),
        Err(_) => "<unknown>".into(),
    }
}

fn age(item: &Value) -> Value {
    json!(since(text(item, "/metadata/creationTimestamp")))
}

fn at(item: &Value, pointer: &str) -> Value {
    match text(item, pointer) {
        "" => json!("<none>"),
        found => json!(found),
    }
}

fn known(item: &Value, pointer: &str) -> Value {
    match text(item, pointer) {
        "" => json!("<unknown>"),
        found => json!(found),
    }
}

/// A node's first address of a type.
fn address(node: &Value, kind: &str) -> Value {
    let mut all = array(node, "/status/addresses").iter();
    let found = all.find(|one| text(one, "/type") == kind);
    found.map_or_else(|| json!("<none>"), |one| at(one, "/address"))
}

fn number(item: &Value, pointer: &str) -> i64 {
    integer(item, pointer).unwrap_or(0)
}

fn ready_of(item: &Value, ready: &str, wanted: &str) -> Value {
    json!(format!("{}/{}", number(item, ready), number(item, wanted)))
}

fn names(item: &Value, pointer: &str, field: &str) -> Value {
    let all: Vec<&str> = array(item, pointer)
        .iter()
        .map(|one| text(one, field))
        .collect();
    json!(all.join(","))
}

fn selector(item: &Value, pointer: &str) -> Value {
    let labels = item.pointer(pointer).and_then(Value::as_object);
    let pairs: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    json!(if pairs.is_empty() {
        "<none>".to_owned()
    } else {
        pairs.join(",")
    })
}

fn pod_status(pod: &Value) -> Value {
    let mut reason = match text(pod, "/status/reason") {
        "" => text(pod, "/status/phase").to_owned(),
        reason => reason.to_owned(),
    };
    let total = array(pod, "/spec/initContainers").len();
    for (index, container) in array(pod, "/status/initContainerStatuses")
        .iter()
        .enumerate()
    {
        let code = integer(container, "/state/terminated/exitCode");
        if code == Some(0) {
            continue;
        }
        reason = if code.is_some() {
            format!("Init:{}", text(container, "/state/terminated/reason"))
        } else {
            match text(container, "/state/waiting/reason") {
                "" | "PodInitializing" => format!("Init:{index}/{total}"),
                waiting => format!("Init:{waiting}"),
            }
        };
        return json!(reason);
    }
    for container in array(pod, "/status/containerStatuses").iter().rev() {
        let (waiting, ended) = (
            text(container, "/state/waiting/reason"),
            text(container, "/state/terminated/reason"),
        );
        if !waiting.is_empty() {
            waiting.clone_into(&mut reason);
        } else if !ended.is_empty() {
            ended.clone_into(&mut reason);
        } else if let Some(code) = integer(container, "/state/terminated/exitCode") {
            reason = format!("ExitCode:{code}");
        }
    }
    if crate::object::is_deleting(pod) {
        reason = "Terminating".into();
    }
    json!(reason)
}

fn restarts(pod: &Value) -> Value {
    json!(
        array(pod, "/status/containerStatuses")
            .iter()
            .map(|one| number(one, "/restartCount"))
            .sum::<i64>()
            .to_string()
    )
}

fn pod_ready(pod: &Value) -> Value {
    let statuses = array(pod, "/status/containerStatuses");
    let ready = statuses
        .iter()
        .filter(|one| one.get("ready") == Some(&Value::Bool(true)))
        .count();
    json!(format!("{ready}/{}", array(pod, "/spec/containers").len()))
}

fn ports(service: &Value) -> Value {
    let all: Vec<String> = array(service, "/spec/ports")
        .iter()
        .map(|port| {
            let (number, node) = (number(port, "/port"), self::number(port, "/nodePort"));
            let protocol = text(port, "/protocol");
            if node > 0 {
                format!("{number}:{node}/{protocol}")
            } else {
                format!("{number}/{protocol}")
            }
        })
        .collect();
    json!(if all.is_empty() {
        "<none>".to_owned()
    } else {
        all.join(",")
    })
}

fn job_status(job: &Value) -> Value {
    let has = |kind: &str| crate::object::has_condition(job, kind);
    json!(if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if crate::object::is_deleting(job) {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else {
        "Running"
    })
}

fn job_duration(job: &Value) -> Value {
    let parse = |pointer: &str| text(job, pointer).parse::<jiff::Timestamp>().ok();
    let Some(start) = parse("/status/startTime") else {
        return json!("");
    };
    let end = parse("/status/completionTime").unwrap_or_else(jiff::Timestamp::now);
    json!(human_duration(end.as_second() - start.as_second()))
}

fn access_modes(item: &Value, pointer: &str) -> Value {
    let short = |mode: &str| match mode {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        _ => "RWOP",
    };
    let all: Vec<&str> = array(item, pointer)
        .iter()
        .filter_map(Value::as_str)
        .map(short)
        .collect();
    json!(all.join(","))
}

fn size(item: &Value, field: &str) -> Value {
    json!(
        item.get(field)
            .and_then(Value::as_object)
            .map_or(0, serde_json::Map::len)
    )
}

fn last_seen(event: &Value) -> Value {
    let time = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ]
    .into_iter()
    .map(|pointer| text(event, pointer))
    .find(|time| !time.is_empty());
    json!(since(time.unwrap_or_default()))
}

const AGE: Column = ("Age", "string", 0, age);

fn columns(storage: &str) -> Vec<Column> {
    match storage {
        "pods" => vec![
            ("Ready", "string", 0, pod_ready),
            ("Status", "string", 0, pod_status),
            ("Restarts", "string", 0, restarts),
            AGE,
            ("IP", "string", 1, |one| at(one, "/status/podIP")),
            ("Node", "string", 1, |one| at(one, "/spec/nodeName")),
            ("Nominated Node", "string", 1, |one| {
                at(one, "/status/nominatedNodeName")
            }),
            ("Readiness Gates", "string", 1, |_| json!("<none>")),
        ],
        "deployments.apps" => vec![
            ("Ready", "string", 0, |one| {
                ready_of(one, "/status/readyReplicas", "/spec/replicas")
            }),
            ("Up-to-date", "string", 0, |one| {
                json!(number(one, "/status/updatedReplicas"))
            }),
            ("Available", "string", 0, |one| {
                json!(number(one, "/status/availableReplicas"))
            }),
            AGE,
            ("Containers", "string", 1, |one| {
                names(one, "/spec/template/spec/containers", "/name")
            }),
            ("Images", "string", 1, |one| {
                names(one, "/spec/template/spec/containers", "/image")
            }),
            ("Selector", "string", 1, |one| {
                selector(one, "/spec/selector/matchLabels")
            }),
        ],
        "replicasets.apps" => vec![
            ("Desired", "integer", 0, |one| {
                json!(number(one, "/spec/replicas"))
            }),
            ("Current", "integer", 0, |one| {
                json!(number(one, "/status/replicas"))
            }),
            ("Ready", "integer", 0, |one| {
                json!(number(one, "/status/readyReplicas"))
            }),
            AGE,
            ("Containers", "string", 1, |one| {
                names(one, "/spec/template/spec/containers", "/name")
            }),
            ("Images", "string", 1, |one| {
                names(one, "/spec/template/spec/containers", "/image")
            }),
            ("Selector", "string", 1, |one| {
                selector(one, "/spec/selector/matchLabels")
            }),
        ],
        "statefulsets.apps" => vec![
            ("Ready", "string", 0, |one| {
                ready_of(one, "/status/readyReplicas", "/spec/replicas")
            }),
            AGE,
            ("Containers", "string", 1, |one| {
                names(one, "/spec/template/spec/containers", "/name")
            }),
            ("Images", "string", 1, |one| {
                names(one, "/spec/template/spec/containers", "/image")
            }),
        ],
        "daemonsets.apps" => vec![
            ("Desired", "integer", 0, |one| {
                json!(number(one, "/status/desiredNumberScheduled"))
            }),
            ("Current", "integer", 0, |one| {
                json!(number(one, "/status/currentNumberScheduled"))
            }),
            ("Ready", "integer", 0, |one| {
                json!(number(one, "/status/numberReady"))
            }),
            ("Up-to-date", "integer", 0, |one| {
                json!(number(one, "/status/updatedNumberScheduled"))
            }),
            ("Available", "integer", 0, |one| {
                json!(number(one, "/status/numberAvailable"))
            }),
            ("Node Selector", "string", 0, |one| {
                selector(one, "/spec/template/spec/nodeSelector")
            }),
            AGE,
        ],
        "jobs.batch" => vec![
            ("Status", "string", 0, job_status),
            ("Completions", "string", 0, |one| {
                ready_of(one, "/status/succeeded", "/spec/completions")
            }),
            ("Duration", "string", 0, job_duration),
            AGE,
            ("Containers", "string", 1, |one| {
                names(one, "/spec/template/spec/containers", "/name")
            }),
            ("Images", "string", 1, |one| {
                names(one, "/spec/template/spec/containers", "/image")
            }),
            ("Selector", "string", 1, |one| {
                selector(one, "/spec/selector/matchLabels")
            }),
        ],
        "services" => vec![
            ("Type", "string", 0, |one| at(one, "/spec/type")),
            ("Cluster-IP", "string", 0, |one| at(one, "/spec/clusterIP")),
            ("External-IP", "string", 0, |one| {
                match text(one, "/spec/type") {
                    "ExternalName" => at(one, "/spec/externalName"),
                    "LoadBalancer" => at(one, "/status/loadBalancer/ingress/0/ip"),
                    _ => json!("<none>"),
                }
            }),
            ("Port(s)", "string", 0, ports),
            AGE,
            ("Selector", "string", 1, |one| {
                selector(one, "/spec/selector")
            }),
        ],
        "configmaps" => vec![
            ("Data", "string", 0, |one| {
                json!(
                    size(one, "data").as_u64().unwrap_or(0)
                        + size(one, "binaryData").as_u64().unwrap_or(0)
                )
            }),
            AGE,
        ],
        "secrets" => vec![
            ("Type", "string", 0, |one| at(one, "/type")),
            ("Data", "string", 0, |one| size(one, "data")),
            AGE,
        ],
        "namespaces" => vec![("Status", "string", 0, |one| at(one, "/status/phase")), AGE],
        "serviceaccounts" => vec![
            ("Secrets", "string", 0, |one| {
                json!(array(one, "/secrets").len())
            }),
            AGE,
        ],
        "nodes" => vec![
            ("Status", "string", 0, |one| {
                json!(if crate::object::has_condition(one, "Ready") {
                    "Ready"
                } else {
                    "NotReady"
                })
            }),
            ("Roles", "string", 0, |_| json!("<none>")),
            AGE,
            ("Version", "string", 0, |one| {
                at(one, "/status/nodeInfo/kubeletVersion")
            }),
            ("Internal-IP", "string", 1, |one| address(one, "InternalIP")),
            ("External-IP", "string", 1, |one| address(one, "ExternalIP")),
            ("OS-Image", "string", 1, |one| {
                known(one, "/status/nodeInfo/osImage")
            }),
            ("Kernel-Version", "string", 1, |one| {
                known(one, "/status/nodeInfo/kernelVersion")
            }),
            ("Container-Runtime", "string", 1, |one| {
                known(one, "/status/nodeInfo/containerRuntimeVersion")
            }),
        ],
        "persistentvolumeclaims" => vec![
            ("Status", "string", 0, |one| at(one, "/status/phase")),
            ("Volume", "string", 0, |one| {
                json!(text(one, "/spec/volumeName"))
            }),
            ("Capacity", "string", 0, |one| {
                json!(text(one, "/status/capacity/storage"))
            }),
            ("Access Modes", "string", 0, |one| {
                access_modes(one, "/status/accessModes")
            }),
            ("StorageClass", "string", 0, |one| {
                json!(text(one, "/spec/storageClassName"))
            }),
            ("VolumeAttributesClass", "string", 0, |one| {
                json!(match text(one, "/spec/volumeAttributesClassName") {
                    "" => "<unset>",
                    other => other,
                })
            }),
            AGE,
            ("VolumeMode", "string", 1, |one| {
                json!(text(one, "/spec/volumeMode"))
            }),
        ],
        "events" => vec![
            ("Last Seen", "string", 0, last_seen),
            ("Type", "string", 0, |one| json!(text(one, "/type"))),
            ("Reason", "string", 0, |one| json!(text(one, "/reason"))),
            ("Object", "string", 0, |one| {
                let side = if one.get("regarding").is_some() {
                    "/regarding"
                } else {
                    "/involvedObject"
                };
                let kind = text(one, &format!("{side}/kind")).to_lowercase();
                json!(format!("{kind}/{}", text(one, &format!("{side}/name"))))
            }),
            ("Message", "string", 0, |one| {
                json!(
                    match text(one, "/message") {
                        "" => text(one, "/note"),
                        found => found,
                    }
                    .trim()
                )
            }),
        ],
        crate::crd::STORAGE => vec![("Created At", "date", 0, |one| {
            json!(text(one, "/metadata/creationTimestamp"))
        })],
        _ => vec![AGE],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_kubectl_prints_them() {
        for (seconds, shown) in [
            (5, "5s"),
            (119, "119s"),
            (125, "2m5s"),
            (660, "11m"),
            (10_860, "3h1m"),
            (172_800, "2d"),
            (700_000, "8d"),
        ] {
            assert_eq!(human_duration(seconds), shown);
        }
    }

    #[test]
    fn a_node_shows_its_addresses_and_what_it_runs_on() {
        let node = json!({
            "metadata": {"name": "local"},
            "status": {
                "addresses": [
                    {"type": "Hostname", "address": "local"},
                    {"type": "InternalIP", "address": "10.0.0.7"},
                ],
                "nodeInfo": {"kernelVersion": "6.12.1", "osImage": ""},
            },
        });
        let wide: Vec<Value> = columns("nodes")
            .iter()
            .filter(|(_, _, priority, _)| *priority == 1)
            .map(|(_, _, _, cell)| cell(&node))
            .collect();
        assert_eq!(
            json!(wide),
            json!(["10.0.0.7", "<none>", "<unknown>", "6.12.1", "<unknown>"])
        );
    }

    #[test]
    fn printer_paths_find_fields_filters_and_escaped_keys() {
        let item = json!({
            "spec": {"a": [1, 2]},
            "metadata": {"labels": {"x.y/z": "v"}},
            "status": {"conditions": [{"type": "A", "status": "no"}, {"type": "Ready", "status": "True"}]},
        });
        assert_eq!(json_path(&item, ".spec.a[1]"), Some(json!(2)));
        assert_eq!(
            json_path(&item, ".status.conditions[?(@.type==\"Ready\")].status"),
            Some(json!("True"))
        );
        assert_eq!(
            json_path(&item, r".metadata.labels.x\.y/z"),
            Some(json!("v"))
        );
        assert_eq!(json_path(&item, ".spec.b"), None);
    }
}
