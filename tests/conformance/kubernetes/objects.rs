//! Objects come, change and go; the rules that built-in kinds add.

use serde_json::{Value, json};

use super::world::{JSON, MERGE, World, deployment, deployments, map, maps};
use crate::suite::{self, cases};

pub fn cases() -> Vec<suite::Case<World>> {
    cases![
        an_object_is_made_read_changed_and_deleted,
        a_second_of_the_same_name_is_refused,
        an_absent_object_is_not_found,
        a_stale_update_is_a_conflict,
        an_update_without_a_version_is_taken,
        an_update_of_an_absent_object_is_not_found,
        an_update_that_changes_nothing_writes_nothing,
        a_name_is_generated,
        a_bad_name_is_refused_with_its_field,
        a_bad_label_is_refused,
        an_object_needs_its_namespace,
        the_namespace_of_body_and_path_agree,
        the_name_of_body_and_path_agree,
        a_kind_that_does_not_fit_is_refused,
        what_is_not_json_is_refused,
        a_dry_run_writes_nothing,
        a_dry_run_of_delete_deletes_nothing,
        a_deletion_may_name_the_object_it_means,
        a_collection_is_deleted_by_label,
        an_object_with_a_finalizer_waits,
        no_finalizer_is_added_while_an_object_goes,
        uid_and_creation_stay,
        the_generation_counts_specs,
        a_status_is_changed_by_itself,
        a_scale_is_read_and_changed,
        a_deployment_gets_its_defaults,
        a_selector_matches_its_template,
        a_selector_stays,
        a_service_gets_an_address,
        a_secret_takes_text,
        an_immutable_map_stays,
        a_pods_spec_stays,
        a_pod_needs_a_container,
        a_namespace_has_phase_and_label,
        a_put_needs_a_version_where_others_could_have_written,
        an_owner_reference_is_checked,
        yaml_is_taken,
        unknown_fields_are_pruned_and_warned_of,
        unknown_fields_are_refused_when_strict,
        duplicate_fields_are_refused_when_strict,
        a_binding_names_its_node,
        an_event_has_its_times,
        a_resource_quota_is_kept,
        a_quantity_is_checked,
    ]
}

async fn an_object_is_made_read_changed_and_deleted(world: World) {
    world.namespace("objects-1").await;
    let made = world.post(&maps("objects-1"), map("a", "1")).await;
    assert_eq!(made.status, 201);
    let metadata = &made.body["metadata"];
    assert_eq!(metadata["namespace"], "objects-1");
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        assert!(metadata[field].is_string(), "{field}");
    }
    let path = format!("{}/a", maps("objects-1"));
    assert_eq!(world.get(&path).await.ok(), made.body);
    let mut changed = made.body.clone();
    changed["data"]["key"] = json!("2");
    let changed = world.put(&path, changed).await;
    assert_eq!(
        (changed.status, &changed.body["data"]["key"]),
        (200, &json!("2"))
    );
    assert_ne!(
        changed.body["metadata"]["resourceVersion"],
        metadata["resourceVersion"]
    );
    let gone = world.delete(&path).await;
    assert_eq!((gone.status, &gone.body["kind"]), (200, &json!("Status")));
    assert_eq!(gone.body["status"], "Success");
    assert_eq!(gone.body["details"]["name"], "a");
    assert_eq!(gone.body["details"]["kind"], "configmaps");
    assert_eq!(gone.body["details"]["uid"], metadata["uid"]);
    assert_eq!(world.get(&path).await.status, 404);
}

async fn a_second_of_the_same_name_is_refused(world: World) {
    world.namespace("objects-2").await;
    world.map("objects-2", "a", "1").await;
    let again = world.post(&maps("objects-2"), map("a", "2")).await;
    again.refused(409, "AlreadyExists");
    assert_eq!(again.body["message"], "configmaps \"a\" already exists");
    assert_eq!(
        again.body["details"],
        json!({"name": "a", "kind": "configmaps"})
    );
}

async fn an_absent_object_is_not_found(world: World) {
    world.namespace("objects-3").await;
    let path = format!("{}/a", deployments("objects-3"));
    for answer in [
        world.get(&path).await,
        world.delete(&path).await,
        world.patch(&path, MERGE, json!({})).await,
    ] {
        answer.refused(404, "NotFound");
        assert_eq!(answer.body["message"], "deployments.apps \"a\" not found");
        let details = json!({"name": "a", "group": "apps", "kind": "deployments"});
        assert_eq!(answer.body["details"], details);
    }
    assert_eq!(
        world.get("/apis/absent.example/v1/things").await.status,
        404
    );
}

