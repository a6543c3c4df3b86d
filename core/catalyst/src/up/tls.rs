//! The Sovereign's own certificate authority, and what it signs: the server's
//! certificates, by the name that is asked for, and client certificates.
//!
//! What must stay true: however long a process runs, what it serves is good. A
//! server's certificate is made anew when it is asked for and two thirds of its life
//! are over; who holds one for clients asks [`KeyedCertificate::is_due`].

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use catalyst_names::EnvironmentName;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::data::{DataDirectory, write_private};
use super::lock;

/// The authority lives as long as its data directory.
const AUTHORITY_DAYS: i64 = 3650;
/// Server and client certificates are made anew at every start, and while it lasts.
const LEAF_DAYS: i64 = 365;
/// Two thirds of that.
const RENEW_AFTER: Duration = Duration::hours(LEAF_DAYS * 24 * 2 / 3);
/// Certificates for so many Environments are kept; names are free to ask for.
const MOST_KEPT: usize = 256;

/// A certificate authority whose key is in the data directory.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, both PEM.
pub struct KeyedCertificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS #8.
    pub key: String,
    renew: OffsetDateTime,
}

impl KeyedCertificate {
    /// Whether it is time for another one.
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        now >= self.renew
    }
}

impl Authority {
    /// Reads the authority, or makes one at first start.
    pub fn open(data: &DataDirectory, domain: &str) -> anyhow::Result<Self> {
        let (certificate_path, key_path) = (data.join("ca.crt"), data.join("ca.key"));
        if !certificate_path.exists() {
            create(domain, &certificate_path, &key_path)
                .context("cannot make the certificate authority")?;
        }
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let certificate = read(&certificate_path)?;
        let key = KeyPair::from_pem(&read(&key_path)?).with_context(|| {
            format!(
                "{} holds no usable key; restore it from a backup",
                key_path.display()
            )
        })?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).with_context(|| {
            format!("{} holds no usable certificate", certificate_path.display())
        })?;
        Ok(Self {
            certificate,
            issuer,
        })
    }

    /// The authority's certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A client certificate for a Kubernetes user (common name) in groups
    /// (organizations), as of a time.
    pub fn issue_client(
        &self,
        user: &str,
        groups: &[&str],
        now: OffsetDateTime,
    ) -> anyhow::Result<KeyedCertificate> {
        let mut params = leaf(user, Vec::new())?;
        for group in groups {
            params
                .distinguished_name
                .push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, now)
    }

    /// TLS settings of the one port: a certificate for whatever name below the
    /// domain is asked for, client certificates of this authority accepted but not
    /// required.
    pub fn server_config(
        self: &Arc<Self>,
        domain: &str,
        address: IpAddr,
    ) -> anyhow::Result<rustls::ServerConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes())?)?;
        let clients = WebPkiClientVerifier::builder(Arc::new(roots))
            .allow_unauthenticated()
            .build()?;
        let now = OffsetDateTime::now_utc();
        let names = Names::new(Arc::clone(self), domain, address, now)?;
        let mut config = rustls::ServerConfig::builder()
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(names));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// A server's certificate for these names and addresses.
    fn issue_server(&self, subjects: Vec<String>, now: OffsetDateTime) -> anyhow::Result<Served> {
        let name = subjects.first().cloned().unwrap_or_default();
        let mut params = leaf(&name, subjects)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server = self.sign(params, now)?;
        let chain = vec![CertificateDer::from_pem_slice(
            server.certificate.as_bytes(),
        )?];
        let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes())?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?;
        Ok(Served {
            certificate: Arc::new(CertifiedKey::new(chain, key)),
            renew: server.renew,
        })
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        now: OffsetDateTime,
    ) -> anyhow::Result<KeyedCertificate> {
        set_validity(&mut params, now + Duration::days(LEAF_DAYS));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(KeyedCertificate {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            renew: now + RENEW_AFTER,
        })
    }
}

