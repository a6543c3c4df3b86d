//! Publishing, verifying and pulling, as it should go.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

use catalyst_signature::{Signer, Signers, SigningKey, TrustPolicy};
use catalyst_supply::{
    Credentials, Entry, Opened, Origin, PackOptions, VerifyError, digest, image, media, pack,
    provenance, read_folder,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fake::{Bench, folder, package};

#[test]
fn the_same_folder_gives_the_same_artifact_in_the_form_helm_takes() {
    let (one, two) = (package(), package());
    assert_eq!(one.manifest.bytes, two.manifest.bytes);
    let manifest: Value = serde_json::from_slice(&one.manifest.bytes).unwrap();
    assert_eq!(manifest["config"]["mediaType"], media::HELM_CONFIG);
    let kinds: Vec<&str> = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["mediaType"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, [media::HELM_CHART, media::BLUEPRINT, media::CARD]);
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.title"],
        "bp-x"
    );
    assert_eq!(
        one.images,
        [format!(
            "ghcr.io/openova-io/x:1.0.0@sha256:{}",
            "1".repeat(64)
        )]
    );
    let mut files = folder();
    files.remove("chart/Chart.yaml");
    assert!(
        pack(&files, &PackOptions::default())
            .unwrap_err()
            .to_string()
            .contains("Chart.yaml is missing")
    );
}

/// Writes files in the order given, all as old and of the mode that is said.
fn write(folder: &Path, files: &[(String, Vec<u8>)], age: u64, mode: u32) {
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let time = SystemTime::now() - Duration::from_secs(age);
        File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn only_the_names_and_bytes_of_files_make_the_digest(
        notes in prop::collection::btree_map(
            "card/([a-z]{1,6}/){0,2}[a-zA-Z]{1,6}\\.txt",
            "[ -~\\n]{0,200}",
            0..6,
        ),
        order in any::<u64>(),
        age in 0u64..1_000_000_000,
        mode in prop::sample::select(vec![0o600, 0o644, 0o664, 0o755, 0o777]),
    ) {
        let mut files: Vec<(String, Vec<u8>)> = folder().into_iter().collect();
        files.extend(notes.into_iter().map(|(path, text)| (path, text.into_bytes())));
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(one.path(), &files, 0, 0o644);
        let count = files.len() as u64;
        files.rotate_left((order % count) as usize);
        if order & 1 == 1 {
            files.reverse();
        }
        write(two.path(), &files, age, mode);
        let digest_of = |folder: &Path| {
            pack(&read_folder(folder).unwrap(), &PackOptions::default())
                .map(|package| package.digest().to_owned())
                .map_err(|error| error.to_string())
        };
        let packed = digest_of(one.path());
        prop_assert!(packed.is_ok(), "{packed:?}");
        prop_assert_eq!(packed, digest_of(two.path()));
    }
}

