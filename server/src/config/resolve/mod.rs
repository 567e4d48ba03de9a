//! From the merged table to the typed configuration: every check is here.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use toml::Table;
use url::Url;

use super::file::File;
use super::sources::{Sources, merge};
use super::{
    AuthConfig, Config, ConfigError, DatabaseConfig, HttpConfig, JobsConfig, MadeTls, Policies,
    ReplicaConfig, RulesConfig, ScrubConfig, Secret, StorageConfig, TelemetryConfig, TlsConfig,
};

const STORAGE_SCHEMES: [&str; 5] = ["file", "s3", "gs", "az", "memory"];
const DATABASE_SCHEMES: [&str; 3] = ["sqlite", "postgres", "postgresql"];

impl Config {
    /// Reads and checks every source; the flags win over the environment, the
    /// environment over the file, the file over the defaults.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        Self::load_with(sources, std::env::vars())
    }

    /// [`Config::load`] with an environment of the caller's making.
    pub fn load_with(
        sources: &Sources,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        resolve(merge(sources, environment)?)
    }
}

fn resolve(table: Table) -> Result<Config, ConfigError> {
    let file: File = table
        .try_into()
        .map_err(|error: toml::de::Error| invalid("configuration", error.message()))?;
    let policies = Policies {
        immutable_tags: file.immutable_tags.clone(),
        retention: file.retention.clone(),
        quotas: file.quotas.clone(),
    };
    let listen = listen(&file)?;
    let data = absolute(&file.data)?;
    Ok(Config {
        http: HttpConfig {
            listen,
            connections: file.limits.connections.max(1),
            header_timeout: Duration::from_secs(file.limits.header_timeout_seconds),
            body_idle_timeout: Duration::from_secs(file.limits.body_idle_timeout_seconds),
            shutdown_grace: Duration::from_secs(file.limits.shutdown_grace_seconds),
            redirect_expire: file
                .redirect_blobs
                .then(|| Duration::from_secs(file.redirect_expire_seconds)),
            external_url: external_url(&file.external_url)?,
            trusted_proxies: trusted_proxies(&file.trusted_proxies)?,
            tls: tls(&file, listen, &data)?,
            audit_pulls: file.audit.pulls,
            requests_per_minute_of_address: file.limits.requests_per_minute_of_address,
            requests_per_minute_of_account: file.limits.requests_per_minute_of_account,
        },
        auth: auth(&file, listen)?,
        storage: storage(&file, &data)?,
        database: database(&file, &data)?,
        rules: RulesConfig {
            manifest_bytes: file.limits.manifest_bytes,
            allow_sparse: file.manifests.allow_sparse,
            chunk_min_bytes: (file.uploads.chunk_min_bytes > 0)
                .then_some(file.uploads.chunk_min_bytes),
            policies,
        },
        jobs: JobsConfig {
            gc_interval: (file.gc.interval_seconds > 0)
                .then(|| Duration::from_secs(file.gc.interval_seconds)),
            gc_grace: Duration::from_secs(file.gc.grace_seconds),
            gc_untagged_manifests: file.gc.untagged_manifests,
            upload_expire: Duration::from_secs(file.uploads.expire_seconds),
            tag_history: Duration::from_secs(file.gc.tag_history_seconds),
        },
        scrub: ScrubConfig {
            interval: (file.scrub.interval_seconds > 0)
                .then(|| Duration::from_secs(file.scrub.interval_seconds)),
            bytes_per_second: file.scrub.bytes_per_second.max(1),
            replica: replica(&file)?,
        },
        telemetry: TelemetryConfig {
            otlp_endpoint: otlp_endpoint(&file.telemetry.otlp_endpoint)?,
            audit_log: match file.audit.log.as_str() {
                "" => None,
                path => Some(absolute(path)?),
            },
        },
    })
}

fn listen(file: &File) -> Result<SocketAddr, ConfigError> {
    let listen: SocketAddr = file.listen.parse().map_err(|_| {
        invalid(
            "listen",
            &format!("{:?} is not an address and a port", file.listen),
        )
    })?;
    Ok(listen)
}

