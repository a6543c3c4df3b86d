//! Whether an Application makes sense in its Environment: names, Blueprint,
//! size, config, dependencies. Pure; the same for commands and for pushes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalyst_api::Fault;
use catalyst_blueprint::{
    Catalog, ConfigForm, ConfigSchema, Dependency, Scope, Visibility, evaluate_condition,
};
use catalyst_names::{
    ApplicationName, EnvType, EnvironmentName, HostClusterName, OrganizationName,
};
use catalyst_plan::AdmittedBlueprint;
use catalyst_resources::{Application, BlueprintReference, PlacementMode, Quota};
use catalyst_signature::{Keyless, TrustPolicy};
use semver::{Version, VersionReq};
use serde_json::{Value, json};

use crate::access::Access;
use crate::documents::fault;
use crate::state::{Applications, application_path};

/// The most versions that one sentence names.
const MOST_NAMED: usize = 5;

/// Why nobody may begin with a version that is there: by source and name.
type Refused = BTreeMap<(String, String), BTreeMap<Version, String>>;

/// Every admitted Blueprint, or those of them that somebody knows of.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub catalog: Catalog,
    admitted: BTreeMap<(String, String), BTreeMap<Version, Arc<AdmittedBlueprint>>>,
    refused: Refused,
}

impl Catalogue {
    pub fn insert(&mut self, blueprint: AdmittedBlueprint) {
        self.catalog
            .insert(blueprint.source.clone(), blueprint.blueprint.clone());
        self.admitted
            .entry((blueprint.source.clone(), blueprint.name().to_owned()))
            .or_default()
            .insert(blueprint.blueprint.version().clone(), Arc::new(blueprint));
    }

    /// What of it may be used in an Organization's Environments by somebody there. The
    /// rest is not told of either, by no reason for anything.
    pub fn narrowed(&self, organization: &str, is_sovereign_admin: bool) -> Self {
        let knows = |source: &str, visibility: Visibility| {
            Access::can_use_source(source, organization)
                && visibility.is_known(source, is_sovereign_admin)
        };
        let mut admitted = self.admitted.clone();
        for ((source, _), versions) in &mut admitted {
            versions.retain(|_, it| knows(source, it.blueprint.spec.visibility));
        }
        admitted.retain(|_, versions| !versions.is_empty());
        Self {
            catalog: self.catalog.narrowed(knows),
            admitted,
            refused: self.refused.clone(),
        }
    }

    /// What of it may be chosen in an Environment: neither what its source took back nor
    /// what nobody signed whom the Sovereign trusts for its source. What Applications
    /// there run stays, so that they can be changed; none begins with it, nor does the
    /// solver choose it for anything.
    pub fn offered(mut self, policy: &TrustPolicy, tree: &Applications) -> Self {
        let refused = self.refused_by(policy);
        // As good as always; the whole catalog need not be gone through again.
        if refused.is_empty() {
            return self;
        }
        let running: BTreeSet<(&str, &str, &str)> = tree
            .applications
            .values()
            .map(|application| {
                let it = &application.spec.blueprint;
                (it.source.as_str(), it.name.as_str(), it.version.as_str())
            })
            .collect();
        let offers = |source: &str, name: &str, version: &Version| {
            let of_name = refused.get(&(source.to_owned(), name.to_owned()));
            of_name.is_none_or(|versions| !versions.contains_key(version))
        };
        let catalog = self
            .catalog
            .retained(|source, it| offers(source, it.name(), it.version()));
        for ((source, name), versions) in &mut self.admitted {
            versions.retain(|version, _| {
                offers(source, name, version)
                    || running.contains(&(
                        source.as_str(),
                        name.as_str(),
                        version.to_string().as_str(),
                    ))
            });
        }
        self.admitted.retain(|_, versions| !versions.is_empty());
        Self {
            catalog,
            admitted: self.admitted,
            refused,
        }
    }

