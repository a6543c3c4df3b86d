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
