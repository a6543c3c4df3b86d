//! Secrets that the controllers make: drawn once, kept in the vault.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalyst_ports::{Secret, Vault};
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
) -> Result<Secret, ReconcileError> {
    let read = || async {
        vault
            .secret_get(path)
            .await
            .map_err(ReconcileError::port("read", format!("the secret {path}")))
    };
    if let Some(found) = read().await? {
        return Ok(found);
    }
    let data = make()?;
    match vault.secret_put(path, &data, Some(0)).await {
        Ok(version) => Ok(Secret { version, data }),
        Err(error) if error.is_conflict() => {
            read().await?.ok_or_else(|| {
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

/// Writes a secret anew, unless it is another version by now than the one that was
/// read: what somebody put there since then stays.
pub async fn replace(vault: &Vault, path: &str, secret: &Secret) -> Result<(), ReconcileError> {
    let written = vault.secret_put(path, &secret.data, Some(secret.version));
    let what = format!("the secret {path}");
    match written.await {
        Ok(_) => Ok(()),
        Err(error) if error.is_conflict() => Err(ReconcileError::missing(
            "write",
            what,
            "somebody wrote it since it was read; what they wrote stays, and is read next",
        )),
        Err(error) => Err(ReconcileError::port("write", what)(error)),
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
    .await?
    .data;
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
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A vault that keeps one secret, by whatever path: its version and its keys.
    #[derive(Clone, Default)]
    struct One {
        kept: Arc<Mutex<(u64, Value)>>,
    }

    impl One {
        async fn serve(&self) -> Vault {
            drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let one = self.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(one.clone().answer(stream));
                }
            });
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            Vault::new(http, address.parse().unwrap(), String::new().into())
        }

        async fn answer(self, mut stream: TcpStream) {
            let mut bytes = Vec::new();
            let (head, body) = loop {
                match stream.read_buf(&mut bytes).await {
                    Ok(read) if read > 0 => {}
                    _ => return,
                }
                let text = String::from_utf8_lossy(&bytes);
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let head = head.to_ascii_lowercase();
                let mut lengths = head
                    .lines()
                    .filter_map(|line| line.strip_prefix("content-length:"));
                let length = lengths
                    .next()
                    .map_or(0, |it| it.trim().parse::<usize>().unwrap());
                if body.len() >= length {
                    break (head.clone(), body.to_owned());
                }
            };
            let (status, said) = self.asked(head.starts_with("post"), &body);
            let said = said.to_string();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{said}",
                said.len()
            );
            drop(stream.write_all(answer.as_bytes()).await);
        }

        fn asked(&self, is_write: bool, body: &str) -> (&'static str, Value) {
            let mut kept = self.kept.lock().unwrap();
            let version = kept.0;
            if !is_write {
                let found = json!({"data": {"data": kept.1, "metadata": {"version": version}}});
                return match version {
                    0 => ("404 Not Found", json!({"errors": []})),
                    _ => ("200 OK", found),
                };
            }
            let written: Value = serde_json::from_str(body).unwrap();
            if written["options"]["cas"] != version {
                let why = "check-and-set parameter did not match the current version";
                return ("400 Bad Request", json!({"errors": [why]}));
            }
            *kept = (version + 1, written["data"].clone());
            ("200 OK", json!({"data": {"version": version + 1}}))
        }
    }

    fn data(value: &str) -> BTreeMap<String, Zeroizing<String>> {
        BTreeMap::from([("key".to_owned(), Zeroizing::new(value.to_owned()))])
    }

    #[tokio::test]
    async fn what_was_written_since_it_was_read_stays() {
        let one = One::default();
        let vault = one.serve().await;
        let read = ensure(&vault, "it", || Ok(data("first"))).await.unwrap();
        assert_eq!(read.version, 1);
        let put = vault.secret_put("it", &data("second"), Some(1)).await;
        assert_eq!(put.unwrap(), 2);
        let error = replace(&vault, "it", &read).await.unwrap_err();
        assert!(error.retryable(), "{error}");
        let read = ensure(&vault, "it", || Ok(data("third"))).await.unwrap();
        assert_eq!((read.version, read.data["key"].as_str()), (2, "second"));
        replace(&vault, "it", &read).await.unwrap();
        assert_eq!(one.kept.lock().unwrap().0, 3);
    }

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