async fn a_stale_update_is_a_conflict(world: World) {
    world.namespace("objects-4").await;
    let first = world.map("objects-4", "a", "1").await;
    let path = format!("{}/a", maps("objects-4"));
    let mut newer = first.clone();
    newer["data"]["key"] = json!("2");
    world.put(&path, newer).await.ok();
    let mut stale = first;
    stale["data"]["key"] = json!("3");
    let stale = world.put(&path, stale).await;
    stale.refused(409, "Conflict");
    assert_eq!(
        stale.body["message"],
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
}

async fn an_update_without_a_version_is_taken(world: World) {
    world.namespace("objects-5").await;
    world.map("objects-5", "a", "1").await;
    let path = format!("{}/a", maps("objects-5"));
    let taken = world.put(&path, map("a", "2")).await.ok();
    assert_eq!(taken["data"]["key"], "2");
}

async fn an_update_of_an_absent_object_is_not_found(world: World) {
    world.namespace("objects-6").await;
    let path = format!("{}/a", maps("objects-6"));
    world
        .put(&path, map("a", "1"))
        .await
        .refused(404, "NotFound");
}

async fn an_update_that_changes_nothing_writes_nothing(world: World) {
    world.namespace("objects-7").await;
    let made = world.map("objects-7", "a", "1").await;
    let path = format!("{}/a", maps("objects-7"));
    let same = world.put(&path, made.clone()).await.ok();
    assert_eq!(
        same["metadata"]["resourceVersion"],
        made["metadata"]["resourceVersion"]
    );
    let same = world
        .patch(&path, MERGE, json!({"data": {"key": "1"}}))
        .await
        .ok();
    assert_eq!(
        same["metadata"]["resourceVersion"],
        made["metadata"]["resourceVersion"]
    );
}

async fn a_name_is_generated(world: World) {
    world.namespace("objects-8").await;
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}});
    let made = world.post(&maps("objects-8"), body.clone()).await.ok();
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("a-") && name.len() == 7, "{name}");
    let other = world.post(&maps("objects-8"), body).await.ok();
    assert_ne!(other["metadata"]["name"], made["metadata"]["name"]);
    let none = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}});
    let refused = world.post(&maps("objects-8"), none).await;
    refused.refused(422, "Invalid");
    assert_eq!(
        refused.body["details"]["causes"][0]["field"],
        "metadata.name"
    );
}

async fn a_bad_name_is_refused_with_its_field(world: World) {
    world.namespace("objects-9").await;
    let refused = world.post(&maps("objects-9"), map("Bad_Name", "1")).await;
    refused.refused(422, "Invalid");
    let cause = &refused.body["details"]["causes"][0];
    assert_eq!(
        (&cause["reason"], &cause["field"]),
        (&json!("FieldValueInvalid"), &json!("metadata.name"))
    );
    let long = "a".repeat(254);
    world
        .post(&maps("objects-9"), map(&long, "1"))
        .await
        .refused(422, "Invalid");
    // A namespace's name is a DNS label.
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a.b"}});
    world
        .post("/api/v1/namespaces", body)
        .await
        .refused(422, "Invalid");
}

async fn a_bad_label_is_refused(world: World) {
    world.namespace("objects-10").await;
    for labels in [
        json!({"a": "with space"}),
        json!({"-a": "b"}),
        json!({"a/b/c": "d"}),
    ] {
        let mut body = map("a", "1");
        body["metadata"]["labels"] = labels;
        let refused = world.post(&maps("objects-10"), body).await;
        refused.refused(422, "Invalid");
        assert_eq!(
            refused.body["details"]["causes"][0]["field"],
            "metadata.labels"
        );
    }
}

async fn an_object_needs_its_namespace(world: World) {
    let refused = world.post(&maps("objects-11-absent"), map("a", "1")).await;
    refused.refused(404, "NotFound");
    assert_eq!(
        refused.body["message"],
        "namespaces \"objects-11-absent\" not found"
    );
}

async fn the_namespace_of_body_and_path_agree(world: World) {
    world.namespace("objects-12").await;
    let mut body = map("a", "1");
    body["metadata"]["namespace"] = json!("default");
    world
        .post(&maps("objects-12"), body)
        .await
        .refused(400, "BadRequest");
}

