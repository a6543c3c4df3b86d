//! Reads how an Application is doing: what Flux says, its pods, and the last lines
//! of those that crashed.

use std::collections::BTreeMap;

use catalyst_names::{ApplicationName, EnvironmentName, HostClusterName, workload_namespace};
use serde_json::Value;

use super::pods::pod_problem;
use crate::controllers::{ApplicationKey, Shared};
use crate::error::ReconcileError;
use crate::kubernetes::{Cluster, HELM_RELEASE, KUSTOMIZATION, OCI_REPOSITORY, POD};
use crate::object::{name, namespace};

/// How much of a log is told.
const LINES: u32 = 10;
const LONGEST: usize = 1500;

/// What was seen.
pub struct Sight {
    /// The OCIRepository.
    pub source: Option<Value>,
    /// The HelmRelease or the Kustomization.
    pub release: Option<Value>,
    /// The pods.
    pub pods: Vec<Value>,
    /// Pod → last lines of the container that failed.
    pub logs: BTreeMap<String, String>,
}

/// Reads all of it.
pub async fn observe(
    _shared: &Shared,
    at: &ApplicationKey,
    vcluster: &Cluster,
) -> Result<Sight, ReconcileError> {
    let space = namespace_of(at)?;
    let (release, kustomization, pods) = futures::join!(
        vcluster.get(HELM_RELEASE, &at.environment, &at.name),
        vcluster.get(KUSTOMIZATION, &at.environment, &at.name),
        vcluster.list(POD, &space, ""),
    );
    let (release, pods) = (release?.or(kustomization?), pods?);
    let source = release.as_ref().and_then(source_of).unwrap_or(&at.name);
    let source = vcluster
        .get(OCI_REPOSITORY, &at.environment, source)
        .await?;
    let mut logs = BTreeMap::new();
    // One is enough to tell why; the pods of an Application fail alike.
    let failing = pods
        .iter()
        .find_map(|pod| Some((pod, pod_problem(pod)?.log?)));
    if let Some((pod, (container, previous))) = failing {
        let read = vcluster.log(namespace(pod), name(pod), &container, LINES, previous);
        // A log that cannot be read is no news beside a crash.
        let text = read.await.unwrap_or_default();
        logs.insert(name(pod).to_owned(), tail(&text));
    }
    Ok(Sight {
        source,
        release,
        pods,
        logs,
    })
}

/// The name of the source that a HelmRelease or a Kustomization takes its artifact from.
fn source_of(release: &Value) -> Option<&str> {
    ["/spec/chartRef/name", "/spec/sourceRef/name"]
        .iter()
        .find_map(|pointer| release.pointer(pointer))
        .and_then(Value::as_str)
}

/// Where an Application's workloads are.
pub fn namespace_of(at: &ApplicationKey) -> Result<String, ReconcileError> {
    let compute = || {
        let application = ApplicationName::new(at.name.as_str())?;
        let (_, env_type) = EnvironmentName::new(at.environment.as_str())?.parts()?;
        let host: HostClusterName = at.at.host.parse()?;
        Ok(workload_namespace(&application, env_type, &host))
    };
    compute().map_err(|error: catalyst_names::NameError| {
        ReconcileError::invalid(
            "place",
            format!("the Application {}/{}", at.environment, at.name),
            error.to_string(),
        )
    })
}

/// The end of a text, at a line's start where that is near.
fn tail(text: &str) -> String {
    let text = text.trim_end();
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let mut start = text.len() - LONGEST;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let end = text.get(start..).unwrap_or_default();
    match end.split_once('\n') {
        Some((_, lines)) if !lines.is_empty() => lines.to_owned(),
        _ => end.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_is_found_by_what_uses_it() {
        for (spec, name) in [
            (json!({"chartRef": {"name": "wiki"}}), Some("wiki")),
            (
                json!({"sourceRef": {"name": "wiki-0123456789ab"}}),
                Some("wiki-0123456789ab"),
            ),
            (json!({}), None),
        ] {
            assert_eq!(source_of(&json!({"spec": spec})), name);
        }
    }

    #[test]
    fn only_the_end_of_a_long_log_is_told() {
        assert_eq!(tail("one\ntwo\n"), "one\ntwo");
        let long: String = (0..1000).map(|line| format!("line {line} ü\n")).collect();
        let end = tail(&long);
        assert!(end.len() <= LONGEST);
        assert!(end.starts_with("line ") && end.ends_with("line 999 ü"));
    }
}
