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
    ApplicationView, DeletionView, EnvironmentView, Membership, OrganizationRole, OrganizationView,
    PolicyView,
};
use catalyst_names::EnvironmentName;
use http::request::Parts;

use crate::Gateway;
use crate::authentication::Credential;
use crate::membership::Organizations;
use crate::parts::Actor;
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
    organizations: Organizations,
}

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        let credential = gateway.credential(&parts.method, &parts.headers)?;
        gateway.caller(credential).await
    }
}

impl Caller {
    /// A caller from what the issuer and the Organizations said.
    pub fn new(
        actor: Actor,
        credential: Credential,
        token: Arc<str>,
        organizations: Organizations,
    ) -> Self {
        Self {
            actor,
            credential,
            token,
            organizations,
        }
    }

    /// The caller's roles, by Organization.
    pub fn memberships(&self) -> Vec<Membership> {
        self.organizations
            .memberships(&self.actor.username, &self.actor.groups)
    }

    /// Organizations that the caller administers.
    pub fn administered(&self) -> BTreeSet<String> {
        self.memberships()
            .into_iter()
            .filter(|membership| membership.role == OrganizationRole::OrgAdmin)
            .map(|membership| membership.organization)
            .collect()
    }

    /// Every Organization that the caller may read; `None` stands for all.
    pub fn readable(&self) -> Option<BTreeSet<String>> {
        (!self.actor.sovereign_admin).then(|| {
            self.memberships()
                .into_iter()
                .map(|membership| membership.organization)
                .collect()
        })
    }

    /// Whether the caller may read an Organization and what is in it.
    pub fn can_read(&self, organization: &str) -> bool {
        self.actor.sovereign_admin
            || self
                .organizations
                .has_member(organization, &self.actor.username, &self.actor.groups)
    }

    /// Whether the caller may read an Environment and what is in it.
    pub fn can_read_environment(&self, environment: &str) -> bool {
        environment
            .parse::<EnvironmentName>()
            .and_then(|name| name.parts())
            .is_ok_and(|(organization, _)| self.can_read(organization.as_str()))
    }

    /// Whether the caller may see Blueprints of a source: the catalogs are for
    /// everybody, an Organization's own for its members.
    pub fn can_read_source(&self, source: &str) -> bool {
        matches!(source, "catalog" | "catalog-sovereign") || self.can_read(source)
    }

    /// 404 unless the caller may read the Organization.
    pub fn require_organization(&self, organization: &str) -> Result<(), Refusal> {
        if self.can_read(organization) {
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

    /// Whether the caller may see a deletion.
    pub fn deletion_seen(&self, deletion: &DeletionView) -> bool {
        let environment = deletion.name.split('/').next().unwrap_or_default();
        self.actor.sovereign_admin
            || if deletion.kind.eq_ignore_ascii_case("organization") {
                self.can_read(&deletion.name)
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
