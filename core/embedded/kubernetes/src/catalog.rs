//! Which resources a logical cluster serves: the built-in ones, shared, and
//! those of its own custom resource definitions.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::object::{array, text};
use crate::schemas::{discovery_documents, schemas};

/// A subresource as discovery shows it.
#[derive(Debug, Clone)]
pub struct Subresource {
    /// Its name, such as `status`.
    pub name: String,
    /// Group of the kind it takes and gives.
    pub group: String,
    /// Version of that kind.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// Verbs it serves.
    pub verbs: Vec<String>,
}

/// One resource of one served version.
#[derive(Debug)]
pub struct Resource {
    /// API group, "" for core.
    pub group: String,
    /// Served version.
    pub version: String,
    /// Plural name.
    pub plural: String,
    /// Singular name.
    pub singular: String,
    /// Kind.
    pub kind: String,
    /// Kind of a list.
    pub list_kind: String,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories such as `all`.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs it serves.
    pub verbs: Vec<String>,
    /// Its subresources.
    pub subresources: Vec<Subresource>,
    /// Where its objects are kept; versions and aliases share it.
    pub storage: String,
    /// The custom resource's compiled version; `None` for built-in kinds.
    pub custom: Option<Arc<crate::crd::CustomVersion>>,
    /// Name of the built-in definition.
    pub definition: Option<String>,
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|one| one.name == name)
    }

    /// Whether the verb is served.
    pub fn serves(&self, verb: &str) -> bool {
        self.verbs.iter().any(|one| one == verb)
    }

    /// Whether status is written through its own subresource.
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }
}

/// `v1` or `apps/v1`.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// `("apps", "v1")` of `apps/v1`.
pub fn split_api_version(text: &str) -> (&str, &str) {
    text.split_once('/').unwrap_or(("", text))
}

/// A served version with its resources.
pub type ServedVersion = (String, Vec<Arc<Resource>>);

/// The resources of a logical cluster.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Group → served versions in order of preference → resources.
    groups: BTreeMap<String, Vec<ServedVersion>>,
    /// Built-in groups in the order the real server lists them.
    order: Vec<String>,
}

impl Catalog {
    /// The built-in resources.
    pub fn builtin() -> &'static Arc<Catalog> {
        static HELD: OnceLock<Arc<Catalog>> = OnceLock::new();
        HELD.get_or_init(|| {
            let (core, groups) = discovery_documents();
            let mut catalog = Catalog::default();
            for document in [core, groups] {
                for group in array(&document, "/items") {
                    let name = text(group, "/metadata/name");
                    catalog.order.push(name.to_owned());
                    for version in array(group, "/versions") {
                        let served = text(version, "/version");
                        let resources = array(version, "/resources")
                            .iter()
                            .map(|one| Arc::new(builtin(name, served, one)))
                            .collect();
                        catalog
                            .groups
                            .entry(name.to_owned())
                            .or_default()
                            .push((served.to_owned(), resources));
                    }
                }
            }
            Arc::new(catalog)
        })
    }

    /// The built-in resources and `custom` ones.
    pub fn with_custom(custom: Vec<Arc<Resource>>) -> Arc<Self> {
        let base = Self::builtin();
        if custom.is_empty() {
            return Arc::clone(base);
        }
        let mut catalog = Catalog {
            groups: base.groups.clone(),
            order: base.order.clone(),
        };
        for resource in custom {
            if !catalog.order.contains(&resource.group) {
                catalog.order.push(resource.group.clone());
            }
            let versions = catalog.groups.entry(resource.group.clone()).or_default();
            match versions
                .iter_mut()
                .find(|(version, _)| *version == resource.version)
            {
                Some((_, resources)) => resources.push(resource),
                None => {
                    versions.push((resource.version.clone(), vec![resource]));
                    versions
                        .sort_by_key(|(version, _)| std::cmp::Reverse(version_priority(version)));
                }
            }
        }
        Arc::new(catalog)
    }

    /// Groups with their versions, core first.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &[ServedVersion])> {
        self.order.iter().filter_map(|name| {
            self.groups
                .get(name)
                .map(|found| (name.as_str(), found.as_slice()))
        })
    }

    /// The versions of one group.
    pub fn group(&self, name: &str) -> Option<&[ServedVersion]> {
        self.groups.get(name).map(Vec::as_slice)
    }

    /// The resources of one group version.
    pub fn group_version(&self, group: &str, version: &str) -> Option<&[Arc<Resource>]> {
        self.groups
            .get(group)?
            .iter()
            .find(|(served, _)| served == version)
            .map(|(_, all)| all.as_slice())
    }

    /// A resource by its plural name.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.group_version(group, version)?
            .iter()
            .find(|one| one.plural == plural)
    }

    /// A resource by kind; falls back to another version of the group.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let versions = self.groups.get(group)?;
        let within = |all: &'_ [Arc<Resource>]| all.iter().position(|one| one.kind == kind);
        versions
            .iter()
            .filter(|(served, _)| served == version)
            .chain(versions.iter())
            .find_map(|(_, all)| within(all).and_then(|at| all.get(at)))
    }

    /// Every resource once per storage place, that can be listed.
    pub fn stored(&self) -> Vec<Arc<Resource>> {
        let mut seen = std::collections::HashSet::new();
        self.groups()
            .flat_map(|(_, versions)| versions.iter().flat_map(|(_, all)| all.iter()))
            .filter(|one| one.serves("list") && seen.insert(one.storage.clone()))
            .cloned()
            .collect()
    }
}

