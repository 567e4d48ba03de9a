//! Links, addresses and routes of one network namespace, through rtnetlink(7).
//!
//! Verbs only, no policy: which links there should be is the drivers' business. Every verb that
//! makes something says so in its error; those that take away treat "already gone" as done.

mod reading;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkMessage};
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::{
    LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use tokio::task::AbortHandle;

pub(in crate::network) use self::reading::Link;
use self::reading::{address_of, destination, failed, is_gone, os_error, refused};
use super::{MacAddress, Netns, NetworkError};
use crate::sys::netns::in_netns;

/// A netlink socket in one namespace. Cheap to clone; the last clone closes it.
#[derive(Debug, Clone)]
pub(in crate::network) struct Links {
    handle: rtnetlink::Handle,
    _connection: Arc<Connection>,
}

/// The task that reads the socket.
#[derive(Debug)]
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A pair of Ethernet links, one end here and one in a container.
#[derive(Debug, Clone, Copy)]
pub(in crate::network) struct Veth<'a> {
    pub(in crate::network) name: &'a str,
    /// Index of the bridge the near end becomes a port of.
    pub(in crate::network) bridge: u32,
    pub(in crate::network) peer_name: &'a str,
    pub(in crate::network) peer_mac: MacAddress,
    pub(in crate::network) mtu: Option<u32>,
    pub(in crate::network) netns: &'a Netns,
}

/// Modes of a bridge port, bridge(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::network) enum BridgePort {
    Isolated,
    Hairpin,
}

impl Links {
    /// Those of the calling thread's namespace.
    pub(in crate::network) fn here() -> Result<Self, NetworkError> {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(failed("opening a netlink socket"))?;
        Ok(Self::with(connection_task(connection), handle))
    }

    /// Those of another namespace. `prepare` runs inside it first.
    pub(in crate::network) async fn inside(
        netns: &Netns,
        prepare: impl FnOnce() -> Result<(), NetworkError> + Send + 'static,
    ) -> Result<Self, NetworkError> {
        let runtime = tokio::runtime::Handle::current();
        let (connection, handle, prepared) = in_netns(netns.clone(), move || {
            let prepared = prepare();
            let _runtime = runtime.enter();
            let (connection, handle, _) = rtnetlink::new_connection()?;
            Ok((connection, handle, prepared))
        })
        .await
        .map_err(failed("opening a netlink socket in the container"))?;
        prepared?;
        Ok(Self::with(connection_task(connection), handle))
    }

    fn with(task: AbortHandle, handle: rtnetlink::Handle) -> Self {
        Self {
            handle,
            _connection: Arc::new(Connection(task)),
        }
    }

