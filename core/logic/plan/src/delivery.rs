//! The Flux objects of an Application: its artifact, pinned and verified, and
//! the HelmRelease or Kustomization that rolls it out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use catalyst_blueprint::ManifestKind;
use catalyst_resources::KeylessSigner;
use catalyst_signature::{Identity, IdentityError, IdentityFields};
use serde_json::{Map, Value, json};

use crate::expand::{ExpandError, Input};
use crate::{config_secret_name, release_account_name, signers_secret_name};

/// The Secret by which Flux signs in to the registry; the environment
/// controller writes it.
pub(crate) const REGISTRY_CREDENTIALS: &str = "registry-credentials";
const INTERVAL: &str = "10m";
const TIMEOUT: &str = "5m";
const RETRIES: u32 = 3;
const RETRY_INTERVAL: &str = "30s";
const CHART_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
const TREE_LAYER: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";

/// Signers, OCIRepository, and HelmRelease or Kustomization.
pub(crate) fn objects(input: &Input<'_>) -> Result<Vec<Value>, ExpandError> {
    let release = match input.blueprint.blueprint.spec.manifests.source.kind {
        ManifestKind::HelmChart => helm_release(input),
        ManifestKind::Kustomize => kustomization(input),
    };
    Ok(vec![signers(input), repository(input), release])
}

/// Whoever signs by certificates, as the configuration names them.
pub fn keyless_identity(signer: &KeylessSigner) -> Result<Identity, IdentityError> {
    Identity::new(IdentityFields {
        subject: signer.subject.as_deref(),
        subject_regexp: signer.subject_regexp.as_deref(),
        issuer: signer.issuer.as_deref(),
        issuer_regexp: signer.issuer_regexp.as_deref(),
    })
}

/// The file of a trusted root in a Secret, as Flux names it.
const TRUSTED_ROOT: &str = "trusted_root.json";

/// Who may have signed the artifact by a certificate, and what it is held against; none
/// where its signer has a key. Flux takes either keys or identities, and without any
/// identity would let anybody sign: then it is keys, of which there may be none.
fn keyless<'a>(input: &Input<'a>) -> Option<(Vec<Identity>, &'a str)> {
    if input.blueprint.signer.starts_with("sha256:") {
        return None;
    }
    let root = input.ctx.trusted_root.as_deref()?;
    let identities: Vec<Identity> = input
        .ctx
        .keyless_signers
        .iter()
        .filter(|signer| signer.source == input.blueprint.source)
        .filter_map(|signer| keyless_identity(signer).ok())
        .collect();
    (!identities.is_empty()).then_some((identities, root))
}

/// The public keys that the artifact may be signed by, or what certificates are held
/// against, as Flux wants them. A Secret by kind only: neither is a secret.
fn signers(input: &Input<'_>) -> Value {
    let data: Map<String, Value> = match keyless(input) {
        Some((_, root)) => Map::from_iter([(TRUSTED_ROOT.to_owned(), encoded(root))]),
        None => keys(input)
            .into_iter()
            .enumerate()
            .map(|(index, key)| (format!("signer-{index}.pub"), encoded(key)))
            .collect(),
    };
    environment(
        input,
        "v1",
        "Secret",
        &signers_secret_name(input.name),
        json!({"type": "Opaque", "data": data}),
    )
}

fn encoded(text: &str) -> Value {
    json!(STANDARD.encode(text))
}

fn keys<'a>(input: &Input<'a>) -> Vec<&'a str> {
    let mut keys: Vec<&str> = input
        .ctx
        .trusted_signers
        .iter()
        .filter(|signer| signer.source == input.blueprint.source)
        .map(|signer| signer.public_key.as_str())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// How Flux verifies the artifact.
fn verification(input: &Input<'_>) -> Value {
    let secret = json!({"name": signers_secret_name(input.name)});
    match keyless(input) {
        Some((identities, _)) => {
            let matched: Vec<Value> = identities
                .iter()
                .map(|one| {
                    json!({
                        "issuer": one.issuer().to_expression(),
                        "subject": one.subject().to_expression(),
                    })
                })
                .collect();
            json!({
                "provider": "cosign",
                "matchOIDCIdentity": matched,
                "trustedRootSecretRef": secret,
            })
        }
        None => json!({"provider": "cosign", "secretRef": secret}),
    }
}

/// The name of the OCIRepository. helm-controller waits until its source is of the spec as
/// it is; kustomize-controller takes whatever artifact its source has. So each artifact of
/// a Kustomization has a source of its own: what it is built with and what it is built from
/// change in one write, and until the source has something, what was built before stays.
fn repository_name(input: &Input<'_>) -> String {
    match input.blueprint.blueprint.spec.manifests.source.kind {
        ManifestKind::HelmChart => input.name.to_string(),
        ManifestKind::Kustomize => {
            let digest = &input.blueprint.digest;
            let (_, hex) = digest.split_once(':').unwrap_or(("", digest.as_str()));
            format!("{}-{}", input.name, hex.get(..12).unwrap_or(hex))
        }
    }
}

fn repository(input: &Input<'_>) -> Value {
    let (layer, operation) = match input.blueprint.blueprint.spec.manifests.source.kind {
        ManifestKind::HelmChart => (CHART_LAYER, "copy"),
        ManifestKind::Kustomize => (TREE_LAYER, "extract"),
    };
    let mut spec = json!({
        "interval": INTERVAL,
        "timeout": "60s",
        "url": format!("oci://{}/{}", input.ctx.registry_host, input.blueprint.repository),
        "ref": {"digest": input.blueprint.digest},
        "layerSelector": {"mediaType": layer, "operation": operation},
        "secretRef": {"name": REGISTRY_CREDENTIALS},
        "verify": verification(input),
    });
    if input.ctx.registry_insecure
        && let Some(spec) = spec.as_object_mut()
    {
        spec.insert("insecure".to_owned(), json!(true));
    }
    environment(
        input,
        "source.toolkit.fluxcd.io/v1",
        "OCIRepository",
        &repository_name(input),
        json!({"spec": spec}),
    )
}

