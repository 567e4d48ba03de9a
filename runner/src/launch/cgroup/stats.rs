//! What a control group has used, in one shape for both versions of the interface.

use std::collections::BTreeMap;

/// Counters of one container, since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CgroupStats {
    pub cpu: CpuUsage,
    pub memory: MemoryUsage,
    pub pids_current: u64,
    /// `None` is unlimited.
    pub pids_limit: Option<u64>,
    pub block_io: Vec<BlockIoUsage>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuUsage {
    pub total_ns: u64,
    pub user_ns: u64,
    pub system_ns: u64,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    pub usage_bytes: u64,
    /// `None` where the kernel does not keep it.
    pub max_usage_bytes: Option<u64>,
    /// `None` is unlimited.
    pub limit_bytes: Option<u64>,
    pub failures: u64,
    /// `memory.stat` as the kernel has it; names differ between v1 and v2.
    pub stat: BTreeMap<String, u64>,
}

/// Bytes one device moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockIoUsage {
    pub major: u64,
    pub minor: u64,
    /// `read` or `write`, in lower case.
    pub operation: String,
    pub bytes: u64,
}
