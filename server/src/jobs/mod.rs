//! Work beside requests: ending stale uploads, collecting garbage, reading blobs
//! again.
//!
//! Each run is a call into the registry; what is decided there is safe to
//! interrupt anywhere and to run on several replicas at once.

mod scrub;

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::JobsConfig;
use crate::error_chain::Chain;
use crate::registry::{Policy, Registry, RegistryError, Scrubber};

/// How often the whole store is listed for objects that no row names.
const AUDIT_EVERY: Duration = Duration::from_hours(24);

/// How often it is written what was pulled when.
const WRITE_PULLS_EVERY: Duration = Duration::from_secs(30);

/// What the configuration lets a collection remove.
pub(crate) fn policy(config: &JobsConfig) -> Policy {
    Policy {
        grace: config.gc_grace,
        untagged_manifests: config.gc_untagged_manifests,
        upload_expire: config.upload_expire,
        tag_history: config.tag_history,
    }
}

/// The jobs of a running registry; dropping it stops them.
#[derive(Debug)]
pub(crate) struct Jobs {
    _tasks: JoinSet<()>,
}

impl Jobs {
    /// Starts what the configuration asks for.
    pub(crate) fn start(
        registry: &Registry,
        config: &JobsConfig,
        scrub: Option<(Duration, Scrubber)>,
    ) -> Self {
        scrub::describe();
        let mut tasks = JoinSet::new();
        if let Some((every, scrubber)) = scrub {
            tasks.spawn(scrub::repeat(every, scrubber));
        }
        if let Some(every) = config.gc_interval {
            tasks.spawn(repeat(every, registry.clone(), policy(config)));
        }
        tasks.spawn(describe(registry.clone()));
        tasks.spawn(write_pulls(registry.clone()));
        Self { _tasks: tasks }
    }
}

/// Reads once what an older program did not.
async fn describe(registry: Registry) {
    if let Err(error) = registry.describe_what_is_old().await {
        tracing::warn!(
            error = %Chain(&error),
            "not every image was described for the search; the next start goes on"
        );
    }
}

/// Writes from time to time when what was pulled.
async fn write_pulls(registry: Registry) {
    let mut ticks = interval(WRITE_PULLS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = registry.write_pulls().await {
            tracing::warn!(error = %Chain(&error), "some pulls were not noted");
        }
    }
}

async fn repeat(every: Duration, registry: Registry, policy: Policy) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut audited: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let audit = audited.is_none_or(|at| at.elapsed() >= AUDIT_EVERY);
        match run(&registry, policy, audit).await {
            Ok(()) if audit => audited = Some(Instant::now()),
            Ok(()) => {}
            Err(error) => {
                metrics::counter!("hythe_gc_failures_total").increment(1);
                tracing::warn!(
                    error = %Chain(&error),
                    "a collection did not finish; the next one goes on"
                );
            }
        }
    }
}

async fn run(registry: &Registry, policy: Policy, audit: bool) -> Result<(), RegistryError> {
    let started = Instant::now();
    if audit {
        let queued = registry.audit_objects(policy).await?;
        tracing::info!(objects = queued, "the store was compared with the database");
    }
    let collected = registry.collect(policy).await?;
    let seconds = started.elapsed().as_secs_f64();
    tracing::info!(
        uploads = collected.uploads,
        tags = collected.tags,
        manifests = collected.manifests,
        links = collected.links,
        blobs = collected.blobs,
        bytes = collected.blob_bytes,
        objects = collected.objects,
        multiparts = collected.multiparts,
        seconds,
        "garbage collected"
    );
    metrics::counter!("hythe_gc_runs_total").increment(1);
    metrics::counter!("hythe_gc_blobs_total").increment(collected.blobs);
    metrics::counter!("hythe_gc_bytes_total").increment(collected.blob_bytes);
    metrics::counter!("hythe_gc_objects_total").increment(collected.objects);
    metrics::counter!("hythe_gc_multiparts_total").increment(collected.multiparts);
    metrics::histogram!("hythe_gc_duration_seconds").record(seconds);
    Ok(())
}
