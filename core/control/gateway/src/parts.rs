//! Shapes of the parts, until they land.
#![allow(dead_code, unused_variables, clippy::unused_async)]
use catalyst_api::*;
use serde_json::Value;

#[derive(Debug, Clone)]
pub struct Actor {
    pub username: String,
    pub email: Option<String>,
    pub groups: Vec<String>,
    pub sovereign_admin: bool,
}

pub struct CommandError;
impl CommandError {
    pub fn problem(&self) -> Problem {
        Problem {
            kind: "not-built".into(),
            title: "Carry out a command".into(),
            status: 501,
            detail: "The write side is not part of this build.".into(),
            ..Problem::default()
        }
    }
}
type R<T> = Result<T, CommandError>;
#[derive(Clone)]
pub struct Commands;
impl Commands {
    pub async fn organization_create(&self, a: &Actor, b: CreateOrganization) -> R<Accepted> {
        Err(CommandError)
    }
    pub async fn organization_delete(&self, a: &Actor, o: &str) -> R<Accepted> {
        Err(CommandError)
    }
    pub async fn member_set(&self, a: &Actor, o: &str, u: &str, r: SetRole) -> R<Accepted> {
        Err(CommandError)
    }
    pub async fn member_remove(&self, a: &Actor, o: &str, u: &str) -> R<Accepted> {
        Err(CommandError)
    }
    pub async fn member_invite(&self, a: &Actor, o: &str, i: Invite) -> R<Invitation> {
        Err(CommandError)
    }
    pub async fn user_invite(&self, a: &Actor, i: Invite) -> R<Invitation> {
        Err(CommandError)
    }
    pub async fn user_remove(&self, a: &Actor, u: &str) -> R<()> {
        Err(CommandError)
    }
    pub async fn environment_create(
        &self,
        a: &Actor,
        o: &str,
        e: CreateEnvironment,
    ) -> R<Accepted> {
        Err(CommandError)
    }
    pub async fn environment_delete(&self, a: &Actor, e: &str) -> R<Accepted> {
        Err(CommandError)
    }
    pub async fn policy_put(&self, a: &Actor, p: PolicyView) -> R<Accepted> {
        Err(CommandError)
    }
    pub async fn policy_delete(&self, a: &Actor, p: &str) -> R<Accepted> {
        Err(CommandError)
    }
    pub async fn signer_trust(&self, a: &Actor, t: TrustSigner) -> R<Accepted> {
        Err(CommandError)
    }
    pub async fn blueprint_register(&self, a: &Actor, t: RegisterBlueprint) -> R<BlueprintCard> {
        Err(CommandError)
    }
    pub async fn plan(&self, a: &Actor, e: &str, c: ApplicationCommand) -> R<PlanView> {
        Err(CommandError)
    }
    pub async fn execute(&self, a: &Actor, e: &str, c: Execute) -> R<Accepted> {
        Err(CommandError)
    }
    pub async fn pulls(&self, a: &Actor, e: &str) -> R<Vec<PullRequestView>> {
        Err(CommandError)
    }
    pub async fn pull(&self, a: &Actor, e: &str, n: u64) -> R<PullRequestView> {
        Err(CommandError)
    }
    pub async fn pull_approve(&self, a: &Actor, e: &str, n: u64) -> R<PullRequestView> {
        Err(CommandError)
    }
    pub async fn pull_merge(&self, a: &Actor, e: &str, n: u64) -> R<Accepted> {
        Err(CommandError)
    }
    pub async fn history(&self, a: &Actor, e: &str, p: &str) -> R<Vec<Revision>> {
        Err(CommandError)
    }
    pub async fn revision(&self, a: &Actor, e: &str, p: &str, c: &str) -> R<RevisionDetail> {
        Err(CommandError)
    }
    pub async fn check_push(&self, v: Value) -> PushVerdict {
        PushVerdict {
            allowed: false,
            messages: vec![],
        }
    }
}
#[derive(serde::Serialize)]
pub struct PushVerdict {
    pub allowed: bool,
    pub messages: Vec<String>,
}

#[derive(Clone)]
pub struct Projector;
impl Projector {
    pub fn organizations(&self) -> Vec<OrganizationView> {
        vec![]
    }
    pub fn organization(&self, n: &str) -> Option<OrganizationView> {
        None
    }
    pub fn environments(&self) -> Vec<EnvironmentView> {
        vec![]
    }
    pub fn environment(&self, n: &str) -> Option<EnvironmentView> {
        None
    }
    pub fn applications(&self, e: &str) -> Vec<ApplicationSummary> {
        vec![]
    }
    pub fn application(&self, e: &str, n: &str) -> Option<ApplicationView> {
        None
    }
    pub fn blueprints(&self) -> Vec<BlueprintCard> {
        vec![]
    }
    pub fn blueprint(&self, s: &str, n: &str, v: Option<&str>) -> Option<BlueprintDetail> {
        None
    }
    pub fn blueprint_icon(&self, s: &str, n: &str, v: &str) -> Option<String> {
        None
    }
    pub fn policies(&self) -> Vec<PolicyView> {
        vec![]
    }
    pub fn deletions(&self) -> Vec<DeletionView> {
        vec![]
    }
}