fn tls(file: &File, listen: SocketAddr, data: &Path) -> Result<Option<TlsConfig>, ConfigError> {
    let said = &file.tls;
    let is_given = !said.certificate.is_empty();
    if is_given == said.key.is_empty() {
        return Err(invalid(
            "tls",
            "a certificate needs its key, and a key its certificate",
        ));
    }
    let is_near = listen.ip().is_loopback();
    let is_wanted = match said.mode.as_str() {
        "auto" => is_given || !(is_near || file.allow_insecure_listen),
        "on" => true,
        "off" if is_given => {
            return Err(invalid("tls.mode", "off, and there is a certificate"));
        }
        "off" => false,
        other => {
            let reason = format!("{other:?} is none of auto, on and off");
            return Err(invalid("tls.mode", &reason));
        }
    };
    if !is_wanted {
        if !is_near && !file.allow_insecure_listen {
            return Err(ConfigError::InsecureListen { listen });
        }
        return Ok(None);
    }
    let client_ca = match said.client_ca.as_str() {
        "" => None,
        path => Some(absolute(path)?),
    };
    if is_given {
        return Ok(Some(TlsConfig::Given {
            certificate: absolute(&said.certificate)?,
            key: absolute(&said.key)?,
            client_ca,
        }));
    }
    Ok(Some(TlsConfig::Made {
        made: made_tls(file, listen, data)?,
        client_ca,
    }))
}

fn made_tls(file: &File, listen: SocketAddr, data: &Path) -> Result<MadeTls, ConfigError> {
    let names = file.tls.names.split(',').map(str::trim);
    let mut names: Vec<String> = names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    let outside = external_url(&file.external_url)?;
    names.extend(outside.and_then(|url| url.host_str().map(str::to_owned)));
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'*');
    if let Some(wrong) = names.iter().find(|name| !name.bytes().all(known)) {
        let reason = format!("{wrong:?} is neither a name nor an address");
        return Err(invalid("tls.names", &reason));
    }
    Ok(MadeTls {
        folder: data.join("tls"),
        listen: listen.ip(),
        names,
    })
}

fn external_url(text: &str) -> Result<Option<Url>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let origin = "external_url";
    let url = Url::parse(text).map_err(|error| invalid(origin, &error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.path() != "/" || url.query().is_some() {
        return Err(invalid(origin, "not https:// or http:// and a host alone"));
    }
    Ok(Some(url))
}

fn trusted_proxies(texts: &[String]) -> Result<Vec<IpNet>, ConfigError> {
    let network = |text: &String| {
        let one = text.parse::<IpAddr>().map(IpNet::from);
        one.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
            let reason = format!("{text:?} is neither an address nor a network (10.0.0.0/8)");
            invalid("trusted_proxies", &reason)
        })
    };
    texts.iter().map(network).collect()
}

/// Clients take a token for one that is good for a minute at least.
const SHORTEST_TOKEN: u64 = 60;

