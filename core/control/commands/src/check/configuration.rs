//! The push check of `system/catalyst-config`: what makes sense as the Sovereign's
//! configuration, and who may ask for it.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::Fault;
use catalyst_blueprint::is_shared_source;
use catalyst_names::{HostClusterName, OrganizationName};
use catalyst_plan::keyless_identity;
use catalyst_signature::{MAX_IDENTITIES, PublicKey, TrustedRoot};

use super::files::{apply, form_problem};
use crate::configuration::check_username;
use crate::documents::{fault, line_of_fault};
use crate::push::PushCheck;
use crate::state::{Configuration, kind_of};
use crate::{admins, fleet, policy};

/// Everything wrong with a push to `system/catalyst-config`.
pub(super) fn configuration_faults(base: &Configuration, push: &PushCheck) -> Vec<String> {
    let mut messages = Vec::new();
    for file in &push.files {
        let path = file.path.as_str();
        if path == "sovereign.yaml" && file.status == "removed" {
            messages.push("sovereign.yaml: the Sovereign cannot be removed here".to_owned());
        }
        if let Some(problem) = form_problem(file) {
            messages.push(problem);
        } else if kind_of(path).is_none()
            && file.status != "removed"
            && [".yaml", ".yml", ".json"]
                .iter()
                .any(|end| path.ends_with(end))
            || path.rsplit('/').next() == Some("Kustomization")
        {
            // Flux would apply it with all rights.
            messages.push(format!(
                "{path}: only sovereign.yaml, organizations/<name>.yaml, environments/<name>.yaml, policies/<name>.yaml and upgrades/<name>.yaml have a place here"
            ));
        }
    }
    let references: BTreeSet<&str> = push
        .files
        .iter()
        .map(|file| file.reference.as_str())
        .collect();
    let known: BTreeSet<String> = meaning_faults(base).iter().map(line_of_fault).collect();
    for reference in references {
        let after = Configuration::read(apply(&base.files, push, reference));
        let changed: BTreeSet<&str> = push.files.iter().map(|file| file.path.as_str()).collect();
        let form = after.faults.iter().filter(|fault| {
            fault
                .file
                .as_deref()
                .is_some_and(|file| changed.contains(file))
        });
        messages.extend(form.map(line_of_fault));
        messages.extend(
            meaning_faults(&after)
                .iter()
                .map(line_of_fault)
                .filter(|line| !known.contains(line)),
        );
        messages.extend(admin_faults(base, &after).iter().map(line_of_fault));
        messages.extend(
            fleet::requester_faults(base, &after, &push.pusher)
                .iter()
                .map(line_of_fault),
        );
        if let (Some(before), Some(after)) = (&base.sovereign, &after.sovereign)
            && before.spec.domain != after.spec.domain
        {
            messages.push("sovereign.yaml: the domain of a Sovereign cannot change".to_owned());
        }
    }
    messages.dedup();
    messages
}

/// Organizations that would lose their last org-admin and stay, as the commands
/// have it.
fn admin_faults(base: &Configuration, after: &Configuration) -> Vec<Fault> {
    after
        .organizations
        .iter()
        .filter(|(name, organization)| {
            let before = base.organizations.get(*name);
            before.is_some_and(|before| admins::is_left_alone(before, organization))
        })
        .map(|(name, _)| {
            let path = format!("organizations/{name}.yaml");
            let text = after.files.get(&path).map_or("", String::as_str);
            let reason = format!("it takes the last org-admin of {name}; {}", admins::NEXT);
            fault(&path, text, "/spec/members", reason)
        })
        .collect()
}

