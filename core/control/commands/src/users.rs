//! Commands on people, what is shared about Blueprints' admission, and the thin ends
//! of the configuration commands.

use std::collections::BTreeSet;

use catalyst_api::{
    Accepted, BlueprintCard, CreateEnvironment, CreateOrganization, Invitation, Invite,
    OrganizationRole, PolicyView, SetRole, TrustSigner,
};
use catalyst_plan::{AdmittedBlueprint, keyless_identity};
use catalyst_ports::{NewUser, User};
use catalyst_resources::{Organization, SovereignSpec};
use catalyst_signature::{PublicKey, TrustPolicy, TrustedRoot};
use catalyst_supply::Admitted;
use serde_json::Value;

use crate::configuration as edit;
use crate::state::Configuration;
use crate::{Access, Actor, CommandError, Commands, loosening, mail, usernames};

const SOVEREIGN_ADMIN: &str = "sovereign-admin";
/// The attribute of a user that names the Organization whose invitation made them.
const INVITED_INTO: &str = "catalyst-invited-into";

pub(crate) fn only_sovereign_admin(access: &Access, action: &str) -> Result<(), CommandError> {
    if access.is_sovereign_admin() {
        return Ok(());
    }
    Err(CommandError::Authorize {
        action: action.to_owned(),
        reason: "this takes a sovereign-admin".to_owned(),
    })
}

pub(crate) fn only_admin(
    access: &Access,
    organization: &str,
    action: &str,
) -> Result<(), CommandError> {
    if access.can_admin(organization) {
        return Ok(());
    }
    if !access.can_see(organization) {
        return Err(CommandError::Find {
            action: action.to_owned(),
            what: format!("Organization {organization} that you belong to"),
            next: "look at the list of Organizations".to_owned(),
        });
    }
    Err(CommandError::Authorize {
        action: action.to_owned(),
        reason: format!("this takes an org-admin of {organization}"),
    })
}

/// Whether somebody may have a new one-time link for a user who is there: a
/// sovereign-admin for everybody; an org-admin for those whom an invitation into an
/// Organization of theirs made, and who belong to such Organizations alone, or to
/// nothing: their invitation's commit may have failed after they were made. Who is
/// merely added to an Organization, and then invited again, stays their own.
fn may_renew_link<'a>(
    access: &Access,
    user: &User,
    organizations: impl IntoIterator<Item = &'a Organization>,
) -> bool {
    if access.is_sovereign_admin() {
        return true;
    }
    if user.groups.iter().any(|group| group == SOVEREIGN_ADMIN) {
        return false;
    }
    let invited_into = user.attributes.get(INVITED_INTO).map(Vec::as_slice);
    let was_made_here = invited_into
        .unwrap_or_default()
        .iter()
        .any(|organization| access.can_admin(organization));
    let member = Actor {
        username: user.username.clone(),
        groups: user.groups.clone(),
        ..Actor::default()
    };
    let theirs = Access::of(&member, organizations);
    let belongs_here_alone = theirs
        .organizations()
        .keys()
        .all(|organization| access.can_admin(organization));
    // A group that gives no role here says that they are somebody's elsewhere.
    let is_known_here = user.groups.is_empty() || !theirs.organizations().is_empty();
    was_made_here && belongs_here_alone && is_known_here
}

/// The policy that the Sovereign's configuration makes: which key and whose
/// certificates count for which source. What cannot be read trusts nobody.
pub fn trust_policy(sovereign: &SovereignSpec) -> TrustPolicy {
    let mut policy = TrustPolicy::new();
    for signer in &sovereign.trusted_signers {
        match PublicKey::from_pem(&signer.public_key) {
            Ok(key) => {
                policy.trust(signer.source.clone(), key);
            }
            Err(error) => {
                tracing::warn!(%error, source = signer.source, "trusted signer's key cannot be read");
            }
        }
    }
    for signer in &sovereign.keyless_signers {
        match keyless_identity(signer) {
            Ok(identity) => {
                policy.trust_identity(signer.source.clone(), identity);
            }
            Err(error) => {
                tracing::warn!(%error, source = signer.source, "keyless signer cannot be read");
            }
        }
    }
    match sovereign
        .trusted_root
        .as_deref()
        .map(TrustedRoot::from_json)
    {
        Some(Ok(root)) => {
            policy.believe(root);
        }
        Some(Err(error)) => tracing::warn!(%error, "trusted root cannot be read"),
        None => {}
    }
    policy
}