/// Kubernetes' order of versions: v2 > v1 > v1beta2 > v1beta1 > v1alpha1 > others.
pub fn version_priority(version: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let other = (0, 0, 0, std::cmp::Reverse(version.to_owned()));
    let Some(rest) = version.strip_prefix('v') else {
        return other;
    };
    let digits = rest
        .find(|one: char| !one.is_ascii_digit())
        .unwrap_or(rest.len());
    let (major, rest) = rest.split_at(digits);
    let Ok(major) = major.parse::<u64>() else {
        return other;
    };
    let (stage, minor) = if rest.is_empty() {
        (3, "0")
    } else if let Some(minor) = rest.strip_prefix("beta") {
        (2, minor)
    } else if let Some(minor) = rest.strip_prefix("alpha") {
        (1, minor)
    } else {
        return other;
    };
    let Ok(minor) = minor.parse::<u64>() else {
        return other;
    };
    (stage, major, minor, std::cmp::Reverse(String::new()))
}

/// Shows a stored object in the resource's version. Versions of a kind have the
/// same fields here, events and horizontal pod autoscalers excepted.
pub(crate) fn convert(resource: &Resource, object: &mut Value) {
    let wanted = resource.api_version();
    if text(object, "/apiVersion") == wanted {
        return;
    }
    let map = crate::object::as_map(object);
    if resource.storage == "events" {
        let pairs = [
            ("involvedObject", "regarding"),
            ("message", "note"),
            ("source", "deprecatedSource"),
            ("firstTimestamp", "deprecatedFirstTimestamp"),
            ("lastTimestamp", "deprecatedLastTimestamp"),
            ("count", "deprecatedCount"),
            ("reportingComponent", "reportingController"),
        ];
        for (core, events) in pairs {
            let (from, to) = if resource.group.is_empty() {
                (events, core)
            } else {
                (core, events)
            };
            if let Some(value) = map.remove(from) {
                map.insert(to.to_owned(), value);
            }
        }
    }
    map.insert("apiVersion".into(), Value::String(wanted));
    map.insert("kind".into(), Value::String(resource.kind.clone()));
}

fn builtin(group: &str, version: &str, document: &Value) -> Resource {
    let strings = |value: &Value, pointer: &str| -> Vec<String> {
        array(value, pointer)
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let plural = text(document, "/resource").to_owned();
    let kind = text(document, "/responseKind/kind").to_owned();
    let subresources = array(document, "/subresources")
        .iter()
        .map(|sub| {
            let own = text(sub, "/responseKind/version").is_empty();
            Subresource {
                name: text(sub, "/subresource").to_owned(),
                group: if own {
                    group.to_owned()
                } else {
                    text(sub, "/responseKind/group").to_owned()
                },
                version: if own {
                    version.to_owned()
                } else {
                    text(sub, "/responseKind/version").to_owned()
                },
                kind: text(sub, "/responseKind/kind").to_owned(),
                verbs: strings(sub, "/verbs"),
            }
        })
        .collect();
    // Events of both groups are one set of objects.
    let home = if group == "events.k8s.io" { "" } else { group };
    Resource {
        storage: crate::status::qualified(&plural, home),
        singular: text(document, "/singularResource").to_owned(),
        list_kind: format!("{kind}List"),
        short_names: strings(document, "/shortNames"),
        categories: strings(document, "/categories"),
        namespaced: text(document, "/scope") == "Namespaced",
        verbs: strings(document, "/verbs"),
        subresources,
        custom: None,
        definition: schemas()
            .definition_of(group, version, &kind)
            .map(str::to_owned),
        group: group.to_owned(),
        version: version.to_owned(),
        plural,
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_as_kubernetes_sorts_them() {
        let mut versions = vec!["v1alpha1", "foo", "v1", "v2beta1", "v10", "v1beta2"];
        versions.sort_by_key(|one| std::cmp::Reverse(version_priority(one)));
        assert_eq!(
            versions,
            ["v10", "v1", "v2beta1", "v1beta2", "v1alpha1", "foo"]
        );
    }

    #[test]
    fn builtin_resources_are_found() {
        let catalog = Catalog::builtin();
        let deployments = catalog.resource("apps", "v1", "deployments").unwrap();
        assert!(deployments.namespaced && deployments.has_status());
        assert_eq!(
            deployments.subresource("scale").unwrap().group,
            "autoscaling"
        );
        assert_eq!(
            catalog
                .resource("events.k8s.io", "v1", "events")
                .unwrap()
                .storage,
            "events"
        );
        assert_eq!(catalog.kind("", "v1", "Pod").unwrap().plural, "pods");
    }
}
