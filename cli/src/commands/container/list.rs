//! `hythe ps`.

use std::collections::{BTreeMap, HashMap};

use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;

use crate::api::{Api, Call, Filters};
use crate::failure::Outcome;
use crate::format::{
    Field, Listing, Row, created_at, decimal_size, duration_ago, go_quoted, short_id, truncated,
};
use crate::output;
use crate::values;

const TABLE: &str =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

pub(crate) const FIELDS: &[Field] = &[
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Size", "SIZE"),
    ("Names", "NAMES"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
];

/// Characters of the command that fit into the table.
const COMMAND_LENGTH: usize = 20;
/// Characters of a mount's name that fit into the table.
const MOUNT_LENGTH: usize = 15;

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct ListArguments {
    /// Show all containers, not only running ones
    #[arg(long, short)]
    all: bool,
    /// Show only containers that match
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = values::parse_filter)]
    filter: Vec<(String, String)>,
    /// table, json, a Go template, or `table TEMPLATE`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show the N last created containers, running or not
    #[arg(
        long,
        short = 'n',
        value_name = "N",
        default_value_t = -1,
        allow_negative_numbers = true,
        hide_default_value = true
    )]
    last: i64,
    /// Show the latest created container, running or not
    #[arg(long, short)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Show only ids
    #[arg(long, short)]
    quiet: bool,
    /// Show the size of files
    #[arg(long, short)]
    size: bool,
}

/// A container as lists of the API have it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Listed {
    id: String,
    names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID", default)]
    image_id: String,
    command: String,
    created: i64,
    #[serde(default)]
    ports: Option<Vec<Port>>,
    pub(crate) size_rw: Option<i64>,
    pub(crate) size_root_fs: Option<i64>,
    labels: Option<HashMap<String, String>>,
    #[serde(default)]
    pub(crate) state: String,
    status: String,
    network_settings: Option<Networks>,
    #[serde(default)]
    mounts: Option<Vec<Mount>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Port {
    // The order of the fields is the order of ports in the list.
    #[serde(rename = "PrivatePort")]
    private: u16,
    #[serde(rename = "IP", default)]
    ip: String,
    #[serde(rename = "PublicPort", default)]
    public: u16,
    #[serde(rename = "Type")]
    protocol: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Networks {
    networks: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    #[serde(default)]
    name: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    driver: String,
}

pub(crate) async fn run(api: &Api, arguments: &ListArguments) -> Outcome {
    let format = match arguments.format.as_deref() {
        None | Some("table") if arguments.quiet => Some("{{.ID}}"),
        format => format,
    };
    let table = if arguments.size {
        format!("{TABLE}\t{{{{.Size}}}}")
    } else {
        TABLE.to_owned()
    };
    let listing = Listing::parse(format, &table)?;
    let limit = if arguments.latest { 1 } else { arguments.last };
    // Sizes are dear: they are asked for only when they will be shown.
    let size = arguments.size || format.is_some_and(|format| format.contains(".Size"));
    let call = Call::get("/containers/json")
        .flag("all", arguments.all)
        .flag("size", size)
        .query_option("limit", (limit > 0).then_some(limit))
        .filters(&Filters::new(&arguments.filter));
    let containers: Vec<Listed> = api.json(call).await?;
    let now = Timestamp::now();
    let rows = containers
        .iter()
        .map(|container| row(container, arguments.no_trunc, now));
    output::print(&listing.render(FIELDS, rows)?)?;
    Ok(0)
}

/// Its line; `whole` cuts nothing short.
pub(crate) fn row(listed: &Listed, whole: bool, now: Timestamp) -> Row {
    let id = if whole {
        listed.id.as_str()
    } else {
        short_id(&listed.id)
    };
    let command = if whole {
        listed.command.clone()
    } else {
        truncated(&listed.command, COMMAND_LENGTH)
    };
    let mounts = listed.mounts.as_deref().unwrap_or_default();
    let local_volumes = mounts
        .iter()
        .filter(|mount| mount.driver == "local")
        .count();
    let networks: Vec<&str> = listed
        .network_settings
        .iter()
        .flat_map(|settings| settings.networks.iter().flatten())
        .map(|(name, _)| name.as_str())
        .collect();
    Row::default()
        .with("ID", id)
        .with("Image", image(listed, whole))
        .with("Command", go_quoted(&command))
        .with("CreatedAt", created_at(listed.created))
        .with("RunningFor", duration_ago(listed.created, now))
        .with(
            "Ports",
            displayed_ports(listed.ports.clone().unwrap_or_default()),
        )
        .with("State", listed.state.as_str())
        .with("Status", listed.status.as_str())
        .with("Size", size(listed))
        .with("Names", names(&listed.names, whole))
        .with("Mounts", mount_names(mounts, whole))
        .with("LocalVolumes", local_volumes.to_string())
        .with("Networks", networks.join(","))
        .with_labels(listed.labels.iter().flatten())
}

/// The image's name; an image without one is shown by its short id.
fn image(listed: &Listed, whole: bool) -> String {
    if listed.image.is_empty() {
        return "<no image>".to_owned();
    }
    if !whole && short_id(&listed.image) == short_id(&listed.image_id) {
        return short_id(&listed.image).to_owned();
    }
    match listed.image.split_once('@') {
        Some((name, _)) if !whole => name.to_owned(),
        _ => listed.image.clone(),
    }
}

/// Names without their slash; those that links gave are left out of a short list.
fn names(names: &[String], whole: bool) -> String {
    let names: Vec<&str> = names
        .iter()
        .map(|name| name.strip_prefix('/').unwrap_or(name))
        .filter(|name| whole || !name.contains('/'))
        .collect();
    names.join(",")
}

fn mount_names(mounts: &[Mount], whole: bool) -> String {
    let names: Vec<String> = mounts
        .iter()
        .map(|mount| {
            let name = if mount.name.is_empty() {
                &mount.source
            } else {
                &mount.name
            };
            if whole {
                name.clone()
            } else {
                truncated(name, MOUNT_LENGTH)
            }
        })
        .collect();
    names.join(",")
}

fn size(listed: &Listed) -> String {
    let own = decimal_size(listed.size_rw.unwrap_or(0), 3);
    match listed.size_root_fs {
        Some(all) if all > 0 => format!("{own} (virtual {})", decimal_size(all, 3)),
        _ => own,
    }
}

/// A run of consecutive ports that are shown together.
struct Group {
    ip: String,
    protocol: String,
    first: u16,
    last: u16,
}

impl Group {
    fn display(&self) -> String {
        let ports = if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}-{}", self.first, self.last)
        };
        if self.ip.is_empty() {
            format!("{ports}/{}", self.protocol)
        } else {
            let host = values::host_address(&self.ip, &ports);
            format!("{host}->{ports}/{}", self.protocol)
        }
    }
}

