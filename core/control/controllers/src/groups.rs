//! Members by group: who is in the groups that Organizations name, so that forge and
//! registry, which know users only, give them what their group has.
//!
//! [`resolve`] is called with every reconcile of an Organization; [`follow`] wakes
//! those whose groups have other users than before, since no watch tells of that.
//! What must stay true: who leaves a group loses what it gave within seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catalyst_ports::User;
use catalyst_resources::{Member, OrganizationSpec};
use tokio_util::sync::CancellationToken;

use crate::context::{Context, spec};
use crate::controllers::Shared;
use crate::error::ReconcileError;
use crate::kubernetes::ORGANIZATION;
use crate::object::name;

/// How often the groups are read, while some Organization names one.
const EVERY: Duration = Duration::from_secs(10);

/// Organization → group and user, for each user who is in a group that it names.
type Known = BTreeMap<String, BTreeSet<(String, String)>>;

/// Members by user name alone: whoever is in a group stands in its place. Asks the
/// identity provider only when a group is named.
pub async fn resolve(ctx: &Context, members: &[Member]) -> Result<Vec<Member>, ReconcileError> {
    if members.iter().all(|member| member.group.is_none()) {
        return Ok(members.to_vec());
    }
    Ok(resolved(members, &users(ctx).await?))
}

async fn users(ctx: &Context) -> Result<Vec<User>, ReconcileError> {
    ctx.identity.user_list().await.map_err(ReconcileError::port(
        "read",
        "the groups of the identity provider's users",
    ))
}

fn resolved(members: &[Member], users: &[User]) -> Vec<Member> {
    members
        .iter()
        .flat_map(|member| match &member.group {
            None => vec![member.clone()],
            Some(group) => in_group(group, users)
                .map(|user| Member {
                    user: Some(user.username.clone()),
                    group: None,
                    ..member.clone()
                })
                .collect(),
        })
        .collect()
}

/// Who may not sign in has no rights anywhere.
fn in_group<'a>(group: &'a str, users: &'a [User]) -> impl Iterator<Item = &'a User> {
    users
        .iter()
        .filter(move |user| user.enabled && user.groups.iter().any(|one| one == group))
}

/// Has Organizations reconciled when their groups change, until told to stop.
pub async fn follow(shared: &Shared, stop: CancellationToken) {
    let mut known = Known::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match look(&shared.ctx).await {
            Ok(now) => {
                for organization in changed(&known, &now) {
                    shared.organizations.add(organization);
                }
                known = now;
            }
            Err(error) => tracing::debug!(error = %error.chain(), "groups not read"),
        }
    }
}

async fn look(ctx: &Context) -> Result<Known, ReconcileError> {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for object in ctx.management().list(ORGANIZATION, "", "").await? {
        let members = spec::<OrganizationSpec>(&object).map(|wanted| wanted.members);
        let groups: Vec<String> = members
            .unwrap_or_default()
            .into_iter()
            .filter_map(|member| member.group)
            .collect();
        if !groups.is_empty() {
            named.insert(name(&object).to_owned(), groups);
        }
    }
    if named.is_empty() {
        return Ok(Known::new());
    }
    let users = users(ctx).await?;
    let found = named.into_iter().map(|(organization, groups)| {
        let pairs = groups.iter().flat_map(|group| {
            in_group(group, &users).map(|user| (group.clone(), user.username.clone()))
        });
        (organization, pairs.collect())
    });
    Ok(found.collect())
}

/// Organizations whose groups have other users than before. One that names no group
/// any more was reconciled when that changed.
fn changed(known: &Known, now: &Known) -> Vec<String> {
    let differs = |(organization, pairs): &(&String, &BTreeSet<(String, String)>)| {
        known.get(*organization) != Some(*pairs)
    };
    now.iter()
        .filter(differs)
        .map(|(organization, _)| organization.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use catalyst_resources::Role;

    use super::*;

    fn user(name: &str, enabled: bool, groups: &[&str]) -> User {
        User {
            id: name.to_owned(),
            username: name.to_owned(),
            email: None,
            enabled,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            attributes: BTreeMap::new(),
            required_actions: Vec::new(),
        }
    }

    fn member(user: Option<&str>, group: Option<&str>, role: Role) -> Member {
        Member {
            user: user.map(str::to_owned),
            group: group.map(str::to_owned),
            role,
            environments: vec!["acme-dev".to_owned()],
        }
    }

    #[test]
    fn whoever_is_in_a_group_has_what_the_group_has() {
        let users = [
            user("ada", true, &["platform", "staff"]),
            user("bob", true, &["platform"]),
            user("left", false, &["platform"]),
            user("plat", true, &["platform-guests"]),
        ];
        let members = [
            member(Some("ada"), None, Role::OrgAdmin),
            member(None, Some("platform"), Role::OrgDeveloper),
            member(None, Some("nobody"), Role::OrgViewer),
        ];
        assert_eq!(
            resolved(&members, &users),
            [
                member(Some("ada"), None, Role::OrgAdmin),
                member(Some("ada"), None, Role::OrgDeveloper),
                member(Some("bob"), None, Role::OrgDeveloper),
            ]
        );
    }

    #[test]
    fn only_organizations_whose_groups_changed_are_woken() {
        let of = |pairs: &[(&str, &str, &str)]| {
            let mut known = Known::new();
            for (organization, group, user) in pairs {
                known
                    .entry((*organization).to_owned())
                    .or_default()
                    .insert(((*group).to_owned(), (*user).to_owned()));
            }
            known
        };
        let before = of(&[("acme", "platform", "bob"), ("globex", "staff", "eve")]);
        for (now, expected) in [
            (before.clone(), &[] as &[&str]),
            (
                of(&[
                    ("acme", "platform", "bob"),
                    ("acme", "platform", "ada"),
                    ("globex", "staff", "eve"),
                ]),
                &["acme"],
            ),
            (
                of(&[("acme", "platform", "bob"), ("globex", "staff", "mallory")]),
                &["globex"],
            ),
            (of(&[("acme", "platform", "bob")]), &[]),
        ] {
            assert_eq!(changed(&before, &now), expected);
        }
        assert_eq!(changed(&Known::new(), &before), ["acme", "globex"]);
    }
}
