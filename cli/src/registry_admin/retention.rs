//! `hythe registry retention`: which tags the rules keep, and removing the others now.

use clap::Args;
use hythe_server::TagDecision;

use super::show::{FormatArguments, counted, lines};
use super::stores::StoreArguments;
use crate::failure::Outcome;

#[derive(Debug, Args)]
pub(super) struct RetentionArguments {
    /// Say of every tag that a rule means what becomes of it and why; remove nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: FormatArguments,
}

pub(super) async fn run(arguments: &RetentionArguments, stores: &StoreArguments) -> Outcome {
    let registry = stores.open().await?;
    if arguments.dry_run {
        let decided = registry.decide_tags().await?;
        arguments
            .format
            .show(|| told(&decided), || serde_json::to_value(&decided))?;
    } else {
        let tags = registry.expire_tags().await?;
        arguments.format.show(
            || format!("removed {}\n", counted(tags, "tag")),
            || Ok(serde_json::json!({ "tags": tags })),
        )?;
    }
    Ok(0)
}

fn told(decided: &[TagDecision]) -> String {
    let removed = decided.iter().filter(|one| one.remove).count() as u64;
    let sum = format!(
        "{} to remove, {} to keep",
        counted(removed, "tag"),
        counted(decided.len() as u64 - removed, "tag"),
    );
    let each = decided.iter().map(|one| {
        let verb = if one.remove { "remove" } else { "keep" };
        format!("{verb} {}:{}: {}", one.repository, one.tag, one.why)
    });
    lines(each, sum)
}
