//! Sources of Blueprints in the forge: which repository is whose, and what a folder in
//! one must be to be published.
//!
//! Pure. The push check asks before anything enters `main`, the controller that
//! publishes asks again: what must stay true is that nothing is published that the
//! command line's `package` would refuse, or that says it is somebody else's.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_blueprint::{Blueprint, Problem, is_shared_source, line_of_pointer};
use catalyst_names::{BlueprintName, OrganizationName};
use catalyst_ports::RepositoryId;
use catalyst_supply::{MAX_BYTES, PackError, PackOptions, Package, is_part, pack};
use semver::Version;
use serde_json::Value;

/// The file of a Blueprint's folder that says which versions are withdrawn.
pub const YANKED: &str = "yanked.yaml";
/// Files that only the folder of a Blueprint has.
const MAKE_ONE: [&str; 3] = [
    Blueprint::FILE,
    "chart/Chart.yaml",
    "manifests/base/kustomization.yaml",
];
/// The most versions that may be withdrawn, and the longest reason.
const MOST_YANKED: usize = 200;
const LONGEST_REASON: usize = 300;
/// How many versions a sentence names.
const MOST_VERSIONS_NAMED: usize = 5;

/// Files by their path in a Blueprint's folder.
pub type FolderFiles = BTreeMap<String, Vec<u8>>;

/// The repository in which the Blueprints of a source are kept.
pub fn source_repository(source: &str) -> RepositoryId {
    let name = match is_shared_source(source) {
        true => "blueprints",
        false => "shared-blueprints",
    };
    RepositoryId::new(source, name)
}

/// The source whose Blueprints are kept in a repository, if it is such a one.
pub fn source_of_repository(repository: &RepositoryId) -> Option<&str> {
    let owner = repository.owner.as_str();
    let is_source = is_shared_source(owner) || OrganizationName::new(owner).is_ok();
    (is_source && *repository == source_repository(owner)).then_some(owner)
}

/// The folder of a Blueprint in which a file of a source's repository counts, and its
/// path there. Others, such as a README beside the folders, are nobody's business.
pub fn place_in_source(path: &str) -> Option<(&str, &str)> {
    let (folder, inner) = path.split_once('/')?;
    let counts = !folder.starts_with('.') && (inner == YANKED || is_part(inner));
    counts.then_some((folder, inner))
}

/// Whether a folder with these files is one of a Blueprint: it has a file that makes
/// one, or the whole name and some part of one.
pub fn is_blueprint_folder<'a>(folder: &str, mut paths: impl Iterator<Item = &'a str>) -> bool {
    let is_named = BlueprintName::new(folder).is_ok();
    paths.any(|path| MAKE_ONE.contains(&path) || (is_named && path != YANKED))
}

/// The Blueprint whose folder this is, by its name: with `bp-` or, as `catalyst
/// blueprint new` makes it, without.
pub fn blueprint_of_folder(folder: &str) -> String {
    match BlueprintName::new(folder) {
        Ok(_) => folder.to_owned(),
        Err(_) => format!("bp-{folder}"),
    }
}

/// What a folder is found to be.
#[derive(Debug)]
pub struct Judgement {
    /// What is to be published; none while there are problems.
    pub package: Option<Package>,
    /// The versions that are withdrawn, with the reason; none when that cannot be read.
    pub yanked: Option<BTreeMap<String, String>>,
    /// All that stands against publishing, by path in the folder.
    pub problems: Vec<Problem>,
}

/// Judges a Blueprint's folder of a source: the whole lint, and what packing, the name
/// and the visibility add to that. Renders, so it takes its time.
pub fn judge_folder(source: &str, folder: &str, mut files: FolderFiles) -> Judgement {
    let mut problems = Vec::new();
    let yanked = files.remove(YANKED).map_or_else(
        || Some(BTreeMap::new()),
        |bytes| read_yanked(&bytes).map_err(|it| problems.push(it)).ok(),
    );
    let size: usize = files.values().map(Vec::len).sum();
    if size as u64 > MAX_BYTES {
        problems.push(problem(
            "size",
            None,
            format!("its files have {size} bytes together, and {MAX_BYTES} are allowed"),
            "keep images and archives elsewhere",
        ));
        return Judgement {
            package: None,
            yanked,
            problems,
        };
    }
    let mut found = catalyst_plan::lint_blueprint(&files);
    found.retain(Problem::is_error);
    problems.append(&mut found);
    let package = match problems.is_empty() {
        true => packed(source, folder, &files, &mut problems),
        false => None,
    };
    Judgement {
        package: package.filter(|_| problems.is_empty()),
        yanked,
        problems,
    }
}

