//! Hostile and damaged images.

use std::path::Path;

use crate::support::{Blobs, Entry, client, layer};
use catalyst_node::NodeError;
use catalyst_node::image::{ImageStore, Puller, Registry, unpack};
use serde_json::json;

fn attempt(entries: &[Entry<'_>]) -> (tempfile::TempDir, Result<(), NodeError>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("outside"), "untouched").unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let outcome = unpack(layer(entries).as_slice(), &root, None);
    (folder, outcome)
}

fn assert_untouched(folder: &Path) {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["outside", "root"]);
    assert_eq!(
        std::fs::read_to_string(folder.join("outside")).unwrap(),
        "untouched"
    );
}

#[test]
fn nothing_leaves_the_root() {
    let cases: &[&[Entry<'_>]] = &[
        &[Entry::File("../evil", b"x", 0o644)],
        &[Entry::File("a/../../evil", b"x", 0o644)],
        &[Entry::Link("up", ".."), Entry::File("up/evil", b"x", 0o644)],
        &[
            Entry::Link("up", "../.."),
            Entry::File("up/outside", b"x", 0o644),
        ],
        &[
            Entry::Hard("copy", "../outside"),
            Entry::File("copy", b"x", 0o644),
        ],
        &[
            Entry::Link("out", "../outside"),
            Entry::File("out", b"x", 0o644),
        ],
        &[
            Entry::Link("up", ".."),
            Entry::File("up/.wh.outside", b"", 0o644),
        ],
        &[Entry::Link("up", ".."), Entry::Hard("copy", "up/outside")],
        &[Entry::File(".wh...", b"", 0o644)],
        &[
            Entry::Link("etc", "/"),
            Entry::File("etc/outside", b"x", 0o644),
        ],
    ];
    for entries in cases {
        // Refused or kept inside: either way nothing outside has changed.
        let (folder, _) = attempt(entries);
        assert_untouched(folder.path());
    }
    let (_folder, outcome) = attempt(&[Entry::File("../evil", b"x", 0o644)]);
    assert!(
        outcome
            .unwrap_err()
            .to_string()
            .contains("leads out of the image")
    );
}

#[test]
fn absolute_names_and_repeated_entries_land_inside() {
    let (folder, outcome) = attempt(&[
        Entry::File("/abs/file", b"one", 0o600),
        Entry::File("abs/file", b"two", 0o644),
        Entry::Link("link", "abs"),
        Entry::File("link/through", b"three", 0o644),
        Entry::File("kind", b"file first", 0o644),
        Entry::Folder("kind"),
    ]);
    outcome.unwrap();
    let root = folder.path().join("root");
    assert_eq!(
        std::fs::read_to_string(root.join("abs/file")).unwrap(),
        "two"
    );
    assert_eq!(
        std::fs::read_to_string(root.join("abs/through")).unwrap(),
        "three"
    );
    assert!(root.join("kind").is_dir());
}

#[test]
fn a_cut_off_archive_is_an_error() {
    let whole = layer(&[Entry::File("big", &[7u8; 4096], 0o644)]);
    let folder = tempfile::tempdir().unwrap();
    assert!(unpack(&whole[..2000], folder.path(), None).is_err());
}

#[tokio::test]
async fn what_a_registry_sends_must_be_what_it_promised() {
    let mut blobs = Blobs::default();
    let plain = layer(&[Entry::File("f", b"content", 0o644)]);
    blobs.image("good", "1", std::slice::from_ref(&plain), json!({}));
    blobs.image(
        "bad",
        "1",
        &[layer(&[Entry::File("f", b"other", 0o644)])],
        json!({}),
    );
    let forged = blobs
        .0
        .iter()
        .find(|(k, _)| k.starts_with("good/blobs/"))
        .map(|(_, v)| v.clone())
        .unwrap();
    for (name, bytes) in &mut blobs.0 {
        if name.starts_with("bad/blobs/") {
            bytes.clone_from(&forged);
        }
    }
    let url = blobs.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let store = ImageStore {
        layers: folder.path().join("layers"),
        images: folder.path().join("images"),
        base: None,
    };
    std::fs::create_dir(&store.layers).unwrap();
    std::fs::create_dir(&store.images).unwrap();
    let registry = |credentials: Option<(String, String)>| {
        let url = url.clone();
        std::sync::Arc::new(move |_: &str| Registry {
            mirror: Some(url.clone()),
            credentials: credentials.clone(),
        })
    };
    let known = Puller::new(
        store.clone(),
        client(),
        registry(Some(("u".to_owned(), "p".to_owned()))),
    );
    let image = known.pull("good:1", false).await;
    assert!(
        image.is_err(),
        "an unqualified name means library/good, which is not there"
    );
    let image = known.pull("localhost/good:1", false).await.unwrap();
    assert!(store.layers.join(&image.layers[0]).join("f").is_file());
    let error = known
        .pull("localhost/bad:1", false)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("was promised"), "{error}");
    assert_eq!(store.get("localhost/bad:1"), None);
    let stranger = Puller::new(store, client(), registry(None));
    let error = stranger
        .pull("localhost/other:1", false)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("refuses access"), "{error}");
}

#[tokio::test]
async fn a_mirror_of_a_part_is_asked_below_its_path() {
    let mut blobs = Blobs::default();
    let plain = layer(&[Entry::File("f", b"content", 0o644)]);
    blobs.image(
        "catalyst/mirror/registry.invalid/acme/good",
        "1",
        std::slice::from_ref(&plain),
        json!({}),
    );
    let url = format!(
        "{}/v2/catalyst/mirror/registry.invalid",
        blobs.serve().await
    );
    let folder = tempfile::tempdir().unwrap();
    let store = ImageStore {
        layers: folder.path().join("layers"),
        images: folder.path().join("images"),
        base: None,
    };
    std::fs::create_dir(&store.layers).unwrap();
    std::fs::create_dir(&store.images).unwrap();
    let registry_of = move |_: &str| Registry {
        mirror: Some(url.clone()),
        credentials: Some(("u".to_owned(), "p".to_owned())),
    };
    let puller = Puller::new(store.clone(), client(), std::sync::Arc::new(registry_of));
    let image = puller.pull("registry.invalid/acme/good:1", false).await;
    let image = image.unwrap();
    assert!(store.layers.join(&image.layers[0]).join("f").is_file());
    // What the mirror lacks is asked for where the name says.
    let error = puller
        .pull("registry.invalid/acme/other:1", false)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("https://registry.invalid cannot be reached"),
        "{error}"
    );
}

#[tokio::test]
async fn a_registry_that_nobody_runs_is_told_in_a_few_words() {
    let folder = tempfile::tempdir().unwrap();
    let store = ImageStore {
        layers: folder.path().join("layers"),
        images: folder.path().join("images"),
        base: None,
    };
    // Taken, so that nobody else comes to listen there, and not listened on.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    let said = format!("the registry at {url} cannot be reached: ");
    let registry_of = move |_: &str| Registry {
        mirror: Some(url.clone()),
        credentials: None,
    };
    let puller = Puller::new(store, client(), std::sync::Arc::new(registry_of));
    let error = puller.pull("registry.invalid/acme/good:1", false).await;
    let why = error.unwrap_err().of_image();
    let cause = why.strip_prefix(&said).unwrap_or_else(|| panic!("{why}"));
    assert!(cause.starts_with("Connection refused"), "{why}");
}
