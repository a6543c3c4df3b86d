//! Policies that would ask for less: what a change loosens, and who may. Pure.
//!
//! Asked by the commands that write and remove policies; a push to
//! `system/catalyst-config` is a sovereign-admin's anyhow. What must stay true:
//! nobody whom a policy binds takes its bite, nor appoints who does.

use std::collections::BTreeMap;

use catalyst_names::EnvironmentName;
use catalyst_resources::{EnvironmentPolicy, PolicyRule, Role, RuleKind};

use crate::policy::{duration, wanted_approvals};
use crate::{Access, CommandError};

type Policies = BTreeMap<String, EnvironmentPolicy>;

/// A rule that binds an Environment, and would bind it less or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loosened {
    pub environment: String,
    pub policy: String,
    pub kind: RuleKind,
}

/// The rules that no rule is as strict as any more, in whichever policy.
pub(crate) fn loosened(before: &Policies, after: &Policies) -> Vec<Loosened> {
    let mut found = Vec::new();
    for (name, policy) in before {
        for environment in &policy.spec.applies_to.environments {
            let left: Vec<&PolicyRule> = after
                .values()
                .filter(|policy| policy.spec.applies_to.environments.contains(environment))
                .flat_map(|policy| &policy.spec.rules)
                .collect();
            for rule in &policy.spec.rules {
                if !left.iter().any(|left| is_as_strict(left, rule)) {
                    found.push(Loosened {
                        environment: environment.clone(),
                        policy: name.clone(),
                        kind: rule.kind,
                    });
                }
            }
        }
    }
    found
}

/// Whether what `after` lets through `before` would let through as well. What
/// cannot be compared does not.
fn is_as_strict(after: &PolicyRule, before: &PolicyRule) -> bool {
    if after == before {
        return true;
    }
    if after.kind != before.kind {
        return false;
    }
    match before.kind {
        RuleKind::PrRequired => {
            let wanted = wanted_approvals(before);
            let has_no_new_approvers = if before.approvers.is_empty() {
                after.approvers.is_empty()
            } else {
                !after.approvers.is_empty()
                    && after
                        .approvers
                        .iter()
                        .all(|name| before.approvers.contains(name))
            };
            // Who may approve says nothing where nobody has to.
            wanted == 0 || (wanted_approvals(after) >= wanted && has_no_new_approvers)
        }
        RuleKind::Soak => {
            let both = (length(&after.duration), length(&before.duration));
            after.source_environment == before.source_environment
                && matches!(both, (Some(after), Some(before)) if after >= before)
        }
        RuleKind::ChangeWindow => match (&after.window, &before.window) {
            (Some(after), Some(before)) => {
                let both = (duration(&after.duration), duration(&before.duration));
                after.cron == before.cron
                    && matches!(both, (Some(after), Some(before)) if after <= before)
            }
            _ => false,
        },
        RuleKind::ScoreGate => false,
    }
}

fn length(text: &Option<String>) -> Option<jiff::SignedDuration> {
    text.as_deref().and_then(duration)
}

fn word(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::PrRequired => "pr-required",
        RuleKind::Soak => "soak",
        RuleKind::ChangeWindow => "change-window",
        RuleKind::ScoreGate => "score-gate",
    }
}

/// Whether the actor may make the policies what they are after.
pub(crate) fn check(
    before: &Policies,
    after: &Policies,
    access: &Access,
    action: &str,
) -> Result<(), CommandError> {
    for one in loosened(before, after) {
        let may = access.is_sovereign_admin()
            || EnvironmentName::new(one.environment.clone())
                .is_ok_and(|environment| access.can_loosen_policy(&environment));
        if !may {
            return Err(CommandError::Authorize {
                action: action.to_owned(),
                reason: format!(
                    "the policy {} would ask for less in {} by its rule {}, which takes a security-officer who may not change that Environment, or a sovereign-admin; a rule can be added, or made stricter, without",
                    one.policy,
                    one.environment,
                    word(one.kind)
                ),
            });
        }
    }
    Ok(())
}

