use std::path::Path;
use std::time::SystemTime;

use catalyst_node::image::{ImageStore, Puller};
use catalyst_registry::{
    Access, AccessError, Action, Credentials as Given, Principal, RepositoryName,
};
use catalyst_store::Store;
use catalyst_supply::{Credentials, Entry, ImagePart, cyclonedx, image, image_bill, spdx};
use futures::future::BoxFuture;

use super::carried::{BLUEPRINTS, IMAGES_FOLDER};
use super::*;

/// Knows one token, whose holder may do everything.
struct OneToken;

impl Access for OneToken {
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Given,
    ) -> BoxFuture<'a, Result<Principal, AccessError>> {
        Box::pin(async move {
            let token = match credentials {
                Given::Anonymous => return Ok(Principal::default()),
                Given::Bearer(token) => token,
                Given::Basic { password, .. } => password,
            };
            if token != "the-token" {
                return Err(AccessError::Rejected);
            }
            let mut principal = Principal::named("catalyst");
            principal.is_administrator = true;
            Ok(principal)
        })
    }

    fn allows<'a>(
        &'a self,
        principal: &'a Principal,
        _: &'a RepositoryName,
        _: Action,
    ) -> BoxFuture<'a, Result<bool, AccessError>> {
        Box::pin(async move { Ok(principal.is_administrator) })
    }
}

fn http() -> reqwest::Client {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Serves an empty registry; its host.
async fn serve(folder: &Path) -> String {
    let store = Store::open(
        folder.join("store.redb"),
        catalyst_store::Options::default(),
    )
    .unwrap();
    let config = catalyst_registry::Config::new(folder.join("registry"), store, Arc::new(OneToken));
    let registry = catalyst_registry::Registry::open(config).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, registry.router()).await });
    host
}

fn client() -> Registry {
    Registry::new(http(), Credentials::Bearer("the-token".to_owned()))
}

/// Images as `make images` leaves them, but tiny.
fn small_images(folder: &Path) -> Payload {
    images_with(folder, "")
}

/// The same, with something more in each program.
fn images_with(folder: &Path, more: &str) -> Payload {
    let mut listing = BTreeMap::new();
    for (name, tag) in [("guestbook", "1.0.0"), ("postgres", "18.4.0")] {
        let entries = vec![Entry::program(
            format!("bin/{name}"),
            format!("{name}{more}").into_bytes(),
        )];
        let built = image::build(&[entries], &image::ImageConfig::default()).unwrap();
        std::fs::write(
            folder.join(format!("{name}.oci.tar")),
            built.to_tar().unwrap(),
        )
        .unwrap();
        listing.insert(
            format!("ghcr.io/openova-io/{name}:{tag}"),
            built.digest().to_owned(),
        );
    }
    std::fs::write(
        folder.join("images.json"),
        serde_json::to_vec(&listing).unwrap(),
    )
    .unwrap();
    Payload::from_folder(folder)
}

/// The files below a folder with their times.
fn touched(folder: &Path) -> BTreeMap<std::path::PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(touched(&entry.path()));
        } else {
            found.insert(entry.path(), entry.metadata().unwrap().modified().unwrap());
        }
    }
    found
}

