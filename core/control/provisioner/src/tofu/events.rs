//! What `tofu … -json` prints, one object a line, as events.
//!
//! The form is OpenTofu's machine-readable UI
//! (<https://opentofu.org/docs/internals/machine-readable-ui/>). Kinds that are not
//! named here are passed over: OpenTofu may add some.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::explain::explain;

/// One thing that OpenTofu told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum TofuEvent {
    /// A resource would change.
    Planned {
        /// Address in the module.
        address: String,
        /// create, update, delete, replace, …
        action: String,
    },
    /// A resource's own work.
    Resource {
        /// Address in the module.
        address: String,
        /// create, update, delete, read.
        action: String,
        /// Where it stands.
        state: ResourceState,
        /// Since when, in seconds.
        seconds: u64,
    },
    /// How much would change, or has changed.
    Summary {
        /// plan, apply or destroy.
        operation: String,
        /// Created.
        add: u64,
        /// Changed in place.
        change: u64,
        /// Destroyed.
        remove: u64,
    },
    /// A warning or an error.
    Diagnostic(Diagnostic),
}

/// Where a resource's work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceState {
    /// It began.
    Begun,
    /// It still goes on.
    Working,
    /// It ended well.
    Done,
    /// It failed.
    Failed,
}

/// A warning or an error of OpenTofu, or of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Whether it is an error.
    pub error: bool,
    /// In one line.
    pub summary: String,
    /// At length; often empty.
    pub detail: String,
    /// The resource that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What it means and what to do, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: Option<String>,
    change: Option<Change>,
    hook: Option<Hook>,
    changes: Option<Changes>,
    diagnostic: Option<Value>,
}

#[derive(Deserialize)]
struct Resource {
    addr: String,
}

#[derive(Deserialize)]
struct Change {
    resource: Resource,
    action: String,
}

#[derive(Deserialize)]
struct Hook {
    resource: Resource,
    #[serde(default)]
    action: String,
    #[serde(default)]
    elapsed_seconds: f64,
}

#[derive(Deserialize)]
struct Changes {
    #[serde(default)]
    add: u64,
    #[serde(default)]
    change: u64,
    #[serde(default)]
    remove: u64,
    #[serde(default)]
    operation: String,
}

/// The event that a line is, if it is one.
pub fn parse(line: &str) -> Option<TofuEvent> {
    let line: Line = serde_json::from_str(line).ok()?;
    let resource = |hook: Option<Hook>, state| {
        let hook = hook?;
        Some(TofuEvent::Resource {
            address: hook.resource.addr,
            action: hook.action,
            state,
            // Whole seconds are what it prints; a negative time is none.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            seconds: hook.elapsed_seconds.max(0.0) as u64,
        })
    };
    match line.kind.as_deref()? {
        "planned_change" => line.change.map(|change| TofuEvent::Planned {
            address: change.resource.addr,
            action: change.action,
        }),
        "apply_start" => resource(line.hook, ResourceState::Begun),
        "apply_progress" => resource(line.hook, ResourceState::Working),
        "apply_complete" => resource(line.hook, ResourceState::Done),
        "apply_errored" => resource(line.hook, ResourceState::Failed),
        "change_summary" => line.changes.map(|changes| TofuEvent::Summary {
            operation: changes.operation,
            add: changes.add,
            change: changes.change,
            remove: changes.remove,
        }),
        "diagnostic" => line
            .diagnostic
            .map(|it| TofuEvent::Diagnostic(diagnostic(&it))),
        _ => None,
    }
}

fn diagnostic(value: &Value) -> Diagnostic {
    let text = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let (summary, detail) = (text("summary"), text("detail"));
    Diagnostic {
        error: text("severity") == "error",
        explanation: explain(&summary, &detail),
        address: Some(text("address")).filter(|address| !address.is_empty()),
        summary,
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_each_kind_become_events() {
        let lines = [
            r#"{"@level":"info","@message":"OpenTofu 1.12.6","tofu":"1.12.6","type":"version","ui":"1.2"}"#,
            r#"{"type":"planned_change","change":{"resource":{"addr":"hcloud_server.worker[0]"},"action":"create"}}"#,
            r#"{"type":"apply_start","hook":{"resource":{"addr":"hcloud_network.sovereign"},"action":"create"}}"#,
            r#"{"type":"apply_progress","hook":{"resource":{"addr":"hcloud_network.sovereign"},"action":"create","elapsed_seconds":10}}"#,
            r#"{"type":"apply_complete","hook":{"resource":{"addr":"hcloud_network.sovereign"},"action":"create","id_key":"id","id_value":"7","elapsed_seconds":12}}"#,
            r#"{"type":"apply_errored","hook":{"resource":{"addr":"hcloud_server.worker[0]"},"action":"create","elapsed_seconds":1}}"#,
            r#"{"type":"change_summary","changes":{"add":3,"change":0,"import":0,"remove":1,"operation":"apply"}}"#,
            r#"{"type":"diagnostic","diagnostic":{"severity":"error","summary":"server limit reached (resource_limit_exceeded, 4711)","detail":"","address":"hcloud_server.worker[0]"}}"#,
            "not JSON at all",
            r#"{"type":"planned_change"}"#,
        ];
        let events: Vec<_> = lines.iter().filter_map(|line| parse(line)).collect();
        insta::assert_snapshot!(
            events
                .iter()
                .map(|event| serde_json::to_string(event).unwrap())
                .collect::<Vec<_>>()
                .join("\n")
        );
    }
}
