//! Driver options of an endpoint, by Docker's names.

use std::collections::BTreeMap;

use super::driver::is_link_name;
use super::{NetworkError, sysctl};

/// Name of the container's link.
const INTERFACE: &str = "com.docker.network.endpoint.ifname";
/// Switches of the container's link: `net.ipv4.conf.IFNAME.log_martians=1,…`.
const SWITCHES: &str = "com.docker.network.endpoint.sysctls";
/// Stands for the link's name in a switch.
const PLACE_OF_NAME: &str = "IFNAME";

/// What the options of one endpoint ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointOptions {
    /// Name of the link inside; `None` leaves it to the engine.
    pub interface: Option<String>,
    pub switches: Vec<LinkSwitch>,
}

/// A switch of one link under `/proc/sys/net`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSwitch {
    /// `ipv4`, `ipv6` or `mpls`.
    family: String,
    /// `conf` or `neigh`.
    group: String,
    name: String,
    value: String,
}

impl EndpointOptions {
    /// Refuses options that nobody here knows.
    pub fn parse(options: &BTreeMap<String, String>) -> Result<Self, NetworkError> {
        let mut parsed = Self::default();
        for (key, value) in options {
            match key.as_str() {
                INTERFACE if is_link_name(value) => parsed.interface = Some(value.clone()),
                INTERFACE => {
                    return Err(NetworkError::Invalid(format!(
                        "invalid interface name: {value:?}"
                    )));
                }
                SWITCHES => {
                    let switches = value.split(',').filter(|text| !text.is_empty());
                    parsed.switches = switches.map(LinkSwitch::parse).collect::<Result<_, _>>()?;
                }
                _ => {
                    return Err(NetworkError::Invalid(format!(
                        "endpoints do not know the driver option {key}"
                    )));
                }
            }
        }
        Ok(parsed)
    }
}

impl LinkSwitch {
    fn parse(text: &str) -> Result<Self, NetworkError> {
        let invalid = || NetworkError::Invalid(format!("invalid endpoint sysctl: {text}"));
        let (key, value) = text.split_once('=').ok_or_else(invalid)?;
        let pieces: Vec<&str> = key.trim().split('.').collect();
        let ["net", family, group, PLACE_OF_NAME, name] = pieces[..] else {
            return Err(invalid());
        };
        // They become pieces of a path.
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let is_name = !name.is_empty() && name.bytes().all(is_word);
        let is_link =
            matches!(family, "ipv4" | "ipv6" | "mpls") && matches!(group, "conf" | "neigh");
        if !is_link || !is_name || value.is_empty() {
            return Err(invalid());
        }
        Ok(Self {
            family: family.to_owned(),
            group: group.to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }

    /// Sets it for the link `interface` in the namespace of the calling thread.
    pub(super) fn set(&self, interface: &str) -> Result<(), NetworkError> {
        let pieces = [&self.family, &self.group, interface, &self.name];
        sysctl::write(&pieces, &self.value).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &str, value: &str) -> Result<EndpointOptions, NetworkError> {
        EndpointOptions::parse(&[(key.to_owned(), value.to_owned())].into())
    }

    #[test]
    fn switches_name_their_link_by_a_place() {
        let text = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=2";
        let options = parse(SWITCHES, text).unwrap();
        assert_eq!(options.switches.len(), 2);
        assert_eq!(options.switches[1].name, "accept_ra");
        assert_eq!(options.switches[1].value, "2");
        for bad in [
            "x",
            "net.ipv4.conf.IFNAME.log_martians",
            "net.ipv4.conf.IFNAME.log_martians=",
            "net.ipv4.conf.eth0.log_martians=1",
            "net.core.somaxconn=1",
            "net.ipv4.tcp.IFNAME.x=1",
            "kernel.ipv4.conf.IFNAME.x=1",
            "net.ipv4.conf.IFNAME.../../x=1",
            "net.ipv4.conf.IFNAME.=1",
        ] {
            assert!(parse(SWITCHES, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_the_kernels_and_options_are_known() {
        let named = parse(INTERFACE, "front0").unwrap();
        assert_eq!(named.interface.as_deref(), Some("front0"));
        for (key, value) in [(INTERFACE, ""), (INTERFACE, "a/b"), ("a", "b")] {
            assert!(parse(key, value).is_err(), "{key}={value}");
        }
    }
}