fn packed(
    source: &str,
    folder: &str,
    files: &FolderFiles,
    problems: &mut Vec<Problem>,
) -> Option<Package> {
    let package = match pack(files, &PackOptions::default()) {
        Ok(package) => package,
        Err(PackError::Lint { problems: found }) => {
            problems.extend(found);
            return None;
        }
        Err(error) => {
            let fix = "see `catalyst blueprint package` in this folder";
            problems.push(problem("package", None, error.to_string(), fix));
            return None;
        }
    };
    let line = |pointer: &str| line_of_pointer(&blueprint_text(files), pointer);
    let name = package.blueprint.name();
    if name != blueprint_of_folder(folder) {
        problems.push(problem(
            "folder-name",
            line("/metadata/name"),
            format!("the folder {folder} holds the Blueprint {name}"),
            format!("call the folder {name}, or that without `bp-`: it is known by it, also when it is gone"),
        ));
    }
    if !package.blueprint.spec.visibility.is_known(source, false) {
        problems.push(problem(
            "visibility",
            line("/spec/visibility"),
            format!("it is private, and {source} belongs to no Organization: what is there is everybody's"),
            "say `visibility: unlisted`, or push it to an Organization's shared-blueprints",
        ));
    }
    Some(package)
}

/// What is wrong where a version is known with other content: a version is its content.
pub fn content_problem(package: &Package, known: &str) -> Option<Problem> {
    if package.digest() == known {
        return None;
    }
    let (name, version) = (package.blueprint.name(), package.blueprint.version());
    Some(problem(
        "published",
        line_of_pointer(&blueprint_text(&package.files), "/spec/version"),
        format!("{name} {version} is published already, with other content ({known})"),
        "bump the version, in chart/Chart.yaml too",
    ))
}

/// Reads `yanked.yaml`: a reason for each version that is withdrawn.
fn read_yanked(bytes: &[u8]) -> Result<BTreeMap<String, String>, Problem> {
    let text = String::from_utf8_lossy(bytes);
    let fault = |line: Option<usize>, message: String| {
        Problem {
        file: YANKED.to_owned(),
        line,
        rule: "yanked",
        message,
        fix: "name versions, each with the reason for which it is withdrawn, such as `1.1.0: it loses pages`".to_owned(),
    }
    };
    let value = catalyst_yaml::from_str(&text)
        .map_err(|error| fault(Some(error.line), error.to_string()))?;
    let map = match value {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Object(map) => map,
        _ => {
            return Err(fault(
                Some(1),
                "it holds no versions with reasons".to_owned(),
            ));
        }
    };
    if map.len() > MOST_YANKED {
        let message = format!(
            "it names {} versions, and {MOST_YANKED} are allowed",
            map.len()
        );
        return Err(fault(None, message));
    }
    let mut yanked = BTreeMap::new();
    for (version, reason) in map {
        let line = line_of_pointer(&text, &format!("/{version}"));
        if Version::parse(&version).is_err() {
            return Err(fault(line, format!("`{version}` is no version")));
        }
        let reason = reason.as_str().unwrap_or_default().trim().to_owned();
        if reason.is_empty() || reason.len() > LONGEST_REASON {
            let message = format!("{version} needs a reason of at most {LONGEST_REASON} bytes");
            return Err(fault(line, message));
        }
        yanked.insert(version, reason);
    }
    Ok(yanked)
}