/// `0.0.0.0:8080->80/tcp, 443/tcp`: runs of ports that stay the same are joined, mappings that
/// change the number come last, as docker has it.
fn displayed_ports(mut ports: Vec<Port>) -> String {
    ports.sort();
    let (mut shown, mut changed) = (Vec::new(), Vec::new());
    let mut groups: Vec<Group> = Vec::new();
    for port in ports {
        let number = port.private;
        if !port.ip.is_empty() && port.public != number {
            let host = values::host_address(&port.ip, &port.public.to_string());
            changed.push(format!("{host}->{number}/{}", port.protocol));
            continue;
        }
        let group = groups
            .iter_mut()
            .find(|group| group.ip == port.ip && group.protocol == port.protocol);
        match group {
            Some(group) if group.last.checked_add(1) == Some(number) => group.last = number,
            Some(group) => {
                shown.push(group.display());
                (group.first, group.last) = (number, number);
            }
            None => groups.push(Group {
                ip: port.ip,
                protocol: port.protocol,
                first: number,
                last: number,
            }),
        }
    }
    shown.extend(groups.iter().map(Group::display));
    shown.extend(changed);
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn listed() -> Listed {
        serde_json::from_value(json!({
            "Id": "0123456789abcdef0123456789abcdef",
            "Names": ["/web", "/other/alias"],
            "Image": "nginx:1",
            "ImageID": "sha256:aa",
            "Command": "/docker-entrypoint.sh nginx -g 'daemon off;'",
            "Created": 1_700_000_000,
            "Ports": [
                {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
                {"PrivatePort": 443, "Type": "tcp"},
            ],
            "Labels": {"a": "b"},
            "State": "running",
            "Status": "Up 2 hours",
            "SizeRw": 1234,
            "SizeRootFs": 187_000_000,
            "NetworkSettings": {"Networks": {"bridge": {}}},
            "Mounts": [{"Type": "volume", "Name": "a-very-long-volume-name", "Driver": "local"}],
        }))
        .unwrap()
    }

    #[test]
    fn the_table() {
        let now = Timestamp::from_second(1_700_000_000 + 7200).unwrap();
        let table = Listing::parse(None, TABLE)
            .and_then(|listing| listing.render(FIELDS, [row(&listed(), false, now)]))
            .unwrap();
        assert_eq!(
            table,
            "CONTAINER ID   IMAGE     COMMAND                  CREATED       STATUS       PORTS                           NAMES\n\
             0123456789ab   nginx:1   \"/docker-entrypoint.…\"   2 hours ago   Up 2 hours   443/tcp, 0.0.0.0:8080->80/tcp   web\n"
        );
    }

    #[test]
    fn fields() {
        let now = Timestamp::from_second(1_700_000_060).unwrap();
        let format = "{{.Size}}|{{.Mounts}}|{{.LocalVolumes}}|{{.Networks}}|{{.Label \"a\"}}|{{.State}}|{{.CreatedAt}}";
        let text = Listing::parse(Some(format), TABLE)
            .and_then(|listing| listing.render(FIELDS, [row(&listed(), false, now)]))
            .unwrap();
        assert!(
            text.starts_with("1.23kB (virtual 187MB)|a-very-long-vo…|1|bridge|b|running|2023-11-1"),
            "{text}"
        );
    }

    #[test]
    fn ports() {
        let port = |ip: &str, private, public, protocol: &str| Port {
            private,
            ip: ip.to_owned(),
            public,
            protocol: protocol.to_owned(),
        };
        let cases = [
            (vec![], ""),
            (vec![port("", 80, 0, "tcp")], "80/tcp"),
            (
                vec![port("0.0.0.0", 80, 80, "tcp"), port("::", 80, 80, "tcp")],
                "0.0.0.0:80->80/tcp, [::]:80->80/tcp",
            ),
            (
                vec![
                    port("", 82, 0, "tcp"),
                    port("", 80, 0, "tcp"),
                    port("", 81, 0, "tcp"),
                    port("", 90, 0, "tcp"),
                    port("", 53, 0, "udp"),
                ],
                "80-82/tcp, 53/udp, 90/tcp",
            ),
            (
                vec![port("0.0.0.0", 80, 8080, "tcp"), port("", 443, 0, "tcp")],
                "443/tcp, 0.0.0.0:8080->80/tcp",
            ),
        ];
        for (ports, expected) in cases {
            assert_eq!(displayed_ports(ports), expected);
        }
    }
}
