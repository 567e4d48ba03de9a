//! The shape of `config/server.toml`, exactly as written there.
//!
//! `resolve` turns it into the typed [`super::Config`]. An unknown key is an
//! error: a misspelt limit that is silently ignored is a limit that is missing.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::policy::{ImmutableTags, Quota, Retention};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: String,
    pub(super) allow_insecure_listen: bool,
    pub(super) data: String,
    pub(super) storage: String,
    pub(super) database: String,
    pub(super) redirect_blobs: bool,
    pub(super) redirect_expire_seconds: u64,
    pub(super) immutable_tags: Vec<ImmutableTags>,
    pub(super) retention: Vec<Retention>,
    pub(super) quotas: Vec<Quota>,
    pub(super) storage_options: BTreeMap<String, String>,
    pub(super) external_url: String,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) tls: Tls,
    pub(super) auth: Auth,
    pub(super) audit: Audit,
    pub(super) limits: Limits,
    pub(super) database_pool: DatabasePool,
    pub(super) manifests: Manifests,
    pub(super) uploads: Uploads,
    pub(super) gc: Gc,
    pub(super) scrub: Scrub,
    pub(super) replica_options: BTreeMap<String, String>,
    pub(super) telemetry: Telemetry,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) mode: String,
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) client_ca: String,
    pub(super) names: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Auth {
    pub(super) service: String,
    pub(super) access_token_seconds: u64,
    pub(super) refresh_token_seconds: u64,
    pub(super) key_rotate_seconds: u64,
    pub(super) password_checks: usize,
    pub(super) failed_logins_per_minute: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audit {
    pub(super) pulls: bool,
    pub(super) keep_days: u64,
    pub(super) log: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) manifest_bytes: u64,
    pub(super) connections: usize,
    pub(super) requests_per_minute_of_address: u32,
    pub(super) requests_per_minute_of_account: u32,
    pub(super) header_timeout_seconds: u64,
    pub(super) body_idle_timeout_seconds: u64,
    pub(super) shutdown_grace_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabasePool {
    pub(super) connections: u32,
    pub(super) acquire_timeout_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifests {
    pub(super) allow_sparse: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Uploads {
    pub(super) expire_seconds: u64,
    pub(super) chunk_min_bytes: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gc {
    pub(super) interval_seconds: u64,
    pub(super) grace_seconds: u64,
    pub(super) untagged_manifests: bool,
    pub(super) tag_history_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scrub {
    pub(super) interval_seconds: u64,
    pub(super) bytes_per_second: u64,
    pub(super) replica: String,
    pub(super) replica_user: String,
    pub(super) replica_password: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Telemetry {
    pub(super) otlp_endpoint: String,
}