#[test]
fn provenance_has_the_shape_of_slsa_v1() {
    let package = package();
    let origin = Origin {
        source_url: Some("https://git.example/acme/x".into()),
        revision: Some("abc".into()),
        ..Origin::default()
    };
    let said = provenance(&package, "h/catalog/bp-x", &origin);
    assert_eq!(said["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(said["predicateType"], "https://slsa.dev/provenance/v1");
    let hex = package.digest().strip_prefix("sha256:").unwrap();
    assert_eq!(
        said["subject"],
        json!([{"name": "h/catalog/bp-x", "digest": {"sha256": hex}}])
    );
    let definition = &said["predicate"]["buildDefinition"];
    assert!(definition["buildType"].as_str().unwrap().contains("://"));
    assert_eq!(
        definition["externalParameters"],
        json!({"blueprint": "bp-x", "version": "1.0.0", "source": "https://git.example/acme/x", "revision": "abc"})
    );
    let sources = definition["resolvedDependencies"].as_array().unwrap();
    assert_eq!(sources.len(), package.files.len());
    for source in sources {
        assert_eq!(source["digest"]["sha256"].as_str().unwrap().len(), 64);
    }
    let builder = &said["predicate"]["runDetails"]["builder"]["id"];
    assert!(builder.as_str().unwrap().contains("://"));
}

#[tokio::test]
async fn publishing_again_keeps_every_signature_and_adds_none() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let tag = Bench::signature_tag(&published);
    // Somebody else signs too, as `cosign sign` does.
    let at = bench.reference("bp-x:1.0.0");
    let other = SigningKey::generate().unwrap();
    let signed = bench.anonymous().sign_artifact(&at, &other).await.unwrap();
    assert_eq!(signed, published);
    let before = {
        let stored = bench.shared.lock().unwrap();
        let manifest: Value = serde_json::from_slice(stored.tag(&tag).unwrap()).unwrap();
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
        stored.tag(&tag).unwrap().clone()
    };
    let attached = || async {
        let registry = bench.anonymous();
        registry.referrers(&at, &published).await.unwrap().len()
    };
    // Two signatures, two SBOMs, and that provenance and these are attested.
    assert_eq!(attached().await, 7);
    bench.publish().await;
    assert_eq!(bench.shared.lock().unwrap().tag(&tag).unwrap(), &before);
    assert_eq!(attached().await, 7);
    for key in [&bench.key, &other] {
        let mut policy = TrustPolicy::new();
        policy.trust("catalog", key.public().clone());
        let verified = bench.anonymous().verify(&at, "catalog", &policy).await;
        assert_eq!(verified.unwrap().signer, Signer::Key(key.public().clone()));
    }
}

#[test]
fn a_packed_file_is_read_as_the_package_is() {
    let package = package();
    let layout = image::Image {
        manifest: package.manifest.clone(),
        blobs: package.blobs.clone(),
    };
    let tar = layout.to_tar().unwrap();
    let image = image::Image::from_tar(&tar).unwrap();
    let opened = Opened::of_image("x.oci.tar", &image).unwrap();
    assert_eq!(opened.digest, package.digest());
    assert_eq!(opened.blueprint, package.blueprint);
    assert!(opened.manifests.contains_key("bp-x/Chart.yaml"));
    assert_eq!(opened.card["card/icon.svg"], b"<svg/>");
    assert_eq!(opened.manifest.layers.len(), 3);
    let again = Opened::of_package(&package).unwrap();
    assert_eq!(again.manifests, opened.manifests);

    let no_blueprint = image::build(&[Vec::new()], &image::ImageConfig::default()).unwrap();
    let error = Opened::of_image("y.oci.tar", &no_blueprint).unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not read y.oci.tar: it has no layer with a blueprint.yaml; publish it again"
    );
}

#[tokio::test]
async fn what_is_published_is_verified_and_pulled_again() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let registry = bench.registry(Credentials::Anonymous);
    let at = bench.reference("bp-x:1.0.0");
    let pulled = registry.pull(&at, "catalog", &bench.policy).await.unwrap();
    assert_eq!(pulled.verified.digest, published);
    assert_eq!(
        pulled.verified.signer,
        Signer::Key(bench.key.public().clone())
    );
    assert_eq!(pulled.blueprint.name(), "bp-x");
    assert!(pulled.manifests.contains_key("bp-x/Chart.yaml"));
    let values = String::from_utf8(pulled.manifests["bp-x/values.yaml"].clone()).unwrap();
    assert!(
        values.contains(&"1".repeat(64)),
        "the image is pinned: {values}"
    );
    assert_eq!(pulled.card["card/icon.svg"], b"<svg/>");
    // Whoever asks nobody reads the same.
    let opened = registry.read(&at).await.unwrap();
    assert_eq!(opened.digest, published);
    assert_eq!(opened.manifests, pulled.manifests);
    assert_eq!(opened.card, pulled.card);
    let count = registry.count_signatures(&at, &published).await.unwrap();
    assert_eq!(count, 2, "beside the tag, and as a bundle");
    let signers = bench.policy.signers("catalog").unwrap();
    let documents = registry.documents(&at, &published, &signers).await.unwrap();
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0].media_type, media::SPDX);
    assert_eq!(documents[1].content["specVersion"], "1.6");
    let signer = bench.key.public().fingerprint();
    for document in &documents {
        assert_eq!(document.signer.as_ref(), Some(&signer));
    }
}

#[tokio::test]
async fn what_is_admitted_was_verified_and_is_found_again_by_digest() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let registry = bench.registry(Credentials::Anonymous);
    let admitted = registry
        .admit(&bench.host, "catalog", "bp-x", "1.0.0", &bench.policy)
        .await
        .unwrap();
    assert_eq!(admitted.digest, published);
    assert_eq!(admitted.repository, "catalog/bp-x");
    assert_eq!(admitted.signer, bench.key.public().fingerprint());
    assert_eq!(admitted.icon.as_deref(), Some("<svg/>"));
    assert_eq!(admitted.description.as_deref(), Some("# X\n"));
    let again = registry
        .manifests_by_digest(&bench.host, &admitted.repository, &admitted.digest)
        .await
        .unwrap();
    assert_eq!(again, admitted.manifests);
    // Trust in one source is none in another, and none at all admits nothing.
    for (source, policy) in [("acme", &bench.policy), ("catalog", &TrustPolicy::new())] {
        let refused = registry
            .admit(&bench.host, source, "bp-x", "1.0.0", policy)
            .await;
        assert!(matches!(refused, Err(VerifyError::Refused(_))), "{source}");
    }
}

