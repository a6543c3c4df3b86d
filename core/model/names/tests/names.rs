//! Names against the rules and examples of the model.

use catalyst_names::{
    ApplicationLabels, ApplicationName, BlueprintName, BuildingBlock, EnvType, EnvironmentName,
    HostClusterName, OrganizationName, Provider, Region, VclusterName, application_host,
    workload_namespace,
};
use proptest::prelude::*;

#[test]
fn only_a_source_and_a_blueprints_name_are_a_repository_of_blueprints() {
    let (source, name) = BlueprintName::of_repository("catalog/bp-postgres").unwrap();
    assert_eq!((source, name.as_str()), ("catalog", "bp-postgres"));
    for other in ["catalog/postgres", "bp-postgres", "acme/images/bp-xy"] {
        assert_eq!(BlueprintName::of_repository(other), None, "{other}");
    }
}

#[test]
fn organizations_follow_the_slug_rule_and_reserved_words() {
    for good in ["acme", "globex", "a1b", "my-company-2", &"a".repeat(32)] {
        assert!(OrganizationName::new(good).is_ok(), "{good}");
    }
    let refused = [
        ("", "it has 0 characters, 3 to 32"),
        ("a", "it has 1 character, 3 to 32"),
        ("ab", "it has 2 characters, 3 to 32"),
        (&"a".repeat(33), "it has 33 characters, 3 to 32"),
        ("Acme", "lower-case"),
        ("1acme", "start with"),
        ("acme-", "end with a hyphen"),
        ("ac_me", "'_'"),
        ("system", "reserved"),
        ("catalog-sovereign", "reserved"),
        ("kube-system", "reserved"),
        ("prod", "reserved"),
        ("oci", "reserved"),
        ("fsn", "reserved"),
        ("loc", "reserved"),
    ];
    for (bad, reason) in refused {
        let error = OrganizationName::new(bad).unwrap_err().to_string();
        assert!(error.contains(reason), "{bad}: {error}");
        assert_eq!(
            OrganizationName::is_reserved(&bad.to_uppercase()),
            reason == "reserved",
            "{bad}"
        );
    }
    assert!(!OrganizationName::is_reserved("acme"));
}

#[test]
fn applications_cannot_be_mistaken_for_another_namespace() {
    for good in [
        "blog",
        "marketing-site",
        "db",
        "production-line",
        &"a".repeat(40),
    ] {
        assert!(ApplicationName::new(good).is_ok(), "{good}");
    }
    for bad in [
        "b",
        "default",
        "kube-proxy",
        "flux-system",
        "catalyst-system",
        "dev-blog",
        "prod-",
        "-x",
        "blog-",
        &"a".repeat(41),
    ] {
        assert!(ApplicationName::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_name_that_is_no_label_is_told_the_rule_and_where_it_breaks_it() {
    let rule = "use 2 to 40 lower-case letters, digits and hyphens, start with a letter and do not \
                end with a hyphen";
    for (bad, character, at) in [
        ("Bad!", 'B', 1),
        ("1st", '1', 1),
        ("-x", '-', 1),
        ("bad!", '!', 4),
        ("my_blog", '_', 3),
        ("blög", 'ö', 3),
        ("blog-", '-', 5),
    ] {
        assert_eq!(
            ApplicationName::new(bad).unwrap_err().to_string(),
            format!(
                "Application name {bad:?} is not valid: \
                 {character:?} is not allowed as character {at}; {rule}"
            )
        );
    }
}

#[test]
fn derived_names_match_the_model() {
    let region = Region::known(Provider::Hetzner).remove(0);
    let cluster = HostClusterName::new(
        Provider::Hetzner,
        &region,
        BuildingBlock::RestrictedTrust,
        EnvType::Production,
    );
    assert_eq!(cluster.to_string(), "hz-fsn-rtz-prod");
    assert_eq!(cluster.location_code(&region).to_string(), "hfrp");
    assert_eq!(
        cluster
            .location_code(&region)
            .component_host("console", "omantel.example"),
        "console.hfrp.omantel.example"
    );
    let organization = OrganizationName::new("acme").unwrap();
    let vcluster = VclusterName {
        host_cluster: cluster.clone(),
        organization: organization.clone(),
    };
    assert_eq!(vcluster.to_string(), "hz-fsn-rtz-prod-acme");
    let environment = EnvironmentName::of(&organization, EnvType::Production).unwrap();
    let blog = ApplicationName::new("blog").unwrap();
    assert_eq!(
        application_host(&blog, &environment, "omantel.example"),
        "blog.acme-prod.omantel.example"
    );
    assert_eq!(
        workload_namespace(&blog, EnvType::Production, &cluster),
        "blog"
    );
    assert_eq!(
        workload_namespace(&blog, EnvType::Development, &cluster),
        "dev-blog"
    );
}

#[test]
fn labels_name_every_dimension() {
    let labels = ApplicationLabels {
        sovereign: "localhost",
        environment: &EnvironmentName::new("acme-dev").unwrap(),
        host_cluster: &"lo-loc-rtz-dev".parse().unwrap(),
        application: &ApplicationName::new("guestbook").unwrap(),
        blueprint: &BlueprintName::new("bp-guestbook").unwrap(),
        version: "0.1.0",
        component: "web",
    }
    .to_map()
    .unwrap();
    assert_eq!(labels.len(), 14);
    assert_eq!(labels["openova.io/vcluster"], "lo-loc-rtz-dev-acme");
    assert_eq!(labels["app.kubernetes.io/name"], "guestbook");
    assert!(labels.values().all(|value| value.len() <= 63));
}

proptest! {
    #[test]
    fn an_environment_name_splits_into_what_it_was_made_of(
        slug in "[a-z][a-z0-9-]{1,30}[a-z0-9]",
        env_type in prop::sample::select(EnvType::ALL),
    ) {
        if let Ok(organization) = OrganizationName::new(slug) {
            let environment = EnvironmentName::of(&organization, env_type).unwrap();
            prop_assert_eq!(environment.parts().unwrap(), (organization, env_type));
        }
    }

    #[test]
    fn any_text_is_refused_or_read_back_the_same(text in ".{0,60}") {
        if let Ok(name) = text.parse::<HostClusterName>() {
            prop_assert_eq!(name.to_string(), text.clone());
        }
        if let Ok(name) = OrganizationName::new(text.clone()) {
            prop_assert_eq!(name.as_str(), text);
        }
    }
}
