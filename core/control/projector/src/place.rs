//! Where an object belongs: which Environment, which Application. Pure.

use catalyst_names::{
    ApplicationName, EnvType, EnvironmentName, HostClusterName, OrganizationName,
    workload_namespace,
};

/// The Environment that an object belongs to, and the Application if it is one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The Environment.
    pub environment: String,
    /// The Application.
    pub application: Option<String>,
}

/// Which place a namespace of an Organization's vcluster is: an Environment's
/// own namespace, or that of an Application's workloads. `None` for namespaces
/// of the cluster itself.
pub fn place_of_namespace(
    organization: &OrganizationName,
    host: &HostClusterName,
    namespace: &str,
) -> Option<Place> {
    if let Ok(environment) = EnvironmentName::new(namespace)
        && environment
            .parts()
            .is_ok_and(|(owner, _)| owner == *organization)
    {
        return Some(Place {
            environment: namespace.to_owned(),
            application: None,
        });
    }
    // No Application's name begins with a stage and a hyphen.
    let foreign = EnvType::ALL.iter().find_map(|stage| {
        let rest = namespace.strip_prefix(&format!("{stage}-"))?;
        Some((*stage, rest))
    });
    let (stage, application) = foreign.unwrap_or((host.env_type(), namespace));
    let application = ApplicationName::new(application).ok()?;
    if ["catalyst-system", "external-secrets"].contains(&namespace)
        || workload_namespace(&application, stage, host) != namespace
    {
        return None;
    }
    Some(Place {
        environment: EnvironmentName::of(organization, stage).ok()?.to_string(),
        application: Some(application.to_string()),
    })
}

/// The host cluster and Organization of a vcluster's qualified name,
/// `{host cluster}-{organization}`: a host cluster's name has four parts.
pub fn split_vcluster(name: &str) -> Option<(HostClusterName, OrganizationName)> {
    let at = name.match_indices('-').nth(3)?.0;
    let (host, rest) = name.split_at_checked(at)?;
    let organization = rest.strip_prefix('-')?;
    Some((
        host.parse().ok()?,
        OrganizationName::new(organization).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_belong_to_environments_and_applications() {
        let check = |vcluster: &str, namespace: &str, expected: Option<(&str, Option<&str>)>| {
            let (host, organization) = split_vcluster(vcluster).unwrap();
            let found = place_of_namespace(&organization, &host, namespace);
            let found = found
                .as_ref()
                .map(|place| (place.environment.as_str(), place.application.as_deref()));
            assert_eq!(found, expected, "{namespace} in {vcluster}");
        };
        let dev = "lo-loc-rtz-dev-acme";
        check(dev, "acme-dev", Some(("acme-dev", None)));
        check(dev, "acme-uat", Some(("acme-uat", None)));
        check(dev, "blog", Some(("acme-dev", Some("blog"))));
        check(dev, "uat-blog", Some(("acme-uat", Some("blog"))));
        // The host serves that stage itself, so nobody makes such a namespace.
        check(dev, "dev-blog", None);
        check(dev, "globex-dev", Some(("acme-dev", Some("globex-dev"))));
        for own in ["kube-system", "default", "flux-system", "catalyst-system"] {
            check(dev, own, None);
        }
        check(
            "hz-fsn-rtz-prod-big-corp",
            "shop",
            Some(("big-corp-prod", Some("shop"))),
        );
    }

    #[test]
    fn qualified_names_come_apart() {
        let (host, organization) = split_vcluster("hz-fsn-rtz-prod-big-corp").unwrap();
        assert_eq!(host.to_string(), "hz-fsn-rtz-prod");
        assert_eq!(organization.as_str(), "big-corp");
        assert!(split_vcluster("lo-loc-rtz-dev").is_none());
    }
}
