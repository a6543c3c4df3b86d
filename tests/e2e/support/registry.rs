//! Pushing to the registry as any OCI client does.

use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

use crate::sovereign::Sovereign;

/// Media type of an OCI image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes a blob in one request; its digest.
pub async fn push_blob(
    sovereign: &Sovereign,
    token: &str,
    repository: &str,
    content: Vec<u8>,
) -> String {
    let digest = digest(&content);
    let url = sovereign.url(&format!("/v2/{repository}/blobs/uploads/?digest={digest}"));
    let request = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/octet-stream");
    created(request.body(content), token).await;
    digest
}

/// Pushes an image manifest under a tag.
pub async fn push_manifest(
    sovereign: &Sovereign,
    token: &str,
    repository: &str,
    tag: &str,
    manifest: &Value,
) {
    let url = sovereign.url(&format!("/v2/{repository}/manifests/{tag}"));
    let request = reqwest::Client::new()
        .put(url)
        .header("content-type", MANIFEST);
    created(request.body(manifest.to_string()), token).await;
}

/// An OCI digest.
pub fn digest(content: &[u8]) -> String {
    format!(
        "sha256:{}",
        hex::encode(aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            content
        ))
    )
}

async fn created(request: RequestBuilder, token: &str) {
    let answer = request
        .basic_auth("sovereign-admin", Some(token))
        .send()
        .await
        .unwrap();
    assert_eq!(
        answer.status(),
        StatusCode::CREATED,
        "{}",
        answer.text().await.unwrap()
    );
}
