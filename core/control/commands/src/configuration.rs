//! Commands on `system/catalyst-config`: Organizations, members, Environments,
//! policies, trusted signers.
//!
//! The first half decides, files in and files out; the second carries out. A
//! decision is made anew on what stands there when somebody else was faster.

use std::collections::BTreeMap;

use catalyst_api::{
    Accepted, CreateEnvironment, CreateOrganization, Fault, PolicyView, SetRole, TrustSigner,
};
use catalyst_names::{EnvType, EnvironmentName, OrganizationName};
use catalyst_resources::{
    Environment, EnvironmentPlacement, EnvironmentPolicy, EnvironmentPolicySpec, EnvironmentSpec,
    GROUP, Member, Metadata, Object, Organization, OrganizationSpec, PolicyTarget, Role,
    TrustedSigner, VERSION,
};
use catalyst_signature::PublicKey;

use crate::access::Access;
use crate::state::Configuration;
pub(crate) use crate::usernames::check_username;
use crate::{Actor, CommandError, Commands, admins, documents, loosening, mail, policy, usernames};

/// What a command writes: subject, and files by path (`None` removes).
pub(crate) struct Edit {
    pub subject: String,
    pub files: BTreeMap<String, Option<String>>,
}

impl Edit {
    fn one(subject: String, path: String, text: Option<String>) -> Self {
        Self {
            subject,
            files: BTreeMap::from([(path, text)]),
        }
    }
}

pub(crate) fn object<S, T>(kind: &str, name: &str, spec: S) -> Object<S, T> {
    Object {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: kind.to_owned(),
        metadata: Metadata {
            name: name.to_owned(),
            ..Metadata::default()
        },
        spec,
        status: None,
    }
}

pub(crate) fn role_of(role: catalyst_api::OrganizationRole) -> Role {
    use catalyst_api::OrganizationRole as Api;
    match role {
        Api::OrgAdmin => Role::OrgAdmin,
        Api::OrgDeveloper => Role::OrgDeveloper,
        Api::OrgViewer => Role::OrgViewer,
        Api::SecurityOfficer => Role::SecurityOfficer,
        Api::BillingAdmin => Role::BillingAdmin,
    }
}

fn organization_path(name: &str) -> String {
    format!("organizations/{name}.yaml")
}

fn find<'a>(
    configuration: &'a Configuration,
    name: &str,
    action: &str,
) -> Result<&'a Organization, CommandError> {
    configuration
        .organizations
        .get(name)
        .ok_or_else(|| CommandError::Find {
            action: action.to_owned(),
            what: format!("Organization {name}"),
            next: "look at the list of Organizations".to_owned(),
        })
}

pub(crate) fn create_organization(
    configuration: &Configuration,
    request: &CreateOrganization,
    action: &str,
) -> Result<Edit, CommandError> {
    let name = OrganizationName::new(request.name.clone())
        .map_err(|error| CommandError::validate(action, error.to_string()))?;
    let path = organization_path(name.as_str());
    if configuration.files.contains_key(&path) {
        return Err(CommandError::Allow {
            action: action.to_owned(),
            reason: format!("there is an Organization {name} already"),
            next: Some("choose another name".to_owned()),
        });
    }
    mail::check("contact", request.contact.as_deref(), action)?;
    let spec = OrganizationSpec {
        display_name: request
            .display_name
            .clone()
            .filter(|text| !text.trim().is_empty())
            .unwrap_or_else(|| name.to_string()),
        contact: request.contact.clone(),
        plan: None,
        members: request
            .admins
            .iter()
            .map(|user| Member {
                user: Some(user.clone()),
                group: None,
                role: Role::OrgAdmin,
                environments: Vec::new(),
            })
            .collect(),
        quota: None,
    };
    usernames::check_organization_name(configuration, &name, action)?;
    for user in &request.admins {
        check_username(user, action)?;
        usernames::check_is_no_organization(configuration, user, action)?;
    }
    let organization: Organization = object("Organization", name.as_str(), spec);
    Ok(Edit::one(
        format!("Create Organization {name}"),
        path,
        Some(documents::write(&organization, None)),
    ))
}

pub(crate) fn delete_organization(
    configuration: &Configuration,
    name: &str,
    action: &str,
) -> Result<Edit, CommandError> {
    find(configuration, name, action)?;
    let mut files = BTreeMap::from([(organization_path(name), None)]);
    for (environment, found) in &configuration.environments {
        if found.spec.organization == name {
            files.insert(format!("environments/{environment}.yaml"), None);
        }
    }
    files.extend(without_environments(configuration, |environment| {
        EnvironmentName::new(environment)
            .and_then(|environment| environment.parts())
            .is_ok_and(|(organization, _)| organization.as_str() == name)
    }));
    files.extend(without_signers(configuration, name));
    for (upgrade, found) in &configuration.upgrades {
        if found.spec.organization.as_deref() == Some(name) {
            files.insert(format!("upgrades/{upgrade}.yaml"), None);
        }
    }
    Ok(Edit {
        subject: format!("Delete Organization {name}"),
        files,
    })
}

