//! The Sovereign's own certificate authority, and what it signs: the server's
//! certificate and the administrator's client certificate.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use time::{Duration, OffsetDateTime};

use super::data::{DataDirectory, write_private};

/// The authority lives as long as its data directory.
const AUTHORITY_DAYS: i64 = 3650;
/// Server and administrator certificates are made anew at every start.
const LEAF_DAYS: i64 = 365;

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

    /// TLS settings of the one port: a certificate for the given names, client
    /// certificates of this authority accepted but not required.
    pub fn server_config(
        &self,
        names: &[String],
        address: IpAddr,
    ) -> anyhow::Result<rustls::ServerConfig> {
        let mut subjects = names.to_vec();
        subjects.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
        if !address.is_unspecified() && !address.is_loopback() {
            subjects.push(address.to_string());
        }
        let mut params = leaf(names.first().map_or("catalyst", String::as_str), subjects)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server = self.sign(&params)?;

        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes())?)?;
        let clients = WebPkiClientVerifier::builder(Arc::new(roots))
            .allow_unauthenticated()
            .build()?;
        let mut config = rustls::ServerConfig::builder()
            .with_client_cert_verifier(clients)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(
                    server.certificate.as_bytes(),
                )?],
                PrivateKeyDer::from_pem_slice(server.key.as_bytes())?,
            )?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
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
