//! The client of the REST API: addresses, tokens, answers and refusals.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use catalyst_api::{Page, Problem, SovereignView};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::credentials::Session;
use super::failure::{Hinted, Refused, hinted};
use super::output::Output;
use super::{credentials, oauth};

/// Where an embedded Sovereign listens unless told otherwise.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";
/// What to do about a certificate of an authority that nobody here knows.
const AUTHORITY: &str = "name the authority that its certificate is of with --certificate-authority FILE, once when you sign in: `catalyst up` keeps its own as ca.crt in its data directory (~/.local/share/catalyst/ca.crt, unless --data or XDG_DATA_HOME says otherwise)";
/// Items asked for at once.
const PAGE: &str = "200";

/// Which Sovereign, for every command that talks to one.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Sovereign")]
pub struct Connection {
    /// The Sovereign's address; that of the last sign-in unless given.
    #[arg(long, global = true, value_name = "URL", env = "CATALYST_SERVER")]
    pub server: Option<String>,
    /// The certificate authority that the Sovereign's certificate is of, in PEM.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CATALYST_CERTIFICATE_AUTHORITY"
    )]
    pub certificate_authority: Option<PathBuf>,
}

/// What every command that prints data takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Common {
    /// How data is printed.
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORM"
    )]
    pub output: Output,
    #[command(flatten)]
    pub connection: Connection,
}

/// A Sovereign's API, signed in or not.
pub struct Api {
    http: reqwest::Client,
    base: Url,
    caller: Caller,
}

/// Whose token requests carry.
enum Caller {
    /// Nobody's.
    Anonymous,
    /// That of `CATALYST_TOKEN`; nothing here can renew it.
    Given(String),
    /// One just obtained, which is not kept yet.
    New(String),
    /// That of a sign-in, renewed as long as a command runs.
    SignedIn(Box<SignedIn>),
}

struct SignedIn {
    server: Server,
    session: Mutex<Session>,
}

/// Where the server is and how its certificate is judged.
#[derive(Clone)]
pub struct Server {
    /// Without a slash at its end.
    pub url: String,
    /// PEM.
    pub certificate_authority: Option<String>,
    /// The HTTP client for it and its issuer.
    pub http: reqwest::Client,
}

impl Connection {
    /// Finds the server; opens no connection.
    pub fn server(&self) -> anyhow::Result<Server> {
        // Scripts say everything themselves, and may have no home.
        let is_script = self.server.is_some() && given_token().is_some();
        let kept = match is_script {
            true => credentials::Credentials::default(),
            false => credentials::Locked::wait()?.read()?,
        };
        let url = match (&self.server, &kept.current) {
            (Some(url), _) | (None, Some(url)) => url.clone(),
            (None, None) => DEFAULT_SERVER.to_owned(),
        };
        let url = url.trim_end_matches('/').to_owned();
        let address = check_address(&url)?;
        let certificate_authority = match &self.certificate_authority {
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?,
            ),
            None => kept.authority(&url).cloned(),
        };
        Ok(Server {
            http: http_client(&address, certificate_authority.as_deref())?,
            url,
            certificate_authority,
        })
    }

    /// The API with the caller's token: `CATALYST_TOKEN`, or that of the last
    /// sign-in, renewed when it is due.
    pub async fn api(&self) -> anyhow::Result<Api> {
        let server = self.server()?;
        let caller = match given_token() {
            Some(token) => Caller::Given(token),
            None => {
                let session = oauth::current_session(&server, None).await?;
                Caller::SignedIn(Box::new(SignedIn {
                    server: server.clone(),
                    session: Mutex::new(session),
                }))
            }
        };
        Api::new(&server, caller)
    }

    /// The caller's token for a server.
    pub async fn token(server: &Server) -> anyhow::Result<String> {
        match given_token() {
            Some(token) => Ok(token),
            None => Ok(oauth::current_session(server, None).await?.access_token),
        }
    }

    /// Whether the caller signed in, so that tokens can be renewed.
    pub fn renews() -> bool {
        given_token().is_none()
    }

    /// The API without a token, for what anybody may read.
    pub fn anonymous(&self) -> anyhow::Result<Api> {
        Api::new(&self.server()?, Caller::Anonymous)
    }
}

/// The token that a script passes.
fn given_token() -> Option<String> {
    std::env::var("CATALYST_TOKEN")
        .ok()
        .filter(|token| !token.is_empty())
}

/// Refuses addresses to which a token must not be sent.
fn check_address(text: &str) -> anyhow::Result<Url> {
    let usage = "write it like https://catalyst.example or http://127.0.0.1:8080";
    let url = Url::parse(text)
        .map_err(|error| hinted(format!("`{text}` is not an address: {error}"), usage))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(hinted(
            format!("cannot use {text}: without TLS, tokens would be readable on the way"),
            "use https",
        )),
        _ => Err(hinted(format!("cannot use {text} as a server"), usage)),
    }
}

