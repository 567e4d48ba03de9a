//! Counters of a container.

use std::collections::BTreeMap;

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    pub(crate) read: String,
    pub(crate) preread: String,
    pub(crate) pids_stats: PidsStats,
    pub(crate) blkio_stats: BlkioStats,
    pub(crate) num_procs: u32,
    pub(crate) storage_stats: BTreeMap<String, u64>,
    pub(crate) cpu_stats: CpuStats,
    pub(crate) precpu_stats: CpuStats,
    pub(crate) memory_stats: MemoryStats,
    pub(crate) name: String,
    pub(crate) id: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) networks: BTreeMap<String, NetworkStats>,
}

#[derive(Debug, Serialize)]
pub(crate) struct PidsStats {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
}

/// `null` where the kernel does not count.
#[derive(Debug, Default, Serialize)]
pub(crate) struct BlkioStats {
    pub(crate) io_service_bytes_recursive: Option<Vec<BlkioEntry>>,
    pub(crate) io_serviced_recursive: Option<Vec<BlkioEntry>>,
    pub(crate) io_queue_recursive: Option<Vec<BlkioEntry>>,
    pub(crate) io_service_time_recursive: Option<Vec<BlkioEntry>>,
    pub(crate) io_wait_time_recursive: Option<Vec<BlkioEntry>>,
    pub(crate) io_merged_recursive: Option<Vec<BlkioEntry>>,
    pub(crate) io_time_recursive: Option<Vec<BlkioEntry>>,
    pub(crate) sectors_recursive: Option<Vec<BlkioEntry>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct BlkioEntry {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) op: String,
    pub(crate) value: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct CpuStats {
    pub(crate) cpu_usage: CpuUsage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_cpu_usage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) online_cpus: Option<u32>,
    pub(crate) throttling_data: Throttling,
}

#[derive(Debug, Serialize)]
pub(crate) struct CpuUsage {
    pub(crate) total_usage: u64,
    pub(crate) usage_in_kernelmode: u64,
    pub(crate) usage_in_usermode: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Throttling {
    pub(crate) periods: u64,
    pub(crate) throttled_periods: u64,
    pub(crate) throttled_time: u64,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct MemoryStats {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_usage: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) stats: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct NetworkStats {
    pub(crate) rx_bytes: u64,
    pub(crate) rx_packets: u64,
    pub(crate) rx_errors: u64,
    pub(crate) rx_dropped: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) tx_packets: u64,
    pub(crate) tx_errors: u64,
    pub(crate) tx_dropped: u64,
}
