//! Noticing that somebody else changed the packet filter.
//!
//! The kernel tells of every change of its tables (`NFNLGRP_NFTABLES`). Two of them concern us:
//! our table is gone (`nft flush ruleset`, `systemctl restart nftables`), or a `FORWARD` chain of
//! iptables changed, with which our accept rules may have gone.

use std::io;

use rtnetlink::sys::protocols::NETLINK_NETFILTER;
use rtnetlink::sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};

use super::super::netfilter::{self, Message};

/// `NFNLGRP_NFTABLES` as a bit of the address' group mask.
const GROUP_MASK: u32 = 1 << 6;
/// `NFNL_SUBSYS_NFTABLES` in the upper byte.
const SUBSYSTEM: u16 = 10 << 8;
/// `NFT_MSG_*` of `linux/netfilter/nf_tables.h`.
const DELETED_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const DELETED_CHAIN: u16 = SUBSYSTEM | 5;
const DELETED_RULE: u16 = SUBSYSTEM | 8;
/// `NFTA_TABLE_NAME`, `NFTA_CHAIN_TABLE` and `NFTA_RULE_TABLE` are all the first attribute.
const TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const RULE_CHAIN: u16 = 2;

/// A change that may need repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::network) enum Change {
    /// A table of our name was deleted, perhaps by ourselves to write it anew.
    OwnTable,
    /// A chain of iptables that decides about forwarding.
    Forward,
}

/// A subscription to changes.
pub(in crate::network) struct Watch {
    socket: TokioSocket,
    table: String,
}

impl Watch {
    /// Subscribes in the calling thread's namespace.
    pub(in crate::network) fn new(table: String) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
        socket.socket_mut().bind(&SocketAddr::new(0, GROUP_MASK))?;
        Ok(Self { socket, table })
    }

    /// Waits for the next change that concerns us.
    pub(in crate::network) async fn next(&mut self) -> io::Result<Change> {
        loop {
            match self.socket.recv_from_full().await {
                Ok((bytes, _)) => {
                    let changes = netfilter::messages(&bytes);
                    if let Some(change) = changes.filter_map(|m| self.concern(&m)).max() {
                        return Ok(change);
                    }
                }
                // More happened than the socket's buffer holds: anything may have.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Ok(Change::Forward);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn concern(&self, message: &Message<'_>) -> Option<Change> {
        let table = netfilter::text(message.attributes, TABLE)?;
        let chain = match message.kind {
            DELETED_TABLE if table == self.table => return Some(Change::OwnTable),
            NEW_CHAIN | DELETED_CHAIN => CHAIN_NAME,
            DELETED_RULE => RULE_CHAIN,
            _ => return None,
        };
        let is_forward = netfilter::text(message.attributes, chain) == Some("FORWARD");
        (table == "filter" && is_forward).then_some(Change::Forward)
    }
}
