use catalyst_kubernetes::{Authenticators, Config, Identity};
use catalyst_store::{Options, Store};
use tokio::task::JoinSet;

use super::*;
use crate::up::client::in_process;

const HOST: &str = "lo-loc-rtz-dev";
const VCLUSTER: &str = "lo-loc-rtz-dev-acme";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn owned(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    let all = all.iter();
    all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn secret(annotations: &[(&str, &str)]) -> DynamicObject {
    let mut secret = DynamicObject::new("vc-acme", &resource("", "Secret"));
    secret.metadata.annotations = Some(owned(annotations));
    secret
}

fn kubeconfig_in(secret: &DynamicObject) -> Option<Value> {
    let config = secret.data.pointer("/data/config")?.as_str()?;
    let config = String::from_utf8(STANDARD.decode(config).ok()?).ok()?;
    catalyst_yaml::from_str(&config).ok()
}

#[test]
fn a_kubeconfig_is_renewed_when_half_of_its_life_is_over() {
    let here = (SERVER, "https://here");
    let table = [
        ("good", vec![here, (RENEW, "2026-11-28T12:00:00Z")], true),
        (
            "just written",
            vec![here, (RENEW, "2026-11-28T16:00:00Z")],
            true,
        ),
        ("due", vec![here, (RENEW, "2026-11-28T10:00:00Z")], false),
        (
            "overdue",
            vec![here, (RENEW, "2026-11-20T10:00:00Z")],
            false,
        ),
        (
            "written by a clock ahead",
            vec![here, (RENEW, "2026-11-28T16:00:01Z")],
            false,
        ),
        (
            "of another address",
            vec![(SERVER, "https://there"), (RENEW, "2026-11-28T12:00:00Z")],
            false,
        ),
        ("of unknown age", vec![here], false),
        ("nonsense", vec![here, (RENEW, "soon")], false),
        ("nothing", vec![], false),
    ];
    let now = at("2026-11-28T10:00:00Z");
    for (case, annotations, is_good) in table {
        let found = renewal(Some(&secret(&annotations)), "https://here", now);
        assert_eq!(found.is_some(), is_good, "{case}: {found:?}");
    }
    assert_eq!(renewal(None, "https://here", now), None);
    let token = Token {
        value: String::new(),
        expires: at("2026-11-28T22:00:00Z"),
    };
    assert_eq!(token.renewal(now), at("2026-11-28T16:00:00Z"));
}

#[test]
fn the_clock_is_looked_at_however_long_there_is_nothing_to_do() {
    let now = at("2026-11-28T10:00:00Z");
    for (due, seconds) in [
        (vec![], 30),
        (vec!["2026-11-28T16:00:00Z"], 30),
        (vec!["2026-11-28T16:00:00Z", "2026-11-28T10:00:02Z"], 2),
        (vec!["2026-11-28T09:00:00Z"], 0),
    ] {
        let due: Vec<Timestamp> = due.into_iter().map(at).collect();
        assert_eq!(
            pause(due.iter(), now),
            Duration::from_secs(seconds),
            "{due:?}"
        );
    }
}

fn request(name: &str) -> DynamicObject {
    let mut request = DynamicObject::new(name, &resource(GROUP, "VCluster"));
    request.metadata.namespace = Some("default".to_owned());
    let cluster = (CLUSTER.to_owned(), HOST.to_owned());
    request.metadata.annotations = Some([cluster].into());
    request
}

#[test]
fn one_that_takes_long_holds_up_no_other_and_is_never_looked_at_twice_at_once() {
    let key = |name: &str| (HOST.to_owned(), "default".to_owned(), name.to_owned());
    let mut book = Book::default();
    book.request(Event::Apply(request("acme")));
    assert_eq!(book.begin(), [key("acme")]);
    // More happens to it, and another one comes.
    book.request(Event::Apply(request("acme")));
    book.request(Event::Apply(request("umbrella")));
    assert_eq!(book.begin(), [key("umbrella")]);
    book.done(key("umbrella"), Some(at("2026-11-28T16:00:00Z")));
    assert_eq!(book.begin(), Vec::<Key>::new());
    // What happened meanwhile is looked at afterwards.
    book.done(key("acme"), None);
    assert_eq!(book.begin(), [key("acme")]);
    book.done(key("acme"), None);
    // By the clock, once.
    book.overdue(at("2026-11-28T15:59:59Z"));
    assert_eq!(book.begin(), Vec::<Key>::new());
    book.overdue(at("2026-11-28T16:00:00Z"));
    assert_eq!(book.begin(), [key("umbrella")]);
    assert_eq!(book.due, HashMap::new());
    // It goes while it is looked at: nothing of it is left.
    book.request(Event::Delete(request("umbrella")));
    book.done(key("umbrella"), Some(at("2026-11-28T16:00:02Z")));
    assert_eq!(book.due, HashMap::new());
}

#[test]
fn a_secret_counts_for_the_request_that_it_answers() {
    let key = (HOST.to_owned(), "default".to_owned(), "acme".to_owned());
    let mut book = Book::default();
    let answer = request("vc-acme");
    // A Secret that nobody asked for makes no vcluster.
    book.secret(Event::Delete(answer.clone()));
    assert_eq!(book.begin(), Vec::<Key>::new());
    book.request(Event::Apply(request("acme")));
    for event in [
        Event::Apply(answer.clone()),
        Event::Delete(answer.clone()),
        // It may have gone unseen.
        Event::InitDone,
    ] {
        book.begin();
        book.done(key.clone(), None);
        book.secret(event);
        assert_eq!(book.begin(), std::slice::from_ref(&key));
        book.done(key.clone(), None);
    }
    book.secret(Event::Apply(request("other-acme")));
    assert_eq!(book.begin(), Vec::<Key>::new());
}

/// A host cluster in which somebody fulfils requests for vclusters.
struct World {
    client: kube::Client,
    router: axum::Router,
    _running: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
        let kubernetes = Kubernetes::new(Config {
            store,
            authenticators: Authenticators::default(),
            token_key: vec![7; 32],
            root_ca: "CA".to_owned(),
            pods: None,
        });
        let definitions = [custom_resource_definition()];
        kubernetes.create_cluster(HOST, &definitions).await.unwrap();
        let router = kubernetes.router();
        let identity = Identity::administrator("system:embedded");
        let client = in_process(&router, &identity, HOST);
        let connecting = router.clone();
        let vclusters = VClusters {
            everywhere: in_process(&router, &identity, "*"),
            connect: Arc::new(move |cluster| in_process(&connecting, &identity, cluster)),
            server: "https://here/clusters".to_owned(),
            authority: "CA".to_owned(),
            bootstrap: Arc::new(account()),
            kubernetes,
        };
        let mut running = JoinSet::new();
        running.spawn(vclusters.run());
        Self {
            client,
            router,
            _running: running,
            _folder: folder,
        }
    }

    fn api(&self, group: &str, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), "default", &resource(group, kind))
    }

    async fn ask_for(&self, name: &str) {
        let object = json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "VCluster",
            "metadata": {"name": name}, "spec": {}});
        let object = serde_json::from_value(object).unwrap();
        let vclusters = self.api(GROUP, "VCluster");
        let parameters = PostParams::default();
        vclusters.create(&parameters, &object).await.unwrap();
    }

    /// Waits for a Secret that is as it should be: it can be found, leads
    /// here, and lets its holder in.
    async fn good(&self, name: &str) -> DynamicObject {
        let good = async {
            loop {
                let secret = self.api("", "Secret").get_opt(name).await.unwrap();
                if let Some(secret) = secret
                    && secret.metadata.labels == Some(owned(&LABELS))
                    && let Some(kubeconfig) = kubeconfig_in(&secret)
                    && kubeconfig["clusters"][0]["cluster"]["server"]
                        == format!("https://here/clusters/{VCLUSTER}")
                    && let Some(token) = kubeconfig["users"][0]["user"]["token"].as_str()
                    && self.answer(token).await == 200
                {
                    return secret;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), good).await;
        found.expect("no good Secret within 20 s")
    }

    /// Waits until a request has been answered in every respect.
    async fn ready(&self, name: &str) {
        let ready = async {
            loop {
                let request = self.api(GROUP, "VCluster").get(name).await.unwrap();
                if request.data.pointer("/status/ready") == Some(&json!(true)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), ready).await;
        found.expect("not ready within 20 s");
    }

    /// Waits for a Secret with another token than one that was seen before.
    async fn token(&self, before: &str) -> (DynamicObject, String) {
        let renewed = async {
            loop {
                let secret = self.api("", "Secret").get_opt("vc-acme").await.unwrap();
                if let Some(secret) = secret {
                    let kubeconfig = kubeconfig_in(&secret).unwrap();
                    let token = kubeconfig["users"][0]["user"]["token"].as_str();
                    let token = token.unwrap().to_owned();
                    if token != before {
                        return (secret, token);
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), renewed).await;
        found.expect("no other token within 20 s")
    }

    /// What the vcluster answers to a token.
    async fn answer(&self, token: &str) -> u16 {
        let request = http::Request::builder()
            .uri(format!("/clusters/{VCLUSTER}/api/v1/namespaces"))
            .header("authorization", format!("Bearer {token}"))
            .body(axum::body::Body::empty())
            .unwrap();
        let answer = tower::ServiceExt::oneshot(self.router.clone(), request);
        answer.await.unwrap().status().as_u16()
    }
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    serde_json::from_slice(&engine.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_vclusters_kubeconfig_holds_a_short_token_that_is_renewed() {
    let world = World::start().await;
    world.ask_for("acme").await;
    let (secret, first) = world.token("").await;
    assert_eq!(world.answer(&first).await, 200);
    let lives = claims(&first)["exp"].as_i64().unwrap() - Timestamp::now().as_second();
    assert!(lives > 0 && lives <= LIFE.as_secs(), "{lives} s");
    let annotations = secret.metadata.annotations.unwrap();
    let renewal = at(&annotations[RENEW]).as_second() - Timestamp::now().as_second();
    assert!(renewal > 0 && renewal <= LIFE.as_secs() / 2, "{renewal} s");

    // Two tokens of one second are the same.
    let issued = claims(&first)["iat"].as_i64().unwrap();
    while Timestamp::now().as_second() == issued {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Half of its life later (the time is what the Secret says).
    let past = json!({"metadata": {"annotations": {RENEW: "2026-01-01T00:00:00Z"}}});
    let merge = Patch::Merge(&past);
    let parameters = PatchParams::default();
    let secrets = world.api("", "Secret");
    secrets.patch("vc-acme", &parameters, &merge).await.unwrap();
    let (_, second) = world.token(&first).await;
    // Those who hold the first one have half of its life to find the second.
    for token in [&first, &second] {
        assert_eq!(world.answer(token).await, 200);
    }
}

#[tokio::test]
async fn a_secret_that_is_deleted_or_spoiled_is_written_anew_and_only_then() {
    let world = World::start().await;
    world.ask_for("acme").await;
    let first = world.good("vc-acme").await;
    let secrets = world.api("", "Secret");

    let parameters = Default::default();
    drop(secrets.delete("vc-acme", &parameters).await.unwrap());
    let second = world.good("vc-acme").await;
    assert_ne!(second.metadata.uid, first.metadata.uid);

    let content = second.data["data"]["config"].as_str().unwrap();
    let text = String::from_utf8(STANDARD.decode(content).unwrap()).unwrap();
    let spoiled = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in {text}");
        json!({"data": {"config": STANDARD.encode(text.replace(from, to))}})
    };
    let (label, _) = LABELS[0];
    for (case, patch) in [
        (
            "nonsense",
            json!({"data": {"config": STANDARD.encode("{")}}),
        ),
        ("nothing", json!({"data": {"config": null}})),
        (
            "another address",
            spoiled("https://here/", "https://there/"),
        ),
        ("another token", spoiled("token: ", "token: x")),
        ("no label", json!({"metadata": {"labels": {label: null}}})),
    ] {
        let parameters = PatchParams::default();
        let merge = Patch::Merge(&patch);
        let patched = secrets.patch("vc-acme", &parameters, &merge).await;
        let before = patched.unwrap().metadata.resource_version;
        let after = world.good("vc-acme").await.metadata.resource_version;
        assert_ne!(before, after, "{case}");
    }

    // What was written here is left alone, however much happens around it.
    world.ready("acme").await;
    let before = world.good("vc-acme").await;
    world.ask_for("umbrella").await;
    world.ready("umbrella").await;
    let after = world.good("vc-acme").await;
    assert_eq!(
        after.metadata.resource_version,
        before.metadata.resource_version
    );
}