#[tokio::test]
async fn either_form_of_signature_is_enough_and_none_is_refused() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let tag = format!("{}.sig", published.replacen(':', "-", 1));
    let key = ("catalog/bp-x".to_owned(), tag);
    let simple = bench.shared.lock().unwrap().manifests.remove(&key).unwrap();
    let registry = bench.registry(Credentials::Anonymous);
    let at = bench.reference("bp-x:1.0.0");
    registry
        .verify(&at, "catalog", &bench.policy)
        .await
        .unwrap();
    bench.shared.lock().unwrap().lists_referrers = false;
    assert_eq!(bench.refusal(&bench.policy).await, "Unsigned");
    bench.shared.lock().unwrap().manifests.insert(key, simple);
    registry
        .verify(&at, "catalog", &bench.policy)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_registry_without_a_list_of_referrers_gets_them_by_tag() {
    let bench = Bench::new().await;
    bench.shared.lock().unwrap().lists_referrers = false;
    let published = bench.publish().await;
    let registry = bench.registry(Credentials::Anonymous);
    let at = bench.reference("bp-x:1.0.0");
    let referrers = registry.referrers(&at, &published).await.unwrap();
    // A signature, two SBOMs, and that provenance and these are attested.
    assert_eq!(referrers.len(), 6);
    let tag = format!("{}.sig", published.replacen(':', "-", 1));
    bench
        .shared
        .lock()
        .unwrap()
        .manifests
        .remove(&("catalog/bp-x".to_owned(), tag));
    registry
        .verify(&at, "catalog", &bench.policy)
        .await
        .unwrap();
}

#[tokio::test]
async fn foreign_altered_and_untrusted_artifacts_are_refused_by_name() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let mut foreign = TrustPolicy::new();
    foreign.trust("catalog", SigningKey::generate().unwrap().public().clone());
    assert_eq!(bench.refusal(&foreign).await, "ForeignKey");
    assert_eq!(bench.refusal(&TrustPolicy::new()).await, "UntrustedSource");
    // Somebody replaces the artifact and takes the old signature along.
    {
        let mut stored = bench.shared.lock().unwrap();
        let own = |target: &str| ("catalog/bp-x".to_owned(), target.to_owned());
        let mut manifest: Value = serde_json::from_slice(&stored.manifests[&own("1.0.0")]).unwrap();
        manifest["annotations"]["evil"] = json!("yes");
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let signature =
            stored.manifests[&own(&format!("{}.sig", published.replacen(':', "-", 1)))].clone();
        let altered = digest(&bytes);
        stored.manifests.insert(own("1.0.0"), bytes);
        stored.manifests.insert(
            own(&format!("{}.sig", altered.replacen(':', "-", 1))),
            signature,
        );
    }
    assert_eq!(bench.refusal(&bench.policy).await, "AlteredDigest");
}

#[tokio::test]
async fn altered_blobs_and_manifests_are_noticed() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let registry = bench.registry(Credentials::Anonymous);
    let chart = package().blobs[1].descriptor.digest.clone();
    {
        let mut stored = bench.shared.lock().unwrap();
        let bytes = stored.blobs.get_mut(&chart).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        stored.manifests.insert(
            ("catalog/bp-x".to_owned(), published.clone()),
            b"{}".to_vec(),
        );
    }
    let by_tag = registry
        .pull(&bench.reference("bp-x:1.0.0"), "catalog", &bench.policy)
        .await;
    assert!(by_tag.unwrap_err().to_string().contains("altered"));
    let by_digest = bench.reference(&format!("bp-x@{published}"));
    let result = registry.verify(&by_digest, "catalog", &bench.policy).await;
    assert!(result.unwrap_err().to_string().contains("altered"));
}

#[tokio::test]
async fn basic_and_token_sign_in_work_and_refusals_say_what_to_do() {
    let bench = Bench::new().await;
    let basic = Credentials::Basic {
        username: "user".into(),
        password: "secret".into(),
    };
    let at = bench.reference("bp-x:1.0.0");
    bench.shared.lock().unwrap().password = Some("Basic dXNlcjpzZWNyZXQ=");
    let image = image::build(
        &[vec![Entry::file("a", "1")]],
        &image::ImageConfig::default(),
    )
    .unwrap();
    image
        .push(&bench.registry(basic.clone()), &at)
        .await
        .unwrap();
    let refused = image
        .push(&bench.registry(Credentials::Anonymous), &at)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("sign in"), "{refused}");
    assert!(!refused.retryable());
    {
        let mut stored = bench.shared.lock().unwrap();
        stored.password = None;
        stored.token_realm = Some(format!("http://{}/token", bench.host));
    }
    image.push(&bench.registry(basic), &at).await.unwrap();
    assert!(
        image
            .push(&bench.registry(Credentials::Anonymous), &at)
            .await
            .is_err()
    );
}

