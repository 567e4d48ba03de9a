//! The two forms of every answer: lines for people, JSON for programs.

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::output;

#[derive(Debug, Args)]
pub(super) struct FormatArguments {
    /// Form of the answer
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people
    Human,
    /// One JSON document
    Json,
}

impl FormatArguments {
    /// Prints the answer in the form that was asked for.
    pub(super) fn show(
        &self,
        human: impl FnOnce() -> String,
        json: impl FnOnce() -> serde_json::Result<Value>,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Human => output::print(&human())?,
            Format::Json => output::line(&serde_json::to_string_pretty(&json()?)?)?,
        }
        Ok(())
    }
}

/// `1 blob`, `2 blobs`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Each on a line of its own, and the sum of them last.
pub(super) fn lines(each: impl Iterator<Item = String>, sum: String) -> String {
    let mut lines: Vec<String> = each.collect();
    lines.push(sum);
    lines.join("\n") + "\n"
}
