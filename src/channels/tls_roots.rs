//! TLS roots: whose certificates are trusted, for HTTP and SMTP.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

const NOT_PEM: &str = "not a list of PEM certificates";

#[derive(Clone, Default)]
pub struct TlsRoots(Vec<CertificateDer<'static>>);

impl TlsRoots {
    /// Those of the system; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
    pub fn system() -> anyhow::Result<Self> {
        // A system may hold some that no longer parse; the others are as good as before.
        let mut certificates = rustls_native_certs::load_native_certs().certs;
        certificates.retain(is_readable);
        ensure!(
            !certificates.is_empty(),
            "no certificate authorities were found; install ca-certificates, or set SSL_CERT_FILE"
        );
        Ok(Self(certificates))
    }

    /// Some more, such as an organisation's own.
    pub fn with_pem(mut self, pem: &[u8]) -> anyhow::Result<Self> {
        let before = self.0.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.ok().filter(is_readable);
            self.0.push(certificate.context(NOT_PEM)?);
        }
        ensure!(self.0.len() > before, NOT_PEM);
        Ok(self)
    }

    /// A client's side of TLS 1.2 and 1.3.
    pub(super) fn client(&self) -> Result<rustls::ClientConfig, rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(self.0.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }
}

fn is_readable(certificate: &CertificateDer<'static>) -> bool {
    rustls::RootCertStore::empty()
        .add(certificate.clone())
        .is_ok()
}
