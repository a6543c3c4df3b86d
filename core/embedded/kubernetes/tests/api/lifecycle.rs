//! What goes with what: owners, namespaces, addresses; evictions.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Api, MAPS, config_map};

#[tokio::test]
async fn owners_take_their_dependents_along() {
    let api = Api::start().await;
    let owner = api.post(MAPS, config_map("owner", "1")).await.body;
    let mut child = config_map("child", "1");
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
    }]);
    assert_eq!(api.post(MAPS, child.clone()).await.code, 201);
    api.call(Method::DELETE, &format!("{MAPS}/owner"), Value::Null)
        .await;
    api.until(&format!("{MAPS}/child"), |answer| answer.code == 404)
        .await;

    let owner = api.post(MAPS, config_map("owner", "1")).await.body;
    child["metadata"]["ownerReferences"][0]["uid"] = owner["metadata"]["uid"].clone();
    child["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.post(MAPS, child).await;
    api.call(
        Method::DELETE,
        &format!("{MAPS}/owner?propagationPolicy=Foreground"),
        Value::Null,
    )
    .await;
    api.until(&format!("{MAPS}/child"), |answer| {
        answer.body["metadata"]["deletionTimestamp"].is_string()
    })
    .await;
    assert_eq!(api.get(&format!("{MAPS}/owner")).await.code, 200);
    api.patch(
        &format!("{MAPS}/child"),
        "merge-patch+json",
        json!({"metadata": {"finalizers": null}}),
    )
    .await;
    api.until(&format!("{MAPS}/owner"), |answer| answer.code == 404)
        .await;
}

#[tokio::test]
async fn a_namespace_goes_with_everything_in_it() {
    let api = Api::start().await;
    let made = api
        .post("a/api/v1/namespaces", json!({"metadata": {"name": "team"}}))
        .await;
    assert_eq!(made.code, 201, "{}", made.body);
    assert_eq!(
        api.get("a/api/v1/namespaces/team/serviceaccounts/default")
            .await
            .code,
        200
    );
    api.post("a/api/v1/namespaces/team/configmaps", config_map("x", "1"))
        .await;
    let deleted = api
        .call(Method::DELETE, "a/api/v1/namespaces/team", Value::Null)
        .await;
    assert_eq!(
        deleted.body["status"]["phase"], "Terminating",
        "{}",
        deleted.body
    );
    api.until("a/api/v1/namespaces/team", |answer| answer.code == 404)
        .await;
    assert_eq!(
        api.get("a/api/v1/namespaces/team/configmaps/x").await.code,
        404
    );
}

#[tokio::test]
async fn a_namespace_that_stays_says_what_is_in_it() {
    let api = Api::start().await;
    let team = "a/api/v1/namespaces/team";
    api.post("a/api/v1/namespaces", json!({"metadata": {"name": "team"}}))
        .await;
    let mut held = config_map("held", "1");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let made = api.post(&format!("{team}/configmaps"), held).await;
    assert_eq!(made.code, 201, "{}", made.body);
    let hold = json!({"apiVersion": "apps/v1", "metadata": {"name": "web", "finalizers": ["example.com/hold"]}, "spec": {
        "selector": {"matchLabels": {"app": "web"}}, "replicas": 0,
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    }});
    let deployments = "a/apis/apps/v1/namespaces/team/deployments";
    let made = api.post(deployments, hold).await;
    assert_eq!(made.code, 201, "{}", made.body);
    api.call(Method::DELETE, team, Value::Null).await;
    let told = |namespace: &Value, kind: &str| -> [Value; 3] {
        let conditions = namespace["status"]["conditions"].as_array();
        let found = conditions.and_then(|all| all.iter().find(|one| one["type"] == kind));
        let found = found.cloned().unwrap_or_default();
        ["status", "reason", "message"].map(|field| found[field].clone())
    };
    let both = "example.com/hold in 2 resource instances";
    let namespace = api
        .until(team, |answer| {
            told(&answer.body, "NamespaceFinalizersRemaining")[2]
                .as_str()
                .is_some_and(|message| message.ends_with(both))
        })
        .await
        .body;
    assert_eq!(
        told(&namespace, "NamespaceFinalizersRemaining"),
        [
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances"
        ]
    );
    assert_eq!(
        told(&namespace, "NamespaceContentRemaining"),
        [
            "True",
            "SomeResourcesRemain",
            "Some resources are remaining: configmaps. has 1 resource instances, deployments.apps has 1 resource instances"
        ]
    );
    assert_eq!(
        told(&namespace, "NamespaceDeletionContentFailure")[0],
        "False"
    );
    assert_eq!(namespace["status"]["phase"], "Terminating");

    let free = json!({"metadata": {"finalizers": null}});
    for path in [
        format!("{deployments}/web"),
        format!("{team}/configmaps/held"),
    ] {
        let freed = api.patch(&path, "merge-patch+json", free.clone()).await;
        assert_eq!(freed.code, 200, "{}", freed.body);
    }
    api.until(team, |answer| answer.code == 404).await;
}

