//! The distribution API over a real socket: every verb, and how each fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics says what failed"
)]

mod common;

use std::sync::{Arc, Mutex};

use catalyst_registry::{Change, Event};
use common::{INDEX, MANIFEST, descriptor, header, image, refused, serve, sha256};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_blob_pushed_in_one_request_is_read_whole_and_in_ranges() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let digest = served.push_blob("acme/web", b"0123456789").await;
    let path = format!("/v2/acme/web/blobs/{digest}");

    let head = served.send("HEAD", &path).await;
    assert_eq!(
        (head.status().as_u16(), header(&head, "content-length")),
        (200, "10")
    );
    assert_eq!(header(&head, "docker-content-digest"), digest.to_string());
    let whole = served.send("GET", &path).await;
    assert_eq!(whole.text().await.unwrap(), "0123456789");

    let part = served
        .request("GET", &path)
        .header("range", "bytes=2-4")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (part.status().as_u16(), header(&part, "content-range")),
        (206, "bytes 2-4/10")
    );
    assert_eq!(part.text().await.unwrap(), "234");
    let beyond = served
        .request("GET", &path)
        .header("range", "bytes=10-")
        .send()
        .await
        .unwrap();
    assert_eq!(header(&beyond, "content-range"), "bytes */10");
    refused(beyond, 416, "RANGE_INVALID").await;
    let known = served
        .request("GET", &path)
        .header("if-none-match", format!("\"{digest}\""))
        .send()
        .await
        .unwrap();
    assert_eq!(known.status(), 304);

    // The same bytes are nothing to another repository.
    refused(
        served
            .send("GET", &format!("/v2/acme/other/blobs/{digest}"))
            .await,
        404,
        "BLOB_UNKNOWN",
    )
    .await;
    refused(
        served.send("GET", "/v2/acme/web/blobs/sha256:abc").await,
        400,
        "DIGEST_INVALID",
    )
    .await;
    refused(
        served
            .send("GET", &format!("/v2/ACME/blobs/{digest}"))
            .await,
        400,
        "NAME_INVALID",
    )
    .await;
    refused(served.send("POST", &path).await, 405, "UNSUPPORTED").await;
}

#[tokio::test]
async fn a_blob_with_a_wrong_digest_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |config| config.limits.blob_bytes = 64).await;
    let wrong = sha256(b"something else");
    let path = format!("/v2/acme/web/blobs/uploads/?digest={wrong}");
    let answer = served
        .request("POST", &path)
        .body("content")
        .send()
        .await
        .unwrap();
    refused(answer, 400, "DIGEST_INVALID").await;
    refused(
        served
            .send("GET", &format!("/v2/acme/web/blobs/{wrong}"))
            .await,
        404,
        "BLOB_UNKNOWN",
    )
    .await;
    let large = served
        .request("POST", &path)
        .body(vec![0; 65])
        .send()
        .await
        .unwrap();
    refused(large, 413, "SIZE_INVALID").await;
    let uploads = folder.path().join("registry/uploads");
    assert_eq!(std::fs::read_dir(uploads).unwrap().count(), 0);
}

#[tokio::test]
async fn sha512_is_verified_too() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let digest = catalyst_registry::Digest::of(catalyst_registry::Algorithm::Sha512, b"content");
    let path = format!("/v2/acme/web/blobs/uploads/?digest={digest}");
    refused(
        served
            .request("POST", &path)
            .body("other")
            .send()
            .await
            .unwrap(),
        400,
        "DIGEST_INVALID",
    )
    .await;
    let answer = served
        .request("POST", &path)
        .body("content")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    let read = served
        .send("GET", &format!("/v2/acme/web/blobs/{digest}"))
        .await;
    assert_eq!(read.text().await.unwrap(), "content");
}

