//! The marketplace.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalyst_api::{
    BlueprintCard, BlueprintDetail, BlueprintSourceView, Page, RegisterBlueprint,
    VulnerabilityReport,
};
use catalyst_blueprint::{Described, search};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde::Deserialize;
use utoipa::IntoParams;

use super::page;
use crate::Gateway;
use crate::body::{ApiJson, ApiPath, ApiQuery};
use crate::caller::Caller;
use crate::problem::Refusal;

/// An icon is drawn by whoever publishes: opened by itself it may style itself
/// and do nothing else.
pub const ICON_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// What is looked for.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// Words, each of which fits the Blueprint's name, title, tagline, category or a
    /// tag, whole or by its beginning, slips of the keyboard forgiven.
    pub q: Option<String>,
    /// Those of this category only.
    pub category: Option<String>,
    /// Those with this tag only.
    pub tag: Option<String>,
}

/// More than anybody types; each word costs a look at the whole catalog.
const LONGEST_QUERY: usize = 200;

/// The Blueprints that are listed for the caller: by source and name, or, where words are
/// given, the best fit first.
#[utoipa::path(get, path = "/api/v1/blueprints", tag = "blueprints", operation_id = "blueprint_list",
    params(SearchQuery),
    responses((status = 200, description = "The newest version of each.", body = Page<BlueprintCard>)))]
pub async fn blueprint_list(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiQuery(query): ApiQuery<SearchQuery>,
) -> Result<Json<Page<BlueprintCard>>, Refusal> {
    let words = query.q.unwrap_or_default();
    if words.len() > LONGEST_QUERY {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "malformed-query",
            "Look for Blueprints",
            format!("The words are longer than {LONGEST_QUERY} bytes."),
        )
        .next("Look for fewer words."));
    }
    let is_same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
    let mut cards = gateway.projector().blueprints();
    cards.retain(|card| {
        caller.can_read_source(&card.source)
            && query.category.as_deref().is_none_or(|wanted| {
                card.category
                    .as_deref()
                    .is_some_and(|own| is_same(own, wanted))
            })
            && query
                .tag
                .as_deref()
                .is_none_or(|wanted| card.tags.iter().any(|own| is_same(own, wanted)))
    });
    Ok(page(search(cards, &words, |card| Described {
        name: &card.name,
        title: &card.title,
        tagline: card.tagline.as_deref().unwrap_or_default(),
        category: card.category.as_deref().unwrap_or_default(),
        tags: &card.tags,
    })))
}

/// Admits an artifact that lies in the Sovereign's registry.
#[utoipa::path(post, path = "/api/v1/blueprints", tag = "blueprints", operation_id = "blueprint_register",
    request_body = RegisterBlueprint,
    responses((status = 201, description = "Verified and admitted.", body = BlueprintCard)))]
pub async fn blueprint_register(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiJson(body): ApiJson<RegisterBlueprint>,
) -> Result<(StatusCode, Json<BlueprintCard>), Refusal> {
    let commands = gateway.commands();
    let card = commands.blueprint_register(&caller.actor, body).await?;
    Ok((StatusCode::CREATED, Json(card)))
}

/// The sources of Blueprints whose repositories the caller may know: what is published
/// from each, and what keeps the rest from it.
#[utoipa::path(get, path = "/api/v1/blueprint-sources", tag = "blueprints", operation_id = "blueprint_source_list",
    responses((status = 200, description = "The Organizations' of the caller; all for sovereign-admins.", body = Page<BlueprintSourceView>)))]
pub async fn blueprint_source_list(
    caller: Caller,
    State(gateway): State<Gateway>,
) -> Result<Json<Page<BlueprintSourceView>>, Refusal> {
    let mut sources = gateway.projector().blueprint_sources();
    sources.retain(|it| caller.can_read_repository(&it.source));
    Ok(page(sources))
}

/// Which version.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct VersionQuery {
    /// SemVer; if absent the newest that is listed, or the newest where none is.
    pub version: Option<String>,
}

/// One version of a Blueprint with its form.
#[utoipa::path(get, path = "/api/v1/blueprints/{source}/{name}", tag = "blueprints", operation_id = "blueprint_get",
    params(("source" = String, Path, description = "`catalog`, `catalog-sovereign` or an Organization."),
           ("name" = String, Path, description = "`bp-…`."), VersionQuery),
    responses((status = 200, description = "The Blueprint.", body = BlueprintDetail)))]
pub async fn blueprint_get(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((source, name)): ApiPath<(String, String)>,
    ApiQuery(query): ApiQuery<VersionQuery>,
) -> Result<Json<BlueprintDetail>, Refusal> {
    let missing = || Refusal::not_found("Blueprint", &format!("{source}/{name}"));
    if !caller.can_read_source(&source) {
        return Err(missing());
    }
    let version = query.version.as_deref();
    let knows = |visibility| caller.knows_of(&source, visibility);
    let detail = gateway
        .projector()
        .blueprint(&source, &name, version, knows);
    detail.map(Json).ok_or_else(missing)
}

/// The icon of a version, SVG.
#[utoipa::path(get, path = "/api/v1/blueprints/{source}/{name}/{version}/icon", tag = "blueprints", operation_id = "blueprint_icon",
    params(("source" = String, Path, description = "`catalog`, `catalog-sovereign` or an Organization."),
           ("name" = String, Path, description = "`bp-…`."),
           ("version" = String, Path, description = "SemVer.")),
    responses((status = 200, description = "The icon.", body = String, content_type = "image/svg+xml")))]
pub async fn blueprint_icon(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((source, name, version)): ApiPath<(String, String, String)>,
) -> Result<Response, Refusal> {
    let missing = || Refusal::not_found("icon", &format!("{source}/{name}/{version}"));
    if !caller.can_read_source(&source) {
        return Err(missing());
    }
    let knows = |visibility| caller.knows_of(&source, visibility);
    let icon = gateway
        .projector()
        .blueprint_icon(&source, &name, &version, knows)
        .ok_or_else(missing)?;
    let headers = [
        (CONTENT_TYPE, "image/svg+xml"),
        (CONTENT_SECURITY_POLICY, ICON_POLICY),
        // A version never changes, but who may see it does.
        (CACHE_CONTROL, "private, max-age=3600"),
    ];
    Ok((headers, icon).into_response())
}

/// What is known to be wrong with what a version is made of.
#[utoipa::path(get, path = "/api/v1/blueprints/{source}/{name}/{version}/vulnerabilities", tag = "blueprints", operation_id = "blueprint_vulnerabilities",
    params(("source" = String, Path, description = "`catalog`, `catalog-sovereign` or an Organization."),
           ("name" = String, Path, description = "`bp-…`."),
           ("version" = String, Path, description = "SemVer.")),
    responses((status = 200, description = "The findings, and what could not be looked at.", body = VulnerabilityReport)))]
pub async fn blueprint_vulnerabilities(
    caller: Caller,
    State(gateway): State<Gateway>,
    ApiPath((source, name, version)): ApiPath<(String, String, String)>,
) -> Result<Json<VulnerabilityReport>, Refusal> {
    let missing = || Refusal::not_found("Blueprint", &format!("{source}/{name}/{version}"));
    if !caller.can_read_source(&source) {
        return Err(missing());
    }
    let knows = |visibility| caller.knows_of(&source, visibility);
    let detail = gateway
        .projector()
        .blueprint(&source, &name, Some(&version), knows)
        .ok_or_else(missing)?;
    gateway.blueprint_report(&detail).await.map(Json)
}
