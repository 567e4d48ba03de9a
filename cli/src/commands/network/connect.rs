//! `hythe network connect` and `hythe network disconnect`.

use std::net::{Ipv4Addr, Ipv6Addr};

use bollard_stubs::models::{EndpointIpamConfig, EndpointSettings, NetworkConnectRequest};
use clap::Args;

use crate::api::{Api, Call, segment};
use crate::failure::Outcome;
use crate::values;

#[derive(Debug, Args)]
pub(crate) struct ConnectArguments {
    /// Name of the container on the network
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// Option of the network's driver
    #[arg(long, value_name = "KEY=VALUE")]
    driver_opt: Vec<String>,
    /// Which network gives the default gateway: the highest
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    gw_priority: Option<i64>,
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<Ipv6Addr>,
    /// Add a link to another container
    #[arg(long, value_name = "CONTAINER[:ALIAS]")]
    link: Vec<String>,
    /// Link-local address
    #[arg(long, value_name = "ADDRESS")]
    link_local_ip: Vec<String>,
    #[arg(value_name = "NETWORK")]
    network: String,
    #[arg(value_name = "CONTAINER")]
    container: String,
}

#[derive(Debug, Args)]
pub(crate) struct DisconnectArguments {
    /// Disconnect even a container that does not answer
    #[arg(long, short)]
    force: bool,
    #[arg(value_name = "NETWORK")]
    network: String,
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub(super) async fn connect(api: &Api, arguments: ConnectArguments) -> Outcome {
    let given = |values: Vec<String>| (!values.is_empty()).then_some(values);
    let options = values::pairs("driver-opt", &arguments.driver_opt)?;
    let has_addresses =
        arguments.ip.is_some() || arguments.ip6.is_some() || !arguments.link_local_ip.is_empty();
    let endpoint = EndpointSettings {
        aliases: given(arguments.alias),
        links: given(arguments.link),
        gw_priority: arguments.gw_priority,
        driver_opts: (!options.is_empty()).then_some(options),
        ipam_config: has_addresses.then(|| EndpointIpamConfig {
            ipv4_address: arguments.ip.map(|address| address.to_string()),
            ipv6_address: arguments.ip6.map(|address| address.to_string()),
            link_local_ips: given(arguments.link_local_ip),
        }),
        ..EndpointSettings::default()
    };
    let path = format!("/networks/{}/connect", segment(&arguments.network));
    let call = Call::post(path).json(&NetworkConnectRequest {
        container: arguments.container,
        endpoint_config: Some(endpoint),
    })?;
    api.status(call).await?;
    Ok(0)
}

pub(super) async fn disconnect(api: &Api, arguments: &DisconnectArguments) -> Outcome {
    let path = format!("/networks/{}/disconnect", segment(&arguments.network));
    let call = Call::post(path).json(&serde_json::json!({
        "Container": arguments.container,
        "Force": arguments.force,
    }))?;
    api.status(call).await?;
    Ok(0)
}