/// A server's certificate, and when there is to be another.
struct Served {
    certificate: Arc<CertifiedKey>,
    renew: OffsetDateTime,
}

impl Served {
    /// The certificate, unless it is time for another one.
    fn still_good(&self, now: OffsetDateTime) -> Option<Arc<CertifiedKey>> {
        (now < self.renew).then(|| Arc::clone(&self.certificate))
    }
}

/// Chooses the certificate by the name that a client asks for. The names of
/// Applications are two labels below the domain, and a wildcard stands for one: so
/// each Environment has a certificate, made when it is first asked for.
struct Names {
    authority: Arc<Authority>,
    /// `.{domain}`.
    suffix: String,
    /// The domain, what is one label below it, and addresses.
    subjects: Vec<String>,
    /// For those.
    own: Mutex<Served>,
    /// By Environment.
    applications: Mutex<HashMap<String, Served>>,
}

impl Names {
    fn new(
        authority: Arc<Authority>,
        domain: &str,
        address: IpAddr,
        now: OffsetDateTime,
    ) -> anyhow::Result<Self> {
        let domain = domain.to_ascii_lowercase();
        let mut subjects = vec![
            domain.clone(),
            format!("*.{domain}"),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        if !address.is_unspecified() && !address.is_loopback() {
            subjects.push(address.to_string());
        }
        let own = authority.issue_server(subjects.clone(), now)?;
        Ok(Self {
            authority,
            suffix: format!(".{domain}"),
            subjects,
            own: Mutex::new(own),
            applications: Mutex::default(),
        })
    }

    /// The certificate for a name, or for who names none, as of a time.
    fn certificate(&self, name: Option<&str>, now: OffsetDateTime) -> Arc<CertifiedKey> {
        let Some(environment) = name.and_then(|name| self.environment(name)) else {
            return self.own(now);
        };
        let mut kept = lock(&self.applications);
        let known = kept.get(&environment);
        if let Some(good) = known.and_then(|known| known.still_good(now)) {
            return good;
        }
        let subject = format!("*.{environment}{}", self.suffix);
        match self.authority.issue_server(vec![subject], now) {
            Ok(made) => {
                let certificate = Arc::clone(&made.certificate);
                if kept.len() >= MOST_KEPT {
                    kept.clear();
                }
                kept.insert(environment, made);
                certificate
            }
            Err(error) => {
                tracing::warn!(
                    environment,
                    error = format!("{error:#}"),
                    "no certificate made for the Applications of an Environment"
                );
                match known {
                    Some(known) => Arc::clone(&known.certificate),
                    None => self.own(now),
                }
            }
        }
    }

    /// The certificate for all names but those of Applications.
    fn own(&self, now: OffsetDateTime) -> Arc<CertifiedKey> {
        let mut own = lock(&self.own);
        if let Some(good) = own.still_good(now) {
            return good;
        }
        match self.authority.issue_server(self.subjects.clone(), now) {
            Ok(made) => *own = made,
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "the server's certificate not renewed"
            ),
        }
        Arc::clone(&own.certificate)
    }

    /// The Environment whose Application has this host name, if one could have it.
    fn environment(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        let (_, environment) = name.strip_suffix(self.suffix.as_str())?.split_once('.')?;
        EnvironmentName::new(environment).ok()?;
        Some(environment.to_owned())
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Names(*{})", self.suffix)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // By the clock on the wall, by which certificates end.
        Some(self.certificate(hello.server_name(), OffsetDateTime::now_utc()))
    }
}

fn create(domain: &str, certificate_path: &Path, key_path: &Path) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Sovereign {domain}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let end = OffsetDateTime::now_utc() + Duration::days(AUTHORITY_DAYS);
    set_validity(&mut params, end);
    let certificate = params.self_signed(&key)?;
    // The key first: a certificate without its key could never be used, and
    // the certificate's presence marks the pair as complete.
    write_private(key_path, key.serialize_pem().as_bytes())?;
    write_private(certificate_path, certificate.pem().as_bytes())
}

