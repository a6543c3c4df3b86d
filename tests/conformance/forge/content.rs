//! Files, trees, branches and commits; stock git.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{World, change};
use crate::suite::{self, cases};
use catalyst_ports::{CommitsQuery, Permission};

pub fn cases() -> Vec<suite::Case<World>> {
    cases![
        a_file_is_described_with_its_content,
        a_file_names_the_commit_that_made_it,
        a_folder_is_a_list_by_name,
        a_file_of_another_branch_is_read_by_ref,
        an_absent_file_is_404,
        a_change_with_a_stale_object_id_is_refused,
        a_file_is_not_created_twice,
        a_file_that_is_not_there_is_not_deleted,
        several_files_change_in_one_commit,
        the_last_file_may_go,
        content_is_any_bytes,
        a_tree_lists_folders_and_files_when_asked_for_all,
        a_tree_has_pages,
        a_branch_names_its_commit,
        branches_are_listed,
        a_branch_is_made_and_deleted,
        the_default_branch_is_not_deleted,
        commits_have_pages_and_say_the_count,
        commits_are_those_of_a_path,
        a_commit_names_author_committer_and_files,
        an_empty_repository_is_called_empty,
        a_raw_file_is_its_bytes,
        refs_are_listed,
        two_commits_are_compared,
        git_clones_and_pushes_with_a_password,
        a_tag_has_its_message,
        git_pushes_the_first_commit,
        git_clones_shallowly_and_pushes_from_there,
        git_is_refused_without_a_password,
        git_is_told_of_a_rewound_branch,
    ]
}

async fn a_file_is_described_with_its_content(world: World) {
    let id = world.repository("content-1").await;
    world.commit(&id, &[("a/b.txt", Some("one\n"))]).await;
    let (status, file) = world.get("/repos/content-1/dev/contents/a/b.txt").await;
    assert_eq!(status, 200);
    assert_eq!(file["type"], "file");
    assert_eq!(file["name"], "b.txt");
    assert_eq!(file["path"], "a/b.txt");
    assert_eq!(file["encoding"], "base64");
    assert_eq!(file["content"], "b25lCg==");
    assert_eq!(file["size"], 4);
    assert_eq!(file["sha"], "5626abf0f72e58d7a153368ba57db4c673c0e171");
}

async fn a_file_names_the_commit_that_made_it(world: World) {
    let id = world.repository("content-24").await;
    let commit = world.commit(&id, &[("a", Some("1"))]).await;
    world.commit(&id, &[("b", Some("1"))]).await;
    let (_, file) = world.get("/repos/content-24/dev/contents/a").await;
    assert_eq!(file["last_commit_sha"], commit);
}

async fn a_folder_is_a_list_by_name(world: World) {
    let id = world.repository("content-2").await;
    let files = [("z", Some("1")), ("a/b", Some("2")), ("c", Some("3"))];
    world.commit(&id, &files).await;
    let (status, found) = world.get("/repos/content-2/dev/contents").await;
    assert_eq!(status, 200);
    let seen: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["type"].as_str().unwrap(), it["path"].as_str().unwrap()))
        .collect();
    assert_eq!(seen, [("dir", "a"), ("file", "c"), ("file", "z")]);
    assert_eq!(found[1]["content"], Value::Null);
}

async fn a_file_of_another_branch_is_read_by_ref(world: World) {
    let id = world.repository("content-3").await;
    let first = world.commit(&id, &[("a", Some("1"))]).await;
    let mut side = change(&[("a", Some("2"))]);
    side.new_branch = Some("side/one".to_owned());
    world.forge.change_files(&id, side).await.unwrap();
    for (reference, wanted) in [("side/one", "Mg=="), ("main", "MQ=="), (&first, "MQ==")] {
        let path = format!("/repos/content-3/dev/contents/a?ref={reference}");
        let (status, file) = world.get(&path).await;
        assert_eq!((status, file["content"].as_str()), (200, Some(wanted)));
    }
}

