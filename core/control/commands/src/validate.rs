//! Whether an Application makes sense in its Environment: names, Blueprint,
//! size, config, dependencies. Pure; the same for commands and for pushes.

use std::collections::BTreeSet;

use catalyst_api::Fault;
use catalyst_blueprint::{ConfigForm, ConfigSchema, Dependency, Scope, evaluate_condition};
use catalyst_names::{
    ApplicationName, EnvType, EnvironmentName, HostClusterName, OrganizationName,
};
use catalyst_plan::AdmittedBlueprint;
use catalyst_resources::{Application, PlacementMode, Quota};
use semver::{Version, VersionReq};
use serde_json::{Value, json};

use crate::access::Access;
use crate::catalogue::Catalogue;
use crate::documents::fault;
use crate::state::{Applications, application_path};

/// A fault where an Application begins with a version with which none may begin.
pub(crate) fn choice_fault(
    before: Option<&Application>,
    after: &Application,
    path: &str,
    text: &str,
    catalogue: &Catalogue,
) -> Option<Fault> {
    let reference = &after.spec.blueprint;
    if before.is_some_and(|before| before.spec.blueprint == *reference) {
        return None;
    }
    // What is not there at all is another fault.
    catalogue.get(reference)?;
    let reason = catalogue.refusal(reference)?;
    Some(fault(path, text, "/spec/blueprint", reason))
}

/// An Environment, as far as its Applications depend on it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub environment: EnvironmentName,
    pub organization: OrganizationName,
    pub env_type: EnvType,
    pub domain: String,
    pub host_clusters: Vec<HostClusterName>,
    pub quota: Option<Quota>,
}

impl Place {
    /// What expressions see as `environment`.
    pub fn scope(&self) -> Value {
        json!({
            "name": self.environment,
            "organization": self.organization,
            "envType": self.env_type.code(),
            "domain": self.domain,
        })
    }
}

/// What expressions of a Blueprint see for one Application.
pub(crate) fn scope_of(application: &Application, schema: &ConfigSchema, place: &Place) -> Scope {
    let spec = &application.spec;
    Scope {
        config: schema.with_defaults(&Value::Object(spec.config.clone())),
        application: json!({
            "name": application.metadata.name,
            "size": spec.size,
            "blueprint": {
                "source": spec.blueprint.source,
                "name": spec.blueprint.name,
                "version": spec.blueprint.version,
            },
        }),
        environment: place.scope(),
    }
}

/// The dependencies that an Application's Blueprint asks for with its config.
pub(crate) fn active_dependencies<'a>(
    application: &Application,
    blueprint: &'a AdmittedBlueprint,
    place: &Place,
) -> Result<Vec<&'a Dependency>, String> {
    let schema = ConfigSchema::compile(&blueprint.blueprint.spec.config_schema)
        .map_err(|error| error.to_string())?;
    let scope = scope_of(application, &schema, place);
    let mut active = Vec::new();
    for dependency in &blueprint.blueprint.spec.depends {
        let is_needed = match &dependency.when {
            Some(condition) => {
                evaluate_condition(condition, &scope).map_err(|error| error.to_string())?
            }
            None => true,
        };
        if is_needed {
            active.push(dependency);
        }
    }
    Ok(active)
}

/// What is wrong with an Application as a change leaves it: with itself, and with the
/// version that it begins with.
pub(crate) fn changed_faults(
    name: &str,
    before: &Applications,
    after: &Applications,
    place: &Place,
    catalogue: &Catalogue,
) -> Vec<Fault> {
    let Some(application) = after.applications.get(name) else {
        return Vec::new();
    };
    let path = application_path(name);
    let text = after.text_at(&path);
    let mut faults = application_faults(name, text, application, place, catalogue);
    let known = before.applications.get(name);
    faults.extend(choice_fault(known, application, &path, text, catalogue));
    faults
}

