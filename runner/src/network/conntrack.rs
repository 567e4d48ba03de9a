//! Forgetting flows that the kernel translated for a container that is gone, or did not
//! translate because the container was not there yet.
//!
//! A UDP flow has no end: a client that keeps sending from one port keeps its entry alive, and
//! rules are asked only for new entries. Without this a restarted syslog or VPN container
//! would never hear again from the clients it had. TCP needs nothing of the kind: the flow breaks
//! and the client connects anew. Messages: `linux/netfilter/nfnetlink_conntrack.h`.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rtnetlink::sys::protocols::NETLINK_NETFILTER;
use rtnetlink::sys::{Socket, SocketAddr as NetlinkAddress};

use super::netfilter::{self, Message, attribute};

/// `NFNL_SUBSYS_CTNETLINK` in the upper byte, and its messages.
const NEW: u16 = 1 << 8;
const GET: u16 = NEW | 1;
const DELETE: u16 = NEW | 2;
/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
/// `CTA_*`.
const TUPLE_ORIGINAL: u16 = 1;
const ID: u16 = 12;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const IPV4_DESTINATION: u16 = 2;
const IPV6_DESTINATION: u16 = 4;
const PROTOCOL_NUMBER: u16 = 1;
const DESTINATION_PORT: u16 = 3;
const NESTED: u16 = 0x8000;

const UDP: u8 = 17;

/// Forgets every UDP flow that `is_stale` by where its first packet was sent to.
///
/// Blocks for as long as the kernel takes to list its flows.
pub(super) fn forget_udp(is_stale: impl Fn(SocketAddr) -> bool) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&NetlinkAddress::new(0, 0))?;
    let mut stale = Vec::new();
    // AF_UNSPEC lists both families.
    socket.send(&netfilter::request(GET, NLM_F_DUMP, 0, &[]), 0)?;
    'dump: loop {
        let (bytes, _) = socket.recv_from_full()?;
        for message in netfilter::messages(&bytes) {
            match message.kind {
                DONE | ERROR => break 'dump,
                NEW if udp_destination(&message).is_some_and(&is_stale) => {
                    stale.extend(delete_request(&message));
                }
                _ => {}
            }
        }
    }
    for request in stale {
        socket.send(&request, 0)?;
        // The acknowledgement; "not found" means that the flow ended by itself.
        socket.recv_from_full()?;
    }
    Ok(())
}

/// Where the first packet of a UDP flow was sent to.
fn udp_destination(message: &Message<'_>) -> Option<SocketAddr> {
    let tuple = attribute(message.attributes, TUPLE_ORIGINAL)?;
    let protocol = attribute(tuple, TUPLE_PROTOCOL)?;
    if attribute(protocol, PROTOCOL_NUMBER)? != [UDP] {
        return None;
    }
    let port = u16::from_be_bytes(attribute(protocol, DESTINATION_PORT)?.try_into().ok()?);
    let addresses = attribute(tuple, TUPLE_IP)?;
    let address: IpAddr = if let Some(ipv4) = attribute(addresses, IPV4_DESTINATION) {
        <[u8; 4]>::try_from(ipv4).ok()?.into()
    } else {
        let ipv6 = attribute(addresses, IPV6_DESTINATION)?;
        <[u8; 16]>::try_from(ipv6).ok()?.into()
    };
    Some(SocketAddr::new(address, port))
}

/// Names the flow by its own tuple and id, so that a successor is never hit.
fn delete_request(message: &Message<'_>) -> Option<Vec<u8>> {
    let tuple = attribute(message.attributes, TUPLE_ORIGINAL)?;
    let id = attribute(message.attributes, ID)?;
    let attributes = [(TUPLE_ORIGINAL | NESTED, tuple), (ID, id)];
    Some(netfilter::request(
        DELETE,
        NLM_F_ACK,
        message.family,
        &attributes,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attributes alone, as they stand inside another.
    fn nested(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        netfilter::request(0, 0, 0, attributes)[20..].to_vec()
    }

    fn flow(protocol: u8, addresses: &[(u16, &[u8])], port: [u8; 2]) -> Vec<u8> {
        let protocol = nested(&[(PROTOCOL_NUMBER, &[protocol]), (DESTINATION_PORT, &port)]);
        let addresses = nested(addresses);
        let tuple = nested(&[
            (TUPLE_IP | NESTED, &addresses),
            (TUPLE_PROTOCOL | NESTED, &protocol),
        ]);
        let attributes = [(TUPLE_ORIGINAL | NESTED, &tuple[..]), (ID, &[1, 2, 3, 4])];
        netfilter::request(NEW, 0, 2, &attributes)
    }

    #[test]
    fn udp_flows_are_known_by_their_first_destination() {
        let ipv6 = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        for (bytes, expected) in [
            (
                flow(UDP, &[(1, &[10, 0, 0, 2]), (2, &[10, 0, 0, 1])], [0, 53]),
                Some("10.0.0.1:53"),
            ),
            (
                flow(UDP, &[(4, &ipv6)], [0x1f, 0x90]),
                Some("[fd00::9]:8080"),
            ),
            (flow(6, &[(2, &[10, 0, 0, 1])], [0, 53]), None),
            (flow(UDP, &[(2, &[10, 0, 0])], [0, 53]), None),
            (flow(UDP, &[], [0, 53]), None),
        ] {
            let message = netfilter::messages(&bytes).next().unwrap();
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(udp_destination(&message), expected);
            assert!(delete_request(&message).is_some());
        }
    }
}
