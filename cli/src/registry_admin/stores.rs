//! Which registry is meant: the settings of `hythe server` that say where things lie.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use hythe_server::config::{Config, Sources};
use hythe_server::{Accounts, Maintenance};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::audit_log::AuditLog;

#[derive(Debug, Args)]
#[command(next_help_heading = "Registry")]
pub(super) struct StoreArguments {
    /// Configuration file of the registry
    #[arg(long, global = true, env = "HYTHE_SERVER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for everything that is not put elsewhere
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where blobs live: `file:///…`, `s3://bucket/prefix`, `gs://…` or `az://…`
    #[arg(long, global = true, value_name = "URL")]
    storage: Option<String>,
    /// Where metadata lives: `sqlite:///…` or `postgres://…`
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// What is logged: a level, or directives such as `info,hythe_server=debug`
    #[arg(
        long,
        global = true,
        env = "HYTHE_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "warn"
    )]
    log_level: String,
}

impl StoreArguments {
    /// The registry's settings, with those of its other flags at their defaults.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        self.load(Vec::new())
    }

    /// The settings of a registry on that address.
    pub(super) fn config_for(&self, listen: Option<&str>) -> anyhow::Result<Config> {
        self.load(vec![("listen", listen.map(str::to_owned))])
    }

    /// The settings of a registry that is served with TLS.
    pub(super) fn config_with_tls(&self, listen: Option<&str>) -> anyhow::Result<Config> {
        let on = Some("on".to_owned());
        self.load(vec![
            ("listen", listen.map(str::to_owned)),
            ("tls.mode", on),
        ])
    }

    fn load(&self, mut flags: Vec<(&'static str, Option<String>)>) -> anyhow::Result<Config> {
        let data = self.data.as_ref().map(|path| path.display().to_string());
        flags.extend([
            ("data", data),
            ("storage", self.storage.clone()),
            ("database", self.database.clone()),
        ]);
        let flags = flags
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        Ok(Config::load(&Sources {
            file: self.config.clone(),
            flags,
        })?)
    }

    /// The registry's stores, ready for work; the schema is brought up to date.
    pub(super) async fn open(&self) -> anyhow::Result<Maintenance> {
        Maintenance::open(self.config()?)
            .await
            .context("cannot open the registry")
    }

    /// The registry's accounts; the schema is brought up to date.
    pub(super) async fn accounts(&self) -> anyhow::Result<Accounts> {
        Maintenance::accounts(&self.config()?)
            .await
            .context("cannot open the registry's accounts")
    }

    /// Sends log lines to standard error, and what is put on record where the registry's goes.
    pub(super) fn start_log(&self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log_level)
            .with_context(|| format!("\"{}\" is no log level", self.log_level))?;
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(false);
        // What is wrong with the settings is the verb's to say.
        let config = self.config().ok();
        let records = config.and_then(|config| config.telemetry.audit_log);
        let records = records.as_deref().map(AuditLog::open).transpose()?;
        tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            .with(records.map(AuditLog::layer))
            .init();
        Ok(())
    }
}
