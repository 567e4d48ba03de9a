//! The text of our nft table, from what should be so.
//!
//! Pure. The whole table is replaced in one transaction whenever a network comes or goes, so
//! its text can be read from top to bottom here; ports come and go as elements of its maps.
//!
//! ```text
//!  packet from outside ─► prerouting: daddr local? ─► map published ─► DNAT
//!  packet from this host ─► output:   daddr local? ─► map published ─► DNAT
//!  forwarded ─► forward: established, same bridge, DNATed, outbound: accept;
//!                        anything else towards our bridges: drop
//!  leaving ─► postrouting: masquerade what leaves a bridge's subnet, came from 127/8,
//!                          or turns back into the bridge it came from (hairpin)
//! ```

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::spec::PortProtocol;

/// What one bridge network wants of the packet filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::network) struct BridgeRules {
    /// Link name of the bridge.
    pub(in crate::network) bridge: String,
    pub(in crate::network) subnets: Vec<IpNet>,
    /// Nothing enters or leaves.
    pub(in crate::network) internal: bool,
    /// Containers on it may talk to each other.
    pub(in crate::network) between_containers: bool,
    /// What leaves carries an address of this host.
    pub(in crate::network) masquerade: bool,
}

/// One published port: what arrives at `host` goes on to `container`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::network) struct Mapping {
    pub(in crate::network) protocol: PortProtocol,
    /// An unspecified address means every address of its family.
    pub(in crate::network) host: SocketAddr,
    /// Of the same family as `host`.
    pub(in crate::network) container: SocketAddr,
}

/// Everything our table says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::network) struct Ruleset {
    pub(in crate::network) table: String,
    pub(in crate::network) bridges: Vec<BridgeRules>,
    pub(in crate::network) mappings: Vec<Mapping>,
    /// Drop what this host would forward between links that are not ours. Set when it was us
    /// who turned forwarding on: a host that was no router must not become one.
    pub(in crate::network) guard_forwarding: bool,
}

/// Names of the four maps: every address or one address, IPv4 or IPv6.
const MAPS: [(&str, &str); 4] = [
    (
        "published4",
        "inet_proto . inet_service : ipv4_addr . inet_service",
    ),
    (
        "published4_at",
        "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
    ),
    (
        "published6",
        "inet_proto . inet_service : ipv6_addr . inet_service",
    ),
    (
        "published6_at",
        "ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service",
    ),
];

/// Marks the guard so that the next run of the agent finds it and keeps it.
pub(super) const GUARD_COMMENT: &str = "forwarding was off before";

/// Deleting a table that is not there is an error; adding one that is there is none.
pub(super) fn delete_table(table: &str) -> String {
    format!("add table inet {table}\ndelete table inet {table}\n")
}

impl Mapping {
    fn map(&self) -> &'static str {
        match (self.host.ip(), self.host.ip().is_unspecified()) {
            (IpAddr::V4(_), true) => MAPS[0].0,
            (IpAddr::V4(_), false) => MAPS[1].0,
            (IpAddr::V6(_), true) => MAPS[2].0,
            (IpAddr::V6(_), false) => MAPS[3].0,
        }
    }

    fn key(&self) -> String {
        let port = format!("{} . {}", self.protocol, self.host.port());
        if self.host.ip().is_unspecified() {
            port
        } else {
            format!("{} . {port}", self.host.ip())
        }
    }

    /// The command that makes this element of its map.
    pub(super) fn add(&self, table: &str) -> String {
        let (map, key) = (self.map(), self.key());
        let (address, port) = (self.container.ip(), self.container.port());
        format!("add element inet {table} {map} {{ {key} : {address} . {port} }}\n")
    }

    pub(super) fn delete(&self, table: &str) -> String {
        let (map, key) = (self.map(), self.key());
        format!("delete element inet {table} {map} {{ {key} }}\n")
    }
}

impl Ruleset {
    /// One transaction that replaces the table, whatever it held before.
    pub(super) fn text(&self) -> String {
        let table = &self.table;
        let mut lines = vec![format!("table inet {table} {{")];
        self.sets(&mut lines);
        lines.push(DESTINATION_NAT.to_owned());
        self.source_nat(&mut lines);
        lines.push(SPOOFING.to_owned());
        self.forward(&mut lines);
        lines.push("}\n".to_owned());
        let mappings = self.mappings.iter().map(|mapping| mapping.add(table));
        [delete_table(table), lines.join("\n")]
            .into_iter()
            .chain(mappings)
            .collect()
    }

