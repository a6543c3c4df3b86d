//! The Sovereign as everybody may see it.
//!
//! Read from the management cluster, at most once a second however many ask, since
//! anybody may.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalyst_api::{Addresses, KeylessSignerView, SovereignView, TrustedSignerView};
use catalyst_names::HostClusterName;
use catalyst_resources::{Sovereign, SovereignSpec};
use catalyst_signature::TrustPolicy;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use tokio::sync::Mutex;

use crate::problem::Refusal;

/// How old the answer may be.
const FRESH: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The stages in promotion order.
const STAGES: [&str; 5] = ["poc", "dev", "uat", "stg", "prod"];

/// Reads the one Sovereign of the management cluster.
pub struct SovereignReader {
    client: kube::Client,
    addresses: Addresses,
    last: Mutex<Option<(Instant, Seen)>>,
}

/// What of the Sovereign everybody may see.
#[derive(Debug, Clone)]
struct Seen {
    view: SovereignView,
    spec: Arc<SovereignSpec>,
}

impl SovereignReader {
    /// A reader; the addresses are told as they are given.
    pub fn new(client: kube::Client, addresses: Addresses) -> Self {
        Self {
            client,
            addresses,
            last: Mutex::new(None),
        }
    }

    /// The Sovereign.
    pub async fn read(&self) -> Result<SovereignView, Refusal> {
        Ok(self.seen().await?.view)
    }

    /// What certificates are held against, as it is configured.
    pub async fn trusted_root(&self) -> Result<Option<String>, Refusal> {
        Ok(self.seen().await?.spec.trusted_root.clone())
    }

    /// Whose signatures count for which source.
    pub async fn trust_policy(&self) -> Result<TrustPolicy, Refusal> {
        Ok(catalyst_commands::trust_policy(&self.seen().await?.spec))
    }

    async fn seen(&self) -> Result<Seen, Refusal> {
        let mut last = self.last.lock().await;
        if let Some((at, seen)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(seen.clone());
        }
        let sovereign = self.sovereign().await.ok_or_else(|| {
            Refusal::unavailable(
                "Read the Sovereign",
                "Its object cannot be read from the management cluster yet.",
            )
        })?;
        let seen = Seen {
            spec: Arc::new(sovereign.spec.clone()),
            view: view(sovereign, self.addresses.clone()),
        };
        *last = Some((Instant::now(), seen.clone()));
        Ok(seen)
    }

    async fn sovereign(&self) -> Option<Sovereign> {
        let resource = ApiResource {
            group: catalyst_resources::GROUP.to_owned(),
            version: catalyst_resources::VERSION.to_owned(),
            api_version: format!(
                "{}/{}",
                catalyst_resources::GROUP,
                catalyst_resources::VERSION
            ),
            kind: "Sovereign".to_owned(),
            plural: "sovereigns".to_owned(),
        };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let parameters = ListParams::default();
        let listed = tokio::time::timeout(ANSWER_WITHIN, api.list(&parameters)).await;
        let mut object = match listed {
            Ok(Ok(listed)) => listed.items.into_iter().next()?,
            Ok(Err(error)) => {
                tracing::warn!(%error, "Sovereign not readable");
                return None;
            }
            Err(_) => return None,
        };
        object.types.get_or_insert(kube::api::TypeMeta {
            api_version: resource.api_version,
            kind: resource.kind,
        });
        serde_json::to_value(object)
            .and_then(serde_json::from_value)
            .inspect_err(|error| tracing::warn!(%error, "Sovereign not understood"))
            .ok()
    }
}

fn view(sovereign: Sovereign, addresses: Addresses) -> SovereignView {
    let spec = sovereign.spec;
    let host_clusters: Vec<String> = spec
        .host_clusters
        .iter()
        .map(|cluster| cluster.name.clone())
        .collect();
    let has_stage = |stage: &str| {
        host_clusters.iter().any(|name| {
            name.parse::<HostClusterName>().is_ok_and(|name| {
                name.env_type().to_string() == stage && name.building_block().to_string() == "rtz"
            })
        })
    };
    SovereignView {
        name: sovereign.metadata.name,
        domain: spec.domain,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        addresses,
        env_types: STAGES
            .into_iter()
            .filter(|stage| has_stage(stage))
            .map(str::to_owned)
            .collect(),
        trusted_signers: spec
            .trusted_signers
            .into_iter()
            .map(|signer| TrustedSignerView {
                fingerprint: fingerprint(&signer.public_key),
                source: signer.source,
                public_key: signer.public_key,
            })
            .collect(),
        keyless_signers: spec
            .keyless_signers
            .into_iter()
            .map(|signer| KeylessSignerView {
                source: signer.source,
                subject: signer.subject,
                subject_regexp: signer.subject_regexp,
                issuer: signer.issuer,
                issuer_regexp: signer.issuer_regexp,
            })
            .collect(),
        host_clusters,
    }
}

/// `sha256:…` of the DER that a PEM text holds.
fn fingerprint(pem: &str) -> String {
    let encoded: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .flat_map(|line| line.trim().chars())
        .collect();
    let der = STANDARD.decode(encoded).unwrap_or_default();
    format!("sha256:{}", hex::encode(digest(&SHA256, &der)))
}
