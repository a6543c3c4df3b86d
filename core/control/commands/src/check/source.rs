//! The push check of a source of Blueprints: what enters `main` is published, so it is
//! linted before, whole, with file, line, rule and fix.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use semver::Version;

use super::files::plain_problem;
use super::{is_zero, main_reference};
use crate::catalogue::Catalogue;
use crate::push::{PushCheck, PushFile};
use crate::sources::{
    FolderFiles, YANKED, blueprint_of_folder, content_problem, is_blueprint_folder, judge_folder,
    place_in_source, source_repository, unknown_yanked,
};
use crate::{CommandError, Commands};

/// The most Blueprints that one push may touch: each is rendered while its author waits.
const MOST_FOLDERS: usize = 32;

/// Folders of a source by name.
type Folders = BTreeMap<String, FolderFiles>;

impl Commands {
    /// What stands against a push to the repository of a source; nothing where it is
    /// none, or where the push leaves what is published alone.
    pub(super) async fn judge_source(
        &self,
        push: &PushCheck,
        source: Option<&str>,
        action: &str,
    ) -> Result<Vec<String>, CommandError> {
        let main = main_reference();
        let moved = push.refs.iter().find(|moved| moved.name == main);
        let (Some(source), Some(moved)) = (source, moved) else {
            return Ok(Vec::new());
        };
        let files: Vec<&PushFile> = push
            .files
            .iter()
            .filter(|file| file.reference == main)
            .collect();
        let touched: BTreeSet<&str> = files
            .iter()
            .filter_map(|file| place_in_source(&file.path))
            .map(|(folder, _)| folder)
            .collect();
        if touched.len() > MOST_FOLDERS {
            return Ok(vec![format!(
                "it touches {} Blueprints, and {MOST_FOLDERS} are checked at once; push in smaller steps",
                touched.len()
            )]);
        }
        let mut folders = Folders::new();
        if !is_zero(&moved.old) && !touched.is_empty() {
            folders = self
                .folders_at(source, &moved.old, &touched, &files, action)
                .await?;
        }
        let messages = enter(&mut folders, &files);
        if !messages.is_empty() {
            return Ok(messages);
        }
        let catalogue = self.store().catalogue(self.config(), true, action).await?;
        let source = source.to_owned();
        let yanking = yanking(&files);
        // Rendering is pure work, and much of it.
        tokio::task::spawn_blocking(move || source_faults(&source, folders, &yanking, &catalogue))
            .await
            .map_err(|error| CommandError::Read {
                action: action.to_owned(),
                reason: format!("the Blueprints could not be linted: {error}"),
            })
    }

    /// What the touched folders held before, but for the files that the push brings.
    async fn folders_at(
        &self,
        source: &str,
        commit: &str,
        touched: &BTreeSet<&str>,
        brought: &[&PushFile],
        action: &str,
    ) -> Result<Folders, CommandError> {
        let reach = || CommandError::reach(action);
        let forge = &self.config().forge;
        let repository = source_repository(source);
        let brought: BTreeSet<&str> = brought.iter().map(|file| file.path.as_str()).collect();
        let tree = forge.tree(&repository, commit).await.map_err(reach())?;
        let mut folders = Folders::new();
        for entry in tree {
            let Some((folder, inner)) = place_in_source(&entry.path) else {
                continue;
            };
            if !touched.contains(folder) || brought.contains(entry.path.as_str()) {
                continue;
            }
            let found = forge.file(&repository, commit, &entry.path).await;
            if let Some(found) = found.map_err(reach())? {
                let files = folders.entry(folder.to_owned()).or_default();
                files.insert(inner.to_owned(), found.content);
            }
        }
        Ok(folders)
    }
}

/// Enters the files of a push into the folders that they are pushed to, and answers with
/// what is wrong with them as files.
fn enter(folders: &mut Folders, files: &[&PushFile]) -> Vec<String> {
    let mut messages = Vec::new();
    for file in files {
        let Some((folder, inner)) = place_in_source(&file.path) else {
            continue;
        };
        let held = folders.entry(folder.to_owned()).or_default();
        if file.status == "removed" {
            held.remove(inner);
            continue;
        }
        if let Some(problem) = plain_problem(file) {
            messages.push(problem);
            continue;
        }
        let text = file.content.as_deref().unwrap_or_default();
        let content = match file.encoding.as_deref() {
            Some("base64") => BASE64.decode(text).ok(),
            _ => Some(text.as_bytes().to_vec()),
        };
        match content {
            Some(content) => {
                held.insert(inner.to_owned(), content);
            }
            None => messages.push(format!(
                "{}: its content did not arrive as it was sent; push again",
                file.path
            )),
        }
    }
    messages
}

