//! Users, organizations, teams and what they may do.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::World;
use crate::suite::{self, cases};
use catalyst_ports::{Permission, RepositoryId};

pub fn cases() -> Vec<suite::Case<World>> {
    cases![
        a_user_is_made_once,
        a_user_goes,
        an_organization_is_made_once,
        an_organization_with_repositories_stays,
        a_name_is_of_a_user_or_an_organization,
        names_have_a_shape,
        a_repository_is_made_once,
        a_repository_goes,
        repositories_of_an_organization_are_listed,
        a_team_is_described,
        a_team_has_the_members_it_was_given,
        an_outsider_sees_nothing,
        a_reader_reads,
        a_writer_writes,
        a_removed_member_sees_nothing,
        only_administrators_make_users,
        administrators_act_for_others,
        others_act_for_nobody,
        a_token_is_as_good_as_a_password,
        anonymous_requests_are_refused,
        strangers_do_not_find_one_another,
        only_administrators_have_repositories_of_their_own,
    ]
}

async fn a_user_is_made_once(world: World) {
    let body = json!({"username": "access-1", "email": "access-1@acme.example",
        "password": super::world::PASSWORD, "must_change_password": false});
    let (status, made) = world.ask(Method::POST, "/admin/users", body.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["login"], "access-1");
    assert_eq!(made["is_admin"], false);
    let (status, again) = world.ask(Method::POST, "/admin/users", body).await;
    assert_eq!(status, 422, "{again}");
    let (status, found) = world.get("/users/ACCESS-1").await;
    assert_eq!((status, &found["login"]), (200, &json!("access-1")));
}

async fn a_user_goes(world: World) {
    world.user("access-2").await;
    let gone = world.ask(Method::DELETE, "/admin/users/access-2", Value::Null);
    assert_eq!(gone.await.0, 204);
    let (status, body) = world.get("/users/access-2").await;
    assert_eq!(status, 404, "{body}");
    let gone = world.ask(Method::DELETE, "/admin/users/access-2", Value::Null);
    assert_eq!(gone.await.0, 404);
}

