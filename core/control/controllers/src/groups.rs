//! Members by group: who is in the groups that Organizations name, so that forge and
//! registry, which know users only, give them what their group has.
//!
//! [`resolve`] is called with every reconcile of an Organization; [`follow`] wakes
//! those whose groups have other users than before, since no watch tells of that.
//! What must stay true: who leaves a group loses what it gave within seconds; while
//! the groups cannot be read, only what groups gave stays as it was last known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use catalyst_ports::User;
use catalyst_resources::{Member, OrganizationSpec};
use tokio_util::sync::CancellationToken;

use crate::context::spec;
use crate::controllers::Shared;
use crate::error::ReconcileError;
use crate::kubernetes::ORGANIZATION;
use crate::object::name;

/// How often the groups are read, while some Organization names one.
const EVERY: Duration = Duration::from_secs(10);

/// Group → the users in it who may sign in: who may not has no rights anywhere.
type Groups = BTreeMap<String, BTreeSet<String>>;
/// Organization → group and user, for each user who is in a group that it names.
type Known = BTreeMap<String, BTreeSet<(String, String)>>;

/// The groups as they were last read; nothing before the first time.
#[derive(Debug, Default)]
pub struct LastRead(Mutex<Option<Groups>>);

impl LastRead {
    fn lock(&self) -> MutexGuard<'_, Option<Groups>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Members by user name alone.
pub struct Resolved {
    /// Whoever is in a group stands in its place.
    pub members: Vec<Member>,
    /// Why who is in a group is as it was last known. It is told, and tried again,
    /// once the members have what is theirs.
    pub outcome: Result<(), ReconcileError>,
}

/// Members by user name alone. Asks the identity provider only when a group is named;
/// fails when it does not answer and never has.
pub async fn resolve(shared: &Shared, members: &[Member]) -> Result<Resolved, ReconcileError> {
    if members.iter().all(|member| member.group.is_none()) {
        return Ok(Resolved {
            members: members.to_vec(),
            outcome: Ok(()),
        });
    }
    let read = read(shared).await;
    match (read, shared.groups.lock().as_ref()) {
        (Ok(groups), _) => Ok(Resolved {
            members: resolved(members, &groups),
            outcome: Ok(()),
        }),
        (Err(error), Some(last)) => Ok(Resolved {
            members: resolved(members, last),
            outcome: Err(error),
        }),
        (Err(error), None) => Err(error),
    }
}

/// Reads all groups, and remembers them.
async fn read(shared: &Shared) -> Result<Groups, ReconcileError> {
    let users = shared.ctx.identity.user_list().await;
    let groups = by_group(&users.map_err(ReconcileError::port(
        "read",
        "the groups of the identity provider's users",
    ))?);
    *shared.groups.lock() = Some(groups.clone());
    Ok(groups)
}

fn by_group(users: &[User]) -> Groups {
    let mut groups = Groups::new();
    for user in users.iter().filter(|user| user.enabled) {
        for group in &user.groups {
            let members = groups.entry(group.clone()).or_default();
            members.insert(user.username.clone());
        }
    }
    groups
}

fn resolved(members: &[Member], groups: &Groups) -> Vec<Member> {
    members
        .iter()
        .flat_map(|member| match &member.group {
            None => vec![member.clone()],
            Some(group) => in_group(group, groups)
                .map(|user| Member {
                    user: Some(user.clone()),
                    group: None,
                    ..member.clone()
                })
                .collect(),
        })
        .collect()
}

fn in_group<'a>(group: &str, groups: &'a Groups) -> impl Iterator<Item = &'a String> + use<'a> {
    groups.get(group).into_iter().flatten()
}

/// Has Organizations reconciled when their groups change, until told to stop.
pub async fn follow(shared: &Shared, stop: CancellationToken) {
    let mut known = Known::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match look(shared).await {
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

async fn look(shared: &Shared) -> Result<Known, ReconcileError> {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let organizations = shared.ctx.management().list(ORGANIZATION, "", "").await?;
    for object in organizations {
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
    let all = read(shared).await?;
    let found = named.into_iter().map(|(organization, groups)| {
        let pairs = groups
            .iter()
            .flat_map(|group| in_group(group, &all).map(|user| (group.clone(), user.clone())));
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
    use crate::testing::{Memory, Told, shared};

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
            resolved(&members, &by_group(&users)),
            [
                member(Some("ada"), None, Role::OrgAdmin),
                member(Some("ada"), None, Role::OrgDeveloper),
                member(Some("bob"), None, Role::OrgDeveloper),
            ]
        );
    }

    #[tokio::test]
    async fn while_groups_cannot_be_read_only_what_they_gave_stays() {
        // Its identity provider answers nobody.
        let shared = shared(&Memory::default(), &Told::default());
        let by_name = member(Some("ada"), None, Role::OrgAdmin);
        let by_group_name = member(None, Some("platform"), Role::OrgDeveloper);
        let both = [by_name.clone(), by_group_name];
        let alone = resolve(&shared, &both[..1]).await.unwrap();
        assert!(alone.outcome.is_ok());
        assert_eq!(alone.members, both[..1]);
        // It never answered: nobody knows whom to leave.
        assert!(resolve(&shared, &both).await.is_err());

        let users = [user("bob", true, &["platform"])];
        *shared.groups.lock() = Some(by_group(&users));
        let resolved = resolve(&shared, &both).await.unwrap();
        assert_eq!(
            resolved.members,
            [by_name, member(Some("bob"), None, Role::OrgDeveloper)]
        );
        let told = resolved.outcome.unwrap_err();
        assert!(
            told.retryable() && told.chain().contains("groups"),
            "{told:?}"
        );
        // Who was a member by name, and is not any more, goes all the same.
        let resolved = resolve(&shared, &both[1..]).await.unwrap();
        assert_eq!(
            resolved.members,
            [member(Some("bob"), None, Role::OrgDeveloper)]
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
