//! The pages, rendered here: plain HTML without scripts or outside resources.
//!
//! Every value that comes from outside goes through [`escape`].

use std::sync::LazyLock;

use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use url::{Host, Url};

use super::private_headers;
use crate::password::SHORTEST;
use crate::records::Seconds;
use crate::secret;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#767676;--accent:#0b5cad;--on:#fff;--bad:#b00020}\
@media(prefers-color-scheme:dark){:root{--line:#949494;--accent:#8ab8f0;--on:#10151c;--bad:#ff8a9a}}\
body{font:1rem/1.5 system-ui,sans-serif;margin:0}\
main{max-width:24rem;margin:12vh auto 2rem;padding:0 1rem}\
h1{font-size:1.5rem}\
label{display:block;margin-top:1rem}\
input{box-sizing:border-box;width:100%;font:inherit;padding:.5rem;border:1px solid var(--line);border-radius:.25rem}\
button{font:inherit;margin:1.5rem .5rem 0 0;padding:.5rem 1.25rem;border:1px solid var(--accent);border-radius:.25rem;background:var(--accent);color:var(--on);cursor:pointer}\
button.plain{background:transparent;color:inherit}\
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}\
.error{color:var(--bad);border-left:.25rem solid;padding-left:.75rem}\
.code{font:1.5rem/1.5 ui-monospace,monospace;letter-spacing:.1em}";

static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| STANDARD.encode(secret::sha256(STYLE.as_bytes())));

/// A page with a form.
pub(super) struct Form<'a> {
    /// Where the form is sent.
    pub(super) action: &'a str,
    /// Proves that the form is ours.
    pub(super) token: &'a str,
    /// What went wrong the last time.
    pub(super) error: Option<&'a str>,
    /// Where the answer may lead the browser, for the content security policy.
    pub(super) leads_to: Option<&'a str>,
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Seconds>,
}

impl<'a> Form<'a> {
    pub(super) fn new(action: &'a str, token: &'a str) -> Self {
        Self {
            action,
            token,
            error: None,
            leads_to: None,
            status: StatusCode::OK,
            retry_after: None,
        }
    }
}

pub(super) fn sign_in(form: &Form<'_>, client: &str, username: &str, return_to: &str) -> Response {
    let client = escape(client);
    let username = escape(username);
    let fields = format!(
        "<input type=\"hidden\" name=\"return\" value=\"{return_to}\">\n\
         <label for=\"username\">User name</label>\n\
         <input id=\"username\" name=\"username\" value=\"{username}\" autocomplete=\"username\" \
         autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"64\" required autofocus>\n\
         <label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" \
         maxlength=\"512\" required>\n\
         <button type=\"submit\">Sign in</button>",
        return_to = escape(return_to),
    );
    form_page(
        form,
        "Sign in",
        &format!("<p>to continue to {client}</p>"),
        &fields,
    )
}

pub(super) fn set_password(form: &Form<'_>, username: &str, link: &str) -> Response {
    let username = escape(username);
    let intro = format!("<p>for <strong>{username}</strong>. You are signed in afterwards.</p>");
    let fields = format!(
        "<input type=\"hidden\" name=\"token\" value=\"{link}\">\n\
         <input type=\"hidden\" name=\"username\" value=\"{username}\" autocomplete=\"username\">\n\
         <label for=\"password\">New password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"new-password\" \
         minlength=\"{SHORTEST}\" maxlength=\"512\" aria-describedby=\"rule\" required autofocus>\n\
         <p id=\"rule\">At least {SHORTEST} characters. Four words do well.</p>\n\
         <label for=\"again\">The same password again</label>\n\
         <input id=\"again\" name=\"again\" type=\"password\" autocomplete=\"new-password\" \
         minlength=\"{SHORTEST}\" maxlength=\"512\" required>\n\
         <button type=\"submit\">Set password</button>",
        link = escape(link),
    );
    form_page(form, "Set your password", &intro, &fields)
}

pub(super) fn device_code(form: &Form<'_>, username: &str, code: &str) -> Response {
    let intro = format!(
        "<p>You are signed in as <strong>{}</strong>. Enter the code that your device shows.</p>",
        escape(username)
    );
    let fields = format!(
        "<input type=\"hidden\" name=\"action\" value=\"look\">\n\
         <label for=\"user_code\">Code</label>\n\
         <input id=\"user_code\" name=\"user_code\" value=\"{}\" class=\"code\" autocomplete=\"off\" \
         autocapitalize=\"characters\" spellcheck=\"false\" maxlength=\"16\" required autofocus>\n\
         <button type=\"submit\">Continue</button>",
        escape(code)
    );
    form_page(form, "Connect a device", &intro, &fields)
}