/// Whether an address is this machine's own.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Begins a client for an address. What goes to this machine itself is not encrypted
/// and must not leave it, whatever proxies the environment names.
pub fn client_for(url: &Url) -> reqwest::ClientBuilder {
    let builder =
        reqwest::Client::builder().user_agent(concat!("catalyst/", env!("CARGO_PKG_VERSION")));
    match is_loopback(url) {
        true => builder.no_proxy(),
        false => builder,
    }
}

fn http_client(url: &Url, authority: Option<&str>) -> anyhow::Result<reqwest::Client> {
    let mut builder = client_for(url)
        // A token belongs to the server that was named, not to where it points.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(std::time::Duration::from_secs(10));
    if let Some(pem) = authority {
        let certificate = reqwest::Certificate::from_pem(pem.as_bytes())
            .context("cannot read the certificate authority")?;
        builder = builder.tls_certs_merge([certificate]);
    }
    builder.build().context("cannot build the HTTP client")
}

impl Api {
    fn new(server: &Server, caller: Caller) -> anyhow::Result<Self> {
        Ok(Self {
            http: server.http.clone(),
            base: Url::parse(&format!("{}/api/v1", server.url))?,
            caller,
        })
    }

    /// The API with a token that is not kept yet.
    pub fn with_token(server: &Server, token: String) -> anyhow::Result<Self> {
        Self::new(server, Caller::New(token))
    }

    /// The token in use, for the Sovereign's other surfaces.
    pub fn token(&self) -> Option<String> {
        match &self.caller {
            Caller::Anonymous => None,
            Caller::Given(token) | Caller::New(token) => Some(token.clone()),
            Caller::SignedIn(caller) => Some(caller.session().access_token.clone()),
        }
    }

    /// The client in use, for the Sovereign's other surfaces.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The API's own address.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The Sovereign and where its surfaces are.
    pub async fn sovereign(&self) -> anyhow::Result<SovereignView> {
        self.get(&["sovereign"]).await
    }

    /// Base of the forge: a repository is `{base}/{owner}/{repository}.git`.
    pub async fn git_address(&self) -> anyhow::Result<String> {
        Ok(self.sovereign().await?.addresses.git)
    }

    /// The address of a path, each segment as it is.
    pub fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        url
    }

    /// A request for a path, each segment as it is, to be sent with [`Api::send`].
    pub fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Sends a request with the caller's token; a refusal is the API's own words. A
    /// command may run longer than a token holds: that of a sign-in is renewed when
    /// it is due, and when it is refused.
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let request = request.build().context("cannot build the request")?;
        if let Caller::SignedIn(caller) = &self.caller
            && oauth::is_due(&caller.session())
        {
            caller.renew(None).await?;
        }
        let again = request.try_clone();
        let used = self.token();
        let response = self.execute(request, used.as_deref()).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let is_refused = response.status() == StatusCode::UNAUTHORIZED;
        if let (true, Caller::SignedIn(caller), Some(again)) = (is_refused, &self.caller, again)
            && caller.renew(used.as_deref()).await?
        {
            let response = self.execute(again, self.token().as_deref()).await?;
            return match response.status().is_success() {
                true => Ok(response),
                false => Err(self.refusal(response).await),
            };
        }
        Err(self.refusal(response).await)
    }

    async fn execute(&self, mut request: Request, token: Option<&str>) -> anyhow::Result<Response> {
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| anyhow::anyhow!("the token cannot be sent: it is not one word"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        self.http.execute(request).await.map_err(|error| {
            let message = format!("the Sovereign at {} cannot be reached", self.address());
            let hint = match is_authority_unknown(&error) {
                true => AUTHORITY,
                false => "check that it runs, and its address (--server or CATALYST_SERVER)",
            };
            anyhow::Error::new(error.without_url()).context(Hinted::new(message, hint))
        })
    }

    async fn refusal(&self, response: Response) -> anyhow::Error {
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        let mut problem = match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => problem,
            Err(_) => Problem {
                title: format!("the Sovereign at {} answered {status}", self.address()),
                ..Problem::default()
            },
        };
        problem.status = status.as_u16();
        if status == StatusCode::UNAUTHORIZED {
            if let Caller::Given(_) = self.caller {
                problem.next = Some(
                    "the token in CATALYST_TOKEN cannot be renewed: set a new one, or unset it and run `catalyst login`, whose session is renewed as long as a command runs".to_owned(),
                );
            } else if problem.next.is_none() {
                problem.next = Some("sign in: `catalyst login`".to_owned());
            }
        }
        Refused(problem).into()
    }

    fn address(&self) -> String {
        let address = self.base.as_str();
        address.trim_end_matches("/api/v1").to_owned()
    }

    /// Reads an object.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> anyhow::Result<T> {
        let response = self.send(self.request(Method::GET, path)).await?;
        decode(response).await
    }

    /// Reads an object that may not be there.
    pub async fn find<T: DeserializeOwned>(&self, path: &[&str]) -> anyhow::Result<Option<T>> {
        self.find_with(path, &[]).await
    }

    /// The same, with query parameters.
    pub async fn find_with<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<Option<T>> {
        let request = self.request(Method::GET, path).query(query);
        let found = async { decode(self.send(request).await?).await };
        match found.await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a list to its end.
    pub async fn list<T: DeserializeOwned>(&self, path: &[&str]) -> anyhow::Result<Vec<T>> {
        self.search(path, &[]).await
    }

    /// All things of a list that fit a query, page by page.
    pub async fn search<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<Vec<T>> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut request = self
                .request(Method::GET, path)
                .query(&[("limit", PAGE)])
                .query(query);
            if let Some(after) = &after {
                request = request.query(&[("after", after)]);
            }
            let page: Page<T> = decode(self.send(request).await?).await?;
            items.extend(page.items);
            match page.next {
                Some(next) if Some(&next) != after.as_ref() => after = Some(next),
                _ => return Ok(items),
            }
        }
    }

    /// Sends a body and reads the answer.
    pub async fn put<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let response = self.send(self.request(method, path).json(body)).await?;
        decode(response).await
    }

    /// Asks for a deletion; the answer, where there is one.
    pub async fn delete<T: DeserializeOwned>(&self, path: &[&str]) -> anyhow::Result<Option<T>> {
        self.delete_with(path, &[]).await
    }

    /// Asks for a deletion with query parameters; the answer, where there is one.
    pub async fn delete_with<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<Option<T>> {
        let request = self.request(Method::DELETE, path).query(query);
        let response = self.send(request).await?;
        let body = response.bytes().await.context("the answer broke off")?;
        if body.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&body)
            .map(Some)
            .context("cannot read the Sovereign's answer; its version may differ from this one's")
    }
}

