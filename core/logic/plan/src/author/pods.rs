//! What lint asks of every pod that a Blueprint renders: probes, resources, a
//! security context, images that are known, and nothing of the host.

use catalyst_blueprint::{HostAccessKind, HostUse};
use serde_json::Value;

use super::objects::Check;
use super::secrets::{is_secret_like, names_secret, shape_in};

/// Checks the pod of an object, if it has one.
pub(super) fn check(check: &mut Check<'_>, is_hook: bool) {
    let Some((pod, is_long_running)) = pod_of(check.object) else {
        return;
    };
    host_of_pod(check, pod);
    for (list, is_init) in [("initContainers", true), ("containers", false)] {
        let containers = pod.get(list).and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            let name = container.get("name").and_then(Value::as_str);
            let container = Container {
                pod,
                spec: container,
                title: format!("container `{}` of {}", name.unwrap_or_default(), check.name),
                anchor: format!("name: {}", name.unwrap_or_default()),
            };
            if is_long_running && !is_init && !is_hook {
                container.probes(check);
            }
            container.resources(check);
            container.security(check);
            container.image(check);
            container.host(check);
            container.variables(check);
        }
    }
}

/// The pod's specification, and whether it is to run for ever.
pub(super) fn pod_of(object: &Value) -> Option<(&Value, bool)> {
    let kind = object.get("kind").and_then(Value::as_str)?;
    let (pointer, is_long_running) = match kind {
        "Pod" => {
            let policy = object.pointer("/spec/restartPolicy");
            let is_always = policy.and_then(Value::as_str).unwrap_or("Always") == "Always";
            ("/spec", is_always)
        }
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" => {
            ("/spec/template/spec", true)
        }
        "Job" => ("/spec/template/spec", false),
        "CronJob" => ("/spec/jobTemplate/spec/template/spec", false),
        _ => return None,
    };
    Some((object.pointer(pointer)?, is_long_running))
}

/// The images of an object's pod, if it has one.
pub(super) fn images_of(object: &Value) -> impl Iterator<Item = &str> {
    let pod = pod_of(object).map(|(pod, _)| pod);
    ["initContainers", "containers"]
        .into_iter()
        .filter_map(move |list| pod?.get(list)?.as_array())
        .flatten()
        .filter_map(|container| container.get("image")?.as_str())
}

fn host_of_pod(check: &mut Check<'_>, pod: &Value) {
    for kind in [
        HostAccessKind::Network,
        HostAccessKind::Processes,
        HostAccessKind::SharedMemory,
    ] {
        let field = kind.field();
        let is_taken = pod.get(field) == Some(&Value::Bool(true));
        if is_taken && !check.declared.lets(HostUse::Whole(kind)) {
            let message = format!("the pods of {} share the host's {field}", check.name);
            check.report(
                "host-access",
                ("", &[field]),
                message,
                "remove it, or declare it in hostAccess with the reason",
            );
        }
    }
    let volumes = pod.get("volumes").and_then(Value::as_array);
    for volume in volumes.into_iter().flatten() {
        if let Some(path) = volume.pointer("/hostPath/path").and_then(Value::as_str)
            && !check.declared.lets(HostUse::Path(path))
        {
            let message = format!("the pods of {} mount `{path}` of the host", check.name);
            check.report(
                "host-access",
                ("", &["hostPath"]),
                message,
                "use a volume of its own: an emptyDir, a claim, a ConfigMap or a Secret; or declare it in hostAccess with the reason",
            );
        }
    }
}

struct Container<'a> {
    pod: &'a Value,
    spec: &'a Value,
    /// `container `web` of Deployment example`.
    title: String,
    /// The text by which its lines are found.
    anchor: String,
}

