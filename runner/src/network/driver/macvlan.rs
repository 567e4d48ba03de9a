//! `macvlan` and `ipvlan`: the container gets a link of its own on a link of this host.
//!
//! Nothing is translated and nothing published: the container is a neighbour of this host on
//! the parent's network. Without a parent the network is internal: a link without a cable
//! would be needed, which not every kernel has, so that is refused.

use std::os::fd::{AsFd as _, AsRawFd as _};

use futures_util::future::BoxFuture;
use rtnetlink::packet_route::link::{IpVlanMode, MacVlanMode};
use rtnetlink::{LinkIpVlan, LinkMacVlan};

use super::{Driver, Joining, Site, configure_inside, enter, mtu, route_by_gateways};
use crate::network::link::Links;
use crate::network::{DriverName, Endpoint, Netns, NetworkError, NetworkSpec};

/// Both drivers put a link on a parent; only the kind of link differs.
#[derive(Debug)]
pub(super) struct OnParent {
    name: DriverName,
    mode_option: &'static str,
}

const PARENT: &str = "parent";

impl OnParent {
    pub(super) const MACVLAN: Self = Self {
        name: DriverName::Macvlan,
        mode_option: "macvlan_mode",
    };
    pub(super) const IPVLAN: Self = Self {
        name: DriverName::Ipvlan,
        mode_option: "ipvlan_mode",
    };

    fn mode<'a>(&self, network: &'a NetworkSpec) -> Option<&'a str> {
        network.options.get(self.mode_option).map(String::as_str)
    }
}

fn macvlan_mode(text: Option<&str>) -> Result<MacVlanMode, NetworkError> {
    Ok(match text {
        None | Some("" | "bridge") => MacVlanMode::Bridge,
        Some("private") => MacVlanMode::Private,
        Some("vepa") => MacVlanMode::Vepa,
        Some("passthru") => MacVlanMode::Passthrough,
        Some(other) => {
            return Err(NetworkError::Invalid(format!(
                "unknown macvlan mode: {other}"
            )));
        }
    })
}

fn ipvlan_mode(text: Option<&str>) -> Result<IpVlanMode, NetworkError> {
    Ok(match text {
        None | Some("" | "l2") => IpVlanMode::L2,
        Some("l3") => IpVlanMode::L3,
        Some("l3s") => IpVlanMode::L3S,
        Some(other) => {
            return Err(NetworkError::Invalid(format!(
                "unknown ipvlan mode: {other}"
            )));
        }
    })
}

fn parent(network: &NetworkSpec) -> Result<&str, NetworkError> {
    network
        .options
        .get(PARENT)
        .map(String::as_str)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| {
            NetworkError::Invalid(format!(
                "the {} driver needs the option parent=LINK",
                network.driver
            ))
        })
}

impl Driver for OnParent {
    fn validate(&self, network: &NetworkSpec) -> Result<(), NetworkError> {
        parent(network)?;
        mtu(&network.options)?;
        if self.name == DriverName::Ipvlan {
            ipvlan_mode(self.mode(network)).map(drop)
        } else {
            macvlan_mode(self.mode(network)).map(drop)
        }
    }

    fn setup<'a>(&'a self, site: Site<'a>) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async move { site.links.index(parent(site.network)?).await.map(drop) })
    }

    fn teardown<'a>(&'a self, _site: Site<'a>) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async { Ok(()) })
    }

    fn attach<'a>(
        &'a self,
        site: Site<'a>,
        joining: Joining<'a>,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(self.attach_to(site, joining))
    }

    fn route<'a>(
        &'a self,
        site: Site<'a>,
        inside: &'a Links,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(self.route_out(site.network, inside, endpoint))
    }

    fn detach<'a>(
        &'a self,
        _site: Site<'a>,
        endpoint: &'a Endpoint,
        netns: Option<&'a Netns>,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async move {
            // The link has no end on this host: it is removed where it is, or has gone with
            // its namespace.
            match netns {
                Some(netns) => {
                    let inside = Links::inside(netns, || Ok(())).await?;
                    inside.delete(&endpoint.interface).await
                }
                None => Ok(()),
            }
        })
    }
}

impl OnParent {
    async fn attach_to(&self, site: Site<'_>, joining: Joining<'_>) -> Result<(), NetworkError> {
        let network = site.network;
        let endpoint = joining.endpoint;
        let parent = site.links.index(parent(network)?).await?;
        let netns = joining.netns.as_fd().as_raw_fd();
        let name = &endpoint.interface;
        let mut message = if self.name == DriverName::Ipvlan {
            let mode = ipvlan_mode(self.mode(network))?;
            LinkIpVlan::new(name, parent, mode)
                .setns_by_fd(netns)
                .build()
        } else {
            let mode = macvlan_mode(self.mode(network))?;
            let mut link = LinkMacVlan::new(name, parent, mode).setns_by_fd(netns);
            if let Some(mac) = endpoint.mac_address {
                link = link.address(mac.0.to_vec());
            }
            link.build()
        };
        if let Some(mtu) = mtu(&network.options)? {
            message
                .attributes
                .push(rtnetlink::packet_route::link::LinkAttribute::Mtu(mtu));
        }
        let step = format!("adding {} link {name}", self.name);
        site.links
            .add(message, &step)
            .await
            .map_err(|error| self.explain(error))?;
        let inside = enter(joining, |_| Ok(())).await?;
        configure_inside(&inside, joining).await?;
        if joining.default_route {
            self.route_out(network, &inside, endpoint).await?;
        }
        Ok(())
    }

    async fn route_out(
        &self,
        network: &NetworkSpec,
        inside: &Links,
        endpoint: &Endpoint,
    ) -> Result<(), NetworkError> {
        if !self.routes(network) {
            return route_by_gateways(inside, endpoint).await;
        }
        let index = inside.index(&endpoint.interface).await?;
        inside.replace_default_route_by_link(index).await
    }

    /// In ipvlan's layer 3 modes the parent routes for the container: there is no gateway to
    /// find on the link.
    fn routes(&self, network: &NetworkSpec) -> bool {
        self.name == DriverName::Ipvlan && matches!(self.mode(network), Some("l3" | "l3s"))
    }

    /// EOPNOTSUPP from the kernel means that it was built without this kind of link.
    fn explain(&self, error: NetworkError) -> NetworkError {
        match error {
            NetworkError::Kernel { reason, .. }
                if reason.raw_os_error() == Some(libc::EOPNOTSUPP) =>
            {
                NetworkError::Unsupported {
                    driver: self.name.as_str(),
                    what: "kernel support for its links",
                }
            }
            other => other,
        }
    }
}
