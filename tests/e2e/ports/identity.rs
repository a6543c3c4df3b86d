//! The identity provider's client, and the control plane's own tokens.

use catalyst_ports::NewUser;

use crate::home::Home;

#[tokio::test]
async fn users_come_are_invited_and_go() {
    let home = Home::start().await;
    let identity = home.identity();
    assert_eq!(identity.user_list().await.unwrap(), []);
    let new = NewUser {
        username: "alice".to_owned(),
        email: Some("alice@acme.example".to_owned()),
        attributes: [("noted".to_owned(), vec!["acme".to_owned()])].into(),
        ..NewUser::default()
    };
    let made = identity.user_create(new.clone()).await.unwrap();
    assert!(made.enabled && !made.has_password());
    let twice = identity.user_create(new).await.unwrap_err();
    assert!(twice.is_conflict(), "{twice}");
    assert_eq!(
        identity.user_find("alice").await.unwrap(),
        Some(made.clone())
    );
    assert_eq!(identity.user_find("alic").await.unwrap(), None);

    let groups = ["sovereign-admin".to_owned()];
    identity.user_set_groups(&made.id, &groups).await.unwrap();
    identity.user_set_enabled(&made.id, false).await.unwrap();
    let found = identity.user_find("alice").await.unwrap().unwrap();
    assert_eq!(
        (found.groups.as_slice(), found.enabled),
        (groups.as_slice(), false)
    );
    // What was noted outlives every other change.
    assert_eq!(found.attributes["noted"], ["acme"]);
    identity.user_set_enabled(&made.id, true).await.unwrap();

    let invitation = identity
        .user_invite(&made.id, &format!("{}/", home.base))
        .await
        .unwrap();
    assert!(invitation.url.starts_with(&home.base), "it is a link here");
    assert!(!format!("{invitation:?}").contains(&invitation.url));
    identity.user_sign_out(&made.id).await.unwrap();
    identity.user_delete(&made.id).await.unwrap();
    identity.user_delete(&made.id).await.unwrap();
    assert_eq!(identity.user_find("alice").await.unwrap(), None);
}

#[tokio::test]
async fn tokens_are_kept_and_a_wrong_secret_is_not_repeated() {
    let home = Home::start().await;
    let tokens = home.tokens("secret-of-the-client");
    let first = tokens.bearer().await.unwrap();
    assert_eq!(tokens.bearer().await.unwrap(), first);
    let refused = home.tokens("wrong-secret").bearer().await.unwrap_err();
    assert!(refused.is_denied(), "{refused}");
    assert!(!format!("{refused:?}{refused}").contains("wrong-secret"));
}
