//! `hythe network create`.

use std::collections::HashMap;

use bollard_stubs::models::{Ipam, IpamConfig, NetworkCreateRequest};
use clap::Args;
use serde::Deserialize;

use crate::api::{Api, Call};
use crate::failure::Outcome;
use crate::output;
use crate::values;

#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// Let containers be connected by hand
    #[arg(long)]
    attachable: bool,
    /// Address that the driver uses: NAME=ADDRESS
    #[arg(long, value_name = "NAME=ADDRESS")]
    aux_address: Vec<String>,
    /// Driver of the network
    #[arg(long, short, value_name = "NAME", default_value = "bridge")]
    driver: String,
    /// Gateway of a subnet
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<String>,
    /// Keep the network from reaching outside
    #[arg(long)]
    internal: bool,
    /// Range that addresses are handed out from
    #[arg(long, value_name = "CIDR")]
    ip_range: Vec<String>,
    /// Driver of address management
    #[arg(long, value_name = "NAME", default_value = "default")]
    ipam_driver: String,
    /// Option of address management
    #[arg(long, value_name = "KEY=VALUE")]
    ipam_opt: Vec<String>,
    /// Hand out IPv6 addresses too
    #[arg(long)]
    ipv6: bool,
    /// Set a label
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// Option of the driver
    #[arg(long, short, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// Subnet of the network
    #[arg(long, value_name = "CIDR")]
    subnet: Vec<String>,
    #[arg(value_name = "NETWORK")]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
    warning: Option<String>,
}

pub(super) async fn run(api: &Api, arguments: CreateArguments) -> Outcome {
    let config = subnets(&arguments)?;
    let ipam_options = values::pairs("ipam-opt", &arguments.ipam_opt)?;
    let request = NetworkCreateRequest {
        driver: Some(arguments.driver),
        internal: Some(arguments.internal),
        attachable: Some(arguments.attachable),
        enable_ipv6: arguments.ipv6.then_some(true),
        ipam: Some(Ipam {
            driver: Some(arguments.ipam_driver),
            config: Some(config),
            options: (!ipam_options.is_empty()).then_some(ipam_options),
        }),
        options: Some(values::pairs("opt", &arguments.opt)?),
        labels: Some(values::labels(&[], &arguments.label)?),
        name: arguments.name,
        ..NetworkCreateRequest::default()
    };
    let created: Created = api
        .json(Call::post("/networks/create").json(&request)?)
        .await?;
    if let Some(warning) = created.warning.filter(|warning| !warning.is_empty()) {
        output::remark(&format!("WARNING: {warning}"));
    }
    output::line(&created.id)?;
    Ok(0)
}

/// Puts each gateway, range and auxiliary address with the subnet it lies in; without a subnet
/// given, everything belongs to one that the agent chooses.
fn subnets(arguments: &CreateArguments) -> anyhow::Result<Vec<IpamConfig>> {
    let mut subnets: Vec<(Option<Prefix>, IpamConfig)> = Vec::new();
    for subnet in &arguments.subnet {
        let prefix = Prefix::parse(subnet)
            .ok_or_else(|| anyhow::anyhow!("invalid subnet {subnet}: it must be ADDRESS/PREFIX"))?;
        let config = IpamConfig {
            subnet: Some(subnet.clone()),
            ..IpamConfig::default()
        };
        subnets.push((Some(prefix), config));
    }
    if subnets.is_empty() {
        let has_more = !(arguments.gateway.is_empty()
            && arguments.ip_range.is_empty()
            && arguments.aux_address.is_empty());
        if !has_more {
            return Ok(Vec::new());
        }
        subnets.push((None, IpamConfig::default()));
    }
    for gateway in &arguments.gateway {
        subnet_of(&mut subnets, gateway)?.gateway = Some(gateway.clone());
    }
    for range in &arguments.ip_range {
        subnet_of(&mut subnets, range)?.ip_range = Some(range.clone());
    }
    for (name, address) in values::pairs("aux-address", &arguments.aux_address)? {
        subnet_of(&mut subnets, &address)?
            .auxiliary_addresses
            .get_or_insert_with(HashMap::new)
            .insert(name, address);
    }
    Ok(subnets.into_iter().map(|(_, config)| config).collect())
}

fn subnet_of<'a>(
    subnets: &'a mut [(Option<Prefix>, IpamConfig)],
    address: &str,
) -> anyhow::Result<&'a mut IpamConfig> {
    let inner =
        Prefix::parse(address).ok_or_else(|| anyhow::anyhow!("invalid address {address}"))?;
    subnets
        .iter_mut()
        .find(|(subnet, _)| subnet.is_none_or(|subnet| subnet.contains(inner)))
        .map(|(_, config)| config)
        .ok_or_else(|| anyhow::anyhow!("no matching subnet for {address}"))
}

/// An address with the number of bits that count; both families as 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prefix {
    bits: u128,
    length: u32,
    is_ipv6: bool,
}

impl Prefix {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let (bits, width, is_ipv6) = match address.parse().ok()? {
            std::net::IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32, false),
            std::net::IpAddr::V6(address) => (address.to_bits(), 128, true),
        };
        let length = length.unwrap_or(width);
        (length <= width).then_some(Self {
            bits,
            length,
            is_ipv6,
        })
    }

    fn contains(self, inner: Self) -> bool {
        let differing = (self.bits ^ inner.bits).leading_zeros();
        self.is_ipv6 == inner.is_ipv6 && inner.length >= self.length && differing >= self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_where() {
        let prefix = |text| Prefix::parse(text).unwrap();
        let cases = [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "11.0.0.1", true),
            ("fd00::/64", "fd00::1", true),
            ("fd00::/64", "fd01::1", false),
            ("::/0", "10.0.0.1", false),
        ];
        for (outer, inner, expected) in cases {
            assert_eq!(
                prefix(outer).contains(prefix(inner)),
                expected,
                "{inner} in {outer}"
            );
        }
        for text in ["", "10.0.0.0/33", "x/8", "10.0.0/8"] {
            assert_eq!(Prefix::parse(text), None, "{text}");
        }
    }
}
