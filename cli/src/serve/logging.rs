//! Where log lines go and what they look like.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use hythe_server::config::{TRACE_TARGET, TelemetryConfig};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::traces::Traces;
use crate::audit_log::AuditLog;

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
    /// Sends all further log lines to standard error, what a registry puts on record to a file too
    /// where one is named, and spans of requests to a collector when there is one. Dropping the
    /// answer sends what is left of them.
    pub(super) fn start(
        &self,
        telemetry: Option<&TelemetryConfig>,
    ) -> anyhow::Result<Option<Traces>> {
        let filter = EnvFilter::try_new(&self.log_level)
            .with_context(|| format!("\"{}\" is no log level", self.log_level))?
            // Their spans are not for log lines.
            .add_directive(format!("{TRACE_TARGET}=off").parse()?);
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match self.log_format {
            LogFormat::Human => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let collector = telemetry.and_then(|told| told.otlp_endpoint.as_ref());
        let traces = collector.map(Traces::to).transpose()?;
        let spans = traces.as_ref().map(Traces::layer);
        let records = telemetry.and_then(|told| told.audit_log.as_deref());
        let records = records.map(AuditLog::open).transpose()?;
        tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            .with(records.map(AuditLog::layer))
            .with(spans)
            .init();
        Ok(traces)
    }
}