/// The policy of a configuration; one without a Sovereign that can be read trusts nobody.
pub(crate) fn policy_of(configuration: &Configuration) -> TrustPolicy {
    let sovereign = configuration.sovereign.as_ref();
    sovereign.map_or_else(TrustPolicy::new, |it| trust_policy(&it.spec))
}

/// What the Sovereign keeps of an artifact that it admits.
pub fn admitted_blueprint(admitted: Admitted) -> AdmittedBlueprint {
    AdmittedBlueprint {
        source: admitted.source,
        digest: admitted.digest,
        signer: admitted.signer,
        repository: admitted.repository,
        blueprint: admitted.blueprint,
        icon: admitted.icon,
        description: admitted.description,
        withdrawn: None,
    }
}

impl Commands {
    /// Creates an Organization: one commit in `system/catalyst-config`.
    pub async fn organization_create(
        &self,
        actor: &Actor,
        request: CreateOrganization,
    ) -> Result<Accepted, CommandError> {
        let action = format!("create the Organization {}", request.name);
        let decide = |state: &Configuration, access: &Access| {
            only_sovereign_admin(access, &action)?;
            edit::create_organization(state, &request, &action)
        };
        // Judged before anybody is looked for.
        let state = self.store().configuration(self.config(), &action).await?;
        decide(&state.content, &Access::of(actor, &[]))?;
        let namesake = self.user_of(&request.name, &action).await?;
        usernames::check_is_no_user(namesake.as_ref(), &action)?;
        for admin in &request.admins {
            let found = self.user_of(admin, &action).await?;
            usernames::check_is_known(admin, found.as_ref(), &action)?;
        }
        self.edit_configuration(actor, "organization-create", &action, decide)
            .await
    }

    /// A user as the identity provider has them.
    async fn user_of(&self, username: &str, action: &str) -> Result<Option<User>, CommandError> {
        self.config()
            .identity
            .user_find(username)
            .await
            .map_err(CommandError::reach(action))
    }

    /// Gives a user a role in an Organization, in place of the one they had.
    pub async fn member_set(
        &self,
        actor: &Actor,
        organization: &str,
        username: &str,
        role: SetRole,
    ) -> Result<Accepted, CommandError> {
        let action = format!("set the role of {username} in {organization}");
        let decide = |state: &Configuration, access: &Access| {
            only_admin(access, organization, &action)?;
            loosening::check_role(access, edit::role_of(role.role), &action)?;
            edit::set_member(state, organization, username, Some(&role), &action)
        };
        // Judged before anybody is looked for.
        let state = self.store().configuration(self.config(), &action).await?;
        let access = Access::of(actor, state.content.organizations.values());
        decide(&state.content, &access)?;
        if !usernames::is_member(&state.content, organization, username) {
            let found = self.user_of(username, &action).await?;
            usernames::check_is_known(username, found.as_ref(), &action)?;
        }
        self.edit_configuration(actor, "member-set", &action, decide)
            .await
    }

    /// Takes a user out of an Organization.
    pub async fn member_remove(
        &self,
        actor: &Actor,
        organization: &str,
        username: &str,
    ) -> Result<Accepted, CommandError> {
        let action = format!("remove {username} from {organization}");
        self.edit_configuration(actor, "member-remove", &action, |state, access| {
            // Everybody may leave.
            if username != actor.username || !access.can_see(organization) {
                only_admin(access, organization, &action)?;
            }
            edit::set_member(state, organization, username, None, &action)
        })
        .await
    }

