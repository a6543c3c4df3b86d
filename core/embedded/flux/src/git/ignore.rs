//! Which files of a source stay out of its artifact (gitignore's rules).

use regex::Regex;

use crate::artifact::Files;

/// Always left out.
const VERSION_CONTROL: &str = ".git/\n.gitignore\n.gitmodules\n.gitattributes\n";
/// Left out where the source does not say otherwise.
const USUAL: &str = "*.jpg\n*.jpeg\n*.gif\n*.png\n*.wmv\n*.flv\n*.tar.gz\n*.zip\n.github/\n.circleci/\n.travis.yml\n.gitlab-ci.yml\nappveyor.yml\n.drone.yml\ncloudbuild.yaml\ncodeship-services.yml\ncodeship-steps.yml\n**/.goreleaser.yml\n**/.sops.yaml\n**/.flux.yaml\n";

struct Rule {
    pattern: Regex,
    negated: bool,
}

/// Removes what `spec.ignore` (or, without it, the usual rules) and the
/// `.sourceignore` files name.
pub fn apply(files: &mut Files, ignore: Option<&str>) {
    let mut rules = parse(VERSION_CONTROL, "");
    rules.extend(parse(ignore.unwrap_or(USUAL), ""));
    let nested: Vec<(String, String)> = files
        .iter()
        .filter_map(|(path, content)| {
            let folder = match path.rsplit_once('/') {
                Some((folder, ".sourceignore")) => format!("{folder}/"),
                None if path == ".sourceignore" => String::new(),
                _ => return None,
            };
            Some((folder, String::from_utf8_lossy(content).into_owned()))
        })
        .collect();
    for (folder, text) in nested {
        rules.extend(parse(&text, &folder));
    }
    files.retain(|path, _| !is_ignored(&rules, path));
}

fn parse(text: &str, folder: &str) -> Vec<Rule> {
    text.lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| {
            let (negated, line) = match line.strip_prefix('!') {
                Some(line) => (true, line),
                None => (false, line),
            };
            let pattern = Regex::new(&expression(line.trim_start(), folder)).ok()?;
            Some(Rule { pattern, negated })
        })
        .collect()
}

/// A regular expression over a path in which folders end with a slash.
fn expression(pattern: &str, folder: &str) -> String {
    let (folders_only, pattern) = match pattern.strip_suffix('/') {
        Some(pattern) => (true, pattern),
        None => (false, pattern),
    };
    let (rooted, pattern) = match pattern.strip_prefix('/') {
        Some(pattern) => (true, pattern),
        None => (pattern.contains('/'), pattern),
    };
    let mut out = format!("^{}", regex::escape(folder));
    if !rooted {
        out.push_str("(?:.*/)?");
    }
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            out.push_str("(?:.*/)?");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("**") {
            out.push_str(".*");
            rest = after;
        } else {
            match first {
                '*' => out.push_str("[^/]*"),
                '?' => out.push_str("[^/]"),
                '[' => match rest.find(']') {
                    Some(end) => {
                        let set = rest.get(1..end).unwrap_or_default().replace('!', "^");
                        out.push_str(&format!("[{set}]"));
                        rest = rest.get(end..).unwrap_or_default();
                    }
                    None => out.push_str("\\["),
                },
                other => out.push_str(&regex::escape(&other.to_string())),
            }
            let skip = rest.chars().next().map_or(0, char::len_utf8);
            rest = rest.get(skip..).unwrap_or_default();
        }
    }
    out.push_str(if folders_only { "/$" } else { "/?$" });
    out
}

/// Whether the last rule that speaks of the path or a folder above drops it.
fn is_ignored(rules: &[Rule], path: &str) -> bool {
    let mut places: Vec<String> = path
        .match_indices('/')
        .filter_map(|(at, _)| path.get(..=at))
        .map(str::to_owned)
        .collect();
    places.push(path.to_owned());
    let mut ignored = false;
    for place in places {
        for rule in rules {
            if rule.pattern.is_match(&place) {
                ignored = !rule.negated;
            }
        }
        // `/*` then `!/deploy`: what is not taken back stays out with all below.
        if ignored && place.ends_with('/') {
            let inner = rules
                .iter()
                .any(|rule| rule.negated && rule.pattern.is_match(path));
            return !inner;
        }
    }
    ignored
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(ignore: Option<&str>, paths: &[&str], extra: &[(&str, &str)]) -> Vec<String> {
        let mut files: Files = paths
            .iter()
            .map(|one| ((*one).to_owned(), vec![]))
            .collect();
        for (path, content) in extra {
            files.insert((*path).to_owned(), content.as_bytes().to_vec());
        }
        apply(&mut files, ignore);
        files.into_keys().collect()
    }

    #[test]
    fn rules_are_gitignores() {
        let paths = [
            ".gitignore",
            "a/logo.png",
            "a/x.yaml",
            "deploy/x.yaml",
            "deploy/y/z.yaml",
            "x.yaml",
        ];
        for (ignore, left) in [
            (
                None,
                &["a/x.yaml", "deploy/x.yaml", "deploy/y/z.yaml", "x.yaml"][..],
            ),
            (Some("/*\n!/deploy"), &["deploy/x.yaml", "deploy/y/z.yaml"]),
            (Some("x.yaml"), &["a/logo.png", "deploy/y/z.yaml"]),
            (
                Some("/x.yaml\n# note\n*.png"),
                &["a/x.yaml", "deploy/x.yaml", "deploy/y/z.yaml"],
            ),
            (Some("deploy/"), &["a/logo.png", "a/x.yaml", "x.yaml"]),
            (Some("**/z.yaml\na/*"), &["deploy/x.yaml", "x.yaml"]),
        ] {
            assert_eq!(kept(ignore, &paths, &[]), left, "{ignore:?}");
        }
        assert_eq!(
            kept(None, &["a/x", "a/y", "y"], &[("a/.sourceignore", "y")]),
            ["a/.sourceignore", "a/x", "y"]
        );
    }
}