#[tokio::test]
async fn a_chunked_upload_keeps_its_order_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let opened = served.send("POST", "/v2/acme/web/blobs/uploads/").await;
    assert_eq!(opened.status(), 202);
    let upload = header(&opened, "location").to_owned();
    let chunk = |range: &'static str, body: &'static str| {
        served
            .request("PATCH", &upload)
            .header("content-range", range)
            .body(body)
            .send()
    };
    let first = chunk("0-3", "0123").await.unwrap();
    assert_eq!(
        (first.status().as_u16(), header(&first, "range")),
        (202, "0-3")
    );
    let gap = chunk("5-6", "56").await.unwrap();
    assert_eq!(header(&gap, "range"), "0-3");
    refused(gap, 416, "BLOB_UPLOAD_INVALID").await;
    refused(chunk("4-9", "45").await.unwrap(), 400, "SIZE_INVALID").await;
    refused(chunk("4", "4").await.unwrap(), 400, "BLOB_UPLOAD_INVALID").await;
    let status = served.send("GET", &upload).await;
    assert_eq!(
        (status.status().as_u16(), header(&status, "range")),
        (204, "0-3")
    );
    // Another repository cannot reach it.
    let foreign = upload.replace("acme/web", "globex/web");
    refused(
        served.send("GET", &foreign).await,
        404,
        "BLOB_UPLOAD_UNKNOWN",
    )
    .await;
    served.stop().await;

    let served = serve(folder.path(), false, |_| {}).await;
    let status = served.send("GET", &upload).await;
    assert_eq!(
        (status.status().as_u16(), header(&status, "range")),
        (204, "0-3")
    );
    let second = served
        .request("PATCH", &upload)
        .body("45")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (second.status().as_u16(), header(&second, "range")),
        (202, "0-5")
    );
    refused(served.send("PUT", &upload).await, 400, "DIGEST_INVALID").await;
    let digest = sha256(b"01234567");
    let done = served
        .request("PUT", &format!("{upload}?digest={digest}"))
        .header("content-range", "6-7")
        .body("67")
        .send()
        .await
        .unwrap();
    assert_eq!(done.status(), 201);
    assert_eq!(
        header(&done, "location"),
        format!("/v2/acme/web/blobs/{digest}")
    );
    refused(
        served.send("GET", &upload).await,
        404,
        "BLOB_UPLOAD_UNKNOWN",
    )
    .await;
    let read = served
        .send("GET", &format!("/v2/acme/web/blobs/{digest}"))
        .await;
    assert_eq!(read.text().await.unwrap(), "01234567");
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_what_arrived() {
    use tokio::io::AsyncWriteExt as _;
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let opened = served.send("POST", "/v2/acme/web/blobs/uploads/").await;
    let upload = header(&opened, "location").to_owned();
    let address = served.address.trim_start_matches("http://").to_owned();
    let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
    let request =
        format!("PATCH {upload} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 9\r\n\r\n0123");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    // The status waits for the broken request to end, so it cannot be early
    // for long: ask until the bytes are there, at most ten seconds.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let status = served.send("GET", &upload).await;
        if header(&status, "range") == "0-3" {
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{}",
            header(&status, "range")
        );
        tokio::task::yield_now().await;
    }
    let digest = sha256(b"012345678");
    let path = format!("{upload}?digest={digest}");
    let done = served
        .request("PUT", &path)
        .body("45678")
        .send()
        .await
        .unwrap();
    assert_eq!(done.status(), 201);
}

#[tokio::test]
async fn an_upload_can_be_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let opened = served.send("POST", "/v2/acme/web/blobs/uploads/").await;
    let upload = header(&opened, "location").to_owned();
    assert_eq!(served.send("DELETE", &upload).await.status(), 204);
    refused(
        served.send("DELETE", &upload).await,
        404,
        "BLOB_UPLOAD_UNKNOWN",
    )
    .await;
}