async fn an_absent_file_is_404(world: World) {
    let id = world.repository("content-4").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    for path in [
        "/repos/content-4/dev/contents/b",
        "/repos/content-4/dev/contents/a?ref=absent",
        "/repos/content-4/absent/contents/a",
        "/repos/content-4/dev/branches/absent",
        "/repos/content-4/dev/raw/b",
    ] {
        let (status, body) = world.get(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(body["message"].is_string(), "{path}: {body}");
    }
    let path = "/repos/content-4/dev/git/trees/absent";
    assert_eq!(world.get(path).await.0, 400);
    let missing = world.forge.tree(&id, "absent").await;
    assert!(missing.unwrap_err().is_not_found());
}

async fn change_raw(world: &World, organization: &str, file: Value) -> (u16, Value) {
    let body = json!({"branch": "main", "message": "Change", "files": [file]});
    let path = format!("/repos/{organization}/dev/contents");
    world.ask(Method::POST, &path, body).await
}

async fn a_change_with_a_stale_object_id_is_refused(world: World) {
    let id = world.repository("content-5").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let file =
        json!({"operation": "update", "path": "a", "content": "Mg==", "sha": "0".repeat(40)});
    let (status, body) = change_raw(&world, "content-5", file).await;
    assert_eq!(status, 422, "{body}");
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("sha does not match"),
        "{body}"
    );
}

async fn a_file_is_not_created_twice(world: World) {
    let id = world.repository("content-6").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let file = json!({"operation": "create", "path": "a", "content": "Mg=="});
    let (status, body) = change_raw(&world, "content-6", file).await;
    assert_eq!(status, 422, "{body}");
    assert!(
        body["message"].as_str().unwrap().contains("already exists"),
        "{body}"
    );
}

async fn a_file_that_is_not_there_is_not_deleted(world: World) {
    let id = world.repository("content-7").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let file = json!({"operation": "delete", "path": "b", "sha": "0".repeat(40)});
    let (status, body) = change_raw(&world, "content-7", file).await;
    assert_eq!(status, 404, "{body}");
}

async fn several_files_change_in_one_commit(world: World) {
    let id = world.repository("content-8").await;
    let first = world
        .commit(&id, &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))])
        .await;
    let next = world
        .commit(&id, &[("a", Some("2")), ("b", None), ("d/e", Some("3"))])
        .await;
    let commit = world.forge.commit(&id, &next).await.unwrap().unwrap();
    assert_eq!(commit.parents, [first]);
    let tree = world.forge.tree(&id, "main").await.unwrap();
    let paths: Vec<_> = tree.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["a", "c", "d/e"]);
}

async fn the_last_file_may_go(world: World) {
    let id = world.repository("content-9").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let last = world.commit(&id, &[("a", None)]).await;
    assert_eq!(world.forge.head(&id, "main").await.unwrap(), Some(last));
    assert_eq!(world.forge.tree(&id, "main").await.unwrap(), []);
}

async fn content_is_any_bytes(world: World) {
    let id = world.repository("content-10").await;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let mut wanted = change(&[("blob with spaces/ä.bin", Some(""))]);
    wanted.files[0].content = Some(bytes.clone());
    world.forge.change_files(&id, wanted).await.unwrap();
    let file = world.forge.file(&id, "main", "blob with spaces/ä.bin");
    assert_eq!(file.await.unwrap().unwrap().content, bytes);
}

