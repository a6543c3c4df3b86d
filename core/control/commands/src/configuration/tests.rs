//! Decisions on the configuration, files in and files out.

use super::*;
use catalyst_api::OrganizationRole;
use serde_json::json;

const SOVEREIGN: &str = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Sovereign\nmetadata: {name: localhost}\nspec:\n  domain: localhost\n  provider: lo\n  hostClusters:\n  - {name: lo-loc-rtz-dev, region: loc, buildingBlock: rtz, envType: dev}\n  - {name: lo-loc-rtz-prod, region: loc, buildingBlock: rtz, envType: prod}\n";

fn apply(configuration: &Configuration, edit: Edit) -> Configuration {
    let mut files = configuration.files.clone();
    for (path, text) in edit.files {
        match text {
            Some(text) => files.insert(path, text),
            None => files.remove(&path),
        };
    }
    let after = Configuration::read(files);
    assert!(after.faults.is_empty(), "{:?}", after.faults);
    after
}

fn acme() -> Configuration {
    let empty = Configuration::read(BTreeMap::from([(
        "sovereign.yaml".to_owned(),
        SOVEREIGN.to_owned(),
    )]));
    let request = CreateOrganization {
        name: "acme".to_owned(),
        display_name: Some("Acme Ltd".to_owned()),
        contact: None,
        admins: vec!["ada".to_owned()],
    };
    let edit = create_organization(&empty, &request, "create").unwrap();
    assert_eq!(edit.subject, "Create Organization acme");
    let mut configuration = apply(&empty, edit);
    for env_type in ["dev", "prod"] {
        let request = CreateEnvironment {
            env_type: env_type.to_owned(),
            host_clusters: Vec::new(),
        };
        let edit = create_environment(&configuration, "acme", &request, "create").unwrap();
        configuration = apply(&configuration, edit);
    }
    configuration
}

fn admin() -> Access {
    let actor = Actor {
        sovereign_admin: true,
        ..Actor::default()
    };
    Access::of(&actor, &[])
}

fn ada(configuration: &Configuration) -> Access {
    let actor = Actor {
        username: "ada".to_owned(),
        ..Actor::default()
    };
    Access::of(&actor, configuration.organizations.values())
}

#[test]
fn organizations_and_environments_come_and_go_whole() {
    let configuration = acme();
    assert_eq!(configuration.environments.len(), 2);
    let again = CreateOrganization {
        name: "acme".to_owned(),
        display_name: None,
        contact: None,
        admins: Vec::new(),
    };
    assert!(create_organization(&configuration, &again, "create").is_err());
    let unreachable = CreateOrganization {
        name: "initech".to_owned(),
        contact: Some("nomail".to_owned()),
        ..again
    };
    let refused = create_organization(&configuration, &unreachable, "create").err();
    assert!(refused.unwrap().to_string().contains("no mail address"));
    for (env_type, hosts, words) in [
        ("dev", vec![], "already"),
        ("qa", vec![], "qa"),
        ("stg", vec![], "stage stg"),
        ("uat", vec!["lo-loc-rtz-xx".to_owned()], "lo-loc-rtz-xx"),
    ] {
        let request = CreateEnvironment {
            env_type: env_type.to_owned(),
            host_clusters: hosts,
        };
        let error = create_environment(&configuration, "acme", &request, "create")
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(words), "{env_type}: {error}");
    }
    let policy = PolicyView {
        name: "careful".to_owned(),
        environments: vec!["acme-prod".to_owned(), "acme-dev".to_owned()],
        rules: vec![json!({"kind": "pr-required", "minApprovals": 1})],
    };
    let edit = put_policy(&configuration, &admin(), &policy, "set").unwrap();
    let configuration = apply(&configuration, edit);
    let prod = EnvironmentName::new("acme-prod").unwrap();
    let edit = delete_environment(&configuration, &prod, "delete").unwrap();
    let smaller = apply(&configuration, edit);
    assert_eq!(
        smaller.policies["careful"].spec.applies_to.environments,
        ["acme-dev"]
    );
    let edit = delete_organization(&smaller, "acme", "delete").unwrap();
    let gone = apply(&smaller, edit);
    assert!(gone.environments.is_empty() && gone.policies.is_empty());
    assert!(gone.organizations.is_empty() && gone.sovereign.is_some());
}