async fn an_organization_is_made_once(world: World) {
    let body = json!({"username": "access-3", "full_name": "Three", "visibility": "private"});
    let (status, made) = world.ask(Method::POST, "/orgs", body.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(
        (&made["name"], &made["full_name"]),
        (&json!("access-3"), &json!("Three"))
    );
    assert_eq!(made["visibility"], "private");
    assert_eq!(world.ask(Method::POST, "/orgs", body).await.0, 422);
    let change = json!({"full_name": "3"});
    let (status, made) = world.ask(Method::PATCH, "/orgs/access-3", change).await;
    assert_eq!((status, &made["full_name"]), (200, &json!("3")));
    assert_eq!(
        world
            .ask(Method::DELETE, "/orgs/access-3", Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(world.get("/orgs/access-3").await.0, 404);
}

async fn an_organization_with_repositories_stays(world: World) {
    let id = world.repository("access-4").await;
    let (status, body) = world
        .ask(Method::DELETE, "/orgs/access-4", Value::Null)
        .await;
    assert!((400..=500).contains(&status), "{status} {body}");
    assert!(world.forge.repository_exists(&id).await.unwrap());
}

async fn a_name_is_of_a_user_or_an_organization(world: World) {
    world.repository("access-5").await;
    let body = json!({"username": "access-5", "email": "access-5@acme.example",
        "password": super::world::PASSWORD, "must_change_password": false});
    assert_eq!(world.ask(Method::POST, "/admin/users", body).await.0, 422);
}

async fn names_have_a_shape(world: World) {
    for name in ["with space", "-leading", "a/b", "ä", "", "a..b"] {
        let body = json!({"username": name, "full_name": "No"});
        let (status, body) = world.ask(Method::POST, "/orgs", body).await;
        assert_eq!(status, 422, "{name}: {body}");
    }
}

async fn a_repository_is_made_once(world: World) {
    world.repository("access-6").await;
    let body = json!({"name": "dev", "private": true});
    let (status, body) = world.ask(Method::POST, "/orgs/access-6/repos", body).await;
    assert_eq!(status, 409, "{body}");
    let body = json!({"name": "bad name"});
    let (status, body) = world.ask(Method::POST, "/orgs/access-6/repos", body).await;
    assert_eq!(status, 422, "{body}");
    let body = json!({"name": "dev"});
    let (status, body) = world.ask(Method::POST, "/orgs/absent-6/repos", body).await;
    assert_eq!(status, 404, "{body}");
}

async fn a_repository_goes(world: World) {
    world.repository("access-7").await;
    let path = "/repos/access-7/dev";
    assert_eq!(world.ask(Method::DELETE, path, Value::Null).await.0, 204);
    assert_eq!(world.ask(Method::DELETE, path, Value::Null).await.0, 404);
    assert_eq!(world.get(path).await.0, 404);
}

async fn repositories_of_an_organization_are_listed(world: World) {
    world.repository("access-8").await;
    for name in ["b", "c"] {
        let body = json!({"name": name, "private": true});
        let (status, _) = world.ask(Method::POST, "/orgs/access-8/repos", body).await;
        assert_eq!(status, 201);
    }
    let mut seen = Vec::new();
    for page in 1..=3 {
        let path = format!("/orgs/access-8/repos?limit=2&page={page}");
        let (_, found) = world.get(&path).await;
        let found = found.as_array().unwrap();
        seen.extend(
            found
                .iter()
                .map(|it| it["name"].as_str().unwrap().to_owned()),
        );
        assert_eq!(found.len(), [2, 1, 0][page - 1]);
    }
    seen.sort_unstable();
    assert_eq!(seen, ["b", "c", "dev"]);
}

async fn a_team_is_described(world: World) {
    world.repository("access-9").await;
    let body = json!({"name": "developers", "permission": "write",
        "includes_all_repositories": true, "can_create_org_repo": false,
        "units_map": {"repo.code": "write", "repo.pulls": "write"}});
    let path = "/orgs/access-9/teams";
    let (status, made) = world.ask(Method::POST, path, body.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["name"], "developers");
    assert_eq!(made["includes_all_repositories"], true);
    assert_eq!(made["units_map"]["repo.code"], "write");
    assert_eq!(world.ask(Method::POST, path, body).await.0, 422);
    let (_, teams) = world.get(path).await;
    let names: Vec<_> = teams
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"Owners") && names.contains(&"developers"),
        "{names:?}"
    );
    let one = format!("/teams/{}", made["id"]);
    let (status, found) = world.get(&one).await;
    assert_eq!((status, &found["name"]), (200, &json!("developers")));
    assert_eq!(world.ask(Method::DELETE, &one, Value::Null).await.0, 204);
    assert_eq!(world.get(&one).await.0, 404);
}

async fn a_team_has_the_members_it_was_given(world: World) {
    world.repository("access-10").await;
    let users = ["access-10-a", "access-10-b"];
    let team = world.team("access-10", Permission::Read, &users).await;
    let members = async || {
        let (_, found) = world.get(&format!("/teams/{team}/members")).await;
        let found = found.as_array().unwrap();
        let mut names: Vec<_> = found
            .iter()
            .map(|it| it["login"].as_str().unwrap().to_owned())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(members().await, users);
    let one = format!("/teams/{team}/members/access-10-a");
    assert_eq!(world.ask(Method::PUT, &one, Value::Null).await.0, 204);
    assert_eq!(world.get(&one).await.0, 200);
    assert_eq!(world.ask(Method::DELETE, &one, Value::Null).await.0, 204);
    assert_eq!(world.get(&one).await.0, 404);
    assert_eq!(members().await, ["access-10-b"]);
    let absent = format!("/teams/{team}/members/access-10-nobody");
    assert_eq!(world.ask(Method::PUT, &absent, Value::Null).await.0, 404);
}

async fn an_outsider_sees_nothing(world: World) {
    let id = world.repository("access-11").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world.user("access-11-outsider").await;
    for path in [
        "/repos/access-11/dev",
        "/repos/access-11/dev/contents/a",
        "/repos/access-11/dev/commits",
        "/repos/access-11/dev/pulls",
        "/repos/access-11/dev/branches",
        "/orgs/access-11",
    ] {
        let (status, body) = world
            .ask_as("access-11-outsider", Method::GET, path, Value::Null)
            .await;
        assert_eq!(status, 404, "{path}: {body}");
    }
    let path = "/repos/access-11/dev";
    let gone = world.ask_as("access-11-outsider", Method::DELETE, path, Value::Null);
    assert_eq!(gone.await.0, 404);
    assert!(world.forge.repository_exists(&id).await.unwrap());
}

fn write_of(name: &str) -> Value {
    json!({"branch": "main", "message": "Write",
        "files": [{"operation": "create", "path": name, "content": "MQ=="}]})
}

async fn a_reader_reads(world: World) {
    let id = world.repository("access-12").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world
        .team("access-12", Permission::Read, &["access-12-reader"])
        .await;
    let ask = |method, path, body| world.ask_as("access-12-reader", method, path, body);
    let path = "/repos/access-12/dev/contents/a";
    assert_eq!(ask(Method::GET, path, Value::Null).await.0, 200);
    let (_, found) = ask(Method::GET, "/repos/access-12/dev", Value::Null).await;
    assert_eq!(
        found["permissions"],
        json!({"admin": false, "push": false, "pull": true})
    );
    let path = "/repos/access-12/dev/contents";
    let (status, body) = ask(Method::POST, path, write_of("b")).await;
    assert_eq!(status, 403, "{body}");
    let path = "/repos/access-12/dev";
    assert_eq!(ask(Method::DELETE, path, Value::Null).await.0, 403);
}

async fn a_writer_writes(world: World) {
    let id = world.repository("access-13").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world
        .team("access-13", Permission::Write, &["access-13-writer"])
        .await;
    let ask = |method, path, body| world.ask_as("access-13-writer", method, path, body);
    let path = "/repos/access-13/dev/contents";
    let (status, made) = ask(Method::POST, path, write_of("b")).await;
    assert_eq!(status, 201, "{made}");
    assert!(made["commit"]["sha"].is_string());
    assert_eq!(made["files"][0]["path"], "b");
    let path = "/repos/access-13/dev";
    assert_eq!(
        ask(Method::PATCH, path, json!({"private": false})).await.0,
        403
    );
    assert_eq!(ask(Method::DELETE, path, Value::Null).await.0, 403);
    let path = "/orgs/access-13/repos";
    assert_eq!(ask(Method::POST, path, json!({"name": "own"})).await.0, 403);
    let path = "/orgs/access-13/teams";
    assert_eq!(ask(Method::POST, path, json!({"name": "own"})).await.0, 403);
}

async fn a_removed_member_sees_nothing(world: World) {
    let id = world.repository("access-14").await;
    world.commit(&id, &[("a", Some("1"))]).await;
    world
        .team("access-14", Permission::Write, &["access-14-user"])
        .await;
    let look = || {
        let path = "/repos/access-14/dev";
        world.ask_as("access-14-user", Method::GET, path, Value::Null)
    };
    assert_eq!(look().await.0, 200);
    let nobody = world.forge.team_members_set("access-14", "write", &[]);
    nobody.await.unwrap();
    assert_eq!(look().await.0, 404);
    let remote = world.remote("access-14-user", &id);
    assert!(world.git("", &["ls-remote", &remote]).await.is_err());
}

async fn only_administrators_make_users(world: World) {
    world.user("access-15").await;
    let body = json!({"username": "access-15-b", "email": "b@acme.example",
        "password": super::world::PASSWORD});
    for (method, path) in [
        (Method::POST, "/admin/users"),
        (Method::GET, "/admin/users"),
        (Method::DELETE, "/admin/users/access-15"),
    ] {
        let (status, body) = world.ask_as("access-15", method, path, body.clone()).await;
        assert_eq!(status, 403, "{path}: {body}");
    }
}

async fn administrators_act_for_others(world: World) {
    world.user("access-16").await;
    let path = "/user?sudo=access-16";
    let (status, found) = world.get(path).await;
    assert_eq!((status, &found["login"]), (200, &json!("access-16")));
    let (status, _) = world.get("/user?sudo=access-16-nobody").await;
    assert_eq!(status, 404);
    // For others is as others: what they may not see is not there.
    world.repository("access-16-org").await;
    let (status, _) = world.get("/repos/access-16-org/dev?sudo=access-16").await;
    assert_eq!(status, 404);
}

async fn others_act_for_nobody(world: World) {
    world.user("access-17-a").await;
    world.user("access-17-b").await;
    let path = "/user?sudo=access-17-b";
    let (status, _) = world
        .ask_as("access-17-a", Method::GET, path, Value::Null)
        .await;
    assert_eq!(status, 403);
}

async fn a_token_is_as_good_as_a_password(world: World) {
    let id = world.repository("access-18").await;
    world
        .team("access-18", Permission::Read, &["access-18-user"])
        .await;
    let body = json!({"name": "git", "scopes": ["all"]});
    let path = "/users/access-18-user/tokens";
    let (status, made) = world
        .ask_as("access-18-user", Method::POST, path, body)
        .await;
    assert_eq!(status, 201, "{made}");
    let token = made["sha1"].as_str().unwrap().to_owned();
    let ask = async |form: &str| {
        let place = format!("{}/api/v1/repos/access-18/dev", world.forge.base());
        let request = world.http.get(place);
        let request = match form {
            "basic" => request.basic_auth("access-18-user", Some(&token)),
            "name" => request.basic_auth(&token, Some("x-oauth-basic")),
            form => request.header("authorization", format!("{form} {token}")),
        };
        request.send().await.unwrap().status().as_u16()
    };
    for form in ["token", "Bearer", "basic", "name"] {
        assert_eq!(ask(form).await, 200, "{form}");
    }
    let remote = world.remote("access-18-user", &id);
    let remote = remote.replace(
        &remote[remote.find("access-18-user:").unwrap()..remote.find('@').unwrap()],
        &format!("access-18-user:{token}"),
    );
    world.git("", &["ls-remote", &remote]).await.unwrap();
    let one = format!("{path}/{}", made["id"]);
    let gone = world.ask_as("access-18-user", Method::DELETE, &one, Value::Null);
    assert_eq!(gone.await.0, 204);
    for form in ["token", "Bearer", "basic"] {
        assert_eq!(ask(form).await, 401, "{form}");
    }
}

async fn anonymous_requests_are_refused(world: World) {
    world.repository("access-19").await;
    let ask = async |method: Method, path: &str| {
        let place = format!("{}/api/v1{path}", world.forge.base());
        let answer = world.http.request(method, place).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(ask(Method::GET, "/user").await, 401);
    assert_eq!(ask(Method::GET, "/repos/access-19/dev").await, 404);
    assert_eq!(ask(Method::POST, "/orgs").await, 401);
    assert_eq!(ask(Method::GET, "/admin/users").await, 401);
    assert_eq!(ask(Method::GET, "/version").await, 200);
    let absent: RepositoryId = "access-19/absent".parse().unwrap();
    assert!(!world.forge.repository_exists(&absent).await.unwrap());
}

async fn strangers_do_not_find_one_another(world: World) {
    for name in ["access-20-a", "access-20-b"] {
        world.user(name).await;
    }
    let ask = |path| world.ask_as("access-20-a", Method::GET, path, Value::Null);
    let (status, found) = ask("/users/access-20-a").await;
    assert_eq!((status, &found["login"]), (200, &json!("access-20-a")));
    for path in ["/users/access-20-b", "/users/access-20-b/repos"] {
        let (status, body) = ask(path).await;
        assert_eq!(status, 404, "{path}: {body}");
    }
    assert_eq!(world.get("/users/access-20-b").await.0, 200);
    let names = |found: &Value| {
        let found = found["data"].as_array().unwrap().iter();
        let mut names: Vec<_> = found
            .map(|it| it["login"].as_str().unwrap().to_owned())
            .collect();
        names.sort_unstable();
        names
    };
    let path = "/users/search?q=access-20-";
    assert_eq!(names(&ask(path).await.1), ["access-20-a"]);
    let (_, found) = world.get(path).await;
    assert_eq!(names(&found), ["access-20-a", "access-20-b"]);
}

async fn only_administrators_have_repositories_of_their_own(world: World) {
    world.user("access-21").await;
    let body = json!({"name": "access-21-own", "private": true});
    let path = "/user/repos";
    let (status, refused) = world
        .ask_as("access-21", Method::POST, path, body.clone())
        .await;
    assert_eq!(status, 403, "{refused}");
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.contains("maximum limit of repositories"),
        "{message}"
    );
    let (status, made) = world.ask(Method::POST, path, body).await;
    assert_eq!(status, 201, "{made}");
    let own = format!("/repos/{}", made["full_name"].as_str().unwrap());
    assert_eq!(world.ask(Method::DELETE, &own, Value::Null).await.0, 204);
}
