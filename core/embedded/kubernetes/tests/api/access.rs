//! Who may do what, and how clusters stay apart.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::support::{Api, MAPS, config_map};

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
        refused.body["message"],
        "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""
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
