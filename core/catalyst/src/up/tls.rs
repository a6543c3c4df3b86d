//! The Sovereign's own certificate authority, and what it signs: the server's
//! certificates, by the name that is asked for, and the administrator's client
//! certificate.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

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

/// The authority lives as long as its data directory.
const AUTHORITY_DAYS: i64 = 3650;
/// Server and administrator certificates are made anew at every start.
const LEAF_DAYS: i64 = 365;
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
    /// (organizations).
    pub fn issue_client(&self, user: &str, groups: &[&str]) -> anyhow::Result<KeyedCertificate> {
        let mut params = leaf(user, Vec::new())?;
        for group in groups {
            params
                .distinguished_name
                .push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
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
        let names = Names::new(Arc::clone(self), domain, address)?;
        let mut config = rustls::ServerConfig::builder()
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(names));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// A server's certificate for these names and addresses.
    fn issue_server(&self, subjects: Vec<String>) -> anyhow::Result<CertifiedKey> {
        let name = subjects.first().cloned().unwrap_or_default();
        let mut params = leaf(&name, subjects)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server = self.sign(&params)?;
        let chain = vec![CertificateDer::from_pem_slice(
            server.certificate.as_bytes(),
        )?];
        let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes())?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?;
        Ok(CertifiedKey::new(chain, key))
    }

    fn sign(&self, params: &CertificateParams) -> anyhow::Result<KeyedCertificate> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(KeyedCertificate {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// Chooses the certificate by the name that a client asks for. The names of
/// Applications are two labels below the domain, and a wildcard stands for one: so
/// each Environment has a certificate, made when it is first asked for.
struct Names {
    authority: Arc<Authority>,
    /// `.{domain}`.
    suffix: String,
    /// For the domain, what is one label below it, and addresses.
    own: Arc<CertifiedKey>,
    /// By Environment.
    applications: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Names {
    fn new(authority: Arc<Authority>, domain: &str, address: IpAddr) -> anyhow::Result<Self> {
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
        let own = Arc::new(authority.issue_server(subjects)?);
        Ok(Self {
            authority,
            suffix: format!(".{domain}"),
            own,
            applications: Mutex::default(),
        })
    }

    /// The certificate for a name, or for who names none.
    fn certificate(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let Some(environment) = name.and_then(|name| self.environment(name)) else {
            return Arc::clone(&self.own);
        };
        let mut kept = self
            .applications
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(&environment) {
            return Arc::clone(known);
        }
        let subject = format!("*.{environment}{}", self.suffix);
        match self.authority.issue_server(vec![subject]) {
            Ok(made) => {
                let made = Arc::new(made);
                if kept.len() >= MOST_KEPT {
                    kept.clear();
                }
                kept.insert(environment, Arc::clone(&made));
                made
            }
            Err(error) => {
                tracing::warn!(
                    environment,
                    error = format!("{error:#}"),
                    "no certificate made for the Applications of an Environment"
                );
                Arc::clone(&self.own)
            }
        }
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
        Some(self.certificate(hello.server_name()))
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
    set_validity(&mut params, AUTHORITY_DAYS);
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
    set_validity(&mut params, LEAF_DAYS);
    Ok(params)
}

/// Valid from 1975 (rcgen's default): a machine whose clock was ahead when the
/// authority was made, or a client whose clock is behind, must not find it "not
/// yet valid". That day would protect nothing; the last one does.
fn set_validity(params: &mut CertificateParams, days: i64) {
    params.not_after = OffsetDateTime::now_utc() + Duration::days(days);
}

#[cfg(test)]
mod tests {
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    /// Whether a client that asks for a name trusts what it is shown.
    fn is_trusted(names: &Names, name: &str) -> bool {
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
        let shown = names.certificate(asked);
        let shown = shown.end_entity_cert().unwrap();
        verifier
            .verify_server_cert(shown, &[], &server, &[], UnixTime::now())
            .is_ok()
    }

    #[test]
    fn every_name_below_the_domain_is_trusted_and_no_other() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(folder.path()).unwrap();
        let authority = Arc::new(Authority::open(&data, "sovereign.example").unwrap());
        for domain in ["sovereign.example", "localhost"] {
            let address = "192.0.2.7".parse().unwrap();
            let names = Names::new(Arc::clone(&authority), domain, address).unwrap();
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
                assert_eq!(is_trusted(&names, &name), expected, "{name}");
            }
            // One an Environment, whatever its Applications are called.
            assert_eq!(names.applications.lock().unwrap().len(), 2);
        }
    }
}