#[tokio::test]
async fn services_get_addresses_and_give_them_back() {
    let api = Api::start().await;
    let services = "a/api/v1/namespaces/default/services";
    let service = |address: &str| json!({"metadata": {"name": "web"}, "spec": {"clusterIP": address, "selector": {"app": "web"}, "ports": [{"port": 80}]}});
    let made = api.post(services, service("")).await;
    assert_eq!(made.code, 201, "{}", made.body);
    let address = made.body["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert!(address.starts_with("10."), "{address}");
    assert_eq!(
        made.body["spec"]["ports"][0],
        json!({"port": 80, "protocol": "TCP", "targetPort": 80})
    );
    let mut other = service(&address);
    other["metadata"]["name"] = json!("other");
    assert_eq!(api.post(services, other.clone()).await.code, 422);
    api.call(Method::DELETE, &format!("{services}/web"), Value::Null)
        .await;
    assert_eq!(api.post(services, other).await.code, 201);
}

#[tokio::test]
async fn an_eviction_deletes_a_pod_as_its_options_say() {
    let api = Api::start().await;
    let pods = "a/api/v1/namespaces/default/pods";
    let make = async |name: &str, node: Option<&str>| {
        let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        if let Some(node) = node {
            pod["spec"]["nodeName"] = json!(node);
        }
        let made = api.post(pods, pod).await;
        assert_eq!(made.code, 201, "{}", made.body);
        made.body
    };
    let evict = async |path: &str, name: &str, options: Value| {
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name},
            "deleteOptions": options,
        });
        api.post(&format!("{pods}/{path}"), eviction).await
    };

    let none = evict("web/eviction", "web", Value::Null).await;
    assert_eq!(none.code, 404, "{}", none.body);
    let uid = make("web", Some("node")).await["metadata"]["uid"].clone();
    for (path, name, options, code) in [
        ("web/eviction?dryRun=All", "web", Value::Null, 201),
        ("web/eviction", "web", json!({"dryRun": ["All"]}), 201),
        ("web/eviction", "web", json!({"dryRun": ["Sure"]}), 422),
        ("web/eviction?dryRun=Sure", "web", Value::Null, 400),
        (
            "web/eviction",
            "web",
            json!({"preconditions": {"uid": "another"}}),
            409,
        ),
        (
            "web/eviction",
            "web",
            json!({"preconditions": {"resourceVersion": "1"}}),
            409,
        ),
        (
            "web/eviction",
            "web",
            json!({"propagationPolicy": "Sideways"}),
            422,
        ),
        ("web/eviction", "web", json!("now"), 400),
        ("web/eviction", "wiki", Value::Null, 400),
    ] {
        let answer = evict(path, name, options.clone()).await;
        assert_eq!(answer.code, code, "{path} {options}: {}", answer.body);
        let pod = api.get(&format!("{pods}/web")).await.body;
        let deleted = &pod["metadata"]["deletionTimestamp"];
        assert!(deleted.is_null(), "{path} {options}: {pod}");
    }

    let options = json!({"preconditions": {"uid": uid}, "gracePeriodSeconds": 7});
    let evicted = evict("web/eviction", "web", options).await;
    assert_eq!(evicted.code, 201, "{}", evicted.body);
    assert_eq!(evicted.body["kind"], "Status");
    assert_eq!(evicted.body["status"], "Success");
    make("slow", Some("node")).await;
    assert_eq!(evict("slow/eviction", "slow", Value::Null).await.code, 201);
    // Its node ends it.
    for (name, grace) in [("web", 7), ("slow", 30)] {
        let pod = api.get(&format!("{pods}/{name}")).await.body;
        let metadata = &pod["metadata"];
        assert!(metadata["deletionTimestamp"].is_string(), "{pod}");
        assert_eq!(metadata["deletionGracePeriodSeconds"], grace, "{pod}");
    }
    // One on no node is gone.
    make("waiting", None).await;
    let evicted = evict("waiting/eviction", "waiting", Value::Null).await;
    assert_eq!(evicted.code, 201, "{}", evicted.body);
    let left = api.get(&format!("{pods}/waiting")).await;
    assert_eq!(left.code, 404, "{}", left.body);
}
