//! The certificate and key of HTTPS.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};

use crate::config::Tls;

/// Says why the certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The file cannot be read as PEM.
    #[error("{0} cannot be read: {1}")]
    Pem(std::path::PathBuf, pem::Error),
    /// Key and certificate do not fit.
    #[error("http.tls cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Loads the files of `http.tls`.
pub(crate) fn load(tls: &Tls) -> Result<ServerConfig, TlsError> {
    let certificates = CertificateDer::pem_file_iter(&tls.cert).and_then(Iterator::collect);
    let certificates = certificates.map_err(|error| TlsError::Pem(tls.cert.clone(), error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| TlsError::Pem(tls.key.clone(), error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_no_client_auth().with_single_cert(certificates, key)?)
}