async fn the_name_of_body_and_path_agree(world: World) {
    world.namespace("objects-13").await;
    world.map("objects-13", "a", "1").await;
    let path = format!("{}/a", maps("objects-13"));
    world
        .put(&path, map("b", "1"))
        .await
        .refused(400, "BadRequest");
}

async fn a_kind_that_does_not_fit_is_refused(world: World) {
    world.namespace("objects-14").await;
    let mut body = map("a", "1");
    body["kind"] = json!("Secret");
    world
        .post(&maps("objects-14"), body)
        .await
        .refused(400, "BadRequest");
    let mut body = map("a", "1");
    body["data"] = json!({"key": 1});
    world
        .post(&maps("objects-14"), body)
        .await
        .refused(400, "BadRequest");
}

async fn what_is_not_json_is_refused(world: World) {
    world.namespace("objects-15").await;
    let broken = world.post(&maps("objects-15"), json!("{\"a\": ")).await;
    broken.refused(400, "BadRequest");
    let headers = [("content-type", "text/plain")];
    let answer = world
        .ask("POST", &maps("objects-15"), &headers, &map("a", "1"))
        .await;
    answer.refused(415, "UnsupportedMediaType");
}

async fn a_dry_run_writes_nothing(world: World) {
    world.namespace("objects-16").await;
    let path = format!("{}?dryRun=All", maps("objects-16"));
    let made = world.post(&path, map("a", "1")).await;
    assert_eq!(
        (made.status, &made.body["metadata"]["name"]),
        (201, &json!("a"))
    );
    assert!(made.body["metadata"]["uid"].is_string());
    let one = format!("{}/a", maps("objects-16"));
    assert_eq!(world.get(&one).await.status, 404);
    let path = format!("{}?dryRun=Some", maps("objects-16"));
    assert!(matches!(
        world.post(&path, map("a", "1")).await.status,
        400 | 422
    ));
}

async fn a_dry_run_of_delete_deletes_nothing(world: World) {
    world.namespace("objects-17").await;
    world.map("objects-17", "a", "1").await;
    let one = format!("{}/a", maps("objects-17"));
    assert_eq!(world.delete(&format!("{one}?dryRun=All")).await.status, 200);
    assert_eq!(world.get(&one).await.status, 200);
}

async fn a_deletion_may_name_the_object_it_means(world: World) {
    world.namespace("objects-18").await;
    let made = world.map("objects-18", "a", "1").await;
    let path = format!("{}/a", maps("objects-18"));
    let options = |preconditions: Value| json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions});
    let headers = [("content-type", JSON)];
    for wrong in [json!({"uid": "absent"}), json!({"resourceVersion": "1"})] {
        let answer = world.ask("DELETE", &path, &headers, &options(wrong)).await;
        answer.refused(409, "Conflict");
    }
    let right = json!({"uid": made["metadata"]["uid"]});
    let answer = world.ask("DELETE", &path, &headers, &options(right)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

async fn a_collection_is_deleted_by_label(world: World) {
    world.namespace("objects-19").await;
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let mut body = map(name, "1");
        body["metadata"]["labels"] = json!({"group": label});
        world.post(&maps("objects-19"), body).await.ok();
    }
    let path = format!("{}?labelSelector=group%3Dx", maps("objects-19"));
    assert_eq!(world.delete(&path).await.status, 200);
    let left = world
        .get(&format!("{}?labelSelector=group", maps("objects-19")))
        .await
        .ok();
    assert_eq!(super::world::names(&left), ["b"]);
}

