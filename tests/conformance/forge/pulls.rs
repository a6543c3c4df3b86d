//! Pull requests, reviews and merges.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::World;
use crate::suite::{self, cases};
use catalyst_ports::{Permission, PullState, ReviewState};

pub fn cases() -> Vec<suite::Case<World>> {
    cases![
        a_pull_request_is_described,
        a_pull_request_without_changes_or_branches_is_refused,
        a_pull_request_is_opened_once,
        pull_requests_are_listed_by_state,
        files_and_diff_of_a_pull_request,
        a_merge_makes_a_commit_with_both_parents,
        a_conflict_is_no_merge,
        a_merge_of_another_head_is_refused,
        a_merged_pull_request_is_not_merged_again,
        a_closed_pull_request_opens_again,
        nobody_approves_their_own,
        reviews_say_who_what_and_when,
        a_newer_review_takes_the_place_of_the_older,
        a_reader_opens_no_branch_and_merges_nothing,
        a_new_commit_moves_the_head,
        the_branch_may_go_with_the_merge,
        a_merge_is_of_the_user_who_merged,
    ]
}

async fn a_pull_request_is_described(world: World) {
    let id = world.repository("pulls-1").await;
    let base = world.commit(&id, &[("a", Some("1"))]).await;
    world
        .team("pulls-1", Permission::Write, &["pulls-1-user"])
        .await;
    let (number, head) = world
        .pull(&id, "side/one", &[("a", Some("2"))], Some("pulls-1-user"))
        .await;
    assert_eq!(number, 1);
    let (status, pull) = world.get("/repos/pulls-1/dev/pulls/1").await;
    assert_eq!(status, 200);
    assert_eq!(pull["title"], "Take side/one");
    assert_eq!(pull["body"], "because");
    assert_eq!(pull["state"], "open");
    assert_eq!(pull["merged"], false);
    assert_eq!(pull["user"]["login"], "pulls-1-user");
    assert_eq!(pull["head"]["ref"], "side/one");
    assert_eq!(pull["head"]["sha"], head);
    assert_eq!(pull["base"]["ref"], "main");
    assert_eq!(pull["base"]["sha"], base);
    assert_eq!(pull["merge_base"], base);
    assert_eq!(pull["merged_by"], Value::Null);
    assert_eq!(world.get("/repos/pulls-1/dev/pulls/2").await.0, 404);
}

async fn a_pull_request_without_changes_or_branches_is_refused(world: World) {
    let id = world.repository("pulls-2").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let open = async |head: &str, base: &str| {
        let body = json!({"title": "No", "head": head, "base": base});
        world
            .ask(Method::POST, "/repos/pulls-2/dev/pulls", body)
            .await
            .0
    };
    assert_eq!(open("absent", "main").await, 404);
    assert_eq!(open("main", "absent").await, 404);
    assert_eq!(open("main", "main").await, 422);
}

async fn a_pull_request_is_opened_once(world: World) {
    let id = world.repository("pulls-3").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world.pull(&id, "side", &[("a", Some("2"))], None).await;
    let body = json!({"title": "Twice", "head": "side", "base": "main"});
    let (status, body) = world
        .ask(Method::POST, "/repos/pulls-3/dev/pulls", body)
        .await;
    assert_eq!(status, 409, "{body}");
}

