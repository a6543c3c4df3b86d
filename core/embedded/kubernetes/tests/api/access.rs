//! Who may do what, and how clusters stay apart.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

use crate::custom_resources::definition;
use crate::support::{Answer, Api, MAPS, config_map};

#[tokio::test]
async fn access_follows_roles_and_stays_inside_the_cluster() {
    let api = Api::start().await;
    api.kubernetes.create_cluster("b", &[]).await.unwrap();
    let as_jane = |path: &str| {
        Request::builder()
            .uri(format!("/clusters/{path}"))
            .header("authorization", "Bearer jane-token")
            .body(Body::empty())
            .unwrap()
    };
    let refused = api.send(as_jane(MAPS)).await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.body,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\"",
            "reason": "Forbidden", "details": {"kind": "configmaps"}, "code": 403,
        })
    );
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "v"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "Group", "name": "developers"}],
    });
    let bound = api
        .post(
            "a/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
            binding,
        )
        .await;
    assert_eq!(bound.code, 201, "{}", bound.body);
    assert_eq!(api.send(as_jane(MAPS)).await.code, 200);
    assert_eq!(
        api.send(as_jane("a/api/v1/namespaces/default/secrets"))
            .await
            .code,
        403
    );
    assert_eq!(
        api.send(as_jane("a/api/v1/namespaces/kube-system/configmaps"))
            .await
            .code,
        403
    );
    assert_eq!(
        api.send(as_jane("b/api/v1/namespaces/default/configmaps"))
            .await
            .code,
        403
    );
    assert_eq!(api.send(as_jane("*/api/v1/configmaps")).await.code, 403);
    let anonymous = Request::builder()
        .uri(format!("/clusters/{MAPS}"))
        .body(Body::empty())
        .unwrap();
    assert_eq!(api.send(anonymous).await.code, 401);
}

#[tokio::test]
async fn nobody_gives_more_than_they_have_by_a_binding_new_or_changed() {
    const RBAC: &str = "a/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let api = Api::start().await;
    let role = |name: &str, groups: [&str; 1], resources: &[&str]| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
            "rules": [{"apiGroups": groups, "resources": resources, "verbs": ["create", "get", "patch"]}],
        })
    };
    let binding = |name: &str, kind: &str, role: &str, user: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        })
    };
    let group = ["rbac.authorization.k8s.io"];
    for (plural, object) in [
        ("roles", role("hands", group, &["roles", "rolebindings"])),
        ("roles", role("maps", [""], &["configmaps"])),
        ("roles", role("secrets", [""], &["secrets"])),
        ("rolebindings", binding("hands", "Role", "hands", "jane")),
        ("rolebindings", binding("maps", "Role", "maps", "jane")),
        ("rolebindings", binding("secrets", "Role", "secrets", "joe")),
    ] {
        let made = api.post(&format!("{RBAC}/{plural}"), object).await;
        assert_eq!(made.code, 201, "{}", made.body);
    }
    let as_jane = |method: Method, path: &str, kind: &str, body: serde_json::Value| {
        Request::builder()
            .method(method)
            .uri(format!("/clusters/{path}"))
            .header("authorization", "Bearer jane-token")
            .header("content-type", kind)
            .body(Body::from(body.to_string()))
            .unwrap()
    };
    let bindings = format!("{RBAC}/rolebindings");
    for (object, code) in [
        (binding("b1", "Role", "maps", "ann"), 201),
        (binding("b2", "Role", "secrets", "jane"), 403),
        (binding("b3", "ClusterRole", "cluster-admin", "jane"), 403),
        // What it will give once it is there, nobody knows.
        (binding("b4", "ClusterRole", "later", "jane"), 403),
    ] {
        let request = as_jane(Method::POST, &bindings, "application/json", object.clone());
        let answer = api.send(request).await;
        assert_eq!(answer.code, code, "{object}: {}", answer.body);
    }
    let to_jane = binding("secrets", "Role", "secrets", "jane");
    let request = as_jane(
        Method::PATCH,
        &format!("{bindings}/secrets"),
        "application/merge-patch+json",
        json!({"subjects": to_jane["subjects"]}),
    );
    let answer = api.send(request).await;
    assert_eq!(answer.code, 403, "{}", answer.body);
    // What gives nothing is written as before.
    let request = as_jane(
        Method::PATCH,
        &format!("{bindings}/secrets"),
        "application/merge-patch+json",
        json!({"metadata": {"labels": {"seen": "yes"}}}),
    );
    assert_eq!(api.send(request).await.code, 200);
}

#[tokio::test]
async fn clusters_are_separate_and_vanish_whole() {
    let api = Api::start().await;
    api.kubernetes
        .create_cluster("ab", &[config_map("boot", "1")])
        .await
        .unwrap();
    api.post(MAPS, config_map("x", "1")).await;
    assert_eq!(
        api.get("ab/api/v1/namespaces/default/configmaps/x")
            .await
            .code,
        404
    );
    assert_eq!(
        api.get("ab/api/v1/namespaces/default/configmaps/boot")
            .await
            .code,
        200
    );
    let all = api
        .get("*/api/v1/configmaps?fieldSelector=metadata.name%3Dboot")
        .await
        .body;
    assert_eq!(
        all["items"][0]["metadata"]["annotations"]["openova.io/cluster"],
        "ab"
    );
    assert!(api.kubernetes.delete_cluster("a").await.unwrap());
    assert_eq!(api.get(&format!("{MAPS}/x")).await.code, 404);
    assert_eq!(
        api.get("ab/api/v1/namespaces/default/configmaps/boot")
            .await
            .code,
        200
    );
    assert!(api.kubernetes.create_cluster("a", &[]).await.unwrap());
    assert_eq!(api.get(&format!("{MAPS}/x")).await.code, 404);
}

