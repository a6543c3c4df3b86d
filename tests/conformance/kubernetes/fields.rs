//! Selectors, pages, tables and discovery.

use serde_json::{Value, json};

use super::world::{World, deployment, deployments, map, maps, names, secrets};
use crate::suite::{self, cases};

pub fn cases() -> Vec<suite::Case<World>> {
    cases![
        labels_select,
        a_label_selector_that_is_none_is_refused,
        fields_select,
        a_field_that_does_not_select_is_refused,
        pages_hold_together,
        a_page_that_is_none_is_refused,
        a_list_has_a_version,
        a_map_is_shown_as_a_row,
        a_deployment_is_shown_as_a_row,
        an_error_is_no_table,
        metadata_alone_is_given,
        groups_are_discovered,
        resources_are_discovered,
        everything_is_discovered_at_once,
        schemas_are_described,
        the_version_is_told,
        readiness_is_told,
        paths_that_are_none_are_refused,
    ]
}

async fn labelled(world: &World, namespace: &str) {
    world.namespace(namespace).await;
    for (name, labels) in [
        ("a", json!({"tier": "web", "set": "1"})),
        ("b", json!({"tier": "data"})),
        ("c", json!({"set": "2"})),
    ] {
        let mut body = map(name, "1");
        body["metadata"]["labels"] = labels;
        world.post(&maps(namespace), body).await.ok();
    }
}

fn query(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn labels_select(world: World) {
    labelled(&world, "fields-1").await;
    for (selector, wanted) in [
        ("tier=web", &["a"][..]),
        ("tier==data", &["b"]),
        ("tier!=web,set", &["c"]),
        ("tier!=web,tier", &["b"]),
        ("tier", &["a", "b"]),
        ("!tier,set", &["c"]),
        ("tier in (web, data)", &["a", "b"]),
        ("tier notin (web),set in (1,2)", &["c"]),
        ("set=1,tier=web", &["a"]),
        ("set=1,tier=data", &[]),
    ] {
        let path = format!("{}?labelSelector={}", maps("fields-1"), query(selector));
        assert_eq!(names(&world.get(&path).await.ok()), wanted, "{selector}");
    }
}

async fn a_label_selector_that_is_none_is_refused(world: World) {
    for selector in ["a in", "a=b=c", "=b", "a in (b", "-a", "a=b c"] {
        let path = format!("{}?labelSelector={}", maps("default"), query(selector));
        let answer = world.get(&path).await;
        assert_eq!(answer.status, 400, "{selector}: {}", answer.body);
    }
}

async fn fields_select(world: World) {
    labelled(&world, "fields-3").await;
    for (selector, wanted) in [
        ("metadata.name=b", &["b"][..]),
        ("metadata.name!=b,metadata.name!=c,metadata.name=a", &["a"]),
        ("metadata.namespace=other", &[]),
    ] {
        let path = format!("{}?fieldSelector={}", maps("fields-3"), query(selector));
        assert_eq!(names(&world.get(&path).await.ok()), wanted, "{selector}");
    }
    let path = "/api/v1/namespaces/fields-3/secrets";
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "type": "acme.example/x"});
    world.post(path, body).await.ok();
    let path = format!("{path}?fieldSelector={}", query("type=acme.example/x"));
    assert_eq!(names(&world.get(&path).await.ok()), ["a"]);
    let path = format!(
        "/api/v1/namespaces/fields-3/pods?fieldSelector={}",
        query("spec.nodeName=x,status.phase!=Failed,spec.restartPolicy=Always")
    );
    assert_eq!(names(&world.get(&path).await.ok()), [""; 0]);
}

async fn a_field_that_does_not_select_is_refused(world: World) {
    let path = format!("{}?fieldSelector=data.key%3D1", maps("default"));
    let answer = world.get(&path).await;
    answer.refused(400, "BadRequest");
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.contains("data.key"), "{message}");
}