async fn pull_requests_are_listed_by_state(world: World) {
    let id = world.repository("pulls-4").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    for (branch, file) in [("one", "b"), ("two", "c"), ("three", "d")] {
        world.pull(&id, branch, &[(file, Some("1"))], None).await;
    }
    world.forge.pull_merge(&id, 1, "Take", None).await.unwrap();
    world.forge.pull_close(&id, 2, None).await.unwrap();
    let numbers = async |state| {
        let found = world.forge.pulls(&id, state).await.unwrap();
        found.into_iter().map(|it| it.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(None).await, [3, 2, 1]);
    assert_eq!(numbers(Some(PullState::Open)).await, [3]);
    assert_eq!(numbers(Some(PullState::Closed)).await, [2]);
    assert_eq!(numbers(Some(PullState::Merged)).await, [1]);
    // Without a state, all, whatever the documentation says.
    let (_, found) = world.get("/repos/pulls-4/dev/pulls").await;
    assert_eq!(found.as_array().unwrap().len(), 3);
    let (_, found) = world
        .get("/repos/pulls-4/dev/pulls?state=all&limit=2&page=2")
        .await;
    assert_eq!(found[0]["number"], 1);
}

async fn files_and_diff_of_a_pull_request(world: World) {
    let id = world.repository("pulls-5").await;
    world
        .commit(&id, &[("a", Some("1\n")), ("b", Some("1\n"))])
        .await;
    let files = [("a", Some("2\n")), ("b", None), ("c/d", Some("new\n"))];
    world.pull(&id, "side", &files, None).await;
    // What the base got meanwhile is no change of the pull request.
    world.commit(&id, &[("z", Some("1\n"))]).await;
    let (status, found) = world.get("/repos/pulls-5/dev/pulls/1/files").await;
    assert_eq!(status, 200);
    let mut seen: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let text = |name: &str| it[name].as_str().unwrap().to_owned();
            let number = |name: &str| it[name].as_u64().unwrap();
            (
                text("filename"),
                text("status"),
                number("additions"),
                number("deletions"),
            )
        })
        .collect();
    seen.sort_unstable();
    let wanted = [
        ("a", "changed", 1, 1),
        ("b", "deleted", 0, 1),
        ("c/d", "added", 1, 0),
    ]
    .map(|(name, status, more, less)| (name.to_owned(), status.to_owned(), more, less));
    assert_eq!(seen, wanted);
    let diff = world.forge.pull_diff(&id, 1).await.unwrap();
    assert!(diff.contains("diff --git a/a b/a\n"), "{diff}");
    assert!(diff.contains("+2") && !diff.contains("b/z"), "{diff}");
}

async fn a_merge_makes_a_commit_with_both_parents(world: World) {
    let id = world.repository("pulls-6").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let (number, head) = world.pull(&id, "side", &[("b", Some("2"))], None).await;
    let base = world.commit(&id, &[("c", Some("1"))]).await;
    let merged = world.forge.pull_merge(&id, number, "Title\n\nBody", None);
    let merged = merged.await.unwrap();
    let commit = world.forge.commit(&id, &merged).await.unwrap().unwrap();
    assert_eq!(commit.parents, [base, head]);
    assert_eq!(commit.message.trim(), "Title\n\nBody");
    let tree = world.forge.tree(&id, "main").await.unwrap();
    let paths: Vec<_> = tree.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["a", "b", "c"]);
    let (_, pull) = world.get("/repos/pulls-6/dev/pulls/1").await;
    assert_eq!(
        (&pull["state"], &pull["merged"]),
        (&json!("closed"), &json!(true))
    );
    assert_eq!(pull["merge_commit_sha"], merged);
    assert!(pull["merged_at"].is_string() && pull["merged_by"]["login"].is_string());
}

async fn a_conflict_is_no_merge(world: World) {
    let id = world.repository("pulls-7").await;
    world.commit(&id, &[("a", Some("1\n"))]).await;
    let (number, _) = world.pull(&id, "side", &[("a", Some("2\n"))], None).await;
    let base = world.commit(&id, &[("a", Some("3\n"))]).await;
    let error = world
        .forge
        .pull_merge(&id, number, "Take", None)
        .await
        .unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(world.forge.head(&id, "main").await.unwrap(), Some(base));
    let pull = world.forge.pull(&id, number).await.unwrap().unwrap();
    assert_eq!((pull.state, pull.mergeable), (PullState::Open, false));
}