/// The Sovereign without those who sign for a source: whoever has the name next
/// is somebody else, and trusts nobody yet.
fn without_signers(
    configuration: &Configuration,
    source: &str,
) -> Option<(String, Option<String>)> {
    let mut sovereign = configuration.sovereign.clone()?;
    let spec = &mut sovereign.spec;
    let before = (spec.trusted_signers.len(), spec.keyless_signers.len());
    spec.trusted_signers
        .retain(|signer| signer.source != source);
    spec.keyless_signers
        .retain(|signer| signer.source != source);
    if (spec.trusted_signers.len(), spec.keyless_signers.len()) == before {
        return None;
    }
    let path = "sovereign.yaml".to_owned();
    let text = documents::write(
        &sovereign,
        configuration.files.get(&path).map(String::as_str),
    );
    Some((path, Some(text)))
}

/// Policies without the Environments that go; a policy that binds none any
/// more goes too.
fn without_environments(
    configuration: &Configuration,
    is_gone: impl Fn(&str) -> bool,
) -> BTreeMap<String, Option<String>> {
    let mut files = BTreeMap::new();
    for (name, policy) in &configuration.policies {
        let bound = &policy.spec.applies_to.environments;
        if !bound.iter().any(|environment| is_gone(environment)) {
            continue;
        }
        let mut rest = policy.clone();
        rest.spec
            .applies_to
            .environments
            .retain(|environment| !is_gone(environment));
        let path = format!("policies/{name}.yaml");
        let text = (!rest.spec.applies_to.environments.is_empty())
            .then(|| documents::write(&rest, configuration.files.get(&path).map(String::as_str)));
        files.insert(path, text);
    }
    files
}

/// Gives a user a role in place of any they had, or takes all away.
pub(crate) fn set_member(
    configuration: &Configuration,
    name: &str,
    username: &str,
    role: Option<&SetRole>,
    action: &str,
) -> Result<Edit, CommandError> {
    let organization = find(configuration, name, action)?;
    usernames::check_form(username, action)?;
    let mut after = organization.clone();
    let is_them = |member: &Member| member.user.as_deref() == Some(username);
    let was_there = after.spec.members.iter().any(is_them);
    let position = after.spec.members.iter().position(is_them);
    after.spec.members.retain(|member| !is_them(member));
    let subject = match role {
        None if !was_there => {
            return Err(CommandError::Find {
                action: action.to_owned(),
                what: format!("member {username} of {name}"),
                next: "look at the Organization's members".to_owned(),
            });
        }
        None => format!("Remove {username} from Organization {name}"),
        Some(role) => {
            if !was_there {
                check_username(username, action)?;
                usernames::check_is_no_organization(configuration, username, action)?;
            }
            check_bounds(role, action)?;
            for environment in &role.environments {
                let is_own = configuration
                    .environments
                    .get(environment)
                    .is_some_and(|found| found.spec.organization == name);
                if !is_own {
                    return Err(CommandError::validate(
                        action,
                        format!("there is no Environment {environment} of {name}"),
                    ));
                }
            }
            let member = Member {
                user: Some(username.to_owned()),
                group: None,
                role: role_of(role.role),
                environments: role.environments.clone(),
            };
            let place = position.unwrap_or(after.spec.members.len());
            after
                .spec
                .members
                .insert(place.min(after.spec.members.len()), member);
            format!(
                "Make {username} {} of Organization {name}",
                role_word(role.role)
            )
        }
    };
    if admins::is_left_alone(organization, &after) {
        admins::check(&[name.to_owned()], username, action)?;
    }
    let path = organization_path(name);
    let text = documents::write(&after, configuration.files.get(&path).map(String::as_str));
    Ok(Edit::one(subject, path, Some(text)))
}

/// Refuses Environments for a role that they would not bound.
fn check_bounds(role: &SetRole, action: &str) -> Result<(), CommandError> {
    let is_bounded = role.role == catalyst_api::OrganizationRole::OrgDeveloper;
    if is_bounded || role.environments.is_empty() {
        return Ok(());
    }
    Err(CommandError::Validate {
        action: action.to_owned(),
        reason: format!(
            "the role {} counts in the whole Organization; only an org-developer's is bounded to Environments",
            role_word(role.role)
        ),
        next: Some("name no Environment, or give the role org-developer".to_owned()),
        faults: vec![Fault {
            pointer: Some("/environments".to_owned()),
            message: "it takes none with this role".to_owned(),
            ..Fault::default()
        }],
    })
}

