//! `hythe registry repositories` and `hythe registry tags`: what there is, where a tag pointed,
//! and pointing it there again.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use hythe_oci::{Digest, RepositoryName, Tag};
use hythe_server::{AsItWas, MoveRecord, RepositoryRecord, TagRecord};
use jiff::Timestamp;

use super::show::{FormatArguments, counted, lines};
use super::stores::StoreArguments;
use crate::failure::Outcome;
use crate::format::{align, binary_size};

/// The least width of a column.
const COLUMN: usize = 8;

#[derive(Debug, Args)]
pub(super) struct RepositoriesArguments {
    #[command(flatten)]
    format: FormatArguments,
}

#[derive(Debug, Args)]
pub(super) struct TagsArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List tags with size, platforms, and when they were pushed and pulled
    Ls {
        /// Repository, such as team/app
        repository: RepositoryName,
        #[command(flatten)]
        format: FormatArguments,
    },
    /// Say what a tag named, since when and by whom
    History {
        #[command(flatten)]
        name: TagName,
        #[command(flatten)]
        format: FormatArguments,
    },
    /// Point a tag at what it named before its last move
    Restore {
        #[command(flatten)]
        name: TagName,
        /// At what it named then, such as 2026-01-31T12:00:00Z
        #[arg(long, value_name = "TIME", conflicts_with = "digest")]
        as_of: Option<Timestamp>,
        /// At this, which it named once
        #[arg(long, value_name = "DIGEST")]
        digest: Option<Digest>,
        #[command(flatten)]
        format: FormatArguments,
    },
}

#[derive(Debug, Args)]
struct TagName {
    /// Repository and tag, such as team/app:latest
    #[arg(value_name = "NAME:TAG")]
    tag: String,
}

impl TagName {
    fn parse(&self) -> anyhow::Result<(RepositoryName, Tag)> {
        let Some((repository, tag)) = self.tag.rsplit_once(':') else {
            bail!("\"{}\" is no repository and tag: NAME:TAG", self.tag);
        };
        let told = || format!("\"{}\" is no repository and tag", self.tag);
        Ok((
            repository.parse().with_context(told)?,
            tag.parse().with_context(told)?,
        ))
    }
}

pub(super) async fn repositories(
    arguments: &RepositoriesArguments,
    stores: &StoreArguments,
) -> Outcome {
    let repositories = stores.open().await?.repositories().await?;
    arguments.format.show(
        || list_repositories(&repositories),
        || serde_json::to_value(&repositories),
    )?;
    Ok(0)
}

pub(super) async fn tags(arguments: &TagsArguments, stores: &StoreArguments) -> Outcome {
    let registry = stores.open().await?;
    match &arguments.verb {
        Verb::Ls { repository, format } => {
            let tags = registry.tags(repository).await?;
            format.show(|| list_tags(&tags), || serde_json::to_value(&tags))?;
        }
        Verb::History { name, format } => {
            let (repository, tag) = name.parse()?;
            let moves = registry.tag_history(&repository, &tag).await?;
            format.show(|| list_moves(&moves), || serde_json::to_value(&moves))?;
        }
        Verb::Restore {
            name,
            as_of,
            digest,
            format,
        } => {
            let (repository, tag) = name.parse()?;
            let to = match (as_of, digest) {
                (Some(at), _) => AsItWas::At(*at),
                (None, Some(digest)) => AsItWas::Named(digest.clone()),
                (None, None) => AsItWas::Before,
            };
            let digest = registry.restore_tag(&repository, &tag, &to).await?;
            format.show(
                || format!("{repository}:{tag} is {digest} again\n"),
                || Ok(serde_json::json!({ "digest": digest })),
            )?;
        }
    }
    Ok(0)
}

fn list_repositories(repositories: &[RepositoryRecord]) -> String {
    let mut text = "NAME\tTAGS\tSIZE\tSTARS\tPUSHED\tLAST PULLED\n".to_owned();
    for one in repositories {
        let row = [
            one.name.to_string(),
            one.tag_count.to_string(),
            binary_size(one.size_bytes),
            one.star_count.to_string(),
            at(one.pushed_at),
            at(one.last_pulled_at),
        ];
        text += &(row.join("\t") + "\n");
    }
    align(&text, COLUMN)
}

fn list_tags(tags: &[TagRecord]) -> String {
    let mut text = "TAG\tSIZE\tPLATFORMS\tPUSHED\tBY\tLAST PULLED\tDIGEST\n".to_owned();
    for one in tags {
        let platforms = one.platforms.iter().map(|image| image.platform.as_str());
        let row = [
            one.name.to_string(),
            binary_size(one.size_bytes),
            platforms.collect::<Vec<_>>().join(","),
            at(Some(one.pushed_at)),
            one.pushed_by.clone(),
            at(one.last_pulled_at),
            one.digest.to_string(),
        ];
        text += &(row.join("\t") + "\n");
    }
    align(&text, COLUMN)
}

fn list_moves(moves: &[MoveRecord]) -> String {
    let named = |digest: &Option<Digest>| {
        let digest = digest.as_ref().map(ToString::to_string);
        digest.unwrap_or_else(|| "nothing".to_owned())
    };
    let each = moves.iter().map(|one| {
        let gone = match (&one.previous, one.restorable) {
            (Some(_), false) => " (gone)",
            _ => "",
        };
        format!(
            "{} {} by {}: from {}{gone} to {}",
            at(Some(one.moved_at)),
            one.reason,
            one.moved_by,
            named(&one.previous),
            named(&one.digest),
        )
    });
    lines(each, counted(moves.len() as u64, "move"))
}

fn at(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{time:.0}"))
}
