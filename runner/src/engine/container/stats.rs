//! Counters of a container, as `docker stats` reads them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;

use super::cell::Container;
use super::request::StatsOptions;
use super::view::{BlockIoEntry, CpuStats, InterfaceStats, MemoryStats, Stats};
use crate::engine::{Engine, EngineError};
use crate::launch::{CgroupStats, Shim};
use crate::spec::ContainerRef;

const INTERVAL: Duration = Duration::from_secs(1);
/// The kernel's unit in /proc/stat, the same on every architecture.
const NS_PER_TICK: u64 = 10_000_000;

/// What a stream of samples is at.
struct Sampler {
    container: Arc<Container>,
    previous: Option<Stats>,
    n_exits: u64,
}

impl Engine {
    pub async fn container_stats(
        &self,
        container: &ContainerRef,
        options: StatsOptions,
    ) -> Result<BoxStream<'static, Result<Stats, EngineError>>, EngineError> {
        let container = self.find_container(container)?;
        let n_exits = container.watch().borrow().n_exits;
        let mut sampler = Sampler {
            container,
            previous: None,
            n_exits,
        };
        if !options.stream {
            if !options.one_shot && sampler.container.shim().is_some() {
                sampler.previous = Some(sampler.sample());
                tokio::time::sleep(INTERVAL).await;
            }
            let stats = sampler.next();
            return Ok(stream::once(std::future::ready(Ok(stats))).boxed());
        }
        // The first sample goes out at once, without anything to compare with.
        Ok(
            stream::unfold((sampler, true), |(mut sampler, first)| async move {
                if !first {
                    tokio::time::sleep(INTERVAL).await;
                }
                if sampler.container.watch().borrow().removed {
                    return None;
                }
                let stats = sampler.next();
                Some((Ok(stats), (sampler, false)))
            })
            .boxed(),
        )
    }
}

impl Sampler {
    /// A sample with the one before it.
    fn next(&mut self) -> Stats {
        let n_exits = self.container.watch().borrow().n_exits;
        if n_exits != self.n_exits {
            // Counters of another run are nothing to compare with.
            self.n_exits = n_exits;
            self.previous = None;
        }
        let mut stats = self.sample();
        if let Some(previous) = self.previous.take() {
            stats.previous_read_at = previous.read_at;
            stats.previous_cpu = previous.cpu;
        }
        self.previous = Some(stats.clone());
        stats
    }

    /// Zeros and no time when it does not run.
    fn sample(&self) -> Stats {
        let mut stats = self.container.read(|record| Stats {
            id: record.id.to_string(),
            name: record.name.to_string(),
            ..Stats::default()
        });
        let Some(shim) = self.container.shim() else {
            return stats;
        };
        // One that ends in this moment looks like one that has ended.
        if let Ok(counters) = shim.cgroup().stats() {
            fill(&mut stats, counters);
            stats.networks = interfaces(&shim);
            stats.read_at = Some(Timestamp::now());
        }
        stats
    }
}

fn fill(stats: &mut Stats, counters: CgroupStats) {
    let host = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let (host_ns, online_cpus) = host_cpu(&host);
    stats.cpu = CpuStats {
        total_ns: counters.cpu.total_ns,
        user_ns: counters.cpu.user_ns,
        system_ns: counters.cpu.system_ns,
        host_ns,
        online_cpus,
        periods: counters.cpu.periods,
        throttled_periods: counters.cpu.throttled_periods,
        throttled_ns: counters.cpu.throttled_ns,
    };
    stats.memory = MemoryStats {
        usage_bytes: counters.memory.usage_bytes,
        max_usage_bytes: counters.memory.max_usage_bytes.unwrap_or(0),
        limit_bytes: counters.memory.limit_bytes.unwrap_or_else(total_memory),
        stats: counters.memory.stat,
    };
    stats.pids_current = counters.pids_current;
    stats.pids_limit = counters.pids_limit;
    let entries = counters.block_io.into_iter().map(|entry| BlockIoEntry {
        major: entry.major,
        minor: entry.minor,
        operation: entry.operation,
        bytes: entry.bytes,
    });
    stats.block_io = entries.collect();
}

/// CPU time of the whole machine in nanoseconds, and its processors, from /proc/stat.
fn host_cpu(text: &str) -> (u64, u32) {
    let mut total = 0;
    let mut n_cpus = 0;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            // user nice system idle iowait irq softirq; the rest is contained in these.
            Some("cpu") => {
                let ticks: u64 = words
                    .take(7)
                    .filter_map(|word| word.parse::<u64>().ok())
                    .sum();
                total = ticks * NS_PER_TICK;
            }
            Some(word) if word.starts_with("cpu") => n_cpus += 1,
            _ => {}
        }
    }
    (total, n_cpus)
}

/// Bytes of memory of this machine.
pub(crate) fn total_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_ascii_whitespace().next())
        .and_then(|word| word.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn interfaces(shim: &Shim) -> BTreeMap<String, InterfaceStats> {
    let path = format!("/proc/{}/net/dev", shim.init_pid());
    parse_interfaces(&std::fs::read_to_string(path).unwrap_or_default())
}

/// The lines of /proc/PID/net/dev but loopback.
fn parse_interfaces(text: &str) -> BTreeMap<String, InterfaceStats> {
    let parse = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers
            .split_ascii_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let &[
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            _,
            _,
            _,
            _,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
            ..,
        ] = numbers.as_slice()
        else {
            return None;
        };
        let stats = InterfaceStats {
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
        };
        Some((name.trim().to_owned(), stats))
    };
    text.lines()
        .filter_map(parse)
        .filter(|(name, _)| name != "lo")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_parse() {
        let (ns, n_cpus) = host_cpu("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1\ncpu1 1\nintr 5\n");
        assert_eq!((ns, n_cpus), (28 * NS_PER_TICK, 2));
        let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop
    lo:     100       1    0    0    0     0          0         0      100       1    0    0 0 0 0 0
  eth0:    1000      10    1    2    0     0          0         0     2000      20    3    4 0 0 0 0
";
        let interfaces = parse_interfaces(text);
        assert_eq!(interfaces.len(), 1);
        let eth0 = interfaces["eth0"];
        assert_eq!(
            (
                eth0.rx_bytes,
                eth0.rx_dropped,
                eth0.tx_bytes,
                eth0.tx_dropped
            ),
            (1000, 2, 2000, 4)
        );
    }
}
