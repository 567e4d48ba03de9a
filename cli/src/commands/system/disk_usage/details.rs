//! Every image, container, volume and cached step, in docker's columns.

use jiff::Timestamp;

use super::{Cache, Usage, Volume, caches};
use crate::commands::container::list as containers;
use crate::commands::image::list as images;
use crate::format::{Field, Listing, Row, decimal_size, duration_ago, short_id};

const IMAGES: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t\
    {{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";

const CONTAINERS: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t\
    {{.RunningFor}}\t{{.Status}}\t{{.Names}}";

const VOLUMES: &str = "{{.Name}}\t{{.Links}}\t{{.Size}}";
const VOLUME_FIELDS: &[Field] = &[
    ("Name", "VOLUME NAME"),
    ("Links", "LINKS"),
    ("Size", "SIZE"),
];

const CACHES: &str = "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t\
    {{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}";
const CACHE_FIELDS: &[Field] = &[
    ("ID", "CACHE ID"),
    ("CacheType", "CACHE TYPE"),
    ("Size", "SIZE"),
    ("CreatedSince", "CREATED"),
    ("LastUsedSince", "LAST USED"),
    ("UsageCount", "USAGE"),
    ("Shared", "SHARED"),
];

/// The lines of each kind.
struct Details {
    images: Vec<Row>,
    containers: Vec<Row>,
    volumes: Vec<Row>,
    caches: Vec<Row>,
}

impl Details {
    fn new(usage: Usage) -> Self {
        let now = Timestamp::now();
        let images = usage.images.iter().flatten();
        // Beside the image, only what the container itself takes matters.
        let containers = usage.containers.into_iter().flatten().map(|mut listed| {
            listed.size_root_fs = None;
            listed
        });
        let caches = usage.build_cache.iter().flatten();
        Self {
            images: images.map(|image| images::first_row(image, now)).collect(),
            containers: containers
                .map(|listed| containers::row(&listed, false, now))
                .collect(),
            volumes: usage.volumes.iter().flatten().map(volume).collect(),
            caches: caches.map(|it| cache(it, now)).collect(),
        }
    }
}

/// What `-v` prints: four tables, or the whole through a template.
pub(super) fn shown(usage: Usage, format: Option<&str>) -> anyhow::Result<String> {
    let cached = caches(usage.build_cache.as_deref().unwrap_or_default()).size;
    let Details {
        images,
        containers,
        volumes,
        caches,
    } = Details::new(usage);
    if !Listing::is_plain_table(format) {
        let all = Row::default()
            .with_rows("Images", images)
            .with_rows("Containers", containers)
            .with_rows("Volumes", volumes)
            .with_rows("BuildCache", caches);
        return Listing::parse(format, "")?.render_whole(all);
    }
    let table = |columns, fields, rows| Listing::parse(None, columns)?.render(fields, rows);
    Ok(format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\n\
         Local Volumes space usage:\n\n{}\nBuild cache usage: {}\n\n{}",
        table(IMAGES, images::FIELDS, images)?,
        table(CONTAINERS, containers::FIELDS, containers)?,
        table(VOLUMES, VOLUME_FIELDS, volumes)?,
        decimal_size(cached, 4),
        table(CACHES, CACHE_FIELDS, caches)?,
    ))
}

fn volume(volume: &Volume) -> Row {
    let known = |number: fn(&super::VolumeUsage) -> String| match &volume.usage_data {
        Some(usage) => number(usage),
        None => "N/A".to_owned(),
    };
    Row::default()
        .with("Name", volume.name.as_str())
        .with("Links", known(|usage| usage.ref_count.to_string()))
        .with("Size", known(|usage| decimal_size(usage.size, 4)))
}

fn cache(cache: &Cache, now: Timestamp) -> Row {
    // A step that is being used now is marked.
    let mark = if cache.in_use { "*" } else { "" };
    let since = |time: Option<Timestamp>| {
        time.map_or_else(String::new, |time| duration_ago(time.as_second(), now))
    };
    Row::default()
        .with("ID", format!("{}{mark}", short_id(&cache.id)))
        .with("CacheType", cache.kind.as_str())
        .with("Size", decimal_size(cache.size, 3))
        .with("CreatedSince", since(cache.created_at))
        .with("LastUsedSince", since(cache.last_used_at))
        .with("UsageCount", cache.usage_count.to_string())
        .with("Shared", cache.shared.to_string())
}