/// What is wrong with a `yanked.yaml` that withdraws what is not there, as a slip does:
/// the version that was meant would still be offered. `known` are the versions that there
/// are, oldest first.
pub fn unknown_yanked(
    source: &str,
    name: &str,
    text: &[u8],
    yanked: &BTreeMap<String, String>,
    known: &BTreeSet<Version>,
) -> Vec<Problem> {
    let text = String::from_utf8_lossy(text);
    let there: Vec<String> = known
        .iter()
        .rev()
        .take(MOST_VERSIONS_NAMED)
        .map(ToString::to_string)
        .collect();
    let there = match there.as_slice() {
        [] => "none of its versions is registered".to_owned(),
        there => format!("there is {}", there.join(", ")),
    };
    let is_known = |version: &str| Version::parse(version).is_ok_and(|it| known.contains(&it));
    yanked
        .keys()
        .filter(|version| !is_known(version))
        .map(|version| Problem {
            file: YANKED.to_owned(),
            line: line_of_pointer(&text, &format!("/{version}")),
            rule: "yanked",
            message: format!("{name} of {source} has no version {version}; {there}"),
            fix: "correct the version, or withdraw it once it is registered".to_owned(),
        })
        .collect()
}

fn blueprint_text(files: &FolderFiles) -> String {
    let bytes = files.get(Blueprint::FILE).map_or(&[][..], Vec::as_slice);
    String::from_utf8_lossy(bytes).into_owned()
}

