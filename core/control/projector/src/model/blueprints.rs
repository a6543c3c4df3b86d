//! Blueprints as the marketplace shows them.

use catalyst_api::{BlueprintCard, BlueprintDetail, DependencyView, FormField, FormFieldKind};
use catalyst_blueprint::{ConfigSchema, Field, FieldKind, Visibility};
use catalyst_plan::AdmittedBlueprint;
use serde_json::{Value, json};

/// The card of the newest version; `None` when there is none, or none that is
/// listed.
pub fn card(versions: &[AdmittedBlueprint]) -> Option<BlueprintCard> {
    let newest = versions.first()?;
    (newest.blueprint.spec.visibility == Visibility::Listed).then(|| card_of(newest, versions))
}

/// One version, whole: the one asked for, or the newest.
pub fn detail(versions: &[AdmittedBlueprint], version: Option<&str>) -> Option<BlueprintDetail> {
    let chosen = match version {
        None => versions.first(),
        Some(version) => versions.iter().find(|it| it.version() == version),
    }?;
    let spec = &chosen.blueprint.spec;
    let form = ConfigSchema::compile(&spec.config_schema)
        .map(|schema| fields(schema.form()))
        .unwrap_or_default();
    let depends = spec.depends.iter().map(|dependency| DependencyView {
        alias: dependency.alias().to_owned(),
        source: dependency
            .source
            .clone()
            .unwrap_or_else(|| chosen.source.clone()),
        blueprint: dependency.blueprint.clone(),
        version: dependency.version.clone(),
        when: dependency.when.clone(),
    });
    Some(BlueprintDetail {
        card: card_of(chosen, versions),
        digest: chosen.digest.clone(),
        signer: chosen.signer.clone(),
        description: chosen.description.clone(),
        config_schema: match &spec.config_schema {
            Value::Null => json!({}),
            schema => schema.clone(),
        },
        form,
        sizes: sizes(spec.manifests.overlays.keys()),
        depends: depends.collect(),
        opens: spec.provides.http.is_some(),
    })
}

fn card_of(chosen: &AdmittedBlueprint, versions: &[AdmittedBlueprint]) -> BlueprintCard {
    let card = &chosen.blueprint.spec.card;
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (source, name, version) = (&chosen.source, chosen.name(), chosen.version());
    BlueprintCard {
        source: source.clone(),
        name: name.to_owned(),
        version: version.clone(),
        versions: versions.iter().map(AdmittedBlueprint::version).collect(),
        title: card.title.clone(),
        tagline: given(&card.tagline),
        category: given(&card.category),
        tags: card.tags.clone(),
        license: given(&card.license),
        icon: chosen
            .icon
            .as_ref()
            .map(|_| format!("/api/v1/blueprints/{source}/{name}/{version}/icon")),
    }
}

/// Sizes in the order of what they are, then by name.
fn sizes<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let rank = |name: &str| {
        ["small", "medium", "large"]
            .iter()
            .position(|known| *known == name)
            .unwrap_or(usize::MAX)
    };
    let mut names: Vec<String> = names.cloned().collect();
    names.sort_by_key(|name| (rank(name), name.clone()));
    names
}

/// The form, its groups unfolded: a field is found by its pointer.
fn fields(form: Vec<Field>) -> Vec<FormField> {
    let mut all = Vec::new();
    for field in form {
        match field.kind {
            FieldKind::Group => all.extend(fields(field.fields)),
            _ => all.push(form_field(field)),
        }
    }
    all
}

fn form_field(field: Field) -> FormField {
    let kind = match field.kind {
        FieldKind::Text => FormFieldKind::Text,
        FieldKind::Password => FormFieldKind::Password,
        FieldKind::Number => FormFieldKind::Number,
        FieldKind::Integer => FormFieldKind::Integer,
        FieldKind::Toggle => FormFieldKind::Toggle,
        FieldKind::Choice => FormFieldKind::Choice,
        FieldKind::DomainPicker => FormFieldKind::Domain,
        FieldKind::ApplicationRef => FormFieldKind::ApplicationReference,
        FieldKind::List if is_list_of_text(&field) => FormFieldKind::TextList,
        FieldKind::List | FieldKind::Group | FieldKind::Yaml => FormFieldKind::Yaml,
    };
    let number = |name: &str| field.limits.get(name).and_then(Value::as_f64);
    FormField {
        kind,
        minimum: number("minimum"),
        maximum: number("maximum"),
        pattern: field
            .limits
            .get("pattern")
            .and_then(Value::as_str)
            .map(str::to_owned),
        pointer: field.pointer,
        title: field.label,
        description: field.description,
        required: field.required,
        secret: field.secret,
        per_environment: field.per_environment,
        default: field.default,
        options: field.choices,
    }
}

fn is_list_of_text(field: &Field) -> bool {
    let item = field.fields.first();
    item.is_some_and(|item| item.kind == FieldKind::Text)
}
