//! Finds the Service behind an Application's page, by rendering its manifests.
//!
//! An artifact is pulled and verified once; what it holds is kept by digest, which
//! can never mean other content.

use std::sync::Arc;

use catalyst_commands::trust_policy;
use catalyst_plan::{BlueprintContent, Expansion, HttpBackend, http_backend, render_objects};

use super::surroundings::Surroundings;
use crate::blueprint::reference;
use crate::controllers::Shared;
use crate::error::ReconcileError;

/// The Service of the page; none for a Blueprint without one.
pub async fn find(
    shared: &Shared,
    around: &Surroundings,
    expansion: &Expansion,
) -> Result<Option<HttpBackend>, String> {
    let Some(page) = &around.blueprint.blueprint.spec.provides.http else {
        return Ok(None);
    };
    let content = content(shared, around).await?;
    let objects = render_objects(expansion, &content).map_err(|error| error.to_string())?;
    http_backend(&objects, &page.port).map(Some).ok_or_else(|| {
        format!(
            "its manifests have no Service with the port {} that provides.http names; publish a corrected version of its Blueprint",
            page.port
        )
    })
}

async fn content(shared: &Shared, around: &Surroundings) -> Result<Arc<BlueprintContent>, String> {
    let ctx = &shared.ctx;
    let blueprint = &around.blueprint;
    if let Some(known) = shared.remembered.content(&blueprint.digest) {
        return Ok(known);
    }
    let at = reference(ctx, &blueprint.repository, &blueprint.digest)?;
    let sovereign = ctx
        .sovereign()
        .await
        .map_err(|error: ReconcileError| error.chain())?;
    let pulled = ctx
        .registry
        .pull(&at, &blueprint.source, &trust_policy(&sovereign))
        .await
        .map_err(|error| error.to_string())?;
    let content = Arc::new(BlueprintContent {
        files: pulled.manifests,
    });
    shared
        .remembered
        .keep_content(&blueprint.digest, Arc::clone(&content));
    Ok(content)
}