fn leaf(common_name: &str, subjects: Vec<String>) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(subjects)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Valid from 1975 (rcgen's default): a machine whose clock was ahead when the
/// authority was made, or a client whose clock is behind, must not find it "not
/// yet valid". That day would protect nothing; the last one does.
fn set_validity(params: &mut CertificateParams, end: OffsetDateTime) {
    params.not_after = end;
}

#[cfg(test)]
mod tests {
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    /// Whether a client that asks for a name trusts what it is shown then.
    fn is_trusted(names: &Names, name: &str, now: OffsetDateTime) -> bool {
        let authority = names.authority.certificate().as_bytes();
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority).unwrap())
            .unwrap();
        let verifier = WebPkiServerVerifier::builder(Arc::new(roots))
            .build()
            .unwrap();
        let server = ServerName::try_from(name).unwrap();
        let asked = match &server {
            ServerName::DnsName(name) => Some(name.as_ref()),
            // Nobody asks for an address by name.
            _ => None,
        };
        let shown = names.certificate(asked, now);
        let shown = shown.end_entity_cert().unwrap();
        let seconds = u64::try_from(now.unix_timestamp()).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        verifier
            .verify_server_cert(shown, &[], &server, &[], now)
            .is_ok()
    }

    fn authority() -> Arc<Authority> {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(folder.path()).unwrap();
        Arc::new(Authority::open(&data, "sovereign.example").unwrap())
    }

    #[test]
    fn every_name_below_the_domain_is_trusted_and_no_other() {
        let (authority, now) = (authority(), OffsetDateTime::now_utc());
        for domain in ["sovereign.example", "localhost"] {
            let address = "192.0.2.7".parse().unwrap();
            let names = Names::new(Arc::clone(&authority), domain, address, now).unwrap();
            for (name, expected) in [
                (domain.to_owned(), true),
                (format!("blog.acme-dev.{domain}"), true),
                (format!("shop.acme-dev.{domain}"), true),
                (format!("Blog.Globex-Prod.{domain}"), true),
                ("127.0.0.1".to_owned(), true),
                ("::1".to_owned(), true),
                ("192.0.2.7".to_owned(), true),
                ("192.0.2.8".to_owned(), false),
                (format!("blog.elsewhere.{domain}"), false),
                (format!("a.b.acme-dev.{domain}"), false),
                ("blog.acme-dev.elsewhere.example".to_owned(), false),
            ] {
                assert_eq!(is_trusted(&names, &name, now), expected, "{name}");
            }
            // One an Environment, whatever its Applications are called.
            assert_eq!(names.applications.lock().unwrap().len(), 2);
        }
    }
    #[test]
    fn what_is_served_is_made_anew_before_it_ends() {
        let start = OffsetDateTime::now_utc();
        let address = "127.0.0.1".parse().unwrap();
        let names = Names::new(authority(), "localhost", address, start).unwrap();
        let day = |days| start + Duration::days(days);
        for name in ["localhost", "blog.acme-dev.localhost"] {
            let shown = |days| names.certificate(Some(name), day(days));
            let first = shown(0);
            assert!(Arc::ptr_eq(&first, &shown(243)), "{name}");
            let second = shown(244);
            assert_ne!(first.cert, second.cert, "{name}");
            assert!(Arc::ptr_eq(&second, &shown(245)), "{name}");
            // After years too, whether or not anybody asked meanwhile.
            for days in [245, 366, 2000] {
                assert!(is_trusted(&names, name, day(days)), "{name} {days}");
            }
        }
    }

    #[test]
    fn a_clients_certificate_is_due_when_two_thirds_of_its_life_are_over() {
        let start = OffsetDateTime::now_utc();
        let client = authority().issue_client("boss", &["all"], start).unwrap();
        for (days, expected) in [(0, false), (243, false), (244, true), (366, true)] {
            let now = start + Duration::days(days);
            assert_eq!(client.is_due(now), expected, "{days}");
        }
    }
}
