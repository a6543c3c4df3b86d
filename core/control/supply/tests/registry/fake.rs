//! The registry, and a bench with a key and a Blueprint around it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header::CONTENT_RANGE},
    response::{IntoResponse, Response},
};
use catalyst_signature::{SigningKey, TrustPolicy, simple};
use catalyst_supply::{
    Credentials, Origin, PackOptions, Package, Patience, Reference, Registry, VerifyError, digest,
    media, pack,
};
use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone)]
pub struct Seen {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn query(&self, name: &str) -> Option<String> {
        let url = reqwest::Url::parse(&format!("http://x{}", self.target)).unwrap();
        url.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// Answers in the registry's place; None leaves the request to it.
pub type Hand = Box<dyn FnMut(&mut Stored, &Seen) -> Option<Response> + Send>;

#[derive(Default)]
pub struct Stored {
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// Which repository has which blob.
    pub placed: BTreeSet<(String, String)>,
    pub manifests: BTreeMap<(String, String), Vec<u8>>,
    pub uploads: BTreeMap<usize, Vec<u8>>,
    pub lists_referrers: bool,
    pub password: Option<&'static str>,
    pub token_realm: Option<String>,
    pub hand: Option<Hand>,
    pub seen: Vec<Seen>,
    opened: usize,
}

impl Stored {
    /// How often something was asked, by method and part of the target.
    pub fn asked(&self, method: &Method, part: &str) -> usize {
        self.seen
            .iter()
            .filter(|seen| seen.method == *method && seen.target.contains(part))
            .count()
    }

    pub fn tag(&self, tag: &str) -> Option<&Vec<u8>> {
        self.manifests
            .get(&("catalog/bp-x".to_owned(), tag.to_owned()))
    }

    /// Puts a manifest under a tag of the bench's Blueprint and under its digest.
    pub fn put(&mut self, tag: &str, manifest: &Value) -> String {
        let bytes = serde_json::to_vec(manifest).unwrap();
        let named = digest(&bytes);
        for target in [tag, &named] {
            self.manifests.insert(
                ("catalog/bp-x".to_owned(), target.to_owned()),
                bytes.clone(),
            );
        }
        named
    }