/// Flux's dependsOn names objects of the same kind; across kinds the dependent
/// is held until the other is Ready.
fn is_suspended(input: &Input<'_>) -> bool {
    let kind = input.blueprint.blueprint.spec.manifests.source.kind;
    input.application.spec.paused
        || input
            .dependencies
            .iter()
            .any(|dependency| dependency.kind != kind && !dependency.ready)
}

fn depends_on(input: &Input<'_>) -> Vec<Value> {
    let kind = input.blueprint.blueprint.spec.manifests.source.kind;
    let mut names: Vec<&str> = input
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == kind)
        .map(|dependency| dependency.application.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| json!({"name": name}))
        .collect()
}

fn helm_release(input: &Input<'_>) -> Value {
    let mut spec = json!({
        "interval": INTERVAL,
        "timeout": TIMEOUT,
        "serviceAccountName": release_account_name(input.name),
        "releaseName": input.name,
        "targetNamespace": input.workload_namespace,
        "storageNamespace": input.workload_namespace,
        "chartRef": {"kind": "OCIRepository", "name": input.name},
        // What failed to come up once may come up when what it needs is there; to
        // give up would leave it to the user to find that out.
        "install": {
            "crds": "CreateReplace",
            "strategy": {"name": "RetryOnFailure", "retryInterval": RETRY_INTERVAL},
        },
        "upgrade": {
            "crds": "CreateReplace",
            "cleanupOnFail": true,
            "remediation": {"retries": RETRIES, "remediateLastFailure": true},
        },
        "driftDetection": {"mode": "enabled"},
        "commonMetadata": {"labels": input.labels.common()},
        "values": input.values,
    });
    let from: Vec<Value> = input
        .secret_config
        .iter()
        .map(|secret| {
            json!({
                "kind": "Secret",
                "name": config_secret_name(input.name),
                "valuesKey": secret.name,
                "targetPath": target_path(&secret.path),
                // Taken as it is: a password may hold commas and braces.
                "literal": true,
            })
        })
        .collect();
    add(&mut spec, "valuesFrom", from);
    add(&mut spec, "dependsOn", depends_on(input));
    suspend(input, &mut spec);
    environment(
        input,
        "helm.toolkit.fluxcd.io/v2",
        "HelmRelease",
        input.name.as_str(),
        json!({"spec": spec}),
    )
}

fn kustomization(input: &Input<'_>) -> Value {
    let path = match &input.application.spec.size {
        Some(size) => format!("./overlays/{size}"),
        None => "./base".to_owned(),
    };
    let mut spec = json!({
        "interval": INTERVAL,
        "timeout": TIMEOUT,
        "retryInterval": RETRY_INTERVAL,
        "serviceAccountName": release_account_name(input.name),
        "prune": true,
        "wait": true,
        "path": path,
        "targetNamespace": input.workload_namespace,
        "sourceRef": {"kind": "OCIRepository", "name": repository_name(input)},
        "commonMetadata": {"labels": input.labels.common()},
    });
    let mut build = Map::new();
    let substitute = substitutions(input.values);
    if !substitute.is_empty() {
        build.insert("substitute".to_owned(), Value::Object(substitute));
    }
    if !input.secret_config.is_empty() {
        build.insert(
            "substituteFrom".to_owned(),
            json!([{"kind": "Secret", "name": config_secret_name(input.name)}]),
        );
    }
    if let Some(spec) = spec.as_object_mut()
        && !build.is_empty()
    {
        spec.insert("postBuild".to_owned(), Value::Object(build));
    }
    add(&mut spec, "dependsOn", depends_on(input));
    suspend(input, &mut spec);
    environment(
        input,
        "kustomize.toolkit.fluxcd.io/v1",
        "Kustomization",
        input.name.as_str(),
        json!({"spec": spec}),
    )
}

/// Scalars of the values as variables: nested names are joined by `_`, as in
/// `dependencies_db_connectionSecret`; names that variables cannot have are
/// left out.
pub(crate) fn substitutions(values: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    collect(values, "", &mut found);
    found
}

fn collect(value: &Value, prefix: &str, found: &mut Map<String, Value>) {
    let text = match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let name = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}_{key}")
                };
                collect(inner, &name, found);
            }
            return;
        }
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) => return,
    };
    let mut letters = prefix.chars();
    let fits = letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if fits {
        found.insert(prefix.to_owned(), Value::String(text));
    }
}

/// Helm's `--set` path; dots inside names are escaped.
fn target_path(path: &[String]) -> String {
    let parts: Vec<String> = path.iter().map(|part| part.replace('.', "\\.")).collect();
    parts.join(".")
}

fn add(spec: &mut Value, key: &str, items: Vec<Value>) {
    if let Some(spec) = spec.as_object_mut()
        && !items.is_empty()
    {
        spec.insert(key.to_owned(), Value::Array(items));
    }
}

fn suspend(input: &Input<'_>, spec: &mut Value) {
    if let Some(spec) = spec.as_object_mut()
        && is_suspended(input)
    {
        spec.insert("suspend".to_owned(), json!(true));
    }
}

fn environment(input: &Input<'_>, api_version: &str, kind: &str, name: &str, body: Value) -> Value {
    input.object(
        api_version,
        kind,
        Some(input.environment_namespace()),
        name,
        "delivery",
        body,
    )
}