    /// Invites a user into an Organization: makes the user where there is none,
    /// gives the role by a commit, and returns the one-time link.
    pub async fn member_invite(
        &self,
        actor: &Actor,
        organization: &str,
        invite: Invite,
    ) -> Result<Invitation, CommandError> {
        let action = format!("invite {} into {organization}", invite.username);
        let state = self.store().configuration(self.config(), &action).await?;
        let access = Access::of(actor, state.content.organizations.values());
        only_admin(&access, organization, &action)?;
        if invite.sovereign_admin {
            return Err(CommandError::validate(
                action,
                "an Organization's invitation makes nobody a sovereign-admin",
            ));
        }
        let role = SetRole {
            role: invite.role.unwrap_or(OrganizationRole::OrgViewer),
            environments: invite.environments.clone(),
        };
        // Judged before a user is made for nothing.
        mail::check("email", invite.email.as_deref(), &action)?;
        loosening::check_role(&access, edit::role_of(role.role), &action)?;
        edit::set_member(
            &state.content,
            organization,
            &invite.username,
            Some(&role),
            &action,
        )?;
        let mut invitation = self
            .invite(
                &access,
                &invite,
                Vec::new(),
                Some(organization),
                &state.content,
                &action,
            )
            .await?;
        let accepted = self
            .member_set(actor, organization, &invitation.username, role)
            .await?;
        invitation.commit = accepted.commit;
        Ok(invitation)
    }

    /// Invites a user to the Sovereign.
    pub async fn user_invite(
        &self,
        actor: &Actor,
        invite: Invite,
    ) -> Result<Invitation, CommandError> {
        let action = format!("invite {}", invite.username);
        let access = Access::of(actor, &[]);
        only_sovereign_admin(&access, &action)?;
        usernames::check_form(&invite.username, &action)?;
        mail::check("email", invite.email.as_deref(), &action)?;
        if invite.role.is_some() {
            return Err(CommandError::Validate {
                action,
                reason: "a role is given in an Organization".to_owned(),
                next: Some("invite the user into that Organization".to_owned()),
                faults: Vec::new(),
            });
        }
        let groups = if invite.sovereign_admin {
            vec![SOVEREIGN_ADMIN.to_owned()]
        } else {
            Vec::new()
        };
        let state = self.store().configuration(self.config(), &action).await?;
        self.invite(&access, &invite, groups, None, &state.content, &action)
            .await
    }

    /// Makes or finds the user. A link that sets a password is power over the
    /// account, so an org-admin gets one only for a user who is nobody else's.
    async fn invite(
        &self,
        access: &Access,
        invite: &Invite,
        groups: Vec<String>,
        into: Option<&str>,
        configuration: &Configuration,
        action: &str,
    ) -> Result<Invitation, CommandError> {
        let identity = &self.config().identity;
        let found = self.user_of(&invite.username, action).await?;
        let (user, is_new) = match found {
            Some(user) => {
                let mut wanted = user.groups.clone();
                wanted.extend(
                    groups
                        .into_iter()
                        .filter(|group| !user.groups.contains(group)),
                );
                if wanted != user.groups {
                    identity
                        .user_set_groups(&user.id, &wanted)
                        .await
                        .map_err(CommandError::reach(action))?;
                }
                (user, false)
            }
            None => {
                usernames::check_username(&invite.username, action)?;
                usernames::check_is_no_organization(configuration, &invite.username, action)?;
                let new = NewUser {
                    username: invite.username.clone(),
                    email: invite.email.clone(),
                    groups,
                    attributes: into
                        .map(|organization| {
                            (INVITED_INTO.to_owned(), vec![organization.to_owned()])
                        })
                        .into_iter()
                        .collect(),
                };
                let made = identity
                    .user_create(new)
                    .await
                    .map_err(CommandError::reach(action))?;
                (made, true)
            }
        };
        let is_ours = is_new || may_renew_link(access, &user, configuration.organizations.values());
        let mut invitation = Invitation {
            // As the identity provider writes it.
            username: user.username.clone(),
            url: None,
            expires_at: None,
            commit: None,
        };
        if is_ours && (is_new || !user.has_password()) {
            // Through the console's sign-in, so that the password is all it takes.
            let sign_in = format!(
                "{}/auth/sign-in",
                self.config().console.trim_end_matches('/')
            );
            let link = identity
                .user_invite(&user.id, &sign_in)
                .await
                .map_err(CommandError::reach(action))?;
            invitation.url = Some(link.url);
            invitation.expires_at = Some(link.expires_at);
        }
        Ok(invitation)
    }