#[tokio::test]
async fn a_blob_is_mounted_from_another_repository() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let digest = served.push_blob("acme/web", b"shared").await;
    let path = format!("/v2/acme/api/blobs/uploads/?mount={digest}&from=acme/web");
    assert_eq!(served.send("POST", &path).await.status(), 201);
    let read = served
        .send("GET", &format!("/v2/acme/api/blobs/{digest}"))
        .await;
    assert_eq!(read.text().await.unwrap(), "shared");
    let path = format!(
        "/v2/acme/api/blobs/uploads/?mount={}&from=acme/web",
        sha256(b"none")
    );
    assert_eq!(served.send("POST", &path).await.status(), 202);
}

#[tokio::test]
async fn a_manifest_is_stored_by_tag_and_found_by_digest() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let digest = served.push_image("acme/web", "1.0.0", b"layer").await;
    let body = image(b"layer").to_string();
    for reference in ["1.0.0".to_owned(), digest.to_string()] {
        let path = format!("/v2/acme/web/manifests/{reference}");
        let head = served.send("HEAD", &path).await;
        assert_eq!(head.status(), 200);
        assert_eq!(header(&head, "docker-content-digest"), digest.to_string());
        assert_eq!(header(&head, "content-length"), body.len().to_string());
        let read = served.send("GET", &path).await;
        assert_eq!(header(&read, "content-type"), MANIFEST);
        assert_eq!(read.text().await.unwrap(), body);
    }
    let by_digest = served
        .put_manifest("acme/web", &sha256(b"x").to_string(), &image(b"layer"))
        .await;
    refused(by_digest, 400, "DIGEST_INVALID").await;

    // Deleting the tag keeps the manifest; deleting the manifest takes its tags.
    let stays = served
        .put_manifest("acme/web", "latest", &image(b"layer"))
        .await;
    assert_eq!(stays.status(), 201);
    assert_eq!(
        served
            .send("DELETE", "/v2/acme/web/manifests/1.0.0")
            .await
            .status(),
        202
    );
    refused(
        served.send("GET", "/v2/acme/web/manifests/1.0.0").await,
        404,
        "MANIFEST_UNKNOWN",
    )
    .await;
    assert_eq!(
        served
            .send("GET", "/v2/acme/web/manifests/latest")
            .await
            .status(),
        200
    );
    let path = format!("/v2/acme/web/manifests/{digest}");
    assert_eq!(served.send("DELETE", &path).await.status(), 202);
    refused(served.send("DELETE", &path).await, 404, "MANIFEST_UNKNOWN").await;
    refused(
        served.send("GET", "/v2/acme/web/manifests/latest").await,
        404,
        "MANIFEST_UNKNOWN",
    )
    .await;
}

#[tokio::test]
async fn a_manifest_that_cannot_be_served_whole_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |config| {
        config.limits.manifest_bytes = 2000
    })
    .await;
    served.push_blob("acme/web", b"{}").await;
    let missing = served.put_manifest("acme/web", "a", &image(b"layer")).await;
    refused(missing, 400, "MANIFEST_BLOB_UNKNOWN").await;
    served.push_blob("acme/web", b"layer").await;
    let mut lies = image(b"layer");
    lies["layers"][0]["size"] = json!(99);
    refused(
        served.put_manifest("acme/web", "a", &lies).await,
        400,
        "MANIFEST_INVALID",
    )
    .await;
    let index = json!({"schemaVersion": 2, "mediaType": INDEX,
        "manifests": [descriptor(MANIFEST, b"not here")]});
    refused(
        served.put_manifest("acme/web", "a", &index).await,
        400,
        "MANIFEST_BLOB_UNKNOWN",
    )
    .await;
    let mut large = image(b"layer");
    large["annotations"] = json!({"a": "x".repeat(3000)});
    refused(
        served.put_manifest("acme/web", "a", &large).await,
        413,
        "SIZE_INVALID",
    )
    .await;
    let odd = json!({"schemaVersion": 2, "mediaType": "text/plain"});
    refused(
        served.put_manifest("acme/web", "a", &odd).await,
        400,
        "MANIFEST_INVALID",
    )
    .await;
    refused(
        served
            .put_manifest("acme/web", ".a", &image(b"layer"))
            .await,
        400,
        "MANIFEST_INVALID",
    )
    .await;
    // A foreign layer need not be there.
    let mut foreign = image(b"layer");
    foreign["layers"][0]["digest"] = json!(sha256(b"elsewhere"));
    foreign["layers"][0]["urls"] = json!(["https://elsewhere.example/layer"]);
    assert_eq!(
        served
            .put_manifest("acme/web", "a", &foreign)
            .await
            .status(),
        201
    );
}

