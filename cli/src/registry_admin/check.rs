//! `hythe registry check`: what is wrong, and what would put it right. Changes nothing.

use anyhow::Context as _;
use clap::Args;
use hythe_server::{Hurt, Maintenance, ObjectHolder, Problem};

use super::show::{FormatArguments, counted, lines};
use super::stores::StoreArguments;
use crate::failure::Outcome;
use crate::format::binary_size;

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    format: FormatArguments,
}

/// Ends with 1 when anything is wrong.
pub(super) async fn run(arguments: &CheckArguments, stores: &StoreArguments) -> Outcome {
    let problems = Maintenance::check(stores.config()?)
        .await
        .context("cannot check the registry")?;
    arguments
        .format
        .show(|| told(&problems), || serde_json::to_value(&problems))?;
    Ok(u8::from(!problems.is_empty()))
}

fn told(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return "nothing is wrong\n".to_owned();
    }
    let count = counted(problems.len() as u64, "problem");
    lines(problems.iter().map(line), count)
}

fn line(problem: &Problem) -> String {
    match problem {
        Problem::NoDatabase => "there is no database: the first start makes it".to_owned(),
        Problem::NoStore => "there is no folder for blobs: the first start makes it".to_owned(),
        Problem::PendingMigration { version, title } => {
            format!("migration {version:04} ({title}) is pending: the next start applies it")
        }
        Problem::ChangedMigration { version } => format!(
            "migration {version:04} was applied from another file than this program has: \
             it will not start; use the program that applied it"
        ),
        Problem::UnknownMigration { version } => {
            format!("migration {version:04} is of a newer program: this one will not start")
        }
        Problem::MissingObject { key, holder } => {
            format!("object {key} is missing, {}", held(holder))
        }
        Problem::WrongSize {
            key,
            expected_bytes,
            actual_bytes,
            holder,
        } => format!(
            "object {key} has {actual_bytes} bytes instead of {expected_bytes}, {}",
            held(holder)
        ),
        Problem::QuarantinedBlob {
            digest,
            reason,
            hurts,
        } => format!(
            "blob {digest} is quarantined, {reason} ({}): push it again",
            hurt(hurts)
        ),
        Problem::UnnamedObject { key, size_bytes } => format!(
            "object {key} ({}) belongs to nothing: a collection with --audit removes it",
            binary_size(*size_bytes)
        ),
    }
}

fn held(holder: &ObjectHolder) -> String {
    match holder {
        ObjectHolder::Upload { id } => {
            format!("which upload {id} needs: the client has to start it again")
        }
        ObjectHolder::Blob { digest, hurts } => format!(
            "which blob {digest} needs ({}): push it again, or let a scrub repair it",
            hurt(hurts)
        ),
    }
}

/// `web (latest, 1.2), tools (no tag)`.
pub(super) fn hurt(hurts: &[Hurt]) -> String {
    if hurts.is_empty() {
        return "no repository shows it".to_owned();
    }
    let each = hurts.iter().map(|hurt| {
        let tags = match hurt.tags.as_slice() {
            [] => "no tag".to_owned(),
            tags => tags.join(", "),
        };
        format!("{} ({tags})", hurt.repository)
    });
    each.collect::<Vec<_>>().join(", ")
}
