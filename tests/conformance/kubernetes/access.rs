//! Who may do what: RBAC, impersonation, reviews.

use serde_json::{Value, json};

use super::world::{World, map, maps};
use crate::suite::{self, cases};

pub fn cases() -> Vec<suite::Case<World>> {
    cases![
        nobody_may_anything_unless_allowed,
        a_role_allows_in_its_namespace,
        a_cluster_role_allows_where_it_is_bound,
        a_rule_may_name_objects,
        a_subresource_is_allowed_by_itself,
        a_group_is_bound,
        a_service_account_is_bound,
        nobody_gives_more_than_they_have,
        a_bindings_role_stays,
        a_review_of_oneself_says_what_is_allowed,
        a_review_of_another_says_what_is_allowed,
        oneself_is_known,
        a_token_is_made_for_a_service_account,
        aggregated_roles_collect_their_rules,
        impersonation_is_a_right,
    ]
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

async fn role(world: &World, namespace: &str, name: &str, rules: Value) {
    let body = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": name}, "rules": rules});
    let path = format!("{RBAC}/namespaces/{namespace}/roles");
    world.post(&path, body).await.ok();
}

fn binding(name: &str, kind: &str, role: &str, subject: Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [subject]})
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name})
}

async fn bind(world: &World, namespace: &str, binding: Value) {
    let path = format!("{RBAC}/namespaces/{namespace}/rolebindings");
    world.post(&path, binding).await.ok();
}

/// Waits until the user gets this status; authorization may lag its objects.
async fn becomes(world: &World, user: &str, method: &str, path: &str, body: &Value, status: u16) {
    for _ in 0..200 {
        if world.ask_as(user, method, path, body).await.status == status {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let last = world.ask_as(user, method, path, body).await;
    assert_eq!(last.status, status, "{user} {method} {path}: {}", last.body);
}

async fn nobody_may_anything_unless_allowed(world: World) {
    world.namespace("access-1").await;
    world.map("access-1", "a", "1").await;
    let path = maps("access-1");
    let one = format!("{path}/a");
    let verbs = [
        ("GET", &one, "get"),
        ("GET", &path, "list"),
        ("DELETE", &one, "delete"),
        ("DELETE", &path, "deletecollection"),
    ];
    for (method, path, verb) in verbs {
        let denied = world
            .ask_as("access-1-user", method, path, &Value::Null)
            .await;
        denied.refused(403, "Forbidden");
        let message = denied.body["message"].as_str().unwrap();
        let wanted = format!(
            "User \"access-1-user\" cannot {verb} resource \"configmaps\" in API group \"\" in the namespace \"access-1\""
        );
        assert!(message.contains(&wanted), "{message}");
    }
    let denied = world
        .ask_as("access-1-user", "POST", &path, &map("b", "1"))
        .await;
    denied.refused(403, "Forbidden");
    let denied = world
        .ask_as(
            "access-1-user",
            "GET",
            &format!("{path}?watch=true"),
            &Value::Null,
        )
        .await;
    denied.refused(403, "Forbidden");
    // Absent or not, it is not theirs to know.
    let absent = format!("{path}/absent");
    let denied = world
        .ask_as("access-1-user", "GET", &absent, &Value::Null)
        .await;
    denied.refused(403, "Forbidden");
    let denied = world
        .ask_as("access-1-user", "GET", "/api/v1/nodes", &Value::Null)
        .await;
    let message = denied.body["message"].as_str().unwrap();
    assert!(message.ends_with("at the cluster scope"), "{message}");
}

async fn a_role_allows_in_its_namespace(world: World) {
    world.namespace("access-2").await;
    world.namespace("access-2-other").await;
    let rules =
        json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create"]}]);
    role(&world, "access-2", "reader", rules).await;
    bind(
        &world,
        "access-2",
        binding("reader", "Role", "reader", user("access-2-user")),
    )
    .await;
    let path = maps("access-2");
    becomes(&world, "access-2-user", "POST", &path, &map("a", "1"), 201).await;
    let one = format!("{path}/a");
    let elsewhere = format!("{}/a", maps("access-2-other"));
    let ask = |method, path| world.ask_as("access-2-user", method, path, &Value::Null);
    assert_eq!(ask("GET", &one).await.status, 200);
    assert_eq!(ask("DELETE", &one).await.status, 403);
    assert_eq!(ask("GET", &path).await.status, 403);
    assert_eq!(ask("GET", &elsewhere).await.status, 403);
    // Making by apply or update is creating and patching.
    let put = world
        .ask_as("access-2-user", "PUT", &one, &map("a", "2"))
        .await;
    assert_eq!(put.status, 403);
}

async fn a_cluster_role_allows_where_it_is_bound(world: World) {
    world.namespace("access-3").await;
    world.map("access-3", "a", "1").await;
    let body = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "access-3"}, "rules": [
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["list"]},
            {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]});
    world.post(&format!("{RBAC}/clusterroles"), body).await.ok();
    bind(
        &world,
        "access-3",
        binding("lister", "ClusterRole", "access-3", user("access-3-user")),
    )
    .await;
    becomes(
        &world,
        "access-3-user",
        "GET",
        &maps("access-3"),
        &Value::Null,
        200,
    )
    .await;
    let denied = world
        .ask_as("access-3-user", "GET", &maps("default"), &Value::Null)
        .await;
    assert_eq!(denied.status, 403);
    let denied = world
        .ask_as("access-3-user", "GET", "/api/v1/configmaps", &Value::Null)
        .await;
    assert_eq!(denied.status, 403);
}

