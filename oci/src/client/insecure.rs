//! Which registries may be reached without TLS that somebody vouches for.
//!
//! The rule is dockerd's `--insecure-registry`: what was named, networks that were named, and the
//! own machine. Nothing here opens a connection; names are looked up, to find their network.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::ClientError;
use crate::reference::check_host;

/// Hosts and networks that are trusted as they are.
#[derive(Debug)]
pub(super) struct InsecureRegistries {
    /// `host` or `host:port`, compared as they are written.
    hosts: BTreeSet<String>,
    networks: Vec<Cidr>,
}

impl InsecureRegistries {
    /// Reads `host`, `host:port` and `10.0.0.0/8`; a scheme in front is left out, as dockerd does.
    pub(super) fn parse(texts: &[String]) -> Result<Self, ClientError> {
        let mut hosts = BTreeSet::new();
        let mut networks = Vec::new();
        for text in texts {
            let bare = text.strip_prefix("http://");
            let bare = bare
                .or_else(|| text.strip_prefix("https://"))
                .unwrap_or(text);
            if let Some(network) = Cidr::parse(bare) {
                networks.push(network);
            } else if check_host(bare).is_ok() {
                hosts.insert(bare.to_owned());
            } else {
                return Err(ClientError::Setting {
                    setting: "insecure registry",
                    value: text.clone(),
                    reason: "it is neither host[:port] nor a network such as 10.0.0.0/8".to_owned(),
                });
            }
        }
        Ok(Self { hosts, networks })
    }

    /// Whether `host[:port]` was named, is on this machine, or has an address in a network that
    /// was named.
    pub(super) async fn cover(&self, host: &str) -> bool {
        if self.hosts.contains(host) {
            return true;
        }
        let trusted = |address: IpAddr| {
            address.is_loopback()
                || self
                    .networks
                    .iter()
                    .any(|network| network.contains(address))
        };
        let name = without_port(host);
        if let Ok(address) = name.parse() {
            return trusted(address);
        }
        // A name that has no address cannot be reached either; that error says more than ours.
        let addresses = tokio::net::lookup_host((name, 0)).await;
        addresses.is_ok_and(|mut addresses| addresses.any(|address| trusted(address.ip())))
    }
}

/// The name or address without port and brackets.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// Whether `host[:port]` says by itself that it is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = without_port(host);
    let address = name.parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A network of addresses, `10.0.0.0/8`.
#[derive(Debug, Clone, Copy)]
struct Cidr {
    address: IpAddr,
    prefix: u32,
}

impl Cidr {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix = prefix.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Self { address, prefix })
    }

    fn contains(self, address: IpAddr) -> bool {
        // IPv4 stands at the upper end, so that one mask serves both.
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
        address.is_ipv4() == self.address.is_ipv4()
            && bits(address) & mask == bits(self.address) & mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<InsecureRegistries, ClientError> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        InsecureRegistries::parse(&texts)
    }

    #[tokio::test]
    async fn what_is_covered() {
        for (setting, host, covered) in [
            ("a.test", "localhost:5000", true),
            ("a.test", "127.8.9.10:5000", true),
            ("a.test", "[::1]:5000", true),
            ("a.test", "a.test", true),
            ("a.test", "a.test:5000", false),
            ("http://a.test:5000", "a.test:5000", true),
            ("10.0.0.0/8", "10.9.8.7:5000", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "[fd00::1]:1", false),
            ("fd00::/8", "[fd12::1]:5000", true),
            ("10.0.0.1/32", "10.0.0.1", true),
            ("10.0.0.0/8", "no-such-host.invalid", false),
        ] {
            let registries = parse(&[setting]).unwrap();
            assert_eq!(registries.cover(host).await, covered, "{setting} {host}");
        }
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for bad in [
            "",
            "10.0.0.0/33",
            "x/8",
            "10.0.0.0/-1",
            "ftp://a",
            "a.test:x",
            "a b",
        ] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn loopback_by_name() {
        for (host, loopback) in [
            ("localhost", true),
            ("127.0.0.1:5000", true),
            ("[::1]", true),
            ("localhost.example.com", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(is_loopback(host), loopback, "{host}");
        }
    }
}
