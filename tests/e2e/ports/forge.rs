//! The forge's client. The cases hold on Gitea too.

use catalyst_ports::{
    ChangeFiles, CommitsQuery, FileChange, Forge, HookTarget, NewPull, Permission, Person,
    PullState, RepositoryId, RepositoryOptions, ReviewState,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::home::Home;

fn person(name: &str) -> Person {
    Person {
        name: name.to_owned(),
        email: format!("{name}@acme.example"),
    }
}

fn change(message: &str, files: &[(&str, Option<&str>)]) -> ChangeFiles {
    ChangeFiles {
        branch: "main".to_owned(),
        new_branch: None,
        expected_head: None,
        message: message.to_owned(),
        author: person("alice"),
        committer: person("catalyst"),
        files: files
            .iter()
            .map(|(path, content)| FileChange {
                path: (*path).to_owned(),
                content: content.map(|text| text.as_bytes().to_vec()),
            })
            .collect(),
    }
}

/// An organization with a repository, of a name of its own.
async fn repository(forge: &Forge, organization: &str) -> RepositoryId {
    let id = RepositoryId::new(organization, format!("{organization}-dev"));
    forge
        .organization_ensure(organization, "Acme")
        .await
        .unwrap();
    forge
        .repository_ensure(&id, RepositoryOptions::default())
        .await
        .unwrap();
    id
}

#[tokio::test]
async fn organizations_repositories_and_teams_come_and_go() {
    let home = Home::start().await;
    let forge = home.forge();
    assert!(!forge.organization_exists("ports-one").await.unwrap());
    let id = repository(&forge, "ports-one").await;
    // Everything may be said again.
    repository(&forge, "ports-one").await;
    forge
        .organization_ensure("ports-one", "Another name")
        .await
        .unwrap();
    assert!(forge.organization_exists("ports-one").await.unwrap());
    assert!(forge.repository_exists(&id).await.unwrap());
    assert_eq!(
        forge.repositories("ports-one").await.unwrap(),
        ["ports-one-dev"]
    );
    assert_eq!(
        forge.clone_url(&id),
        format!("{}/ports-one/ports-one-dev.git", forge.base())
    );

    let team = |permission| forge.team_ensure("ports-one", "developers", permission);
    let made = team(Permission::Read).await.unwrap();
    assert_eq!(team(Permission::Write).await.unwrap(), made);
    assert_eq!(team(Permission::Write).await.unwrap(), made);
    let both = ["ports-ann".to_owned(), "ports-bob".to_owned()];
    let set = async |members: Vec<String>| {
        forge
            .team_members_set("ports-one", "developers", &members)
            .await
    };
    set(both.to_vec()).await.unwrap();
    set(both.to_vec()).await.unwrap();
    set(vec!["ports-bob".to_owned()]).await.unwrap();
    set(Vec::new()).await.unwrap();
    let missing = forge.team_members_set("ports-one", "nobody", &[]).await;
    assert!(missing.unwrap_err().to_string().contains("make it first"));

    for target in [
        HookTarget::Organization("ports-one".to_owned()),
        HookTarget::Repository(id.clone()),
    ] {
        for secret in ["first", "second"] {
            forge
                .webhook_ensure(&target, "http://127.0.0.1:9/hook", secret)
                .await
                .unwrap();
        }
    }
    forge.repository_delete(&id).await.unwrap();
    forge.repository_delete(&id).await.unwrap();
    forge.organization_delete("ports-one").await.unwrap();
    forge.organization_delete("ports-one").await.unwrap();
    assert!(!forge.organization_exists("ports-one").await.unwrap());
    assert!(forge.repositories("ports-one").await.unwrap().is_empty());
    for user in ["ports-ann", "ports-bob"] {
        forge.user_delete(user).await.unwrap();
        forge.user_delete(user).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_opened_by_hand_is_closed_again() {
    let home = Home::start().await;
    let forge = home.forge();
    let id = repository(&forge, "ports-shut").await;
    assert_eq!(
        forge.collaborators_remove(&id, &[]).await.unwrap(),
        Vec::<String>::new()
    );

    forge
        .user_ensure("ports-eve", "eve@acme.example")
        .await
        .unwrap();
    let by_hand = async |method: Method, place: &str, body: Value| {
        let answer = home
            .forge_request(method, &format!("/repos/ports-shut/ports-shut-dev{place}"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.json::<Value>().await.unwrap_or_default()
    };
    let let_in = json!({"permission": "admin"});
    by_hand(Method::PUT, "/collaborators/ports-eve", let_in).await;
    let opened = by_hand(Method::PATCH, "", json!({"private": false})).await;
    assert_eq!(opened["private"], false);

    repository(&forge, "ports-shut").await;
    let staying = ["Ports-Eve".to_owned()];
    assert_eq!(
        forge.collaborators_remove(&id, &staying).await.unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(
        forge.collaborators_remove(&id, &[]).await.unwrap(),
        ["ports-eve"]
    );
    let now = by_hand(Method::GET, "", Value::Null).await;
    assert_eq!(now["private"], true);
    let left = by_hand(Method::GET, "/collaborators", Value::Null).await;
    assert_eq!(left, json!([]));
}

#[tokio::test]
async fn files_change_in_one_commit_each_and_nothing_is_lost() {
    let home = Home::start().await;
    let forge = home.forge();
    let id = repository(&forge, "ports-two").await;
    assert_eq!(forge.head(&id, "main").await.unwrap(), None);
    let none = CommitsQuery::default();
    assert_eq!(forge.commits(&id, none).await.unwrap(), []);

    let two = change(
        "Add two\n\nCatalyst-Command: test",
        &[("a.txt", Some("1")), ("b/c.txt", Some("2"))],
    );
    let first = forge.change_files(&id, two.clone()).await.unwrap();
    assert_eq!(forge.head(&id, "main").await.unwrap(), Some(first.clone()));
    // What is so already is no commit.
    assert_eq!(forge.change_files(&id, two).await.unwrap(), first);
    let mut next = change(
        "Change",
        &[("a.txt", Some("3")), ("b/c.txt", None), ("gone", None)],
    );
    next.expected_head = Some(first.clone());
    let second = forge.change_files(&id, next.clone()).await.unwrap();
    let late = forge.change_files(&id, next).await.unwrap_err();
    assert!(late.is_conflict() && !late.retryable(), "{late}");

    let paths = |tree: Vec<catalyst_ports::TreeEntry>| {
        tree.into_iter().map(|it| it.path).collect::<Vec<_>>()
    };
    assert_eq!(
        paths(forge.tree(&id, &first).await.unwrap()),
        ["a.txt", "b/c.txt"]
    );
    assert_eq!(paths(forge.tree(&id, "main").await.unwrap()), ["a.txt"]);
    assert!(forge.tree(&id, "absent").await.unwrap_err().is_not_found());
    let file = forge.file(&id, "main", "a.txt").await.unwrap().unwrap();
    assert_eq!(file.content, b"3");
    assert_eq!(forge.file(&id, "main", "b/c.txt").await.unwrap(), None);
    assert_eq!(
        forge.file(&id, &first, "b").await.unwrap(),
        None,
        "a folder"
    );

    let ids = |path: Option<&str>, limit, page| {
        let path = path.map(str::to_owned);
        let query = CommitsQuery {
            reference: "main".to_owned(),
            path,
            limit,
            page,
        };
        let forge = forge.clone();
        let id = id.clone();
        async move {
            let found = forge.commits(&id, query).await.unwrap();
            found.into_iter().map(|it| it.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(ids(None, 10, 1).await, [second.clone(), first.clone()]);
    assert_eq!(ids(None, 1, 2).await, std::slice::from_ref(&first));
    assert_eq!(ids(Some("absent"), 10, 1).await, Vec::<String>::new());
    let commit = forge.commit(&id, &first).await.unwrap().unwrap();
    assert_eq!(commit.author, person("alice"));
    assert!(
        commit
            .message
            .starts_with("Add two\n\nCatalyst-Command: test")
    );
    assert_eq!(
        forge.commit(&id, &second).await.unwrap().unwrap().parents,
        [first]
    );
    assert_eq!(forge.commit(&id, &"0".repeat(40)).await.unwrap(), None);
    let diff = forge.commit_diff(&id, &second).await.unwrap();
    assert!(diff.contains("-1") && diff.contains("+3"), "{diff}");
}

#[tokio::test]
async fn a_pull_request_is_opened_approved_and_merged_by_users() {
    let home = Home::start().await;
    let forge = home.forge();
    let id = repository(&forge, "ports-three").await;
    for user in ["ports-carol", "ports-dave"] {
        forge
            .user_ensure(user, &format!("{user}@acme.example"))
            .await
            .unwrap();
    }
    forge
        .team_ensure("ports-three", "developers", Permission::Write)
        .await
        .unwrap();
    let members = ["ports-carol".to_owned(), "ports-dave".to_owned()];
    forge
        .team_members_set("ports-three", "developers", &members)
        .await
        .unwrap();
    forge
        .change_files(&id, change("First", &[("a", Some("1"))]))
        .await
        .unwrap();
    let mut proposed = change("Second", &[("a", Some("2"))]);
    proposed.new_branch = Some("promote/a-1".to_owned());
    let head = forge.change_files(&id, proposed.clone()).await.unwrap();
    let again = forge.change_files(&id, proposed).await.unwrap_err();
    assert!(again.is_conflict(), "{again}");
    let branches = forge.branches(&id).await.unwrap();
    let seen: Vec<_> = branches
        .iter()
        .map(|it| (it.name.as_str(), it.message.trim()))
        .collect();
    assert_eq!(seen, [("main", "First"), ("promote/a-1", "Second")]);
    assert_eq!(branches[1].commit, head);
    assert!(!branches[1].at.is_empty() && !branches[1].author.name.is_empty());
    for (base, ahead, commits) in [
        ("main", "promote/a-1", 1),
        ("promote/a-1", "main", 0),
        ("main", "promote/none", 0),
    ] {
        let found = forge.ahead(&id, base, ahead).await.unwrap();
        assert_eq!(found, commits, "{base}...{ahead}");
    }

    let new = NewPull {
        title: "Promote a".to_owned(),
        body: "because".to_owned(),
        head: "promote/a-1".to_owned(),
        base: "main".to_owned(),
    };
    let pull = forge
        .pull_create(&id, new.clone(), Some("ports-carol"))
        .await
        .unwrap();
    assert_eq!(
        (pull.author.as_str(), pull.state),
        ("ports-carol", PullState::Open)
    );
    assert_eq!(pull.head_commit, head);
    let twice = forge.pull_create(&id, new, None).await.unwrap_err();
    assert!(twice.is_conflict(), "{twice}");
    let diff = forge.pull_diff(&id, pull.number).await.unwrap();
    assert!(diff.contains("+2"), "{diff}");
    let own = forge
        .review_approve(&id, pull.number, Some("ports-carol"))
        .await;
    assert_eq!(own.unwrap_err().status(), Some(422));
    forge
        .review_approve(&id, pull.number, Some("ports-dave"))
        .await
        .unwrap();
    let reviews = forge.reviews(&id, pull.number).await.unwrap();
    let seen: Vec<_> = reviews
        .iter()
        .map(|it| (it.user.as_str(), it.state, it.commit.as_str()))
        .collect();
    assert_eq!(seen, [("ports-dave", ReviewState::Approved, head.as_str())]);

    let merged = forge
        .pull_merge(
            &id,
            pull.number,
            "Promote a\n\nCatalyst-Command: promote",
            Some("ports-carol"),
        )
        .await
        .unwrap();
    assert_eq!(forge.head(&id, "main").await.unwrap(), Some(merged.clone()));
    let commit = forge.commit(&id, &merged).await.unwrap().unwrap();
    assert_eq!(
        commit.message.trim(),
        "Promote a\n\nCatalyst-Command: promote"
    );
    let pull = forge.pull(&id, pull.number).await.unwrap().unwrap();
    assert_eq!(
        (pull.state, pull.merge_commit),
        (PullState::Merged, Some(merged))
    );
    assert_eq!(forge.pulls(&id, Some(PullState::Open)).await.unwrap(), []);
    assert_eq!(forge.pulls(&id, None).await.unwrap().len(), 1);
    assert_eq!(forge.pull(&id, 99).await.unwrap(), None);

    let mut dropped = change("Third", &[("a", Some("3"))]);
    dropped.new_branch = Some("promote/a-2".to_owned());
    forge.change_files(&id, dropped).await.unwrap();
    let new = NewPull {
        title: "Drop".to_owned(),
        body: String::new(),
        head: "promote/a-2".to_owned(),
        base: "main".to_owned(),
    };
    let pull = forge.pull_create(&id, new, None).await.unwrap();
    forge.pull_close(&id, pull.number, None).await.unwrap();
    let pull = forge.pull(&id, pull.number).await.unwrap().unwrap();
    assert_eq!(pull.state, PullState::Closed);

    for _ in 0..2 {
        forge.branch_delete(&id, "promote/a-2").await.unwrap();
        assert_eq!(forge.head(&id, "promote/a-2").await.unwrap(), None);
    }
    assert!(forge.head(&id, "main").await.unwrap().is_some());
}

#[tokio::test]
async fn whoever_is_let_in_acts_under_their_own_name_and_then_no_more() {
    let home = Home::start().await;
    let forge = home.forge();
    let id = repository(&forge, "ports-guest").await;
    let ops = Some("ports-ops");
    forge
        .change_files(&id, change("First", &[("a", Some("1"))]))
        .await
        .unwrap();
    let propose = async |branch: &str, file: &str| {
        let mut proposed = change("Next", &[(file, Some("2"))]);
        proposed.new_branch = Some(branch.to_owned());
        forge.change_files(&id, proposed).await.unwrap();
        NewPull {
            title: "Next".to_owned(),
            body: String::new(),
            head: branch.to_owned(),
            base: "main".to_owned(),
        }
    };
    let new = propose("promote/b-1", "b").await;
    let pull = forge.pull_create(&id, new, None).await.unwrap();
    let outside = forge.review_approve(&id, pull.number, ops).await;
    assert!(outside.is_err(), "nobody has let them in");

    forge
        .collaborator_ensure(&id, "ports-ops", Permission::Write)
        .await
        .unwrap();
    forge.review_approve(&id, pull.number, ops).await.unwrap();
    forge
        .pull_merge(&id, pull.number, "Next", ops)
        .await
        .unwrap();
    let new = propose("promote/c-1", "c").await;
    let own = forge.pull_create(&id, new, ops).await.unwrap();
    assert_eq!(own.author, "ports-ops");
    let new = propose("promote/d-1", "d").await;
    let other = forge.pull_create(&id, new, None).await.unwrap();
    forge.pull_close(&id, other.number, ops).await.unwrap();

    for _ in 0..2 {
        forge.collaborator_remove(&id, "ports-ops").await.unwrap();
    }
    let reviews = forge.reviews(&id, pull.number).await.unwrap();
    let seen: Vec<_> = reviews
        .iter()
        .map(|it| (it.user.as_str(), it.state))
        .collect();
    assert_eq!(seen, [("ports-ops", ReviewState::Approved)]);
    let outside = forge.pull_close(&id, own.number, ops).await;
    assert!(outside.is_err(), "they are let in no more");
}

#[tokio::test]
async fn acting_for_others_is_for_administrators() {
    let home = Home::start().await;
    let forge = home.forge();
    let id = repository(&forge, "ports-four").await;
    forge
        .user_with_password_ensure("ports-erin", "erin@acme.example", "A long passw0rd!")
        .await
        .unwrap();
    forge
        .user_with_password_ensure("ports-erin", "erin@acme.example", "Another passw0rd!")
        .await
        .unwrap();
    let ask = |password: &'static str, name: &'static str| {
        let place = format!("{}/api/v1/user", forge.base());
        let request = home
            .http
            .get(place)
            .basic_auth("ports-erin", Some(password));
        let request = if name.is_empty() {
            request
        } else {
            request.header("Sudo", name)
        };
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(ask("Another passw0rd!", "").await, 200);
    assert_eq!(ask("A long passw0rd!", "").await, 401);
    assert_eq!(ask("Another passw0rd!", "ports-erin").await, 403);
    // An outsider cannot tell the repository from one that is not there.
    let place = format!("{}/api/v1/repos/{id}", forge.base());
    let request = home
        .http
        .get(place)
        .basic_auth("ports-erin", Some("Another passw0rd!"));
    assert_eq!(request.send().await.unwrap().status().as_u16(), 404);
}