fn role_word(role: catalyst_api::OrganizationRole) -> String {
    serde_json::to_value(role)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Takes a user out of every Organization; nothing to write when in none.
pub(crate) fn remove_user(
    configuration: &Configuration,
    username: &str,
    action: &str,
) -> Result<Edit, CommandError> {
    let mut files = BTreeMap::new();
    let mut left_alone = Vec::new();
    for (name, organization) in &configuration.organizations {
        let mut after = organization.clone();
        after
            .spec
            .members
            .retain(|member| member.user.as_deref() != Some(username));
        if admins::is_left_alone(organization, &after) {
            left_alone.push(name.clone());
        }
        if after.spec.members.len() != organization.spec.members.len() {
            let path = organization_path(name);
            let text = documents::write(&after, configuration.files.get(&path).map(String::as_str));
            files.insert(path, Some(text));
        }
    }
    admins::check(&left_alone, username, action)?;
    Ok(Edit {
        subject: format!("Remove user {username}"),
        files,
    })
}

pub(crate) fn create_environment(
    configuration: &Configuration,
    organization: &str,
    request: &CreateEnvironment,
    action: &str,
) -> Result<Edit, CommandError> {
    find(configuration, organization, action)?;
    let refuse = |reason: String| CommandError::validate(action, reason);
    let owner = OrganizationName::new(organization).map_err(|error| refuse(error.to_string()))?;
    let env_type: EnvType = request
        .env_type
        .parse()
        .map_err(|error: catalyst_names::NameError| refuse(error.to_string()))?;
    let name = EnvironmentName::of(&owner, env_type).map_err(|error| refuse(error.to_string()))?;
    let path = format!("environments/{name}.yaml");
    if configuration.files.contains_key(&path) {
        return Err(CommandError::Allow {
            action: action.to_owned(),
            reason: format!("there is an Environment {name} already"),
            next: Some("use it, or create one of another stage".to_owned()),
        });
    }
    let environment: Environment = object(
        "Environment",
        name.as_str(),
        EnvironmentSpec {
            organization: owner.to_string(),
            env_type: env_type.code().to_owned(),
            placement: (!request.host_clusters.is_empty()).then(|| EnvironmentPlacement {
                host_clusters: request.host_clusters.clone(),
                regions: Vec::new(),
            }),
            quota: None,
        },
    );
    configuration.placement(&environment).map_err(refuse)?;
    Ok(Edit::one(
        format!("Create Environment {name}"),
        path,
        Some(documents::write(&environment, None)),
    ))
}

pub(crate) fn delete_environment(
    configuration: &Configuration,
    name: &EnvironmentName,
    action: &str,
) -> Result<Edit, CommandError> {
    if !configuration.environments.contains_key(name.as_str()) {
        return Err(CommandError::Find {
            action: action.to_owned(),
            what: format!("Environment {name}"),
            next: "look at the list of Environments".to_owned(),
        });
    }
    let mut files = BTreeMap::from([(format!("environments/{name}.yaml"), None)]);
    files.extend(without_environments(configuration, |environment| {
        environment == name.as_str()
    }));
    Ok(Edit {
        subject: format!("Delete Environment {name}"),
        files,
    })
}

/// Whether the actor may write or remove a policy that binds these
/// Environments.
fn check_policy_access(
    access: &Access,
    environments: &[String],
    action: &str,
) -> Result<(), CommandError> {
    let is_allowed = access.is_sovereign_admin()
        || (!environments.is_empty()
            && environments.iter().all(|environment| {
                EnvironmentName::new(environment.clone())
                    .and_then(|environment| environment.parts())
                    .is_ok_and(|(organization, _)| access.can_set_policy(organization.as_str()))
            }));
    if is_allowed {
        return Ok(());
    }
    Err(CommandError::Authorize {
        action: action.to_owned(),
        reason: "only an org-admin or security-officer of every Environment's Organization may set its policies".to_owned(),
    })
}

pub(crate) fn put_policy(
    configuration: &Configuration,
    access: &Access,
    request: &PolicyView,
    action: &str,
) -> Result<Edit, CommandError> {
    let name = &request.name;
    let is_name = (1..=63).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    if !is_name {
        return Err(CommandError::validate(
            action,
            format!("{name:?} is no policy name: use small letters, digits and hyphens"),
        ));
    }
    check_policy_access(access, &request.environments, action)?;
    if let Some(before) = configuration.policies.get(name) {
        check_policy_access(access, &before.spec.applies_to.environments, action)?;
    }
    let mut rules = Vec::new();
    for rule in &request.rules {
        rules.push(serde_json::from_value(rule.clone()).map_err(|error| {
            CommandError::validate(action, format!("a rule cannot be read: {error}"))
        })?);
    }
    let spec = EnvironmentPolicySpec {
        applies_to: PolicyTarget {
            environments: request.environments.clone(),
        },
        rules,
    };
    let mut problems = policy::problems(&spec);
    for environment in &request.environments {
        if !configuration.environments.contains_key(environment) {
            problems.push(format!("there is no Environment {environment}"));
        }
    }
    if let Some(first) = problems.first() {
        return Err(CommandError::Validate {
            action: action.to_owned(),
            reason: first.clone(),
            next: Some("correct the policy; see docs/spec/environment-policy.md".to_owned()),
            faults: problems
                .into_iter()
                .map(|message| catalyst_api::Fault {
                    message,
                    ..catalyst_api::Fault::default()
                })
                .collect(),
        });
    }
    let path = format!("policies/{name}.yaml");
    let written: EnvironmentPolicy = object("EnvironmentPolicy", name, spec);
    let text = documents::write(&written, configuration.files.get(&path).map(String::as_str));
    let mut after = configuration.policies.clone();
    after.insert(name.clone(), written);
    loosening::check(&configuration.policies, &after, access, action)?;
    Ok(Edit::one(format!("Set policy {name}"), path, Some(text)))
}

pub(crate) fn delete_policy(
    configuration: &Configuration,
    access: &Access,
    name: &str,
    action: &str,
) -> Result<Edit, CommandError> {
    let found = configuration
        .policies
        .get(name)
        .ok_or_else(|| CommandError::Find {
            action: action.to_owned(),
            what: format!("policy {name}"),
            next: "look at the list of policies".to_owned(),
        })?;
    check_policy_access(access, &found.spec.applies_to.environments, action)?;
    let mut after = configuration.policies.clone();
    after.remove(name);
    loosening::check(&configuration.policies, &after, access, action)?;
    Ok(Edit::one(
        format!("Delete policy {name}"),
        format!("policies/{name}.yaml"),
        None,
    ))
}

pub(crate) fn trust_signer(
    configuration: &Configuration,
    request: &TrustSigner,
    action: &str,
) -> Result<Edit, CommandError> {
    let source = &request.source;
    let is_known = matches!(source.as_str(), "catalog" | "catalog-sovereign")
        || configuration.organizations.contains_key(source);
    if !is_known {
        return Err(CommandError::validate(
            action,
            format!(
                "there is no source {source} of Blueprints: use catalog, catalog-sovereign or an Organization"
            ),
        ));
    }
    let key = PublicKey::from_pem(&request.public_key)
        .map_err(|error| CommandError::validate(action, error.to_string()))?;
    let Some(before) = &configuration.sovereign else {
        return Err(CommandError::Read {
            action: action.to_owned(),
            reason: "sovereign.yaml cannot be read".to_owned(),
        });
    };
    let mut after = before.clone();
    let signer = TrustedSigner {
        source: source.clone(),
        public_key: key.to_pem(),
    };
    let is_there = after.spec.trusted_signers.iter().any(|known| {
        known.source == signer.source
            && PublicKey::from_pem(&known.public_key)
                .is_ok_and(|known| known.fingerprint() == key.fingerprint())
    });
    if !is_there {
        after.spec.trusted_signers.push(signer);
    }
    let path = "sovereign.yaml".to_owned();
    let text = documents::write(&after, configuration.files.get(&path).map(String::as_str));
    Ok(Edit::one(
        format!("Trust {} for {source}", key.fingerprint()),
        path,
        Some(text),
    ))
}

impl Commands {
    /// Decides on what stands there, commits, and decides anew when somebody
    /// else was faster.
    pub(crate) async fn edit_configuration(
        &self,
        actor: &Actor,
        command: &'static str,
        action: &str,
        decide: impl Fn(&Configuration, &Access) -> Result<Edit, CommandError>,
    ) -> Result<Accepted, CommandError> {
        let repository = crate::store::config_repository();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let at = self.store().configuration(self.config(), action).await?;
            let access = Access::of(actor, at.content.organizations.values());
            let edit = decide(&at.content, &access)?;
            let unchanged = edit
                .files
                .iter()
                .all(|(path, text)| at.content.files.get(path) == text.as_ref());
            if unchanged {
                return Ok(Accepted {
                    repository: repository.to_string(),
                    commit: None,
                    pull_request: None,
                    plan: None,
                });
            }
            let message = crate::message(actor, &edit.subject, command, None);
            let made = self
                .commit(
                    actor,
                    &repository,
                    &at.head,
                    None,
                    message,
                    edit.files,
                    action,
                )
                .await;
            match made {
                Ok(commit) => {
                    return Ok(Accepted {
                        repository: repository.to_string(),
                        commit: Some(commit),
                        pull_request: None,
                        plan: None,
                    });
                }
                Err(error) if error.is_conflict() && attempts < crate::MOST_ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests;