fn auth(file: &File, listen: SocketAddr) -> Result<AuthConfig, ConfigError> {
    let said = &file.auth;
    if said.access_token_seconds < SHORTEST_TOKEN {
        let reason = format!("clients need {SHORTEST_TOKEN} seconds at least");
        return Err(invalid("auth.access_token_seconds", &reason));
    }
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    if said.service.is_empty() || !said.service.bytes().all(is_name) {
        return Err(invalid(
            "auth.service",
            "letters, digits, '.', '-', '_' and ':' alone",
        ));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(AuthConfig {
        service: said.service.clone(),
        may_be_open: listen.ip().is_loopback() || file.allow_insecure_listen,
        access_token: Duration::from_secs(said.access_token_seconds),
        refresh_token: Duration::from_secs(said.refresh_token_seconds),
        key_rotate: Duration::from_secs(said.key_rotate_seconds),
        password_checks: match said.password_checks {
            0 => processors.div_ceil(4),
            checks => checks,
        },
        failed_logins_per_minute: said.failed_logins_per_minute,
        audit_keep: (file.audit.keep_days > 0)
            .then(|| Duration::from_secs(file.audit.keep_days.saturating_mul(86_400))),
    })
}

fn storage(file: &File, data: &Path) -> Result<StorageConfig, ConfigError> {
    let url = if file.storage.is_empty() {
        Url::from_file_path(data.join("store"))
            .map_err(|()| invalid("data", "not a path that a file: address can hold"))?
    } else {
        Url::parse(&file.storage)
            .map_err(|error| invalid("storage", &format!("{:?}: {error}", file.storage)))?
    };
    if !STORAGE_SCHEMES.contains(&url.scheme()) {
        return Err(invalid(
            "storage",
            &format!("{:?} is none of {STORAGE_SCHEMES:?}", url.scheme()),
        ));
    }
    let options = file
        .storage_options
        .iter()
        .map(|(key, value)| (key.to_ascii_lowercase(), Secret::new(value)))
        .collect();
    Ok(StorageConfig { url, options })
}

fn replica(file: &File) -> Result<Option<ReplicaConfig>, ConfigError> {
    if file.scrub.replica.is_empty() {
        return Ok(None);
    }
    // The address may hold a password, so it is not repeated.
    let url = Url::parse(&file.scrub.replica)
        .map_err(|error| invalid("scrub.replica", &error.to_string()))?;
    let plain_http = match url.scheme() {
        "http" => true,
        "https" => false,
        "file" | "s3" | "gs" | "az" => {
            let options = file.storage_options.iter().chain(&file.replica_options);
            let options =
                options.map(|(key, value)| (key.to_ascii_lowercase(), Secret::new(value)));
            let options = options.collect();
            return Ok(Some(ReplicaConfig::Store(StorageConfig { url, options })));
        }
        other => {
            let reason = format!("{other:?} is neither a store's address nor http or https");
            return Err(invalid("scrub.replica", &reason));
        }
    };
    let alone = matches!(url.path(), "" | "/") && url.username().is_empty();
    let Some(host) = url.host_str().filter(|_| alone) else {
        let reason = "a registry's address is a host and a port alone";
        return Err(invalid("scrub.replica", reason));
    };
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let said = &file.scrub;
    let user = (!said.replica_user.is_empty()).then(|| {
        (
            said.replica_user.clone(),
            Secret::new(&said.replica_password),
        )
    });
    Ok(Some(ReplicaConfig::Registry {
        host,
        plain_http,
        user,
    }))
}

/// A collector takes traces at a path of its own, which need not be said.
fn otlp_endpoint(text: &str) -> Result<Option<Url>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let origin = "telemetry.otlp_endpoint";
    let mut url = Url::parse(text).map_err(|error| invalid(origin, &error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(origin, "not an http or https address"));
    }
    if url.path() == "/" {
        url.set_path("/v1/traces");
    }
    Ok(Some(url))
}

fn database(file: &File, data: &Path) -> Result<DatabaseConfig, ConfigError> {
    let url = if file.database.is_empty() {
        format!("sqlite://{}", data.join("registry.db").display())
    } else {
        file.database.clone()
    };
    let scheme = url.split(':').next().unwrap_or_default();
    if !DATABASE_SCHEMES.contains(&scheme) {
        // The address may hold a password, so only its scheme is repeated.
        return Err(invalid(
            "database",
            &format!("{scheme:?} is none of {DATABASE_SCHEMES:?}"),
        ));
    }
    Ok(DatabaseConfig {
        url: Secret::new(url),
        connections: file.database_pool.connections.max(1),
        acquire_timeout: Duration::from_secs(file.database_pool.acquire_timeout_seconds),
    })
}

fn absolute(path: &str) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|error| invalid("data", &format!("{path:?}: {error}")))
}

fn invalid(origin: &str, reason: &str) -> ConfigError {
    ConfigError::Invalid {
        origin: origin.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
