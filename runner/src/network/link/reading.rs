//! What comes back from rtnetlink, in our words. Pure.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage, State};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use super::super::NetworkError;

/// A link as the kernel shows it, as far as we care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::network) struct Link {
    pub(in crate::network) index: u32,
    pub(in crate::network) name: String,
    /// Index of the bridge it is a port of.
    pub(in crate::network) controller: Option<u32>,
    /// What we wrote beside it to recognise it.
    pub(in crate::network) alias: Option<String>,
    pub(in crate::network) kind: Option<InfoKind>,
    /// Whether it carries packets (RFC 2863 `ifOperStatus`).
    pub(in crate::network) up: bool,
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            controller: None,
            alias: None,
            kind: None,
            up: false,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Controller(index) => link.controller = Some(index),
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
                LinkAttribute::OperState(state) => link.up = state == State::Up,
                LinkAttribute::LinkInfo(parts) => {
                    link.kind = parts.into_iter().find_map(|part| match part {
                        LinkInfo::Kind(kind) => Some(kind),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        link
    }
}

pub(super) fn address_of(message: &AddressMessage) -> Option<IpNet> {
    let address = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    })?;
    IpNet::new(address, message.header.prefix_len).ok()
}

/// Where a unicast route leads, unless it is a default route.
pub(super) fn destination(message: &RouteMessage) -> Option<IpNet> {
    let prefix = message.header.destination_prefix_length;
    if prefix == 0 || message.header.kind != RouteType::Unicast {
        return None;
    }
    let address = message.attributes.iter().find_map(|a| match a {
        RouteAttribute::Destination(RouteAddress::Inet(a)) => Some(IpAddr::V4(*a)),
        RouteAttribute::Destination(RouteAddress::Inet6(a)) => Some(IpAddr::V6(*a)),
        _ => None,
    })?;
    IpNet::new(address, prefix).ok().map(|net| net.trunc())
}

pub(super) fn failed(step: impl Into<String>) -> impl FnOnce(io::Error) -> NetworkError {
    move |reason| NetworkError::Kernel {
        step: step.into(),
        reason,
    }
}

pub(super) fn refused(step: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> NetworkError {
    move |error| NetworkError::Kernel {
        step: step.into(),
        reason: os_error(&error),
    }
}

pub(super) fn os_error(error: &rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}

pub(super) fn is_gone(error: &rtnetlink::Error) -> bool {
    matches!(
        os_error(error).raw_os_error(),
        Some(libc::ENODEV | libc::ENOENT)
    )
}
