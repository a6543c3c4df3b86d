//! What a Sovereign's management cluster, forge and registry hold from the first
//! moment: kinds, namespaces, the configuration repository and its way into the
//! cluster, the shared sources of Blueprints.
//!
//! Called by [`crate::run`] first and then with every sweep; doing it again changes
//! nothing.

use catalyst_ports::{
    ChangeFiles, FileChange, HookTarget, Permission, Person, RepositoryId, RepositoryOptions,
};
use catalyst_resources::custom_resource_definitions;
use futures::future::try_join4;
use serde_json::Value;

use crate::context::Context;
use crate::desired::management::{
    self, BRANCH, CONFIG_REPOSITORY, FLUX_USER, SHARED_SOURCES, SYSTEM_ORGANIZATION,
};
use crate::error::ReconcileError;
use crate::secrets;

/// Who the controllers are when they apply objects.
pub const MANAGER: &str = "catalyst-controllers";

/// Makes sure of all of it.
pub async fn bootstrap(ctx: &Context) -> Result<(), ReconcileError> {
    let management = ctx.management();
    let definitions: Vec<Value> = custom_resource_definitions()
        .into_iter()
        .filter(|(kind, _)| !kind.in_environment)
        .map(|(_, definition)| definition)
        .collect();
    let namespaces = management::namespaces();
    let cluster = async {
        management.apply_all(&definitions, MANAGER).await?;
        management.apply_all(&namespaces, MANAGER).await
    };
    let (password, (), (), ()) = try_join4(
        secrets::forge_password(&ctx.vault, FLUX_USER),
        cluster,
        configuration(ctx),
        shared_sources(ctx),
    )
    .await?;
    ctx.forge
        .user_with_password_ensure(FLUX_USER, &ctx.mail(FLUX_USER), &password)
        .await
        .map_err(ReconcileError::port("make", "the forge user of Flux"))?;
    ctx.forge
        .team_members_set(SYSTEM_ORGANIZATION, "readers", &[FLUX_USER.to_owned()])
        .await
        .map_err(ReconcileError::port("set", "the readers of system"))?;
    let url = ctx.forge.clone_url(&configuration_repository());
    management
        .apply_all(&management::configuration_account(), MANAGER)
        .await?;
    let objects = management::configuration_sync(&url, FLUX_USER, &password);
    management.apply_all(&objects, MANAGER).await
}

fn configuration_repository() -> RepositoryId {
    RepositoryId::new(SYSTEM_ORGANIZATION, CONFIG_REPOSITORY)
}

async fn configuration(ctx: &Context) -> Result<(), ReconcileError> {
    let repository = configuration_repository();
    let forge = &ctx.forge;
    let failed =
        |action: &'static str| ReconcileError::port(action, format!("the repository {repository}"));
    forge
        .organization_ensure(SYSTEM_ORGANIZATION, "Sovereign")
        .await
        .map_err(failed("make"))?;
    let options = RepositoryOptions {
        private: true,
        description: "The configuration of this Sovereign".to_owned(),
    };
    forge
        .repository_ensure(&repository, options)
        .await
        .map_err(failed("make"))?;
    let files = management::configuration_files(&ctx.initial);
    first_commit(ctx, &repository, "Declare the Sovereign", files).await?;
    forge
        .team_ensure(SYSTEM_ORGANIZATION, "readers", Permission::Read)
        .await
        .map_err(failed("set the readers of"))?;
    webhook(ctx, SYSTEM_ORGANIZATION).await
}

async fn shared_sources(ctx: &Context) -> Result<(), ReconcileError> {
    for source in SHARED_SOURCES {
        ctx.forge
            .organization_ensure(source, source)
            .await
            .map_err(ReconcileError::port(
                "make",
                format!("the forge organization {source}"),
            ))?;
        // The catalog mirrors what is public anyway; what the owner curates is for
        // members, who are set with every Organization.
        ctx.registry_admin
            .project_ensure(source, source == "catalog")
            .await
            .map_err(ReconcileError::port(
                "make",
                format!("the registry project {source}"),
            ))?;
    }
    Ok(())
}

/// Has the forge tell of every push to an organization's repositories.
pub(crate) async fn webhook(ctx: &Context, organization: &str) -> Result<(), ReconcileError> {
    ctx.forge
        .webhook_ensure(
            &HookTarget::Organization(organization.to_owned()),
            &ctx.addresses.webhook_url,
            &ctx.addresses.webhook_secret,
        )
        .await
        .map_err(ReconcileError::port(
            "make",
            format!("the webhook of {organization}"),
        ))
}

/// Commits to an empty repository; one with a commit is left alone.
pub(crate) async fn first_commit(
    ctx: &Context,
    repository: &RepositoryId,
    message: &str,
    files: Vec<(String, Vec<u8>)>,
) -> Result<(), ReconcileError> {
    let failed =
        |action: &'static str| ReconcileError::port(action, format!("the repository {repository}"));
    let head = ctx
        .forge
        .head(repository, BRANCH)
        .await
        .map_err(failed("read"))?;
    if head.is_some() {
        return Ok(());
    }
    let catalyst = Person {
        name: "Catalyst".to_owned(),
        email: ctx.mail("catalyst"),
    };
    let change = ChangeFiles {
        branch: BRANCH.to_owned(),
        new_branch: None,
        expected_head: None,
        message: format!("{message}\n\nCatalyst-Command: bootstrap\n"),
        author: catalyst.clone(),
        committer: catalyst,
        files: files
            .into_iter()
            .map(|(path, content)| FileChange {
                path,
                content: Some(content),
            })
            .collect(),
    };
    match ctx.forge.change_files(repository, change).await {
        Ok(_) => Ok(()),
        // Somebody else's first commit.
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(failed("make the first commit to")(error)),
    }
}