#[test]
fn a_member_has_one_role_and_keeps_its_place() {
    let configuration = acme();
    let role = |role, environments: &[&str]| SetRole {
        role,
        environments: environments.iter().map(|name| (*name).to_owned()).collect(),
    };
    let developer = role(OrganizationRole::OrgDeveloper, &["acme-dev"]);
    let edit = set_member(&configuration, "acme", "bob", Some(&developer), "set").unwrap();
    assert_eq!(edit.subject, "Make bob org-developer of Organization acme");
    let configuration = apply(&configuration, edit);
    let admin = role(OrganizationRole::OrgAdmin, &[]);
    let edit = set_member(&configuration, "acme", "zoe", Some(&admin), "set").unwrap();
    let configuration = apply(&configuration, edit);
    let viewer = role(OrganizationRole::OrgViewer, &[]);
    let edit = set_member(&configuration, "acme", "ada", Some(&viewer), "set").unwrap();
    let configuration = apply(&configuration, edit);
    let members = &configuration.organizations["acme"].spec.members;
    assert_eq!(members[0].user.as_deref(), Some("ada"));
    assert_eq!(members[0].role, Role::OrgViewer);
    assert_eq!(members.len(), 3);
    for (given, environments, expected) in [
        (OrganizationRole::OrgDeveloper, &["acme-dev"][..], true),
        (OrganizationRole::OrgDeveloper, &[][..], true),
        (OrganizationRole::OrgViewer, &[][..], true),
        (OrganizationRole::OrgViewer, &["acme-dev"][..], false),
        (OrganizationRole::OrgAdmin, &["acme-dev"][..], false),
        (OrganizationRole::SecurityOfficer, &["acme-dev"][..], false),
        (OrganizationRole::BillingAdmin, &["acme-dev"][..], false),
    ] {
        let given = role(given, environments);
        let decided = set_member(&configuration, "acme", "bob", Some(&given), "set");
        assert_eq!(decided.is_ok(), expected, "{given:?}");
        if let Err(error) = decided {
            let problem = error.problem();
            assert!(
                problem.detail.contains("only an org-developer's"),
                "{given:?}"
            );
        }
    }
    let elsewhere = role(OrganizationRole::OrgDeveloper, &["globex-dev"]);
    assert!(set_member(&configuration, "acme", "eve", Some(&elsewhere), "set").is_err());
    assert!(set_member(&configuration, "acme", "eve", None, "remove").is_err());
    for bad in [
        "",
        "a b",
        "flux-acme",
        "Catalyst",
        "a/../b",
        "system",
        "Acme",
    ] {
        assert!(
            set_member(&configuration, "acme", bad, Some(&viewer), "set").is_err(),
            "{bad}"
        );
    }
    let edit = remove_user(&configuration, "ada", "remove").unwrap();
    let gone = apply(&configuration, edit);
    assert_eq!(gone.organizations["acme"].spec.members.len(), 2);
    assert!(
        remove_user(&gone, "ada", "remove")
            .unwrap()
            .files
            .is_empty()
    );
}

#[test]
fn an_organization_keeps_its_last_org_admin() {
    let configuration = acme();
    let role = |role| SetRole {
        role,
        environments: Vec::new(),
    };
    let (admin, viewer) = (
        role(OrganizationRole::OrgAdmin),
        role(OrganizationRole::OrgViewer),
    );
    for (what, decided) in [
        (
            "made a viewer",
            set_member(&configuration, "acme", "ada", Some(&viewer), "change ada"),
        ),
        (
            "removed, by whomever",
            set_member(&configuration, "acme", "ada", None, "change ada"),
        ),
        (
            "no user any more",
            remove_user(&configuration, "ada", "change ada"),
        ),
    ] {
        let problem = decided.err().expect(what).problem();
        assert_eq!(problem.status, 409, "{what}");
        assert_eq!(
            problem.detail, "The user ada is the last org-admin of acme",
            "{what}"
        );
        assert_eq!(
            problem.next.as_deref(),
            Some("Make somebody else org-admin of it first"),
            "{what}"
        );
    }
    // She stays one when she is given it again, and may go once somebody else is.
    assert!(set_member(&configuration, "acme", "ada", Some(&admin), "set").is_ok());
    let edit = set_member(&configuration, "acme", "zoe", Some(&admin), "set").unwrap();
    let two = apply(&configuration, edit);
    assert!(remove_user(&two, "ada", "remove").is_ok());
    let edit = set_member(&two, "acme", "ada", None, "remove").unwrap();
    let one = apply(&two, edit);
    assert!(set_member(&one, "acme", "zoe", None, "remove").is_err());
    // The Organization itself goes with its org-admin.
    assert!(delete_organization(&one, "acme", "delete").is_ok());
    // A group counts, and one that never had an org-admin is bound by nothing.
    let mut by_group = one.clone();
    let members = &mut by_group.organizations.get_mut("acme").unwrap().spec.members;
    members.push(Member {
        user: None,
        group: Some("admins".to_owned()),
        role: Role::OrgAdmin,
        environments: Vec::new(),
    });
    assert!(set_member(&by_group, "acme", "zoe", None, "remove").is_ok());
    let mut nobodys = one;
    let members = &mut nobodys.organizations.get_mut("acme").unwrap().spec.members;
    members[0].role = Role::OrgViewer;
    assert!(set_member(&nobodys, "acme", "zoe", None, "remove").is_ok());
}