#[tokio::test]
async fn what_is_carried_is_published_once_and_nodes_find_the_images_by_their_public_names() {
    let folder = tempfile::tempdir().unwrap();
    let host = serve(folder.path()).await;
    let payload = small_images(folder.path());
    let key = SigningKey::generate().unwrap();

    let published = publish(&client(), &host, &key, &payload).await.unwrap();
    let references: Vec<&str> = published.iter().map(|it| it.reference.as_str()).collect();
    assert_eq!(
        references,
        [
            format!("{host}/catalog/bp-guestbook:1.0.0"),
            format!("{host}/catalog/bp-postgres:1.4.0")
        ]
    );

    // The digest in the published chart is that of the image carried, and a node
    // finds it by the name that the chart gives.
    let mut policy = TrustPolicy::new();
    policy.trust(SOURCE, key.public().clone());
    let at = Reference::parse(references[0]).unwrap();
    let pulled = client().pull(&at, SOURCE, &policy).await.unwrap();
    let values =
        String::from_utf8_lossy(&pulled.manifests["bp-guestbook/values.yaml"]).into_owned();
    let values = catalyst_yaml::from_str(&values).unwrap();
    assert_eq!(values["image"]["digest"], payload.images()[0].digest);
    let name = format!(
        "{}@{}",
        payload.images()[0].name,
        values["image"]["digest"].as_str().unwrap()
    );
    let store = ImageStore {
        layers: folder.path().join("layers"),
        images: folder.path().join("unpacked"),
        base: None,
    };
    std::fs::create_dir(&store.layers).unwrap();
    std::fs::create_dir(&store.images).unwrap();
    let registries = registries(&format!("http://{host}"), "the-token".to_owned());
    let puller = Puller::new(store.clone(), http(), registries);
    let image = puller.pull(&name, false).await.unwrap();
    assert!(
        store
            .layers
            .join(&image.layers[0])
            .join("bin/guestbook")
            .is_file()
    );

    // Again: the same answer, and nothing in the registry was written.
    let before = touched(&folder.path().join("registry"));
    let again = publish(&client(), &host, &key, &payload).await.unwrap();
    assert_eq!(again, published);
    assert_eq!(touched(&folder.path().join("registry")), before);

    // As an older binary left it, which attested no SBOMs: they are attested now.
    let digest = &published[0].digest;
    let referrers = client().referrers(&at, digest).await.unwrap();
    let names = |one: &catalyst_supply::Descriptor, word: &str| {
        one.annotations.values().any(|value| value.contains(word))
    };
    for bill in referrers.iter().filter(|one| names(one, "cyclonedx.org")) {
        let url = format!(
            "http://{host}/v2/catalog/bp-guestbook/manifests/{}",
            bill.digest
        );
        let deleted = http().delete(url).bearer_auth("the-token").send().await;
        assert!(deleted.unwrap().status().is_success());
    }
    let is_attested = || async { client().has_attested_documents(&at, digest).await.unwrap() };
    assert!(!is_attested().await);
    let again = publish(&client(), &host, &key, &payload).await.unwrap();
    assert_eq!(again, published);
    assert!(is_attested().await);
    let signers = policy.signers(SOURCE).unwrap();
    let documents = client().documents(&at, digest, &signers).await.unwrap();
    assert_eq!(documents.len(), 2);
    assert!(documents.iter().all(|document| document.signer.is_some()));

    // A binary that was built anew, and has other content under the same version.
    let later = tempfile::tempdir().unwrap();
    let changed = images_with(later.path(), " more");
    assert_ne!(
        changed.packages().unwrap()[0].digest(),
        payload.packages().unwrap()[0].digest()
    );
    let kept = publish(&client(), &host, &key, &changed).await.unwrap();
    assert_eq!(kept, published);
    let pulled = client().pull(&at, SOURCE, &policy).await.unwrap();
    assert_eq!(pulled.verified.digest, published[0].digest);

    // Another key, as after a restored registry: signed anew.
    let other = SigningKey::generate().unwrap();
    let anew = publish(&client(), &host, &other, &payload).await.unwrap();
    assert_eq!(anew[0].signer, *other.public());
    assert_eq!(anew[0].digest, published[0].digest);
}

#[test]
fn registries_are_reached_as_their_names_say() {
    let registries = registries("http://127.0.0.1:8080/", "t".to_owned());
    let check = |host: &str, mirror: Option<&str>| {
        let found = registries(host);
        assert_eq!(found.mirror.as_deref(), mirror, "{host}");
        assert_eq!(found.credentials.is_some(), mirror.is_some(), "{host}");
    };
    check("127.0.0.1:8080", Some("http://127.0.0.1:8080"));
    check(
        "ghcr.io",
        Some("http://127.0.0.1:8080/v2/catalyst/mirror/ghcr.io"),
    );
    check("docker.io", None);
    check("ghcr.io.example.org", None);
}

#[test]
fn only_the_digest_of_a_carried_image_is_written_into_the_values() {
    let folder = tempfile::tempdir().unwrap();
    let images = small_images(folder.path());
    let values = "# c\nimage:\n  repository: ghcr.io/openova-io/guestbook\n  tag: 1.0.0\n  # d\n  digest: \"\"\nother:\n  repository: x\n  tag: 1\n  digest: sha256:1\n";
    let Pinned {
        text,
        images: named,
    } = pin(values, images.images());
    assert_eq!(text, values.replace("\"\"", &images.images()[0].digest));
    let names = ["ghcr.io/openova-io/guestbook:1.0.0", "x:1"];
    assert_eq!(named, BTreeSet::from(names.map(str::to_owned)));
    assert_eq!(pin(&text, images.images()).text, text);
    assert_eq!(pin(values, &[]).text, values);
}