#[tokio::test]
async fn a_client_that_knows_no_index_gets_the_usual_platform() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let child = served.push_image("acme/web", "amd", b"layer").await;
    let body = image(b"layer").to_string();
    let mut entry = descriptor(MANIFEST, body.as_bytes());
    entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
    assert_eq!(
        served
            .put_manifest("acme/web", "all", &index)
            .await
            .status(),
        201
    );
    let get = |accept: &'static str| {
        served
            .request("GET", "/v2/acme/web/manifests/all")
            .header("accept", accept)
            .send()
    };
    let answer = get(INDEX).await.unwrap();
    assert_eq!(header(&answer, "content-type"), INDEX);
    let answer = get(MANIFEST).await.unwrap();
    assert_eq!(header(&answer, "content-type"), MANIFEST);
    assert_eq!(header(&answer, "docker-content-digest"), child.to_string());
    refused(get("text/html").await.unwrap(), 404, "MANIFEST_UNKNOWN").await;
}

#[tokio::test]
async fn tags_and_repositories_are_listed_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    refused(
        served.send("GET", "/v2/acme/web/tags/list").await,
        404,
        "NAME_UNKNOWN",
    )
    .await;
    for tag in ["c", "a", "B", "b"] {
        served.push_image("acme/web", tag, b"layer").await;
    }
    served.push_blob("acme/web2", b"x").await;
    let tags = async |query: &str| {
        let answer = served
            .send("GET", &format!("/v2/acme/web/tags/list{query}"))
            .await;
        let link = header(&answer, "link").to_owned();
        let body: Value = answer.json().await.unwrap();
        (body["tags"].clone(), link)
    };
    assert_eq!(tags("").await, (json!(["B", "a", "b", "c"]), String::new()));
    assert_eq!(tags("?n=0").await, (json!([]), String::new()));
    assert_eq!(
        tags("?n=2").await,
        (
            json!(["B", "a"]),
            "</v2/acme/web/tags/list?n=2&last=a>; rel=\"next\"".to_owned()
        )
    );
    assert_eq!(
        tags("?n=2&last=a").await,
        (json!(["b", "c"]), String::new())
    );
    refused(
        served.send("GET", "/v2/acme/web/tags/list?n=x").await,
        400,
        "PAGINATION_NUMBER_INVALID",
    )
    .await;
    let catalog: Value = served
        .send("GET", "/v2/_catalog?n=1")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(catalog, json!({"repositories": ["acme/web"]}));
    let catalog: Value = served
        .send("GET", "/v2/_catalog")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(catalog, json!({"repositories": ["acme/web", "acme/web2"]}));
}

