//! Lists of referrers that come in pages.

use axum::{
    http::Method,
    response::{IntoResponse, Response},
};
use catalyst_supply::{Descriptor, media};
use serde_json::json;

use crate::fake::Bench;

/// What a page says of the one behind it, by that one's number and how many there are.
type Link = fn(usize, usize) -> Option<String>;

/// Has the list come with one entry a page, and after each what `link` says of the page
/// behind it. What it has is answered, before.
async fn in_pages(bench: &Bench, published: &str, link: Link) -> Vec<Descriptor> {
    let at = bench.reference("bp-x:1.0.0");
    let all = bench.anonymous().referrers(&at, published).await.unwrap();
    let listed = all.clone();
    bench.by_hand(move |_, seen| {
        let (path, query) = seen
            .target
            .split_once('?')
            .unwrap_or((seen.target.as_str(), ""));
        if !path.contains("/referrers/") {
            return None;
        }
        let page: usize = query
            .strip_prefix("page=")
            .map_or(0, |it| it.parse().unwrap());
        let one = &listed[page % listed.len()];
        let index = axum::Json(json!({
            "schemaVersion": 2, "mediaType": media::INDEX, "manifests": [one],
        }));
        let answer: Response = match link(page + 1, listed.len()) {
            Some(link) => ([("link", link)], index).into_response(),
            None => index.into_response(),
        };
        Some(answer)
    });
    all
}

/// Takes the signatures under the tag away.
fn untag(bench: &Bench, published: &str) {
    let own = ("catalog/bp-x".to_owned(), Bench::signature_tag(published));
    bench.shared.lock().unwrap().manifests.remove(&own);
}

#[tokio::test]
async fn a_list_in_pages_is_read_to_its_end() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    untag(&bench, &published);
    let all = in_pages(&bench, &published, |next, pages| {
        (next < pages).then(|| format!("<?page={next}>; rel=\"next\""))
    })
    .await;
    assert!(all.len() > 3, "{}", all.len());
    let at = bench.reference("bp-x:1.0.0");
    let found = bench.anonymous().referrers(&at, &published).await.unwrap();
    assert_eq!(found, all);
    // The signature stands on one of them.
    let verified = bench
        .anonymous()
        .verify(&at, "catalog", &bench.policy)
        .await;
    assert_eq!(verified.unwrap().digest, published);
}

#[tokio::test]
async fn a_list_without_an_end_or_that_leads_elsewhere_is_refused() {
    let cases: [(Link, &str); 2] = [
        (
            |next, _| Some(format!("<?page={next}>; rel=\"next\"")),
            "more than the 64 pages",
        ),
        (
            |_, _| Some("<http://127.0.0.1:1/v2/>; rel=\"next\"".to_owned()),
            "not in the registry",
        ),
    ];
    for (link, said) in cases {
        let bench = Bench::new().await;
        let published = bench.publish().await;
        untag(&bench, &published);
        in_pages(&bench, &published, link).await;
        bench.shared.lock().unwrap().seen.clear();
        let at = bench.reference("bp-x:1.0.0");
        let error = bench.anonymous().referrers(&at, &published).await;
        let error = error.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(!error.retryable());
        let asked = {
            let stored = bench.shared.lock().unwrap();
            stored.asked(&Method::GET, "/referrers/")
        };
        assert!(asked <= 64, "{asked}");
        assert_eq!(bench.refusal(&bench.policy).await, "MalformedSignature");
    }
}
