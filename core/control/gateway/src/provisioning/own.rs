//! Secrets that are made here for a Sovereign, beside its credentials in the vault.
//!
//! What must stay true: what was made with one that is lost is never begun with another;
//! and what lies in a file goes from there only once the vault has it.

use catalyst_provisioner::service::{Left, Prepared, Service, ServiceError};
use catalyst_provisioner::{OwnSecret, Secret};
use http::StatusCode;
use zeroize::Zeroizing;

use super::{Held, no_vault, place, refusal};
use crate::Gateway;
use crate::problem::Refusal;

/// What the vault calls one of them.
pub(super) fn key(one: OwnSecret) -> &'static str {
    match one {
        OwnSecret::Passphrase => "statePassphrase",
        OwnSecret::OpenbaoSeal => "openbaoSeal",
        OwnSecret::GiteaAdmin => "giteaAdmin",
    }
}

/// Adds what was made for the Sovereign before, and makes what is not there yet. What was
/// made with one that is lost opens with no other, so that is not begun.
pub(super) fn add(
    title: &str,
    fqdn: &str,
    held: &mut Held,
    before: Option<&Held>,
    prepared: &Prepared,
) -> Result<(), Refusal> {
    for one in OwnSecret::ALL {
        let name = key(one);
        if let Some(kept) = before.and_then(|before| before.get(name)) {
            held.insert(name.to_owned(), kept.clone());
            continue;
        }
        let is_needed = prepared.needs(one);
        if is_needed.map_err(|error| refusal(title, error))? {
            let detail = format!(
                "The vault has lost {name} of {fqdn}, and what was made with it cannot be opened without it."
            );
            return Err(
                Refusal::new(StatusCode::CONFLICT, "lost", title, detail).next(format!(
                    "Restore {} of the vault from a backup.",
                    place(fqdn)
                )),
            );
        }
        let made = Secret::random().map_err(|error| {
            tracing::error!(%error, "no secret of a Sovereign was made");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let detail = "The control plane could not make a secret; its log says why.";
            Refusal::new(status, "internal", title, detail)
        })?;
        held.insert(name.to_owned(), Zeroizing::new(made.reveal().to_owned()));
    }
    Ok(())
}

impl Gateway {
    /// Takes into the vault what control planes kept in the Sovereign's directory before
    /// its secrets had a place there, and then removes the files. To be called by whoever
    /// has the turn; does nothing for a Sovereign that is not known.
    pub(super) async fn take_in(&self, title: &str, fqdn: &str) -> Result<(), Refusal> {
        match self.provisioning()?.left(fqdn) {
            Ok(None) | Err(ServiceError::Unknown { .. }) => Ok(()),
            Ok(Some(left)) => self.keep(title, fqdn, left).await,
            Err(error) => Err(refusal(title, error)),
        }
    }

    /// The same for every Sovereign; whether the vault took all that was to be taken.
    pub(super) async fn take_in_all(&self, service: &Service) -> bool {
        let mut is_done = true;
        for (fqdn, _) in service.list() {
            let _turn = self.provisioning_turn().await;
            let left = match service.left(&fqdn) {
                Ok(None) => continue,
                Ok(Some(left)) => left,
                // Whoever begins the next job of it is told, or takes them in.
                Err(error) => {
                    tracing::debug!(sovereign = %fqdn, %error, "secrets in files are left alone for now");
                    continue;
                }
            };
            let title = format!("Keep the secrets of {fqdn}");
            if self.keep(&title, &fqdn, left).await.is_err() {
                is_done = false;
            }
        }
        is_done
    }

    /// Puts them beside what the vault has, and removes the files of those that it has.
    async fn keep(&self, title: &str, fqdn: &str, left: Left) -> Result<(), Refusal> {
        let path = place(fqdn);
        let before = self.vault().secret_get(&path).await;
        let before = before.map_err(|error| no_vault(title, &error))?;
        let mut held = before
            .as_ref()
            .map(|it| it.data.clone())
            .unwrap_or_default();
        for (one, secret) in left.secrets() {
            let text = || Zeroizing::new(secret.reveal().to_owned());
            held.entry(key(*one).to_owned()).or_insert_with(text);
        }
        if before.as_ref().is_none_or(|before| before.data != held) {
            // Whoever asked may have gone away and another have begun a job since: what
            // that one put there is not written over.
            let version = before.map_or(0, |before| before.version);
            let kept = self.vault().secret_put(&path, &held, Some(version)).await;
            kept.map_err(|error| no_vault(title, &error))?;
            tracing::info!(sovereign = %fqdn, "secrets that lay in files are in the vault now");
        }
        let is_kept = |one: OwnSecret, secret: &Secret| {
            let is_same = held
                .get(key(one))
                .is_some_and(|kept| kept.as_str() == secret.reveal());
            if !is_same {
                tracing::warn!(sovereign = %fqdn, file = one.file(), "a file has another secret than the vault, which counts; remove the file if nothing was made with it");
            }
            is_same
        };
        left.remove(is_kept).map_err(|error| refusal(title, error))
    }
}