#[test]
fn a_folder_without_images_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let payload = Payload::from_folder(folder.path());
    assert!(payload.images().is_empty());
    assert!(payload.lacking().unwrap().contains("make images"));
    assert_eq!(payload.packages().unwrap().len(), 2);
}

/// The images that `make test` built, against the charts in the checkout. With the
/// toolchain that the charts' images were built with, they must be the same bytes.
#[test]
fn the_charts_name_the_images_that_are_built() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = Path::new(IMAGES_FOLDER);
    let payload = Payload::from_folder(folder);
    assert_eq!(
        payload.lacking(),
        None,
        "`make test` builds the images first"
    );
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let same =
        read(&folder.join("toolchain.txt")) == read(&root.join("tools/images/toolchain.txt"));
    for shipped in BLUEPRINTS {
        let values = read(&root.join(shipped.path).join("chart/values.yaml"));
        let pinned = pin(&values, payload.images()).text;
        let mut images = 0;
        for image in payload.images() {
            if pinned.contains(&image.digest) {
                images += 1;
            }
        }
        assert_eq!(images, 1, "{}", shipped.path);
        if same {
            assert_eq!(
                values, pinned,
                "{}: run `make images ARGS=--pin`",
                shipped.path
            );
        }
    }
}

#[test]
fn images_of_a_folder_stand_beside_those_of_the_binary_and_replace_none() {
    let (own, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let own = small_images(own.path());
    images_with(others.path(), " as built elsewhere");
    let listing = others.path().join("images.json");
    let text = std::fs::read_to_string(&listing).unwrap();
    let renamed = text.replace("openova-io/guestbook:", "openova-io/valkey:");
    std::fs::write(&listing, renamed).unwrap();
    let both = own.clone().beside(Payload::from_folder(others.path()));
    let names: Vec<&str> = both.images().iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "ghcr.io/openova-io/guestbook:1.0.0",
            "ghcr.io/openova-io/postgres:18.4.0",
            "ghcr.io/openova-io/valkey:1.0.0",
        ]
    );
    assert_eq!(&both.images()[..2], own.images());
    assert_eq!(both.lacking(), None);
    let absent = own
        .clone()
        .beside(Payload::from_folder(Path::new("/nowhere")));
    assert_eq!(absent.images(), own.images());
    assert!(absent.lacking().unwrap().contains("make images"));
}

/// The files of the guestbook's Blueprint.
fn guestbook() -> BTreeMap<String, Vec<u8>> {
    let folder = BLUEPRINTS.iter().find(|it| it.path.contains("guestbook"));
    let files = folder.unwrap().files.iter();
    files
        .map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec()))
        .collect()
}

/// Tiny images with something more in each program, named below a registry.
fn images_named(folder: &Path, base: &str, more: &str) -> Payload {
    images_with(folder, more);
    let listing = folder.join("images.json");
    let text = std::fs::read_to_string(&listing).unwrap();
    std::fs::write(&listing, text.replace("ghcr.io/openova-io", base)).unwrap();
    Payload::from_folder(folder)
}

