//! How the engine finds out whether the container is well.

use std::time::Duration;

use bollard_stubs::models::{ContainerCreateBody, HealthConfig};
use clap::Args;

use crate::values;

#[derive(Debug, Args)]
#[command(next_help_heading = "Health check")]
pub(crate) struct HealthOptions {
    /// Command that checks the health
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true)]
    health_cmd: Option<String>,
    /// Time between checks
    #[arg(long, value_name = "DURATION", value_parser = values::parse_duration)]
    health_interval: Option<Duration>,
    /// How long a check may take
    #[arg(long, value_name = "DURATION", value_parser = values::parse_duration)]
    health_timeout: Option<Duration>,
    /// Failures in a row that make the container unhealthy
    #[arg(long, value_name = "N")]
    health_retries: Option<u32>,
    /// Time in which failures do not count yet
    #[arg(long, value_name = "DURATION", value_parser = values::parse_duration)]
    health_start_period: Option<Duration>,
    /// Time between checks while failures do not count
    #[arg(long, value_name = "DURATION", value_parser = values::parse_duration)]
    health_start_interval: Option<Duration>,
    /// Disable the image's health check
    #[arg(long)]
    no_healthcheck: bool,
}

impl HealthOptions {
    pub(super) fn apply(&self, body: &mut ContainerCreateBody) -> anyhow::Result<()> {
        let test = self
            .health_cmd
            .clone()
            .map(|command| vec!["CMD-SHELL".to_owned(), command]);
        let health = HealthConfig {
            test,
            interval: self.health_interval.map(nanoseconds),
            timeout: self.health_timeout.map(nanoseconds),
            retries: self.health_retries.map(i64::from),
            start_period: self.health_start_period.map(nanoseconds),
            start_interval: self.health_start_interval.map(nanoseconds),
        };
        let said = health != HealthConfig::default();
        if self.no_healthcheck {
            if said {
                anyhow::bail!("--no-healthcheck conflicts with --health-* options");
            }
            body.healthcheck = Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            });
        } else if said {
            body.healthcheck = Some(health);
        }
        Ok(())
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
