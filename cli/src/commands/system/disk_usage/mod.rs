//! `hythe system df`; `details` are what `-v` shows.

mod details;

use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;

use crate::api::{Api, Call};
use crate::commands::container::list::Listed;
use crate::commands::image::list::Summary;
use crate::failure::Outcome;
use crate::format::{Field, Listing, Row, decimal_size};
use crate::output;

const TABLE: &str = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

const FIELDS: &[Field] = &[
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];

#[derive(Debug, Args)]
pub(crate) struct DiskUsageArguments {
    /// table, json, a Go template, or `table TEMPLATE`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show each image, container, volume and cached step of builds
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    #[serde(default)]
    layers_size: i64,
    images: Option<Vec<Summary>>,
    containers: Option<Vec<Listed>>,
    volumes: Option<Vec<Volume>>,
    build_cache: Option<Vec<Cache>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volume {
    name: String,
    usage_data: Option<VolumeUsage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeUsage {
    size: i64,
    ref_count: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Cache {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(rename = "Type", default)]
    kind: String,
    size: i64,
    #[serde(default)]
    in_use: bool,
    #[serde(default)]
    shared: bool,
    #[serde(default)]
    usage_count: i64,
    created_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

/// One line of the overview.
struct Kind {
    name: &'static str,
    total: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
    /// Whether the share that can be freed is said as well.
    percent: bool,
}

pub(super) async fn run(api: &Api, arguments: &DiskUsageArguments) -> Outcome {
    let format = arguments.format.as_deref();
    if arguments.verbose {
        let usage: Usage = api.json(Call::get("/system/df")).await?;
        output::print(&details::shown(usage, format)?)?;
        return Ok(0);
    }
    let listing = Listing::parse(format, TABLE)?;
    let usage: Usage = api.json(Call::get("/system/df")).await?;
    let text = listing.render(FIELDS, kinds(&usage).map(|kind| row(&kind)))?;
    output::print(&text)?;
    Ok(0)
}

fn kinds(usage: &Usage) -> [Kind; 4] {
    [
        images(usage),
        containers(usage.containers.as_deref().unwrap_or_default()),
        volumes(usage.volumes.as_deref().unwrap_or_default()),
        caches(usage.build_cache.as_deref().unwrap_or_default()),
    ]
}

fn images(usage: &Usage) -> Kind {
    let images = usage.images.as_deref().unwrap_or_default();
    let used = images.iter().filter(|image| image.containers > 0);
    // What used images do not hold is free, as docker counts it.
    let held: i64 = used
        .clone()
        .map(|image| image.size - image.shared_size.max(0))
        .sum();
    Kind {
        name: "Images",
        total: images.len(),
        active: used.count(),
        size: usage.layers_size,
        reclaimable: (usage.layers_size - held).max(0),
        percent: true,
    }
}

fn containers(containers: &[Listed]) -> Kind {
    let active = containers.iter().filter(|container| {
        ["running", "paused", "restarting"].contains(&container.state.as_str())
    });
    let size: i64 = containers
        .iter()
        .filter_map(|container| container.size_rw)
        .sum();
    let held: i64 = active
        .clone()
        .filter_map(|container| container.size_rw)
        .sum();
    Kind {
        name: "Containers",
        total: containers.len(),
        active: active.count(),
        size,
        reclaimable: size - held,
        percent: true,
    }
}

fn volumes(volumes: &[Volume]) -> Kind {
    let usages = volumes.iter().map(|volume| match &volume.usage_data {
        Some(usage) => (usage.size.max(0), usage.ref_count > 0),
        None => (0, false),
    });
    Kind {
        name: "Local Volumes",
        total: volumes.len(),
        active: usages.clone().filter(|(_, used)| *used).count(),
        size: usages.clone().map(|(size, _)| size).sum(),
        reclaimable: usages.filter(|(_, used)| !used).map(|(size, _)| size).sum(),
        percent: true,
    }
}

fn caches(caches: &[Cache]) -> Kind {
    let unused = caches.iter().filter(|cache| !cache.in_use && !cache.shared);
    Kind {
        name: "Build Cache",
        total: caches.len(),
        active: caches.iter().filter(|cache| cache.in_use).count(),
        size: caches.iter().map(|cache| cache.size).sum(),
        reclaimable: unused.map(|cache| cache.size).sum(),
        percent: false,
    }
}

fn row(kind: &Kind) -> Row {
    let mut reclaimable = decimal_size(kind.reclaimable, 4);
    if kind.percent && kind.size > 0 {
        _ = write!(reclaimable, " ({}%)", kind.reclaimable * 100 / kind.size);
    }
    Row::default()
        .with("Type", kind.name)
        .with("TotalCount", kind.total.to_string())
        .with("Active", kind.active.to_string())
        .with("Size", decimal_size(kind.size, 4))
        .with("Reclaimable", reclaimable)
}
