//! Where log lines go and what they look like.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(super) struct LogArguments {
    /// What a log line looks like
    #[arg(
        long,
        env = "HYTHE_LOG_FORMAT",
        value_enum,
        value_name = "FORMAT",
        default_value = "human"
    )]
    log_format: LogFormat,
    /// What is logged: a level, or directives such as `info,hythe_runner=debug`
    #[arg(
        long,
        short = 'l',
        env = "HYTHE_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people; coloured on a terminal
    Human,
    /// One JSON object per line
    Json,
}

impl LogArguments {
    /// Sends all further log lines to standard error.
    pub(super) fn start(&self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log_level)
            .with_context(|| format!("\"{}\" is no log level", self.log_level))?;
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Human => lines.with_ansi(std::io::stderr().is_terminal()).init(),
            LogFormat::Json => lines.json().flatten_event(true).init(),
        }
        Ok(())
    }
}
