//! Whether Flux will find the Git repository: its references are asked for as `git
//! ls-remote` asks for them (`gitprotocol-http`), which reads and changes nothing.
//!
//! The nodes read it, not this machine. So what cannot be reached from here is only worth
//! knowing; what is reached and is no repository is a problem.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};

use super::judge::Finding;
use crate::config::Config;
use crate::secret::Secret;

const SUBJECT: &str = "Git repository";
const PATIENCE: Duration = Duration::from_secs(10);
/// How the answer of a repository begins.
const BEGIN: &[u8] = b"001e# service=git-upload-pack\n";
/// Of a repository with more references than this holds, nothing is said.
const MOST: usize = 8 << 20;

/// Looks at the repository of a description. `git` is user and password, where they are
/// given.
pub(super) async fn repository(config: &Config, git: Option<&(String, Secret)>) -> Option<Finding> {
    let git = match (config.git_credentials, git) {
        (false, _) => None,
        (true, Some(git)) => Some(git),
        (true, None) => {
            return Some(Finding::problem(
                "gitCredentials",
                "it is true, and CATALYST_GIT_USERNAME or CATALYST_GIT_PASSWORD is not set; set both, or set it to false",
            ));
        }
    };
    look(&config.git_url, &config.git_branch, git).await
}

async fn look(url: &str, branch: &str, git: Option<&(String, Secret)>) -> Option<Finding> {
    let problem = |message: String| Some(Finding::problem(SUBJECT, message));
    let unseen = |reason: &str| {
        Some(Finding::note(
            SUBJECT,
            format!(
                "whether {url} can be read could not be told from here: {reason}; the nodes have to reach it, and Flux waits for it once they run"
            ),
        ))
    };
    let response = match ask(url, git).await {
        Ok(response) => response,
        Err(error) => return unseen(&reason(&error)),
    };
    let status = response.status();
    match status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            let hint = match git {
                Some(_) => "see that it exists, and that the credentials may read it",
                None => "see that it exists; where it is private, set gitCredentials to true",
            };
            return problem(format!("{url} answers {}; {hint}", status.as_u16()));
        }
        status if status.is_redirection() => {
            let header = response.headers().get("location");
            let place = header.and_then(|it| it.to_str().ok()).unwrap_or_default();
            let place = place.split("/info/refs").next().unwrap_or_default();
            let place = place.chars().take(300).collect::<String>();
            return unseen(&format!(
                "it sends on to {place:?}, which gitUrl should name"
            ));
        }
        status => return unseen(&format!("it answers {}", status.as_u16())),
    }
    let Some(body) = read(response).await else {
        return unseen("its answer could not be read whole");
    };
    if !body.starts_with(BEGIN) {
        return problem(format!(
            "what answers at {url} is no Git repository; see gitUrl"
        ));
    }
    let name = format!(" refs/heads/{branch}");
    let text = String::from_utf8_lossy(&body);
    let mut ends = text.match_indices(&name).map(|(at, _)| at + name.len());
    // The first of all is followed by what the server can do.
    let is_there = ends.any(|end| {
        text.get(end..)
            .is_some_and(|it| it.starts_with(['\n', '\0']))
    });
    if is_there {
        return None;
    }
    problem(format!(
        "{url} has no branch {branch}; push what `render` wrote to it, or see gitBranch"
    ))
}

async fn ask(url: &str, git: Option<&(String, Secret)>) -> reqwest::Result<Response> {
    let http = Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let url = format!(
        "{}/info/refs?service=git-upload-pack",
        url.trim_end_matches('/')
    );
    let mut request = http.get(url);
    if let Some((user, password)) = git {
        request = request.basic_auth(user, Some(password.reveal()));
    }
    request.send().await
}

/// The whole answer, unless it is too long or is cut off.
async fn read(mut response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.ok()? {
        body.extend_from_slice(&part);
        if body.len() > MOST {
            return None;
        }
    }
    Some(body)
}

/// The last cause, which says most.
fn reason(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, Uri};
    use axum::response::{IntoResponse as _, Response};

    use super::*;

    const REFS: &str = "001e# service=git-upload-pack\n0000004b0123456789012345678901234567890123456789 refs/heads/main\0side-band-64k\n003f0123456789012345678901234567890123456789 refs/heads/mainline\n003b0123456789012345678901234567890123456789 refs/heads/next\n0000";

    async fn answer(uri: Uri, headers: HeaderMap) -> Response {
        let is_question = uri.query() == Some("service=git-upload-pack");
        let path = uri.path().strip_suffix("/info/refs");
        // flux:canary
        let is_known = headers
            .get("authorization")
            .is_some_and(|it| it == "Basic Zmx1eDpjYW5hcnk=");
        match path.filter(|_| is_question) {
            Some("/open") => REFS.into_response(),
            Some("/private") if is_known => REFS.into_response(),
            Some("/private") => StatusCode::UNAUTHORIZED.into_response(),
            Some("/page") => "<html>Welcome</html>".into_response(),
            Some("/ill") => StatusCode::BAD_GATEWAY.into_response(),
            Some("/moved") => {
                let place = [("location", "/open.git/info/refs?service=git-upload-pack")];
                (StatusCode::MOVED_PERMANENTLY, place).into_response()
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    #[tokio::test]
    async fn a_repository_that_flux_would_not_find_is_told() {
        // Another test of this process may have installed it.
        _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = format!("http://{}", nobody.local_addr().unwrap());
        drop(nobody);

        let good = ("flux".to_owned(), Secret::new("canary"));
        let bad = ("flux".to_owned(), Secret::new("canary-of-another"));
        let here = |path: &str| format!("http://{address}{path}");
        for (url, branch, git, expected) in [
            (here("/open"), "main", None, None),
            (here("/open/"), "next", None, None),
            (here("/open"), "mai", None, Some((true, "no branch mai;"))),
            (here("/private"), "main", Some(&good), None),
            (
                here("/private"),
                "main",
                None,
                Some((true, "answers 401; see that it exists; where it is private")),
            ),
            (
                here("/private"),
                "main",
                Some(&bad),
                Some((true, "that the credentials may read it")),
            ),
            (here("/absent"), "main", None, Some((true, "answers 404"))),
            (
                here("/page"),
                "main",
                None,
                Some((true, "is no Git repository")),
            ),
            (here("/ill"), "main", None, Some((false, "answers 502"))),
            (
                here("/moved"),
                "main",
                None,
                Some((false, "sends on to \"/open.git\"")),
            ),
            (silent, "main", None, Some((false, "from here: "))),
        ] {
            let found = look(&url, branch, git).await;
            match (found, expected) {
                (None, None) => {}
                (Some(found), Some((is_problem, part))) => {
                    let said = &found.message;
                    assert!(said.contains(part), "{url}: {said}");
                    assert_eq!(found.problem, is_problem, "{url}: {said}");
                    assert!(!said.contains("canary"), "{said}");
                }
                (found, _) => panic!("{url} {branch}: {found:?}"),
            }
        }
    }
}