async fn an_object_with_a_finalizer_waits(world: World) {
    world.namespace("objects-20").await;
    let mut body = map("a", "1");
    body["metadata"]["finalizers"] = json!(["acme.example/wait"]);
    world.post(&maps("objects-20"), body).await.ok();
    let path = format!("{}/a", maps("objects-20"));
    let going = world.delete(&path).await;
    assert_eq!(
        (going.status, &going.body["kind"]),
        (200, &json!("ConfigMap"))
    );
    let there = world.get(&path).await.ok();
    assert!(there["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(there["metadata"]["deletionGracePeriodSeconds"], 0);
    let changed = world
        .patch(&path, MERGE, json!({"data": {"key": "2"}}))
        .await
        .ok();
    assert_eq!(changed["data"]["key"], "2");
    let off = json!({"metadata": {"finalizers": null}});
    world.patch(&path, MERGE, off).await.ok();
    assert_eq!(world.get(&path).await.status, 404);
}

async fn no_finalizer_is_added_while_an_object_goes(world: World) {
    world.namespace("objects-21").await;
    let mut body = map("a", "1");
    body["metadata"]["finalizers"] = json!(["acme.example/wait"]);
    world.post(&maps("objects-21"), body).await.ok();
    let path = format!("{}/a", maps("objects-21"));
    world.delete(&path).await.ok();
    let more = json!({"metadata": {"finalizers": ["acme.example/wait", "acme.example/more"]}});
    world
        .patch(&path, MERGE, more)
        .await
        .refused(422, "Invalid");
    let off = json!({"metadata": {"finalizers": []}});
    world.patch(&path, MERGE, off).await.ok();
}

async fn uid_and_creation_stay(world: World) {
    world.namespace("objects-22").await;
    let made = world.map("objects-22", "a", "1").await;
    let path = format!("{}/a", maps("objects-22"));
    let mut other = made.clone();
    other["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z");
    other["metadata"]["generation"] = json!(77);
    other["data"]["key"] = json!("2");
    let taken = world.put(&path, other).await.ok();
    assert_eq!(
        taken["metadata"]["creationTimestamp"],
        made["metadata"]["creationTimestamp"]
    );
    let mut other = taken;
    other["metadata"]["uid"] = json!("another");
    world.put(&path, other).await.refused(409, "Conflict");
}

async fn the_generation_counts_specs(world: World) {
    world.namespace("objects-23").await;
    let made = world
        .post(&deployments("objects-23"), deployment("a"))
        .await
        .ok();
    assert_eq!(made["metadata"]["generation"], 1);
    let path = format!("{}/a", deployments("objects-23"));
    let labels = json!({"metadata": {"labels": {"x": "y"}}});
    let labelled = world.patch(&path, MERGE, labels).await.ok();
    assert_eq!(labelled["metadata"]["generation"], 1);
    let spec = json!({"spec": {"minReadySeconds": 1}});
    let changed = world.patch(&path, MERGE, spec).await.ok();
    assert_eq!(changed["metadata"]["generation"], 2);
}

async fn a_status_is_changed_by_itself(world: World) {
    world.namespace("objects-24").await;
    // A claim has no controller here that would say something else.
    let path = "/api/v1/namespaces/objects-24/persistentvolumeclaims";
    let body = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "objects-24-absent",
            "resources": {"requests": {"storage": "1Gi"}}}, "status": {"phase": "Lost"}});
    let made = world.post(path, body).await.ok();
    assert_eq!(made["status"]["phase"], "Pending");
    let one = format!("{path}/a");
    let main = json!({"status": {"phase": "Bound"}});
    let same = world.patch(&one, MERGE, main.clone()).await.ok();
    assert_eq!(same["status"]["phase"], "Pending");
    let status = json!({"status": {"phase": "Bound"}, "spec": {"volumeName": "x"},
        "metadata": {"labels": {"x": "y"}}});
    let changed = world
        .patch(&format!("{one}/status"), MERGE, status)
        .await
        .ok();
    assert_eq!(changed["status"]["phase"], "Bound");
    assert_eq!(changed["spec"]["volumeName"], Value::Null);
}

async fn a_scale_is_read_and_changed(world: World) {
    world.namespace("objects-25").await;
    world
        .post(&deployments("objects-25"), deployment("a"))
        .await
        .ok();
    let path = format!("{}/a", deployments("objects-25"));
    let scale = world.get(&format!("{path}/scale")).await.ok();
    assert_eq!(scale["kind"], "Scale");
    assert_eq!(scale["apiVersion"], "autoscaling/v1");
    assert_eq!(scale["spec"], json!({}));
    assert_eq!(scale["status"]["selector"], "app=a");
    let body = json!({"spec": {"replicas": 3}});
    world
        .patch(&format!("{path}/scale"), MERGE, body)
        .await
        .ok();
    assert_eq!(world.get(&path).await.ok()["spec"]["replicas"], 3);
}

