//! The health check of a running container: a probe every so often, five of them remembered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::cell::Container;
use super::view::{Health, HealthProbe, HealthStatus};
use crate::engine::exec::ExecConfig;
use crate::engine::{Engine, EngineError};
use crate::launch::{AttachStdio, Shim};
use crate::spec::signal::SIGKILL;
use crate::spec::{ContainerConfig, ExecId, HealthCheck};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_RETRIES: u32 = 3;
const N_REMEMBERED: usize = 5;
const MAX_OUTPUT_BYTES: usize = 4096;

/// What to do and how often, with docker's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    argv: Vec<String>,
    interval: Duration,
    timeout: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: u32,
}

impl Plan {
    /// `None` when there is nothing to check.
    fn of(config: &ContainerConfig) -> Option<Self> {
        let check = config.healthcheck.as_ref()?;
        let argv = match check.test.split_first() {
            Some((kind, rest)) if kind == "CMD" && !rest.is_empty() => rest.to_vec(),
            Some((kind, rest)) if kind == "CMD-SHELL" && !rest.is_empty() => {
                let shell = ["/bin/sh".to_owned(), "-c".to_owned()];
                let shell = config.shell.clone().unwrap_or_else(|| shell.to_vec());
                shell.into_iter().chain(rest.first().cloned()).collect()
            }
            _ => return None,
        };
        let HealthCheck {
            interval_ns,
            timeout_ns,
            start_period_ns,
            start_interval_ns,
            retries,
            ..
        } = *check;
        let or = |nanoseconds: i64, default: Duration| match u64::try_from(nanoseconds) {
            Ok(0) | Err(_) => default,
            Ok(nanoseconds) => Duration::from_nanos(nanoseconds),
        };
        Some(Self {
            argv,
            interval: or(interval_ns, DEFAULT_INTERVAL),
            timeout: or(timeout_ns, DEFAULT_TIMEOUT),
            start_period: or(start_period_ns, Duration::ZERO),
            start_interval: or(start_interval_ns, DEFAULT_START_INTERVAL),
            retries: u32::try_from(retries)
                .ok()
                .filter(|&n| n > 0)
                .unwrap_or(DEFAULT_RETRIES),
        })
    }
}

/// Takes a probe into account; true when the status changed. Pure.
fn note(health: &mut Health, probe: HealthProbe, plan: &Plan, in_start_period: bool) -> bool {
    let before = health.status;
    if probe.exit_code == 0 {
        health.failing_streak = 0;
        health.status = HealthStatus::Healthy;
    } else if !(in_start_period && health.status == HealthStatus::Starting) {
        // Failures while it still starts are expected and not counted.
        health.failing_streak += 1;
        if health.failing_streak >= plan.retries {
            health.status = HealthStatus::Unhealthy;
        }
    }
    health.log.push(probe);
    if health.log.len() > N_REMEMBERED {
        health.log.remove(0);
    }
    health.status != before
}

/// Probes until it is dropped.
#[derive(Debug)]
pub(crate) struct HealthMonitor {
    health: Arc<Mutex<Health>>,
    task: JoinHandle<()>,
}

impl Drop for HealthMonitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HealthMonitor {
    /// `None` when the container has no check.
    pub(super) fn start(engine: &Engine, container: &Arc<Container>, shim: &Shim) -> Option<Self> {
        let plan = container.read(|record| Plan::of(&record.config))?;
        let health = Arc::new(Mutex::new(Health {
            status: HealthStatus::Starting,
            failing_streak: 0,
            log: Vec::new(),
        }));
        let prober = Prober {
            engine: engine.clone(),
            container: Arc::clone(container),
            shim: shim.clone(),
            plan,
            health: Arc::clone(&health),
        };
        let task = tokio::spawn(prober.run());
        Some(Self { health, task })
    }