    /// What the solver chooses from, and the version that it starts from: an Application
    /// goes on with one that is offered to nobody any more.
    pub fn catalog_from(&self, root: &BlueprintReference) -> Cow<'_, Catalog> {
        let mut catalog = Cow::Borrowed(&self.catalog);
        if let Some(root) = self.get(root) {
            let blueprint = &root.blueprint;
            let known = self
                .catalog
                .get(&root.source, root.name(), blueprint.version());
            if known.is_none() {
                let catalog = catalog.to_mut();
                catalog.insert(root.source.clone(), blueprint.clone());
            }
        }
        catalog
    }

    /// With which versions nobody may begin, and why.
    fn refused_by(&self, policy: &TrustPolicy) -> Refused {
        let mut trusted: BTreeMap<&str, Result<Counting<'_>, String>> = BTreeMap::new();
        let mut refused = Refused::new();
        for ((source, name), versions) in &self.admitted {
            let signers = trusted
                .entry(source)
                .or_insert_with(|| Counting::of(policy, source));
            for (version, blueprint) in versions {
                if let Some(reason) = reason_against(blueprint, signers) {
                    let of_name = (source.clone(), name.clone());
                    let of_name = refused.entry(of_name).or_default();
                    of_name.insert(version.clone(), reason);
                }
            }
        }
        refused
    }

    /// Why nobody may begin with the version that is named, though it is there.
    pub fn refusal(&self, reference: &BlueprintReference) -> Option<String> {
        let BlueprintReference {
            source,
            name,
            version,
        } = reference;
        let refused = self.refused.get(&(source.clone(), name.clone()))?;
        let reason = refused.get(&Version::parse(version).ok()?)?;
        let there: Vec<String> = self
            .versions(source, name)
            .into_iter()
            .flat_map(|versions| versions.iter().rev())
            .filter(|(version, it)| {
                let visibility = it.blueprint.spec.visibility;
                !refused.contains_key(*version) && visibility.is_listed(source)
            })
            .take(MOST_NAMED)
            .map(|(version, _)| version.to_string())
            .collect();
        let there = match there.as_slice() {
            [] => "ask whoever publishes it which to take".to_owned(),
            there => format!("there is {}", there.join(", ")),
        };
        Some(format!(
            "nothing new begins with {name} {version} of {source}: {reason}; {there}"
        ))
    }

    /// The Blueprint that an Application names.
    pub fn get(&self, reference: &BlueprintReference) -> Option<&Arc<AdmittedBlueprint>> {
        let version = Version::parse(&reference.version).ok()?;
        self.versions(&reference.source, &reference.name)?
            .get(&version)
    }

    /// All versions of a Blueprint, oldest first.
    pub fn versions(
        &self,
        source: &str,
        name: &str,
    ) -> Option<&BTreeMap<Version, Arc<AdmittedBlueprint>>> {
        self.admitted.get(&(source.to_owned(), name.to_owned()))
    }

    /// What somebody means who names no version: one that is listed before one that
    /// is not, a release before what leads to it, and of those the newest.
    pub fn newest(&self, source: &str, name: &str) -> Option<&Arc<AdmittedBlueprint>> {
        let refused = self.refused.get(&(source.to_owned(), name.to_owned()));
        let versions = self.versions(source, name)?;
        versions
            .iter()
            .filter(|(version, blueprint)| {
                let is_refused = refused.is_some_and(|refused| refused.contains_key(*version));
                blueprint.withdrawn.is_none() && !is_refused
            })
            .max_by_key(|(version, blueprint)| {
                let is_listed = blueprint.blueprint.spec.visibility.is_listed(source);
                (is_listed, version.pre.is_empty(), *version)
            })
            .map(|(_, blueprint)| blueprint)
    }

    /// Why a reference leads nowhere, and what there is instead.
    fn unknown(&self, reference: &BlueprintReference) -> String {
        if let Some(reason) = self.refusal(reference) {
            return reason;
        }
        let BlueprintReference {
            source,
            name,
            version,
        } = reference;
        match self.versions(source, name) {
            Some(_) => {
                let there = match self.catalog.named_versions(source, name) {
                    Some(there) => format!("it has {there}"),
                    None => {
                        "none of its versions is listed, ask whoever publishes it which to take"
                            .to_owned()
                    }
                };
                format!("the Blueprint {name} of {source} has no version {version}; {there}")
            }
            None => {
                let near = self.catalog.sources_that_list(name);
                if near.is_empty() {
                    format!(
                        "the source {source} has no Blueprint {name}; look for it in the marketplace, or register it"
                    )
                } else {
                    format!(
                        "the source {source} has no Blueprint {name}; it is in {}",
                        near.join(", ")
                    )
                }
            }
        }
    }
}

/// Those whose signatures count for a source, by the names that Blueprints keep. The
/// fingerprints are made once: there may be thousands of versions.
struct Counting<'a> {
    fingerprints: BTreeSet<String>,
    keyless: Option<Keyless<'a>>,
}

impl<'a> Counting<'a> {
    fn of(policy: &'a TrustPolicy, source: &str) -> Result<Self, String> {
        let signers = policy
            .signers(source)
            .map_err(|refusal| refusal.to_string())?;
        Ok(Self {
            fingerprints: signers.keys().iter().map(|key| key.fingerprint()).collect(),
            keyless: signers.keyless(),
        })
    }

    fn include(&self, signer: &str) -> bool {
        self.fingerprints.contains(signer)
            || self.keyless.is_some_and(|keyless| keyless.includes(signer))
    }
}