async fn a_rule_may_name_objects(world: World) {
    world.namespace("access-4").await;
    for name in ["a", "b"] {
        world.map("access-4", name, "1").await;
    }
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get", "list", "delete"]}]);
    role(&world, "access-4", "one", rules).await;
    bind(
        &world,
        "access-4",
        binding("one", "Role", "one", user("access-4-user")),
    )
    .await;
    let path = maps("access-4");
    becomes(
        &world,
        "access-4-user",
        "GET",
        &format!("{path}/a"),
        &Value::Null,
        200,
    )
    .await;
    let ask = |method, path| world.ask_as("access-4-user", method, path, &Value::Null);
    let other = format!("{path}/b");
    assert_eq!(ask("GET", &other).await.status, 403);
    assert_eq!(ask("GET", &path).await.status, 403);
    let named = format!("{path}?fieldSelector=metadata.name%3Da");
    assert_eq!(ask("GET", &named).await.status, 200);
}

async fn a_subresource_is_allowed_by_itself(world: World) {
    world.namespace("access-5").await;
    let deployments = super::world::deployments("access-5");
    world
        .post(&deployments, super::world::deployment("a"))
        .await
        .ok();
    let rules =
        json!([{"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["*"]}]);
    role(&world, "access-5", "scaler", rules).await;
    bind(
        &world,
        "access-5",
        binding("scaler", "Role", "scaler", user("access-5-user")),
    )
    .await;
    let scale = format!("{deployments}/a/scale");
    becomes(&world, "access-5-user", "GET", &scale, &Value::Null, 200).await;
    let denied = world
        .ask_as(
            "access-5-user",
            "GET",
            &format!("{deployments}/a"),
            &Value::Null,
        )
        .await;
    assert_eq!(denied.status, 403);
}

async fn a_group_is_bound(world: World) {
    world.namespace("access-6").await;
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]);
    role(&world, "access-6", "lister", rules).await;
    let group =
        json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "access-6-team"});
    bind(
        &world,
        "access-6",
        binding("lister", "Role", "lister", group),
    )
    .await;
    for _ in 0..200 {
        let headers = [
            ("impersonate-user", "access-6-user"),
            ("impersonate-group", "access-6-team"),
        ];
        if world
            .ask("GET", &maps("access-6"), &headers, &Value::Null)
            .await
            .status
            == 200
        {
            let alone = world
                .ask_as("access-6-user", "GET", &maps("access-6"), &Value::Null)
                .await;
            assert_eq!(alone.status, 403);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the group may not list");
}

async fn a_service_account_is_bound(world: World) {
    world.namespace("access-7").await;
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]);
    role(&world, "access-7", "lister", rules).await;
    let account = json!({"kind": "ServiceAccount", "namespace": "access-7", "name": "robot"});
    bind(
        &world,
        "access-7",
        binding("lister", "Role", "lister", account),
    )
    .await;
    let name = "system:serviceaccount:access-7:robot";
    becomes(&world, name, "GET", &maps("access-7"), &Value::Null, 200).await;
}