#[test]
fn an_image_is_the_same_every_time_and_survives_its_tar() {
    let entries = vec![
        Entry::program("bin/app", "#!"),
        Entry::file("etc/passwd", "root"),
    ];
    let config = image::ImageConfig {
        entrypoint: vec!["/bin/app".into()],
        ..Default::default()
    };
    let one = image::build(std::slice::from_ref(&entries), &config).unwrap();
    let two = image::build(&[entries.into_iter().rev().collect()], &config).unwrap();
    assert_eq!(one.digest(), two.digest());
    let tar = one.to_tar().unwrap();
    let again = image::Image::from_tar(&tar).unwrap();
    assert_eq!(again.digest(), one.digest());
    assert_eq!(again.blobs, one.blobs);
    let mut broken = tar;
    let position = broken
        .windows(2)
        .position(|pair| pair == [0x1f, 0x8b])
        .unwrap();
    broken[position + 12] ^= 1;
    assert!(image::Image::from_tar(&broken).is_err());
}

#[test]
fn a_packed_file_that_unpacks_to_more_than_it_is_is_refused() {
    const CLAIMED: &str = "00400000000";
    let mut header = tar::Header::new_gnu();
    header.set_path("index.json").unwrap();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(0);
    // 64 MiB without a byte of them, as tar's sparse files have it.
    let sparse = header.as_gnu_mut().unwrap();
    sparse.realsize[..11].copy_from_slice(CLAIMED.as_bytes());
    sparse.sparse[0].offset[..11].copy_from_slice(CLAIMED.as_bytes());
    sparse.sparse[0].numbytes[..11].copy_from_slice(b"00000000000");
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append(&header, std::io::empty()).unwrap();
    let tar = archive.into_inner().unwrap();
    assert!(tar.len() < 4096);
    let error = image::Image::from_tar(&tar).unwrap_err().to_string();
    assert!(error.contains("neither a file nor a folder"), "{error}");
}

#[tokio::test]
async fn what_another_signs_is_found_by_its_version_once_it_is_signed() {
    let bench = Bench::new().await;
    let (registry, package) = (bench.anonymous(), package());
    let base = format!("{}/catalog", bench.host);
    let at = registry
        .stage(&base, &package, &Origin::default())
        .await
        .unwrap();
    assert_eq!(at, bench.reference("bp-x:1.0.0"));
    let nobody = Signers::default();
    let documents = registry.documents(&at, package.digest(), &nobody).await;
    assert_eq!(documents.unwrap().len(), 2, "the SBOMs are there");
    let unsigned = registry.release(&at, &package).await.unwrap_err();
    assert!(
        matches!(&unsigned, VerifyError::Refused(refusal) if refusal.reason() == "Unsigned"),
        "{unsigned}"
    );
    assert_eq!(bench.shared.lock().unwrap().tag("1.0.0"), None);
    let by_digest = bench.reference(&format!("bp-x@{}", package.digest()));
    registry
        .sign_artifact(&by_digest, &bench.key)
        .await
        .unwrap();
    registry.release(&at, &package).await.unwrap();
    let verified = registry.verify(&at, "catalog", &bench.policy).await;
    assert_eq!(verified.unwrap().digest, package.digest());
    // Again, it is what it was.
    registry
        .stage(&base, &package, &Origin::default())
        .await
        .unwrap();
    registry.release(&at, &package).await.unwrap();
}

#[tokio::test]
async fn a_version_that_is_there_keeps_its_content() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let mut files = folder();
    files.insert("README.md".to_owned(), b"Something else\n".to_vec());
    let other = pack(&files, &PackOptions::default()).unwrap();
    assert_ne!(other.digest(), published);
    let base = format!("{}/catalog", bench.host);
    let refused = bench
        .anonymous()
        .stage(&base, &other, &Origin::default())
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "could not publish {base}/bp-x:1.0.0: the registry has that version already, with other content ({published}); publish the changed Blueprint under a new version"
        )
    );
    assert!(!refused.retryable());
    let stored = bench.shared.lock().unwrap();
    assert_eq!(digest(stored.tag("1.0.0").unwrap()), published);
}
