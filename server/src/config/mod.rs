//! What the operator said, checked and typed.
//!
//! [`Config::load`] merges the defaults, the file, the environment and the
//! flags, and turns the result into one struct per concern; each floor is
//! handed its own part and never sees the rest. Only this module reads the
//! environment and the configuration file.

mod file;
mod policy;
mod resolve;
mod secret;
mod sources;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
pub use policy::{ImmutableTags, Policies, Quota, Retention};
pub use secret::Secret;
pub use sources::Sources;
use url::Url;

/// Every setting of the registry, ready to use.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network side.
    pub http: HttpConfig,
    /// Accounts and tokens.
    pub auth: AuthConfig,
    /// The object store.
    pub storage: StorageConfig,
    /// The SQL database.
    pub database: DatabaseConfig,
    /// What the registry accepts and how long it keeps it.
    pub rules: RulesConfig,
    /// The work that runs beside requests.
    pub jobs: JobsConfig,
    /// Reading blobs again.
    pub scrub: ScrubConfig,
    /// What is told to others about each request.
    pub telemetry: TelemetryConfig,
}

/// How the registry is reached.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The address to bind; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The most connections open at once.
    pub connections: usize,
    /// A request head must be complete within this time.
    pub header_timeout: Duration,
    /// An upload that is silent for so long is ended.
    pub body_idle_timeout: Duration,
    /// How long requests may run on after shutdown was asked for.
    pub shutdown_grace: Duration,
    /// How long a presigned address is good; `None` when blobs are not redirected.
    pub redirect_expire: Option<Duration>,
    /// The address that clients know this registry by; `None` is the one that
    /// each of them says.
    pub external_url: Option<Url>,
    /// Proxies that are believed when they say for whom they ask.
    pub trusted_proxies: Vec<IpNet>,
    /// Certificates; `None` is plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Whether pulls are put on record too.
    pub audit_pulls: bool,
    /// How many requests of one address are answered in a minute; 0 is any
    /// number.
    pub requests_per_minute_of_address: u32,
    /// The same of one account.
    pub requests_per_minute_of_account: u32,
}

/// Where certificates come from.
#[derive(Clone, Debug)]
pub enum TlsConfig {
    /// From files of the operator.
    Given {
        /// The certificate, and those between it and its authority.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
        /// Whose signature a client's certificate needs.
        client_ca: Option<PathBuf>,
    },
    /// The registry makes them.
    Made {
        /// For whom, and where they are kept.
        made: MadeTls,
        /// Whose signature a client's certificate needs.
        client_ca: Option<PathBuf>,
    },
}

/// Certificates that the registry makes for itself.
#[derive(Clone, Debug)]
pub struct MadeTls {
    /// Where they are kept.
    pub folder: PathBuf,
    /// The address that is listened on.
    pub listen: IpAddr,
    /// Names and addresses that clients know the registry by, beside those that
    /// it finds out.
    pub names: Vec<String>,
}

/// Who is let in, and how.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// The name that tokens are for.
    pub service: String,
    /// Whether everybody may do everything while there is no account.
    pub may_be_open: bool,
    /// How long a token is good that says what its bearer may do.
    pub access_token: Duration,
    /// How long one is good that buys such tokens.
    pub refresh_token: Duration,
    /// How often the key that signs them is replaced.
    pub key_rotate: Duration,
    /// How many passwords are checked at once.
    pub password_checks: usize,
    /// How many logins of one address may fail in a minute; 0 is any number.
    pub failed_logins_per_minute: u32,
    /// For how long audit records are kept; `None` is for ever.
    pub audit_keep: Option<Duration>,
}

/// Where blobs live.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// `file:`, `s3:`, `gs:`, `az:` or `memory:`.
    pub url: Url,
    /// Credentials and settings, by the names the stores' own tools use.
    pub options: BTreeMap<String, Secret>,
}

/// Where the metadata lives.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `sqlite:` or `postgres:`; holds a password.
    pub url: Secret,
    /// Connections to keep.
    pub connections: u32,
    /// How long to wait for a free one.
    pub acquire_timeout: Duration,
}

/// What the registry accepts.
#[derive(Clone, Debug)]
pub struct RulesConfig {
    /// The largest manifest, in bytes.
    pub manifest_bytes: u64,
    /// Whether a manifest may name content that the repository lacks.
    pub allow_sparse: bool,
    /// The value of `OCI-Chunk-Min-Length`, in bytes; `None` leaves it out.
    pub chunk_min_bytes: Option<u64>,
    /// Rules by pattern; the API adds others.
    pub policies: Policies,
}

/// The background work.
#[derive(Clone, Debug)]
pub struct JobsConfig {
    /// How often to collect garbage; `None` is never.
    pub gc_interval: Option<Duration>,
    /// Nothing younger than this is collected.
    pub gc_grace: Duration,
    /// Whether manifests that nothing leads to are collected too.
    pub gc_untagged_manifests: bool,
    /// An upload session with no news for so long is dropped.
    pub upload_expire: Duration,
    /// For so long it is known what a tag named, and that is kept.
    pub tag_history: Duration,
}

/// How stored blobs are verified.
#[derive(Clone, Debug)]
pub struct ScrubConfig {
    /// How often all of them are read; `None` is never.
    pub interval: Option<Duration>,
    /// The most that is read, in bytes per second.
    pub bytes_per_second: u64,
    /// Where good bytes come from.
    pub replica: Option<ReplicaConfig>,
}

/// Another place that has the same blobs.
#[derive(Clone, Debug)]
pub enum ReplicaConfig {
    /// A copy of the store, with the same keys.
    Store(StorageConfig),
    /// A registry with the same repositories.
    Registry {
        /// `host` or `host:port`.
        host: String,
        /// Whether it is spoken to without TLS.
        plain_http: bool,
        /// Who we are there.
        user: Option<(String, Secret)>,
    },
}

/// Traces of requests, which are made as `tracing` spans of the target
/// [`TRACE_TARGET`], and audit records, which are its events of
/// [`AUDIT_TARGET`]; who starts the registry sends both on.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// The collector's address for traces; `None` when none are wanted.
    pub otlp_endpoint: Option<Url>,
    /// The file that audit records are added to as lines of JSON.
    pub audit_log: Option<PathBuf>,
}

/// The target of spans that are made for traces, and for no log line.
pub const TRACE_TARGET: &str = "hythe_trace";

/// The target of log lines that are audit records.
pub const AUDIT_TARGET: &str = "hythe_audit";

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, or a key is unknown or has the wrong type.
    #[error("{origin}: {reason}")]
    Invalid {
        /// Where the value came from: the file, a variable, a flag.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The address can be reached from other machines, and nothing protects it.
    #[error(
        "refusing to serve plain HTTP on {listen}, which other machines can reach; \
         leave tls.mode at \"auto\", or allow it with --allow-insecure-listen \
         (allow_insecure_listen = true, HYTHE_ALLOW_INSECURE_LISTEN=true)"
    )]
    InsecureListen {
        /// The address that was asked for.
        listen: SocketAddr,
    },
}
