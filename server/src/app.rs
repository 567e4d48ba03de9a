//! The composition root: opens the stores, builds the registry on them, binds
//! the address and serves.

use std::future::Future;
use std::net::SocketAddr;

use crate::config::Config;

/// A registry that is bound to its address and ready to serve.
///
/// Binding and serving are two steps so that the caller learns the address
/// (port 0 is allowed) and can say that the registry is ready.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
}

impl Server {
    /// Opens the stores, brings the database's schema up to date, removes what
    /// a crash left behind, and binds the address.
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        todo!("{config:?}")
    }

    /// The address that was bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` completes, then lets requests under way finish
    /// within the configured grace.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        shutdown.await;
        todo!()
    }
}

/// Why the registry could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