    fn sets(&self, lines: &mut Vec<String>) {
        lines.push("  set bridges {\n    type ifname".to_owned());
        if !self.bridges.is_empty() {
            let names: Vec<String> = self
                .bridges
                .iter()
                .map(|rules| format!("\"{}\"", rules.bridge))
                .collect();
            lines.push(format!("    elements = {{ {} }}", names.join(", ")));
        }
        lines.push("  }".to_owned());
        let maps = MAPS.map(|(name, kind)| format!("  map {name} {{ type {kind}; }}"));
        lines.extend(maps);
    }

    fn source_nat(&self, lines: &mut Vec<String>) {
        lines.push("  chain postrouting {".to_owned());
        lines.push("    type nat hook postrouting priority 100; policy accept;".to_owned());
        for rules in &self.bridges {
            let bridge = &rules.bridge;
            for subnet in &rules.subnets {
                let from = format!("    {} saddr {subnet}", family(subnet));
                if rules.masquerade && !rules.internal {
                    lines.push(format!("{from} oifname != \"{bridge}\" masquerade"));
                }
                lines.push(format!(
                    "{from} oifname \"{bridge}\" ct status dnat masquerade"
                ));
            }
            lines.push(format!(
                "    ip saddr 127.0.0.0/8 oifname \"{bridge}\" masquerade"
            ));
        }
        lines.push("  }".to_owned());
    }

    fn forward(&self, lines: &mut Vec<String>) {
        lines.push("  chain forward {".to_owned());
        lines.push("    type filter hook forward priority 0; policy accept;".to_owned());
        for rules in &self.bridges {
            let bridge = &rules.bridge;
            let within = format!("    iifname \"{bridge}\" oifname \"{bridge}\"");
            let verdict = if rules.between_containers {
                "accept"
            } else {
                "drop"
            };
            lines.push(format!("{within} ct status dnat accept"));
            lines.push(format!("{within} {verdict}"));
            if rules.internal {
                lines.push(format!("    iifname \"{bridge}\" drop"));
                lines.push(format!("    oifname \"{bridge}\" drop"));
            }
        }
        lines.push(FORWARD_ANY_BRIDGE.to_owned());
        if self.guard_forwarding {
            lines.push(format!("    drop comment \"{GUARD_COMMENT}\""));
        }
        lines.push("  }".to_owned());
    }
}

/// A packet for 127/8 that comes over a link is forged: only this host's own output may reach
/// ports published on loopback. The kernel cannot translate `::1` at all: the relay serves it.
const DESTINATION_NAT: &str = "  chain published {
    dnat ip to ip daddr . meta l4proto . th dport map @published4_at
    dnat ip to meta l4proto . th dport map @published4
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6_at
    dnat ip6 to meta l4proto . th dport map @published6
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    ip daddr 127.0.0.0/8 return
    fib daddr type local jump published
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ip6 daddr ::1 return
    fib daddr type local jump published
  }";

/// `route_localnet` on a bridge lets 127/8 through it (CVE-2020-8558): the host's own output
/// needs that, nobody on the bridge may use it.
const SPOOFING: &str = "  chain spoofing {
    type filter hook prerouting priority -300; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop
    iifname @bridges ip saddr 127.0.0.0/8 drop
  }";

/// What holds for every bridge alike, after the rules of each.
const FORWARD_ANY_BRIDGE: &str = "    iifname @bridges ct state established,related accept
    oifname @bridges ct state established,related accept
    oifname @bridges ct status dnat accept
    oifname @bridges drop
    iifname @bridges accept";

