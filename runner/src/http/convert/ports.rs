//! Ports of a container and where they are published.

use std::net::IpAddr;

use super::{Result, bad};
use crate::engine::PublishedPort;
use crate::http::wire;
use crate::spec::{PortBinding, PortSpec};

/// The ports of `8000-8010/tcp` or `80`.
pub(super) fn spec_range(text: &str) -> Result<Vec<PortSpec>> {
    let refused = || bad(format!("invalid port specification: {text:?}"));
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let Some((first, last)) = range(ports) else {
        return refused();
    };
    let Ok(spec) = format!("{first}/{protocol}").parse::<PortSpec>() else {
        return refused();
    };
    Ok((first..=last)
        .map(|port| PortSpec { port, ..spec })
        .collect())
}

/// `80` or `8000-8010`; `None` when it is neither.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

pub(super) fn bindings_from_wire(wire: &wire::PortMap) -> Result<Vec<PortBinding>> {
    let mut bindings = Vec::new();
    for (key, places) in wire {
        let specs = spec_range(key)?;
        for place in places.iter().flatten() {
            for container in &specs {
                bindings.push(PortBinding {
                    container: *container,
                    host_ip: host_ip(&place.host_ip)?,
                    host_ports: host_ports(&place.host_port)?,
                });
            }
        }
    }
    Ok(bindings)
}

fn host_ip(text: &str) -> Result<Option<IpAddr>> {
    if text.is_empty() {
        return Ok(None);
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(address) => Ok(Some(address)),
        Err(_) => bad(format!("invalid IP address: {text}")),
    }
}

fn host_ports(text: &str) -> Result<(u16, u16)> {
    match range(if text.is_empty() { "0" } else { text }) {
        Some(ports) => Ok(ports),
        None => bad(format!("invalid port specification: {text:?}")),
    }
}

pub(super) fn bindings_to_wire(bindings: &[PortBinding]) -> wire::PortMap {
    let mut map = wire::PortMap::new();
    for binding in bindings {
        let host_port = match binding.host_ports {
            (0, 0) => String::new(),
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        let place = wire::PortBinding {
            host_ip: binding
                .host_ip
                .map_or_else(String::new, |ip| ip.to_string()),
            host_port,
        };
        let places = map.entry(binding.container.to_string()).or_default();
        places.get_or_insert_default().push(place);
    }
    map
}

/// `NetworkSettings.Ports`: every exposed port, with its places or `null`.
pub(super) fn settings_ports(exposed: &[PortSpec], published: &[PublishedPort]) -> wire::PortMap {
    let mut map: wire::PortMap = exposed
        .iter()
        .map(|port| (port.to_string(), None))
        .collect();
    for port in published {
        let place = wire::PortBinding {
            host_ip: port.host_ip.to_string(),
            host_port: port.host_port.to_string(),
        };
        let places = map.entry(port.container.to_string()).or_default();
        places.get_or_insert_default().push(place);
    }
    map
}

/// The `PORTS` column: published ones with their places, and exposed ones that are not.
pub(super) fn summary_ports(exposed: &[PortSpec], published: &[PublishedPort]) -> Vec<wire::Port> {
    let is_published = |spec: &PortSpec| published.iter().any(|port| port.container == *spec);
    let unpublished = exposed.iter().filter(|spec| !is_published(spec));
    let mut ports: Vec<_> = unpublished
        .map(|spec| wire::Port {
            ip: String::new(),
            private_port: spec.port,
            public_port: None,
            r#type: spec.protocol.as_str(),
        })
        .chain(published.iter().map(|port| wire::Port {
            ip: port.host_ip.to_string(),
            private_port: port.container.port,
            public_port: Some(port.host_port),
            r#type: port.container.protocol.as_str(),
        }))
        .collect();
    ports.sort_by(|a, b| (a.private_port, a.r#type).cmp(&(b.private_port, b.r#type)));
    ports
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn specs_may_be_ranges() {
        let cases = [
            ("80", Some(vec!["80/tcp"])),
            ("53/udp", Some(vec!["53/udp"])),
            (
                "8000-8002/tcp",
                Some(vec!["8000/tcp", "8001/tcp", "8002/tcp"]),
            ),
            ("8002-8000", None),
            ("80/icmp", None),
            ("70000", None),
            ("", None),
            ("-", None),
            ("a-b/tcp", None),
        ];
        for (text, expected) in cases {
            let got = spec_range(text).ok();
            let got: Option<Vec<_>> =
                got.map(|specs| specs.iter().map(PortSpec::to_string).collect());
            assert_eq!(
                got,
                expected.map(|list| list.iter().map(|s| (*s).to_owned()).collect())
            );
        }
    }

    #[test]
    fn bindings_go_both_ways() {
        let place = |ip: &str, port: &str| wire::PortBinding {
            host_ip: ip.to_owned(),
            host_port: port.to_owned(),
        };
        let wire: wire::PortMap = BTreeMap::from([
            ("53/udp".to_owned(), Some(vec![place("127.0.0.1", "")])),
            (
                "80/tcp".to_owned(),
                Some(vec![place("", "8080"), place("::1", "9000-9010")]),
            ),
        ]);
        let bindings = bindings_from_wire(&wire).unwrap();
        assert_eq!(bindings.len(), 3);
        assert_eq!(bindings[1].host_ports, (8080, 8080));
        assert_eq!(bindings_to_wire(&bindings), wire);
        let nothing = BTreeMap::from([("80/tcp".to_owned(), None)]);
        assert_eq!(bindings_from_wire(&nothing), Ok(vec![]));
    }

    #[test]
    fn bad_places_are_refused() {
        for (ip, port) in [("1.2.3", "80"), ("", "x"), ("", "9-8"), ("", "-1")] {
            let place = wire::PortBinding {
                host_ip: ip.to_owned(),
                host_port: port.to_owned(),
            };
            let wire = BTreeMap::from([("80/tcp".to_owned(), Some(vec![place]))]);
            assert!(bindings_from_wire(&wire).is_err(), "{ip} {port}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,24}") {
            drop(spec_range(&text));
            drop(host_ports(&text));
            drop(host_ip(&text));
        }
    }
}
