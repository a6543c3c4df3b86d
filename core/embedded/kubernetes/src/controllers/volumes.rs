//! PersistentVolumeClaims of the local storage class: each gets a
//! PersistentVolume of its own, at once, and is bound to it.
//!
//! The volume is a record: where the data lies is the node's business, which
//! keeps a folder a claim. When the claim goes, the volume goes with it or, by
//! its reclaim policy, stays as Released.

use super::*;

/// The provisioner of the default storage class.
pub(crate) const PROVISIONER: &str = "openova.io/local";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// The volume of a claim.
pub(super) fn volume_key(claim_key: &ObjectKey, claim: &Value) -> ObjectKey {
    let volume = format!("pvc-{}", uid(claim));
    ObjectKey::new(VOLUMES, &claim_key.cluster, "", &volume)
}

/// Provides a claim with a volume.
pub(super) async fn bind(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    claim: &Value,
) -> Result<(), ApiError> {
    if text(claim, "/status/phase") == "Bound" {
        return Ok(());
    }
    let class_name = text(claim, "/spec/storageClassName");
    let class = inner.read_object(STORAGE_CLASSES, &key.cluster, "", class_name);
    let Some(class) = class.filter(|class| text(class, "/provisioner") == PROVISIONER) else {
        return Ok(());
    };
    let volume_key = volume_key(key, claim);
    let wanted = text(claim, "/spec/volumeName");
    if !wanted.is_empty() && wanted != volume_key.name {
        // A volume that somebody made by hand: theirs to bind.
        return Ok(());
    }
    let capacity = json!({"storage": claim.pointer("/spec/resources/requests/storage")});
    let modes = claim.pointer("/spec/accessModes").cloned();
    let policy = match text(&class, "/reclaimPolicy") {
        "" => "Delete",
        policy => policy,
    };
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": volume_key.name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "accessModes": modes, "capacity": capacity, "storageClassName": class_name,
            "persistentVolumeReclaimPolicy": policy,
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": key.namespace,
                "name": key.name, "uid": uid(claim),
            },
            "csi": {"driver": PROVISIONER, "volumeHandle": format!("{}/{}", key.namespace, key.name)},
        },
    });
    ensure(inner, &volume_key, volume).await?;
    change(inner, &volume_key, "status", |volume| {
        set(volume, &["status", "phase"], json!("Bound"));
    })
    .await?;
    change(inner, key, "", |claim| {
        set(claim, &["spec", "volumeName"], json!(volume_key.name));
        for mark in ["bind-completed", "bound-by-controller"] {
            let mark = format!("pv.kubernetes.io/{mark}");
            set(claim, &["metadata", "annotations", &mark], json!("yes"));
        }
    })
    .await?;
    change(inner, key, "status", |claim| {
        set(claim, &["status", "phase"], json!("Bound"));
        set(claim, &["status", "capacity"], capacity.clone());
        set(claim, &["status", "accessModes"], json!(modes));
    })
    .await
}

/// Ends a volume of ours whose claim is gone.
pub(super) async fn release(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    volume: &Value,
) -> Result<(), ApiError> {
    let ours = volume
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(PROVISIONED_BY))
        .is_some_and(|by| by == PROVISIONER);
    if !ours {
        return Ok(());
    }
    let claim = inner.read_object(
        CLAIMS,
        &key.cluster,
        text(volume, "/spec/claimRef/namespace"),
        text(volume, "/spec/claimRef/name"),
    );
    if claim.is_some_and(|claim| uid(&claim) == text(volume, "/spec/claimRef/uid")) {
        return Ok(());
    }
    if text(volume, "/spec/persistentVolumeReclaimPolicy") == "Delete" {
        return remove(inner, key, VOLUMES, volume).await;
    }
    change(inner, key, "status", |volume| {
        set(volume, &["status", "phase"], json!("Released"));
    })
    .await
}