async fn a_tree_lists_folders_and_files_when_asked_for_all(world: World) {
    let id = world.repository("content-11").await;
    let commit = world
        .commit(&id, &[("a/b", Some("1")), ("c", Some("22"))])
        .await;
    let (status, tree) = world
        .get(&format!(
            "/repos/content-11/dev/git/trees/{commit}?recursive=true"
        ))
        .await;
    assert_eq!(status, 200);
    assert!(tree["sha"].is_string());
    assert_eq!(
        (&tree["truncated"], &tree["page"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(tree["total_count"], 3);
    let nodes: Vec<_> = tree["tree"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let text = |name: &str| it[name].as_str().unwrap().to_owned();
            (text("path"), text("type"), text("mode"), it["size"].clone())
        })
        .collect();
    let wanted = [
        ("a", "tree", "040000", 0),
        ("a/b", "blob", "100644", 1),
        ("c", "blob", "100644", 2),
    ]
    .map(|(path, kind, mode, size)| {
        (
            path.to_owned(),
            kind.to_owned(),
            mode.to_owned(),
            json!(size),
        )
    });
    assert_eq!(nodes, wanted);
}

async fn a_tree_has_pages(world: World) {
    let id = world.repository("content-12").await;
    let files = ["a", "b", "c", "d", "e"].map(|it| (it, Some("1")));
    world.commit(&id, &files).await;
    let mut seen = Vec::new();
    for (page, is_cut) in [(1, true), (2, true), (3, false)] {
        let path =
            format!("/repos/content-12/dev/git/trees/main?recursive=true&per_page=2&page={page}");
        let (_, tree) = world.get(&path).await;
        assert_eq!(tree["truncated"], is_cut, "page {page}");
        assert_eq!(tree["page"], page);
        assert_eq!(tree["total_count"], 5);
        let nodes = tree["tree"].as_array().unwrap().clone();
        seen.extend(
            nodes
                .iter()
                .map(|it| it["path"].as_str().unwrap().to_owned()),
        );
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
}

async fn a_branch_names_its_commit(world: World) {
    let id = world.repository("content-13").await;
    let commit = world.commit(&id, &[("a", Some("1"))]).await;
    let (status, branch) = world.get("/repos/content-13/dev/branches/main").await;
    assert_eq!(status, 200);
    assert_eq!(branch["name"], "main");
    assert_eq!(branch["commit"]["id"], commit);
    assert_eq!(
        branch["commit"]["message"].as_str().unwrap().trim(),
        "Change"
    );
    assert_eq!(branch["commit"]["author"]["name"], "alice");
    assert_eq!(branch["protected"], false);
}

async fn branches_are_listed(world: World) {
    let id = world.repository("content-14").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let mut side = change(&[("a", Some("2"))]);
    side.new_branch = Some("another/one".to_owned());
    world.forge.change_files(&id, side).await.unwrap();
    let (_, found) = world.get("/repos/content-14/dev/branches").await;
    let mut names: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["another/one", "main"]);
}

async fn a_branch_is_made_and_deleted(world: World) {
    let id = world.repository("content-15").await;
    let commit = world.commit(&id, &[("a", Some("1"))]).await;
    let path = "/repos/content-15/dev/branches";
    let body = json!({"new_branch_name": "side", "old_ref_name": "main"});
    let (status, made) = world.ask(Method::POST, path, body.clone()).await;
    assert_eq!((status, &made["commit"]["id"]), (201, &json!(commit)));
    assert_eq!(world.ask(Method::POST, path, body).await.0, 409);
    let one = format!("{path}/side");
    assert_eq!(world.ask(Method::DELETE, &one, Value::Null).await.0, 204);
    assert_eq!(world.ask(Method::DELETE, &one, Value::Null).await.0, 404);
}

async fn the_default_branch_is_not_deleted(world: World) {
    let id = world.repository("content-16").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let path = "/repos/content-16/dev/branches/main";
    assert_eq!(world.ask(Method::DELETE, path, Value::Null).await.0, 403);
}

async fn commits_have_pages_and_say_the_count(world: World) {
    let id = world.repository("content-17").await;
    let mut made = Vec::new();
    for number in 0..5 {
        let text = number.to_string();
        made.push(world.commit(&id, &[("a", Some(&text))]).await);
    }
    made.reverse();
    let place = format!(
        "{}/api/v1/repos/content-17/dev/commits?limit=2&page=2&stat=false",
        world.forge.base()
    );
    world.user("content-17-reader").await;
    world
        .team("content-17", Permission::Read, &["content-17-reader"])
        .await;
    let request = world
        .http
        .get(place)
        .basic_auth("content-17-reader", Some(super::world::PASSWORD));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["x-total-count"], "5");
    let found: Vec<Value> = answer.json().await.unwrap();
    let ids: Vec<_> = found.iter().map(|it| it["sha"].as_str().unwrap()).collect();
    assert_eq!(ids, made[2..4]);
}

async fn commits_are_those_of_a_path(world: World) {
    let id = world.repository("content-18").await;
    let one = world.commit(&id, &[("a/x", Some("1"))]).await;
    world.commit(&id, &[("b", Some("1"))]).await;
    let three = world.commit(&id, &[("a/y", Some("1"))]).await;
    let four = world.commit(&id, &[("a/x", None)]).await;
    let query = |path: &str| CommitsQuery {
        reference: "main".to_owned(),
        path: Some(path.to_owned()),
        limit: 50,
        page: 1,
    };
    let ids = async |path: &str| {
        let found = world.forge.commits(&id, query(path)).await.unwrap();
        found.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(ids("a").await, [four.clone(), three, one.clone()]);
    assert_eq!(ids("a/x").await, [four, one]);
    assert_eq!(ids("absent").await, Vec::<String>::new());
}

async fn a_commit_names_author_committer_and_files(world: World) {
    let id = world.repository("content-19").await;
    let first = world.commit(&id, &[("a", Some("1"))]).await;
    let second = world
        .commit(&id, &[("a", Some("2")), ("b", Some("1"))])
        .await;
    let (_, commit) = world
        .get(&format!("/repos/content-19/dev/git/commits/{second}"))
        .await;
    assert_eq!(commit["sha"], second);
    assert_eq!(commit["commit"]["author"]["name"], "alice");
    assert_eq!(commit["commit"]["author"]["email"], "alice@acme.example");
    assert_eq!(commit["commit"]["committer"]["name"], "catalyst");
    assert_eq!(
        commit["commit"]["message"].as_str().unwrap().trim(),
        "Change"
    );
    assert_eq!(commit["parents"][0]["sha"], first);
    assert!(commit["commit"]["tree"]["sha"].is_string());
    let mut files: Vec<_> = commit["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["filename"].as_str().unwrap(),
                it["status"].as_str().unwrap(),
            )
        })
        .collect();
    files.sort_unstable();
    assert_eq!(files, [("a", "modified"), ("b", "added")]);
    let stats = &commit["stats"];
    assert_eq!(
        (&stats["additions"], &stats["deletions"]),
        (&json!(2), &json!(1))
    );
}

