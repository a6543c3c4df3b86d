//! A pod's class of service, by what it asks for (`GetPodQOS` of
//! `k8s.io/kubernetes/pkg/apis/core/v1/helper/qos`). Decided once, when the pod is
//! made: whoever runs it and writes its status leaves it as it is.

use serde_json::Value;

use crate::object::array;
use crate::quota::thousandths;

/// `Guaranteed` if every container may use as much as it asks for and no more,
/// `BestEffort` if none asks for anything, else `Burstable`. Only processors and
/// memory count.
pub(crate) fn class(pod: &Value) -> &'static str {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    // What the pod asks for as a whole counts instead of what its containers do.
    let askers: Vec<&Value> = if amounts(spec).into_iter().any(is_anything) {
        vec![spec]
    } else {
        array(spec, "/containers")
            .iter()
            .chain(array(spec, "/initContainers"))
            .collect()
    };
    let amounts: Vec<Amount> = askers.into_iter().flat_map(amounts).collect();
    if !amounts.iter().copied().any(is_anything) {
        "BestEffort"
    } else if amounts
        .iter()
        .all(|(request, limit)| *limit > 0 && request == limit)
    {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// How much is asked for, and how much may be used; 0 for what is not said.
type Amount = (i128, i128);

fn is_anything((request, limit): Amount) -> bool {
    request > 0 || limit > 0
}

/// Of processors and of memory.
fn amounts(asker: &Value) -> [Amount; 2] {
    ["cpu", "memory"].map(|resource| {
        let of = |kind: &str| {
            let found = asker.pointer(&format!("/resources/{kind}/{resource}"));
            found.map(thousandths)
        };
        let limit = of("limits");
        // Whoever says only how much may be used asks for as much.
        let request = of("requests").or(limit);
        (request.unwrap_or(0), limit.unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_and_their_classes() {
        let container = |requests: Value, limits: Value| json!({"name": "c", "resources": {"requests": requests, "limits": limits}});
        let none = || json!({"name": "c"});
        let both = || json!({"cpu": "1", "memory": "1Gi"});
        let guaranteed = || container(both(), both());
        for (what, spec, expected) in [
            ("nothing", json!({"containers": [none()]}), "BestEffort"),
            (
                "resources of which none is given",
                json!({"containers": [container(json!({}), json!({}))]}),
                "BestEffort",
            ),
            (
                "nothing but zero",
                json!({"containers": [container(json!({"cpu": "0"}), json!({"memory": 0}))]}),
                "BestEffort",
            ),
            (
                "what does not count",
                json!({"containers": [container(json!({"ephemeral-storage": "1Gi"}), json!({}))]}),
                "BestEffort",
            ),
            (
                "as much as it may use",
                json!({"containers": [guaranteed()]}),
                "Guaranteed",
            ),
            (
                "limits alone",
                json!({"containers": [container(json!({}), both())]}),
                "Guaranteed",
            ),
            (
                "the same, written otherwise",
                json!({"containers": [container(json!({"cpu": "1000m", "memory": "1024Mi"}), json!({"cpu": 1, "memory": "1Gi"}))]}),
                "Guaranteed",
            ),
            (
                "requests alone",
                json!({"containers": [container(both(), json!({}))]}),
                "Burstable",
            ),
            (
                "a limit of one kind",
                json!({"containers": [container(json!({}), json!({"memory": "1Gi"}))]}),
                "Burstable",
            ),
            (
                "less than it may use",
                json!({"containers": [container(json!({"cpu": "500m", "memory": "1Gi"}), both())]}),
                "Burstable",
            ),
            (
                "one container that says nothing",
                json!({"containers": [guaranteed(), none()]}),
                "Burstable",
            ),
            (
                "an init container that says nothing",
                json!({"containers": [guaranteed()], "initContainers": [none()]}),
                "Burstable",
            ),
            (
                "all containers alike",
                json!({"containers": [guaranteed()], "initContainers": [guaranteed()]}),
                "Guaranteed",
            ),
            (
                "the pod as a whole",
                json!({"resources": {"requests": both(), "limits": both()}, "containers": [none()]}),
                "Guaranteed",
            ),
        ] {
            assert_eq!(class(&json!({"spec": spec})), expected, "{what}");
        }
    }
}