/// Everything wrong with one Application by itself.
pub(crate) fn application_faults(
    folder: &str,
    text: &str,
    application: &Application,
    place: &Place,
    catalogue: &Catalogue,
) -> Vec<Fault> {
    let path = application_path(folder);
    let at = |pointer: &str, message: String| fault(&path, text, pointer, message);
    let mut faults = Vec::new();
    let name = &application.metadata.name;
    if name != folder {
        faults.push(at(
            "/metadata/name",
            format!("metadata.name is {name:?}, but the folder is {folder:?}; give both one name"),
        ));
    }
    if let Err(error) = ApplicationName::new(folder) {
        faults.push(at("/metadata/name", error.to_string()));
    }
    let environment = place.environment.as_str();
    if application
        .metadata
        .namespace
        .as_deref()
        .is_some_and(|namespace| namespace != environment)
    {
        faults.push(at(
            "/metadata/namespace",
            format!("metadata.namespace must be the Environment's name; write `namespace: {environment}`"),
        ));
    }
    let reference = &application.spec.blueprint;
    if !Access::can_use_source(&reference.source, place.organization.as_str()) {
        faults.push(at(
            "/spec/blueprint/source",
            format!(
                "Blueprints of {} are not for {}; use catalog, catalog-sovereign or {}",
                reference.source, place.organization, place.organization
            ),
        ));
        return faults;
    }
    let Some(blueprint) = catalogue.get(reference) else {
        faults.push(at("/spec/blueprint", catalogue.unknown(reference)));
        return faults;
    };
    faults.extend(shape_faults(&at, application, blueprint));
    match ConfigSchema::compile(&blueprint.blueprint.spec.config_schema) {
        Ok(schema) => {
            let config = Value::Object(application.spec.config.clone());
            for problem in schema.validate_config(&config, ConfigForm::Committed) {
                let pointer = format!("/spec/config{}", problem.pointer);
                faults.push(at(&pointer, problem.to_string()));
            }
        }
        Err(error) => faults.push(at("/spec/blueprint", error.to_string())),
    }
    faults
}

fn shape_faults(
    at: &impl Fn(&str, String) -> Fault,
    application: &Application,
    blueprint: &AdmittedBlueprint,
) -> Vec<Fault> {
    let spec = &blueprint.blueprint.spec;
    let mut faults = Vec::new();
    if let Some(size) = &application.spec.size
        && !spec.manifests.overlays.contains_key(size)
    {
        let known: Vec<&str> = spec.manifests.overlays.keys().map(String::as_str).collect();
        let known = if known.is_empty() {
            "it has no sizes; remove the field".to_owned()
        } else {
            format!("choose {}", known.join(", "))
        };
        faults.push(at(
            "/spec/size",
            format!("the Blueprint has no size {size:?}; {known}"),
        ));
    }
    if let Some(placement) = &application.spec.placement {
        let mode = match placement.mode {
            PlacementMode::SingleRegion => catalyst_blueprint::Mode::SingleRegion,
            PlacementMode::ActiveActive => catalyst_blueprint::Mode::ActiveActive,
            PlacementMode::ActiveHotstandby => catalyst_blueprint::Mode::ActiveHotstandby,
        };
        if !spec.placement_schema.modes.contains(&mode) {
            faults.push(at(
                "/spec/placement/mode",
                "the Blueprint does not support this placement; see its placementSchema".to_owned(),
            ));
        }
    }
    faults
}

/// Everything wrong between the Applications of an Environment, for those that
/// a change touches.
pub(crate) fn tree_faults(
    tree: &Applications,
    touched: &BTreeSet<String>,
    place: &Place,
    catalogue: &Catalogue,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for name in touched {
        // What is on its way out needs nobody any more.
        let Some(application) = tree
            .applications
            .get(name)
            .filter(|application| application.spec.deletion.is_none())
        else {
            continue;
        };
        let path = application_path(name);
        let text = tree
            .files
            .get(&path)
            .map(String::as_str)
            .unwrap_or_default();
        let at = |pointer: &str, message: String| fault(&path, text, pointer, message);
        let Some(blueprint) = catalogue.get(&application.spec.blueprint) else {
            continue;
        };
        let active = match active_dependencies(application, blueprint, place) {
            Ok(active) => active,
            Err(reason) => {
                faults.push(at("/spec/blueprint", reason));
                continue;
            }
        };
        for (alias, reference) in &application.spec.dependencies {
            let pointer = format!("/spec/dependencies/{alias}");
            match active.iter().find(|wanted| wanted.alias() == alias) {
                None => {
                    let known: Vec<&str> = active.iter().map(|wanted| wanted.alias()).collect();
                    let known = if known.is_empty() {
                        "it needs none with this config".to_owned()
                    } else {
                        format!("it needs {}", known.join(", "))
                    };
                    faults.push(at(
                        &pointer,
                        format!("the Blueprint has no dependency {alias:?}; {known}"),
                    ));
                }
                Some(wanted) => {
                    let served_by = &reference.application;
                    if let Some(reason) =
                        edge_problem(tree, wanted, served_by, &application.spec.blueprint.source)
                    {
                        faults.push(at(&pointer, reason));
                    }
                }
            }
        }
        for wanted in active {
            if !application.spec.dependencies.contains_key(wanted.alias()) {
                faults.push(at(
                    "/spec/dependencies",
                    format!(
                        "the dependency {} is missing: {} {} is needed; name the Application that serves it",
                        wanted.alias(),
                        wanted.blueprint,
                        wanted.version
                    ),
                ));
            }
        }
    }
    if let Some(cycle) = tree.cycle()
        && let Some(name) = cycle.iter().find(|name| touched.contains(*name))
    {
        let path = application_path(name);
        let text = tree
            .files
            .get(&path)
            .map(String::as_str)
            .unwrap_or_default();
        faults.push(fault(
            &path,
            text,
            "/spec/dependencies",
            format!(
                "the dependencies form a cycle: {}; one of them must be served by another Application",
                cycle.join(" → ")
            ),
        ));
    }
    faults
}

