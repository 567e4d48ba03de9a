//! `--network NAME` or `--network name=NAME,alias=web,ip=10.0.0.5`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::InvalidValue;
use super::mount::split_fields;

/// One network a container is to be connected to, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetworkAttachment {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    pub(crate) mac_address: Option<String>,
    pub(crate) link_local_ips: Vec<String>,
    pub(crate) driver_options: Vec<(String, String)>,
    pub(crate) gateway_priority: Option<i64>,
}

pub(crate) fn parse_network(text: &str) -> Result<NetworkAttachment, InvalidValue> {
    // The long form is told from a name by its equals sign, as docker does.
    if !text.contains('=') {
        return Ok(NetworkAttachment {
            name: text.to_owned(),
            ..NetworkAttachment::default()
        });
    }
    let mut network = NetworkAttachment::default();
    for field in split_fields(text)? {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| InvalidValue::new(format!("invalid key/value pair: {field}")))?;
        let invalid = || InvalidValue::new(format!("invalid value for {key}: {value}"));
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => value.clone_into(&mut network.name),
            "alias" => network.aliases.push(value.to_owned()),
            "ip" => network.ipv4 = Some(value.parse().map_err(|_| invalid())?),
            "ip6" => network.ipv6 = Some(value.parse().map_err(|_| invalid())?),
            "mac-address" => network.mac_address = Some(value.to_owned()),
            "link-local-ip" => network.link_local_ips.push(value.to_owned()),
            "gw-priority" => network.gateway_priority = Some(value.parse().map_err(|_| invalid())?),
            "driver-opt" => {
                let (name, value) = value.split_once('=').ok_or_else(|| {
                    InvalidValue::new("invalid key value pair format in driver options")
                })?;
                network
                    .driver_options
                    .push((name.to_owned(), value.to_owned()));
            }
            other => {
                return Err(InvalidValue::new(format!("invalid field key {other}")));
            }
        }
    }
    if network.name.is_empty() {
        return Err(InvalidValue::new("network name/id is not specified"));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert_eq!(
            parse_network("container:web").unwrap().name,
            "container:web"
        );
        let network = parse_network(
            "name=back,alias=a,alias=b,ip=10.0.0.5,driver-opt=com.x=1,gw-priority=-2",
        )
        .unwrap();
        assert_eq!(network.name, "back");
        assert_eq!(network.aliases, ["a", "b"]);
        assert_eq!(network.ipv4, Some(Ipv4Addr::new(10, 0, 0, 5)));
        assert_eq!(
            network.driver_options,
            [("com.x".to_owned(), "1".to_owned())]
        );
        assert_eq!(network.gateway_priority, Some(-2));
        for text in [
            "alias=a",
            "name=x,ip=no",
            "name=x,what=1",
            "name=x,driver-opt=a",
        ] {
            assert!(parse_network(text).is_err(), "{text}");
        }
    }
}
