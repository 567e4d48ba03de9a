//! Who makes the links of a network.
//!
//! Drivers know links, addresses and switches of the kernel. They do not know names, ports or
//! the packet filter: those are the same for every driver and belong to `Networks`.

mod bridge;
mod macvlan;
mod null;

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

pub(super) use bridge::{BridgeOptions, bridge_name, is_link_name};

use super::link::Links;
use super::{DriverName, Endpoint, LinkSwitch, Netns, NetworkError, NetworkSettings, NetworkSpec};

/// What every driver can do. All verbs but `validate` are idempotent: after a crash or a
/// restart they are simply called again.
pub(super) trait Driver: Sync {
    /// Refuses what the driver cannot make, before anything is touched.
    fn validate(&self, network: &NetworkSpec) -> Result<(), NetworkError>;

    /// Makes what the network needs on this host, or repairs it.
    fn setup<'a>(&'a self, site: Site<'a>) -> BoxFuture<'a, Result<(), NetworkError>>;

    /// Takes it away.
    fn teardown<'a>(&'a self, site: Site<'a>) -> BoxFuture<'a, Result<(), NetworkError>>;

    /// Gives a container its link, address and routes.
    fn attach<'a>(
        &'a self,
        site: Site<'a>,
        joining: Joining<'a>,
    ) -> BoxFuture<'a, Result<(), NetworkError>>;

    /// Sends what has no better route through the endpoint, from inside the container.
    fn route<'a>(
        &'a self,
        site: Site<'a>,
        inside: &'a Links,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>>;

    /// Takes the link away. `netns` is the container's namespace, if it is still known.
    fn detach<'a>(
        &'a self,
        site: Site<'a>,
        endpoint: &'a Endpoint,
        netns: Option<&'a Netns>,
    ) -> BoxFuture<'a, Result<(), NetworkError>>;
}

/// Where a driver works: this host's links, the agent's settings, the network in question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) links: &'a Links,
    pub(super) settings: &'a NetworkSettings,
    pub(super) network: &'a NetworkSpec,
}

/// The container that is being attached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joining<'a> {
    /// Addresses and names are chosen already.
    pub(super) endpoint: &'a Endpoint,
    pub(super) netns: &'a Netns,
    pub(super) switches: &'a [LinkSwitch],
    pub(super) default_route: bool,
}

/// The driver of that name.
pub(super) fn driver(name: DriverName) -> &'static dyn Driver {
    match name {
        DriverName::Bridge => &bridge::Bridge,
        DriverName::Host | DriverName::Null => &null::Null,
        DriverName::Macvlan => &macvlan::OnParent::MACVLAN,
        DriverName::Ipvlan => &macvlan::OnParent::IPVLAN,
    }
}

/// Docker's option for the MTU of a network's links, on any driver.
const MTU_OPTION: &str = "com.docker.network.driver.mtu";

/// The MTU that the options ask for.
fn mtu(options: &BTreeMap<String, String>) -> Result<Option<u32>, NetworkError> {
    let Some(text) = options.get(MTU_OPTION) else {
        return Ok(None);
    };
    match text.parse::<u32>() {
        // 68 is the least that IPv4 allows (RFC 791).
        Ok(0) => Ok(None),
        Ok(mtu @ 68..=65_535) => Ok(Some(mtu)),
        _ => Err(NetworkError::Invalid(format!("invalid MTU: {text}"))),
    }
}

/// A boolean option as Docker's parser takes it.
fn flag(
    options: &BTreeMap<String, String>,
    name: &str,
    default: bool,
) -> Result<bool, NetworkError> {
    match options.get(name).map(String::as_str) {
        None | Some("") => Ok(default),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(text) => Err(NetworkError::Invalid(format!(
            "invalid value for {name}: {text}"
        ))),
    }
}

/// Opens the namespace that a link has just been put into and sets the link's switches: those of
/// the driver, then those that were asked for.
async fn enter(
    joining: Joining<'_>,
    of_driver: impl FnOnce(&Endpoint) -> Result<(), NetworkError> + Send + 'static,
) -> Result<Links, NetworkError> {
    let endpoint = joining.endpoint.clone();
    let switches = joining.switches.to_vec();
    Links::inside(joining.netns, move || {
        of_driver(&endpoint)?;
        let mut switches = switches.iter();
        switches.try_for_each(|switch| switch.set(&endpoint.interface))
    })
    .await
}

/// What all link drivers do once their link is inside: addresses, and up.
async fn configure_inside(inside: &Links, joining: Joining<'_>) -> Result<(), NetworkError> {
    let endpoint = joining.endpoint;
    let index = inside.index(&endpoint.interface).await?;
    let link_local = endpoint.link_local_nets();
    for address in endpoint.interface_nets().into_iter().chain(link_local) {
        inside.add_address(index, address).await?;
    }
    inside.set_up(index).await
}

/// A default route for each family that has a gateway.
async fn route_by_gateways(inside: &Links, endpoint: &Endpoint) -> Result<(), NetworkError> {
    let index = inside.index(&endpoint.interface).await?;
    for gateway in endpoint.gateways() {
        inside.replace_default_route(index, gateway).await?;
    }
    Ok(())
}