#[test]
fn policies_are_for_ones_own_environments() {
    let configuration = acme();
    let policy = |environments: &[&str], rule: serde_json::Value| PolicyView {
        name: "careful".to_owned(),
        environments: environments.iter().map(|name| (*name).to_owned()).collect(),
        rules: vec![rule],
    };
    let rule = json!({"kind": "pr-required"});
    let access = ada(&configuration);
    assert!(
        put_policy(
            &configuration,
            &access,
            &policy(&["acme-prod"], rule.clone()),
            "set"
        )
        .is_ok()
    );
    for environments in [&["acme-prod", "globex-prod"][..], &[][..]] {
        let refused = put_policy(
            &configuration,
            &access,
            &policy(environments, rule.clone()),
            "set",
        );
        assert!(
            matches!(refused, Err(CommandError::Authorize { .. })),
            "{environments:?}"
        );
    }
    let refused = put_policy(
        &configuration,
        &access,
        &policy(&["acme-prod"], json!({"kind": "score-gate"})),
        "set",
    );
    assert!(
        refused
            .err()
            .unwrap()
            .to_string()
            .contains("score-gate is not supported")
    );
    // Nor is what binds her: she may add to it.
    let bound = apply(
        &configuration,
        put_policy(
            &configuration,
            &access,
            &policy(&["acme-prod"], rule.clone()),
            "set",
        )
        .unwrap(),
    );
    let twice = json!({"kind": "pr-required", "minApprovals": 2});
    let stricter = policy(&["acme-prod", "acme-dev"], twice);
    assert!(put_policy(&bound, &access, &stricter, "set").is_ok());
    let window =
        json!({"kind": "change-window", "window": {"cron": "0 9 * * *", "duration": "8h"}});
    for weaker in [
        policy(&["acme-dev"], rule.clone()),
        policy(
            &["acme-prod"],
            json!({"kind": "pr-required", "minApprovals": 0}),
        ),
        policy(&["acme-prod"], window),
    ] {
        let refused = put_policy(&bound, &access, &weaker, "set");
        assert!(
            matches!(refused, Err(CommandError::Authorize { .. })),
            "{weaker:?}"
        );
        assert!(put_policy(&bound, &admin(), &weaker, "set").is_ok());
    }
    let refused = delete_policy(&bound, &access, "careful", "delete");
    assert!(matches!(refused, Err(CommandError::Authorize { .. })));
    // What a sovereign-admin set over two Organizations is not hers to lift.
    let wide = policy(&["acme-prod", "acme-dev"], rule);
    let mut configuration = apply(
        &configuration,
        put_policy(&configuration, &admin(), &wide, "set").unwrap(),
    );
    configuration
        .policies
        .get_mut("careful")
        .unwrap()
        .spec
        .applies_to
        .environments
        .push("globex-dev".to_owned());
    assert!(delete_policy(&configuration, &access, "careful", "delete").is_err());
    assert!(delete_policy(&configuration, &admin(), "careful", "delete").is_ok());
}

#[test]
fn a_signer_is_trusted_once() {
    let configuration = acme();
    let key = catalyst_signature::SigningKey::generate().unwrap();
    let request = TrustSigner {
        source: "acme".to_owned(),
        public_key: key.public().to_pem(),
    };
    let edit = trust_signer(&configuration, &request, "trust").unwrap();
    let after = apply(&configuration, edit);
    assert_eq!(
        after.sovereign.as_ref().unwrap().spec.trusted_signers.len(),
        1
    );
    let again = apply(&after, trust_signer(&after, &request, "trust").unwrap());
    assert_eq!(
        again.sovereign.as_ref().unwrap().spec.trusted_signers.len(),
        1
    );
    // Whoever has the name next does not inherit them.
    let mut again = again;
    let keyless = |source: &str| catalyst_resources::KeylessSigner {
        source: source.to_owned(),
        subject: Some("a@example.org".to_owned()),
        subject_regexp: None,
        issuer: Some("https://issuer.example".to_owned()),
        issuer_regexp: None,
    };
    let spec = &mut again.sovereign.as_mut().unwrap().spec;
    spec.keyless_signers = vec![keyless("acme"), keyless("catalog")];
    let gone = apply(
        &again,
        delete_organization(&again, "acme", "delete").unwrap(),
    );
    let left = gone.sovereign.unwrap().spec;
    assert!(left.trusted_signers.is_empty());
    assert_eq!(left.keyless_signers, [keyless("catalog")]);
    for (source, public_key) in [("nobody", request.public_key.as_str()), ("acme", "no key")] {
        let request = TrustSigner {
            source: source.to_owned(),
            public_key: public_key.to_owned(),
        };
        assert!(
            trust_signer(&configuration, &request, "trust").is_err(),
            "{source}"
        );
    }
}
