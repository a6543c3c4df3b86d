//! Who is asking, and what they may see.
//!
//! Taken by every handler that is not open to all. What must stay true: a
//! caller is known by the issuer's answer and the live Organizations, both at
//! most seconds old; without either the request fails; what a caller may not
//! see reads as if it were not there.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use catalyst_api::{
    ApplicationView, DeletionView, EnvironmentView, Membership, OrganizationView, PolicyView,
    UpgradeView,
};
use catalyst_blueprint::{Visibility, is_shared_source};
use catalyst_commands::{Access, Actor, RequestId};
use catalyst_names::EnvironmentName;
use http::request::Parts;

use crate::Gateway;
use crate::authentication::Credential;
use crate::membership::{Organizations, role_view};
use crate::problem::Refusal;

/// A recognised caller.
#[derive(Clone)]
pub struct Caller {
    /// Who it is, as the write side takes it.
    pub actor: Actor,
    /// How it was recognised, so that it can be asked again while an answer
    /// goes on.
    pub credential: Credential,
    /// The access token that stands for the caller.
    pub token: Arc<str>,
    access: Access,
}

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        let credential = gateway.credential(&parts.method, &parts.headers)?;
        let mut caller = gateway.caller(credential).await?;
        caller.actor.request = parts.extensions.get::<RequestId>().cloned();
        Ok(caller)
    }
}

/// A caller who administers the Sovereign. Anybody else is refused, before anything but
/// the request's head is read.
pub struct SovereignAdmin(pub Caller);

impl FromRequestParts<Gateway> for SovereignAdmin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, gateway).await?;
        if caller.actor.sovereign_admin {
            return Ok(Self(caller));
        }
        Err(Refusal::forbidden(
            "Provision Sovereigns",
            "Sovereigns are provisioned by sovereign-admins only.",
        )
        .next("Ask a sovereign-admin of this Sovereign."))
    }
}

impl Caller {
    /// A caller from what the issuer and the Organizations said.
    pub fn new(
        actor: Actor,
        credential: Credential,
        token: Arc<str>,
        organizations: &Organizations,
    ) -> Self {
        let access = Access::of(&actor, organizations.objects());
        Self {
            actor,
            credential,
            token,
            access,
        }
    }

    /// What the caller may do.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The caller's roles, by Organization.
    pub fn memberships(&self) -> Vec<Membership> {
        let organizations = self.access.organizations().iter();
        organizations
            .flat_map(|(organization, grants)| {
                grants.iter().map(|grant| Membership {
                    organization: organization.clone(),
                    role: role_view(grant.role),
                    environments: grant.environments.clone(),
                })
            })
            .collect()
    }

    /// Organizations that the caller administers by a role in them.
    pub fn administered(&self) -> BTreeSet<String> {
        let organizations = self.access.organizations().keys();
        organizations
            .filter(|name| self.access.can_admin(name))
            .cloned()
            .collect()
    }

    /// Whether the caller may know of an Organization.
    pub fn can_see(&self, organization: &str) -> bool {
        self.access.can_see(organization)
    }

    /// Whether the caller may read what is in an Organization.
    pub fn can_read(&self, organization: &str) -> bool {
        self.access.can_read(organization)
    }

    /// Whether the caller may read an Environment and what is in it.
    pub fn can_read_environment(&self, environment: &str) -> bool {
        environment
            .parse::<EnvironmentName>()
            .is_ok_and(|name| self.access.can_read_environment(&name))
    }

    /// Whether the caller may see Blueprints of a source: the catalogs are for
    /// everybody, an Organization's own for its members.
    pub fn can_read_source(&self, source: &str) -> bool {
        self.access.can_see_source(source)
    }

    /// Whether the caller may know what the repository of a source holds, unlisted
    /// versions and all: what may be read in an Organization, and what all share only by
    /// whoever administers it.
    pub fn can_read_repository(&self, source: &str) -> bool {
        match is_shared_source(source) {
            true => self.access.is_sovereign_admin(),
            false => self.access.can_read(source),
        }
    }

    /// Whether the caller may know of a version with this visibility in a source.
    pub fn knows_of(&self, source: &str, visibility: Visibility) -> bool {
        self.can_read_source(source)
            && visibility.is_known(source, self.access.is_sovereign_admin())
    }

    /// 404 unless the caller may know of the Organization.
    pub fn require_organization(&self, organization: &str) -> Result<(), Refusal> {
        if self.can_see(organization) {
            Ok(())
        } else {
            Err(Refusal::not_found("Organization", organization))
        }
    }

    /// 404 unless the caller may read the Environment.
    pub fn require_environment(&self, environment: &str) -> Result<(), Refusal> {
        if self.can_read_environment(environment) {
            Ok(())
        } else {
            Err(Refusal::not_found("Environment", environment))
        }
    }

    /// A policy as the caller may see it: with the Environments that they may
    /// read, and not at all when there is none.
    pub fn policy_seen(&self, mut policy: PolicyView) -> Option<PolicyView> {
        if self.actor.sovereign_admin {
            return Some(policy);
        }
        policy
            .environments
            .retain(|environment| self.can_read_environment(environment));
        (!policy.environments.is_empty()).then_some(policy)
    }

    /// Whether the caller may see a fleet upgrade: one of all Organizations names
    /// Applications of each.
    pub fn upgrade_seen(&self, upgrade: &UpgradeView) -> bool {
        match &upgrade.organization {
            Some(organization) => self.can_read(organization),
            None => self.actor.sovereign_admin,
        }
    }

    /// Whether the caller may see a deletion.
    pub fn deletion_seen(&self, deletion: &DeletionView) -> bool {
        let environment = deletion.name.split('/').next().unwrap_or_default();
        self.actor.sovereign_admin
            || if deletion.kind.eq_ignore_ascii_case("organization") {
                self.can_see(&deletion.name)
            } else {
                self.can_read_environment(environment)
            }
    }
}

impl Gateway {
    /// An Organization, if the caller may see it.
    pub fn organization_seen(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<OrganizationView, Refusal> {
        caller.require_organization(name)?;
        self.projector()
            .organization(name)
            .ok_or_else(|| Refusal::not_found("Organization", name))
    }

    /// An Environment, if the caller may see it.
    pub fn environment_seen(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<EnvironmentView, Refusal> {
        self.projector()
            .environment(name)
            .filter(|environment| caller.can_read(&environment.organization))
            .ok_or_else(|| Refusal::not_found("Environment", name))
    }

    /// An Application, if the caller may see it.
    pub fn application_seen(
        &self,
        caller: &Caller,
        environment: &str,
        name: &str,
    ) -> Result<ApplicationView, Refusal> {
        caller.require_environment(environment)?;
        self.projector()
            .application(environment, name)
            .ok_or_else(|| Refusal::not_found("Application", &format!("{environment}/{name}")))
    }
}