async fn an_empty_repository_is_called_empty(world: World) {
    let id = world.repository("content-20").await;
    let (_, found) = world.get("/repos/content-20/dev").await;
    assert_eq!(
        (&found["empty"], &found["private"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(found["default_branch"], "main");
    assert_eq!(found["full_name"], "content-20/dev");
    assert_eq!(found["owner"]["login"], "content-20");
    assert_eq!(found["clone_url"], world.forge.clone_url(&id));
    assert_eq!(world.get("/repos/content-20/dev/commits").await.0, 409);
    world.commit(&id, &[("a", Some("1"))]).await;
    let (_, found) = world.get("/repos/content-20/dev").await;
    assert_eq!(found["empty"], false);
}

async fn a_raw_file_is_its_bytes(world: World) {
    let id = world.repository("content-21").await;
    world.commit(&id, &[("a/b.yaml", Some("x: 1\n"))]).await;
    world.user("content-21-reader").await;
    world
        .team("content-21", Permission::Read, &["content-21-reader"])
        .await;
    let place = format!(
        "{}/api/v1/repos/content-21/dev/raw/a/b.yaml?ref=main",
        world.forge.base()
    );
    let request = world
        .http
        .get(place)
        .basic_auth("content-21-reader", Some(super::world::PASSWORD));
    assert_eq!(
        request.send().await.unwrap().text().await.unwrap(),
        "x: 1\n"
    );
}

async fn refs_are_listed(world: World) {
    let id = world.repository("content-22").await;
    let commit = world.commit(&id, &[("a", Some("1"))]).await;
    let (status, found) = world.get("/repos/content-22/dev/git/refs").await;
    assert_eq!(status, 200);
    assert_eq!(found[0]["ref"], "refs/heads/main");
    assert_eq!(found[0]["object"]["type"], "commit");
    assert_eq!(found[0]["object"]["sha"], commit);
}

async fn two_commits_are_compared(world: World) {
    let id = world.repository("content-23").await;
    let first = world.commit(&id, &[("a", Some("1"))]).await;
    let second = world.commit(&id, &[("a", Some("2"))]).await;
    let third = world.commit(&id, &[("a", Some("3"))]).await;
    let path = format!("/repos/content-23/dev/compare/{first}...{third}");
    let (status, found) = world.get(&path).await;
    assert_eq!((status, &found["total_commits"]), (200, &json!(2)));
    let ids: Vec<_> = found["commits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["sha"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [third, second]);
}

/// A clone by a user who may write.
async fn cloned(world: &World, organization: &str, user: &str, flags: &[&str]) -> String {
    world.team(organization, Permission::Write, &[user]).await;
    let id = catalyst_ports::RepositoryId::new(organization, "dev");
    let remote = world.remote(user, &id);
    let folder = world.folder(organization);
    let arguments = [&["clone", "-q"], flags, &[&remote, &folder]].concat();
    world.git("", &arguments).await.unwrap();
    folder
}

async fn push_file(world: &World, folder: &str, text: &str) -> String {
    std::fs::write(format!("{folder}/pushed"), text).unwrap();
    world.git(folder, &["add", "."]).await.unwrap();
    let commit = ["commit", "-q", "-m", "Pushed"];
    world.git(folder, &commit).await.unwrap();
    let push = ["push", "-q", "origin", "HEAD:refs/heads/main"];
    world.git(folder, &push).await.unwrap();
    world.git(folder, &["rev-parse", "HEAD"]).await.unwrap()
}

async fn git_clones_and_pushes_with_a_password(world: World) {
    let id = world.repository("git-1").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let folder = cloned(&world, "git-1", "git-1-writer", &[]).await;
    assert_eq!(std::fs::read_to_string(format!("{folder}/a")).unwrap(), "1");
    let head = push_file(&world, &folder, "2").await;
    assert_eq!(world.forge.head(&id, "main").await.unwrap(), Some(head));
    world
        .git(&folder, &["tag", "-a", "v1", "-m", "v1"])
        .await
        .unwrap();
    world
        .git(&folder, &["push", "-q", "origin", "v1"])
        .await
        .unwrap();
    let (_, tags) = world.get("/repos/git-1/dev/tags").await;
    assert_eq!(tags[0]["name"], "v1");
}

async fn a_tag_has_its_message(world: World) {
    let id = world.repository("git-6").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let folder = cloned(&world, "git-6", "git-6-writer", &[]).await;
    let tag = ["tag", "-a", "v1", "-m", "First"];
    world.git(&folder, &tag).await.unwrap();
    let push = ["push", "-q", "origin", "v1"];
    world.git(&folder, &push).await.unwrap();
    let (_, tags) = world.get("/repos/git-6/dev/tags").await;
    assert_eq!(tags[0]["message"].as_str().unwrap().trim(), "First");
}

async fn git_pushes_the_first_commit(world: World) {
    let id = world.repository("git-2").await;
    let folder = cloned(&world, "git-2", "git-2-writer", &[]).await;
    let head = push_file(&world, &folder, "1").await;
    // Gitea learns in the background that the repository is empty no more, and
    // answers 500 until then.
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        match world.forge.head(&id, "main").await {
            Ok(found) if found.as_deref() == Some(&head) => break,
            Err(error) => assert!(error.retryable(), "{error}"),
            Ok(_) => {}
        }
        assert!(tokio::time::Instant::now() < until, "the push is not seen");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (_, found) = world.get("/repos/git-2/dev").await;
    assert_eq!(found["empty"], false);
}

async fn git_clones_shallowly_and_pushes_from_there(world: World) {
    let id = world.repository("git-3").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world.commit(&id, &[("a", Some("2"))]).await;
    let folder = cloned(&world, "git-3", "git-3-writer", &["--depth", "1"]).await;
    let count = world.git(&folder, &["rev-list", "--count", "HEAD"]).await;
    assert_eq!(count.unwrap(), "1");
    let head = push_file(&world, &folder, "1").await;
    assert_eq!(world.forge.head(&id, "main").await.unwrap(), Some(head));
}

async fn git_is_refused_without_a_password(world: World) {
    let id = world.repository("git-4").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world.user("git-4-outsider").await;
    let wrong = world.remote("git-4-outsider", &id).replace("A%20", "B%20");
    for (remote, words) in [
        (world.forge.clone_url(&id), "could not read Username"),
        (wrong, "Authentication failed"),
        (world.remote("git-4-outsider", &id), "not found"),
    ] {
        let said = world.git("", &["ls-remote", &remote]).await.unwrap_err();
        assert!(said.contains(words), "{words}: {said}");
    }
    world
        .team("git-4", Permission::Read, &["git-4-reader"])
        .await;
    let folder = world.folder("git-4");
    let remote = world.remote("git-4-reader", &id);
    world
        .git("", &["clone", "-q", &remote, &folder])
        .await
        .unwrap();
    std::fs::write(format!("{folder}/b"), "1").unwrap();
    world.git(&folder, &["add", "."]).await.unwrap();
    world.git(&folder, &["commit", "-qm", "No"]).await.unwrap();
    let head = world.forge.head(&id, "main").await.unwrap();
    let said = world.git(&folder, &["push", "origin", "HEAD:main"]).await;
    let said = said.unwrap_err().to_lowercase();
    assert!(said.contains("403") || said.contains("denied"), "{said}");
    assert_eq!(world.forge.head(&id, "main").await.unwrap(), head);
}

async fn git_is_told_of_a_rewound_branch(world: World) {
    let id = world.repository("git-5").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    let folder = cloned(&world, "git-5", "git-5-writer", &[]).await;
    world.commit(&id, &[("a", Some("2"))]).await;
    std::fs::write(format!("{folder}/b"), "1").unwrap();
    world.git(&folder, &["add", "."]).await.unwrap();
    world
        .git(&folder, &["commit", "-qm", "Late"])
        .await
        .unwrap();
    let said = world.git(&folder, &["push", "origin", "HEAD:main"]).await;
    assert!(said.unwrap_err().contains("fetch first"));
    world
        .git(&folder, &["pull", "-q", "--rebase"])
        .await
        .unwrap();
    world
        .git(&folder, &["push", "-q", "origin", "HEAD:main"])
        .await
        .unwrap();
}