/// Whether the actor may give somebody a role: a security-officer, who may lift
/// what binds others, is not made by those whom it binds.
pub(crate) fn check_role(access: &Access, role: Role, action: &str) -> Result<(), CommandError> {
    if role != Role::SecurityOfficer || access.is_sovereign_admin() {
        return Ok(());
    }
    Err(CommandError::Authorize {
        action: action.to_owned(),
        reason: "only a sovereign-admin makes somebody security-officer, as they may lift the policies that bind an Organization's own administrators".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use catalyst_resources::{GROUP, Member, Metadata, Organization, OrganizationSpec, VERSION};
    use serde_json::{Value, json};

    use super::*;
    use crate::Actor;

    fn policies(of: &[(&str, &[&str], Value)]) -> Policies {
        let written = of.iter().map(|(name, environments, rules)| {
            let policy = json!({
                "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "EnvironmentPolicy",
                "metadata": {"name": name},
                "spec": {"appliesTo": {"environments": environments}, "rules": rules},
            });
            ((*name).to_owned(), serde_json::from_value(policy).unwrap())
        });
        written.collect()
    }

    #[test]
    fn a_rule_is_as_strict_or_it_is_loosened() {
        let approvals = |wanted: i32, approvers: &[&str]| json!({"kind": "pr-required", "minApprovals": wanted, "approvers": approvers});
        let soak = |source: &str, duration: &str| json!({"kind": "soak", "sourceEnvironment": source, "duration": duration});
        let window = |cron: &str, duration: &str| json!({"kind": "change-window", "window": {"cron": cron, "duration": duration}});
        let one = approvals(1, &[]);
        let named = approvals(1, &["eve", "bob"]);
        for (before, after, is_loosened) in [
            (&one, json!([one]), false),
            (&one, json!([approvals(2, &[])]), false),
            (&one, json!([soak("acme-dev", "1h"), one]), false),
            (&one, json!([]), true),
            (&one, json!([approvals(0, &[])]), true),
            (&one, json!([soak("acme-dev", "1h")]), true),
            // What is not said is one.
            (&json!({"kind": "pr-required"}), json!([one]), false),
            (&one, json!([{"kind": "pr-required"}]), false),
            // Others than those who may change it are others.
            (&one, json!([approvals(1, &["mallory"])]), true),
            (&one, json!([one, approvals(1, &["mallory"])]), false),
            (&named, json!([approvals(1, &["bob", "eve"])]), false),
            (&named, json!([approvals(1, &["eve"])]), false),
            (&named, json!([approvals(1, &["eve", "mallory"])]), true),
            (&named, json!([approvals(2, &[])]), true),
            (&approvals(0, &["eve"]), json!([one]), false),
            (&approvals(0, &[]), json!([approvals(0, &["eve"])]), false),
            (&approvals(0, &[]), json!([]), true),
            (
                &soak("acme-dev", "1d"),
                json!([soak("acme-dev", "36h")]),
                false,
            ),
            (
                &soak("acme-dev", "24h"),
                json!([soak("acme-dev", "1d")]),
                false,
            ),
            (
                &soak("acme-dev", "1d"),
                json!([soak("acme-dev", "23h")]),
                true,
            ),
            (
                &soak("acme-stg", "1h"),
                json!([soak("acme-dev", "1h")]),
                true,
            ),
            (
                &soak("acme-dev", "soon"),
                json!([soak("acme-dev", "1d")]),
                true,
            ),
            (
                &window("0 9 * * *", "8h"),
                json!([window("0 9 * * *", "2h")]),
                false,
            ),
            (
                &window("0 9 * * *", "8h"),
                json!([window("0 9 * * *", "9h")]),
                true,
            ),
            (
                &window("0 9 * * *", "8h"),
                json!([window("* * * * *", "8h")]),
                true,
            ),
        ] {
            let bound = &["acme-prod"][..];
            let old = policies(&[("careful", bound, json!([before]))]);
            let new = policies(&[("careful", bound, after.clone())]);
            let found = loosened(&old, &new);
            assert_eq!(!found.is_empty(), is_loosened, "{before} -> {after}");
            assert!(loosened(&old, &old).is_empty(), "{before}");
            // By which policy it holds does not matter.
            let elsewhere = policies(&[("other", bound, after.clone())]);
            let found = loosened(&old, &elsewhere);
            assert_eq!(!found.is_empty(), is_loosened, "{before} -> {after}");
        }
    }

    #[test]
    fn every_environment_that_was_bound_counts() {
        let rules = json!([{"kind": "pr-required"}]);
        let both = &["acme-prod", "acme-stg"][..];
        let before = policies(&[("careful", both, rules.clone())]);
        let names = |after: &Policies| -> Vec<String> {
            let found = loosened(&before, after).into_iter();
            found.map(|one| one.environment).collect()
        };
        assert_eq!(names(&Policies::new()), both);
        let after = policies(&[("careful", &["acme-stg"][..], rules.clone())]);
        assert_eq!(names(&after), ["acme-prod"]);
        let after = policies(&[
            ("careful", &["acme-stg"][..], rules.clone()),
            ("other", &["acme-prod", "acme-dev"][..], rules),
        ]);
        assert!(names(&after).is_empty());
    }

    fn access(roles: &[(Role, &[&str])], sovereign_admin: bool) -> Access {
        let members = roles.iter().map(|(role, environments)| Member {
            user: Some("ada".to_owned()),
            group: None,
            role: *role,
            environments: environments.iter().map(|name| (*name).to_owned()).collect(),
        });
        let organization = Organization {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: "Organization".to_owned(),
            metadata: Metadata {
                name: "acme".to_owned(),
                ..Metadata::default()
            },
            spec: OrganizationSpec {
                display_name: "Acme".to_owned(),
                contact: None,
                plan: None,
                members: members.collect(),
                quota: None,
            },
            status: None,
        };
        let ada = Actor {
            username: "ada".to_owned(),
            sovereign_admin,
            ..Actor::default()
        };
        Access::of(&ada, [&organization])
    }

    #[test]
    fn nobody_lifts_what_binds_them() {
        let before = policies(&[(
            "careful",
            &["acme-prod"][..],
            json!([{"kind": "pr-required"}]),
        )]);
        let stricter = policies(&[(
            "careful",
            &["acme-prod"][..],
            json!([{"kind": "pr-required", "minApprovals": 2}]),
        )]);
        let everywhere: &[&str] = &[];
        for (roles, sovereign_admin, may) in [
            (vec![], true, true),
            (vec![(Role::SecurityOfficer, everywhere)], false, true),
            (vec![(Role::OrgAdmin, everywhere)], false, false),
            (vec![(Role::OrgDeveloper, everywhere)], false, false),
            (vec![], false, false),
            // An officer who may change it is bound by it.
            (
                vec![
                    (Role::SecurityOfficer, everywhere),
                    (Role::OrgAdmin, everywhere),
                ],
                false,
                false,
            ),
            (
                vec![
                    (Role::SecurityOfficer, everywhere),
                    (Role::OrgDeveloper, &["acme-prod"][..]),
                ],
                false,
                false,
            ),
            (
                vec![
                    (Role::SecurityOfficer, everywhere),
                    (Role::OrgDeveloper, &["acme-dev"][..]),
                ],
                false,
                true,
            ),
        ] {
            let access = access(&roles, sovereign_admin);
            let lifted = check(&before, &Policies::new(), &access, "delete careful");
            assert_eq!(lifted.is_ok(), may, "{roles:?}");
            if let Err(error) = lifted {
                let problem = error.problem();
                assert_eq!(problem.status, 403);
                assert!(problem.detail.contains("acme-prod"), "{problem:?}");
                assert!(problem.detail.contains("security-officer"), "{problem:?}");
            }
            // Adding and tightening is not loosening.
            assert!(check(&before, &stricter, &access, "set careful").is_ok());
            assert!(check(&Policies::new(), &before, &access, "set careful").is_ok());
            let appointed = check_role(&access, Role::SecurityOfficer, "set the role");
            assert_eq!(appointed.is_ok(), sovereign_admin, "{roles:?}");
            assert!(check_role(&access, Role::OrgAdmin, "set the role").is_ok());
        }
    }
}