/// The folders whose withdrawn versions a push changes. What others withdrew before is not
/// judged: a version may have gone since.
fn yanking(files: &[&PushFile]) -> BTreeSet<String> {
    files
        .iter()
        .filter_map(|file| place_in_source(&file.path))
        .filter(|(_, inner)| *inner == YANKED)
        .map(|(folder, _)| folder.to_owned())
        .collect()
}

/// Everything wrong with folders as they would then be, a line each.
fn source_faults(
    source: &str,
    folders: Folders,
    yanking: &BTreeSet<String>,
    catalogue: &Catalogue,
) -> Vec<String> {
    let mut messages = Vec::new();
    for (folder, files) in folders {
        // What is gone is withdrawn, which is its owner's right.
        if !is_blueprint_folder(&folder, files.keys().map(String::as_str)) {
            continue;
        }
        let text = files.get(YANKED).cloned();
        let judged = judge_folder(source, &folder, files);
        let mut problems = judged.problems;
        if let (Some(text), Some(yanked)) = (text, &judged.yanked)
            && yanking.contains(&folder)
        {
            let name = blueprint_of_folder(&folder);
            let mut known: BTreeSet<Version> = catalogue
                .versions(source, &name)
                .into_iter()
                .flat_map(|versions| versions.keys().cloned())
                .collect();
            // Also what this very push publishes.
            let published = judged.package.as_ref();
            known.extend(published.map(|package| package.blueprint.version().clone()));
            problems.extend(unknown_yanked(source, &name, &text, yanked, &known));
        }
        if let Some(package) = &judged.package {
            let known = catalogue
                .versions(source, package.blueprint.name())
                .and_then(|versions| versions.get(package.blueprint.version()));
            problems.extend(known.and_then(|known| content_problem(package, &known.digest)));
        }
        messages.extend(problems.iter().map(|it| format!("{folder}/{it}")));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::tests::folder;
    use crate::validate::tests::{admitted, blueprint};

    fn pushed(path: &str, status: &str, content: Option<&str>) -> PushFile {
        PushFile {
            reference: main_reference(),
            path: path.to_owned(),
            status: status.to_owned(),
            mode: "100644".to_owned(),
            size: 1,
            encoding: content.map(|_| "utf-8".to_owned()),
            content: content.map(str::to_owned),
            truncated: false,
        }
    }

    fn judged(before: Folders, files: &[PushFile], catalogue: &Catalogue) -> Vec<String> {
        let mut folders = before;
        let files: Vec<&PushFile> = files.iter().collect();
        let messages = enter(&mut folders, &files);
        if !messages.is_empty() {
            return messages;
        }
        source_faults("acme", folders, &yanking(&files), catalogue)
    }

    fn wiki(version: &str) -> Folders {
        BTreeMap::from([("bp-wiki".to_owned(), folder("bp-wiki", version, |it| it))])
    }

    fn text(folders: &Folders, path: &str) -> String {
        String::from_utf8(folders["bp-wiki"][path].clone()).unwrap()
    }

    #[test]
    fn what_is_pushed_is_linted_with_what_stood_there() {
        let nothing = Catalogue::default();
        let before = wiki("1.0.0");
        let path = "bp-wiki/blueprint.yaml";
        let own = text(&before, "blueprint.yaml");
        for (files, start) in [
            // A README beside the folders is nobody's business.
            (vec![pushed("README.md", "added", Some("x"))], None),
            (vec![pushed(path, "modified", Some(&own))], None),
            (
                vec![pushed(
                    path,
                    "modified",
                    Some(&own.replace("  version:", "  versoin:")),
                )],
                Some("bp-wiki/blueprint.yaml:5: [unknown-field]"),
            ),
            (
                vec![pushed("bp-wiki/chart/Chart.yaml", "removed", None)],
                Some("bp-wiki/blueprint.yaml:9: [missing-file]"),
            ),
            (
                vec![pushed(
                    "bp-wiki/chart/templates/a.yaml",
                    "added",
                    Some("a: {{ .Values.x"),
                )],
                Some("bp-wiki/chart/templates/a.yaml"),
            ),
            (
                vec![PushFile {
                    mode: "120000".to_owned(),
                    ..pushed(
                        "bp-wiki/chart/templates/a.yaml",
                        "added",
                        Some("/etc/passwd"),
                    )
                }],
                Some("bp-wiki/chart/templates/a.yaml: links and submodules"),
            ),
            (
                vec![PushFile {
                    encoding: Some("base64".to_owned()),
                    ..pushed("bp-wiki/card/shot.png", "added", Some("iVBORw0KGgo="))
                }],
                None,
            ),
        ] {
            let found = judged(before.clone(), &files, &nothing);
            match start {
                None => assert!(found.is_empty(), "{files:?}: {found:#?}"),
                Some(start) => assert!(
                    found.iter().any(|line| line.starts_with(start)),
                    "{start}: {found:#?}"
                ),
            }
        }
    }

    #[test]
    fn a_published_version_is_pushed_again_with_the_same_content_only() {
        let digest = judge_folder("acme", "bp-wiki", folder("bp-wiki", "1.0.0", |it| it))
            .package
            .unwrap()
            .digest()
            .to_owned();
        let mut catalogue = Catalogue::default();
        let mut known = admitted("acme", &blueprint("bp-wiki", "1.0.0", ""));
        known.digest = digest;
        catalogue.insert(known);
        let notes = |text| {
            [pushed(
                "bp-wiki/chart/templates/NOTES.txt",
                "modified",
                Some(text),
            )]
        };
        let same = notes("It is there.\n");
        assert_eq!(
            judged(wiki("1.0.0"), &same, &catalogue),
            Vec::<String>::new()
        );
        let other = notes("It is here.\n");
        let found = judged(wiki("1.0.0"), &other, &catalogue);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("bp-wiki/blueprint.yaml:5: [published] bp-wiki 1.0.0")
                && found[0].contains("bump the version"),
            "{found:?}"
        );
        assert_eq!(
            judged(wiki("1.1.0"), &other, &catalogue),
            Vec::<String>::new()
        );
    }

    #[test]
    fn versions_that_are_not_there_cannot_be_withdrawn() {
        let mut catalogue = Catalogue::default();
        for version in ["1.0.0", "1.1.0"] {
            catalogue.insert(admitted("acme", &blueprint("bp-wiki", version, "")));
        }
        let path = "bp-wiki/yanked.yaml";
        let yank = |text: &str| [pushed(path, "added", Some(text))];
        let text = "1.0.0: it loses pages\n1.0.1: so does it\n";
        let found = judged(wiki("1.2.0"), &yank(text), &catalogue);
        assert_eq!(
            found,
            [
                "bp-wiki/yanked.yaml:2: [yanked] bp-wiki of acme has no version 1.0.1; there is 1.2.0, 1.1.0, 1.0.0; correct the version, or withdraw it once it is registered"
            ]
        );
        let known = "1.0.0: it loses pages\n1.2.0: it is a draft\n";
        let found = judged(wiki("1.2.0"), &yank(known), &catalogue);
        assert_eq!(found, Vec::<String>::new());
        // What stood there before is not what this push says.
        let mut before = wiki("1.2.0");
        let files = before.get_mut("bp-wiki").unwrap();
        files.insert("yanked.yaml".to_owned(), text.as_bytes().to_vec());
        let readme = [pushed("bp-wiki/README.md", "modified", Some("# W\n"))];
        let found = judged(before, &readme, &catalogue);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_folder_may_go() {
        let before = wiki("1.0.0");
        let files: Vec<PushFile> = before["bp-wiki"]
            .keys()
            .map(|path| pushed(&format!("bp-wiki/{path}"), "removed", None))
            .collect();
        let found = judged(before, &files, &Catalogue::default());
        assert_eq!(found, Vec::<String>::new());
    }
}