async fn a_merge_of_another_head_is_refused(world: World) {
    let id = world.repository("pulls-8").await;
    let base = world.commit(&id, &[("a", Some("1"))]).await;
    world.pull(&id, "side", &[("a", Some("2"))], None).await;
    let path = "/repos/pulls-8/dev/pulls/1/merge";
    let body = json!({"Do": "merge", "head_commit_id": base});
    for _ in 0..100 {
        let (status, answer) = world.ask(Method::POST, path, body.clone()).await;
        let is_undecided = answer["message"]
            .as_str()
            .unwrap_or_default()
            .contains("try again");
        if status == 405 && is_undecided {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        }
        assert_eq!(status, 409, "{answer}");
        return;
    }
    panic!("never decided");
}

async fn a_merged_pull_request_is_not_merged_again(world: World) {
    let id = world.repository("pulls-9").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world.pull(&id, "side", &[("a", Some("2"))], None).await;
    world.forge.pull_merge(&id, 1, "Take", None).await.unwrap();
    let path = "/repos/pulls-9/dev/pulls/1/merge";
    assert_eq!(world.get(path).await.0, 204);
    let (status, body) = world.ask(Method::POST, path, json!({"Do": "merge"})).await;
    assert_eq!(status, 405, "{body}");
}

async fn a_closed_pull_request_opens_again(world: World) {
    let id = world.repository("pulls-10").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world.pull(&id, "side", &[("a", Some("2"))], None).await;
    let path = "/repos/pulls-10/dev/pulls/1";
    for state in ["closed", "open"] {
        let (status, pull) = world
            .ask(Method::PATCH, path, json!({"state": state}))
            .await;
        assert_eq!((status, &pull["state"]), (201, &json!(state)));
    }
    let (status, pull) = world
        .ask(Method::PATCH, path, json!({"title": "Other"}))
        .await;
    assert_eq!((status, &pull["title"]), (201, &json!("Other")));
    assert_eq!(world.get(&format!("{path}/merge")).await.0, 404);
}

async fn nobody_approves_their_own(world: World) {
    let id = world.repository("pulls-11").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world
        .team("pulls-11", Permission::Write, &["pulls-11-user"])
        .await;
    let files = [("a", Some("2"))];
    world.pull(&id, "side", &files, Some("pulls-11-user")).await;
    let path = "/repos/pulls-11/dev/pulls/1/reviews";
    for (event, wanted) in [
        ("APPROVED", 422),
        ("REQUEST_CHANGES", 422),
        ("COMMENT", 200),
    ] {
        let body = json!({"event": event, "body": "mine"});
        let (status, body) = world
            .ask_as("pulls-11-user", Method::POST, path, body)
            .await;
        assert_eq!(status, wanted, "{event}: {body}");
    }
}

async fn reviews_say_who_what_and_when(world: World) {
    let id = world.repository("pulls-12").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let users = ["pulls-12-a", "pulls-12-b"];
    world.team("pulls-12", Permission::Write, &users).await;
    let (_, head) = world
        .pull(&id, "side", &[("a", Some("2"))], Some(users[0]))
        .await;
    let path = "/repos/pulls-12/dev/pulls/1/reviews";
    let body = json!({"event": "APPROVED", "body": "good"});
    let (status, made) = world.ask_as(users[1], Method::POST, path, body).await;
    assert_eq!((status, &made["state"]), (200, &json!("APPROVED")));
    let (_, found) = world.get(path).await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["user"]["login"], users[1]);
    assert_eq!(found[0]["body"], "good");
    assert_eq!(found[0]["commit_id"], head);
    assert_eq!(
        (&found[0]["official"], &found[0]["stale"]),
        (&json!(true), &json!(false))
    );
    assert!(found[0]["submitted_at"].is_string());
    let one = format!("{path}/{}", found[0]["id"]);
    assert_eq!(world.get(&one).await.1["state"], "APPROVED");
}

