//! Flux's CustomResourceDefinitions, without prose.
//!
//! Called by whoever makes a cluster; what must stay true: the schemas are
//! Flux's own, so that an object accepted here is accepted there.

use serde_json::Value;

const DEFINITIONS: [&str; 4] = [
    include_str!("../crds/gitrepositories.json"),
    include_str!("../crds/ocirepositories.json"),
    include_str!("../crds/kustomizations.json"),
    include_str!("../crds/helmreleases.json"),
];

/// The definitions to install in every cluster that this part should serve:
/// GitRepository and OCIRepository (`source.toolkit.fluxcd.io/v1`),
/// Kustomization (`kustomize.toolkit.fluxcd.io/v1`) and HelmRelease
/// (`helm.toolkit.fluxcd.io/v2`).
#[must_use]
pub fn custom_resource_definitions() -> Vec<Value> {
    DEFINITIONS
        .iter()
        .filter_map(|text| serde_json::from_str(text).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_read() {
        let names: Vec<String> = custom_resource_definitions()
            .iter()
            .map(|one| one["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "gitrepositories.source.toolkit.fluxcd.io",
                "ocirepositories.source.toolkit.fluxcd.io",
                "kustomizations.kustomize.toolkit.fluxcd.io",
                "helmreleases.helm.toolkit.fluxcd.io",
            ]
        );
    }
}
