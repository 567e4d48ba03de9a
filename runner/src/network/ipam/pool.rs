//! Which range a network gets when it does not name one.

use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::super::AddressPool;

/// Docker's default pools: 172.17 to 172.31 in /16 pieces, then 192.168 in /20 pieces.
pub(in crate::network) fn default_pools() -> Vec<AddressPool> {
    let pool = |octets: [u8; 4], prefix: u8, size: u8| AddressPool {
        base: IpNet::V4(Ipv4Net::new_assert(octets.into(), prefix)),
        size,
    };
    vec![
        pool([172, 17, 0, 0], 16, 16),
        pool([172, 18, 0, 0], 16, 16),
        pool([172, 19, 0, 0], 16, 16),
        pool([172, 20, 0, 0], 14, 16),
        pool([172, 24, 0, 0], 14, 16),
        pool([172, 28, 0, 0], 14, 16),
        pool([192, 168, 0, 0], 16, 20),
    ]
}

/// Whether the two ranges share an address.
fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// Whether `net` shares an address with any of `taken`.
pub(in crate::network) fn overlaps_any(net: &IpNet, taken: &[IpNet]) -> bool {
    taken.iter().any(|other| overlap(net, other))
}

/// The first piece of the pools that meets nothing in `taken` (networks, routes of this host,
/// nameservers).
pub(in crate::network) fn choose_ipv4(pools: &[AddressPool], taken: &[IpNet]) -> Option<IpNet> {
    pools
        .iter()
        .filter(|pool| pool.base.addr().is_ipv4())
        .find_map(|pool| first_free(pool, taken))
}

/// The same for IPv6, falling back to a unique local prefix (RFC 4193) of this agent.
///
/// `seed` makes the fallback's 40 random bits: the same agent finds the same prefix again.
pub(in crate::network) fn choose_ipv6(
    pools: &[AddressPool],
    taken: &[IpNet],
    seed: u64,
) -> Option<IpNet> {
    let global_id = u128::from(seed >> 24) << 80;
    let prefix = Ipv6Addr::from_bits((0xfd_u128 << 120) | global_id);
    let own = AddressPool {
        base: IpNet::V6(Ipv6Net::new_assert(prefix, 48)),
        size: 64,
    };
    pools
        .iter()
        .filter(|pool| pool.base.addr().is_ipv6())
        .chain([&own])
        .find_map(|pool| first_free(pool, taken))
}

fn first_free(pool: &AddressPool, taken: &[IpNet]) -> Option<IpNet> {
    // A pool whose pieces would be larger than itself has none.
    let mut pieces = pool.base.trunc().subnets(pool.size).ok()?;
    pieces.find(|piece| !overlaps_any(piece, taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn pools_are_tried_in_dockers_order() {
        for (taken, expected) in [
            (&[][..], "172.17.0.0/16"),
            (&["172.17.0.0/16"], "172.18.0.0/16"),
            (&["172.17.4.0/24", "172.16.0.0/14"], "172.20.0.0/16"),
            (&["172.16.0.0/12"], "192.168.0.0/20"),
            (&["172.16.0.0/12", "192.168.1.0/24"], "192.168.16.0/20"),
            (&["10.0.0.0/8"], "172.17.0.0/16"),
        ] {
            let found = choose_ipv4(&default_pools(), &nets(taken));
            assert_eq!(found, Some(expected.parse().unwrap()), "{taken:?}");
        }
        let all = nets(&["172.16.0.0/12", "192.168.0.0/16"]);
        assert_eq!(choose_ipv4(&default_pools(), &all), None);
    }

    #[test]
    fn a_piece_larger_than_its_pool_is_no_choice() {
        let pools = [AddressPool {
            base: "10.0.0.0/24".parse().unwrap(),
            size: 16,
        }];
        assert_eq!(choose_ipv4(&pools, &[]), None);
    }

    #[test]
    fn ipv6_falls_back_to_a_stable_unique_local_prefix() {
        let first = choose_ipv6(&[], &[], 0x0123_4567_89ab_cdef).unwrap();
        assert_eq!(first, "fd01:2345:6789::/64".parse().unwrap());
        let second = choose_ipv6(&[], &[first], 0x0123_4567_89ab_cdef).unwrap();
        assert_eq!(second, "fd01:2345:6789:1::/64".parse().unwrap());
    }
}
