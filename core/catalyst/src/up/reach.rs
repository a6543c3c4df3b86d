//! How the parts speak HTTP: with the Sovereign itself straight, whatever proxies
//! the environment names; with everybody else by those proxies. Trusted are the
//! Sovereign's own authority and those of the machine.
//!
//! What must stay true: nothing that is meant for the Sovereign goes to a proxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context;
use reqwest::{Certificate, ClientBuilder, NoProxy, Proxy};

/// The machine's own addresses, which no proxy could know.
const OF_THE_MACHINE: [&str; 3] = ["localhost", "127.0.0.0/8", "::1"];

/// Begins clients.
#[derive(Clone)]
pub struct Reach {
    authority: Certificate,
    proxies: Vec<Proxy>,
    /// A domain that is this machine, and where it is here.
    here: Option<(String, SocketAddr)>,
}

impl Reach {
    /// By the proxies that the environment names. The Sovereign is reached by its
    /// domain, and everything below that, and at `address`, which it listens on.
    pub fn new(authority: &str, domain: &str, address: SocketAddr) -> anyhow::Result<Self> {
        Self::by(authority, domain, address, |name| {
            std::env::var(name).ok().filter(|value| !value.is_empty())
        })
    }

    fn by(
        authority: &str,
        domain: &str,
        address: SocketAddr,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let authority = Certificate::from_pem(authority.as_bytes())
            .context("cannot read the Sovereign's certificate authority")?;
        let own = [domain.to_owned(), address.ip().to_string()];
        let here = local(address);
        Ok(Self {
            authority,
            proxies: proxies(&own, variable),
            here: (here != address).then(|| (domain.to_owned(), here)),
        })
    }

    /// A client that goes this way and trusts so, to be given its bounds.
    pub fn client(&self) -> ClientBuilder {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .add_root_certificate(self.authority.clone());
        for proxy in &self.proxies {
            builder = builder.proxy(proxy.clone());
        }
        match &self.here {
            Some((domain, here)) => builder.resolve(domain, *here),
            None => builder,
        }
    }
}

/// Where the Sovereign reaches itself: an address that stands for all of the
/// machine's is no address to connect to, and its domain may lead elsewhere first,
/// or nowhere yet.
pub fn local(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The environment's proxies, by the names that curl knows them by.
fn proxies(own: &[String], variable: impl Fn(&str) -> Option<String>) -> Vec<Proxy> {
    let first = |names: [&'static str; 2]| {
        names
            .into_iter()
            .find_map(|name| Some((name, variable(name)?)))
    };
    let mut straight = Vec::from(OF_THE_MACHINE.map(str::to_owned));
    straight.extend_from_slice(own);
    straight.extend(first(["NO_PROXY", "no_proxy"]).map(|(_, names)| names));
    let straight = NoProxy::from_string(&straight.join(","));
    let all = first(["ALL_PROXY", "all_proxy"]);
    let proxy = |names: [&'static str; 2], make: fn(String) -> reqwest::Result<Proxy>| {
        let (name, address) = first(names).or_else(|| all.clone())?;
        match make(address) {
            Ok(proxy) => Some(proxy.no_proxy(straight.clone())),
            Err(error) => {
                // The address may hold a password.
                let error = error.without_url();
                tracing::warn!(variable = name, error = %error, "not the address of a proxy, so none is used");
                None
            }
        }
    };
    let http = proxy(["HTTP_PROXY", "http_proxy"], Proxy::http::<String>);
    let https = proxy(["HTTPS_PROXY", "https_proxy"], Proxy::https::<String>);
    http.into_iter().chain(https).collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    /// Says its name to every request that reaches it; answers where it listens.
    async fn says(name: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    if stream.read_line(&mut line).await.unwrap() == 0 {
                        break;
                    }
                }
                let length = name.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{name}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address
    }

    fn authority() -> String {
        let data = tempfile::tempdir().unwrap();
        let data = crate::up::data::DataDirectory::open(data.path()).unwrap();
        let authority = crate::up::tls::Authority::open(&data, "sovereign.example").unwrap();
        authority.certificate().to_owned()
    }

    #[tokio::test]
    async fn the_sovereign_is_reached_straight_and_others_by_the_proxy() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let own = says("the Sovereign").await;
        let proxy = format!("http://{}", says("the proxy").await);
        let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), own.port());
        let authority = authority();
        for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
            let environment = |name: &str| match name {
                "NO_PROXY" => Some("mirror.example".to_owned()),
                name => (name == variable).then(|| proxy.clone()),
            };
            let reach = Reach::by(&authority, "sovereign.example", everywhere, environment);
            let http = reach.unwrap().client().resolve("mirror.example", own);
            let http = http.build().unwrap();
            let port = own.port();
            for (url, expected) in [
                (format!("http://{own}/"), "the Sovereign"),
                (format!("http://localhost:{port}/"), "the Sovereign"),
                (format!("http://sovereign.example:{port}/"), "the Sovereign"),
                (format!("http://registry.example:{port}/"), "the proxy"),
                // By the environment's own word.
                (format!("http://mirror.example:{port}/"), "the Sovereign"),
            ] {
                let answer = http.get(&url).send().await.unwrap();
                assert_eq!(answer.text().await.unwrap(), expected, "{variable} {url}");
            }
        }
    }

    #[test]
    fn what_is_no_address_of_a_proxy_is_passed_over() {
        let own = ["sovereign.example".to_owned()];
        let given = |value: &'static str| move |_: &str| Some(value.to_owned());
        assert_eq!(proxies(&own, given("http://proxy.example:3128")).len(), 2);
        assert_eq!(proxies(&own, given("proxy.example:3128")).len(), 2);
        assert_eq!(proxies(&own, given("http://:a b")).len(), 0);
        assert_eq!(proxies(&own, |_| None).len(), 0);
    }

    #[test]
    fn an_address_for_all_is_reached_on_loopback() {
        for (listen, expected) in [
            ("0.0.0.0:8443", "127.0.0.1:8443"),
            ("[::]:8443", "[::1]:8443"),
            ("192.0.2.7:8443", "192.0.2.7:8443"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
        ] {
            assert_eq!(local(listen.parse().unwrap()).to_string(), expected);
        }
    }
}
