//! Which names, refs and paths the forge takes.
//!
//! Called at every edge before a name reaches a key, a directory or a command
//! line. What must stay true: an accepted owner or repository name is one
//! harmless path component, an accepted ref or file path can be written on one
//! line of a Git plumbing protocol.

/// Why a name is refused; the text is complete enough to show to a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name:?} is not valid: {reason}")]
pub struct NameError {
    what: &'static str,
    name: String,
    reason: &'static str,
}

const RESERVED_OWNERS: &[&str] = &[
    "admin",
    "api",
    "assets",
    "attachments",
    "avatar",
    "avatars",
    "captcha",
    "commits",
    "debug",
    "error",
    "explore",
    "favicon.ico",
    "ghost",
    "healthz",
    "install",
    "issues",
    "login",
    "metrics",
    "milestones",
    "new",
    "notifications",
    "org",
    "pulls",
    "raw",
    "repo",
    "robots.txt",
    "search",
    "serviceworker.js",
    "ssh_info",
    "stars",
    "swagger.v1.json",
    "template",
    "user",
    "v2",
];

/// Checks the name of a user or an organization.
pub fn check_owner(name: &str) -> Result<(), NameError> {
    check_component("owner", name, 40)?;
    let refuse = |reason| {
        Err(NameError {
            what: "owner",
            name: name.to_owned(),
            reason,
        })
    };
    let lower = name.to_ascii_lowercase();
    if RESERVED_OWNERS.contains(&lower.as_str()) {
        return refuse("the name is reserved");
    }
    if [".git", ".keys", ".gpg", ".rss", ".atom", ".png"]
        .iter()
        .any(|end| lower.ends_with(end))
    {
        return refuse("the name ends with a reserved suffix");
    }
    let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if !alphanumeric(name.chars().next()) || !alphanumeric(name.chars().last()) {
        return refuse("it must begin and end with a letter or a digit");
    }
    Ok(())
}

/// Checks the name of a repository.
pub fn check_repository(name: &str) -> Result<(), NameError> {
    check_component("repository", name, 100)?;
    let refuse = |reason| {
        Err(NameError {
            what: "repository",
            name: name.to_owned(),
            reason,
        })
    };
    let lower = name.to_ascii_lowercase();
    if [".git", ".wiki", ".rss", ".atom", ".lock"]
        .iter()
        .any(|end| lower.ends_with(end))
    {
        return refuse("the name ends with a reserved suffix");
    }
    if name.starts_with('.') || name.starts_with('-') {
        return refuse("it must not begin with a dot or a hyphen");
    }
    Ok(())
}

/// Checks a team's name.
pub fn check_team(name: &str) -> Result<(), NameError> {
    check_component("team", name, 255)
}

/// Checks a complete ref name by Git's rules (git-check-ref-format).
pub fn check_ref(name: &str) -> Result<(), NameError> {
    let refuse = |reason| {
        Err(NameError {
            what: "ref",
            name: name.to_owned(),
            reason,
        })
    };
    if name.len() > 1024 {
        return refuse("it is longer than 1024 bytes");
    }
    if name
        .chars()
        .any(|c| c.is_control() || " ~^:?*[\\".contains(c))
    {
        return refuse("it holds a space, a control character or one of ~ ^ : ? * [ \\");
    }
    if name.contains("..") || name.contains("@{") || name.ends_with('.') || name == "@" {
        return refuse("it holds .. or @{, or ends with a dot");
    }
    let bad = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    if name.split('/').any(bad) {
        return refuse("a component is empty, begins with a dot or ends with .lock");
    }
    Ok(())
}

/// Checks a branch's short name.
pub fn check_branch(name: &str) -> Result<(), NameError> {
    if name.starts_with('-') || name == "HEAD" {
        let reason = "it begins with a hyphen or is HEAD";
        return Err(NameError {
            what: "branch",
            name: name.to_owned(),
            reason,
        });
    }
    check_ref(&format!("refs/heads/{name}"))
}

/// Checks the path of a file inside a repository.
pub fn check_path(path: &str) -> Result<(), NameError> {
    let refuse = |reason| {
        Err(NameError {
            what: "path",
            name: path.to_owned(),
            reason,
        })
    };
    if path.len() > 4096 {
        return refuse("it is longer than 4096 bytes");
    }
    if path.chars().any(char::is_control) {
        return refuse("it holds a control character");
    }
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return refuse("a component is empty, . or ..");
        }
        if part.eq_ignore_ascii_case(".git") || part.eq_ignore_ascii_case("git~1") {
            return refuse("a component is .git");
        }
    }
    Ok(())
}

fn check_component(what: &'static str, name: &str, longest: usize) -> Result<(), NameError> {
    let refuse = |reason| {
        Err(NameError {
            what,
            name: name.chars().take(80).collect(),
            reason,
        })
    };
    if name.is_empty() || name.len() > longest {
        return refuse("it is empty or too long");
    }
    if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    {
        return refuse("only letters, digits, hyphen, underscore and dot are allowed");
    }
    if name.contains("..") || name == "." {
        return refuse("it holds ..");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners() {
        for good in [
            "acme",
            "a",
            "alice-1",
            "catalog-sovereign",
            "system",
            "Bob.B",
        ] {
            assert_eq!(check_owner(good), Ok(()), "{good}");
        }
        for bad in [
            "", ".", "..", "a/b", "api", "API", "-a", "a-", "a\n", "a b", "x.git", "é", "a..b",
        ] {
            assert!(check_owner(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn repositories() {
        for good in ["acme-dev", "r_1", "a.b"] {
            assert_eq!(check_repository(good), Ok(()), "{good}");
        }
        for bad in [
            "", "..", "a.git", "a/../b", ".hidden", "a\0b", "w.wiki", "-x",
        ] {
            assert!(check_repository(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn refs_and_paths() {
        for good in ["refs/heads/main", "refs/tags/v1.0", "refs/heads/a/b"] {
            assert_eq!(check_ref(good), Ok(()), "{good}");
        }
        for bad in [
            "refs/heads/",
            "refs/heads/a..b",
            "refs/heads/a b",
            "refs/heads/.a",
            "refs/heads/a.lock",
            "a\nb",
        ] {
            assert!(check_ref(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b.yaml", "ü/x y"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in ["", "/a", "a/", "a/../b", ".git/config", "a/.GIT/x", "a\nb"] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
        assert!(check_branch("-x").is_err());
    }
}
