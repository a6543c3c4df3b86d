//! Who may do what: pure, and the only place that knows.
//!
//! Used by every command, by the gateway for reads, and by the push check.
//! What must stay true: without a role in an Organization nothing of it can be
//! seen or done, by no verb; only a sovereign-admin stands above that.

use std::collections::BTreeMap;

use catalyst_blueprint::is_shared_source;
use catalyst_names::EnvironmentName;
use catalyst_resources::{Organization, Role};

use crate::RequestId;

/// Somebody who asks for something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// The user's name.
    pub username: String,
    /// The user's mail address.
    pub email: Option<String>,
    /// Groups of the identity provider, without prefix.
    pub groups: Vec<String>,
    /// Whether they administer the whole Sovereign.
    pub sovereign_admin: bool,
    /// The request in which they ask; none for what is no request.
    pub request: Option<RequestId>,
}

/// A role and the Environments it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What they may do.
    pub role: Role,
    /// Environments that an org-developer may change; all if empty.
    pub environments: Vec<String>,
}

/// What an actor may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    sovereign_admin: bool,
    organizations: BTreeMap<String, Vec<Grant>>,
}

impl Access {
    /// What an actor may do, by the members of the Organizations there are.
    pub fn of<'a>(
        actor: &Actor,
        organizations: impl IntoIterator<Item = &'a Organization>,
    ) -> Self {
        let mut found = BTreeMap::new();
        for organization in organizations {
            let grants: Vec<Grant> = organization
                .spec
                .members
                .iter()
                .filter(|member| {
                    let by_user = !actor.username.is_empty()
                        && member.user.as_deref() == Some(actor.username.as_str());
                    let by_group = member
                        .group
                        .as_ref()
                        .is_some_and(|group| !group.is_empty() && actor.groups.contains(group));
                    by_user || by_group
                })
                .map(|member| Grant {
                    role: member.role,
                    environments: member.environments.clone(),
                })
                .collect();
            if !grants.is_empty() {
                found.insert(organization.metadata.name.clone(), grants);
            }
        }
        Self {
            sovereign_admin: actor.sovereign_admin,
            organizations: found,
        }
    }

    /// Whether they administer the whole Sovereign.
    pub fn is_sovereign_admin(&self) -> bool {
        self.sovereign_admin
    }

    /// Their roles, by Organization.
    pub fn organizations(&self) -> &BTreeMap<String, Vec<Grant>> {
        &self.organizations
    }

    fn has(&self, organization: &str, roles: &[Role]) -> bool {
        self.sovereign_admin
            || self
                .organizations
                .get(organization)
                .is_some_and(|grants| grants.iter().any(|grant| roles.contains(&grant.role)))
    }

    /// Whether they may know of the Organization: its name, members and state.
    pub fn can_see(&self, organization: &str) -> bool {
        self.sovereign_admin || self.organizations.contains_key(organization)
    }

    /// Whether they may read its Environments: Applications, history, logs.
    pub fn can_read(&self, organization: &str) -> bool {
        self.has(
            organization,
            &[
                Role::OrgAdmin,
                Role::OrgDeveloper,
                Role::OrgViewer,
                Role::SecurityOfficer,
            ],
        )
    }

    /// Whether they may read an Environment.
    pub fn can_read_environment(&self, environment: &EnvironmentName) -> bool {
        environment
            .parts()
            .is_ok_and(|(organization, _)| self.can_read(organization.as_str()))
    }

    /// Whether they may install, change, promote into and delete Applications of
    /// an Environment.
    pub fn can_change(&self, environment: &EnvironmentName) -> bool {
        let Ok((organization, _)) = environment.parts() else {
            return false;
        };
        if self.can_admin(organization.as_str()) {
            return true;
        }
        self.organizations
            .get(organization.as_str())
            .into_iter()
            .flatten()
            .any(|grant| {
                grant.role == Role::OrgDeveloper
                    && (grant.environments.is_empty()
                        || grant
                            .environments
                            .iter()
                            .any(|name| name == environment.as_str()))
            })
    }

    /// Whether they may manage its members, Environments and Blueprints.
    pub fn can_admin(&self, organization: &str) -> bool {
        self.has(organization, &[Role::OrgAdmin])
    }

    /// Whether they may set policies for its Environments, as long as these ask
    /// for no less than before.
    pub fn can_set_policy(&self, organization: &str) -> bool {
        self.has(organization, &[Role::OrgAdmin, Role::SecurityOfficer])
    }

    /// Whether they may let policies ask for less of an Environment: a
    /// security-officer whom these do not bind, for want of the right to change it.
    pub fn can_loosen_policy(&self, environment: &EnvironmentName) -> bool {
        let is_officer = || {
            environment.parts().is_ok_and(|(organization, _)| {
                self.has(organization.as_str(), &[Role::SecurityOfficer])
            })
        };
        self.sovereign_admin || (!self.can_change(environment) && is_officer())
    }

    /// Whether they may publish Blueprints of a source. `catalog` and
    /// `catalog-sovereign` are the Sovereign's; any other is an Organization's.
    pub fn can_publish(&self, source: &str) -> bool {
        if is_shared_source(source) {
            self.sovereign_admin
        } else {
            self.can_admin(source)
        }
    }

    /// Whether they may install Blueprints of a source into an Organization's
    /// Environments.
    pub fn can_use_source(source: &str, organization: &str) -> bool {
        is_shared_source(source) || source == organization
    }

    /// Whether they may see a source's Blueprints.
    pub fn can_see_source(&self, source: &str) -> bool {
        is_shared_source(source) || self.can_see(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalyst_resources::{GROUP, Member, Metadata, OrganizationSpec, VERSION};

    fn organization(name: &str, members: Vec<Member>) -> Organization {
        Organization {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: "Organization".to_owned(),
            metadata: Metadata {
                name: name.to_owned(),
                ..Metadata::default()
            },
            spec: OrganizationSpec {
                display_name: name.to_owned(),
                contact: None,
                plan: None,
                members,
                quota: None,
            },
            status: None,
        }
    }

    fn member(role: Role, environments: &[&str]) -> Member {
        Member {
            user: Some("ada".to_owned()),
            group: None,
            role,
            environments: environments.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn ada() -> Actor {
        Actor {
            username: "ada".to_owned(),
            ..Actor::default()
        }
    }

    /// see, read, change dev, change prod, admin, set policy, publish
    fn verbs(access: &Access, organization: &str) -> [bool; 7] {
        let environment =
            |stage: &str| EnvironmentName::new(format!("{organization}-{stage}")).unwrap();
        assert_eq!(
            access.can_read(organization),
            access.can_read_environment(&environment("dev"))
        );
        [
            access.can_see(organization),
            access.can_read(organization),
            access.can_change(&environment("dev")),
            access.can_change(&environment("prod")),
            access.can_admin(organization),
            access.can_set_policy(organization),
            access.can_publish(organization),
        ]
    }

    #[test]
    fn every_role_may_do_its_own_and_nothing_elsewhere() {
        let nothing = [false; 7];
        for (role, environments, expected) in [
            (Role::OrgAdmin, &[][..], [true; 7]),
            (
                Role::OrgDeveloper,
                &[][..],
                [true, true, true, true, false, false, false],
            ),
            (
                Role::OrgDeveloper,
                &["acme-dev"][..],
                [true, true, true, false, false, false, false],
            ),
            (
                Role::OrgViewer,
                &[][..],
                [true, true, false, false, false, false, false],
            ),
            (
                Role::SecurityOfficer,
                &[][..],
                [true, true, false, false, false, true, false],
            ),
            (
                Role::BillingAdmin,
                &[][..],
                [true, false, false, false, false, false, false],
            ),
        ] {
            let organizations = [
                organization("acme", vec![member(role, environments)]),
                organization("globex", Vec::new()),
            ];
            let access = Access::of(&ada(), &organizations);
            assert_eq!(verbs(&access, "acme"), expected, "{role:?} in acme");
            assert_eq!(verbs(&access, "globex"), nothing, "{role:?} in globex");
            assert_eq!(verbs(&access, "unknown"), nothing, "{role:?} elsewhere");
            for source in ["catalog", "catalog-sovereign"] {
                assert!(!access.can_publish(source) && access.can_see_source(source));
            }
            assert!(!access.can_see_source("globex") && access.can_see_source("acme"));
        }
    }

    #[test]
    fn a_sovereign_admin_may_do_everything() {
        let admin = Actor {
            sovereign_admin: true,
            ..ada()
        };
        let access = Access::of(&admin, &[organization("acme", Vec::new())]);
        assert_eq!(verbs(&access, "acme"), [true; 7]);
        assert_eq!(verbs(&access, "globex"), [true; 7]);
        assert!(access.can_publish("catalog"));
    }

    #[test]
    fn groups_count_and_empty_names_never_match() {
        let mut grouped = member(Role::OrgAdmin, &[]);
        grouped.user = None;
        grouped.group = Some("platform".to_owned());
        let mut nameless = member(Role::OrgAdmin, &[]);
        nameless.user = Some(String::new());
        nameless.group = Some(String::new());
        let organizations = [
            organization("acme", vec![grouped]),
            organization("globex", vec![nameless]),
        ];
        let of = |groups: &[&str]| {
            let actor = Actor {
                username: String::new(),
                groups: groups.iter().map(|group| (*group).to_owned()).collect(),
                ..Actor::default()
            };
            Access::of(&actor, &organizations)
        };
        assert!(of(&["platform"]).can_admin("acme"));
        assert!(!of(&[]).can_see("acme"));
        assert!(!of(&[""]).can_see("globex"));
    }

    #[test]
    fn another_organizations_blueprints_are_not_for_use() {
        for (source, organization, expected) in [
            ("catalog", "acme", true),
            ("catalog-sovereign", "acme", true),
            ("acme", "acme", true),
            ("globex", "acme", false),
        ] {
            assert_eq!(Access::can_use_source(source, organization), expected);
        }
    }
}
