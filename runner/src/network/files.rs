//! The text of `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname` inside a container.
//!
//! Pure: `engine` reads the host's file, writes the results, and knows where they go.

use std::net::IpAddr;

/// Where a user-defined network's containers ask for names.
pub const EMBEDDED_DNS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 11));

/// What decides a container's `/etc/resolv.conf`.
#[derive(Debug, Clone, Default)]
pub struct ResolvConf<'a> {
    /// Text of the host's own file; empty when it has none.
    pub host: &'a str,
    /// `--dns`; replaces the host's nameservers.
    pub nameservers: &'a [IpAddr],
    /// `--dns-search`; replaces the host's, a single `.` clears it.
    pub search: &'a [String],
    /// `--dns-option`; replaces the host's.
    pub options: &'a [String],
    /// The container asks [`EMBEDDED_DNS`], which forwards to [`ResolvConf::upstream`].
    pub embedded: bool,
    /// The container shares this host's network, so loopback nameservers work.
    pub host_network: bool,
    pub ipv6: bool,
}

impl ResolvConf<'_> {
    /// The file's text.
    pub fn text(&self) -> String {
        todo!()
    }

    /// Where the embedded server forwards to; goes into [`EndpointRequest::resolvers`].
    ///
    /// [`EndpointRequest::resolvers`]: super::EndpointRequest::resolvers
    pub fn upstream(&self) -> Vec<IpAddr> {
        todo!()
    }
}

/// What decides a container's `/etc/hosts`.
#[derive(Debug, Clone, Default)]
pub struct Hosts<'a> {
    pub hostname: &'a str,
    pub domainname: &'a str,
    /// The container's own addresses.
    pub addresses: &'a [IpAddr],
    /// `--add-host`, as `name:address`; the address may be `host-gateway`.
    pub extra: &'a [String],
    /// What `host-gateway` stands for.
    pub host_gateway: Option<IpAddr>,
    pub ipv6: bool,
}

impl Hosts<'_> {
    /// The file's text.
    pub fn text(&self) -> Result<String, super::NetworkError> {
        todo!()
    }
}

/// Text of `/etc/hostname`.
pub fn hostname(name: &str) -> String {
    format!("{name}\n")
}