#[tokio::test]
async fn referrers_are_listed_under_their_subject_even_before_it_exists() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let subject = image(b"layer").to_string();
    served.push_blob("acme/web", b"{}").await;
    let signature = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x.signature",
        "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [], "annotations": {"k": "v"},
        "subject": descriptor(MANIFEST, subject.as_bytes()),
    });
    let answer = served.put_manifest("acme/web", "sig", &signature).await;
    assert_eq!(
        header(&answer, "oci-subject"),
        sha256(subject.as_bytes()).to_string()
    );
    let path = format!("/v2/acme/web/referrers/{}", sha256(subject.as_bytes()));
    let answer = served.send("GET", &path).await;
    assert_eq!(header(&answer, "content-type"), INDEX);
    let body: Value = answer.json().await.unwrap();
    let signature_text = signature.to_string();
    let mut expected = descriptor(MANIFEST, signature_text.as_bytes());
    expected["artifactType"] = json!("application/x.signature");
    expected["annotations"] = json!({"k": "v"});
    assert_eq!(body["manifests"], json!([expected]));
    for (kind, count) in [("application/x.signature", 1), ("application/x.sbom", 0)] {
        let answer = served
            .send("GET", &format!("{path}?artifactType={kind}"))
            .await;
        assert_eq!(header(&answer, "oci-filters-applied"), "artifactType");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["manifests"].as_array().unwrap().len(), count, "{kind}");
    }
    let digest = sha256(signature_text.as_bytes());
    served
        .send("DELETE", &format!("/v2/acme/web/manifests/{digest}"))
        .await;
    let body: Value = served.send("GET", &path).await.json().await.unwrap();
    assert_eq!(body["manifests"], json!([]));
    refused(
        served.send("GET", "/v2/acme/web/referrers/x").await,
        400,
        "DIGEST_INVALID",
    )
    .await;
}

#[tokio::test]
async fn a_blob_in_use_is_not_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let manifest = served.push_image("acme/web", "a", b"layer").await;
    let blob = format!("/v2/acme/web/blobs/{}", sha256(b"layer"));
    refused(served.send("DELETE", &blob).await, 405, "UNSUPPORTED").await;
    served
        .send("DELETE", &format!("/v2/acme/web/manifests/{manifest}"))
        .await;
    assert_eq!(served.send("DELETE", &blob).await.status(), 202);
    refused(served.send("DELETE", &blob).await, 404, "BLOB_UNKNOWN").await;
}

#[tokio::test]
async fn a_published_version_of_a_blueprint_names_the_same_content_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let version = "/v2/acme/bp-wiki/manifests/1.2.0-rc.1";
    let one = served
        .push_image("acme/bp-wiki", "1.2.0-rc.1", b"one")
        .await;
    served.push_blob("acme/bp-wiki", b"two").await;
    let two = image(b"two");
    let put = || served.put_manifest("acme/bp-wiki", "1.2.0-rc.1", &two);
    let answer = put().await;
    assert_eq!(answer.status(), 403);
    let said = answer.text().await.unwrap();
    assert!(
        said.contains("DENIED") && said.contains(&one.to_string()),
        "{said}"
    );
    assert!(said.contains("under a new version"), "{said}");
    let named = served.send("GET", version).await;
    assert_eq!(header(&named, "docker-content-digest"), one.to_string());

    // The same once more changes nothing; by digest anything may be there.
    served
        .push_image("acme/bp-wiki", "1.2.0-rc.1", b"one")
        .await;
    let digest = sha256(two.to_string().as_bytes()).to_string();
    let answer = served.put_manifest("acme/bp-wiki", &digest, &two).await;
    assert_eq!(answer.status(), 201);

    // Whoever may delete the version may publish it anew.
    assert_eq!(served.send("DELETE", version).await.status(), 202);
    assert_eq!(put().await.status(), 201);
}

#[tokio::test]
async fn of_two_who_publish_a_version_at_once_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    for content in [&b"{}"[..], b"one", b"two"] {
        served.push_blob("acme/bp-wiki", content).await;
    }
    let (one, two) = (image(b"one"), image(b"two"));
    let (one, two) = tokio::join!(
        served.put_manifest("acme/bp-wiki", "1.0.0", &one),
        served.put_manifest("acme/bp-wiki", "1.0.0", &two),
    );
    let mut statuses = [one.status().as_u16(), two.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 403]);
}

