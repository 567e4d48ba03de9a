//! `hythe registry gc`: one collection now, beside whatever the server does.

use clap::Args;
use hythe_server::{Collected, Finding};

use super::show::{FormatArguments, counted, lines};
use super::stores::StoreArguments;
use crate::failure::Outcome;
use crate::format::binary_size;

#[derive(Debug, Args)]
pub(super) struct GcArguments {
    /// Say what would be removed and why; remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Also compare the whole store with the database, for objects that a crash left
    #[arg(long)]
    audit: bool,
    #[command(flatten)]
    format: FormatArguments,
}

pub(super) async fn run(arguments: &GcArguments, stores: &StoreArguments) -> Outcome {
    let registry = stores.open().await?;
    if arguments.dry_run {
        let findings = registry.explain(arguments.audit).await?;
        arguments
            .format
            .show(|| explained(&findings), || serde_json::to_value(&findings))?;
    } else {
        let collected = registry.collect(arguments.audit).await?;
        arguments
            .format
            .show(|| told(&collected), || serde_json::to_value(collected))?;
    }
    Ok(0)
}

fn explained(findings: &[Finding]) -> String {
    let count = counted(findings.len() as u64, "thing");
    lines(findings.iter().map(line), format!("{count} to remove"))
}

fn line(finding: &Finding) -> String {
    match finding {
        Finding::Upload {
            repository,
            id,
            size_bytes,
        } => format!(
            "upload {id} of {repository} ({}): nothing was heard of it for too long",
            binary_size(*size_bytes)
        ),
        Finding::Tag {
            repository,
            tag,
            why,
        } => format!("tag {repository}:{tag}: {why}"),
        Finding::Manifest { repository, digest } => {
            format!("manifest {digest} of {repository}: no tag, index or subject leads to it")
        }
        Finding::Link { repository, digest } => {
            format!("blob {digest} in {repository}: no manifest there uses it")
        }
        Finding::Blob { digest, size_bytes } => format!(
            "blob {digest} ({}): no repository shows it",
            binary_size(*size_bytes)
        ),
        Finding::Object { key } => format!("object {key}: what it was part of was removed"),
        Finding::Multipart { key } => {
            format!("parts of object {key}: a crash left the upload unfinished")
        }
        Finding::Unnamed { key, size_bytes } => format!(
            "object {key} ({}): no row names it; a crash left it",
            binary_size(*size_bytes)
        ),
    }
}

fn told(collected: &Collected) -> String {
    format!(
        "removed {}, {}, {}, {}, {} ({}), {}, {}\n",
        counted(collected.uploads, "stale upload"),
        counted(collected.tags, "tag"),
        counted(collected.manifests, "manifest"),
        counted(collected.links, "unused link"),
        counted(collected.blobs, "blob"),
        binary_size(collected.blob_bytes),
        counted(collected.objects, "object"),
        counted(collected.multiparts, "unfinished object"),
    )
}