async fn nobody_gives_more_than_they_have(world: World) {
    world.namespace("access-8").await;
    let rules = json!([
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["get", "list", "create", "update", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    role(&world, "access-8", "manager", rules).await;
    role(
        &world,
        "access-8",
        "strong",
        json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]),
    )
    .await;
    bind(
        &world,
        "access-8",
        binding("manager", "Role", "manager", user("access-8-user")),
    )
    .await;
    let roles = format!("{RBAC}/namespaces/access-8/roles");
    let of = |name: &str, resource: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]})
    };
    becomes(
        &world,
        "access-8-user",
        "POST",
        &roles,
        &of("mine", "configmaps"),
        201,
    )
    .await;
    let more = world
        .ask_as("access-8-user", "POST", &roles, &of("more", "secrets"))
        .await;
    more.refused(403, "Forbidden");
    let bindings = format!("{RBAC}/namespaces/access-8/rolebindings");
    let strong = binding("strong", "Role", "strong", user("access-8-user"));
    world
        .ask_as("access-8-user", "POST", &bindings, &strong)
        .await
        .refused(403, "Forbidden");
    let mine = binding("mine", "Role", "mine", user("another"));
    assert_eq!(
        world
            .ask_as("access-8-user", "POST", &bindings, &mine)
            .await
            .status,
        201
    );
}

async fn a_bindings_role_stays(world: World) {
    world.namespace("access-9").await;
    for name in ["one", "two"] {
        role(&world, "access-9", name, json!([])).await;
    }
    bind(&world, "access-9", binding("a", "Role", "one", user("x"))).await;
    let path = format!("{RBAC}/namespaces/access-9/rolebindings/a");
    let other = binding("a", "Role", "two", user("x"));
    world.put(&path, other).await.refused(422, "Invalid");
}

async fn a_review_of_oneself_says_what_is_allowed(world: World) {
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "delete", "resource": "nodes"}}});
    let mine = world.post(path, body.clone()).await;
    assert_eq!(
        (mine.status, &mine.body["status"]["allowed"]),
        (201, &json!(true))
    );
    let theirs = world
        .ask_as("access-10-user", "POST", path, &body)
        .await
        .ok();
    assert_eq!(theirs["status"]["allowed"], false);
}

async fn a_review_of_another_says_what_is_allowed(world: World) {
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let of = |groups: Value| {
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": "access-11-user", "groups": groups,
            "resourceAttributes": {"verb": "get", "resource": "secrets", "namespace": "default"}}})
    };
    let body = of(json!(["system:masters"]));
    assert_eq!(world.post(path, body).await.ok()["status"]["allowed"], true);
    let body = of(json!([]));
    assert_eq!(
        world.post(path, body.clone()).await.ok()["status"]["allowed"],
        false
    );
    world
        .ask_as("access-11-user", "POST", path, &body)
        .await
        .refused(403, "Forbidden");
}

async fn oneself_is_known(world: World) {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let found = world
        .ask_as("access-12-user", "POST", path, &body)
        .await
        .ok();
    let info = &found["status"]["userInfo"];
    assert_eq!(info["username"], "access-12-user");
    assert_eq!(info["groups"], json!(["system:authenticated"]));
}

async fn a_token_is_made_for_a_service_account(world: World) {
    world.namespace("access-13").await;
    let path = "/api/v1/namespaces/access-13/serviceaccounts";
    let body = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}});
    world.post(path, body).await.ok();
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600}});
    let made = world
        .post(&format!("{path}/robot/token"), body.clone())
        .await
        .ok();
    let token = made["status"]["token"].as_str().unwrap();
    assert_eq!(token.split('.').count(), 3);
    assert!(made["status"]["expirationTimestamp"].is_string());
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let told = world
        .post("/apis/authentication.k8s.io/v1/tokenreviews", review)
        .await
        .ok();
    assert_eq!(told["status"]["authenticated"], true, "{told}");
    let name = "system:serviceaccount:access-13:robot";
    assert_eq!(told["status"]["user"]["username"], name);
    world
        .post(&format!("{path}/absent/token"), body)
        .await
        .refused(404, "NotFound");
}

async fn aggregated_roles_collect_their_rules(world: World) {
    let found = world.get(&format!("{RBAC}/clusterroles/admin")).await.ok();
    assert!(found["aggregationRule"]["clusterRoleSelectors"].is_array());
    for name in ["cluster-admin", "edit", "view"] {
        assert_eq!(
            world
                .get(&format!("{RBAC}/clusterroles/{name}"))
                .await
                .status,
            200,
            "{name}"
        );
    }
}

async fn impersonation_is_a_right(world: World) {
    // Of one who acts for another already, the right is asked of the first.
    let headers = [("impersonate-group", "system:masters")];
    let answer = world
        .ask("GET", "/api/v1/nodes", &headers, &Value::Null)
        .await;
    assert!(
        answer.status >= 400,
        "a group without a user: {}",
        answer.body
    );
}
