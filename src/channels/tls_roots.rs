//! TLS roots: whose certificates are trusted, for HTTP and SMTP.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

#[derive(Clone, Default)]
pub struct TlsRoots(Vec<CertificateDer<'static>>);

#[derive(Debug, thiserror::Error)]
pub enum NoTlsRoots {
    #[error("no certificate authorities were found; install ca-certificates, or set SSL_CERT_FILE")]
    NoneFound,
    #[error("not a list of PEM certificates")]
    NotPem,
}

impl TlsRoots {
    /// Those of the system; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
    pub fn system() -> Result<Self, NoTlsRoots> {
        // A system may hold some that no longer parse; the others are as good as before.
        let mut certificates = rustls_native_certs::load_native_certs().certs;
        certificates.retain(is_readable);
        if certificates.is_empty() {
            return Err(NoTlsRoots::NoneFound);
        }
        Ok(Self(certificates))
    }

    /// Some more, such as an organisation's own.
    pub fn with_pem(mut self, pem: &[u8]) -> Result<Self, NoTlsRoots> {
        let before = self.0.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.ok().filter(is_readable);
            self.0.push(certificate.ok_or(NoTlsRoots::NotPem)?);
        }
        if self.0.len() == before {
            return Err(NoTlsRoots::NotPem);
        }
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

impl fmt::Debug for TlsRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsRoots({} authorities)", self.0.len())
    }
}
