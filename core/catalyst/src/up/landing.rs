//! The page at `/`: where the surfaces of this Sovereign are.

use axum::response::{Html, IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};

/// The page for a Sovereign whose clients reach it at `base`.
pub fn page(base: &str) -> Response {
    let rows: String = [
        ("Git", format!("{base}/git/{{owner}}/{{repository}}.git")),
        ("Git forge, Gitea REST", format!("{base}/git/api/v1")),
        ("Registry, OCI distribution", format!("{base}/v2/")),
        ("Issuer, OpenID Connect", format!("{base}/oidc")),
        ("Vault, KV v2", format!("{base}/vault/v1/secret")),
        ("Kubernetes, over TLS", "/clusters/{name}".to_owned()),
    ]
    .iter()
    .map(|(what, address)| {
        format!(
            "<tr><th scope=\"row\">{what}</th><td><code>{}</code></td></tr>\n",
            escape(address)
        )
    })
    .collect();
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Catalyst</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"></head>\n<body><main>\n\
         <h1>This Sovereign is running</h1>\n<table>\n<caption>Where its parts are</caption>\n{rows}</table>\n\
         </main></body>\n</html>\n"
    );
    let headers = [
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Html(html)).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
