//! `hythe update`.

use bollard_stubs::models::{ContainerUpdateBody, RestartPolicy};
use clap::Args;
use serde::Deserialize;

use crate::api::{Api, Call};
use crate::commands::for_each;
use crate::failure::Outcome;
use crate::output;
use crate::values;

#[derive(Debug, Args)]
pub(crate) struct UpdateArguments {
    /// Weight of block IO, 10 to 1000
    #[arg(long, value_name = "N")]
    blkio_weight: Option<u16>,
    /// Length of a CPU period in microseconds
    #[arg(long, value_name = "N")]
    cpu_period: Option<i64>,
    /// CPU time in a period in microseconds
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// Length of a real-time period in microseconds
    #[arg(long, value_name = "N")]
    cpu_rt_period: Option<i64>,
    /// Real-time CPU time in a period in microseconds
    #[arg(long, value_name = "N")]
    cpu_rt_runtime: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(long, short = 'c', value_name = "N")]
    cpu_shares: Option<i64>,
    /// Number of CPUs
    #[arg(long, value_name = "N", value_parser = values::parse_cpus)]
    cpus: Option<i64>,
    /// CPUs to run on, such as 0-3 or 0,1
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Memory limit
    #[arg(long, short, value_name = "SIZE", value_parser = values::parse_bytes)]
    memory: Option<i64>,
    /// Memory soft limit
    #[arg(long, value_name = "SIZE", value_parser = values::parse_bytes)]
    memory_reservation: Option<i64>,
    /// Limit of memory and swap together; -1 for unlimited swap
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = values::parse_bytes_or_unlimited)]
    memory_swap: Option<i64>,
    /// Limit of processes; -1 for unlimited
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// What to do when the container exits: no, always, unless-stopped, `on-failure[:max]`
    #[arg(long, value_name = "POLICY", value_parser = values::parse_restart)]
    restart: Option<RestartPolicy>,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Updated {
    warnings: Option<Vec<String>>,
}

pub(super) async fn run(api: &Api, arguments: &UpdateArguments) -> Outcome {
    let body = ContainerUpdateBody {
        blkio_weight: arguments.blkio_weight,
        cpu_period: arguments.cpu_period,
        cpu_quota: arguments.cpu_quota,
        cpu_realtime_period: arguments.cpu_rt_period,
        cpu_realtime_runtime: arguments.cpu_rt_runtime,
        cpu_shares: arguments.cpu_shares,
        nano_cpus: arguments.cpus,
        cpuset_cpus: arguments.cpuset_cpus.clone(),
        cpuset_mems: arguments.cpuset_mems.clone(),
        memory: arguments.memory,
        memory_reservation: arguments.memory_reservation,
        memory_swap: arguments.memory_swap,
        pids_limit: arguments.pids_limit,
        restart_policy: arguments.restart.clone(),
        ..ContainerUpdateBody::default()
    };
    if body == ContainerUpdateBody::default() {
        return Err(
            anyhow::anyhow!("you must provide one or more flags when using this command").into(),
        );
    }
    let body = &body;
    for_each(&arguments.containers, async |name| {
        let call = Call::post(super::path(&name, "/update")).json(body)?;
        let updated: Updated = api.json(call).await?;
        for warning in updated.warnings.unwrap_or_default() {
            output::remark(&warning);
        }
        Ok(())
    })
    .await
}
