//! `hythe images`.

use std::collections::HashMap;

use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;

use crate::api::{Api, Call, Filters};
use crate::failure::Outcome;
use crate::format::{Field, Listing, Row, created_at, decimal_size, duration_ago, short_id};
use crate::output;
use crate::values;

const TABLE: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const DIGEST_TABLE: &str =
    "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

pub(crate) const FIELDS: &[Field] = &[
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "SIZE"),
];

const NONE: &str = "<none>";

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct ListArguments {
    /// Show all images, also intermediate ones
    #[arg(long, short)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Show only images that match
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = values::parse_filter)]
    filter: Vec<(String, String)>,
    /// table, json, a Go template, or `table TEMPLATE`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Show only ids
    #[arg(long, short)]
    quiet: bool,
    /// Only images of this name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    repository: Option<String>,
}

/// An image as lists of the API have it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Summary {
    id: String,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    created: i64,
    pub(crate) size: i64,
    #[serde(default)]
    pub(crate) shared_size: i64,
    #[serde(default)]
    pub(crate) containers: i64,
    labels: Option<HashMap<String, String>>,
}

/// One line of the list: an image under one of its names.
#[derive(Debug, PartialEq, Eq)]
struct Name<'a> {
    repository: &'a str,
    tag: &'a str,
    digest: &'a str,
}

pub(crate) async fn run(api: &Api, arguments: &ListArguments) -> Outcome {
    let format = match arguments.format.as_deref() {
        None | Some("table") if arguments.quiet => Some("{{.ID}}"),
        format => format,
    };
    let table = if arguments.digests {
        DIGEST_TABLE
    } else {
        TABLE
    };
    let listing = Listing::parse(format, table)?;
    let mut filters = Filters::new(&arguments.filter);
    if let Some(repository) = &arguments.repository {
        filters.add("reference", repository);
    }
    let call = Call::get("/images/json")
        .flag("all", arguments.all)
        .filters(&filters);
    let summaries: Vec<Summary> = api.json(call).await?;
    let now = Timestamp::now();
    let with_digests = arguments.digests || format.is_some_and(|format| format.contains(".Digest"));
    let rows = summaries.iter().flat_map(|summary| {
        names(summary, with_digests)
            .into_iter()
            .map(|name| row(summary, &name, arguments.no_trunc, now))
            .collect::<Vec<_>>()
    });
    output::print(&listing.render(FIELDS, rows)?)?;
    Ok(0)
}

/// The one line of an image, under its first tag.
pub(crate) fn first_row(summary: &Summary, now: Timestamp) -> Row {
    let mut tags = summary.repo_tags.iter().flatten();
    let first = tags.find_map(|tag| tag.rsplit_once(':'));
    let (repository, tag) = first.unwrap_or((NONE, NONE));
    let name = Name {
        repository,
        tag,
        digest: NONE,
    };
    row(summary, &name, false, now)
}

/// The lines an image has: one per tag, with digests one per tag and digest.
fn names(summary: &Summary, with_digests: bool) -> Vec<Name<'_>> {
    let tags: Vec<(&str, &str)> = summary
        .repo_tags
        .iter()
        .flatten()
        .filter_map(|tag| tag.rsplit_once(':'))
        .filter(|(repository, _)| *repository != NONE)
        .collect();
    let digests: Vec<(&str, &str)> = summary
        .repo_digests
        .iter()
        .flatten()
        .filter_map(|digest| digest.split_once('@'))
        .filter(|(repository, _)| *repository != NONE)
        .collect();
    let mut names = Vec::new();
    for (repository, tag) in &tags {
        let mut own = digests
            .iter()
            .filter(|(of, _)| of == repository)
            .map(|(_, digest)| *digest)
            .peekable();
        if with_digests && own.peek().is_some() {
            names.extend(own.map(|digest| Name {
                repository,
                tag,
                digest,
            }));
        } else {
            names.push(Name {
                repository,
                tag,
                digest: NONE,
            });
        }
    }
    // A repository that only a digest knows has a line too, unless a tag of it had one.
    for (repository, digest) in digests {
        if !tags.iter().any(|(of, _)| *of == repository) {
            names.push(Name {
                repository,
                tag: NONE,
                digest: if with_digests { digest } else { NONE },
            });
        }
    }
    if names.is_empty() {
        names.push(Name {
            repository: NONE,
            tag: NONE,
            digest: NONE,
        });
    }
    names
}

fn row(summary: &Summary, name: &Name<'_>, whole: bool, now: Timestamp) -> Row {
    let id = if whole {
        summary.id.as_str()
    } else {
        short_id(&summary.id)
    };
    let known = |number: i64, text: String| if number < 0 { "N/A".to_owned() } else { text };
    let size = decimal_size(summary.size, 3);
    Row::default()
        .with("ID", id)
        .with("Repository", name.repository)
        .with("Tag", name.tag)
        .with("Digest", name.digest)
        .with("CreatedSince", duration_ago(summary.created, now))
        .with("CreatedAt", created_at(summary.created))
        .with("Size", size.as_str())
        .with("VirtualSize", size)
        .with(
            "Containers",
            known(summary.containers, summary.containers.to_string()),
        )
        .with(
            "SharedSize",
            known(summary.shared_size, decimal_size(summary.shared_size, 4)),
        )
        .with(
            "UniqueSize",
            known(
                summary.shared_size,
                decimal_size(summary.size - summary.shared_size, 4),
            ),
        )
        .with_labels(summary.labels.iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn summary(tags: &[&str], digests: &[&str]) -> Summary {
        serde_json::from_value(json!({
            "Id": "sha256:0123456789abcdef",
            "RepoTags": tags,
            "RepoDigests": digests,
            "Created": 1_700_000_000,
            "Size": 187_000_000,
            "SharedSize": -1,
            "Containers": -1,
        }))
        .unwrap()
    }

    fn lines(tags: &[&str], digests: &[&str], with_digests: bool) -> Vec<String> {
        names(&summary(tags, digests), with_digests)
            .iter()
            .map(|name| format!("{} {} {}", name.repository, name.tag, name.digest))
            .collect()
    }

    #[test]
    fn names_of_an_image() {
        assert_eq!(lines(&[], &[], false), ["<none> <none> <none>"]);
        assert_eq!(
            lines(&["h:5000/a:1", "b:2"], &["h:5000/a@sha256:x"], false),
            ["h:5000/a 1 <none>", "b 2 <none>"]
        );
        assert_eq!(
            lines(&["a:1", "b:2"], &["a@sha256:x"], true),
            ["a 1 sha256:x", "b 2 <none>"]
        );
        assert_eq!(lines(&[], &["a@sha256:x"], false), ["a <none> <none>"]);
        assert_eq!(
            lines(&["<none>:<none>"], &["<none>@<none>"], false),
            ["<none> <none> <none>"]
        );
    }

    #[test]
    fn the_table() {
        let summary = summary(&["nginx:1"], &[]);
        let now = Timestamp::from_second(1_700_000_000 + 86400 * 3).unwrap();
        let rows = names(&summary, false)
            .into_iter()
            .map(|name| row(&summary, &name, false, now));
        let text = Listing::parse(None, TABLE)
            .and_then(|listing| listing.render(FIELDS, rows))
            .unwrap();
        assert_eq!(
            text,
            "REPOSITORY   TAG       IMAGE ID       CREATED      SIZE\n\
             nginx        1         0123456789ab   3 days ago   187MB\n"
        );
    }
}