impl Container<'_> {
    fn report(
        &self,
        check: &mut Check<'_>,
        rule: &'static str,
        text: &str,
        fault: &str,
        fix: &str,
    ) {
        let message = format!("{} {fault}", self.title);
        let texts = [text, self.anchor.as_str(), "containers:"];
        check.report(rule, (&self.anchor, &texts), message, fix);
    }

    fn probes(&self, check: &mut Check<'_>) {
        let missing: Vec<&str> = ["livenessProbe", "readinessProbe"]
            .into_iter()
            .filter(|probe| self.spec.get(probe).is_none_or(Value::is_null))
            .collect();
        if !missing.is_empty() {
            let fault = format!("has no {}", missing.join(" and no "));
            self.report(
                check,
                "probes",
                &self.anchor,
                &fault,
                "say how it is known to serve, and how it is known to hang",
            );
        }
    }

    fn resources(&self, check: &mut Check<'_>) {
        let missing: Vec<&str> = [
            ("/resources/requests/cpu", "requests.cpu"),
            ("/resources/requests/memory", "requests.memory"),
            ("/resources/limits/memory", "limits.memory"),
        ]
        .into_iter()
        .filter(|(pointer, _)| self.spec.pointer(pointer).is_none_or(Value::is_null))
        .map(|(_, name)| name)
        .collect();
        if !missing.is_empty() {
            let fault = format!("does not state {}", missing.join(", "));
            self.report(
                check,
                "resources",
                "resources:",
                &fault,
                "state what it needs and the most memory it may take",
            );
        }
    }

    /// A field of its security context; that of the pod where both may have it.
    fn context(&self, field: &str) -> Option<&Value> {
        let own = self
            .spec
            .get("securityContext")
            .and_then(|it| it.get(field));
        own.or_else(|| self.pod.get("securityContext")?.get(field))
    }

    /// Whether it is privileged, and the Blueprint says that it is.
    fn is_declared_privileged(&self, check: &Check<'_>) -> bool {
        let privileged = HostUse::Whole(HostAccessKind::Privileged);
        self.is_privileged() && check.declared.lets(privileged)
    }

    fn is_privileged(&self) -> bool {
        self.spec.pointer("/securityContext/privileged") == Some(&Value::Bool(true))
    }

    /// Rights that it has or may gain, each with where that is said.
    fn rights(&self) -> Vec<String> {
        let own = |pointer: &str| self.spec.pointer(pointer);
        let mut faults = Vec::new();
        if self.context("runAsNonRoot") != Some(&Value::Bool(true)) {
            faults.push("may run as root (runAsNonRoot is not true)".to_owned());
        } else if self.context("runAsUser").and_then(Value::as_u64) == Some(0) {
            faults.push("runs as root (runAsUser is 0)".to_owned());
        }
        if own("/securityContext/allowPrivilegeEscalation") != Some(&Value::Bool(false)) {
            faults.push("may gain rights (allowPrivilegeEscalation is not false)".to_owned());
        }
        let names = |pointer: &str| -> Vec<&str> {
            let list = own(pointer).and_then(Value::as_array);
            list.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect()
        };
        let dropped = names("/securityContext/capabilities/drop");
        if !dropped.iter().any(|it| it.eq_ignore_ascii_case("ALL")) {
            faults.push("keeps capabilities (capabilities.drop is not [ALL])".to_owned());
        }
        let mut added = names("/securityContext/capabilities/add");
        added.retain(|name| *name != "NET_BIND_SERVICE");
        if !added.is_empty() {
            faults.push(format!("adds the capabilities {}", added.join(", ")));
        }
        faults
    }

    fn security(&self, check: &mut Check<'_>) {
        // Declared to have every right, it is asked about none.
        let faults = if self.is_declared_privileged(check) {
            Vec::new()
        } else {
            self.rights()
        };
        for fault in faults {
            self.report(
                check,
                "security-context",
                "securityContext:",
                &fault,
                "run it as a user of its own, without escalation and capabilities",
            );
        }
        let is_read_only = self.spec.pointer("/securityContext/readOnlyRootFilesystem");
        if is_read_only != Some(&Value::Bool(true)) {
            self.report(
                check,
                "read-only-root",
                "securityContext:",
                "can write to its image's files",
                "set readOnlyRootFilesystem, and mount an emptyDir where it must write",
            );
        }
    }

    fn image(&self, check: &mut Check<'_>) {
        let image = self.spec.get("image").and_then(Value::as_str);
        let image = image.unwrap_or_default();
        let (name, digest) = match image.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (image, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let last = name.rsplit('/').next().unwrap_or_default();
        let tag = last.split_once(':').map(|(_, tag)| tag);
        if digest.is_none() && tag.is_none_or(|tag| tag == "latest") {
            let fault = format!("runs `{image}`, which is another image every day");
            self.report(
                check,
                "image-tag",
                "image:",
                &fault,
                "name a version, and its digest",
            );
        } else if digest.is_none() {
            let fault = format!("runs `{image}`, which is not pinned by its digest");
            self.report(
                check,
                "image-digest",
                "image:",
                &fault,
                "add `@sha256:…`, so that what was tested is what runs",
            );
        }
    }

    fn host(&self, check: &mut Check<'_>) {
        if self.is_privileged() && !self.is_declared_privileged(check) {
            self.report(
                check,
                "host-access",
                "privileged",
                "is privileged",
                "remove it, or declare it in hostAccess with the reason",
            );
        }
        let ports = self.spec.get("ports").and_then(Value::as_array);
        for port in ports.into_iter().flatten() {
            let host = port.get("hostPort").and_then(Value::as_u64).unwrap_or(0);
            if host != 0 && !check.declared.lets(HostUse::Port(host)) {
                self.report(
                    check,
                    "host-access",
                    "hostPort",
                    &format!("takes port {host} of the host"),
                    "offer the port by a Service, or declare it in hostAccess with the reason",
                );
            }
        }
    }

    fn variables(&self, check: &mut Check<'_>) {
        let variables = self.spec.get("env").and_then(Value::as_array);
        for variable in variables.into_iter().flatten() {
            let text = |key: &str| variable.get(key).and_then(Value::as_str);
            let (name, value) = (
                text("name").unwrap_or_default(),
                text("value").unwrap_or_default(),
            );
            // What has the shape of a secret is told of whatever holds it.
            if names_secret(name) && is_secret_like(value) && shape_in(value).is_none() {
                self.report(
                    check,
                    "plain-secret",
                    name,
                    &format!("has the variable `{name}` in plain text"),
                    "take it from a Secret with `valueFrom.secretKeyRef`",
                );
            }
        }
    }
}