/// Why nobody may begin with what was admitted: it was taken back, or nobody whose
/// signatures count for its source signed it.
fn reason_against(
    blueprint: &AdmittedBlueprint,
    signers: &Result<Counting<'_>, String>,
) -> Option<String> {
    if let Some(reason) = &blueprint.withdrawn {
        return Some(format!("it was withdrawn ({reason})"));
    }
    match signers {
        Ok(signers) if signers.include(&blueprint.signer) => None,
        Ok(_) => Some(format!(
            "its signer {} is not one of those that the Sovereign trusts for {}",
            blueprint.signer, blueprint.source
        )),
        Err(refusal) => Some(refusal.clone()),
    }
}

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
    use super::*;
    use catalyst_blueprint::Blueprint;

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

    fn wiki(edit: impl Fn(String) -> String) -> (String, Application) {
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

    /// A key, and the fingerprint by which Blueprints name it.
    fn key() -> (catalyst_signature::PublicKey, String) {
        let key = catalyst_signature::SigningKey::generate().unwrap();
        (key.public().clone(), key.public().fingerprint())
    }

    /// What of [`catalogue`] is offered in an Environment once these were withdrawn.
    pub(crate) fn offered_without(withdrawn: &[(&str, &str)], tree: &Applications) -> Catalogue {
        let (own, signer) = key();
        let mut policy = TrustPolicy::new();
        policy.trust("catalog", own);
        let mut all = Catalogue::default();
        for it in catalogue().admitted.values().flat_map(BTreeMap::values) {
            let mut it = AdmittedBlueprint::clone(it);
            it.signer.clone_from(&signer);
            if withdrawn.contains(&(it.name(), it.version().as_str())) {
                it.withdrawn = Some("it loses pages".to_owned());
            }
            all.insert(it);
        }
        all.offered(&policy, tree)
    }

    #[test]
    fn nothing_begins_with_what_was_withdrawn_or_is_signed_by_nobody_trusted() {
        let ((own, own_name), (_, foreign)) = (key(), key());
        let mut policy = TrustPolicy::new();
        policy.trust("acme", own);
        let fill = |all: &mut Catalogue| {
            for (source, version, signer, withdrawn) in [
                ("acme", "1.0.0", &own_name, None),
                ("acme", "1.1.0", &own_name, Some("it loses pages")),
                ("acme", "1.2.0", &foreign, None),
                // The same key, which says nothing of another source.
                ("catalog", "1.0.0", &own_name, None),
            ] {
                let mut made = admitted(source, &blueprint("bp-wiki", version, ""));
                made.signer.clone_from(signer);
                made.withdrawn = withdrawn.map(str::to_owned);
                all.insert(made);
            }
        };
        let offered = |tree: &Applications| {
            let mut all = Catalogue::default();
            fill(&mut all);
            all.offered(&policy, tree)
        };
        let reference = |source: &str, version: &str| BlueprintReference {
            source: source.to_owned(),
            name: "bp-wiki".to_owned(),
            version: version.to_owned(),
        };
        let fresh = offered(&Applications::default());
        for (source, version, words) in [
            ("acme", "1.0.0", None),
            ("acme", "1.1.0", Some("it loses pages")),
            (
                "acme",
                "1.2.0",
                Some("not one of those that the Sovereign trusts for acme"),
            ),
            ("catalog", "1.0.0", Some("no signer is trusted for it")),
        ] {
            let reference = reference(source, version);
            assert_eq!(
                fresh.get(&reference).is_some(),
                words.is_none(),
                "{version}"
            );
            match words {
                None => assert_eq!(fresh.refusal(&reference), None),
                Some(words) => {
                    let said = fresh.unknown(&reference);
                    assert!(said.contains(words), "{said}");
                }
            }
        }
        assert_eq!(fresh.newest("acme", "bp-wiki").unwrap().version(), "1.0.0");

        // Whoever runs it may be changed, and another does not follow.
        let (text, mut running) = wiki(|text| text);
        running.spec.blueprint = reference("acme", "1.1.0");
        let mut tree = Applications::default();
        tree.applications.insert("wiki".to_owned(), running.clone());
        let here = offered(&tree);
        assert!(here.get(&running.spec.blueprint).is_some());
        assert!(here.get(&reference("acme", "1.2.0")).is_none());
        let path = application_path("wiki");
        let judged = |before| choice_fault(before, &running, &path, &text, &here);
        assert_eq!(judged(Some(&running)), None);
        let fault = judged(None).unwrap();
        assert_eq!(
            fault.message,
            "nothing new begins with bp-wiki 1.1.0 of acme: it was withdrawn (it loses pages); there is 1.0.0"
        );
        assert_eq!(here.newest("acme", "bp-wiki").unwrap().version(), "1.0.0");
        let is_chosen_from = |catalog: &Catalog, version: &str| {
            let version = Version::parse(version).unwrap();
            catalog.get("acme", "bp-wiki", &version).is_some()
        };
        assert!(!is_chosen_from(&here.catalog, "1.1.0"));
        let from = here.catalog_from(&running.spec.blueprint);
        assert!(is_chosen_from(&from, "1.1.0") && is_chosen_from(&from, "1.0.0"));
        assert!(!is_chosen_from(&from, "1.2.0"));

        // Nor is it what somebody means who names no version.
        running.spec.blueprint = reference("acme", "1.2.0");
        tree.applications.insert("wiki".to_owned(), running.clone());
        let here = offered(&tree);
        assert!(here.get(&running.spec.blueprint).is_some());
        assert_eq!(here.newest("acme", "bp-wiki").unwrap().version(), "1.0.0");
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
