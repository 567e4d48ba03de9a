//! Counters of a container.

use crate::engine::{BlockIoEntry, CpuStats, InterfaceStats, MemoryStats, Stats};
use crate::http::wire;

pub(crate) fn stats_to_wire(stats: Stats) -> wire::Stats {
    let runs = stats.read_at.is_some();
    let networks = stats.networks.into_iter();
    wire::Stats {
        read: wire::time(stats.read_at),
        preread: wire::time(stats.previous_read_at),
        pids_stats: wire::PidsStats {
            current: runs.then_some(stats.pids_current),
            limit: stats.pids_limit,
        },
        blkio_stats: wire::BlkioStats {
            io_service_bytes_recursive: runs
                .then(|| stats.block_io.into_iter().map(block_io_to_wire).collect()),
            ..wire::BlkioStats::default()
        },
        num_procs: 0,
        storage_stats: std::collections::BTreeMap::new(),
        cpu_stats: cpu_to_wire(&stats.cpu),
        precpu_stats: cpu_to_wire(&stats.previous_cpu),
        memory_stats: if runs {
            memory_to_wire(stats.memory)
        } else {
            wire::MemoryStats::default()
        },
        name: format!("/{}", stats.name.trim_start_matches('/')),
        id: stats.id,
        networks: networks
            .map(|(name, counters)| (name, interface_to_wire(counters)))
            .collect(),
    }
}

fn block_io_to_wire(entry: BlockIoEntry) -> wire::BlkioEntry {
    wire::BlkioEntry {
        major: entry.major,
        minor: entry.minor,
        op: entry.operation,
        value: entry.bytes,
    }
}

fn cpu_to_wire(cpu: &CpuStats) -> wire::CpuStats {
    wire::CpuStats {
        cpu_usage: wire::CpuUsage {
            total_usage: cpu.total_ns,
            usage_in_kernelmode: cpu.system_ns,
            usage_in_usermode: cpu.user_ns,
        },
        system_cpu_usage: Some(cpu.host_ns).filter(|nanoseconds| *nanoseconds != 0),
        online_cpus: Some(cpu.online_cpus).filter(|count| *count != 0),
        throttling_data: wire::Throttling {
            periods: cpu.periods,
            throttled_periods: cpu.throttled_periods,
            throttled_time: cpu.throttled_ns,
        },
    }
}

fn memory_to_wire(memory: MemoryStats) -> wire::MemoryStats {
    wire::MemoryStats {
        usage: Some(memory.usage_bytes),
        max_usage: Some(memory.max_usage_bytes).filter(|bytes| *bytes != 0),
        stats: memory.stats,
        limit: Some(memory.limit_bytes),
    }
}

fn interface_to_wire(counters: InterfaceStats) -> wire::NetworkStats {
    wire::NetworkStats {
        rx_bytes: counters.rx_bytes,
        rx_packets: counters.rx_packets,
        rx_errors: counters.rx_errors,
        rx_dropped: counters.rx_dropped,
        tx_bytes: counters.tx_bytes,
        tx_packets: counters.tx_packets,
        tx_errors: counters.tx_errors,
        tx_dropped: counters.tx_dropped,
    }
}