/// A problem with `blueprint.yaml`, by a rule that lint does not have.
fn problem(
    rule: &'static str,
    line: Option<usize>,
    message: String,
    fix: impl Into<String>,
) -> Problem {
    Problem {
        file: Blueprint::FILE.to_owned(),
        line,
        rule,
        message,
        fix: fix.into(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A folder in order, as text files.
    pub(crate) fn folder(
        name: &str,
        version: &str,
        edit: impl Fn(String) -> String,
    ) -> FolderFiles {
        let blueprint = format!(
            "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {{name: {name}}}\nspec:\n  version: {version}\n  visibility: listed\n  card: {{title: Wiki, license: MIT}}\n  owner: {{team: web, contact: web@acme.example}}\n  manifests: {{source: {{kind: HelmChart}}}}\n"
        );
        let chart = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
        BTreeMap::from([
            ("blueprint.yaml".to_owned(), edit(blueprint).into_bytes()),
            ("README.md".to_owned(), b"# Wiki\n".to_vec()),
            ("chart/Chart.yaml".to_owned(), chart.into_bytes()),
            ("chart/values.yaml".to_owned(), b"{}\n".to_vec()),
            (
                "chart/templates/NOTES.txt".to_owned(),
                b"It is there.\n".to_vec(),
            ),
        ])
    }

    fn problems(source: &str, folder_name: &str, files: FolderFiles) -> Vec<String> {
        let judged = judge_folder(source, folder_name, files);
        assert_eq!(judged.package.is_some(), judged.problems.is_empty());
        judged.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_source_has_a_repository_of_its_own() {
        for (source, repository) in [
            ("acme", "acme/shared-blueprints"),
            ("catalog", "catalog/blueprints"),
            ("catalog-sovereign", "catalog-sovereign/blueprints"),
        ] {
            let found = source_repository(source);
            assert_eq!(found.to_string(), repository);
            assert_eq!(source_of_repository(&found), Some(source));
        }
        for (owner, name) in [
            ("acme", "acme-dev"),
            ("acme", "blueprints"),
            ("catalog", "shared-blueprints"),
            ("system", "shared-blueprints"),
            ("system", "catalyst-config"),
        ] {
            assert_eq!(source_of_repository(&RepositoryId::new(owner, name)), None);
        }
    }

    #[test]
    fn files_count_where_they_are_part_of_a_blueprint() {
        for (path, expected) in [
            (
                "bp-wiki/blueprint.yaml",
                Some(("bp-wiki", "blueprint.yaml")),
            ),
            (
                "bp-wiki/chart/a/b.yaml",
                Some(("bp-wiki", "chart/a/b.yaml")),
            ),
            ("bp-wiki/yanked.yaml", Some(("bp-wiki", "yanked.yaml"))),
            ("bp-wiki/Makefile", None),
            ("README.md", None),
            (".github/chart/x", None),
        ] {
            assert_eq!(place_in_source(path), expected, "{path}");
        }
        for (folder, paths, expected) in [
            ("bp-wiki", &["chart/Chart.yaml"][..], true),
            ("wiki", &["blueprint.yaml"], true),
            // It lost the file by accident.
            ("wiki", &["chart/Chart.yaml"], true),
            ("wiki", &["README.md"], false),
            ("bp-wiki", &["yanked.yaml"], false),
        ] {
            let found = is_blueprint_folder(folder, paths.iter().copied());
            assert_eq!(found, expected, "{folder} {paths:?}");
        }
    }

    #[test]
    fn a_folder_in_order_is_packed_the_same_each_time() {
        let judged = || {
            let judged = judge_folder("acme", "bp-wiki", folder("bp-wiki", "1.0.0", |it| it));
            assert!(judged.problems.is_empty(), "{:?}", judged.problems);
            judged.package.unwrap()
        };
        let (one, other) = (judged(), judged());
        assert_eq!(one.digest(), other.digest());
        assert!(content_problem(&one, other.digest()).is_none());
        let problem = content_problem(&one, "sha256:00").unwrap();
        assert_eq!((problem.line, problem.rule), (Some(5), "published"));
        assert!(problem.fix.starts_with("bump the version"), "{problem}");
    }

    #[test]
    fn what_stands_against_publishing_is_told_with_its_line_and_what_to_do() {
        let wiki = |edit: &dyn Fn(String) -> String| folder("bp-wiki", "1.0.0", edit);
        let same = wiki(&|it| it);
        let private = wiki(&|it| it.replace("listed", "private"));
        for (source, name, files, expected) in [
            ("acme", "wiki", same.clone(), None),
            ("acme", "bp-wiki", private.clone(), None),
            (
                "catalog-sovereign",
                "bp-wiki",
                private,
                Some("blueprint.yaml:6: [visibility] it is private"),
            ),
            (
                "acme",
                "bp-pages",
                same,
                Some("blueprint.yaml:3: [folder-name] the folder bp-pages holds"),
            ),
            (
                "acme",
                "bp-wiki",
                wiki(&|it| it.replace("  version:", "  versoin:")),
                Some("blueprint.yaml:5: [unknown-field]"),
            ),
        ] {
            let found = problems(source, name, files);
            match expected {
                None => assert!(found.is_empty(), "{found:?}"),
                Some(start) => assert!(
                    found.iter().any(|line| line.starts_with(start)),
                    "{start}: {found:?}"
                ),
            }
        }
    }

    #[test]
    fn versions_are_withdrawn_by_a_file_with_reasons() {
        for (text, expected) in [
            ("", Ok(vec![])),
            (
                "1.0.0: it loses pages\n",
                Ok(vec![("1.0.0", "it loses pages")]),
            ),
            (
                "- 1.0.0\n",
                Err("yanked.yaml:1: [yanked] it holds no versions"),
            ),
            (
                "latest: old\n",
                Err("yanked.yaml:1: [yanked] `latest` is no version"),
            ),
            (
                "1.0.0:\n",
                Err("yanked.yaml:1: [yanked] 1.0.0 needs a reason"),
            ),
            ("a: [\n", Err("yanked.yaml:")),
        ] {
            let mut files = folder("bp-wiki", "1.1.0", |it| it);
            files.insert(YANKED.to_owned(), text.as_bytes().to_vec());
            let judged = judge_folder("acme", "bp-wiki", files);
            match expected {
                Ok(expected) => {
                    let expected: BTreeMap<String, String> = expected
                        .into_iter()
                        .map(|(version, why): (&str, &str)| (version.to_owned(), why.to_owned()))
                        .collect();
                    assert_eq!(judged.yanked, Some(expected), "{text}");
                    assert!(judged.package.is_some());
                }
                Err(start) => {
                    // What was withdrawn is not known then, and nothing is published.
                    assert_eq!(judged.yanked, None, "{text}");
                    assert!(judged.package.is_none());
                    let said = judged.problems[0].to_string();
                    assert!(said.starts_with(start), "{text}: {said}");
                }
            }
        }
    }
}
