//! Which ports of this host are taken by our containers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::spec::PortProtocol;

/// Taken ports and where the search for a free one goes on.
#[derive(Debug, Default)]
pub(super) struct PortTable {
    taken: BTreeMap<(PortProtocol, u16), BTreeSet<IpAddr>>,
    /// The last ephemeral port offered first.
    cursor: Option<u16>,
}

impl PortTable {
    /// Takes a port unless somebody has it on that address, or on every address.
    pub(super) fn reserve(&mut self, protocol: PortProtocol, host: SocketAddr) -> bool {
        let addresses = self.taken.entry((protocol, host.port())).or_default();
        let meets = |other: &IpAddr| {
            other.is_ipv4() == host.is_ipv4()
                && (other.is_unspecified() || host.ip().is_unspecified() || *other == host.ip())
        };
        !addresses.iter().any(meets) && addresses.insert(host.ip())
    }

    pub(super) fn release(&mut self, protocol: PortProtocol, host: SocketAddr) {
        if let Some(addresses) = self.taken.get_mut(&(protocol, host.port())) {
            addresses.remove(&host.ip());
            if addresses.is_empty() {
                self.taken.remove(&(protocol, host.port()));
            }
        }
    }

    /// Every ephemeral port once, beginning behind the one offered first last time: a port just
    /// given up is not given to the next container at once.
    pub(super) fn ephemeral(&mut self, range: RangeInclusive<u16>) -> Vec<u16> {
        let (first, last) = range.into_inner();
        let start = match self.cursor {
            Some(cursor) if (first..last).contains(&cursor) => cursor + 1,
            _ => first,
        };
        self.cursor = Some(start);
        (start..=last).chain(first..start).collect()
    }
}

/// The kernel's `ip_local_port_range`, or its default where the text makes no sense.
pub(super) fn ephemeral_range(text: Option<&str>) -> RangeInclusive<u16> {
    let parsed = text.and_then(|text| {
        let mut numbers = text.split_whitespace().map(str::parse::<u16>);
        let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        (first > 0 && first <= last).then_some(first..=last)
    });
    parsed.unwrap_or(32768..=60999)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_address_meets_each_address_of_its_family() {
        for (held, wanted, free) in [
            ("0.0.0.0:80", "0.0.0.0:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", false),
            ("127.0.0.1:80", "0.0.0.0:80", false),
            ("127.0.0.1:80", "127.0.0.1:80", false),
            ("127.0.0.1:80", "127.0.0.2:80", true),
            ("0.0.0.0:80", "0.0.0.0:81", true),
            ("0.0.0.0:80", "[::]:80", true),
            ("[::]:80", "[::1]:80", false),
        ] {
            let mut table = PortTable::default();
            assert!(table.reserve(PortProtocol::Tcp, held.parse().unwrap()));
            let wanted = wanted.parse().unwrap();
            assert_eq!(
                table.reserve(PortProtocol::Tcp, wanted),
                free,
                "{held} {wanted}"
            );
            assert!(table.reserve(PortProtocol::Udp, wanted), "{held} {wanted}");
        }
    }

    #[test]
    fn a_released_port_is_free_again() {
        let mut table = PortTable::default();
        let host = "0.0.0.0:80".parse().unwrap();
        assert!(table.reserve(PortProtocol::Tcp, host));
        table.release(PortProtocol::Tcp, host);
        assert!(table.reserve(PortProtocol::Tcp, host));
    }

    #[test]
    fn ephemeral_ports_go_round() {
        let mut table = PortTable::default();
        assert_eq!(table.ephemeral(10..=12), [10, 11, 12]);
        assert_eq!(table.ephemeral(10..=12), [11, 12, 10]);
        assert_eq!(table.ephemeral(10..=12), [12, 10, 11]);
        assert_eq!(table.ephemeral(10..=12), [10, 11, 12]);
        assert_eq!(table.ephemeral(5..=5), [5]);
    }

    #[test]
    fn a_strange_range_falls_back_to_the_kernels_default() {
        assert_eq!(ephemeral_range(Some("40000\t40010\n")), 40000..=40010);
        for text in [
            None,
            Some(""),
            Some("5"),
            Some("9 5"),
            Some("0 9"),
            Some("a b"),
        ] {
            assert_eq!(ephemeral_range(text), 32768..=60999, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_range_with_ports_in_it(text in ".*") {
            prop_assert!(!ephemeral_range(Some(&text)).is_empty());
        }
    }
}
