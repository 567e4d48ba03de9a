//! `hythe server`: the registry alone.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use hythe_server::config::{Config, Sources};

use super::logging::LogArguments;
use crate::failure::Outcome;

#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// Configuration file
    #[arg(long, env = "HYTHE_SERVER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingArguments,
    #[command(flatten)]
    log: LogArguments,
}

/// Settings of the file that also have a flag; all of them have a `HYTHE_` variable.
#[derive(Debug, Args)]
struct SettingArguments {
    /// Address to serve on; port 0 takes a free one [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Folder for everything that is not put elsewhere
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where blobs live: `file:///…`, `s3://bucket/prefix`, `gs://…`, `az://…` or `memory:///`
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
    /// Where metadata lives: `sqlite:///…` or `postgres://…`
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Serve plain HTTP, and without accounts, on an address that other machines can reach
    #[arg(long)]
    allow_insecure_listen: bool,
    /// Certificate to serve with, PEM; without one the registry makes its own where it needs one
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<String>,
    /// The certificate's key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<String>,
}

impl SettingArguments {
    fn into_flags(self) -> Vec<(&'static str, String)> {
        [
            ("listen", self.listen),
            ("data", self.data.map(|path| path.display().to_string())),
            ("storage", self.storage),
            ("database", self.database),
            ("tls.certificate", self.tls_certificate),
            ("tls.key", self.tls_key),
            (
                "allow_insecure_listen",
                self.allow_insecure_listen.then(|| "true".to_owned()),
            ),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }
}

pub(crate) fn run(arguments: ServerArguments) -> Outcome {
    let config = Config::load(&Sources {
        file: arguments.config,
        flags: arguments.settings.into_flags(),
    })?;
    let _traces = arguments.log.start(Some(&config.telemetry))?;
    super::block_on(async {
        let shutdown = super::cancelled_by_signals()?;
        let server = hythe_server::Server::bind(config)
            .await
            .context("the registry cannot start")?;
        server.run(shutdown.cancelled_owned()).await?;
        Ok(())
    })
}