    /// Removes a user from every Organization, by one commit, and then from the
    /// identity provider. Refused for the last org-admin of an Organization.
    pub async fn user_remove(
        &self,
        actor: &Actor,
        username: &str,
    ) -> Result<Accepted, CommandError> {
        let action = format!("remove the user {username}");
        let access = Access::of(actor, &[]);
        only_sovereign_admin(&access, &action)?;
        usernames::check_form(username, &action)?;
        let found = self.user_of(username, &action).await?;
        // As the identity provider writes it, which tells no case apart: so members
        // are named, and whoever asks.
        let username = found
            .as_ref()
            .map_or(username, |user| user.username.as_str());
        // So a sovereign-admin is always left: the one who asks.
        if username.eq_ignore_ascii_case(&actor.username) {
            return Err(CommandError::Allow {
                action,
                reason: "nobody removes themselves".to_owned(),
                next: Some("let another sovereign-admin do it".to_owned()),
            });
        }
        let accepted = self
            .edit_configuration(actor, "user-remove", &action, |state, _| {
                edit::remove_user(state, username, &action)
            })
            .await?;
        match &found {
            Some(user) => self
                .config()
                .identity
                .user_delete(&user.id)
                .await
                .map_err(CommandError::reach(action))?,
            None if accepted.commit.is_none() => {
                return Err(CommandError::Find {
                    action,
                    what: format!("user {username}"),
                    next: "look at the list of users".to_owned(),
                });
            }
            None => {}
        }
        Ok(accepted)
    }

    /// Creates an Environment of an Organization.
    pub async fn environment_create(
        &self,
        actor: &Actor,
        organization: &str,
        request: CreateEnvironment,
    ) -> Result<Accepted, CommandError> {
        let action = format!("create the Environment {organization}-{}", request.env_type);
        self.edit_configuration(actor, "environment-create", &action, |state, access| {
            only_admin(access, organization, &action)?;
            edit::create_environment(state, organization, &request, &action)
        })
        .await
    }

    /// Writes a policy, whole.
    pub async fn policy_put(
        &self,
        actor: &Actor,
        policy: PolicyView,
    ) -> Result<Accepted, CommandError> {
        let action = format!("set the policy {}", policy.name);
        let decide = |state: &Configuration, access: &Access| {
            edit::put_policy(state, access, &policy, &action)
        };
        // Judged before anybody is looked for.
        let state = self.store().configuration(self.config(), &action).await?;
        let access = Access::of(actor, state.content.organizations.values());
        decide(&state.content, &access)?;
        // One whom nobody knows never approves, and nothing would go in any more.
        let approvers: BTreeSet<&str> = policy
            .rules
            .iter()
            .filter_map(|rule| rule.get("approvers")?.as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for approver in approvers {
            let found = self.user_of(approver, &action).await?;
            usernames::check_is_known(approver, found.as_ref(), &action)?;
        }
        self.edit_configuration(actor, "policy-set", &action, decide)
            .await
    }

    /// Removes a policy.
    pub async fn policy_delete(&self, actor: &Actor, name: &str) -> Result<Accepted, CommandError> {
        let action = format!("delete the policy {name}");
        self.edit_configuration(actor, "policy-delete", &action, |state, access| {
            edit::delete_policy(state, access, name, &action)
        })
        .await
    }

    /// Trusts a key for a source of Blueprints.
    pub async fn signer_trust(
        &self,
        actor: &Actor,
        request: TrustSigner,
    ) -> Result<Accepted, CommandError> {
        let action = format!("trust a signer for {}", request.source);
        self.edit_configuration(actor, "signer-trust", &action, |state, access| {
            if !access.can_publish(&request.source) {
                return Err(CommandError::Authorize {
                    action: action.clone(),
                    reason: "this takes a sovereign-admin, or an org-admin for the Organization's own Blueprints".to_owned(),
                });
            }
            edit::trust_signer(state, &request, &action)
        })
        .await
    }
}

/// A Blueprint as the marketplace shows it; `versions` newest first.
pub fn card(blueprint: &AdmittedBlueprint, versions: Vec<String>) -> BlueprintCard {
    let shown = &blueprint.blueprint.spec.card;
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let (source, name, version) = (&blueprint.source, blueprint.name(), blueprint.version());
    BlueprintCard {
        source: source.clone(),
        name: name.to_owned(),
        title: shown.title.clone(),
        tagline: text(&shown.tagline),
        category: text(&shown.category),
        tags: shown.tags.clone(),
        license: text(&shown.license),
        icon: blueprint
            .icon
            .as_ref()
            .map(|_| format!("/api/v1/blueprints/{source}/{name}/{version}/icon")),
        version,
        versions,
    }
}

#[cfg(test)]
mod tests {
    use catalyst_resources::{Member, OrganizationSpec, Role};

