//! `hythe stats`.

use std::collections::HashMap;

use clap::Args;
use futures_util::future::join_all;
use serde::Deserialize;

use crate::api::{Api, ApiError, Call};
use crate::failure::Outcome;
use crate::format::{Field, Listing, Row, binary_size, decimal_size, short_id};
use crate::output;
use crate::terminal;

const TABLE: &str = "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

const FIELDS: &[Field] = &[
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

/// Clears the screen and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

#[derive(Debug, Args)]
pub(crate) struct StatsArguments {
    /// Show all containers, not only running ones
    #[arg(long, short)]
    all: bool,
    /// table, json, a Go template, or `table TEMPLATE`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show one reading and end
    #[arg(long)]
    no_stream: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// The parts of a reading that are shown. All have defaults: a stopped container has few of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reading {
    id: String,
    name: String,
    cpu_stats: CpuStats,
    precpu_stats: CpuStats,
    memory_stats: MemoryStats,
    networks: Option<HashMap<String, NetworkStats>>,
    blkio_stats: BlockStats,
    pids_stats: PidStats,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CpuStats {
    cpu_usage: CpuUsage,
    system_cpu_usage: u64,
    online_cpus: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CpuUsage {
    total_usage: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MemoryStats {
    usage: u64,
    limit: u64,
    stats: Option<HashMap<String, u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NetworkStats {
    rx_bytes: u64,
    tx_bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BlockStats {
    io_service_bytes_recursive: Option<Vec<BlockEntry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BlockEntry {
    op: String,
    value: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PidStats {
    current: u64,
}

pub(super) async fn run(api: &Api, arguments: &StatsArguments) -> Outcome {
    let listing = Listing::parse(arguments.format.as_deref(), TABLE)?;
    let clears = !arguments.no_stream && terminal::output_is_terminal();
    loop {
        let names = names(api, arguments).await?;
        // Each reading takes the agent a second: that is also how often the screen changes.
        let readings = join_all(names.iter().map(|name| read(api, name))).await;
        let mut rows = Vec::with_capacity(names.len());
        for (name, reading) in names.iter().zip(readings) {
            match reading {
                Ok(reading) => rows.push(row(name, &reading, arguments.no_trunc)),
                // It ended between the list and the reading; but somebody who named it is told.
                Err(error) if error.is_not_found() && arguments.containers.is_empty() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let nothing = rows.is_empty();
        let text = listing.render(FIELDS, rows)?;
        output::print(&if clears {
            format!("{CLEAR}{text}")
        } else {
            text
        })?;
        if arguments.no_stream {
            return Ok(0);
        }
        if nothing {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
}

async fn names(api: &Api, arguments: &StatsArguments) -> Result<Vec<String>, ApiError> {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(rename = "Id")]
        id: String,
    }
    if !arguments.containers.is_empty() {
        return Ok(arguments.containers.clone());
    }
    let call = Call::get("/containers/json").flag("all", arguments.all);
    let listed: Vec<Listed> = api.json(call).await?;
    Ok(listed.into_iter().map(|container| container.id).collect())
}

async fn read(api: &Api, name: &str) -> Result<Reading, ApiError> {
    api.json(Call::get(super::path(name, "/stats")).query("stream", "0"))
        .await
}

fn row(name: &str, reading: &Reading, whole: bool) -> Row {
    let short = |id: &str| {
        if whole {
            id.to_owned()
        } else {
            short_id(id).to_owned()
        }
    };
    let (received, sent) = reading
        .networks
        .iter()
        .flatten()
        .fold((0, 0), |(received, sent), (_, network)| {
            (received + network.rx_bytes, sent + network.tx_bytes)
        });
    let block = |op: &str| -> u64 {
        reading
            .blkio_stats
            .io_service_bytes_recursive
            .iter()
            .flatten()
            .filter(|entry| entry.op.eq_ignore_ascii_case(op))
            .map(|entry| entry.value)
            .sum()
    };
    let used = memory_used(&reading.memory_stats);
    let limit = reading.memory_stats.limit;
    let pair = |first: u64, second: u64| format!("{} / {}", metric(first), metric(second));
    Row::default()
        .with("Container", short(name))
        .with("ID", short(&reading.id))
        .with("Name", reading.name.trim_start_matches('/'))
        .with("CPUPerc", format!("{:.2}%", cpu_percent(reading)))
        .with(
            "MemUsage",
            format!("{} / {}", binary_size(used), binary_size(limit)),
        )
        .with("MemPerc", format!("{:.2}%", ratio(used, limit) * 100.0))
        .with("NetIO", pair(received, sent))
        .with("BlockIO", pair(block("read"), block("write")))
        .with("PIDs", reading.pids_stats.current.to_string())
}

fn metric(bytes: u64) -> String {
    decimal_size(i64::try_from(bytes).unwrap_or(i64::MAX), 3)
}

/// Memory in use without the page cache that could be given back at once.
fn memory_used(memory: &MemoryStats) -> u64 {
    let inactive = memory.stats.as_ref().and_then(|stats| {
        stats
            .get("total_inactive_file")
            .or_else(|| stats.get("inactive_file"))
            .copied()
    });
    match inactive {
        Some(inactive) if inactive < memory.usage => memory.usage - inactive,
        _ => memory.usage,
    }
}

fn cpu_percent(reading: &Reading) -> f64 {
    let (now, before) = (&reading.cpu_stats, &reading.precpu_stats);
    let used = now
        .cpu_usage
        .total_usage
        .saturating_sub(before.cpu_usage.total_usage);
    let all = now.system_cpu_usage.saturating_sub(before.system_cpu_usage);
    ratio(used, all) * ratio(now.online_cpus.max(1), 1) * 100.0
}

#[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reading() {
        let reading: Reading = serde_json::from_value(json!({
            "id": "0123456789abcdef",
            "name": "/web",
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
            "memory_stats": {"usage": 2_097_152, "limit": 8_388_608, "stats": {"inactive_file": 1_048_576}},
            "networks": {"eth0": {"rx_bytes": 1500, "tx_bytes": 500}},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 4096}]},
            "pids_stats": {"current": 3},
        }))
        .unwrap();
        let text = Listing::parse(Some(TABLE), TABLE)
            .and_then(|listing| listing.render(FIELDS, [row("web", &reading, false)]))
            .unwrap();
        assert_eq!(
            text,
            "0123456789ab\tweb\t40.00%\t1MiB / 8MiB\t12.50%\t1.5kB / 500B\t4.1kB / 0B\t3\n"
        );
    }

    #[test]
    fn a_stopped_container_has_no_numbers() {
        let reading: Reading = serde_json::from_value(json!({"id": "a", "name": "b"})).unwrap();
        let text = Listing::parse(Some("{{.CPUPerc}} {{.MemPerc}}"), TABLE)
            .and_then(|listing| listing.render(FIELDS, [row("a", &reading, false)]))
            .unwrap();
        assert_eq!(text, "0.00% 0.00%\n");
    }
}
