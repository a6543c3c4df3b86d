//! What errors and events tell to do on the command line, as whoever uses the service
//! can do it. The steps' own words are the command line's.

/// What the command line says, and what is said here; longer phrases before what they
/// hold. None has a quote or a backslash, so that texts within JSON are put so too.
const WORDS: [(&str, &str); 22] = [
    (
        "run `catalyst provision apply` first, or name its directory with --directory",
        "begin it first",
    ),
    ("run `catalyst provision resume`", "resume it"),
    ("run `catalyst provision destroy`", "destroy it"),
    (
        "Run the command again; it plans anew",
        "Resume it; it plans anew",
    ),
    (
        "with `catalyst provision status`",
        "with the steps that are shown as done",
    ),
    ("see `catalyst provision status`", "see where it stands"),
    (
        "`catalyst provision restore` is the way back",
        "restoring it is the way back",
    ),
    (
        "`catalyst provision init` asks for what is needed",
        "the schema says what is needed",
    ),
    (
        "`catalyst provision schema` lists all",
        "the schema lists all",
    ),
    (
        "; name another with --directory",
        "; put its own back from a backup of the control plane's data directory",
    ),
    (
        "; name an empty or new directory with --directory",
        "; move them out of the control plane's data directory",
    ),
    (
        ", or name it with --tofu or CATALYST_TOFU",
        " on the control plane's machine",
    ),
    (
        ", or name it with --ssh or CATALYST_SSH",
        " on the control plane's machine",
    ),
    (
        "see that --tofu names OpenTofu",
        "see that the control plane runs OpenTofu",
    ),
    (
        "CATALYST_GIT_USERNAME or CATALYST_GIT_PASSWORD is not set; set both",
        "gitUsername or gitPassword is not among the credentials; give both",
    ),
    (
        "`passphrase` in its directory",
        "statePassphrase in the vault",
    ),
    (
        "; name one with --from, or put the directory back from its copy",
        "; put it back from a backup of the control plane's data directory",
    ),
    (
        "run it again with --removed-by-hand",
        "ask again with removedByHand as true",
    ),
    (
        "the token is given as HCLOUD_TOKEN, and the password of Git as CATALYST_GIT_PASSWORD",
        "the token is the credential hetznerToken, and the password of Git gitPassword",
    ),
    (
        "set HCLOUD_TOKEN to it",
        "give it as the credential hetznerToken",
    ),
    (
        "set HCLOUD_TOKEN to one of the project's API tokens",
        "give one of the project's API tokens as the credential hetznerToken",
    ),
    (
        "Set HCLOUD_TOKEN to one of the project's API tokens",
        "Give one of the project's API tokens as the credential hetznerToken",
    ),
];

/// A text of the steps in the service's words.
pub fn in_service_words(text: &str) -> String {
    WORDS.iter().fold(text.to_owned(), |text, (there, here)| {
        match text.contains(there) {
            true => text.replace(there, here),
            false => text,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What only the command line knows.
    const FOREIGN: [&str; 8] = [
        "catalyst provision",
        "CATALYST_",
        "HCLOUD_TOKEN",
        "--directory",
        "--tofu",
        "--ssh",
        "--removed-by-hand",
        "--from",
    ];

    /// Calls a function with each line of the crate's sources that may hold a message.
    fn lines(folder: &Path, look: &mut dyn FnMut(&Path, &str)) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                lines(&path, look);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let (code, _) = text
                .split_once("#[cfg(test)]")
                .unwrap_or((text.as_str(), ""));
            for line in code.lines().map(str::trim) {
                // What is rendered into Git is the command line's.
                let is_message = !line.starts_with("//")
                    && !path.ends_with("service/words.rs")
                    && !path.ends_with("render.rs");
                if is_message {
                    look(&path, line);
                }
            }
        }
    }

    #[test]
    fn no_message_sends_whoever_uses_the_service_to_the_command_line() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = 0;
        lines(&sources, &mut |path, line| {
            // Variables that are set or removed, which nobody reads.
            let line = ["\"HCLOUD_TOKEN\"", "\"CATALYST_GIT_PASSWORD\""]
                .iter()
                .fold(line.to_owned(), |line, name| line.replace(name, ""));
            let is_foreign = |line: &str| FOREIGN.iter().any(|word| line.contains(word));
            found += usize::from(is_foreign(&line));
            let said = in_service_words(&line);
            assert!(!is_foreign(&said), "{}: {said}", path.display());
        });
        // It looks where the messages are.
        assert!(found > 15, "{found}");
    }

    #[test]
    fn every_phrase_is_put_whole_and_may_stand_in_json() {
        for (there, here) in WORDS {
            assert_eq!(in_service_words(there), here);
            for text in [there, here] {
                assert!(!text.contains(['"', '\\']), "{text}");
            }
        }
        for (said, expected) in [
            (
                "interrupted; run `catalyst provision resume` to go on",
                "interrupted; resume it to go on",
            ),
            (
                "its destroy has not ended; run `catalyst provision destroy` until it has",
                "its destroy has not ended; destroy it until it has",
            ),
        ] {
            assert_eq!(in_service_words(said), expected);
        }
    }
}