pub(super) fn device_confirm(
    form: &Form<'_>,
    username: &str,
    client: &str,
    code: &str,
) -> Response {
    let code = escape(code);
    let intro = format!(
        "<p>Let <strong>{client}</strong> act as <strong>{username}</strong>?</p>\n\
         <p class=\"code\">{code}</p>\n\
         <p>Agree only if you started this yourself and your device shows the same code.</p>",
        client = escape(client),
        username = escape(username),
    );
    let fields = format!(
        "<input type=\"hidden\" name=\"user_code\" value=\"{code}\">\n\
         <button type=\"submit\" name=\"action\" value=\"approve\">Agree</button>\n\
         <button type=\"submit\" name=\"action\" value=\"deny\" class=\"plain\">Refuse</button>"
    );
    form_page(form, "Connect a device", &intro, &fields)
}

pub(super) fn sign_out(form: &Form<'_>, username: &str, hidden: &[(&str, &str)]) -> Response {
    let intro = format!(
        "<p>You are signed in as <strong>{}</strong>.</p>",
        escape(username)
    );
    let mut fields: String = hidden
        .iter()
        .map(|(name, value)| {
            format!(
                "<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n",
                escape(value)
            )
        })
        .collect();
    fields.push_str("<button type=\"submit\">Sign out</button>");
    form_page(form, "Sign out?", &intro, &fields)
}

/// A page that only says something.
pub(super) fn message(status: StatusCode, title: &str, text: &str) -> Response {
    page(status, title, &format!("<p>{}</p>", escape(text)), None)
}

fn form_page(form: &Form<'_>, title: &str, intro: &str, fields: &str) -> Response {
    let error = form.error.map_or_else(String::new, |error| {
        format!("<p class=\"error\" role=\"alert\">{}</p>\n", escape(error))
    });
    let body = format!(
        "{intro}\n{error}<form method=\"post\" action=\"{action}\">\n\
         <input type=\"hidden\" name=\"form_token\" value=\"{token}\">\n{fields}\n</form>",
        action = escape(form.action),
        token = escape(form.token),
    );
    let mut response = page(form.status, title, &body, form.leads_to);
    if let Some(seconds) = form.retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn page(status: StatusCode, title: &str, body: &str, leads_to: Option<&str>) -> Response {
    let title = escape(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} – Catalyst</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    );
    // Browsers apply form-action to the redirects that answer a form, so the
    // application that the user returns to must be named.
    let target = leads_to.and_then(policy_source).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'{target}; \
         frame-ancestors 'none'; base-uri 'none'",
        hash = *STYLE_HASH
    );
    let mut response = (status, private_headers(), Html(html)).into_response();
    let headers = response.headers_mut();
    // Only ASCII without control characters, by construction.
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert("content-security-policy", policy);
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        // Not no-referrer: browsers would then send `Origin: null` with forms.
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

/// A URL as a source of the content security policy, with a space before it.
fn policy_source(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    match (url.scheme(), url.host()) {
        // Sources cannot name IPv6 addresses.
        (scheme @ ("http" | "https"), Some(Host::Ipv6(_))) => Some(format!(" {scheme}:")),
        ("http" | "https", Some(_)) => Some(format!(" {}", url.origin().ascii_serialization())),
        (scheme, _) => Some(format!(" {scheme}:")),
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_cannot_become_markup() {
        assert_eq!(
            escape("<b a=\"1\" c='2'>&"),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;"
        );
    }

    #[test]
    fn a_policy_names_the_origin_or_the_scheme() {
        let source = |url| policy_source(url).unwrap_or_default();
        assert_eq!(
            source("http://127.0.0.1:4711/cb?x=;y"),
            " http://127.0.0.1:4711"
        );
        assert_eq!(source("http://[::1]:4711/cb"), " http:");
        assert_eq!(source("https://a.example/cb"), " https://a.example");
        assert_eq!(source("com.example.app:/cb"), " com.example.app:");
    }
}
