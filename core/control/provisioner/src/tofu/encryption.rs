//! State and plan encrypted from the first apply, by OpenTofu itself (`TF_ENCRYPTION`,
//! <https://opentofu.org/docs/language/state/encryption/>): they hold join tokens.

use crate::secret::Secret;

/// The value of `TF_ENCRYPTION`. `enforced` refuses a state in the clear, so nothing is
/// ever written that way by mistake. The passphrase has letters and digits only.
pub(super) fn configuration(passphrase: &Secret) -> Secret {
    Secret::new(format!(
        r#"key_provider "pbkdf2" "sovereign" {{
  passphrase = "{}"
}}
method "aes_gcm" "sovereign" {{
  keys = key_provider.pbkdf2.sovereign
}}
state {{
  method   = method.aes_gcm.sovereign
  enforced = true
}}
plan {{
  method   = method.aes_gcm.sovereign
  enforced = true
}}
"#,
        passphrase.reveal()
    ))
}

/// Whether OpenTofu says that what it has does not open a state (`base.go` of its
/// `internal/encryption`, which has no better words yet). It may break lines anywhere
/// between words, and draw a frame.
pub(super) fn does_not_open(said: &str) -> bool {
    let words = said.split(|part: char| part.is_whitespace() || "│╷╵".contains(part));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words
        .join(" ")
        .contains("decryption failed for all provided methods")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_passphrase_is_told_from_other_failures() {
        for (said, expected) in [
            (
                "Failed to load state: decryption failed for all provided methods: attempted decryption failed for state: decryption failed: cipher: message authentication failed",
                true,
            ),
            (
                "╷\n│ Error: Failed to load state\n│ \n│ decryption failed for all\n│ provided methods: attempted\n╵\n",
                true,
            ),
            ("Failed to load state: no space left on device", false),
            ("Error: Inconsistent dependency lock file", false),
            ("", false),
        ] {
            assert_eq!(does_not_open(said), expected, "{said}");
        }
    }
}
