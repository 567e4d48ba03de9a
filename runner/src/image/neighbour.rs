//! A registry in the same process: what it has are files of this machine, which need not travel
//! through a socket to become a second file.
//!
//! The registry is asked as by anybody else whether we may read a blob; only then its file is linked,
//! and hashed like a download.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hythe_oci::client::RemoteRepository;
use hythe_oci::{Descriptor, Digest, RepositoryName};

use super::{Inner, LayerError};

/// Finds the file that a blob of a repository is.
pub type FindFile =
    Arc<dyn Fn(RepositoryName, Digest) -> BoxFuture<'static, Option<PathBuf>> + Send + Sync>;

/// The registry beside us.
#[derive(Clone)]
pub struct Neighbour {
    /// Where it listens.
    pub address: SocketAddr,
    pub find: FindFile,
}

impl fmt::Debug for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neighbour")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Neighbour {
    /// Whether `host[:port]` of a reference is it.
    fn is(&self, host: &str) -> bool {
        let Some((name, port)) = host.rsplit_once(':') else {
            return false;
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let listens_here = self.address.ip().is_unspecified() || self.address.ip().is_loopback();
        port.parse() == Ok(self.address.port())
            && match name.parse::<IpAddr>() {
                Ok(ip) => ip == self.address.ip() || (ip.is_loopback() && listens_here),
                Err(_) => name == "localhost" && listens_here,
            }
    }
}

impl Inner {
    /// Makes the registry's file our blob, if the registry is beside us, lets us, and the file can
    /// be linked and is what it should be. Whatever stands against it, a download will tell.
    pub(super) async fn take_from_neighbour(
        self: &Arc<Self>,
        repository: &RemoteRepository,
        descriptor: &Descriptor,
    ) -> Result<bool, LayerError> {
        let neighbour = self.options.neighbour.as_ref();
        let Some(neighbour) = neighbour.filter(|found| found.is(repository.host())) else {
            return Ok(false);
        };
        if !repository.may_read_blob(descriptor).await.unwrap_or(false) {
            return Ok(false);
        }
        let digest = descriptor.digest.clone();
        let Some(file) = (neighbour.find)(repository.name().clone(), digest.clone()).await else {
            return Ok(false);
        };
        let (inner, size_bytes) = (Arc::clone(self), descriptor.size);
        tokio::task::spawn_blocking(move || inner.content.link(&file, &digest, size_bytes))
            .await
            .map_err(|_| LayerError::Cancelled)?
            .map_err(LayerError::disk("link the blob"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_the_neighbour() {
        let at = |address: &str| Neighbour {
            address: address.parse().unwrap(),
            find: Arc::new(|_, _| Box::pin(async { None })),
        };
        for (address, host, expected) in [
            ("127.0.0.1:5000", "127.0.0.1:5000", true),
            ("127.0.0.1:5000", "localhost:5000", true),
            ("0.0.0.0:5000", "127.0.0.1:5000", true),
            ("[::]:5000", "[::1]:5000", true),
            ("10.0.0.1:5000", "10.0.0.1:5000", true),
            ("10.0.0.1:5000", "127.0.0.1:5000", false),
            ("127.0.0.1:5000", "127.0.0.1:5001", false),
            ("127.0.0.1:5000", "registry.example.com:5000", false),
            ("0.0.0.0:5000", "10.0.0.9:5000", false),
            ("127.0.0.1:80", "localhost", false),
        ] {
            assert_eq!(at(address).is(host), expected, "{address} {host}");
        }
    }
}
