//! The packages of a bill of materials, each with the path that leads to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::Package;

/// The most components of one bill that are looked at.
const MOST: usize = 100_000;
/// The most steps of one path that are told, the nearest ones: a chain of as many as are
/// looked at would otherwise be told once for each of its links.
const MOST_STEPS: usize = 16;
/// The longest name or version that is shown, in characters.
const LONGEST: usize = 200;

/// Why a document is no bill of materials.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// It is something else.
    #[error("it is no CycloneDX document; give one in JSON, such as CycloneDX 1.6")]
    Format,
    /// It lists more than is looked at.
    #[error("it lists more than {} components; give one for each image", MOST)]
    TooMany,
}

/// What something is made of, as far as that can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bill {
    /// The packages.
    pub components: Vec<Component>,
    /// What of it cannot be compared, in sentences.
    pub gaps: Vec<String>,
}

/// A package in a bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// As records name it.
    pub package: Package,
    /// As the bill names it.
    pub name: String,
    /// Its version in the bill.
    pub version: String,
    /// Its package URL.
    pub purl: String,
    /// What leads to it, itself the last; of a long way its end, after a `…`.
    pub path: Vec<Arc<str>>,
}

/// A component as the document has it.
struct Node<'a> {
    value: &'a Value,
    /// The one that it is part of.
    parent: Option<usize>,
    has_parts: bool,
}

impl Bill {
    /// Reads a CycloneDX document. A component is part of the one that it is nested in,
    /// else of what depends on it by the shortest way.
    pub fn of_cyclonedx(document: &Value) -> Result<Self, BillError> {
        if text(document, "bomFormat") != "CycloneDX" {
            return Err(BillError::Format);
        }
        let mut nodes = Vec::new();
        collect(document, None, &mut nodes)?;
        let above = above(document, &nodes);
        // Once each: many paths may lead through one.
        let labels: Vec<Arc<str>> = nodes.iter().map(|it| label(it.value).into()).collect();
        let mut bill = Self::default();
        for (at, (node, label)) in nodes.iter().zip(&labels).enumerate() {
            let kind = text(node.value, "type");
            if kind == "container" && !node.has_parts && !above.with_parts.contains(&at) {
                bill.gaps.push(format!(
                    "What {label} is made of is not listed, so that nothing in it was compared."
                ));
            }
            let purl = text(node.value, "purl");
            let Some(package) = Package::of_purl(purl) else {
                if kind == "library" || (kind != "container" && !purl.is_empty()) {
                    bill.gaps.push(format!(
                        "{label} is of no ecosystem that records are about."
                    ));
                }
                continue;
            };
            if package.version.is_empty() {
                bill.gaps
                    .push(format!("{label} has no version that could be compared."));
                continue;
            }
            bill.components.push(Component {
                package,
                name: short(text(node.value, "name")),
                version: short(text(node.value, "version")),
                purl: purl.to_owned(),
                path: path(at, &nodes, &labels, &above),
            });
        }
        bill.gaps.sort();
        bill.gaps.dedup();
        Ok(bill)
    }
}

/// What depends on a component that is nested in none, by the shortest way.
#[derive(Default)]
struct Above {
    parents: BTreeMap<usize, usize>,
    /// Those that something else is part of in this way.
    with_parts: BTreeSet<usize>,
}

fn collect<'a>(
    of: &'a Value,
    parent: Option<usize>,
    nodes: &mut Vec<Node<'a>>,
) -> Result<(), BillError> {
    let parts = of.get("components").and_then(Value::as_array);
    for value in parts.into_iter().flatten() {
        if nodes.len() == MOST {
            return Err(BillError::TooMany);
        }
        let at = nodes.len();
        let whole = match parent {
            Some(parent) => nodes.get_mut(parent),
            None => None,
        };
        if let Some(whole) = whole {
            whole.has_parts = true;
        }
        nodes.push(Node {
            value,
            parent,
            has_parts: false,
        });
        collect(value, Some(at), nodes)?;
    }
    Ok(())
}

