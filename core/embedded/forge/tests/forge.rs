//! The forge from outside: stock git and HTTP against a real listener.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use serde_json::{Value, json};
use support::{Sovereign, git, git_fails, hmac_hex};

#[tokio::test(flavor = "multi_thread")]
async fn git_clones_pushes_and_survives_a_restart() {
    let mut s = Sovereign::start().await;
    s.seed().await;
    let alice = s.remote("alice", "acme/dev");
    let work = s.path("work");
    git(&s.dir, &["clone", "-q", &alice, &work]).await;
    s.write("work/a.txt", "one\n");
    git(&work, &["add", "."]).await;
    git(&work, &["commit", "-qm", "One"]).await;
    git(&work, &["push", "-q", "origin", "HEAD:refs/heads/main"]).await;
    let first = git(&work, &["rev-parse", "HEAD"]).await;
    for number in 0..30 {
        s.write("work/a.txt", &format!("{number}\n"));
        git(&work, &["commit", "-qam", &format!("Commit {number}")]).await;
    }
    git(&work, &["push", "-q", "origin", "HEAD:refs/heads/main"]).await;
    let tip = git(&work, &["rev-parse", "HEAD"]).await;

    for version in ["0", "2"] {
        let clone = s.path(&format!("clone{version}"));
        let protocol = format!("protocol.version={version}");
        git(&s.dir, &["-c", &protocol, "clone", "-q", &alice, &clone]).await;
        assert_eq!(
            git(&clone, &["rev-parse", "HEAD"]).await,
            tip,
            "protocol {version}"
        );
        git(&clone, &["fsck", "--strict"]).await;
    }
    let shallow = s.path("shallow");
    git(&s.dir, &["clone", "-q", "--depth", "1", &alice, &shallow]).await;
    assert_eq!(git(&shallow, &["rev-list", "--count", "HEAD"]).await, "1");
    s.write("shallow/b.txt", "from a shallow clone\n");
    git(&shallow, &["add", "."]).await;
    git(&shallow, &["commit", "-qm", "Shallow"]).await;
    git(&shallow, &["push", "-q", "origin", "HEAD:refs/heads/main"]).await;

    // Not a fast-forward: refused by git without force, taken with it.
    git(&work, &["reset", "-q", "--hard", &first]).await;
    s.write("work/a.txt", "forced\n");
    git(&work, &["commit", "-qam", "Forced"]).await;
    git_fails(&work, &["push", "origin", "HEAD:refs/heads/main"]).await;
    git(&work, &["push", "-qf", "origin", "HEAD:refs/heads/main"]).await;
    git(&work, &["tag", "-a", "v1", "-m", "v1"]).await;
    git(&work, &["push", "-q", "origin", "v1"]).await;
    git(&work, &["push", "-q", "origin", "HEAD:refs/heads/side"]).await;
    git(&work, &["push", "-q", "origin", ":refs/heads/side"]).await;
    let refused = git_fails(&work, &["push", "origin", ":refs/heads/main"]).await;
    assert!(refused.contains("default branch"), "{refused}");

    let bare = s.path("data/repositories/acme/dev.git");
    git(&bare, &["fsck", "--full", "--strict"]).await;
    let forced = git(&work, &["rev-parse", "HEAD"]).await;
    s.restart().await;
    let again = s.path("again");
    git(
        &s.dir,
        &["clone", "-q", &s.remote("alice", "acme/dev"), &again],
    )
    .await;
    assert_eq!(git(&again, &["rev-parse", "HEAD"]).await, forced);
    let (status, org) = s.get("alice", "/orgs/acme").await;
    assert_eq!((status, &org["username"]), (200, &json!("acme")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_refuses_with_its_reason_and_nothing_moves() {
    let s = Sovereign::start_checked().await;
    s.seed().await;
    let work = s.path("work");
    git(
        &s.dir,
        &["clone", "-q", &s.remote("alice", "acme/dev"), &work],
    )
    .await;
    s.write("work/app.yaml", "good: true\n");
    git(&work, &["add", "."]).await;
    git(&work, &["commit", "-qm", "Good"]).await;
    git(&work, &["push", "-q", "origin", "HEAD:refs/heads/main"]).await;
    let asked = s.sink.wait_for("/check", 1).await;
    let question: Value = serde_json::from_slice(&asked[0].body).unwrap();
    assert_eq!(question["repository"], "acme/dev");
    assert_eq!(question["pusher"], "alice");
    assert_eq!(question["refs"][0]["ref"], "refs/heads/main");
    assert_eq!(question["refs"][0]["old"], "0".repeat(40));
    assert_eq!(question["files"][0]["path"], "app.yaml");
    assert_eq!(question["files"][0]["content"], "good: true\n");
    let before = git(&work, &["rev-parse", "HEAD"]).await;

    // A tag of what is there, and a branch at it, bring nothing.
    git(&work, &["tag", "-a", "v1", "-m", "One"]).await;
    git(
        &work,
        &["push", "-q", "origin", "v1", "HEAD:refs/heads/side"],
    )
    .await;
    let asked = s.sink.wait_for("/check", 2).await;
    let question: Value = serde_json::from_slice(&asked[1].body).unwrap();
    assert_eq!(question["refs"].as_array().unwrap().len(), 2, "{question}");
    for nothing in ["forced", "commits", "files"] {
        assert_eq!(question[nothing], json!([]), "{question}");
    }

    s.write("work/app.yaml", "bad: true\n");
    git(&work, &["commit", "-qam", "Bad"]).await;
    let bad = git(&work, &["rev-parse", "HEAD"]).await;
    let said = git_fails(&work, &["push", "origin", "HEAD:refs/heads/main"]).await;
    assert!(
        said.contains("remote: app.yaml:1: bad is not allowed"),
        "{said}"
    );
    assert!(said.contains("! [remote rejected]"), "{said}");
    let bare = s.path("data/repositories/acme/dev.git");
    assert_eq!(git(&bare, &["rev-parse", "refs/heads/main"]).await, before);
    git_fails(&bare, &["cat-file", "-e", &bad]).await;

    let change = json!({"branch": "main", "message": "Bad",
        "files": [{"operation": "create", "path": "b.yaml", "content": support::base64("bad: 1\n")}]});
    let (status, body) = s
        .post("alice", "/repos/acme/dev/contents", change.clone())
        .await;
    assert_eq!(status, 403, "{body}");
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("bad is not allowed"),
        "{body}"
    );

    for mode in ["error", "garbage", "silent"] {
        s.sink.set_check(mode);
        let said = git_fails(&work, &["push", "origin", "HEAD:refs/heads/x"]).await;
        assert!(said.contains("pre-receive check"), "{mode}: {said}");
        assert_eq!(git(&bare, &["rev-parse", "refs/heads/main"]).await, before);
        git_fails(&bare, &["rev-parse", "--verify", "-q", "refs/heads/x"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_change_in_exactly_one_commit() {
    let s = Sovereign::start().await;
    s.seed().await;
    let content = support::base64;
    let change = json!({
    "message": "Install\n\nCatalyst-Request: 1", "branch": "main",
    "author": {"name": "Alice A", "email": "alice@acme.example"},
    "committer": {"name": "Catalyst", "email": "catalyst@localhost"},
    "files": [
        {"operation": "create", "path": "applications/a/application.yaml", "content": content("a\n")},
        {"operation": "create", "path": "applications/b \"ü\".yaml", "content": content("b\n")},
    ]});
    let (status, made) = s.post("alice", "/repos/acme/dev/contents", change).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["commit"]["author"]["name"], "Alice A");
    assert_eq!(made["commit"]["committer"]["name"], "Catalyst");
    let sha = made["files"][0]["sha"].as_str().unwrap().to_owned();

    let path = "/repos/acme/dev/contents/applications/a/application.yaml";
    let (status, file) = s.get("alice", path).await;
    assert_eq!((status, &file["content"]), (200, &json!(content("a\n"))));
    let stale = json!({"message": "x", "sha": "1".repeat(40), "content": content("z")});
    assert_eq!(s.send("PUT", "alice", path, stale).await.0, 422);
    let update = json!({"message": "x", "sha": sha, "content": content("a2\n")});
    assert_eq!(s.send("PUT", "alice", path, update).await.0, 200);
    let twice = json!({"branch": "main", "files": [{"operation": "create", "path": "applications/a/application.yaml", "content": ""}]});
    assert_eq!(
        s.post("alice", "/repos/acme/dev/contents", twice).await.0,
        422
    );
    for bad in [
        "../x",
        ".git/config",
        "a//b",
        "applications/a/application.yaml/inside",
    ] {
        let change = json!({"branch": "main", "files": [{"operation": "create", "path": bad, "content": ""}]});
        assert_eq!(
            s.post("alice", "/repos/acme/dev/contents", change).await.0,
            422,
            "{bad}"
        );
    }
    let (_, file) = s.get("alice", path).await;
    let remove = json!({"message": "Remove", "sha": file["sha"], "branch": "main"});
    assert_eq!(s.send("DELETE", "alice", path, remove).await.0, 200);
    assert_eq!(s.get("alice", path).await.0, 404);

    let (status, log) = s.get("alice", "/repos/acme/dev/commits").await;
    assert_eq!((status, log.as_array().unwrap().len()), (200, 3), "{log}");
    let (_, log) = s
        .get(
            "alice",
            "/repos/acme/dev/commits?path=applications/a/application.yaml&limit=1",
        )
        .await;
    assert_eq!(log.as_array().unwrap().len(), 1);
    assert_eq!(log[0]["files"][0]["status"], "removed", "{log}");
    let (_, tree) = s
        .get("alice", "/repos/acme/dev/git/trees/main?recursive=true")
        .await;
    assert_eq!(
        tree["tree"][1]["path"], "applications/b \"ü\".yaml",
        "{tree}"
    );
    let (_, reference) = s.get("alice", "/repos/acme/dev/git/refs/heads/main").await;
    assert_eq!(reference["ref"], "refs/heads/main", "{reference}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_requests_are_reviewed_and_merged() {
    let s = Sovereign::start().await;
    s.seed().await;
    s.put_file("alice", "main", "", "base.txt", "base\n").await;
    for (number, style) in ["merge", "squash", "rebase", "fast-forward-only"]
        .iter()
        .enumerate()
    {
        let branch = format!("topic-{style}");
        s.put_file("alice", "main", &branch, &format!("{style}.txt"), "x\n")
            .await;
        if *style == "rebase" {
            s.put_file("bob", "main", "", "elsewhere.txt", "y\n").await;
        }
        let open = json!({"title": style, "head": branch, "base": "main"});
        let (status, pull) = s.post("alice", "/repos/acme/dev/pulls", open.clone()).await;
        assert_eq!(status, 201, "{pull}");
        let index = number + 1;
        assert_eq!(pull["number"], index);
        assert_eq!(pull["mergeable"], true, "{pull}");
        assert_eq!(s.post("alice", "/repos/acme/dev/pulls", open).await.0, 409);
        let base = format!("/repos/acme/dev/pulls/{index}");
        let approve = json!({"event": "APPROVED", "body": "fine"});
        assert_eq!(
            s.post("alice", &format!("{base}/reviews"), approve.clone())
                .await
                .0,
            422
        );
        let (status, review) = s.post("bob", &format!("{base}/reviews"), approve).await;
        assert_eq!(
            (status, &review["state"], &review["official"]),
            (200, &json!("APPROVED"), &json!(true))
        );
        assert_eq!(review["commit_id"], pull["head"]["sha"]);
        let (_, files) = s.get("bob", &format!("{base}/files")).await;
        assert_eq!(files[0]["filename"], format!("{style}.txt"));
        assert_eq!(s.get("bob", &format!("{base}/merge")).await.0, 404);
        let stale = json!({"Do": style, "head_commit_id": "1".repeat(40)});
        assert_eq!(s.post("bob", &format!("{base}/merge"), stale).await.0, 409);
        let (status, body) = s
            .post("bob", &format!("{base}/merge"), json!({"Do": style}))
            .await;
        assert_eq!(status, 200, "{style}: {body}");
        assert_eq!(s.get("bob", &format!("{base}/merge")).await.0, 204);
        let (_, merged) = s.get("bob", &base).await;
        assert_eq!(
            (&merged["merged"], &merged["merged_by"]["login"]),
            (&json!(true), &json!("bob"))
        );
        assert_eq!(
            s.get("bob", &format!("/repos/acme/dev/contents/{style}.txt"))
                .await
                .0,
            200
        );
    }
    s.put_file("alice", "main", "left", "base.txt", "left\n")
        .await;
    s.put_file("alice", "main", "", "base.txt", "right\n").await;
    let open = json!({"title": "Conflict", "head": "left", "base": "main"});
    let (_, pull) = s.post("alice", "/repos/acme/dev/pulls", open).await;
    assert_eq!(pull["mergeable"], false, "{pull}");
    let base = format!("/repos/acme/dev/pulls/{}", pull["number"]);
    assert_eq!(
        s.post("bob", &format!("{base}/merge"), json!({"Do": "merge"}))
            .await
            .0,
        409
    );
    let (status, closed) = s
        .send("PATCH", "alice", &base, json!({"state": "closed"}))
        .await;
    assert_eq!((status, &closed["state"]), (201, &json!("closed")));
    git(
        s.path("data/repositories/acme/dev.git"),
        &["fsck", "--full", "--strict"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_signed_and_repeated_until_accepted() {
    let mut s = Sovereign::start().await;
    s.seed().await;
    s.sink.fail_next("/hook", 1);
    let hook = json!({"type": "gitea", "active": true, "events": ["push", "pull_request"],
        "config": {"url": s.sink.url("/hook"), "content_type": "json", "secret": "s3cret"}});
    let (status, made) = s.post("admin", "/orgs/acme/hooks", hook).await;
    assert_eq!(status, 201, "{made}");
    assert!(!made.to_string().contains("s3cret"));
    s.put_file("alice", "main", "", "a.txt", "a\n").await;
    let got = s.sink.wait_for("/hook", 2).await;
    let (refused, push) = (&got[0], &got[1]);
    assert_eq!(
        refused.header("x-gitea-delivery"),
        push.header("x-gitea-delivery")
    );
    assert_eq!(push.header("x-gitea-event"), "push");
    assert_eq!(
        push.header("x-gitea-signature"),
        hmac_hex("s3cret", &push.body)
    );
    let payload: Value = serde_json::from_slice(&push.body).unwrap();
    assert_eq!(payload["ref"], "refs/heads/main");
    assert_eq!(payload["repository"]["full_name"], "acme/dev");
    assert_eq!(payload["pusher"]["login"], "alice");
    assert_eq!(payload["commits"][0]["added"][0], "a.txt");

    // What is written while nobody delivers is delivered after a restart.
    s.stop_deliveries().await;
    s.put_file("alice", "main", "topic", "b.txt", "b\n").await;
    let open = json!({"title": "T", "head": "topic", "base": "main"});
    assert_eq!(s.post("alice", "/repos/acme/dev/pulls", open).await.0, 201);
    s.restart().await;
    let got = s.sink.wait_for("/hook", 4).await;
    assert_eq!(got[2].header("x-gitea-event"), "push");
    assert_eq!(got[3].header("x-gitea-event"), "pull_request");
    let payload: Value = serde_json::from_slice(&got[3].body).unwrap();
    assert_eq!(
        (&payload["action"], &payload["number"]),
        (&json!("opened"), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outsider_finds_nothing_on_any_verb() {
    let s = Sovereign::start().await;
    s.seed().await;
    s.put_file("alice", "main", "", "a.txt", "a\n").await;
    let repo = "/repos/acme/dev";
    for (verb, path) in [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/branches"),
        ("POST", "/branches"),
        ("GET", "/branches/main"),
        ("DELETE", "/branches/main"),
        ("GET", "/tags"),
        ("GET", "/commits"),
        ("GET", "/git/commits/main"),
        ("GET", "/compare/main...main"),
        ("GET", "/git/trees/main"),
        ("GET", "/git/refs"),
        ("GET", "/git/refs/heads/main"),
        ("GET", "/raw/a.txt"),
        ("GET", "/contents"),
        ("POST", "/contents"),
        ("GET", "/contents/a.txt"),
        ("POST", "/contents/b.txt"),
        ("PUT", "/contents/a.txt"),
        ("DELETE", "/contents/a.txt"),
        ("GET", "/pulls"),
        ("POST", "/pulls"),
        ("GET", "/pulls/1"),
        ("PATCH", "/pulls/1"),
        ("POST", "/pulls/1/merge"),
        ("GET", "/pulls/1/reviews"),
        ("POST", "/pulls/1/reviews"),
        ("GET", "/hooks"),
        ("POST", "/hooks"),
        ("GET", "/collaborators"),
        ("PUT", "/collaborators/mallory"),
        ("GET", "/statuses/main"),
        ("POST", "/statuses/main"),
    ] {
        let body = json!({"message": "x", "content": "", "sha": "x", "title": "x", "head": "main",
            "base": "main", "new_branch_name": "x", "state": "success", "event": "COMMENT", "Do": "merge",
            "files": [{"operation": "create", "path": "x", "content": ""}]});
        let body = if path == "/pulls/1" || path.is_empty() {
            json!({})
        } else {
            body
        };
        let (status, answer) = s
            .send(verb, "mallory", &format!("{repo}{path}"), body.clone())
            .await;
        assert_eq!(status, 404, "{verb} {path}: {answer}");
        let missing = format!("/repos/acme/no-such{path}");
        let (_, other) = s.send(verb, "mallory", &missing, body).await;
        assert_eq!(
            answer, other,
            "{verb} {path} tells that the repository exists"
        );
    }
    for (verb, path) in [
        ("GET", "/orgs/acme"),
        ("DELETE", "/orgs/acme"),
        ("GET", "/orgs/acme/teams"),
        ("POST", "/orgs/acme/teams"),
        ("GET", "/orgs/acme/members"),
        ("GET", "/orgs/acme/repos"),
        ("POST", "/orgs/acme/repos"),
        ("GET", "/orgs/acme/hooks"),
    ] {
        let (status, answer) = s.send(verb, "mallory", path, json!({"name": "x"})).await;
        assert_eq!(status, 404, "{verb} {path}: {answer}");
    }
    let (_, found) = s.get("mallory", "/repos/search?q=dev").await;
    assert_eq!(found["data"], json!([]));
    assert_eq!(s.get("mallory", "/admin/users").await.0, 403);
    let said = git_fails(&s.dir, &["ls-remote", &s.remote("mallory", "acme/dev")]).await;
    assert!(said.contains("not found"), "{said}");
    let said = git_fails(&s.dir, &["ls-remote", &format!("{}/acme/dev.git", s.base)]).await;
    assert!(
        said.contains("could not read Username") || said.contains("Authentication"),
        "{said}"
    );

    // A reader may clone and not push; a removed member loses both at once.
    let copy = s.path("copy");
    git(
        &s.dir,
        &["clone", "-q", &s.remote("ruth", "acme/dev"), &copy],
    )
    .await;
    git(&copy, &["commit", "-q", "--allow-empty", "-m", "x"]).await;
    git_fails(&copy, &["push", "origin", "HEAD:refs/heads/main"]).await;
    assert_eq!(s.send("DELETE", "ruth", repo, json!({})).await.0, 403);
    assert_eq!(
        s.send("DELETE", "admin", "/orgs/acme/members/ruth", json!({}))
            .await
            .0,
        204
    );
    git_fails(&copy, &["fetch"]).await;
    assert_eq!(s.get("ruth", repo).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_find_whom_they_share_an_organization_with() {
    let s = Sovereign::start().await;
    s.seed().await;
    let names = |found: &Value| -> Vec<String> {
        let found = found["data"].as_array().unwrap().iter();
        found
            .map(|user| user["login"].as_str().unwrap().to_owned())
            .collect()
    };
    // catalyst made the organization, and owns it.
    for (user, query, expected) in [
        ("mallory", "", &["mallory"][..]),
        ("mallory", "?q=ali", &[][..]),
        ("alice", "", &["alice", "bob", "catalyst", "ruth"][..]),
        ("alice", "?q=B", &["bob"][..]),
        ("alice", "?q=mal", &[][..]),
        (
            "admin",
            "",
            &["alice", "bob", "catalyst", "mallory", "ruth"][..],
        ),
    ] {
        let (status, found) = s.get(user, &format!("/users/search{query}")).await;
        assert_eq!(status, 200, "{found}");
        assert_eq!(names(&found), expected, "{user} {query}");
    }
    assert_eq!(s.get("nobody", "/users/search").await.0, 401);
    for (user, about, is_found) in [
        ("mallory", "mallory", true),
        ("bob", "ALICE", true),
        ("admin", "mallory", true),
        ("mallory", "alice", false),
        ("alice", "mallory", false),
        ("nobody", "alice", false),
    ] {
        for end in ["", "/repos"] {
            let (status, found) = s.get(user, &format!("/users/{about}{end}")).await;
            let expected = if is_found { 200 } else { 404 };
            assert_eq!(status, expected, "{user} {about}{end}: {found}");
            if !is_found {
                let (_, other) = s.get(user, &format!("/users/no-such{end}")).await;
                assert_eq!(
                    found, other,
                    "{user} {about}{end} tells that the user exists"
                );
            }
        }
    }
    // Who has no right to ask about others hears the same of everybody.
    for about in ["alice", "mallory", "no-such"] {
        let path = format!("/repos/acme/dev/collaborators/{about}/permission");
        assert_eq!(s.get("ruth", &path).await.0, 403, "{about}");
    }
    // Who leaves is found no longer.
    let gone = s.send("DELETE", "admin", "/orgs/acme/members/ruth", json!({}));
    assert_eq!(gone.await.0, 204);
    assert_eq!(s.get("ruth", "/users/alice").await.0, 404);
    assert_eq!(s.get("alice", "/users/ruth").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_are_an_organizations() {
    let s = Sovereign::start().await;
    s.seed().await;
    let own = json!({"name": "own"});
    let (status, refused) = s.post("alice", "/user/repos", own.clone()).await;
    assert_eq!(status, 403, "{refused}");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("limit: 0"), "{message}");
    assert_eq!(s.get("admin", "/repos/alice/own").await.0, 404);
    // A push makes none either.
    let remote = s.remote("alice", "alice/own");
    git(&s.dir, &["init", "-q", "own"]).await;
    let work = s.path("own");
    git(&work, &["commit", "-q", "--allow-empty", "-m", "One"]).await;
    git_fails(&work, &["push", &remote, "HEAD:refs/heads/main"]).await;
    let (status, made) = s.post("admin", "/user/repos", own).await;
    assert_eq!((status, &made["full_name"]), (201, &json!("catalyst/own")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_route_is_answered_as_giteas_errors_are() {
    let s = Sovereign::start().await;
    s.seed().await;
    let missing = json!({"errors": null, "message": "not found", "url": ""});
    for path in [
        "",
        "/",
        "/nothing",
        "/nothing/at/all",
        "/users/alice/nothing",
        "/repos/acme/dev/nothing/at/all",
    ] {
        for verb in ["GET", "POST", "DELETE"] {
            let answer = s.send(verb, "alice", path, Value::Null).await;
            assert_eq!(answer, (404, missing.clone()), "{verb} {path:?}");
        }
    }
    let wrong = json!({"message": "method not allowed", "url": ""});
    for (verb, path) in [
        ("DELETE", "/version"),
        ("PUT", "/user"),
        ("PUT", "/repos/acme/dev"),
    ] {
        let answer = s.send(verb, "alice", path, Value::Null).await;
        assert_eq!(answer, (405, wrong.clone()), "{verb} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_scopes_paging_and_bad_input() {
    let s = Sovereign::start().await;
    s.seed().await;
    assert_eq!(s.get("nobody", "/user").await.0, 401);
    let limited = json!({"name": "ro", "scopes": ["read:repository"]});
    let (status, token) = s.post("alice", "/users/alice/tokens", limited).await;
    assert_eq!(status, 201, "{token}");
    let secret = token["sha1"].as_str().unwrap();
    assert_eq!(
        s.call("GET", Some(secret), "/repos/acme/dev", json!(null))
            .await
            .0,
        200
    );
    assert_eq!(
        s.call("GET", Some(secret), "/user", json!(null)).await.0,
        403
    );
    let file = json!({"content": "", "message": "x"});
    assert_eq!(
        s.call("POST", Some(secret), "/repos/acme/dev/contents/x", file)
            .await
            .0,
        403
    );
    assert_eq!(
        s.send("DELETE", "alice", "/users/alice/tokens/ro", json!({}))
            .await
            .0,
        204
    );
    assert_eq!(
        s.call("GET", Some(secret), "/repos/acme/dev", json!(null))
            .await
            .0,
        401
    );
    assert_eq!(s.get("bob", "/users/alice/tokens").await.0, 403);
    assert_eq!(
        s.call("GET", Some("oidc-carol"), "/user", json!(null))
            .await
            .1["login"],
        "carol"
    );

    for name in ["", "a b", "..", "api", "a/b", "x.git"] {
        let org = json!({"username": name});
        assert_eq!(s.post("admin", "/orgs", org).await.0, 422, "{name}");
    }
    for name in ["..", "x.git", "-x", "a\u{1}"] {
        assert_eq!(
            s.post("admin", "/orgs/acme/repos", json!({"name": name}))
                .await
                .0,
            422,
            "{name}"
        );
    }
    assert_eq!(
        s.post("admin", "/orgs/acme/repos", json!({"name": "DEV"}))
            .await
            .0,
        409
    );
    for number in 0..4 {
        let (status, repo) = s
            .post(
                "admin",
                "/orgs/acme/repos",
                json!({"name": format!("r{number}")}),
            )
            .await;
        assert_eq!(
            (status, &repo["private"], &repo["empty"]),
            (201, &json!(true), &json!(true))
        );
    }
    let (count, link, page) = s.page("admin", "/orgs/acme/repos?limit=2&page=2").await;
    assert_eq!((count.as_str(), page.as_array().unwrap().len()), ("5", 2));
    assert!(
        link.contains("page=3>; rel=\"next\"") && link.contains("page=1>; rel=\"first\""),
        "{link}"
    );
    assert_eq!(
        s.send("DELETE", "admin", "/orgs/acme", json!({})).await.0,
        422
    );
    assert_eq!(
        s.send("DELETE", "admin", "/repos/acme/r0", json!({}))
            .await
            .0,
        204
    );
    assert_eq!(s.get("admin", "/repos/acme/r0").await.0, 404);
    assert_eq!(
        s.get("admin", "/version").await.1["version"]
            .as_str()
            .unwrap()
            .split('+')
            .next(),
        Some("1.26.0")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_ref_and_record_is_settled_at_the_next_start() {
    let mut s = Sovereign::start().await;
    s.seed().await;
    let hook = json!({"type": "gitea", "active": true, "events": ["push", "pull_request"],
        "config": {"url": s.sink.url("/hook"), "content_type": "json"}});
    assert_eq!(s.post("admin", "/repos/acme/dev/hooks", hook).await.0, 201);
    s.stop_deliveries().await;
    s.put_file("alice", "main", "", "a.txt", "a\n").await;
    s.put_file("alice", "main", "topic", "b.txt", "b\n").await;
    let open = json!({"title": "T", "head": "topic", "base": "main"});
    let (_, pull) = s.post("alice", "/repos/acme/dev/pulls", open).await;
    let (head, base) = (pull["head"]["sha"].clone(), pull["base"]["sha"].clone());
    // What kill -9 leaves behind: the base has moved, the record says prepared.
    let bare = s.path("data/repositories/acme/dev.git");
    git(
        &bare,
        &["update-ref", "refs/heads/main", head.as_str().unwrap()],
    )
    .await;
    let update = |name: &str, new: &Value| json!({"ref": name, "old": base, "new": new});
    let event = |id: u64, update: Value, merge: Value| {
        json!({"id": id, "owner": "acme", "repository": "dev", "user": "bob",
            "event": {"Push": [update]}, "prepared": true, "merge": merge})
    };
    let merge = json!({"number": 1, "head_sha": head, "base_sha": base, "merge_base": base, "commit": head});
    let happened = event(9001, update("refs/heads/main", &head), merge);
    let never = event(9002, update("refs/heads/topic", &base), Value::Null);
    let transaction = catalyst_store::Transaction::new()
        .put("forge/sequence", "10000")
        .put("forge/events/00000000000000009001", happened.to_string())
        .put("forge/events/00000000000000009002", never.to_string());
    s.restart_after(transaction).await;

    // Two pushes and the opening came before.
    let got = s.sink.wait_for("/hook", 5).await;
    let last: Value = serde_json::from_slice(&got[4].body).unwrap();
    assert_eq!(
        (&last["action"], &last["pull_request"]["merged"]),
        (&json!("closed"), &json!(true))
    );
    let push: Value = serde_json::from_slice(&got[3].body).unwrap();
    assert_eq!(
        (&push["after"], &push["pusher"]["login"]),
        (&head, &json!("bob"))
    );
    let (_, merged) = s.get("bob", "/repos/acme/dev/pulls/1").await;
    assert_eq!(
        (&merged["merged"], &merged["merged_by"]["login"]),
        (&json!(true), &json!("bob"))
    );
    let all = s.sink.wait_for("/hook", 5).await;
    assert_eq!(all.len(), 5, "an event that never happened was delivered");
}

/// A user who leaves at the wrong moment is like a crash, but without the start that
/// would mend what it left.
#[tokio::test]
async fn a_write_comes_to_its_end_though_its_client_has_gone() {
    let s = Sovereign::start_checked().await;
    s.seed().await;
    let hook = json!({"type": "gitea", "active": true, "events": ["push"],
        "config": {"url": s.sink.url("/hook"), "content_type": "json"}});
    assert_eq!(s.post("admin", "/repos/acme/dev/hooks", hook).await.0, 201);
    s.put_file("alice", "main", "", "a.txt", "a\n").await;
    s.sink.wait_for("/hook", 1).await;

    s.sink.set_check("held");
    tokio::select! {
        () = s.put_file("alice", "main", "", "b.txt", "b\n") => panic!("nobody answered the check"),
        _ = s.sink.wait_for("/check", 2) => {}
    }
    // The connection is closed; by the time that another answers, that is known.
    for _ in 0..3 {
        assert_eq!(s.get("alice", "/version").await.0, 200);
    }
    s.sink.release.notify_one();
    let pushes = s.sink.wait_for("/hook", 2).await;
    let push: Value = serde_json::from_slice(&pushes[1].body).unwrap();
    assert_eq!(push["commits"][0]["added"][0], "b.txt");
    s.sink.set_check("");
    s.put_file("alice", "main", "", "c.txt", "c\n").await;
}

#[tokio::test]
async fn the_locks_of_a_killed_git_are_gone_after_the_next_start() {
    let mut s = Sovereign::start().await;
    s.seed().await;
    s.put_file("alice", "main", "", "a.txt", "a\n").await;
    let bare = "data/repositories/acme/dev.git";
    let locks = ["refs/heads/main.lock", "packed-refs.lock", "HEAD.lock"];
    for lock in locks {
        s.write(&format!("{bare}/{lock}"), "");
    }
    let change = json!({"branch": "main", "message": "x", "content": support::base64("b\n")});
    let path = "/repos/acme/dev/contents/b.txt";
    assert_eq!(s.post("alice", path, change.clone()).await.0, 409);
    s.restart().await;
    for lock in locks {
        assert!(!std::path::Path::new(&s.path(&format!("{bare}/{lock}"))).exists());
    }
    assert_eq!(s.post("alice", path, change).await.0, 201);
    git(&s.path(bare), &["fsck", "--strict"]).await;
}