/// What everybody asks of a server, or may ask about themselves.
const PUBLIC: [&str; 8] = [
    "",
    "/",
    "/healthz",
    "/livez",
    "/readyz?verbose",
    "/api/v1/namespaces/default/pods",
    "/apis/example.com/v1/boxes",
    "/nothing",
];

/// What clients ask before they ask for anything, and whether it is of every cluster.
const GENERAL: [(&str, bool); 9] = [
    ("/version", true),
    ("/api", true),
    ("/api/v1", true),
    ("/apis", true),
    ("/apis/apps/v1", true),
    ("/openapi/v3", true),
    ("/openapi/v3/apis/apps/v1", true),
    ("/apis/example.com", false),
    ("/apis/example.com/v1", false),
];

async fn ask(api: &Api, method: &Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/clusters/{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    api.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_stranger_learns_of_no_cluster_whether_it_is_there() {
    let api = Api::start().await;
    let made = api
        .post(
            "a/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            definition(),
        )
        .await;
    assert_eq!(made.code, 201, "{}", made.body);
    let jane = ("authorization", "Bearer jane-token");
    let strangers: [(&[(&str, &str)], u16); 5] = [
        (&[], 401),
        (&[("authorization", "Bearer of-nobody")], 401),
        (&[("authorization", "Basic amFuZTpq")], 401),
        (&[jane], 403),
        (&[jane, ("impersonate-user", "admin")], 403),
    ];
    for (headers, code) in strangers {
        for path in PUBLIC {
            for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
                let there = ask(&api, &method, &format!("a{path}"), headers).await;
                let absent = ask(&api, &method, &format!("nowhere{path}"), headers).await;
                let case = format!("{method} {path} {headers:?}");
                assert_eq!(there.code, code, "{case}: {}", there.body);
                assert_eq!(there.code, absent.code, "{case}");
                assert_eq!(there.body, absent.body, "{case}");
            }
        }
        let is_somebody = headers == [jane];
        for (path, is_served) in GENERAL {
            for method in [Method::GET, Method::HEAD, Method::POST] {
                let there = ask(&api, &method, &format!("a{path}"), headers).await;
                let absent = ask(&api, &method, &format!("nowhere{path}"), headers).await;
                let expected = match (is_somebody && method != Method::POST, is_served) {
                    (true, true) => 200,
                    (true, false) => 404,
                    (false, _) => code,
                };
                let case = format!("{method} {path} {headers:?}");
                assert_eq!(there.code, expected, "{case}: {}", there.body);
                assert_eq!(there.code, absent.code, "{case}");
                // Some addresses in it carry the name that was asked for.
                let absent = absent.body.to_string();
                let absent = absent.replace("/clusters/nowhere/", "/clusters/a/");
                assert_eq!(there.body.to_string(), absent, "{case}");
            }
        }
        let review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let there = ask(&api, &Method::POST, &format!("a{review}"), headers).await;
        let absent = ask(&api, &Method::POST, &format!("nowhere{review}"), headers).await;
        assert_eq!((there.code, &there.body), (code, &absent.body));
    }
    // Whoever administers all clusters is told.
    assert_eq!(api.get("nowhere/readyz").await.code, 404);
    assert_eq!(api.get("a/readyz").await.body, "ok");
}

#[tokio::test]
async fn whoever_belongs_to_a_cluster_sees_what_it_serves() {
    let api = Api::start().await;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "v"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "jane"}],
    });
    let bindings = "a/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    assert_eq!(api.post(bindings, binding).await.code, 201);
    // A pod's account needs no binding for this.
    let request =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = api
        .post(
            "a/api/v1/namespaces/default/serviceaccounts/default/token",
            request,
        )
        .await;
    let account = answer.body["status"]["token"].as_str().unwrap();
    for token in ["jane-token", account] {
        let credentials = format!("Bearer {token}");
        let headers = [("authorization", credentials.as_str())];
        for path in ["/version", "/readyz", "/api", "/apis", "/openapi/v3"] {
            let answer = ask(&api, &Method::GET, &format!("a{path}"), &headers).await;
            assert_eq!(answer.code, 200, "{path}: {}", answer.body);
        }
    }
    // Elsewhere they are strangers.
    api.kubernetes.create_cluster("b", &[]).await.unwrap();
    for (token, code) in [("jane-token", 403), (account, 401)] {
        let credentials = format!("Bearer {token}");
        let headers = [("authorization", credentials.as_str())];
        for cluster in ["b", "nowhere"] {
            let answer = ask(&api, &Method::GET, &format!("{cluster}/readyz"), &headers).await;
            assert_eq!(answer.code, code, "{cluster}: {}", answer.body);
        }
    }
}
