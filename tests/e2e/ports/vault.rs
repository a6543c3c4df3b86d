//! The vault's client.

use std::collections::BTreeMap;

use catalyst_ports::NewToken;
use zeroize::Zeroizing;

use crate::home::Home;

const PATH: &str = "org/acme/env/dev/wiki/connection";

fn data(value: &str) -> BTreeMap<String, Zeroizing<String>> {
    BTreeMap::from([("password".to_owned(), Zeroizing::new(value.to_owned()))])
}

#[tokio::test]
async fn a_secret_is_generated_once_and_its_value_is_nowhere_shown() {
    let home = Home::start().await;
    let vault = home.vault_administrator();
    assert_eq!(vault.secret_get(PATH).await.unwrap(), None);
    assert_eq!(
        vault
            .secret_put(PATH, &data("first"), Some(0))
            .await
            .unwrap(),
        1
    );
    let late = vault.secret_put(PATH, &data("second"), Some(0)).await;
    let late = late.unwrap_err();
    assert!(late.is_conflict(), "{late}");
    let found = vault.secret_get(PATH).await.unwrap().unwrap();
    assert_eq!(
        (found.version, found.data["password"].as_str()),
        (1, "first")
    );
    assert!(!format!("{found:?}{late:?}").contains("first"));
    assert_eq!(
        vault.secret_put(PATH, &data("third"), None).await.unwrap(),
        2
    );
    assert_eq!(vault.secret_list("org/acme").await.unwrap(), ["env/"]);
    assert_eq!(
        vault.secret_list("org/acme/env/dev/wiki/").await.unwrap(),
        ["connection"]
    );
    vault.secret_delete_all(PATH).await.unwrap();
    vault.secret_delete_all(PATH).await.unwrap();
    assert_eq!(vault.secret_get(PATH).await.unwrap(), None);
    assert!(vault.secret_list("org/acme").await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_kept_takes_the_place_of_nothing() {
    let home = Home::start().await;
    let vault = home.vault_administrator();
    let path = "org/acme/env/dev/wiki/apiKey";
    for _ in 0..2 {
        vault.secret_keep(path, &data("first")).await.unwrap();
    }
    let other = vault.secret_keep(path, &data("second")).await.unwrap_err();
    assert!(other.is_conflict(), "{other}");
    let found = vault.secret_get(path).await.unwrap().unwrap();
    assert_eq!(
        (found.version, found.data["password"].as_str()),
        (1, "first")
    );
}

#[tokio::test]
async fn a_token_reads_what_its_policy_grants_until_it_is_revoked() {
    let home = Home::start().await;
    let vault = home.vault_administrator();
    vault.secret_put(PATH, &data("x"), None).await.unwrap();
    let other = "org/globex/env/dev/wiki/connection";
    vault.secret_put(other, &data("y"), None).await.unwrap();
    let policy = r#"path "secret/data/org/acme/*" { capabilities = ["read"] }"#;
    vault.policy_put("org-acme", policy).await.unwrap();
    let token = vault
        .token_create(NewToken {
            policies: vec!["org-acme".to_owned()],
            display_name: "acme".to_owned(),
            ttl_seconds: None,
            period_seconds: Some(3_600),
        })
        .await
        .unwrap();
    let reader = home.vault(&token.token);
    assert!(reader.secret_get(PATH).await.unwrap().is_some());
    assert!(reader.secret_get(other).await.unwrap_err().is_denied());
    let write = reader.secret_put(PATH, &data("z"), None).await;
    assert!(write.unwrap_err().is_denied());
    vault.token_revoke_accessor(&token.accessor).await.unwrap();
    vault.token_revoke_accessor(&token.accessor).await.unwrap();
    assert!(reader.secret_get(PATH).await.unwrap_err().is_denied());
    vault.policy_delete("org-acme").await.unwrap();
    vault.policy_delete("org-acme").await.unwrap();
}