fn edge_problem(
    tree: &Applications,
    wanted: &Dependency,
    served_by: &str,
    own_source: &str,
) -> Option<String> {
    let Some(provider) = tree.applications.get(served_by) else {
        return Some(format!(
            "the Application {served_by} is not in this Environment; install it, or name another one of {}",
            wanted.blueprint
        ));
    };
    let source = wanted.source.as_deref().unwrap_or(own_source);
    let found = &provider.spec.blueprint;
    if found.name != wanted.blueprint || found.source != source {
        return Some(format!(
            "{} of {source} is needed, but {served_by} is {} of {}; name another Application",
            wanted.blueprint, found.name, found.source
        ));
    }
    let (Ok(range), Ok(version)) = (
        VersionReq::parse(&wanted.version),
        Version::parse(&found.version),
    ) else {
        return Some(format!(
            "the version {} of {served_by} cannot be compared with {}",
            found.version, wanted.version
        ));
    };
    if !range.matches(&version) {
        return Some(format!(
            "{} {} is needed, but {served_by} runs {version}; upgrade it first",
            wanted.blueprint, wanted.version
        ));
    }
    if provider.spec.deletion.is_some() {
        return Some(format!(
            "the Application {served_by} is being deleted; name another one"
        ));
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use catalyst_blueprint::Blueprint;

    use super::*;

    pub(crate) fn place() -> Place {
        Place {
            environment: EnvironmentName::new("acme-dev").unwrap(),
            organization: OrganizationName::new("acme").unwrap(),
            env_type: EnvType::Development,
            domain: "localhost".to_owned(),
            host_clusters: vec!["lo-loc-rtz-dev".parse().unwrap()],
            quota: None,
        }
    }

    pub(crate) fn admitted(source: &str, yaml: &str) -> AdmittedBlueprint {
        let blueprint = Blueprint::parse(yaml).unwrap();
        AdmittedBlueprint {
            source: source.to_owned(),
            digest: format!("sha256:{}", "a".repeat(64)),
            signer: "sha256:k".to_owned(),
            repository: format!("{source}/{}", blueprint.name()),
            blueprint,
            icon: None,
            description: None,
            withdrawn: None,
        }
    }

    pub(crate) fn blueprint(name: &str, version: &str, rest: &str) -> String {
        format!(
            "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {{name: {name}}}\nspec:\n  version: {version}\n  card: {{title: {name}, license: MIT}}\n  manifests: {{source: {{kind: HelmChart}}, overlays: {{small: {{}}}}}}\n{rest}"
        )
    }

    pub(crate) fn catalogue() -> Catalogue {
        let mut catalogue = Catalogue::default();
        for version in ["1.4.0", "1.5.0", "2.0.0"] {
            catalogue.insert(admitted(
                "catalog",
                &blueprint(
                    "bp-db",
                    version,
                    "  provides: {connectionSecret: {keys: [username]}}\n",
                ),
            ));
        }
        for (version, rest) in [
            ("1.0.0", ""),
            ("1.1.0", "  upgrades: {from: [1.0.x]}\n"),
            ("3.0.0", "  upgrades: {from: [2.x]}\n"),
        ] {
            catalogue.insert(admitted(
                "catalog",
                &blueprint(
                    "bp-wiki",
                    version,
                    &format!(
                        "  depends: [{{blueprint: bp-db, version: ^1.4, alias: db, when: \"config.embedded != false\"}}]\n  configSchema:\n    type: object\n    additionalProperties: false\n    properties:\n      title: {{type: string, maxLength: 5}}\n      embedded: {{type: boolean, default: true}}\n      host: {{type: string, x-catalyst-per-environment: true}}\n      apiKey: {{type: string, x-catalyst-secret: true}}\n{rest}"
                    ),
                ),
            ));
        }
        catalogue.insert(admitted("globex", &blueprint("bp-own", "1.0.0", "")));
        catalogue
    }

    pub(crate) fn wiki(edit: impl Fn(String) -> String) -> (String, Application) {
        let text = edit(
            "apiVersion: catalyst.openova.io/v1alpha1\nkind: Application\nmetadata:\n  name: wiki\n  namespace: acme-dev\nspec:\n  blueprint:\n    source: catalog\n    name: bp-wiki\n    version: 1.0.0\n  config:\n    title: Hi\n  dependencies:\n    db: {application: wiki-db}\n"
                .to_owned(),
        );
        let application =
            crate::documents::parse("applications/wiki/application.yaml", &text, "Application")
                .unwrap();
        (text, application)
    }

    #[test]
    fn an_application_is_judged_with_line_and_reason() {
        let catalogue = catalogue();
        for (from, to, line, words) in [
            ("name: wiki\n", "name: wik\n", 4, "the folder is \"wiki\""),
            (
                "namespace: acme-dev",
                "namespace: globex-dev",
                5,
                "namespace: acme-dev",
            ),
            ("source: catalog", "source: globex", 8, "not for acme"),
            (
                "version: 1.0.0",
                "version: 9.0.0",
                7,
                "it has 3.0.0, 1.1.0, 1.0.0",
            ),
            ("name: bp-wiki", "name: bp-nothing", 7, "marketplace"),
            ("title: Hi", "titel: Hi", 12, "did you mean `title`?"),
            ("title: Hi", "title: much too long", 12, "config.title"),
            ("title: Hi", "apiKey: hunter2", 12, "may not stand in Git"),
            ("  config:", "  size: huge\n  config:", 11, "choose small"),
        ] {
            let (text, application) = wiki(|text| text.replacen(from, to, 1));
            let faults = application_faults("wiki", &text, &application, &place(), &catalogue);
            assert_eq!(faults.len(), 1, "{to}: {faults:?}");
            assert_eq!(faults[0].line, Some(line), "{to}: {faults:?}");
            assert!(faults[0].message.contains(words), "{to}: {faults:?}");
            assert!(!faults[0].message.contains("hunter2"));
        }
        let (text, application) = wiki(|text| text);
        assert_eq!(
            application_faults("wiki", &text, &application, &place(), &catalogue),
            []
        );
    }

    #[test]
    fn dependencies_must_be_there_and_fit() {
        let catalogue = catalogue();
        let db = |version: &str, rest: &str| {
            (
                application_path("wiki-db"),
                format!(
                    "apiVersion: catalyst.openova.io/v1alpha1\nkind: Application\nmetadata: {{name: wiki-db}}\nspec:\n  blueprint: {{source: catalog, name: bp-db, version: {version}}}\n{rest}"
                ),
            )
        };
        let touched = BTreeSet::from(["wiki".to_owned()]);
        for (text, provider, words) in [
            (wiki(|text| text), Some(db("1.4.0", "")), None),
            (wiki(|text| text), None, Some("is not in this Environment")),
            (
                wiki(|text| text),
                Some(db("2.0.0", "")),
                Some("upgrade it first"),
            ),
            (
                wiki(|text| text),
                Some(db("1.4.0", "  deletion: {data: keep}\n")),
                Some("being deleted"),
            ),
            (
                wiki(|text| text.replace("  dependencies:\n    db: {application: wiki-db}\n", "")),
                Some(db("1.4.0", "")),
                Some("the dependency db is missing"),
            ),
            (
                wiki(|text| text.replace("title: Hi", "embedded: false")),
                Some(db("1.4.0", "")),
                Some("it needs none"),
            ),
            (
                wiki(|text| text.replace("db: {application: wiki-db}", "db: {application: wiki}")),
                Some(db("1.4.0", "")),
                Some("wiki is bp-wiki"),
            ),
        ] {
            let mut files = BTreeMap::from([(application_path("wiki"), text.0)]);
            files.extend(provider);
            let faults = tree_faults(&Applications::read(files), &touched, &place(), &catalogue);
            match words {
                None => assert_eq!(faults, []),
                Some(words) => assert!(
                    faults.iter().any(|fault| fault.message.contains(words)),
                    "{words}: {faults:?}"
                ),
            }
        }
    }
}