    use super::*;
    use crate::configuration::object;

    fn organization(name: &str, users: &[(&str, Role)], group: Option<&str>) -> Organization {
        let member = |user: Option<&str>, group: Option<&str>, role| Member {
            user: user.map(str::to_owned),
            group: group.map(str::to_owned),
            role,
            environments: Vec::new(),
        };
        let spec = OrganizationSpec {
            display_name: name.to_owned(),
            contact: None,
            plan: None,
            members: users
                .iter()
                .map(|(user, role)| member(Some(user), None, *role))
                .chain(group.map(|group| member(None, Some(group), Role::OrgViewer)))
                .collect(),
            quota: None,
        };
        object("Organization", name, spec)
    }

    fn user(name: &str, groups: &[&str], invited_into: &[&str]) -> User {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        User {
            id: name.to_owned(),
            username: name.to_owned(),
            email: None,
            enabled: true,
            groups: texts(groups),
            attributes: [(INVITED_INTO.to_owned(), texts(invited_into))].into(),
            required_actions: vec!["UPDATE_PASSWORD".to_owned()],
        }
    }

    #[test]
    fn an_org_admin_renews_links_only_of_users_who_are_nobody_elses() {
        let organizations = [
            organization(
                "acme",
                &[
                    ("ada", Role::OrgAdmin),
                    ("bob", Role::OrgViewer),
                    ("both", Role::OrgViewer),
                    ("carol", Role::OrgViewer),
                    ("root", Role::OrgViewer),
                    ("grouped", Role::OrgViewer),
                ],
                None,
            ),
            organization(
                "globex",
                &[("mallory", Role::OrgAdmin), ("both", Role::OrgViewer)],
                Some("contractors"),
            ),
        ];
        let access = |name: &str, sovereign_admin| {
            let actor = Actor {
                username: name.to_owned(),
                sovereign_admin,
                ..Actor::default()
            };
            Access::of(&actor, &organizations)
        };
        let ada = access("ada", false);
        for (who, one, expected) in [
            (
                "invited here, and a member",
                user("bob", &[], &["acme"]),
                true,
            ),
            (
                "a member elsewhere too",
                user("both", &[], &["acme"]),
                false,
            ),
            (
                "by a group elsewhere too",
                user("grouped", &["contractors"], &["acme"]),
                false,
            ),
            // By the sovereign-admin, and added to acme by its org-admin since.
            ("made by another invitation", user("carol", &[], &[]), false),
            ("made by globex", user("carol", &[], &["globex"]), false),
            ("a member of nothing", user("dora", &[], &[]), false),
            // As after an invitation whose commit failed.
            ("of nothing, made here", user("dora", &[], &["acme"]), true),
            (
                "of nothing but a group",
                user("dora", &["staff"], &["acme"]),
                false,
            ),
            (
                "a sovereign-admin",
                user("root", &["sovereign-admin"], &["acme"]),
                false,
            ),
        ] {
            assert_eq!(
                may_renew_link(&ada, &one, &organizations),
                expected,
                "{who}"
            );
            let sovereign_admin = access("sol", true);
            assert!(
                may_renew_link(&sovereign_admin, &one, &organizations),
                "{who}"
            );
            let viewer = access("both", false);
            assert!(!may_renew_link(&viewer, &one, &organizations), "{who}");
        }
    }
}
