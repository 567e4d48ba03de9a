//! `hythe system df`.

use std::fmt::Write as _;

use clap::Args;
use serde::Deserialize;

use crate::api::{Api, Call};
use crate::failure::Outcome;
use crate::format::{Field, Listing, Row, decimal_size, short_id};
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
    #[arg(long, value_name = "FORMAT", conflicts_with = "verbose")]
    format: Option<String>,
    /// Show each image, container and volume
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    #[serde(default)]
    layers_size: i64,
    images: Option<Vec<Image>>,
    containers: Option<Vec<Container>>,
    volumes: Option<Vec<Volume>>,
    build_cache: Option<Vec<Cache>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    id: String,
    repo_tags: Option<Vec<String>>,
    size: i64,
    #[serde(default)]
    shared_size: i64,
    #[serde(default)]
    containers: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    id: String,
    names: Vec<String>,
    image: String,
    #[serde(default)]
    size_rw: i64,
    state: String,
    status: String,
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
    size: i64,
    #[serde(default)]
    in_use: bool,
    #[serde(default)]
    shared: bool,
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
    let listing = Listing::parse(arguments.format.as_deref(), TABLE)?;
    let usage: Usage = api.json(Call::get("/system/df")).await?;
    let text = if arguments.verbose {
        verbose(&usage)?
    } else {
        let rows = kinds(&usage).map(|kind| row(&kind));
        listing.render(FIELDS, rows)?
    };
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

fn containers(containers: &[Container]) -> Kind {
    let active = containers.iter().filter(|container| {
        ["running", "paused", "restarting"].contains(&container.state.as_str())
    });
    let size: i64 = containers.iter().map(|container| container.size_rw).sum();
    let held: i64 = active.clone().map(|container| container.size_rw).sum();
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

fn verbose(usage: &Usage) -> anyhow::Result<String> {
    let images = Listing::parse(None, "{{.Image}}\t{{.ID}}\t{{.Size}}\t{{.Containers}}")?.render(
        &[
            ("Image", "IMAGE"),
            ("ID", "IMAGE ID"),
            ("Size", "SIZE"),
            ("Containers", "CONTAINERS"),
        ],
        usage.images.iter().flatten().map(|image| {
            let name = image.repo_tags.iter().flatten().next();
            Row::default()
                .with("Image", name.map_or("<none>", String::as_str))
                .with("ID", short_id(&image.id))
                .with("Size", decimal_size(image.size, 3))
                .with("Containers", image.containers.max(0).to_string())
        }),
    )?;
    let containers = Listing::parse(
        None,
        "{{.ID}}\t{{.Image}}\t{{.Size}}\t{{.Status}}\t{{.Names}}",
    )?
    .render(
        &[
            ("ID", "CONTAINER ID"),
            ("Image", "IMAGE"),
            ("Size", "SIZE"),
            ("Status", "STATUS"),
            ("Names", "NAMES"),
        ],
        usage.containers.iter().flatten().map(|container| {
            let names = container.names.join(",").replace('/', "");
            Row::default()
                .with("ID", short_id(&container.id))
                .with("Image", container.image.as_str())
                .with("Size", decimal_size(container.size_rw, 3))
                .with("Status", container.status.as_str())
                .with("Names", names)
        }),
    )?;
    let volumes = Listing::parse(None, "{{.Name}}\t{{.Links}}\t{{.Size}}")?.render(
        &[
            ("Name", "VOLUME NAME"),
            ("Links", "LINKS"),
            ("Size", "SIZE"),
        ],
        usage.volumes.iter().flatten().map(|volume| {
            let (size, links) = match &volume.usage_data {
                Some(usage) => (usage.size.max(0), usage.ref_count.max(0)),
                None => (0, 0),
            };
            Row::default()
                .with("Name", volume.name.as_str())
                .with("Links", links.to_string())
                .with("Size", decimal_size(size, 3))
        }),
    )?;
    Ok(format!(
        "Images space usage:\n\n{images}\nContainers space usage:\n\n{containers}\n\
         Local Volumes space usage:\n\n{volumes}"
    ))
}