#[tokio::test]
async fn the_images_of_a_release_come_to_where_its_chart_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let base = format!("{}/catalog", serve(folder.path()).await);
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = images_named(first.path(), &base, "");
    let second = images_named(second.path(), &base, " more");
    let packed = |images: &Payload| {
        let mut files = guestbook();
        let values = files.get_mut("chart/values.yaml").unwrap();
        let text = String::from_utf8(values.clone()).unwrap();
        *values = text.replace("ghcr.io/openova-io", &base).into_bytes();
        pack(files, images.images()).unwrap()
    };
    let (package, changed) = (packed(&first), packed(&second));
    assert_ne!(package.images, changed.images);
    let at = Reference::parse(&format!("{base}/bp-guestbook:1.0.0")).unwrap();
    let registry = client();

    let nothing = Payload::default();
    let unbuilt = push_images(&registry, &at, &package, &nothing).await;
    let told = unbuilt.unwrap_err().to_string();
    assert!(told.contains("none of that name was built"), "{told}");
    let pushed = push_images(&registry, &at, &package, &first).await.unwrap();
    assert_eq!(pushed, package.images);
    let again = push_images(&registry, &at, &package, &nothing).await;
    assert!(again.unwrap().is_empty());

    // Only what the chart names by its digest is pushed, and no tag moves.
    let other = push_images(&registry, &at, &changed, &first).await;
    let told = other.unwrap_err().to_string();
    assert!(told.contains("what was built of that name is"), "{told}");
    let pushed = push_images(&registry, &at, &changed, &second)
        .await
        .unwrap();
    assert_eq!(pushed, changed.images);
    for (named, target, holder) in [
        (&package.images[0], "1.0.0", &package.images[0]),
        (&changed.images[0], "1.0.0", &package.images[0]),
    ] {
        let image = Reference::parse(named).unwrap();
        let digest = image.digest.clone().unwrap();
        registry.manifest(&image, &digest).await.unwrap();
        let tagged = registry.manifest(&image, target).await.unwrap();
        let tagged = catalyst_supply::digest(&tagged);
        assert!(holder.ends_with(&tagged), "{named}: {tagged}");
    }

    // What another registry has is not this one's to push.
    let elsewhere = tempfile::tempdir().unwrap();
    let images = small_images(elsewhere.path());
    let package = pack(guestbook(), images.images()).unwrap();
    let none = push_images(&registry, &at, &package, &nothing).await;
    assert!(none.unwrap().is_empty());
}

#[test]
fn the_packages_of_a_built_image_are_those_of_a_release_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let images = small_images(folder.path());
    let mut package = pack(guestbook(), images.images()).unwrap();
    assert!(package.parts.is_empty());
    let image = &images.images()[0];
    let purl = "pkg:cargo/time@0.1.40";
    let parts = vec![ImagePart::library("time", "0.1.40", purl)];
    let bill = image_bill(&image.name, &image.digest, &parts);
    std::fs::write(folder.path().join("guestbook.cdx.json"), bill.to_string()).unwrap();
    describe(&mut package, &images).unwrap();
    assert_eq!(package.parts.get(&package.images[0]), Some(&parts));
    // Of another build of it, nothing is known.
    let other = tempfile::tempdir().unwrap();
    let others = images_with(other.path(), " more");
    let mut package = pack(guestbook(), others.images()).unwrap();
    describe(&mut package, &images).unwrap();
    assert!(package.parts.is_empty());
}

#[test]
fn the_packages_of_images_that_a_blueprint_does_not_name_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let images = small_images(folder.path());
    let unreadable = |name: &str| {
        let file = folder.path().join(format!("{name}.cdx.json"));
        std::fs::write(file, "no list").unwrap();
    };
    unreadable("postgres");
    pack(guestbook(), images.images()).unwrap();
    unreadable("guestbook");
    let error = pack(guestbook(), images.images()).err().unwrap();
    assert!(error.to_string().contains("guestbook"), "{error}");
}

#[test]
fn the_packages_of_a_carried_image_stand_in_the_bill_of_its_blueprint() {
    let folder = tempfile::tempdir().unwrap();
    let payload = small_images(folder.path());
    let image = &payload.images()[0];
    let parts = [ImagePart::library(
        "time",
        "0.1.40",
        "pkg:cargo/time@0.1.40",
    )];
    let bill = image_bill(&image.name, &image.digest, &parts);
    std::fs::write(folder.path().join("guestbook.cdx.json"), bill.to_string()).unwrap();
    let packages = payload.packages().unwrap();
    let digests: Vec<&str> = packages.iter().map(Package::digest).collect();
    let guestbook = packages
        .iter()
        .find(|it| it.blueprint.name() == "bp-guestbook")
        .unwrap();
    let document = cyclonedx(guestbook, &Origin::default());
    let image = document["components"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["type"] == "container")
        .unwrap();
    assert_eq!(image["components"][0]["purl"], "pkg:cargo/time@0.1.40");
    let listed = spdx(guestbook, &Origin::default());
    let listed = listed["packages"].as_array().unwrap();
    assert!(listed.iter().any(|it| it["name"] == "time"), "{listed:?}");
    // What is known of the images changes no artifact.
    std::fs::remove_file(folder.path().join("guestbook.cdx.json")).unwrap();
    let without = payload.packages().unwrap();
    let without: Vec<&str> = without.iter().map(Package::digest).collect();
    assert_eq!(without, digests);
}
