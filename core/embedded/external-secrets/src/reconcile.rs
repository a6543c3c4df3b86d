//! One ExternalSecret from request to status.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::desired::{self, Wanted};
use crate::vault::{VaultError, VaultStore};

const MANAGER: &str = "external-secrets";

/// Why a Secret could not be filled.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// What was asked for cannot be done as it stands.
    #[error("{0}")]
    Unsupported(String),
    /// The store is not there or lacks something.
    #[error("the {kind} {name:?} cannot be used: {why}")]
    Store {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The vault did not give it.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The Kubernetes API refused.
    #[error("cannot write the Secret {name:?}: {source}")]
    Kubernetes {
        /// The Secret.
        name: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
}

impl SyncError {
    /// Whether waiting may help without anybody changing the ExternalSecret.
    pub fn retryable(&self) -> bool {
        !matches!(self, Self::Unsupported(_))
    }
}

/// The kind of a resource here.
pub fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Fills the target and writes the status. Answers when to look again.
pub async fn reconcile(
    client: &kube::Client,
    http: &reqwest::Client,
    object: &Value,
) -> Result<Option<Duration>, SyncError> {
    let result = sync(client, http, object).await;
    let (status, reason, message) = match &result {
        Ok(_) => (
            "True",
            "SecretSynced",
            "the Secret holds what the vault holds".to_owned(),
        ),
        Err(error) => ("False", "SecretSyncedError", chain(error)),
    };
    write_status(
        client,
        object,
        status,
        reason,
        &message,
        result.as_ref().ok(),
    )
    .await;
    result.map(|wanted| (wanted.refresh > 0).then(|| Duration::from_secs(wanted.refresh)))
}

async fn sync(
    client: &kube::Client,
    http: &reqwest::Client,
    object: &Value,
) -> Result<Wanted, SyncError> {
    let wanted = desired::parse(object).map_err(SyncError::Unsupported)?;
    let namespace = text(object, "/metadata/namespace").unwrap_or_default();
    let store = store(client, namespace, &wanted).await?;
    let mut data = BTreeMap::new();
    for read in &wanted.reads {
        let found = store
            .read(http, &read.path, read.version.as_deref())
            .await?;
        desired::fill(&mut data, read, found).map_err(SyncError::Unsupported)?;
    }
    if wanted.creation == "None" {
        return Ok(wanted);
    }
    let secrets: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &resource("", "v1", "Secret"));
    let failed = |source: kube::Error| SyncError::Kubernetes {
        name: wanted.target.clone(),
        source: Box::new(source),
    };
    if wanted.creation == "Merge"
        && secrets
            .get_opt(&wanted.target)
            .await
            .map_err(failed)?
            .is_none()
    {
        return Err(SyncError::Unsupported(format!(
            "creationPolicy Merge needs the Secret {:?} to be there already",
            wanted.target
        )));
    }
    let secret = desired::secret(object, &wanted, &data);
    secrets
        .patch(
            &wanted.target,
            &PatchParams::apply(MANAGER).force(),
            &Patch::Apply(&secret),
        )
        .await
        .map_err(failed)?;
    Ok(wanted)
}