async fn pages_hold_together(world: World) {
    world.namespace("fields-5").await;
    for name in ["a", "b", "c", "d", "e"] {
        world.secret("fields-5", name).await;
    }
    let mut seen: Vec<String> = Vec::new();
    let mut token = String::new();
    let mut version = Value::Null;
    for left in [Some(3), Some(1), None] {
        let path = format!("{}?limit=2&continue={}", secrets("fields-5"), query(&token));
        let page = world.get(&path).await.ok();
        seen.extend(names(&page).into_iter().map(str::to_owned));
        assert_eq!(page["metadata"]["remainingItemCount"].as_u64(), left);
        token = page["metadata"]["continue"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if version.is_null() {
            version = page["metadata"]["resourceVersion"].clone();
            // What comes meanwhile is not of this list.
            world.secret("fields-5", "bb").await;
        }
        assert_eq!(page["metadata"]["resourceVersion"], version);
    }
    assert_eq!(
        (seen, token),
        (
            ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
            String::new()
        )
    );
}

async fn a_page_that_is_none_is_refused(world: World) {
    let path = format!("{}?limit=2&continue=nothing", maps("default"));
    world.get(&path).await.refused(400, "BadRequest");
}

async fn a_list_has_a_version(world: World) {
    world.namespace("fields-7").await;
    let list = world.get(&secrets("fields-7")).await.ok();
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("SecretList"), &json!("v1"))
    );
    assert_eq!(list["items"], json!([]));
    let version = |list: &Value| {
        list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let made = world.secret("fields-7", "a").await;
    let newer = world.get(&secrets("fields-7")).await.ok();
    assert!(version(&newer) > version(&list) && version(&newer) >= version(&made));
    // An object in a list does not repeat its kind.
    assert_eq!(newer["items"][0]["kind"], Value::Null);
    let path = format!("{}?resourceVersion=0", secrets("fields-7"));
    assert_eq!(world.get(&path).await.status, 200);
    let path = format!("{}?resourceVersion=x", secrets("fields-7"));
    assert_eq!(world.get(&path).await.status, 400);
}

const TABLE: [(&str, &str); 1] = [(
    "accept",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
)];

fn columns(table: &Value) -> Vec<&str> {
    let columns = table["columnDefinitions"].as_array().expect("a table");
    columns
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect()
}

async fn a_map_is_shown_as_a_row(world: World) {
    world.namespace("fields-8").await;
    world.map("fields-8", "a", "1").await;
    let table = world
        .ask("GET", &maps("fields-8"), &TABLE, &Value::Null)
        .await
        .ok();
    assert_eq!(
        (&table["kind"], &table["apiVersion"]),
        (&json!("Table"), &json!("meta.k8s.io/v1"))
    );
    assert_eq!(columns(&table), ["Name", "Data", "Age"]);
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["cells"][1], 1);
    assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "a");
}

async fn a_deployment_is_shown_as_a_row(world: World) {
    world.namespace("fields-9").await;
    world
        .post(&deployments("fields-9"), deployment("a"))
        .await
        .ok();
    let path = format!("{}/a", deployments("fields-9"));
    let table = world.ask("GET", &path, &TABLE, &Value::Null).await.ok();
    let wanted = [
        "Name",
        "Ready",
        "Up-to-date",
        "Available",
        "Age",
        "Containers",
        "Images",
        "Selector",
    ];
    assert_eq!(columns(&table), wanted);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!((&cells[0], &cells[1]), (&json!("a"), &json!("0/0")));
    assert_eq!(cells[5..], [json!("web"), json!("web:1"), json!("app=a")]);
    let table = world
        .ask(
            "GET",
            "/api/v1/namespaces/fields-9/pods",
            &TABLE,
            &Value::Null,
        )
        .await
        .ok();
    let wanted = [
        "Name",
        "Ready",
        "Status",
        "Restarts",
        "Age",
        "IP",
        "Node",
        "Nominated Node",
        "Readiness Gates",
    ];
    assert_eq!(columns(&table), wanted);
    let table = world
        .ask(
            "GET",
            "/api/v1/namespaces/fields-9/services",
            &TABLE,
            &Value::Null,
        )
        .await
        .ok();
    let wanted = [
        "Name",
        "Type",
        "Cluster-IP",
        "External-IP",
        "Port(s)",
        "Age",
        "Selector",
    ];
    assert_eq!(columns(&table), wanted);
}

async fn an_error_is_no_table(world: World) {
    let path = format!("{}/absent", maps("default"));
    let answer = world.ask("GET", &path, &TABLE, &Value::Null).await;
    answer.refused(404, "NotFound");
}

async fn metadata_alone_is_given(world: World) {
    world.namespace("fields-11").await;
    world.map("fields-11", "a", "1").await;
    let headers = [(
        "accept",
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    )];
    let path = format!("{}/a", maps("fields-11"));
    let found = world.ask("GET", &path, &headers, &Value::Null).await.ok();
    assert_eq!(
        (&found["kind"], &found["data"]),
        (&json!("PartialObjectMetadata"), &Value::Null)
    );
    assert_eq!(found["metadata"]["name"], "a");
    let headers = [(
        "accept",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    )];
    let list = world
        .ask("GET", &maps("fields-11"), &headers, &Value::Null)
        .await
        .ok();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["data"], Value::Null);
}

async fn groups_are_discovered(world: World) {
    let found = world.get("/api").await.ok();
    assert_eq!(found["versions"], json!(["v1"]));
    let found = world.get("/apis").await.ok();
    assert_eq!(found["kind"], "APIGroupList");
    let groups: Vec<_> = found["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    for name in [
        "apps",
        "batch",
        "rbac.authorization.k8s.io",
        "apiextensions.k8s.io",
        "networking.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "storage.k8s.io",
        "policy",
        "authorization.k8s.io",
        "authentication.k8s.io",
        "autoscaling",
        "admissionregistration.k8s.io",
    ] {
        assert!(groups.contains(&name), "{name}");
    }
    let found = world.get("/apis/apps").await.ok();
    assert_eq!(found["preferredVersion"]["groupVersion"], "apps/v1");
}