    /// Puts a blob into the bench's Blueprint's repository; its descriptor.
    pub fn put_blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let named = digest(bytes);
        self.blobs.insert(named.clone(), bytes.to_vec());
        self.placed
            .insert(("catalog/bp-x".to_owned(), named.clone()));
        json!({"mediaType": media_type, "digest": named, "size": bytes.len()})
    }
}

pub type Shared = Arc<Mutex<Stored>>;

async fn serve(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let seen = Seen {
        method: parts.method,
        target: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts.headers,
        body: axum::body::to_bytes(body, usize::MAX)
            .await
            .unwrap_or_default(),
    };
    let mut stored = shared.lock().unwrap();
    stored.seen.push(seen.clone());
    if let Some(mut hand) = stored.hand.take() {
        let answer = hand(&mut stored, &seen);
        stored.hand.get_or_insert(hand);
        if let Some(answer) = answer {
            return answer;
        }
    }
    let authorization = seen.header("authorization");
    let path = parts.uri.path();
    if path == "/token" {
        // "user:secret" in base64.
        return if authorization == "Basic dXNlcjpzZWNyZXQ=" {
            axum::Json(json!({"token": "good-token"})).into_response()
        } else {
            StatusCode::UNAUTHORIZED.into_response()
        };
    }
    if let Some(realm) = &stored.token_realm
        && authorization != "Bearer good-token"
    {
        let challenge = format!("Bearer realm=\"{realm}\",service=\"test\"");
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
    }
    if stored
        .password
        .is_some_and(|expected| authorization != expected)
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    answer(&mut stored, path, &seen)
}

fn answer(stored: &mut Stored, path: &str, seen: &Seen) -> Response {
    let rest = path.strip_prefix("/v2/").unwrap();
    if let Some((repository, id)) = rest.split_once("/blobs/uploads/") {
        return upload(stored, repository, id, seen);
    }
    if let Some((repository, named)) = rest.split_once("/blobs/") {
        let is_placed = stored
            .placed
            .contains(&(repository.to_owned(), named.to_owned()));
        return match stored.blobs.get(named).filter(|_| is_placed) {
            Some(bytes) => bytes.clone().into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        };
    }
    if let Some((repository, subject)) = rest.split_once("/referrers/") {
        return referrers(stored, repository, subject);
    }
    let (repository, target) = rest.split_once("/manifests/").unwrap();
    if seen.method == Method::PUT {
        let has_subject = serde_json::from_slice::<Value>(&seen.body)
            .unwrap()
            .get("subject")
            .is_some();
        for target in [target.to_owned(), digest(&seen.body)] {
            stored
                .manifests
                .insert((repository.to_owned(), target), seen.body.to_vec());
        }
        return if has_subject && stored.lists_referrers {
            (StatusCode::CREATED, [("OCI-Subject", "yes")]).into_response()
        } else {
            StatusCode::CREATED.into_response()
        };
    }
    match stored
        .manifests
        .get(&(repository.to_owned(), target.to_owned()))
    {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn referrers(stored: &Stored, repository: &str, subject: &str) -> Response {
    if !stored.lists_referrers {
        return StatusCode::NOT_FOUND.into_response();
    }
    let mut seen = BTreeMap::new();
    for ((own, _), bytes) in &stored.manifests {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        if own == repository && value["subject"]["digest"] == subject {
            seen.insert(
                digest(bytes),
                json!({"mediaType": media::MANIFEST, "digest": digest(bytes), "size": bytes.len(), "artifactType": value["artifactType"]}),
            );
        }
    }
    let list: Vec<Value> = seen.into_values().collect();
    axum::Json(json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": list}))
        .into_response()
}

/// Uploads as the distribution specification has them.
fn upload(stored: &mut Stored, repository: &str, id: &str, seen: &Seen) -> Response {
    if seen.method == Method::POST {
        if let (Some(mount), Some(from)) = (seen.query("mount"), seen.query("from"))
            && stored.placed.contains(&(from, mount.clone()))
        {
            stored.placed.insert((repository.to_owned(), mount));
            return StatusCode::CREATED.into_response();
        }
        stored.opened += 1;
        let id = stored.opened;
        stored.uploads.insert(id, Vec::new());
        return progress(StatusCode::ACCEPTED, repository, id, 0);
    }
    let Some((id, held)) = id
        .parse()
        .ok()
        .and_then(|id: usize| Some((id, stored.uploads.get_mut(&id)?)))
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    assert_eq!(
        seen.query("state").as_deref(),
        Some("a"),
        "the upload's own query is kept"
    );
    if seen.method == Method::GET {
        return progress(StatusCode::NO_CONTENT, repository, id, held.len());
    }
    if let Some(range) = seen.headers.get(CONTENT_RANGE) {
        let (first, last) = range.to_str().unwrap().split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        if first != held.len() {
            return progress(
                StatusCode::RANGE_NOT_SATISFIABLE,
                repository,
                id,
                held.len(),
            );
        }
        assert_eq!(last + 1 - first, seen.body.len());
    }
    held.extend_from_slice(&seen.body);
    if seen.method == Method::PATCH {
        return progress(StatusCode::ACCEPTED, repository, id, held.len());
    }
    let bytes = stored.uploads.remove(&id).unwrap();
    let named = seen.query("digest").unwrap();
    if digest(&bytes) != named {
        return StatusCode::BAD_REQUEST.into_response();
    }
    stored.blobs.insert(named.clone(), bytes);
    stored.placed.insert((repository.to_owned(), named));
    StatusCode::CREATED.into_response()
}

pub fn progress(status: StatusCode, repository: &str, id: usize, received: usize) -> Response {
    let location = format!("/v2/{repository}/blobs/uploads/{id}?state=a");
    let range = format!("0-{}", received.saturating_sub(1));
    (status, [("location", location), ("range", range)]).into_response()
}

/// A server on a port of its own.
pub async fn listen(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    host
}

pub struct Bench {
    pub host: String,
    pub shared: Shared,
    pub key: SigningKey,
    pub policy: TrustPolicy,
}

impl Bench {
    pub async fn new() -> Self {
        // The second test in this process finds a provider already there.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let shared: Shared = Arc::default();
        shared.lock().unwrap().lists_referrers = true;
        let router = Router::new().fallback(serve).with_state(shared.clone());
        let host = listen(router).await;
        let key = SigningKey::generate().unwrap();
        let mut policy = TrustPolicy::new();
        policy.trust("catalog", key.public().clone());
        Self {
            host,
            shared,
            key,
            policy,
        }
    }

    pub fn registry(&self, credentials: Credentials) -> Registry {
        Registry::new(reqwest::Client::new(), credentials)
    }

    pub fn anonymous(&self) -> Registry {
        self.registry(Credentials::Anonymous)
    }

    /// One that waits for nothing longer than this.
    pub fn impatient(&self, within: Duration) -> Registry {
        self.anonymous().with_patience(Patience {
            answer: within,
            transfer: within,
            verdict: within,
            pause: Duration::ZERO,
        })
    }

    pub fn reference(&self, rest: &str) -> Reference {
        Reference::parse(&format!("{}/catalog/{rest}", self.host)).unwrap()
    }

    pub fn by_hand(
        &self,
        hand: impl FnMut(&mut Stored, &Seen) -> Option<Response> + Send + 'static,
    ) {
        self.shared.lock().unwrap().hand = Some(Box::new(hand));
    }

    pub async fn publish_with(&self, registry: &Registry) -> Result<String, VerifyError> {
        let base = format!("{}/catalog", self.host);
        registry
            .publish(&base, &package(), &self.key, &Origin::default())
            .await
            .map(|published| published.digest)
    }

    pub async fn publish(&self) -> String {
        self.publish_with(&self.anonymous()).await.unwrap()
    }

    /// The tag that the signatures of an artifact stand under.
    pub fn signature_tag(published: &str) -> String {
        simple::signature_tag(published)
    }

    pub async fn pull_error(&self, policy: &TrustPolicy) -> VerifyError {
        self.anonymous()
            .pull(&self.reference("bp-x:1.0.0"), "catalog", policy)
            .await
            .unwrap_err()
    }

    pub async fn refusal(&self, policy: &TrustPolicy) -> &'static str {
        match self.pull_error(policy).await {
            VerifyError::Refused(refusal) => refusal.reason(),
            other => panic!("{other:?} is no refusal"),
        }
    }
}

pub fn folder() -> BTreeMap<String, Vec<u8>> {
    [
        ("blueprint.yaml", "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {name: bp-x}\nspec:\n  version: 1.0.0\n  card: {title: X, license: Apache-2.0, tagline: An X, icon: card/icon.svg}\n  manifests: {source: {kind: HelmChart}}\n"),
        ("README.md", "# X\n"),
        ("card/icon.svg", "<svg/>"),
        ("chart/Chart.yaml", "apiVersion: v2\nname: bp-x\nversion: 1.0.0\n"),
        ("chart/values.yaml", "image:\n  repository: ghcr.io/openova-io/x\n  tag: 1.0.0\n  digest: \"\"\n"),
        ("chart/templates/a.yaml", "kind: ConfigMap\n"),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .collect()
}

pub fn package() -> Package {
    let pinned = format!("sha256:{}", "1".repeat(64));
    let options = PackOptions {
        images: BTreeMap::from([("ghcr.io/openova-io/x:1.0.0".to_owned(), pinned)]),
        ..PackOptions::default()
    };
    pack(&folder(), &options).unwrap()
}
