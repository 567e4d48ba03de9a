//! How much of the machine the container may use.

use bollard_stubs::models::{
    DeviceMapping, HostConfig, ResourcesBlkioWeightDevice, ResourcesUlimits, ThrottleDevice,
};
use clap::Args;

use super::given;
use crate::values;

#[derive(Debug, Args)]
#[command(next_help_heading = "Resources")]
pub(crate) struct ResourceOptions {
    /// Memory limit
    #[arg(long, short, value_name = "SIZE", value_parser = values::parse_bytes)]
    memory: Option<i64>,
    /// Memory soft limit
    #[arg(long, value_name = "SIZE", value_parser = values::parse_bytes)]
    memory_reservation: Option<i64>,
    /// Limit of memory and swap together; -1 for unlimited swap
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = values::parse_bytes_or_unlimited)]
    memory_swap: Option<i64>,
    /// How eagerly memory is swapped out, 0 to 100
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    memory_swappiness: Option<i64>,
    /// Number of CPUs
    #[arg(long, value_name = "N", value_parser = values::parse_cpus)]
    cpus: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(long, short = 'c', value_name = "N")]
    cpu_shares: Option<i64>,
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
    /// CPUs to run on, such as 0-3 or 0,1
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Limit of processes; -1 for unlimited
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// Limit of a process: `NAME=SOFT[:HARD]`
    #[arg(long, value_name = "LIMIT", value_parser = values::parse_ulimit)]
    ulimit: Vec<ResourcesUlimits>,
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE", value_parser = values::parse_bytes)]
    shm_size: Option<i64>,
    /// Do not kill the container when it is out of memory
    #[arg(long)]
    oom_kill_disable: bool,
    /// How likely the container is killed when the host is out of memory, -1000 to 1000
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    oom_score_adj: Option<i64>,
    /// Weight of block IO, 10 to 1000
    #[arg(long, value_name = "N")]
    blkio_weight: Option<u16>,
    /// Weight of block IO on a device: DEVICE:N
    #[arg(long, value_name = "WEIGHT", value_parser = values::parse_weight_device)]
    blkio_weight_device: Vec<ResourcesBlkioWeightDevice>,
    /// Bytes read from a device per second: DEVICE:SIZE
    #[arg(long, value_name = "RATE", value_parser = values::parse_rate_bytes)]
    device_read_bps: Vec<ThrottleDevice>,
    /// Bytes written to a device per second: DEVICE:SIZE
    #[arg(long, value_name = "RATE", value_parser = values::parse_rate_bytes)]
    device_write_bps: Vec<ThrottleDevice>,
    /// Reads from a device per second: DEVICE:N
    #[arg(long, value_name = "RATE", value_parser = values::parse_rate_operations)]
    device_read_iops: Vec<ThrottleDevice>,
    /// Writes to a device per second: DEVICE:N
    #[arg(long, value_name = "RATE", value_parser = values::parse_rate_operations)]
    device_write_iops: Vec<ThrottleDevice>,
    /// Add a host device: `HOST[:CONTAINER][:rwm]`
    #[arg(long, value_name = "DEVICE", value_parser = values::parse_device)]
    device: Vec<DeviceMapping>,
    /// Rule for the list of devices the cgroup allows
    #[arg(long, value_name = "RULE")]
    device_cgroup_rule: Vec<String>,
    /// cgroup that holds the container's
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
}

impl ResourceOptions {
    pub(super) fn apply(&self, host: &mut HostConfig) {
        host.memory = self.memory;
        host.memory_reservation = self.memory_reservation;
        host.memory_swap = self.memory_swap;
        // -1 is docker's way of not saying anything.
        host.memory_swappiness = self.memory_swappiness.filter(|value| *value != -1);
        host.nano_cpus = self.cpus;
        host.cpu_shares = self.cpu_shares;
        host.cpu_period = self.cpu_period;
        host.cpu_quota = self.cpu_quota;
        host.cpu_realtime_period = self.cpu_rt_period;
        host.cpu_realtime_runtime = self.cpu_rt_runtime;
        host.cpuset_cpus.clone_from(&self.cpuset_cpus);
        host.cpuset_mems.clone_from(&self.cpuset_mems);
        host.pids_limit = self.pids_limit;
        host.ulimits = given(&self.ulimit);
        host.shm_size = self.shm_size;
        host.oom_kill_disable = self.oom_kill_disable.then_some(true);
        host.oom_score_adj = self.oom_score_adj;
        host.blkio_weight = self.blkio_weight;
        host.blkio_weight_device = given(&self.blkio_weight_device);
        host.blkio_device_read_bps = given(&self.device_read_bps);
        host.blkio_device_write_bps = given(&self.device_write_bps);
        host.blkio_device_read_iops = given(&self.device_read_iops);
        host.blkio_device_write_iops = given(&self.device_write_iops);
        host.devices = given(&self.device);
        host.device_cgroup_rules = given(&self.device_cgroup_rule);
        host.cgroup_parent.clone_from(&self.cgroup_parent);
    }
}