async fn a_deployment_gets_its_defaults(world: World) {
    world.namespace("objects-26").await;
    let mut body = deployment("a");
    body["spec"].as_object_mut().unwrap().remove("replicas");
    body["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80}]);
    let path = format!("{}?dryRun=All", deployments("objects-26"));
    let made = world.post(&path, body).await.ok();
    let spec = &made["spec"];
    assert_eq!(spec["replicas"], 1);
    assert_eq!(spec["revisionHistoryLimit"], 10);
    assert_eq!(spec["progressDeadlineSeconds"], 600);
    let strategy = json!({"type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
    assert_eq!(spec["strategy"], strategy);
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Always");
    assert_eq!(pod["dnsPolicy"], "ClusterFirst");
    assert_eq!(pod["schedulerName"], "default-scheduler");
    assert_eq!(pod["terminationGracePeriodSeconds"], 30);
    assert_eq!(pod["securityContext"], json!({}));
    let container = json!({"name": "web", "image": "web:1", "resources": {},
        "ports": [{"containerPort": 80, "protocol": "TCP"}], "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"});
    assert_eq!(pod["containers"], json!([container]));
}

async fn a_selector_matches_its_template(world: World) {
    world.namespace("objects-27").await;
    let mut body = deployment("a");
    body["spec"]["selector"]["matchLabels"]["app"] = json!("b");
    let refused = world.post(&deployments("objects-27"), body).await;
    refused.refused(422, "Invalid");
    let cause = &refused.body["details"]["causes"][0];
    assert_eq!(cause["field"], "spec.template.metadata.labels");
}

async fn a_selector_stays(world: World) {
    world.namespace("objects-28").await;
    world
        .post(&deployments("objects-28"), deployment("a"))
        .await
        .ok();
    let path = format!("{}/a", deployments("objects-28"));
    let body = json!({"spec": {"selector": {"matchLabels": {"app": "b"}},
        "template": {"metadata": {"labels": {"app": "b"}}}}});
    let refused = world.patch(&path, MERGE, body).await;
    refused.refused(422, "Invalid");
    assert_eq!(
        refused.body["details"]["causes"][0]["field"],
        "spec.selector"
    );
}

async fn a_service_gets_an_address(world: World) {
    world.namespace("objects-29").await;
    let path = "/api/v1/namespaces/objects-29/services";
    let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
        "spec": {"selector": {"app": "a"}, "ports": [{"port": 80}]}});
    let made = world.post(path, body).await.ok();
    let spec = &made["spec"];
    assert_eq!(spec["type"], "ClusterIP");
    assert!(spec["clusterIP"].as_str().unwrap().contains('.'));
    assert_eq!(spec["clusterIPs"], json!([spec["clusterIP"]]));
    assert_eq!(spec["sessionAffinity"], "None");
    assert_eq!(
        spec["ports"],
        json!([{"port": 80, "protocol": "TCP", "targetPort": 80}])
    );
    let other = json!({"spec": {"clusterIP": "10.0.0.99", "clusterIPs": ["10.0.0.99"]}});
    let one = format!("{path}/a");
    world
        .patch(&one, MERGE, other)
        .await
        .refused(422, "Invalid");
    let none =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"}, "spec": {}});
    world.post(path, none).await.refused(422, "Invalid");
}

async fn a_secret_takes_text(world: World) {
    world.namespace("objects-30").await;
    let path = "/api/v1/namespaces/objects-30/secrets";
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
        "stringData": {"key": "value", "both": "text"}, "data": {"both": "b3RoZXI="}});
    let made = world.post(path, body).await.ok();
    assert_eq!(made["data"], json!({"key": "dmFsdWU=", "both": "dGV4dA=="}));
    assert_eq!(
        (&made["stringData"], &made["type"]),
        (&Value::Null, &json!("Opaque"))
    );
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"},
        "data": {"key": "not base64!"}});
    world.post(path, body).await.refused(400, "BadRequest");
    let other = json!({"type": "acme.example/other"});
    let one = format!("{path}/a");
    world
        .patch(&one, MERGE, other)
        .await
        .refused(422, "Invalid");
}

async fn an_immutable_map_stays(world: World) {
    world.namespace("objects-31").await;
    let mut body = map("a", "1");
    body["immutable"] = json!(true);
    world.post(&maps("objects-31"), body).await.ok();
    let path = format!("{}/a", maps("objects-31"));
    for change in [json!({"data": {"key": "2"}}), json!({"immutable": false})] {
        world
            .patch(&path, MERGE, change)
            .await
            .refused(422, "Invalid");
    }
    let labels = json!({"metadata": {"labels": {"x": "y"}}});
    world.patch(&path, MERGE, labels).await.ok();
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"automountServiceAccountToken": false,
            "containers": [{"name": "web", "image": "web:1"}]}})
}

