//! Blueprints as the marketplace shows them.

use catalyst_api::{BlueprintCard, BlueprintDetail, DependencyView, FormField, FormFieldKind};
use catalyst_blueprint::{ConfigSchema, Field, FieldKind, Visibility};
use catalyst_plan::AdmittedBlueprint;
use serde_json::{Value, json};

/// The card of the newest version that is listed, with the versions that are, newest
/// first as they come; `None` when there is none.
pub fn card(versions: &[AdmittedBlueprint]) -> Option<BlueprintCard> {
    let listed: Vec<&AdmittedBlueprint> = versions.iter().filter(|it| is_listed(it)).collect();
    let newest = listed.first()?;
    Some(card_of(newest, &listed))
}

/// One version, whole: the one asked for by somebody who `knows` of such; or the newest
/// of those that are listed; or, where none is, of all. Beside it the versions that are
/// listed are told, or all of a Blueprint that is known by its name alone.
pub fn detail(
    versions: &[AdmittedBlueprint],
    version: Option<&str>,
    knows: impl Fn(Visibility) -> bool,
) -> Option<BlueprintDetail> {
    let known: Vec<&AdmittedBlueprint> = versions
        .iter()
        .filter(|it| knows(it.blueprint.spec.visibility))
        .collect();
    let chosen = match version {
        None => known
            .iter()
            .find(|it| is_listed(it))
            .or_else(|| known.iter().find(|it| it.withdrawn.is_none()))
            .or_else(|| known.first()),
        Some(version) => known.iter().find(|it| it.version() == version),
    }?;
    let has_list = known.iter().any(|it| is_listed(it));
    let told: Vec<&AdmittedBlueprint> = known
        .iter()
        .copied()
        .filter(|it| {
            let is_told = it.withdrawn.is_none() && (!has_list || is_listed(it));
            is_told || it.version() == chosen.version()
        })
        .collect();
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
        card: card_of(chosen, &told),
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
        host_access: chosen.host_access(),
        opens: spec.provides.http.is_some(),
        withdrawn: chosen.withdrawn.clone(),
    })
}

fn is_listed(version: &AdmittedBlueprint) -> bool {
    let visibility = version.blueprint.spec.visibility;
    version.withdrawn.is_none() && visibility.is_listed(&version.source)
}