impl SignedIn {
    fn session(&self) -> MutexGuard<'_, Session> {
        // No code that can panic runs under the lock.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the session's newer token; false when there can be none.
    async fn renew(&self, refused: Option<&str>) -> anyhow::Result<bool> {
        if !oauth::is_renewable(&self.session()) {
            return Ok(false);
        }
        let renewed = oauth::current_session(&self.server, refused).await?;
        *self.session() = renewed;
        Ok(true)
    }
}

/// Whether a request failed because nobody here knows the authority of the server's
/// certificate.
fn is_authority_unknown(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::{CertificateError, Error};
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) =
            error.downcast_ref()
        {
            return true;
        }
        // What an I/O error is made of is not its source.
        let inside = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    false
}

/// Whether the API said that something is not there.
pub fn is_not_found(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Refused>()
        .is_some_and(|Refused(problem)| problem.status == 404)
}

/// Whether the API said that things are not as the caller saw them any more.
pub fn is_changed_meanwhile(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Refused>()
        .is_some_and(|Refused(problem)| problem.kind == "changed-meanwhile")
}

async fn decode<T: DeserializeOwned>(response: Response) -> anyhow::Result<T> {
    let body = response.bytes().await.context("the answer broke off")?;
    serde_json::from_slice(&body)
        .context("cannot read the Sovereign's answer; its version may differ from this one's")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_an_unknown_authority_is_told_from_other_failures() {
        use rustls::{CertificateError, Error};
        let check = |why: CertificateError, expected: bool| {
            let error = std::io::Error::other(Error::InvalidCertificate(why));
            assert_eq!(is_authority_unknown(&error), expected, "{error}");
            // As each layer of the client wraps it once more.
            let error = std::io::Error::other(error);
            assert_eq!(is_authority_unknown(&error), expected, "{error}");
        };
        check(CertificateError::UnknownIssuer, true);
        check(CertificateError::Expired, false);
        assert!(!is_authority_unknown(&std::io::Error::other("reset")));
    }

    #[test]
    fn tokens_go_over_tls_or_to_this_machine() {
        let check = |address: &str, accepted: bool| {
            assert_eq!(check_address(address).is_ok(), accepted, "{address}");
        };
        check("http://127.0.0.1:8080", true);
        check("http://localhost:8080", true);
        check("http://[::1]:8080", true);
        check("http://console.localhost", true);
        check("https://catalyst.example", true);
        check("http://catalyst.example", false);
        check("http://127.0.0.1.example", false);
        check("ftp://127.0.0.1", false);
        check("catalyst.example", false);
    }
}
