//! What can go wrong with a network, in Docker's words where clients match on them.

use std::io;
use std::net::IpAddr;

use crate::spec::PortProtocol;

/// Failures of this folder. `engine` chooses its own error kind by variant.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No network has this name or id.
    #[error("network {0} not found")]
    NotFound(String),
    /// A network of that name exists.
    #[error("network with name {0} already exists")]
    NameInUse(String),
    /// The request contradicts itself, or names something this driver does not know.
    #[error("{0}")]
    Invalid(String),
    /// The built-in networks stay.
    #[error("{0} is a pre-defined network and cannot be removed")]
    Predefined(String),
    /// Containers are still attached.
    #[error("error while removing network: network {network} has active endpoints")]
    InUse { network: String },
    /// The subnet asked for overlaps one that is taken.
    #[error("Pool overlaps with other one on this address space")]
    PoolOverlaps,
    /// Every default pool is taken by networks or routes of this host.
    #[error("all predefined address pools have been fully subnetted")]
    PoolsExhausted,
    #[error("no available IPv{version} addresses on this network's address pools: {network}")]
    AddressesExhausted { version: u8, network: String },
    #[error("Address already in use")]
    AddressInUse(IpAddr),
    /// Another container of this agent has the port.
    #[error(
        "driver failed programming external connectivity on endpoint {endpoint}: Bind for {host} failed: port is already allocated"
    )]
    PortAllocated { endpoint: String, host: String },
    /// Something else on this host has the port.
    #[error(
        "driver failed programming external connectivity on endpoint {endpoint}: failed to bind host port {host}/{protocol}: {}",
        kernel_words(reason)
    )]
    PortBind {
        endpoint: String,
        host: String,
        protocol: PortProtocol,
        reason: io::Error,
    },
    /// The kernel lacks what the driver needs.
    #[error("the {driver} driver needs {what}, which this host does not have")]
    Unsupported {
        driver: &'static str,
        what: &'static str,
    },
    /// Asking the kernel for links, addresses or routes failed.
    #[error("{step}: {reason}")]
    Kernel { step: String, reason: io::Error },
    /// `nft` is missing or refused the rules.
    #[error("programming the packet filter: {0}")]
    PacketFilter(String),
    /// A teardown went on past failures; here is each of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<NetworkError>),
}

impl NetworkError {
    /// Success when nothing failed, else everything that did.
    pub(super) fn all(failures: impl IntoIterator<Item = Self>) -> Result<(), Self> {
        let mut failures: Vec<Self> = failures.into_iter().collect();
        match failures.len() {
            0 => Ok(()),
            1 => Err(failures.remove(0)),
            _ => Err(Self::Several(failures)),
        }
    }
}

/// The kernel's reason alone, in lower case, as Docker's clients know it: "address already in
/// use" for "Address already in use (os error 98)".
fn kernel_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_cannot_be_bound_is_told_in_dockers_words() {
        let error = NetworkError::PortBind {
            endpoint: "web (4f)".to_owned(),
            host: "0.0.0.0:8080".to_owned(),
            protocol: PortProtocol::Tcp,
            reason: io::Error::from_raw_os_error(libc::EADDRINUSE),
        };
        assert_eq!(
            error.to_string(),
            "driver failed programming external connectivity on endpoint web (4f): failed to \
             bind host port 0.0.0.0:8080/tcp: address already in use"
        );
    }
}
