//! The labels that every object of an Application carries.

use std::collections::BTreeMap;

use crate::{
    ApplicationName, BlueprintName, EnvironmentName, HostClusterName, NameError, VclusterName,
};

/// Prefix of Catalyst's own labels and annotations.
pub const LABEL_PREFIX: &str = "openova.io/";

/// What the labels of one Application's objects are made from.
#[derive(Debug, Clone)]
pub struct ApplicationLabels<'a> {
    /// The Sovereign's domain.
    pub sovereign: &'a str,
    /// The Environment that holds the Application.
    pub environment: &'a EnvironmentName,
    /// Where its vcluster runs.
    pub host_cluster: &'a HostClusterName,
    /// The Application.
    pub application: &'a ApplicationName,
    /// The Blueprint it is made from.
    pub blueprint: &'a BlueprintName,
    /// The Blueprint's exact version.
    pub version: &'a str,
    /// The part of the Application that the object belongs to.
    pub component: &'a str,
}

impl ApplicationLabels<'_> {
    /// The labels by their full keys.
    pub fn to_map(&self) -> Result<BTreeMap<String, String>, NameError> {
        let (organization, env_type) = self.environment.parts()?;
        let vcluster = VclusterName {
            host_cluster: self.host_cluster.clone(),
            organization: organization.clone(),
        };
        let recommended = [
            (
                "name",
                self.blueprint.as_str().trim_start_matches("bp-").to_owned(),
            ),
            ("instance", self.application.to_string()),
            ("version", self.version.to_owned()),
            ("component", self.component.to_owned()),
            ("managed-by", "catalyst".to_owned()),
        ];
        let own = [
            ("sovereign", self.sovereign.to_owned()),
            ("organization", organization.to_string()),
            ("environment", self.environment.to_string()),
            ("env-type", env_type.to_string()),
            ("vcluster", vcluster.to_string()),
            ("host-cluster", self.host_cluster.to_string()),
            ("application", self.application.to_string()),
            ("blueprint", self.blueprint.to_string()),
            ("blueprint-version", self.version.to_owned()),
        ];
        let recommended = recommended
            .into_iter()
            .map(|(key, value)| (format!("app.kubernetes.io/{key}"), value));
        let own = own
            .into_iter()
            .map(|(key, value)| (format!("{LABEL_PREFIX}{key}"), value));
        Ok(recommended.chain(own).collect())
    }
}