async fn store(
    client: &kube::Client,
    namespace: &str,
    wanted: &Wanted,
) -> Result<VaultStore, SyncError> {
    let refuse = |why: String| SyncError::Store {
        kind: wanted.store_kind.clone(),
        name: wanted.store.clone(),
        why,
    };
    let kind = resource("external-secrets.io", "v1", &wanted.store_kind);
    let is_cluster_wide = wanted.store_kind == "ClusterSecretStore";
    let stores: Api<DynamicObject> = if is_cluster_wide {
        Api::all_with(client.clone(), &kind)
    } else {
        Api::namespaced_with(client.clone(), namespace, &kind)
    };
    let found = stores
        .get_opt(&wanted.store)
        .await
        .map_err(|error| refuse(error.to_string()))?
        .ok_or_else(|| refuse("it does not exist".to_owned()))?;
    let vault = found
        .data
        .pointer("/spec/provider/vault")
        .ok_or_else(|| refuse("its provider is not vault".to_owned()))?;
    if text(vault, "/version").is_some_and(|version| version != "v2") {
        return Err(refuse("its KV engine is not version v2".to_owned()));
    }
    let field = |at: &str| text(vault, at).map(str::to_owned);
    let server = field("/server").ok_or_else(|| refuse("it names no server".to_owned()))?;
    let reference = vault
        .pointer("/auth/tokenSecretRef")
        .ok_or_else(|| refuse("only auth.tokenSecretRef is supported here".to_owned()))?;
    let name = text(reference, "/name").unwrap_or_default();
    let key = text(reference, "/key").unwrap_or("token");
    // A store in a namespace reads that namespace's Secrets only.
    let place = match text(reference, "/namespace") {
        Some(place) if is_cluster_wide => place,
        _ => namespace,
    };
    let secrets: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), place, &resource("", "v1", "Secret"));
    let secret = secrets
        .get_opt(name)
        .await
        .map_err(|error| refuse(error.to_string()))?
        .ok_or_else(|| refuse(format!("its token's Secret {place}/{name} does not exist")))?;
    let token = secret
        .data
        .get("data")
        .and_then(|data| data.get(key))
        .and_then(Value::as_str)
        .and_then(|encoded| {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .ok()
        })
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| refuse(format!("the Secret {place}/{name} has no key {key:?}")))?;
    Ok(VaultStore {
        server,
        mount: field("/path").unwrap_or_else(|| "secret".to_owned()),
        token: Zeroizing::new(token),
    })
}

/// Writes the `Ready` condition where it differs.
async fn write_status(
    client: &kube::Client,
    object: &Value,
    status: &str,
    reason: &str,
    message: &str,
    wanted: Option<&Wanted>,
) {
    let before = object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .and_then(|conditions| {
            conditions
                .iter()
                .find(|condition| text(condition, "/type") == Some("Ready"))
        });
    let same = |field: &str, value: &str| {
        before
            .and_then(|condition| condition.get(field))
            .and_then(Value::as_str)
            == Some(value)
    };
    let generation = object
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    let uid = text(object, "/metadata/uid").unwrap_or_default();
    let synced = format!("{generation}-{uid}");
    let is_synced =
        wanted.is_none() || text(object, "/status/syncedResourceVersion") == Some(synced.as_str());
    if same("status", status) && same("reason", reason) && same("message", message) && is_synced {
        return;
    }
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let changed = match before {
        Some(condition) if same("status", status) => condition
            .get("lastTransitionTime")
            .cloned()
            .unwrap_or_else(|| json!(now)),
        _ => json!(now),
    };
    let mut fields = json!({"conditions": [{
        "type": "Ready", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": changed,
    }]});
    if let Some(wanted) = wanted
        && let Some(map) = fields.as_object_mut()
    {
        map.insert("refreshTime".to_owned(), json!(now));
        map.insert("syncedResourceVersion".to_owned(), json!(synced));
        map.insert("binding".to_owned(), json!({"name": wanted.target}));
    }
    let (Some(namespace), Some(name)) = (
        text(object, "/metadata/namespace"),
        text(object, "/metadata/name"),
    ) else {
        return;
    };
    let externals: Api<DynamicObject> = Api::namespaced_with(
        client.clone(),
        namespace,
        &resource("external-secrets.io", "v1", "ExternalSecret"),
    );
    let patch = Patch::Merge(json!({"status": fields}));
    if let Err(error) = externals
        .patch_status(name, &PatchParams::default(), &patch)
        .await
        && !is_gone(&error)
    {
        tracing::warn!(namespace, name, error = %error, "ExternalSecret status not written");
    }
}

/// Whether the API said that the thing does not exist.
pub fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

fn text<'a>(value: &'a Value, at: &str) -> Option<&'a str> {
    value.pointer(at).and_then(Value::as_str)
}

fn chain(error: &SyncError) -> String {
    let mut whole = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let said = cause.to_string();
        if !whole.contains(&said) {
            whole = format!("{whole}: {said}");
        }
        source = cause.source();
    }
    whole
}
