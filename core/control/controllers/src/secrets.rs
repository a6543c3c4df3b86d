//! Secrets that the controllers make: drawn once, kept in the vault.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalyst_ports::Vault;
use zeroize::Zeroizing;

use crate::error::ReconcileError;

/// 32 characters that need no quoting in URLs: 24 random bytes, base64url. Drawn
/// again until there is a capital, a small letter and a digit among them, which
/// parts with rules for passwords (Harbor, Gitea) ask for.
pub fn random_password() -> Result<Zeroizing<String>, ReconcileError> {
    let mut bytes = Zeroizing::new([0_u8; 24]);
    loop {
        aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| {
            ReconcileError::missing("draw", "a password", "the system gave no random bytes")
        })?;
        let password = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        let has = |test: fn(char) -> bool| password.chars().any(test);
        if has(|c| c.is_ascii_uppercase())
            && has(|c| c.is_ascii_lowercase())
            && has(|c| c.is_ascii_digit())
        {
            return Ok(password);
        }
    }
}

/// Reads a secret, or writes what `make` gives, once: whoever comes first wins,
/// and all others read that.
pub async fn ensure(
    vault: &Vault,
    path: &str,
    make: impl FnOnce() -> Result<BTreeMap<String, Zeroizing<String>>, ReconcileError>,
) -> Result<BTreeMap<String, Zeroizing<String>>, ReconcileError> {
    let read = || async {
        vault
            .secret_get(path)
            .await
            .map_err(ReconcileError::port("read", format!("the secret {path}")))
    };
    if let Some(found) = read().await? {
        return Ok(found.data);
    }
    let made = make()?;
    match vault.secret_put(path, &made, Some(0)).await {
        Ok(_) => Ok(made),
        Err(error) if error.is_conflict() => {
            read().await?.map(|found| found.data).ok_or_else(|| {
                // Deleted softly by somebody: a new version would hide that.
                ReconcileError::missing(
                    "make",
                    format!("the secret {path}"),
                    "an earlier version of it was deleted; undelete it, or delete all its versions",
                )
            })
        }
        Err(error) => Err(ReconcileError::port("write", format!("the secret {path}"))(
            error,
        )),
    }
}

/// The password of a forge user that Flux signs in as; made once.
pub async fn forge_password(
    vault: &Vault,
    username: &str,
) -> Result<Zeroizing<String>, ReconcileError> {
    const KEY: &str = "password";
    let path = format!("system/forge/{username}");
    let mut data = ensure(vault, &path, || {
        Ok(BTreeMap::from([(KEY.to_owned(), random_password()?)]))
    })
    .await?;
    data.remove(KEY).ok_or_else(|| {
        ReconcileError::invalid(
            "read",
            format!("the secret {path}"),
            "it has no key password; delete it, and it is made anew",
        )
    })
}

/// Where the password of a forge user is kept.
pub fn forge_password_path(username: &str) -> String {
    format!("system/forge/{username}")
}

/// Deletes every secret below a folder of the vault.
pub async fn delete_below(vault: &Vault, folder: &str) -> Result<(), ReconcileError> {
    let mut folders = vec![folder.trim_end_matches('/').to_owned()];
    while let Some(folder) = folders.pop() {
        let names = vault
            .secret_list(&folder)
            .await
            .map_err(ReconcileError::port(
                "list",
                format!("the secrets below {folder}"),
            ))?;
        for name in names {
            let path = format!("{folder}/{name}");
            if name.ends_with('/') {
                folders.push(path.trim_end_matches('/').to_owned());
            } else {
                vault
                    .secret_delete_all(&path)
                    .await
                    .map_err(ReconcileError::port("delete", format!("the secret {path}")))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_url_safe_and_new_each_time() {
        let one = random_password().unwrap();
        let other = random_password().unwrap();
        assert_eq!(one.len(), 32);
        assert!(
            one.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        );
        assert_ne!(*one, *other);
    }
}