fn card_of(chosen: &AdmittedBlueprint, versions: &[&AdmittedBlueprint]) -> BlueprintCard {
    let card = &chosen.blueprint.spec.card;
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (source, name, version) = (&chosen.source, chosen.name(), chosen.version());
    BlueprintCard {
        source: source.clone(),
        name: name.to_owned(),
        version: version.clone(),
        versions: versions.iter().map(|it| it.version()).collect(),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn admitted(source: &str, version: &str, visibility: &str) -> AdmittedBlueprint {
        let object = json!({
            "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Blueprint",
            "metadata": {"name": format!("{source}.bp-web-{version}")},
            "spec": {
                "source": source, "name": "bp-web", "version": version, "signer": "one",
                "digest": format!("sha256:{}", "a".repeat(64)), "repository": format!("{source}/bp-web"),
                "blueprint": {
                    "version": version, "visibility": visibility,
                    "card": {"title": "Web", "license": "MIT"},
                    "manifests": {"source": {"kind": "HelmChart"}},
                },
            },
        });
        AdmittedBlueprint::from_object(&object).unwrap()
    }

    /// Newest first, as the model has them.
    fn versions(source: &str, all: &[(&str, &str)]) -> Vec<AdmittedBlueprint> {
        let all = all.iter();
        all.map(|(version, visibility)| admitted(source, version, visibility))
            .collect()
    }

    #[test]
    fn a_card_is_of_the_newest_that_is_listed() {
        for (source, all, expected) in [
            (
                "catalog",
                &[("1.1.0", "listed"), ("1.0.0", "listed")][..],
                Some(("1.1.0", &["1.1.0", "1.0.0"][..])),
            ),
            // What is hidden hides nothing else, and is not named.
            (
                "catalog",
                &[
                    ("1.2.0", "private"),
                    ("1.1.0", "unlisted"),
                    ("1.0.0", "listed"),
                ],
                Some(("1.0.0", &["1.0.0"])),
            ),
            ("catalog", &[("1.1.0", "unlisted")], None),
            ("catalog", &[("1.1.0", "private")], None),
            (
                "acme",
                &[
                    ("1.2.0", "private"),
                    ("1.1.0", "unlisted"),
                    ("1.0.0", "listed"),
                ],
                Some(("1.2.0", &["1.2.0", "1.0.0"])),
            ),
        ] {
            let card = card(&versions(source, all));
            let found = card
                .as_ref()
                .map(|card| (card.version.as_str(), card.versions.clone()));
            let expected = expected.map(|(version, all)| {
                let all: Vec<String> = all.iter().map(|it| (*it).to_owned()).collect();
                (version, all)
            });
            assert_eq!(found, expected, "{source} {all:?}");
        }
    }

    #[test]
    fn what_was_withdrawn_is_in_no_list_and_is_found_by_its_version() {
        let mut all = versions("acme", &[("1.1.0", "listed"), ("1.0.0", "listed")]);
        all[0].withdrawn = Some("it loses pages".to_owned());
        let found = card(&all).unwrap();
        assert_eq!(
            (found.version.as_str(), &found.versions[..]),
            ("1.0.0", &["1.0.0".to_owned()][..])
        );
        let newest = detail(&all, None, |_| true).unwrap();
        assert_eq!(
            (newest.card.version.as_str(), newest.withdrawn),
            ("1.0.0", None)
        );
        let named = detail(&all, Some("1.1.0"), |_| true).unwrap();
        assert_eq!(named.withdrawn.as_deref(), Some("it loses pages"));
        all[1].withdrawn = Some("its folder is gone".to_owned());
        assert_eq!(card(&all), None);
        // Whoever runs it looks at it still.
        assert!(detail(&all, None, |_| true).unwrap().withdrawn.is_some());
    }

    #[test]
    fn a_detail_says_what_pods_take_of_the_machine() {
        let mut made = admitted("catalog", "1.0.0", "listed");
        let text = r#"[{"kind": "hostPort", "ports": [80], "reason": "it is the gateway"}]"#;
        made.blueprint.spec.host_access = serde_json::from_str(text).unwrap();
        let detail = detail(&[made], None, |_| true).unwrap();
        let shown = serde_json::to_value(&detail).unwrap();
        assert_eq!(
            shown["hostAccess"],
            json!([{"kind": "hostPort", "ports": [80], "reason": "it is the gateway"}])
        );
    }

    #[test]
    fn a_detail_is_of_what_is_known() {
        let mixed = &[
            ("1.3.0", "private"),
            ("1.2.0", "unlisted"),
            ("1.1.0", "listed"),
            ("1.0.0", "listed"),
        ][..];
        let quiet = &[("1.1.0", "unlisted"), ("1.0.0", "unlisted")][..];
        for (source, all, admin, version, expected) in [
            ("catalog", mixed, false, None, Some(&["1.1.0", "1.0.0"][..])),
            (
                "catalog",
                mixed,
                false,
                Some("1.0.0"),
                Some(&["1.1.0", "1.0.0"]),
            ),
            (
                "catalog",
                mixed,
                false,
                Some("1.2.0"),
                Some(&["1.2.0", "1.1.0", "1.0.0"]),
            ),
            ("catalog", mixed, false, Some("1.3.0"), None),
            ("catalog", mixed, false, Some("1.4.0"), None),
            (
                "catalog",
                mixed,
                true,
                Some("1.3.0"),
                Some(&["1.3.0", "1.1.0", "1.0.0"]),
            ),
            ("catalog", quiet, false, None, Some(&["1.1.0", "1.0.0"])),
            ("catalog", &[("1.0.0", "private")], false, None, None),
            (
                "catalog",
                &[("1.0.0", "private")],
                true,
                None,
                Some(&["1.0.0"]),
            ),
            (
                "acme",
                &[("1.0.0", "private")],
                false,
                None,
                Some(&["1.0.0"]),
            ),
        ] {
            let knows = |visibility: Visibility| visibility.is_known(source, admin);
            let detail = detail(&versions(source, all), version, knows);
            let found = detail.as_ref().map(|detail| detail.card.versions.clone());
            let expected: Option<Vec<String>> =
                expected.map(|all| all.iter().map(|it| (*it).to_owned()).collect());
            assert_eq!(found, expected, "{source} {all:?} {version:?}");
            if let (Some(detail), Some(version)) = (&detail, version) {
                assert_eq!(detail.card.version, version);
            }
        }
    }
}
