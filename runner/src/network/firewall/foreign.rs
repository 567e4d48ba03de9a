//! Living beside a firewall that drops what it does not know.
//!
//! An `accept` in our table does not overrule a `drop` elsewhere: every base chain on the
//! forward hook has its say. Where the host's `FORWARD` policy is `DROP` (ufw, dockerd, most
//! hardening guides) two rules per bridge are put at the top of that chain through `iptables`,
//! and where firewalld runs the bridge joins its `trusted` zone. Our own table still decides
//! what may really pass. A foreign *nft* table with such a policy cannot be adjusted without
//! knowing its author's intentions: that is reported, not changed.

use crate::sys::program;

/// What was found on this host, and so what each bridge needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::network) struct ForeignForward {
    /// Programs whose `FORWARD` chain has the policy `DROP`.
    iptables: Vec<&'static str>,
    firewalld: bool,
    /// Foreign nft chains, as `family table chain`, that drop what they do not know.
    unchangeable: Vec<String>,
}

/// Chains that belong to iptables on nft, and the program that may change each.
const IPTABLES_CHAINS: [(&str, &str); 2] = [
    ("ip filter FORWARD", "iptables-nft"),
    ("ip6 filter FORWARD", "ip6tables-nft"),
];

/// Names of the tables that old iptables has in the kernel. Asking the program itself would
/// load its modules on a host that does without them.
const LEGACY_TABLES: &str = "/proc/thread-self/net/ip_tables_names";

impl ForeignForward {
    /// Looks for other firewalls. Missing programs mean that there are none of their kind.
    pub(in crate::network) async fn detect() -> Self {
        let listing = program::run("nft", &["list", "chains"], "")
            .await
            .map(|done| done.stdout)
            .unwrap_or_default();
        let mut found = Self::from_nft(&listing);
        let legacy = std::fs::read_to_string(LEGACY_TABLES).unwrap_or_default();
        if legacy.lines().any(|table| table == "filter") {
            let listed = program::run("iptables-legacy", &["-w", "-S", "FORWARD"], "").await;
            if listed.is_ok_and(|done| drops_by_default(&done.stdout)) {
                found.iptables.push("iptables-legacy");
            }
        }
        found
    }

    /// What the output of `nft list chains` says.
    fn from_nft(listing: &str) -> Self {
        let mut found = Self {
            firewalld: listing
                .lines()
                .any(|l| l.starts_with("table inet firewalld ")),
            ..Self::default()
        };
        for chain in dropping_chains(listing) {
            match IPTABLES_CHAINS.iter().find(|(name, _)| *name == chain) {
                Some((_, program)) => found.iptables.push(program),
                None if chain.starts_with("inet firewalld ") => {}
                None => found.unchangeable.push(chain),
            }
        }
        found
    }

    /// Chains that will drop container traffic whatever we do.
    pub(in crate::network) fn unchangeable(&self) -> &[String] {
        &self.unchangeable
    }

    /// Lets `bridge` through the other firewalls. Idempotent.
    pub(in crate::network) async fn admit(&self, bridge: &str) {
        for name in &self.iptables {
            for direction in ["-i", "-o"] {
                if !has_rule(name, direction, bridge).await {
                    report(
                        name,
                        &["-w", "-I", "FORWARD", direction, bridge, "-j", "ACCEPT"],
                    )
                    .await;
                }
            }
        }
        if self.firewalld {
            let interface = format!("--add-interface={bridge}");
            report("firewall-cmd", &["--zone=trusted", &interface]).await;
        }
    }

    /// Takes back what [`admit`](Self::admit) did.
    pub(in crate::network) async fn dismiss(&self, bridge: &str) {
        for name in &self.iptables {
            for direction in ["-i", "-o"] {
                if has_rule(name, direction, bridge).await {
                    report(
                        name,
                        &["-w", "-D", "FORWARD", direction, bridge, "-j", "ACCEPT"],
                    )
                    .await;
                }
            }
        }
        if self.firewalld {
            let interface = format!("--remove-interface={bridge}");
            report("firewall-cmd", &["--zone=trusted", &interface]).await;
        }
    }
}

async fn has_rule(name: &str, direction: &str, bridge: &str) -> bool {
    let arguments = ["-w", "-C", "FORWARD", direction, bridge, "-j", "ACCEPT"];
    program::run(name, &arguments, "")
        .await
        .is_ok_and(|done| done.success)
}

/// Runs a change to someone else's firewall; a failure is worth a warning, no more.
async fn report(name: &str, arguments: &[&str]) {
    match program::run(name, arguments, "").await {
        Ok(done) if done.success => {}
        Ok(done) => tracing::warn!(
            program = name,
            ?arguments,
            stderr = done.stderr.trim(),
            "the host's firewall refused a rule; containers may not reach other hosts"
        ),
        Err(error) => tracing::warn!(program = name, %error, "cannot run the firewall program"),
    }
}

/// `iptables -S FORWARD` begins with the chain's policy.
fn drops_by_default(listing: &str) -> bool {
    listing.lines().any(|line| line == "-P FORWARD DROP")
}

/// Base chains on the forward hook with policy drop, as `family table chain`.
fn dropping_chains(listing: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut table, mut chain) = ("", "");
    for line in listing.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("table ") {
            table = rest.trim_end_matches(" {");
        } else if let Some(rest) = line.strip_prefix("chain ") {
            chain = rest.trim_end_matches(" {");
        } else if line.contains("hook forward ") && line.contains("policy drop") {
            found.push(format!("{table} {chain}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_policy_counts() {
        assert!(drops_by_default("-P FORWARD DROP\n-A FORWARD -j X\n"));
        assert!(!drops_by_default("-P FORWARD ACCEPT\n-A FORWARD -j DROP\n"));
        assert!(!drops_by_default(""));
    }

    #[test]
    fn foreign_chains_are_told_apart() {
        let listing = "table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
}
table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy drop;
	}
}
table inet site {
	chain input {
		type filter hook input priority filter; policy drop;
	}
	chain fwd {
		type filter hook forward priority filter; policy drop;
	}
}
table inet hythe {
	chain forward {
		type filter hook forward priority filter; policy accept;
	}
}
";
        assert_eq!(
            ForeignForward::from_nft(listing),
            ForeignForward {
                iptables: vec!["iptables-nft"],
                firewalld: true,
                unchangeable: vec!["inet site fwd".to_owned()],
            }
        );
        assert_eq!(ForeignForward::from_nft(""), ForeignForward::default());
    }
}
