//! What a cloud's refusal means, and what to do about it.

/// Hetzner's error codes (<https://docs.hetzner.cloud/reference/cloud#errors>), which its
/// provider puts into its messages, and OpenTofu's own words.
const MEANINGS: [(&str, &str); 13] = [
    (
        "resource_limit_exceeded",
        "The Hetzner project may not hold more resources of this kind. Ask for a higher limit in Hetzner's console (Limits), or plan fewer nodes; then run `catalyst provision resume`.",
    ),
    (
        "resource_unavailable",
        "Hetzner has none of this type free in this region now. Try again later, or choose another server type or region; what was made so far is kept.",
    ),
    (
        "no_space_left_in_location",
        "Hetzner has no room left for this in the region. Try again later, or choose another region.",
    ),
    (
        "placement_error",
        "Hetzner cannot keep these servers on machines of their own now. Try again later, or choose another server type.",
    ),
    (
        "token_readonly",
        "The token may only read. Make one with the right to read and write in Hetzner's console, and set HCLOUD_TOKEN to it.",
    ),
    (
        "unauthorized",
        "Hetzner does not know the token. Set HCLOUD_TOKEN to one of the project's API tokens.",
    ),
    (
        "forbidden",
        "The token's rights do not suffice. Make one with the right to read and write in Hetzner's console, and set HCLOUD_TOKEN to it.",
    ),
    (
        "uniqueness_error",
        "Something of this name, or the same SSH key, is in the project already. Remove it if it is left over, or use another project or key.",
    ),
    (
        "rate_limit_exceeded",
        "Too many requests were made with the project's tokens within an hour. Wait some minutes, then run `catalyst provision resume`.",
    ),
    (
        "maintenance",
        "Hetzner is maintaining this service. Try again later; see https://status.hetzner.com.",
    ),
    (
        "locked",
        "Another action works on the same resource. Wait until it has ended, then run `catalyst provision resume`.",
    ),
    (
        "Error acquiring the state lock",
        "Another OpenTofu works on this Sovereign, perhaps one that an earlier run left behind. Wait until it has ended and saved its state, then run `catalyst provision resume`.",
    ),
    (
        "Saved plan is stale",
        "Something changed since the plan was made. Run the command again; it plans anew.",
    ),
];

/// The explanation of an error, if there is one. A code counts only as a whole word.
pub fn explain(summary: &str, detail: &str) -> Option<String> {
    let says = |text: &str, code: &str| {
        text.match_indices(code).any(|(at, _)| {
            let part = |c: char| c.is_alphanumeric() || c == '_';
            let before = text.get(..at).and_then(|text| text.chars().next_back());
            let after = text
                .get(at + code.len()..)
                .and_then(|text| text.chars().next());
            !before.is_some_and(part) && !after.is_some_and(part)
        })
    };
    MEANINGS
        .iter()
        .find(|(code, _)| says(summary, code) || says(detail, code))
        .map(|(_, meaning)| (*meaning).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_explained_wherever_they_stand_and_only_as_words() {
        for (summary, detail, expected) in [
            (
                "server limit reached (resource_limit_exceeded, 1a2b)",
                "",
                Some("higher limit"),
            ),
            (
                "Error",
                "hcloud: SSH key not unique (uniqueness_error)",
                Some("same SSH key"),
            ),
            ("Error acquiring the state lock", "", Some("earlier run")),
            ("the file is unlocked", "", None),
            ("Invalid index", "", None),
        ] {
            let found = explain(summary, detail);
            assert_eq!(found.is_some(), expected.is_some(), "{summary}: {found:?}");
            if let (Some(found), Some(expected)) = (found, expected) {
                assert!(found.contains(expected), "{found}");
            }
        }
    }
}