    pub(super) fn health(&self) -> Health {
        self.health
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

struct Prober {
    engine: Engine,
    container: Arc<Container>,
    shim: Shim,
    plan: Plan,
    health: Arc<Mutex<Health>>,
}

impl Prober {
    async fn run(self) {
        let begun = tokio::time::Instant::now();
        loop {
            let in_start_period = begun.elapsed() < self.plan.start_period;
            let starting = self.status() == HealthStatus::Starting;
            let wait = if in_start_period && starting {
                self.plan.start_interval
            } else {
                self.plan.interval
            };
            tokio::time::sleep(wait).await;
            let paused = self
                .container
                .read(|record| record.state.name() == "paused");
            if paused {
                continue;
            }
            let in_start_period = begun.elapsed() < self.plan.start_period;
            let probe = self.probe().await;
            self.take(probe, in_start_period);
        }
    }

    fn status(&self) -> HealthStatus {
        self.health
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .status
    }

    fn take(&self, probe: HealthProbe, in_start_period: bool) {
        let (changed, status) = {
            let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = note(&mut health, probe, &self.plan, in_start_period);
            (changed, health.status)
        };
        if changed {
            let action = format!("health_status: {}", status.name());
            self.engine.container_event(&self.container, action, &[]);
        }
    }

    async fn probe(&self) -> HealthProbe {
        let started_at = Timestamp::now();
        let id = ExecId::random();
        let finished = tokio::time::timeout(self.plan.timeout, self.execute(&id)).await;
        let (exit_code, output) = match finished {
            Ok(Ok((code, output))) => (code, output),
            Ok(Err(error)) => (-1, error.to_string()),
            Err(_) => {
                // It may have ended in this moment.
                drop(self.shim.signal_exec(id.as_str(), SIGKILL).await);
                let text = format!("Health check exceeded timeout ({:?})", self.plan.timeout);
                (-1, text)
            }
        };
        HealthProbe {
            started_at,
            ended_at: Timestamp::now(),
            exit_code,
            output,
        }
    }

    async fn execute(&self, id: &ExecId) -> Result<(i32, String), EngineError> {
        let record = self.container.record();
        let config = ExecConfig {
            cmd: self.plan.argv.clone(),
            ..ExecConfig::default()
        };
        let stdio = AttachStdio {
            stdin: false,
            stdout: true,
            stderr: true,
        };
        let spec = Engine::exec_spec(&record, id, &config, stdio)?;
        let process = self
            .shim
            .exec(spec)
            .await
            .map_err(super::start::launch_error)?;
        let mut stream = process.stream;
        let mut output = Vec::new();
        while let Some(chunk) = stream.output.next().await {
            let Ok((_, bytes)) = chunk else { break };
            let left = MAX_OUTPUT_BYTES - output.len();
            output.extend_from_slice(&bytes[..bytes.len().min(left)]);
        }
        let waited = self.shim.wait_exec(id.as_str()).await;
        let code = waited.map_err(super::start::launch_error)?;
        Ok((code, String::from_utf8_lossy(&output).into_owned()))
    }
}

impl Container {
    pub(in crate::engine) fn health(&self) -> Option<Health> {
        self.with_health(HealthMonitor::health)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(exit_code: i32) -> HealthProbe {
        HealthProbe {
            started_at: Timestamp::UNIX_EPOCH,
            ended_at: Timestamp::UNIX_EPOCH,
            exit_code,
            output: String::new(),
        }
    }

    fn config(test: &[&str]) -> ContainerConfig {
        ContainerConfig {
            healthcheck: Some(HealthCheck {
                test: test.iter().map(|word| (*word).to_owned()).collect(),
                retries: 2,
                ..HealthCheck::default()
            }),
            ..ContainerConfig::default()
        }
    }

    #[test]
    fn plans_come_from_the_configuration() {
        let argv = |test: &[&str]| Plan::of(&config(test)).map(|plan| plan.argv.join(" "));
        assert_eq!(argv(&["CMD", "curl", "-f"]).as_deref(), Some("curl -f"));
        assert_eq!(
            argv(&["CMD-SHELL", "a && b"]).as_deref(),
            Some("/bin/sh -c a && b")
        );
        for none in [&["NONE"][..], &[], &["CMD"]] {
            assert_eq!(argv(none), None);
        }
        assert_eq!(Plan::of(&ContainerConfig::default()), None);
        let plan = Plan::of(&config(&["CMD", "x"])).unwrap();
        assert_eq!((plan.interval, plan.retries), (DEFAULT_INTERVAL, 2));
    }

    #[test]
    fn status_follows_the_probes() {
        let plan = Plan::of(&config(&["CMD", "x"])).unwrap();
        let mut health = Health {
            status: HealthStatus::Starting,
            failing_streak: 0,
            log: Vec::new(),
        };
        // Exit code, in the start period, status afterwards.
        let steps = [
            (1, true, HealthStatus::Starting),
            (1, false, HealthStatus::Starting),
            (0, false, HealthStatus::Healthy),
            (1, false, HealthStatus::Healthy),
            (1, false, HealthStatus::Unhealthy),
            (-1, false, HealthStatus::Unhealthy),
            (0, false, HealthStatus::Healthy),
        ];
        for (code, in_start_period, status) in steps {
            let before = health.status;
            let changed = note(&mut health, probe(code), &plan, in_start_period);
            assert_eq!((health.status, changed), (status, before != status));
        }
        assert_eq!(health.log.len(), N_REMEMBERED);
    }
}