/// What makes no sense in a configuration, whoever wrote it. A file that cannot be read is
/// told by itself: what it might say is missing nowhere else.
pub(super) fn meaning_faults(state: &Configuration) -> Vec<Fault> {
    let mut faults = Vec::new();
    let text_of = |path: &str| {
        state
            .files
            .get(path)
            .map(String::as_str)
            .unwrap_or_default()
    };
    let is_unread = |path: &str| {
        let mut faults = state.faults.iter();
        faults.any(|fault| fault.file.as_deref() == Some(path))
    };
    let is_environment_unread = |name: &str| is_unread(&format!("environments/{name}.yaml"));
    let is_organization_unread = |name: &str| is_unread(&format!("organizations/{name}.yaml"));
    for path in state.files.keys() {
        let Some(kind) = kind_of(path).filter(|kind| *kind != "Sovereign") else {
            continue;
        };
        let stem = path
            .rsplit('/')
            .next()
            .and_then(|file| file.strip_suffix(".yaml"))
            .unwrap_or_default();
        let is_there = match kind {
            "Organization" => state.organizations.contains_key(stem),
            "Environment" => state.environments.contains_key(stem),
            "FleetUpgrade" => state.upgrades.contains_key(stem),
            _ => state.policies.contains_key(stem),
        };
        if !is_there && !is_unread(path) {
            faults.push(fault(
                path,
                text_of(path),
                "/metadata/name",
                format!("metadata.name is not {stem}; a file is called as its object"),
            ));
        }
    }
    for (name, organization) in &state.organizations {
        let path = format!("organizations/{name}.yaml");
        let text = text_of(&path);
        let mut add =
            |pointer: &str, message: String| faults.push(fault(&path, text, pointer, message));
        if let Err(error) = OrganizationName::new(name.clone()) {
            add("/metadata/name", error.to_string());
        }
        for (index, member) in organization.spec.members.iter().enumerate() {
            let pointer = format!("/spec/members/{index}");
            match (&member.user, &member.group) {
                (Some(user), None) => {
                    if let Err(error) = check_username(user, "use it") {
                        add(&pointer, error.problem().detail);
                    }
                }
                (None, Some(group)) if !group.is_empty() => {}
                _ => add(
                    &pointer,
                    "a member has either user or group; give one of them".to_owned(),
                ),
            }
            for environment in &member.environments {
                let is_own = state
                    .environments
                    .get(environment)
                    .is_some_and(|found| found.spec.organization == *name);
                if !is_own && !is_environment_unread(environment) {
                    add(
                        &pointer,
                        format!("{environment} is no Environment of {name}"),
                    );
                }
            }
        }
    }
    for (name, environment) in &state.environments {
        let path = format!("environments/{name}.yaml");
        let text = text_of(&path);
        let mut add =
            |pointer: &str, message: String| faults.push(fault(&path, text, pointer, message));
        let spec = &environment.spec;
        let expected = format!("{}-{}", spec.organization, spec.env_type);
        if *name != expected {
            add(
                "/metadata/name",
                format!("an Environment is called as its Organization and stage: {expected}"),
            );
        }
        if !state.organizations.contains_key(&spec.organization)
            && !is_organization_unread(&spec.organization)
        {
            add(
                "/spec/organization",
                format!(
                    "there is no Organization {}; create it first, or delete its Environments with it",
                    spec.organization
                ),
            );
        }
        if state.sovereign.is_some()
            && let Err(reason) = state.placement(environment)
        {
            add("/spec/placement", reason);
        }
    }
    for (name, policy) in &state.policies {
        let path = format!("policies/{name}.yaml");
        let text = text_of(&path);
        let mut add =
            |pointer: &str, message: String| faults.push(fault(&path, text, pointer, message));
        for problem in policy::problems(&policy.spec) {
            add("/spec", problem);
        }
        for environment in &policy.spec.applies_to.environments {
            if !state.environments.contains_key(environment) && !is_environment_unread(environment)
            {
                add(
                    "/spec/appliesTo/environments",
                    format!("there is no Environment {environment}"),
                );
            }
        }
    }
    for (name, upgrade) in &state.upgrades {
        let path = format!("upgrades/{name}.yaml");
        let text = text_of(&path);
        let problems = fleet::problems(&upgrade.spec);
        faults.extend(
            problems
                .into_iter()
                .map(|problem| fault(&path, text, "/spec", problem)),
        );
    }
    if let Some(sovereign) = &state.sovereign {
        let path = "sovereign.yaml";
        let text = text_of(path);
        for (index, cluster) in sovereign.spec.host_clusters.iter().enumerate() {
            let pointer = format!("/spec/hostClusters/{index}");
            let parsed: Result<HostClusterName, _> = cluster.name.parse();
            match parsed {
                Err(error) => faults.push(fault(path, text, &pointer, error.to_string())),
                Ok(parsed) => {
                    let fits = parsed.region() == cluster.region
                        && parsed.building_block().code() == cluster.building_block
                        && parsed.env_type().code() == cluster.env_type;
                    if !fits {
                        faults.push(fault(path, text, &pointer, format!("the name {} says another region, building block or stage than the fields beside it", cluster.name)));
                    }
                }
            }
        }
        // Whoever has the name next is somebody else.
        let stranger = |source: &str| {
            let is_there = is_shared_source(source)
                || state.organizations.contains_key(source)
                || is_organization_unread(source);
            (!is_there).then(|| format!("there is no source {source} of Blueprints: name catalog, catalog-sovereign or an Organization, or remove the signer"))
        };
        for (index, signer) in sovereign.spec.trusted_signers.iter().enumerate() {
            if let Some(why) = stranger(&signer.source) {
                let pointer = format!("/spec/trustedSigners/{index}/source");
                faults.push(fault(path, text, &pointer, why));
            }
            if PublicKey::from_pem(&signer.public_key).is_err() {
                faults.push(fault(
                    path,
                    text,
                    &format!("/spec/trustedSigners/{index}/publicKey"),
                    "the public key cannot be read; give a P-256 key in PEM",
                ));
            }
        }
        let mut add = |pointer: &str, why: String| faults.push(fault(path, text, pointer, why));
        let mut by_source: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, signer) in sovereign.spec.keyless_signers.iter().enumerate() {
            *by_source.entry(&signer.source).or_default() += 1;
            if let Some(why) = stranger(&signer.source) {
                add(&format!("/spec/keylessSigners/{index}/source"), why);
            }
            if let Err(error) = keyless_identity(signer) {
                let pointer = format!("/spec/keylessSigners/{index}");
                add(&pointer, error.to_string());
            }
        }
        for (source, count) in by_source {
            if count > MAX_IDENTITIES {
                // What is delivered then verifies nothing at all.
                add(
                    "/spec/keylessSigners",
                    format!(
                        "{count} are named for {source}, and {MAX_IDENTITIES} at most are read; say several by one expression, or remove some"
                    ),
                );
            }
        }
        match &sovereign.spec.trusted_root {
            Some(root) => {
                if let Err(error) = TrustedRoot::from_json(root) {
                    add("/spec/trustedRoot", error.to_string());
                }
            }
            None if sovereign.spec.keyless_signers.is_empty() => {}
            None => add(
                "/spec/keylessSigners",
                "there is nothing to hold their certificates against; give a sigstore TrustedRoot in spec.trustedRoot, as `cosign trusted-root create` writes it".to_owned(),
            ),
        }
    }
    faults
}
