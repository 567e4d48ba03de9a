//! `-p [ip:][host[-host]:]container[-container][/protocol]` and `--expose`.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard_stubs::models::{PortBinding, PortMap};

use super::InvalidValue;

/// What `-p` and `--expose` say together.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct PublishedPorts {
    /// `80/tcp`, each once, in the order said.
    pub(crate) exposed: Vec<String>,
    pub(crate) bindings: PortMap,
}

impl PublishedPorts {
    fn expose(&mut self, port: String) {
        if !self.exposed.contains(&port) {
            self.exposed.push(port);
        }
    }
}

/// First and last port of a range, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| {
            // `parse` would take a sign.
            text.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| text.parse::<u16>().ok())
                .flatten()
        };
        let range = Self {
            first: number(first)?,
            last: number(last)?,
        };
        (range.first <= range.last).then_some(range)
    }

    fn n_ports(self) -> u16 {
        self.last - self.first
    }
}

/// Reads all `-p` values.
pub(crate) fn publish_ports(said: &[String]) -> Result<PublishedPorts, InvalidValue> {
    let mut ports = PublishedPorts::default();
    for text in said {
        publish(text, &mut ports)?;
    }
    Ok(ports)
}

/// Adds all `--expose` values.
pub(crate) fn expose_ports(
    said: &[String],
    ports: &mut PublishedPorts,
) -> Result<(), InvalidValue> {
    for text in said {
        let invalid = || InvalidValue::new(format!("invalid port format for --expose: {text}"));
        if text.contains(':') {
            return Err(invalid());
        }
        let (range, protocol) = split_protocol(text)?;
        let range = PortRange::parse(range).ok_or_else(invalid)?;
        for port in range.first..=range.last {
            ports.expose(format!("{port}/{protocol}"));
        }
    }
    Ok(())
}

fn publish(text: &str, ports: &mut PublishedPorts) -> Result<(), InvalidValue> {
    let (rest, protocol) = split_protocol(text)?;
    let (ip, host, container) = split_parts(rest)?;
    let container = PortRange::parse(container)
        .ok_or_else(|| InvalidValue::new(format!("invalid containerPort: {container}")))?;
    let host = match host {
        "" => None,
        host => Some(
            PortRange::parse(host)
                .ok_or_else(|| InvalidValue::new(format!("invalid hostPort: {host}")))?,
        ),
    };
    if let Some(host) = host
        && host.n_ports() != container.n_ports()
        // One container port may take any free one of several host ports.
        && container.n_ports() != 0
    {
        return Err(InvalidValue::new(format!(
            "invalid ranges specified for container and host Ports: {text}"
        )));
    }
    for offset in 0..=container.n_ports() {
        let host_port = match host {
            None => String::new(),
            Some(host) if host.n_ports() != container.n_ports() => {
                format!("{}-{}", host.first, host.last)
            }
            Some(host) => (host.first + offset).to_string(),
        };
        let port = format!("{}/{protocol}", container.first + offset);
        ports
            .bindings
            .entry(port.clone())
            .or_insert_with(|| Some(Vec::new()))
            .get_or_insert_default()
            .push(PortBinding {
                host_ip: Some(ip.clone()),
                host_port: Some(host_port),
            });
        ports.expose(port);
    }
    Ok(())
}

fn split_protocol(text: &str) -> Result<(&str, String), InvalidValue> {
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if rest.is_empty() {
        return Err(InvalidValue::new(format!(
            "no port specified: {text}<empty>"
        )));
    }
    match protocol.as_str() {
        "tcp" | "udp" | "sctp" => Ok((rest, protocol)),
        _ => Err(InvalidValue::new(format!("invalid proto: {protocol}"))),
    }
}