async fn a_pods_spec_stays(world: World) {
    world.namespace("objects-32").await;
    let path = "/api/v1/namespaces/objects-32/pods";
    let made = world.post(path, pod("a")).await.ok();
    assert_eq!(made["status"]["phase"], "Pending");
    assert_eq!(made["status"]["qosClass"], "BestEffort");
    let one = format!("{path}/a");
    let body = json!({"spec": {"restartPolicy": "Never"}});
    world.patch(&one, MERGE, body).await.refused(422, "Invalid");
    let body = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "web:2"}]);
    let changed = world.patch(&one, super::world::JSON_PATCH, body).await.ok();
    assert_eq!(changed["spec"]["containers"][0]["image"], "web:2");
}

async fn a_pod_needs_a_container(world: World) {
    world.namespace("objects-33").await;
    let path = "/api/v1/namespaces/objects-33/pods";
    let mut body = pod("a");
    body["spec"]["containers"] = json!([]);
    let refused = world.post(path, body).await;
    refused.refused(422, "Invalid");
    assert_eq!(
        refused.body["details"]["causes"][0]["field"],
        "spec.containers"
    );
    let mut body = pod("a");
    body["spec"]["containers"] = json!([{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]);
    let refused = world.post(path, body).await;
    refused.refused(422, "Invalid");
    let cause = &refused.body["details"]["causes"][0];
    assert_eq!(cause["field"], "spec.containers[1].name");
    assert_eq!(cause["reason"], "FieldValueDuplicate");
}

async fn a_namespace_has_phase_and_label(world: World) {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "objects-34"}});
    let made = world.post("/api/v1/namespaces", body).await.ok();
    assert_eq!(made["status"]["phase"], "Active");
    assert_eq!(made["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(
        made["metadata"]["labels"]["kubernetes.io/metadata.name"],
        "objects-34"
    );
    let going = world.delete("/api/v1/namespaces/objects-34").await.ok();
    assert_eq!(going["status"]["phase"], "Terminating");
    let late = world.post(&maps("objects-34"), map("a", "1")).await;
    // Where the namespace is gone already, it is not found.
    assert!(matches!(late.status, 403 | 404), "{}", late.body);
}

async fn a_put_needs_a_version_where_others_could_have_written(world: World) {
    world.namespace("objects-35").await;
    let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
        "spec": {"ports": [{"port": 80}]}});
    let path = "/apis/coordination.k8s.io/v1/namespaces/objects-35/leases";
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "a"}, "spec": {"holderIdentity": "x"}});
    world.post(path, lease.clone()).await.ok();
    let one = format!("{path}/a");
    world.put(&one, lease).await.refused(422, "Invalid");
    let path = "/api/v1/namespaces/objects-35/services";
    world.post(path, body.clone()).await.ok();
    // A Service without its address and version keeps what it has.
    world.put(&format!("{path}/a"), body).await.ok();
}