    /// The link with this name, if there is one.
    pub(in crate::network) async fn find(&self, name: &str) -> Result<Option<Link>, NetworkError> {
        let mut found = self
            .handle
            .link()
            .get()
            .match_name(name.to_owned())
            .execute();
        match found.try_next().await {
            Ok(message) => Ok(message.map(Link::from)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(refused(format!("looking up link {name}"))(error)),
        }
    }

    /// The index of a link that must be there.
    pub(in crate::network) async fn index(&self, name: &str) -> Result<u32, NetworkError> {
        self.find(name)
            .await?
            .map(|link| link.index)
            .ok_or_else(|| NetworkError::Kernel {
                step: format!("looking up link {name}"),
                reason: io::Error::from_raw_os_error(libc::ENODEV),
            })
    }

    /// Every link of the namespace.
    pub(in crate::network) async fn list(&self) -> Result<Vec<Link>, NetworkError> {
        self.handle
            .link()
            .get()
            .execute()
            .map_ok(Link::from)
            .try_collect()
            .await
            .map_err(refused("listing links"))
    }

    /// Makes a bridge, down, with an address of its own: without one it would take that of its
    /// lowest port and change it as ports come and go.
    pub(in crate::network) async fn add_bridge(
        &self,
        name: &str,
        mac: MacAddress,
        mtu: Option<u32>,
    ) -> Result<(), NetworkError> {
        let mut link = LinkBridge::new(name).address(mac.0.to_vec());
        if let Some(mtu) = mtu {
            link = link.mtu(mtu);
        }
        self.add(link.build(), &format!("adding bridge {name}"))
            .await
    }

    /// Makes a pair: the near end a port of its bridge, the far end born inside the container
    /// under its final name. Both are down.
    pub(in crate::network) async fn add_veth(&self, veth: Veth<'_>) -> Result<(), NetworkError> {
        let mut near = LinkVeth::new(veth.name, veth.peer_name).controller(veth.bridge);
        let mut far = LinkMessageBuilder::<LinkUnspec>::new()
            .name(veth.peer_name)
            .address(veth.peer_mac.0.to_vec())
            .setns_by_fd(veth.netns.as_fd().as_raw_fd());
        if let Some(mtu) = veth.mtu {
            near = near.mtu(mtu);
            far = far.mtu(mtu);
        }
        let near = near.set_info_data(InfoData::Veth(InfoVeth::Peer(far.build())));
        self.add(near.build(), &format!("adding veth {}", veth.name))
            .await
    }

    /// Makes whatever link `message` describes.
    pub(in crate::network) async fn add(
        &self,
        message: LinkMessage,
        step: &str,
    ) -> Result<(), NetworkError> {
        let added = self.handle.link().add(message).execute().await;
        added.map_err(refused(step))
    }

    pub(in crate::network) async fn set_up(&self, index: u32) -> Result<(), NetworkError> {
        let message = LinkUnspec::new_with_index(index).up().build();
        self.set(message, format!("bringing link {index} up")).await
    }

    pub(in crate::network) async fn set_alias(
        &self,
        index: u32,
        alias: &str,
    ) -> Result<(), NetworkError> {
        let message = LinkUnspec::new_with_index(index).alias(alias).build();
        self.set(message, format!("naming link {index}")).await
    }

    /// Waits until a link carries packets: the kernel notices that both ends of a veth pair are
    /// up a moment after they are, and a bridge drops what arrives before that.
    ///
    /// A link that takes longer than a tenth of a second (somebody took the far end down) is
    /// left alone: packets are sent again.
    pub(in crate::network) async fn wait_until_up(&self, name: &str) -> Result<(), NetworkError> {
        for _ in 0..100 {
            match self.find(name).await? {
                Some(link) if !link.up => tokio::time::sleep(Duration::from_millis(1)).await,
                Some(_) | None => return Ok(()),
            }
        }
        tracing::debug!(link = name, "still waiting for its carrier");
        Ok(())
    }

    /// Makes a link a port of a bridge.
    pub(in crate::network) async fn set_bridge(
        &self,
        index: u32,
        bridge: u32,
    ) -> Result<(), NetworkError> {
        let message = LinkUnspec::new_with_index(index).controller(bridge).build();
        self.set(message, format!("making link {index} a bridge port"))
            .await
    }

    /// Keeps a bridge port from talking to other ports that are isolated too, or lets it have
    /// its own packets back.
    pub(in crate::network) async fn set_port(
        &self,
        index: u32,
        port: BridgePort,
    ) -> Result<(), NetworkError> {
        let message = match port {
            BridgePort::Isolated => LinkBridgePort::new(index).isolated(true),
            BridgePort::Hairpin => LinkBridgePort::new(index).hairpin(true),
        };
        let set = self.handle.link().set_port(message.build()).execute().await;
        set.map_err(refused(format!("setting bridge port {index} {port:?}")))
    }

    async fn set(&self, message: LinkMessage, step: String) -> Result<(), NetworkError> {
        let set = self.handle.link().set(message).execute().await;
        set.map_err(refused(step))
    }

    /// Removes a link; none by that name is fine.
    pub(in crate::network) async fn delete(&self, name: &str) -> Result<(), NetworkError> {
        let by_name = LinkUnspec::new_with_name(name).build();
        match self.handle.link().del_with_message(by_name).execute().await {
            Err(error) if !is_gone(&error) => Err(refused(format!("removing link {name}"))(error)),
            _ => Ok(()),
        }
    }

    /// Gives a link an address; one that it has already is fine.
    pub(in crate::network) async fn add_address(
        &self,
        index: u32,
        address: IpNet,
    ) -> Result<(), NetworkError> {
        let mut request = self
            .handle
            .address()
            .add(index, address.addr(), address.prefix_len());
        if address.addr().is_ipv6() {
            // Addresses come from our own list: waiting a second for duplicate address
            // detection would only delay the container.
            let message = request.message_mut();
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        match request.execute().await {
            Err(error) if os_error(&error).raw_os_error() != Some(libc::EEXIST) => {
                Err(refused(format!("adding address {address}"))(error))
            }
            _ => Ok(()),
        }
    }

    /// The addresses a link has.
    pub(in crate::network) async fn addresses(
        &self,
        index: u32,
    ) -> Result<Vec<IpNet>, NetworkError> {
        let messages = self.address_messages().await?;
        let own = messages.iter().filter(|m| m.header.index == index);
        Ok(own.filter_map(address_of).collect())
    }

    /// Every address of the namespace.
    pub(in crate::network) async fn local_addresses(&self) -> Result<Vec<IpAddr>, NetworkError> {
        let messages = self.address_messages().await?;
        let nets = messages.iter().filter_map(address_of);
        Ok(nets.map(|net| net.addr()).collect())
    }

    async fn address_messages(&self) -> Result<Vec<AddressMessage>, NetworkError> {
        let found = self.handle.address().get().execute().try_collect().await;
        found.map_err(refused("listing addresses"))
    }

    /// Sends everything without a better route to `gateway`, instead of wherever it went.
    pub(in crate::network) async fn replace_default_route(
        &self,
        index: u32,
        gateway: IpAddr,
    ) -> Result<(), NetworkError> {
        let message = match gateway {
            IpAddr::V4(gateway) => RouteMessageBuilder::<Ipv4Addr>::new()
                .output_interface(index)
                .gateway(gateway)
                .build(),
            IpAddr::V6(gateway) => RouteMessageBuilder::<Ipv6Addr>::new()
                .output_interface(index)
                .gateway(gateway)
                .build(),
        };
        let added = self.handle.route().add(message).replace().execute().await;
        added.map_err(refused(format!("adding a default route to {gateway}")))
    }

    /// Sends everything without a better route out of the link itself.
    pub(in crate::network) async fn replace_default_route_by_link(
        &self,
        index: u32,
    ) -> Result<(), NetworkError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().output_interface(index);
        let added = self.handle.route().add(route.build()).replace().execute();
        added
            .await
            .map_err(refused("adding a default route by link"))
    }

    /// Destinations this namespace has routes for, the default route aside.
    pub(in crate::network) async fn routed(&self) -> Result<Vec<IpNet>, NetworkError> {
        let mut nets = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            let routes: Vec<RouteMessage> = self
                .handle
                .route()
                .get(message)
                .execute()
                .try_collect()
                .await
                .map_err(refused("listing routes"))?;
            nets.extend(routes.iter().filter_map(destination));
        }
        Ok(nets)
    }
}

fn connection_task(connection: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    tokio::spawn(connection).abort_handle()
}
