//! What a handshake needs, from files that may change at any time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ServerConfig, WebPkiClientVerifier};

use super::{Authority, TlsError};
use crate::config::TlsConfig;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often it is seen to that our own certificate will do for a while.
const RENEW_EVERY: Duration = Duration::from_hours(12);

/// The certificates of a registry, as they are now.
pub(crate) struct Certificates {
    files: Files,
    now: RwLock<Arc<ServerConfig>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The configuration holds the private key.
        f.debug_struct("Certificates")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct Files {
    config: TlsConfig,
    certificate: PathBuf,
    key: PathBuf,
}

/// When each file changed and how long it is, to see that it is another.
type Seen = Vec<Option<(SystemTime, u64)>>;

impl Certificates {
    /// Reads the files, and makes those that the registry makes for itself.
    pub(crate) fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let (certificate, key) = match config {
            TlsConfig::Given {
                certificate, key, ..
            } => (certificate.clone(), key.clone()),
            TlsConfig::Made { made, .. } => Authority::ensure_server(made)?,
        };
        let files = Files {
            config: config.clone(),
            certificate,
            key,
        };
        let now = RwLock::new(Arc::new(files.read()?));
        Ok(Self { files, now })
    }

    /// What the next handshake needs.
    pub(crate) fn now(&self) -> Arc<ServerConfig> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&now)
    }

    /// Reads the files again whenever they change, for ever. Files that cannot
    /// be used, half-written ones for instance, change nothing.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut seen = self.files.seen();
        let mut since_renewal = Duration::ZERO;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            since_renewal += LOOK_EVERY;
            if since_renewal >= RENEW_EVERY
                && let TlsConfig::Made { made, .. } = &self.files.config
            {
                since_renewal = Duration::ZERO;
                if let Err(error) = Authority::ensure_server(made) {
                    tracing::error!(%error, "the certificate could not be made again");
                }
            }
            let found = self.files.seen();
            if found == seen {
                continue;
            }
            match self.files.read() {
                Ok(config) => {
                    let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
                    *now = Arc::new(config);
                    tracing::info!("new connections see the new certificate");
                }
                Err(error) => {
                    tracing::error!(%error, "the new certificate cannot be used; the old one is");
                }
            }
            seen = found;
        }
    }
}

impl Files {
    fn seen(&self) -> Seen {
        let look = |path: &Path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        };
        let paths = [Some(&self.certificate), Some(&self.key), self.client_ca()];
        paths.into_iter().flatten().map(|path| look(path)).collect()
    }

    fn client_ca(&self) -> Option<&PathBuf> {
        match &self.config {
            TlsConfig::Given { client_ca, .. } | TlsConfig::Made { client_ca, .. } => {
                client_ca.as_ref()
            }
        }
    }

    fn read(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::of(&self.certificate, error))?;
        let builder = match self.client_ca() {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    let added = roots.add(authority);
                    added.map_err(|error| TlsError::of(path, error))?;
                }
                let roots = Arc::new(roots);
                // Who shows none may still log in.
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| TlsError::of(path, error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::from_pem_file(&self.key);
        let key = key.map_err(|error| TlsError::of(&self.key, error))?;
        let mut config = builder
            .with_single_cert(certificates(&self.certificate)?, key)
            .map_err(|error| TlsError::of(&self.certificate, error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Every certificate of a PEM file, of which there must be one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| TlsError::of(path, error))?;
    if found.is_empty() {
        return Err(TlsError::of(path, "holds no certificate"));
    }
    Ok(found)
}

/// The common name in a client's certificate, which is an account's.
pub(crate) fn name_in(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_hold_no_certificates_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (path, expected) in [
            (directory.path().join("absent"), "absent: "),
            (file("empty", ""), "empty: "),
            (file("broken", broken), "broken: "),
        ] {
            let config = TlsConfig::Given {
                certificate: path.clone(),
                key: path,
                client_ca: None,
            };
            let error = Certificates::load(&config).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
