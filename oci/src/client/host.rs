//! One registry host: its connections, its scheme, and what it is trusted by.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use super::{ClientConfig, ClientError};

/// Docker Hub is reached under another name than it is called by.
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// A registry, ready to be asked.
#[derive(Debug)]
pub(super) struct Host {
    authority: String,
    http: reqwest::Client,
    insecure: bool,
    base: OnceCell<String>,
}

impl Host {
    pub(super) fn new(
        name: &str,
        insecure: bool,
        config: &ClientConfig,
    ) -> Result<Self, ClientError> {
        let setup = |reason: String| ClientError::Setup {
            host: name.to_owned(),
            reason,
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(&config.user_agent)
            .connect_timeout(config.connect_timeout)
            .read_timeout(config.read_timeout);
        if insecure {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        for directory in &config.certificate_directories {
            for file in certificates(&directory.join(name)).map_err(setup)? {
                builder = file.add_to(builder).map_err(setup)?;
            }
        }
        let http = builder.build().map_err(|error| setup(error.to_string()))?;
        let authority = if name == crate::reference::DOCKER_HUB {
            DOCKER_HUB_API
        } else {
            name
        };
        Ok(Self {
            authority: authority.to_owned(),
            http,
            insecure,
            base: OnceCell::new(),
        })
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// `https://host`, or `http://host` where that is allowed and the host speaks nothing better.
    pub(super) async fn base(&self) -> Result<&str, ClientError> {
        let base = self.base.get_or_try_init(|| self.find_base()).await?;
        Ok(base)
    }

    async fn find_base(&self) -> Result<String, ClientError> {
        let https = format!("https://{}", self.authority);
        if !self.insecure {
            return Ok(https);
        }
        let probe = format!("{https}/v2/");
        if self.http.get(&probe).send().await.is_ok() {
            return Ok(https);
        }
        let http = format!("http://{}", self.authority);
        let probe = format!("{http}/v2/");
        let answer = self.http.get(&probe).send().await;
        answer.map_err(|error| ClientError::unreachable(&probe, error))?;
        Ok(http)
    }
}

/// A certificate in docker's layout.
enum CertificateFile {
    Authority(PathBuf),
    Client { certificate: PathBuf, key: PathBuf },
}

impl CertificateFile {
    fn add_to(self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, String> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        match self {
            Self::Authority(path) => {
                let found = reqwest::Certificate::from_pem_bundle(&read(&path)?);
                let found = found.map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(builder.tls_certs_merge(found))
            }
            Self::Client { certificate, key } => {
                let pem = [read(&key)?, read(&certificate)?].concat();
                let identity = reqwest::Identity::from_pem(&pem);
                let identity =
                    identity.map_err(|error| format!("{}: {error}", certificate.display()))?;
                Ok(builder.identity(identity))
            }
        }
    }
}

/// The certificates for one host; no folder means none.
fn certificates(directory: &Path) -> Result<Vec<CertificateFile>, String> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|error| format!("{}: {error}", directory.display()))?
            .path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.push(CertificateFile::Authority(path)),
            Some("cert") => {
                let key = path.with_extension("key");
                if !key.exists() {
                    return Err(format!("{} has no {}", path.display(), key.display()));
                }
                found.push(CertificateFile::Client {
                    certificate: path,
                    key,
                });
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The name or address without port and brackets.
fn bare(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// Docker trusts whatever listens on the own machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = bare(host);
    bare == "localhost"
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A network of addresses, `10.0.0.0/8`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u8 = prefix.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Self { address, prefix })
    }

    /// Whether `host` is an address inside; names are not looked up.
    pub(super) fn contains_host(self, host: &str) -> bool {
        let Ok(address) = bare(host).parse::<IpAddr>() else {
            return false;
        };
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let mask = u128::MAX
            .checked_shl(128 - u32::from(self.prefix))
            .unwrap_or(0);
        address.is_ipv4() == self.address.is_ipv4()
            && bits(address) & mask == bits(self.address) & mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_networks() {
        for (host, loopback) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.8.9.10", true),
            ("[::1]:5000", true),
            ("localhost.example.com", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(is_loopback(host), loopback, "{host}");
        }
        for (network, host, inside) in [
            ("10.0.0.0/8", "10.9.8.7:5000", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "[fd00::1]:1", false),
            ("fd00::/8", "[fd12::1]:5000", true),
            ("10.0.0.1/32", "10.0.0.1", true),
            ("10.0.0.0/8", "registry.example.com", false),
        ] {
            assert_eq!(
                Cidr::parse(network).unwrap().contains_host(host),
                inside,
                "{host}"
            );
        }
        for bad in ["10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/-1"] {
            assert!(Cidr::parse(bad).is_none(), "{bad}");
        }
    }
}