async fn a_newer_review_takes_the_place_of_the_older(world: World) {
    let id = world.repository("pulls-13").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let users = ["pulls-13-a", "pulls-13-b"];
    world.team("pulls-13", Permission::Write, &users).await;
    world
        .pull(&id, "side", &[("a", Some("2"))], Some(users[0]))
        .await;
    let path = "/repos/pulls-13/dev/pulls/1/reviews";
    for event in ["APPROVED", "REQUEST_CHANGES"] {
        let body = json!({"event": event, "body": "thought again"});
        assert_eq!(
            world.ask_as(users[1], Method::POST, path, body).await.0,
            200
        );
    }
    let found = world.forge.reviews(&id, 1).await.unwrap();
    let states: Vec<_> = found.iter().map(|it| it.state).collect();
    assert_eq!(states, [ReviewState::ChangesRequested]);
}

async fn a_reader_opens_no_branch_and_merges_nothing(world: World) {
    let id = world.repository("pulls-14").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world.pull(&id, "side", &[("a", Some("2"))], None).await;
    world
        .team("pulls-14", Permission::Read, &["pulls-14-reader"])
        .await;
    let ask = |path, body| world.ask_as("pulls-14-reader", Method::POST, path, body);
    let body = json!({"Do": "merge"});
    let (status, answer) = ask("/repos/pulls-14/dev/pulls/1/merge", body).await;
    assert_eq!(status, 405, "{answer}");
    let body = json!({"new_branch_name": "own", "old_ref_name": "main"});
    let (status, answer) = ask("/repos/pulls-14/dev/branches", body).await;
    assert_eq!(status, 403, "{answer}");
}

async fn a_new_commit_moves_the_head(world: World) {
    let id = world.repository("pulls-15").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let users = ["pulls-15-a", "pulls-15-b"];
    world.team("pulls-15", Permission::Write, &users).await;
    let (_, first) = world
        .pull(&id, "side", &[("a", Some("2"))], Some(users[0]))
        .await;
    world
        .forge
        .review_approve(&id, 1, Some(users[1]))
        .await
        .unwrap();
    let mut more = super::world::change(&[("a", Some("3"))]);
    more.branch = "side".to_owned();
    let second = world.forge.change_files(&id, more).await.unwrap();
    let wait = async {
        loop {
            let (_, reviews) = world.get("/repos/pulls-15/dev/pulls/1/reviews").await;
            let pull = world.forge.pull(&id, 1).await.unwrap().unwrap();
            if pull.head_commit == second && reviews[0]["stale"] == true {
                return reviews;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let reviews = tokio::time::timeout(std::time::Duration::from_secs(30), wait).await;
    let reviews = reviews.expect("a stale review of the old head");
    assert_eq!(reviews[0]["commit_id"], first);
    assert_eq!(reviews[0]["dismissed"], false);
}

async fn the_branch_may_go_with_the_merge(world: World) {
    let id = world.repository("pulls-16").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world.pull(&id, "side", &[("a", Some("2"))], None).await;
    let path = "/repos/pulls-16/dev/pulls/1/merge";
    let body = json!({"Do": "merge", "delete_branch_after_merge": true});
    for _ in 0..100 {
        let (status, _) = world.ask(Method::POST, path, body.clone()).await;
        if status == 200 {
            assert_eq!(world.forge.head(&id, "side").await.unwrap(), None);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("not merged");
}

async fn a_merge_is_of_the_user_who_merged(world: World) {
    let id = world.repository("pulls-17").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world
        .team("pulls-17", Permission::Write, &["pulls-17-user"])
        .await;
    world.pull(&id, "side", &[("a", Some("2"))], None).await;
    let merged = world
        .forge
        .pull_merge(&id, 1, "Take", Some("pulls-17-user"));
    let merged = merged.await.unwrap();
    let (_, pull) = world.get("/repos/pulls-17/dev/pulls/1").await;
    assert_eq!(pull["merged_by"]["login"], "pulls-17-user");
    let (_, commit) = world
        .get(&format!("/repos/pulls-17/dev/git/commits/{merged}"))
        .await;
    assert_eq!(commit["author"]["login"], "pulls-17-user");
}