async fn resources_are_discovered(world: World) {
    let found = world.get("/apis/apps/v1").await.ok();
    assert_eq!(
        (&found["kind"], &found["groupVersion"]),
        (&json!("APIResourceList"), &json!("apps/v1"))
    );
    let resources = found["resources"].as_array().unwrap();
    let one = resources
        .iter()
        .find(|it| it["name"] == "deployments")
        .unwrap();
    assert_eq!(
        (&one["kind"], &one["singularName"]),
        (&json!("Deployment"), &json!("deployment"))
    );
    assert_eq!(
        (&one["namespaced"], &one["shortNames"]),
        (&json!(true), &json!(["deploy"]))
    );
    assert_eq!(one["categories"], json!(["all"]));
    let verbs = json!([
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch"
    ]);
    assert_eq!(one["verbs"], verbs);
    let scale = resources
        .iter()
        .find(|it| it["name"] == "deployments/scale")
        .unwrap();
    assert_eq!(
        (&scale["group"], &scale["version"], &scale["kind"]),
        (&json!("autoscaling"), &json!("v1"), &json!("Scale"))
    );
    let core = world.get("/api/v1").await.ok();
    let core: Vec<_> = core["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    for name in [
        "configmaps",
        "secrets",
        "pods",
        "pods/log",
        "pods/exec",
        "pods/status",
        "pods/eviction",
        "services",
        "namespaces",
        "namespaces/finalize",
        "serviceaccounts/token",
        "persistentvolumeclaims",
        "events",
        "nodes",
        "endpoints",
        "resourcequotas",
        "limitranges",
        "persistentvolumes",
        "replicationcontrollers",
    ] {
        assert!(core.contains(&name), "{name}");
    }
}

async fn everything_is_discovered_at_once(world: World) {
    let headers = [(
        "accept",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
    )];
    let found = world.ask("GET", "/apis", &headers, &Value::Null).await;
    let content = found.headers["content-type"].to_str().unwrap().to_owned();
    assert!(content.contains("as=APIGroupDiscoveryList"), "{content}");
    let found = found.ok();
    assert_eq!(found["kind"], "APIGroupDiscoveryList");
    let groups = found["items"].as_array().unwrap();
    let apps = groups
        .iter()
        .find(|it| it["metadata"]["name"] == "apps")
        .unwrap();
    let resources = apps["versions"][0]["resources"].as_array().unwrap();
    let one = resources
        .iter()
        .find(|it| it["resource"] == "deployments")
        .unwrap();
    assert_eq!(
        (&one["scope"], &one["responseKind"]["kind"]),
        (&json!("Namespaced"), &json!("Deployment"))
    );
}

async fn schemas_are_described(world: World) {
    let found = world.get("/openapi/v3").await.ok();
    let place = found["paths"]["apis/apps/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap()
        .to_owned();
    let place = place.split_once("/openapi/").unwrap().1;
    let schema = world.get(&format!("/openapi/{place}")).await.ok();
    let deployment = &schema["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"];
    let kind = json!([{"group": "apps", "kind": "Deployment", "version": "v1"}]);
    assert_eq!(deployment["x-kubernetes-group-version-kind"], kind);
    assert!(deployment["properties"]["spec"].is_object());
}

async fn the_version_is_told(world: World) {
    let found = world.get("/version").await.ok();
    assert_eq!(
        (&found["major"], &found["minor"]),
        (&json!("1"), &json!("34"))
    );
    assert!(
        found["gitVersion"].as_str().unwrap().starts_with("v1.34"),
        "{found}"
    );
}

async fn readiness_is_told(world: World) {
    for path in ["/healthz", "/livez", "/readyz"] {
        let answer = world.get(path).await;
        assert_eq!((answer.status, &answer.body), (200, &json!("ok")), "{path}");
    }
}

async fn paths_that_are_none_are_refused(world: World) {
    for path in [
        "/api/v2",
        "/apis/apps/v9/deployments",
        "/api/v1/absent",
        "/absent",
    ] {
        assert_eq!(world.get(path).await.status, 404, "{path}");
    }
    let answer = world
        .post(&format!("{}/a/absent", maps("default")), json!({}))
        .await;
    assert_eq!(answer.status, 404, "{}", answer.body);
    let answer = world
        .ask("DELETE", "/api/v1/namespaces", &[], &Value::Null)
        .await;
    answer.refused(405, "MethodNotAllowed");
}