/// Address, host ports and container ports; the first two may be empty.
fn split_parts(text: &str) -> Result<(String, &str, &str), InvalidValue> {
    let Some((front, container)) = text.rsplit_once(':') else {
        return Ok((String::new(), "", text));
    };
    let Some((ip, host)) = front.rsplit_once(':') else {
        return Ok((String::new(), front, container));
    };
    let bare = ip
        .strip_prefix('[')
        .and_then(|ip| ip.strip_suffix(']'))
        .unwrap_or(ip);
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(InvalidValue::new(format!("invalid IP address: {bare}")));
    }
    Ok((bare.to_owned(), host, container))
}

/// The bindings of a port as `docker port` prints them: `0.0.0.0:8080`, `[::]:8080`.
pub(crate) fn host_address(ip: &str, port: &str) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}

/// `80/tcp -> [(ip, port)]`, sorted by port and then protocol, as it is listed.
pub(crate) fn sorted_ports(
    map: &HashMap<String, Option<Vec<PortBinding>>>,
) -> Vec<(&str, &[PortBinding])> {
    let mut ports: Vec<(&str, &[PortBinding])> = map
        .iter()
        .map(|(port, bindings)| (port.as_str(), bindings.as_deref().unwrap_or_default()))
        .collect();
    ports.sort_by_key(|(port, _)| {
        let (number, protocol) = port.split_once('/').unwrap_or((port, ""));
        (
            number.parse::<u16>().unwrap_or(u16::MAX),
            protocol.to_owned(),
        )
    });
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `container=ip:host` for each binding, sorted.
    fn published(text: &str) -> Vec<String> {
        let ports = publish_ports(&[text.to_owned()]).unwrap();
        let mut lines: Vec<String> = ports
            .bindings
            .iter()
            .flat_map(|(port, bindings)| {
                bindings.iter().flatten().map(move |binding| {
                    format!(
                        "{port}={}:{}",
                        binding.host_ip.as_deref().unwrap(),
                        binding.host_port.as_deref().unwrap()
                    )
                })
            })
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn ports() {
        let cases: [(&str, &[&str]); 11] = [
            ("80", &["80/tcp=:"]),
            ("8080:80", &["80/tcp=:8080"]),
            ("8080:80/udp", &["80/udp=:8080"]),
            ("8080:80/TCP", &["80/tcp=:8080"]),
            ("127.0.0.1:8080:80", &["80/tcp=127.0.0.1:8080"]),
            ("127.0.0.1::80", &["80/tcp=127.0.0.1:"]),
            (":80", &["80/tcp=:"]),
            ("[::1]:8080:80", &["80/tcp=::1:8080"]),
            ("80-81", &["80/tcp=:", "81/tcp=:"]),
            ("8000-8001:80-81", &["80/tcp=:8000", "81/tcp=:8001"]),
            ("8000-8010:80", &["80/tcp=:8000-8010"]),
        ];
        for (text, expected) in cases {
            assert_eq!(published(text), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_have_dockers_words() {
        let cases = [
            ("abc", "invalid containerPort: abc"),
            ("x:80", "invalid hostPort: x"),
            ("80/icmp", "invalid proto: icmp"),
            ("999.1.1.1:80:80", "invalid IP address: 999.1.1.1"),
            ("70000", "invalid containerPort: 70000"),
            ("81-80", "invalid containerPort: 81-80"),
            ("+80", "invalid containerPort: +80"),
            (
                "8000-8005:80-81",
                "invalid ranges specified for container and host Ports: 8000-8005:80-81",
            ),
        ];
        for (text, expected) in cases {
            let error = publish_ports(&[text.to_owned()]).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn exposed_ports_are_not_published() {
        let mut ports = publish_ports(&["8080:80".to_owned()]).unwrap();
        let said = ["80", "53/udp", "90-91"].map(str::to_owned);
        expose_ports(&said, &mut ports).unwrap();
        assert_eq!(ports.exposed, ["80/tcp", "53/udp", "90/tcp", "91/tcp"]);
        assert_eq!(ports.bindings.len(), 1);
        assert!(expose_ports(&["1:2".to_owned()], &mut ports).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9a-z:./\\[\\]-]{0,24}") {
            _ = publish_ports(&[text]);
        }
    }
}
