//! The registry's administration.

use catalyst_ports::RegistryRole::{Developer, Guest, Maintainer};

use crate::home::Home;

#[tokio::test]
async fn projects_and_their_members_come_and_go() {
    let home = Home::start().await;
    let registry = home.registry();
    registry.project_ensure("acme", false).await.unwrap();
    registry.project_ensure("acme", false).await.unwrap();
    registry.project_ensure("acme", true).await.unwrap();
    let set = |members: &[(&str, catalyst_ports::RegistryRole)]| {
        let members: Vec<_> = members
            .iter()
            .map(|(name, role)| ((*name).to_owned(), *role))
            .collect();
        let registry = registry.clone();
        async move {
            registry
                .project_members_set("acme", &members)
                .await
                .unwrap()
        }
    };
    assert!(set(&[("ann", Guest), ("bob", Developer)]).await.is_empty());
    assert!(
        set(&[("ann", Maintainer), ("carol", Guest)])
            .await
            .is_empty()
    );
    assert!(
        set(&[("ann", Maintainer), ("carol", Guest)])
            .await
            .is_empty()
    );
    let members: Vec<serde_json::Value> = home
        .http
        .get(format!("{}/api/v2.0/projects/acme/members", home.base))
        .bearer_auth("administrator-of-the-tests")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let mut seen: Vec<_> = members
        .iter()
        .map(|it| {
            (
                it["entity_name"].as_str().unwrap(),
                it["role_id"].as_u64().unwrap(),
            )
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [("ann", 4), ("carol", 3)]);
    assert!(registry.repositories("acme").await.unwrap().is_empty());
    assert!(registry.catalog().await.unwrap().is_empty());
    assert!(registry.tags("acme/wiki").await.unwrap().is_empty());
    registry.project_delete("acme").await.unwrap();
    registry.project_delete("acme").await.unwrap();
}