fn family(subnet: &IpNet) -> &'static str {
    match subnet {
        IpNet::V4(_) => "ip",
        IpNet::V6(_) => "ip6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruleset() -> Ruleset {
        Ruleset {
            table: "hythe".to_owned(),
            bridges: vec![BridgeRules {
                bridge: "hythe0".to_owned(),
                subnets: vec!["172.17.0.0/16".parse().unwrap()],
                internal: false,
                between_containers: true,
                masquerade: true,
            }],
            ..Ruleset::default()
        }
    }

    /// The lines of one chain, without indentation.
    fn chain(text: &str, name: &str) -> Vec<String> {
        text.lines()
            .map(str::trim)
            .skip_while(|line| *line != format!("chain {name} {{"))
            .skip(2)
            .take_while(|line| *line != "}")
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn the_table_is_replaced_in_one_transaction() {
        let text = ruleset().text();
        assert!(
            text.starts_with("add table inet hythe\ndelete table inet hythe\ntable inet hythe {\n")
        );
        assert!(text.contains("elements = { \"hythe0\" }"));
    }

    #[test]
    fn without_networks_the_set_of_bridges_is_empty() {
        let mut ruleset = ruleset();
        ruleset.bridges.clear();
        assert!(!ruleset.text().contains("elements"));
    }

    #[test]
    fn forwarding_ends_with_a_drop_towards_our_bridges() {
        assert_eq!(
            chain(&ruleset().text(), "forward"),
            [
                "iifname \"hythe0\" oifname \"hythe0\" ct status dnat accept",
                "iifname \"hythe0\" oifname \"hythe0\" accept",
                "iifname @bridges ct state established,related accept",
                "oifname @bridges ct state established,related accept",
                "oifname @bridges ct status dnat accept",
                "oifname @bridges drop",
                "iifname @bridges accept",
            ]
        );
    }

    #[test]
    fn options_of_a_network_change_only_its_rules() {
        for (change, chain_name, present, absent) in [
            (
                (|r: &mut Ruleset| r.bridges[0].internal = true) as fn(&mut Ruleset),
                "forward",
                "iifname \"hythe0\" drop",
                "",
            ),
            (
                |r| r.bridges[0].between_containers = false,
                "forward",
                "iifname \"hythe0\" oifname \"hythe0\" drop",
                "iifname \"hythe0\" oifname \"hythe0\" accept",
            ),
            (
                |r| r.bridges[0].masquerade = false,
                "postrouting",
                "ip saddr 172.17.0.0/16 oifname \"hythe0\" ct status dnat masquerade",
                "ip saddr 172.17.0.0/16 oifname != \"hythe0\" masquerade",
            ),
            (
                |r| r.guard_forwarding = true,
                "forward",
                "drop comment \"forwarding was off before\"",
                "",
            ),
        ] {
            let mut ruleset = ruleset();
            change(&mut ruleset);
            let rules = chain(&ruleset.text(), chain_name);
            assert!(rules.iter().any(|r| r == present), "{present}: {rules:?}");
            assert!(rules.iter().all(|r| r != absent), "{absent}: {rules:?}");
        }
    }

    #[test]
    fn mappings_are_elements_of_the_map_for_their_address() {
        for (protocol, host, container, expected) in [
            (
                PortProtocol::Tcp,
                "0.0.0.0:8080",
                "172.17.0.2:80",
                "published4 { tcp . 8080 : 172.17.0.2 . 80 }",
            ),
            (
                PortProtocol::Udp,
                "127.0.0.1:53",
                "172.17.0.2:5353",
                "published4_at { 127.0.0.1 . udp . 53 : 172.17.0.2 . 5353 }",
            ),
            (
                PortProtocol::Tcp,
                "[::]:8080",
                "[fd00::2]:80",
                "published6 { tcp . 8080 : fd00::2 . 80 }",
            ),
            (
                PortProtocol::Sctp,
                "[2001:db8::1]:9",
                "[fd00::2]:9",
                "published6_at { 2001:db8::1 . sctp . 9 : fd00::2 . 9 }",
            ),
        ] {
            let mapping = Mapping {
                protocol,
                host: host.parse().unwrap(),
                container: container.parse().unwrap(),
            };
            assert_eq!(
                mapping.add("hythe"),
                format!("add element inet hythe {expected}\n")
            );
            let key = expected.split(" : ").next().unwrap();
            assert_eq!(
                mapping.delete("hythe"),
                format!("delete element inet hythe {key} }}\n")
            );
        }
    }
}