#[tokio::test]
async fn every_other_tag_may_move() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    for (repository, tag) in [
        ("acme/bp-wiki", "latest"),
        ("acme/bp-wiki", "1.2"),
        ("acme/wiki", "1.2.0"),
        ("acme/images/bp-wiki", "1.2.0"),
        ("bp-wiki", "1.2.0"),
    ] {
        served.push_image(repository, tag, b"one").await;
        let two = served.push_image(repository, tag, b"two").await;
        let named = served
            .send("GET", &format!("/v2/{repository}/manifests/{tag}"))
            .await;
        let digest = header(&named, "docker-content-digest");
        assert_eq!(digest, two.to_string(), "{repository}:{tag}");
    }
}

/// More than the sockets between keep, so that it is sent only if it is read.
const MUCH: usize = 32 << 20;

#[tokio::test]
async fn whoever_sends_to_a_full_disk_sends_everything_and_learns_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let opened = served.send("POST", "/v2/acme/web/blobs/uploads/").await;
    let path = header(&opened, "location").to_owned();
    let (_, id) = path.rsplit_once('/').unwrap();
    // Takes nothing, with the words of a full disk.
    let file = folder.path().join("registry/uploads").join(id);
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();

    let host = served.address.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {MUCH}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![0; MUCH]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 507 "), "{answer}");
    assert!(answer.contains("disk is full"), "{answer}");

    // What cannot be undone there is not gone on with.
    refused(served.send("GET", &path).await, 404, "BLOB_UPLOAD_UNKNOWN").await;
}

#[tokio::test]
async fn what_comes_and_goes_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let heard: Arc<Mutex<Vec<Event>>> = Arc::default();
    let ears = Arc::clone(&heard);
    let served = serve(folder.path(), false, |config| {
        config.listener = Some(Arc::new(move |event| ears.lock().unwrap().push(event)));
    })
    .await;
    let told = |expected: &[Change]| {
        let events = std::mem::take(&mut *heard.lock().unwrap());
        let is_there = events
            .iter()
            .all(|it| it.repository.as_str() == "acme/bp-wiki");
        assert!(is_there, "{events:?}");
        let changes: Vec<Change> = events.into_iter().map(|it| it.change).collect();
        assert_eq!(changes, expected);
    };
    let tag = |tag: &str| tag.parse::<catalyst_registry::Tag>().unwrap();
    let one = served.push_image("acme/bp-wiki", "1.0.0", b"one").await;
    let pushed = |digest: &catalyst_registry::Digest, by: Option<&str>| Change::Pushed {
        digest: digest.clone(),
        tag: by.map(tag),
    };
    told(&[pushed(&one, Some("1.0.0"))]);
    // What is there is no news, by whatever name.
    served.push_image("acme/bp-wiki", "1.0.0", b"one").await;
    served
        .push_image("acme/bp-wiki", &one.to_string(), b"one")
        .await;
    told(&[]);
    served.push_image("acme/bp-wiki", "latest", b"one").await;
    let two = served.push_image("acme/bp-wiki", "latest", b"two").await;
    told(&[pushed(&one, Some("latest")), pushed(&two, Some("latest"))]);
    // Nor is what was refused.
    served.push_blob("acme/bp-wiki", b"other").await;
    let other = image(b"other");
    let answer = served.put_manifest("acme/bp-wiki", "1.0.0", &other).await;
    refused(answer, 403, "DENIED").await;
    told(&[]);

    for (reference, expected) in [
        ("latest".to_owned(), Change::Untagged(tag("latest"))),
        (two.to_string(), Change::Deleted(two)),
    ] {
        let path = format!("/v2/acme/bp-wiki/manifests/{reference}");
        assert_eq!(served.send("DELETE", &path).await.status(), 202);
        told(&[expected]);
        assert_eq!(served.send("DELETE", &path).await.status(), 404);
        told(&[]);
    }
}
