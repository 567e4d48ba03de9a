//! Certificates in docker's layout, `certs.d/HOST[:PORT]/`: read, and given to a connection.

use std::path::{Path, PathBuf};

/// A certificate for one host.
#[derive(Debug)]
enum CertificateFile {
    /// `*.crt`: who may vouch for the host.
    Authority(PathBuf),
    /// `NAME.cert` with `NAME.key`: what we show to it.
    Client { certificate: PathBuf, key: PathBuf },
}

/// Adds what `directory` has to a connection. No directory means nothing to add; errors are
/// sentences that name the file.
pub(super) fn add(
    mut builder: reqwest::ClientBuilder,
    directory: &Path,
) -> Result<reqwest::ClientBuilder, String> {
    for file in find(directory)? {
        builder = file.add_to(builder)?;
    }
    Ok(builder)
}

fn find(directory: &Path) -> Result<Vec<CertificateFile>, String> {
    let failed = |error| format!("{}: {error}", directory.display());
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.push(CertificateFile::Authority(path)),
            Some("cert") => {
                let key = path.with_extension("key");
                if !key.exists() {
                    return Err(format!("{} has no {}", path.display(), key.display()));
                }
                let certificate = path;
                found.push(CertificateFile::Client { certificate, key });
            }
            _ => {}
        }
    }
    Ok(found)
}

impl CertificateFile {
    fn add_to(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, String> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        match self {
            Self::Authority(path) => {
                let found = reqwest::Certificate::from_pem_bundle(&read(path)?);
                let found = found.map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(builder.tls_certs_merge(found))
            }
            Self::Client { certificate, key } => {
                let pem = [read(key)?, read(certificate)?].concat();
                let identity = reqwest::Identity::from_pem(&pem);
                let identity =
                    identity.map_err(|error| format!("{}: {error}", certificate.display()))?;
                Ok(builder.identity(identity))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_must_stand_beside_its_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let add = || add(reqwest::Client::builder(), directory.path()).map(drop);
        assert_eq!(add(), Ok(()));
        std::fs::write(directory.path().join("us.cert"), "x").unwrap();
        assert!(add().unwrap_err().contains("us.key"));
        std::fs::write(directory.path().join("us.key"), "x").unwrap();
        assert!(add().unwrap_err().contains("us.cert"));
        assert!(super::add(reqwest::Client::builder(), Path::new("/no/such")).is_ok());
    }
}
