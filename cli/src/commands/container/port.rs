//! `hythe port`.

use bollard_stubs::models::PortMap;
use clap::Args;
use serde::Deserialize;

use crate::api::{Api, Call};
use crate::failure::Outcome;
use crate::output;
use crate::values;

#[derive(Debug, Args)]
pub(crate) struct PortArguments {
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Only this port
    #[arg(value_name = "PORT[/PROTOCOL]")]
    port: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    network_settings: NetworkSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    ports: Option<PortMap>,
}

pub(super) async fn run(api: &Api, arguments: &PortArguments) -> Outcome {
    let inspected: Inspected = api
        .json(Call::get(super::path(&arguments.container, "/json")))
        .await?;
    let ports = inspected.network_settings.ports.unwrap_or_default();
    let wanted = arguments.port.as_deref().map(|port| {
        if port.contains('/') {
            port.to_owned()
        } else {
            format!("{port}/tcp")
        }
    });
    let mut text = String::new();
    for (port, bindings) in values::sorted_ports(&ports) {
        if wanted.as_ref().is_some_and(|wanted| wanted != port) {
            continue;
        }
        for binding in bindings {
            let host = values::host_address(
                binding.host_ip.as_deref().unwrap_or_default(),
                binding.host_port.as_deref().unwrap_or_default(),
            );
            if wanted.is_none() {
                text.push_str(port);
                text.push_str(" -> ");
            }
            text.push_str(&host);
            text.push('\n');
        }
    }
    if text.is_empty()
        && let Some(wanted) = &arguments.port
    {
        return Err(anyhow::anyhow!(
            "Error: No public port '{wanted}' published for {}",
            arguments.container
        )
        .into());
    }
    output::print(&text)?;
    Ok(0)
}
