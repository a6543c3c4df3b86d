//! The console's files, from inside the binary.
//!
//! `build.rs` makes the table. What must stay true: names that carry a hash of
//! their content are cached for ever, everything else is asked for again by its
//! entity tag; a path of the console's own router gets the page; a build
//! without the console says so.

use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use crate::problem::Refusal;

/// A file of the console.
pub struct File {
    /// Its path below the root, without a slash at the front.
    pub path: &'static str,
    /// What is in it.
    pub content: &'static [u8],
    /// Its entity tag, quoted.
    pub tag: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

/// Everything that no other route took.
pub fn answer(files: &'static [File], method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    let path = uri.path();
    if path.starts_with("/api/") || path == "/api" || path.starts_with("/auth/") {
        return Refusal::new(
            StatusCode::NOT_FOUND,
            "no-such-path",
            format!("Find {path}"),
            "There is no operation at this path.",
        )
        .next("The OpenAPI document at /api/v1/openapi.json lists every path.")
        .into_response();
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = method_not_allowed(method, uri);
        let allow = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allow);
        return response;
    }
    let asked = path.trim_start_matches('/');
    let exact = files.iter().find(|file| file.path == asked);
    if let Some(file) = exact {
        return serve(file, headers);
    }
    let wants_page = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let is_root = path == "/";
    if !wants_page && !is_root {
        return Refusal::new(
            StatusCode::NOT_FOUND,
            "no-such-path",
            format!("Find {path}"),
            "The console has no such file.",
        )
        .into_response();
    }
    match files.iter().find(|file| file.path == "index.html") {
        Some(page) => serve(page, headers),
        None => message(
            StatusCode::OK,
            "This Sovereign is running, without its console",
            "The console's files were not there when this binary was built. Build them with \
             `npm ci && npm run build` in core/console, then build catalyst again; `make up` does \
             both. The API and the command line work as ever.",
            ("/api/v1/openapi.json", "The API's description"),
        ),
    }
}

/// 405 as a problem.
pub fn method_not_allowed(method: &Method, uri: &Uri) -> Response {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        format!("{method} {}", uri.path()),
        "The path exists, but not with this method.",
    )
    .next("The OpenAPI document at /api/v1/openapi.json lists every path with its methods.")
    .into_response()
}

fn serve(file: &'static File, headers: &HeaderMap) -> Response {
    let cache = if is_hashed(file.path) {
        FOR_EVER
    } else {
        ASK_AGAIN
    };
    let is_known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == file.tag || tag == "*");
    let shared = [(ETAG, file.tag), (CACHE_CONTROL, cache)];
    if is_known {
        return (StatusCode::NOT_MODIFIED, shared).into_response();
    }
    let kind = [(CONTENT_TYPE, media_type(file.path))];
    (shared, kind, file.content).into_response()
}

/// Vite names what it builds `assets/{name}-{hash}.{extension}`.
fn is_hashed(path: &str) -> bool {
    path.strip_prefix("assets/")
        .and_then(|name| name.rsplit_once('.'))
        .and_then(|(stem, _)| stem.get(stem.len().checked_sub(9)?..))
        .is_some_and(|hash| hash.starts_with('-'))
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// A plain page that says one thing and leads on.
pub fn message(status: StatusCode, title: &str, text: &str, (to, label): (&str, &str)) -> Response {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title></head>\n\
         <body><main>\n<h1>{0}</h1>\n<p>{1}</p>\n<p><a href=\"{2}\">{3}</a></p>\n</main></body>\n</html>\n",
        escape(title),
        escape(text),
        escape(to),
        escape(label),
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, page).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: &[File] = &[
        File {
            path: "assets/app-B1c_2-3d.js",
            content: b"run()",
            tag: "\"one\"",
        },
        File {
            path: "favicon.svg",
            content: b"<svg/>",
            tag: "\"two\"",
        },
        File {
            path: "index.html",
            content: b"<!doctype html>",
            tag: "\"three\"",
        },
    ];

    fn ask(
        files: &'static [File],
        method: Method,
        path: &str,
        headers: &[(http::HeaderName, &str)],
    ) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect();
        answer(files, &method, &path.parse().unwrap(), &headers)
    }

    #[test]
    fn files_and_the_page_are_served_as_each_may_be_cached() {
        let html = [(ACCEPT, "text/html,*/*;q=0.8")];
        let any = [(ACCEPT, "*/*")];
        for (path, headers, status, kind, cache) in [
            (
                "/assets/app-B1c_2-3d.js",
                &any,
                200,
                "text/javascript; charset=utf-8",
                FOR_EVER,
            ),
            ("/favicon.svg", &any, 200, "image/svg+xml", ASK_AGAIN),
            ("/", &html, 200, "text/html; charset=utf-8", ASK_AGAIN),
            ("/", &any, 200, "text/html; charset=utf-8", ASK_AGAIN),
            (
                "/organizations/acme",
                &html,
                200,
                "text/html; charset=utf-8",
                ASK_AGAIN,
            ),
            (
                "/organizations/acme",
                &any,
                404,
                "application/problem+json",
                "no-store",
            ),
            (
                "/assets/gone-12345678.js",
                &any,
                404,
                "application/problem+json",
                "no-store",
            ),
            (
                "/api/v1/nothing",
                &html,
                404,
                "application/problem+json",
                "no-store",
            ),
        ] {
            let response = ask(BUILT, Method::GET, path, headers);
            assert_eq!(response.status().as_u16(), status, "{path}");
            assert_eq!(response.headers()[CONTENT_TYPE], kind, "{path}");
            assert_eq!(response.headers()[CACHE_CONTROL], cache, "{path}");
        }
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        for (tags, status) in [
            ("\"three\"", 304),
            ("\"zero\", W/\"three\"", 304),
            ("*", 304),
            ("\"two\"", 200),
        ] {
            let response = ask(BUILT, Method::GET, "/", &[(IF_NONE_MATCH, tags)]);
            assert_eq!(response.status().as_u16(), status, "{tags}");
            assert_eq!(response.headers()[ETAG], "\"three\"");
        }
    }

    #[test]
    fn a_build_without_the_console_says_so() {
        let response = ask(&[], Method::GET, "/", &[(ACCEPT, "text/html")]);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    }

    #[test]
    fn what_a_page_says_is_never_markup() {
        assert_eq!(
            escape("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
    }

    #[test]
    fn only_names_with_a_hash_are_cached_for_ever() {
        for (path, expected) in [
            ("assets/index-DiwrgTda.js", true),
            ("assets/a-_-Z0aa-1.css", true),
            ("assets/logo.svg", false),
            ("index-DiwrgTda.js", false),
            ("assets/x", false),
        ] {
            assert_eq!(is_hashed(path), expected, "{path}");
        }
    }
}