async fn an_owner_reference_is_checked(world: World) {
    world.namespace("objects-36").await;
    let mut body = map("a", "1");
    body["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}]);
    let refused = world.post(&maps("objects-36"), body).await;
    refused.refused(422, "Invalid");
    let cause = &refused.body["details"]["causes"][0];
    assert_eq!(cause["field"], "metadata.ownerReferences.uid");
    let owner = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": name, "controller": true});
    let mut body = map("a", "1");
    body["metadata"]["ownerReferences"] = json!([owner("x"), owner("y")]);
    world
        .post(&maps("objects-36"), body)
        .await
        .refused(422, "Invalid");
}

async fn yaml_is_taken(world: World) {
    world.namespace("objects-37").await;
    let text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  key: |\n    one\n    two\n";
    let headers = [("content-type", "application/yaml")];
    let made = world
        .ask("POST", &maps("objects-37"), &headers, &json!(text))
        .await
        .ok();
    assert_eq!(made["data"]["key"], "one\ntwo\n");
    let headers = [("accept", "application/yaml")];
    let path = format!("{}/a", maps("objects-37"));
    let answer = world.ask("GET", &path, &headers, &Value::Null).await;
    assert_eq!(answer.headers["content-type"], "application/yaml");
    assert!(answer.body.as_str().unwrap().contains("kind: ConfigMap"));
}

async fn unknown_fields_are_pruned_and_warned_of(world: World) {
    world.namespace("objects-38").await;
    let mut body = map("a", "1");
    body["dta"] = json!({});
    let path = format!("{}?fieldValidation=Warn", maps("objects-38"));
    let made = world.post(&path, body).await;
    let warning = made.headers["warning"].to_str().unwrap();
    assert_eq!(warning, "299 - \"unknown field \\\"dta\\\"\"");
    assert_eq!(made.ok()["dta"], Value::Null);
}

async fn unknown_fields_are_refused_when_strict(world: World) {
    world.namespace("objects-39").await;
    let mut body = deployment("a");
    body["spec"]["template"]["spec"]["containers"][0]["imag"] = json!("x");
    let path = format!("{}?fieldValidation=Strict", deployments("objects-39"));
    let refused = world.post(&path, body).await;
    refused.refused(400, "BadRequest");
    let message = refused.body["message"].as_str().unwrap();
    let wanted = "strict decoding error: unknown field \"spec.template.spec.containers[0].imag\"";
    assert!(message.contains(wanted), "{message}");
}

async fn duplicate_fields_are_refused_when_strict(world: World) {
    world.namespace("objects-40").await;
    let text = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"key": "1", "key": "2"}}"#;
    let path = format!("{}?fieldValidation=Strict", maps("objects-40"));
    let refused = world.post(&path, json!(text)).await;
    refused.refused(400, "BadRequest");
    let message = refused.body["message"].as_str().unwrap();
    assert!(
        message.contains("duplicate field \"data.key\""),
        "{message}"
    );
}

async fn a_binding_names_its_node(world: World) {
    world.namespace("objects-41").await;
    let path = "/api/v1/namespaces/objects-41/pods";
    let mut body = pod("a");
    body["spec"]["schedulerName"] = json!("of-the-case");
    world.post(path, body).await.ok();
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node-of-the-case"}});
    let bound = world
        .post(&format!("{path}/a/binding"), binding.clone())
        .await;
    assert_eq!(bound.status, 201, "{}", bound.body);
    let found = world.get(&format!("{path}/a")).await.ok();
    assert_eq!(found["spec"]["nodeName"], "node-of-the-case");
    let again = world.post(&format!("{path}/a/binding"), binding).await;
    again.refused(409, "Conflict");
}

async fn an_event_has_its_times(world: World) {
    world.namespace("objects-42").await;
    let body = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "a.1"},
        "involvedObject": {"kind": "ConfigMap", "namespace": "objects-42", "name": "a"},
        "reason": "Tried", "message": "it was tried", "type": "Normal", "count": 1,
        "firstTimestamp": "2026-11-23T10:00:00Z", "lastTimestamp": "2026-11-23T10:00:00Z"});
    world
        .post("/api/v1/namespaces/objects-42/events", body)
        .await
        .ok();
    let path = "/apis/events.k8s.io/v1/namespaces/objects-42/events/a.1";
    let same = world.get(path).await.ok();
    assert_eq!(same["note"], "it was tried");
    assert_eq!(same["regarding"]["name"], "a");
    assert_eq!(same["deprecatedCount"], 1);
    let path = "/api/v1/namespaces/objects-42/events?fieldSelector=involvedObject.name%3Da";
    assert_eq!(super::world::names(&world.get(path).await.ok()), ["a.1"]);
}

async fn a_resource_quota_is_kept(world: World) {
    world.namespace("objects-43").await;
    let path = "/api/v1/namespaces/objects-43/resourcequotas";
    let body = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "a"},
        "spec": {"hard": {"cpu": "1000m", "memory": "1024Mi", "pods": "5"}}});
    let made = world.post(path, body).await.ok();
    // Quantities are written in their shortest form.
    let hard = json!({"cpu": "1", "memory": "1Gi", "pods": "5"});
    assert_eq!(made["spec"]["hard"], hard);
}

async fn a_quantity_is_checked(world: World) {
    world.namespace("objects-44").await;
    let path = "/api/v1/namespaces/objects-44/pods";
    let mut body = pod("a");
    body["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "much"}});
    world.post(path, body).await.refused(400, "BadRequest");
    let mut body = pod("a");
    let resources = json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}});
    body["spec"]["containers"][0]["resources"] = resources;
    world.post(path, body).await.refused(422, "Invalid");
}