/// Walks the document's dependencies from its subject, nearest first.
fn above(document: &Value, nodes: &[Node<'_>]) -> Above {
    let by_reference: BTreeMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .map(|(at, node)| (text(node.value, "bom-ref"), at))
        .filter(|(reference, _)| !reference.is_empty())
        .collect();
    let mut below: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let edges = document.get("dependencies").and_then(Value::as_array);
    for edge in edges.into_iter().flatten() {
        let to = edge.get("dependsOn").and_then(Value::as_array);
        let to = to.into_iter().flatten().filter_map(Value::as_str);
        let to = to.filter_map(|reference| by_reference.get(reference).copied());
        below.entry(text(edge, "ref")).or_default().extend(to);
    }
    let root = document
        .pointer("/metadata/component/bom-ref")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut above = Above::default();
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    let mut queue: VecDeque<usize> = VecDeque::new();
    for at in below.get(root).into_iter().flatten() {
        if seen.insert(*at) {
            queue.push_back(*at);
        }
    }
    // What nothing leads to from the subject may still lead to others.
    let mut others = 0..nodes.len();
    loop {
        let next = queue
            .pop_front()
            .or_else(|| others.find(|at| seen.insert(*at)));
        let Some(at) = next else {
            return above;
        };
        let reference = nodes.get(at).map(|node| text(node.value, "bom-ref"));
        for part in reference.and_then(|it| below.get(it)).into_iter().flatten() {
            above.with_parts.insert(at);
            if seen.insert(*part) {
                above.parents.insert(*part, at);
                queue.push_back(*part);
            }
        }
    }
}

fn path(at: usize, nodes: &[Node<'_>], labels: &[Arc<str>], above: &Above) -> Vec<Arc<str>> {
    let mut path = Vec::new();
    let mut next = Some(at);
    // Nesting is a tree, and so is what was walked; together they may go in a circle.
    let mut seen = BTreeSet::new();
    while let Some(at) = next.filter(|at| seen.insert(*at)) {
        if path.len() == MOST_STEPS {
            path.push("…".into());
            break;
        }
        let Some((node, label)) = nodes.get(at).zip(labels.get(at)) else {
            break;
        };
        path.push(Arc::clone(label));
        next = node.parent.or_else(|| above.parents.get(&at).copied());
    }
    path.reverse();
    path
}

/// A component in words, such as `image ghcr.io/acme/shop:1.0` or `glibc 2.36-9`.
fn label(component: &Value) -> String {
    let (name, version) = (text(component, "name"), text(component, "version"));
    let group = text(component, "group");
    let name = match group.is_empty() {
        true => name.to_owned(),
        false => format!("{group}/{name}"),
    };
    match (text(component, "type"), version) {
        ("container", "") => short(&format!("image {name}")),
        ("container", version) if version.contains(':') => {
            short(&format!("image {name}@{version}"))
        }
        ("container", version) => short(&format!("image {name}:{version}")),
        (_, "") => short(&name),
        (_, version) => short(&format!("{name} {version}")),
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bill(parts: Value) -> Bill {
        let mut document = json!({
            "bomFormat": "CycloneDX", "specVersion": "1.6",
            "metadata": {"component": {"type": "application", "bom-ref": "blueprint", "name": "bp-shop"}},
        });
        for (key, value) in parts.as_object().unwrap() {
            document[key] = value.clone();
        }
        Bill::of_cyclonedx(&document).unwrap()
    }

    fn paths(bill: &Bill) -> Vec<String> {
        let paths = bill.components.iter().map(|it| it.path.join(" > "));
        paths.collect()
    }

    #[test]
    fn packages_in_images_are_reached_through_them() {
        let bill = bill(json!({"components": [
            {"type": "file", "name": "chart/values.yaml", "bom-ref": "file:chart/values.yaml"},
            {"type": "container", "name": "ghcr.io/acme/shop", "version": "1.0", "purl": "pkg:oci/shop", "components": [
                {"type": "library", "name": "glibc", "version": "2.36-9", "purl": "pkg:deb/debian/glibc@2.36-9?distro=debian-12"},
                {"type": "application", "name": "shop", "components": [
                    {"type": "library", "name": "time", "version": "0.1.40", "purl": "pkg:cargo/time@0.1.40"},
                ]},
            ]},
        ]}));
        assert_eq!(
            paths(&bill),
            [
                "image ghcr.io/acme/shop:1.0 > glibc 2.36-9",
                "image ghcr.io/acme/shop:1.0 > shop > time 0.1.40",
            ]
        );
        assert!(bill.gaps.is_empty(), "{:?}", bill.gaps);
    }

    #[test]
    fn dependencies_lead_to_what_is_nested_in_nothing() {
        let library = |name: &str| json!({"type": "library", "name": name, "version": "1.0.0", "bom-ref": name, "purl": format!("pkg:npm/{name}@1.0.0")});
        let bill = bill(json!({
            "components": [library("far"), library("near"), library("loose"), library("round")],
            "dependencies": [
                {"ref": "blueprint", "dependsOn": ["near"]},
                {"ref": "near", "dependsOn": ["far", "nowhere"]},
                {"ref": "far", "dependsOn": ["near"]},
                {"ref": "round", "dependsOn": ["round"]},
            ],
        }));
        assert_eq!(
            paths(&bill),
            [
                "near 1.0.0 > far 1.0.0",
                "near 1.0.0",
                "loose 1.0.0",
                "round 1.0.0"
            ]
        );
    }

    #[test]
    fn of_a_long_way_its_end_is_told() {
        let name = |at: usize| format!("p{at}");
        let library = |at| json!({"type": "library", "name": name(at), "bom-ref": name(at), "purl": format!("pkg:npm/p{at}@1.0.0")});
        let mut edges = vec![json!({"ref": "blueprint", "dependsOn": ["p0"]})];
        edges.extend((1..1000).map(|at| json!({"ref": name(at - 1), "dependsOn": [name(at)]})));
        let components: Vec<Value> = (0..1000).map(library).collect();
        let bill = bill(json!({"components": components, "dependencies": edges}));
        assert_eq!(bill.components.len(), 1000);
        let told = |at: usize| &bill.components[at].path;
        assert_eq!(told(MOST_STEPS - 1).len(), MOST_STEPS, "the whole way");
        assert_eq!(&*told(MOST_STEPS - 1)[0], "p0");
        let last = told(999);
        assert_eq!(last.len(), MOST_STEPS + 1);
        assert_eq!(&*last[0], "…");
        assert_eq!(&*last[1], name(1000 - MOST_STEPS));
        assert_eq!(&*last[MOST_STEPS], "p999");
    }

    #[test]
    fn what_cannot_be_compared_is_told() {
        let bill = bill(json!({"components": [
            {"type": "container", "name": "ghcr.io/acme/shop", "version": "sha256:00"},
            {"type": "library", "name": "left-pad", "purl": "pkg:npm/left-pad"},
            {"type": "library", "name": "own", "version": "1"},
        ]}));
        assert!(bill.components.is_empty());
        assert_eq!(
            bill.gaps,
            [
                "What image ghcr.io/acme/shop@sha256:00 is made of is not listed, so that nothing in it was compared.",
                "left-pad has no version that could be compared.",
                "own 1 is of no ecosystem that records are about.",
            ]
        );
    }

    #[test]
    fn what_is_no_bill_is_refused() {
        assert_eq!(
            Bill::of_cyclonedx(&json!({"spdxVersion": "SPDX-2.3"})),
            Err(BillError::Format)
        );
        let many = vec![json!({}); MOST + 1];
        let document = json!({"bomFormat": "CycloneDX", "components": many});
        assert_eq!(Bill::of_cyclonedx(&document), Err(BillError::TooMany));
    }
}
