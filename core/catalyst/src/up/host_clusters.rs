//! The logical clusters of an embedded Sovereign: the management cluster, a host
//! cluster for each env type, and what every cluster holds from its first moment.

use anyhow::Context;
use catalyst_kubernetes::Kubernetes;
use catalyst_names::{BuildingBlock, EnvType, HostClusterName, Provider, Region};
use catalyst_resources::custom_resource_definitions;
use serde_json::{Value, json};

use super::identity::SOVEREIGN_ADMIN;
use super::{gateway, vclusters};

/// Put before the issuer's groups in the Kubernetes API, so that no group that
/// somebody names can be one of Kubernetes' own, such as `system:masters`.
pub const OIDC_GROUPS: &str = "oidc:";

/// The name of the cluster that the control plane's own objects live in.
pub fn management() -> anyhow::Result<String> {
    Ok(name(BuildingBlock::Management, EnvType::Production)?.to_string())
}

/// Makes the management cluster and a host cluster for each env type, as the
/// model says of an embedded Sovereign. Answers their names, the management
/// cluster's first.
pub async fn create(kubernetes: &Kubernetes) -> anyhow::Result<Vec<String>> {
    let mut common = platform_definitions()?;
    common.push(administrators());
    // The gateway and the kubelet follow kinds across all clusters; each is
    // known once one cluster serves it.
    common.push(vclusters::custom_resource_definition());
    let mut own = common.clone();
    own.extend(
        custom_resource_definitions()
            .into_iter()
            .filter(|(kind, _)| !kind.in_environment)
            .map(|(_, definition)| definition),
    );
    let management = management()?;
    kubernetes.create_cluster(&management, &own).await?;
    let mut clusters = vec![management];
    for env_type in EnvType::ALL {
        let cluster = name(BuildingBlock::RestrictedTrust, *env_type)?.to_string();
        kubernetes.create_cluster(&cluster, &common).await?;
        clusters.push(cluster);
    }
    Ok(clusters)
}

/// What every vcluster holds from its first moment.
pub fn vcluster_bootstrap() -> anyhow::Result<Vec<Value>> {
    let mut objects = platform_definitions()?;
    objects.push(administrators());
    objects.extend(vclusters::account());
    Ok(objects)
}

/// Kinds of the parts that serve every cluster: Flux, External Secrets, the
/// Gateway API.
fn platform_definitions() -> anyhow::Result<Vec<Value>> {
    let mut definitions = catalyst_flux::custom_resource_definitions();
    definitions.extend(catalyst_external_secrets::custom_resource_definitions());
    definitions.extend(gateway::custom_resource_definitions()?);
    Ok(definitions)
}

fn name(block: BuildingBlock, env_type: EnvType) -> anyhow::Result<HostClusterName> {
    let region = Region::known(Provider::Local)
        .into_iter()
        .next()
        .context("the local provider has no region")?;
    Ok(HostClusterName::new(
        Provider::Local,
        &region,
        block,
        env_type,
    ))
}

fn administrators() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "openova.io:sovereign-admin"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": format!("{OIDC_GROUPS}{SOVEREIGN_ADMIN}")}],
    })
}
