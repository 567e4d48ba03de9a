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
mod tests {
    use super::*;

    fn load(
        flags: &[(&'static str, &str)],
        environment: &[(&str, &str)],
    ) -> Result<Config, ConfigError> {
        let sources = Sources {
            file: None,
            flags: flags
                .iter()
                .map(|(key, value)| (*key, (*value).to_owned()))
                .collect(),
        };
        let environment = environment
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Config::load_with(&sources, environment)
    }

    #[test]
    fn the_shipped_file_is_a_whole_configuration() {
        let config = load(&[], &[]).unwrap();
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:5000");
        assert_eq!(
            config.storage.url.as_str(),
            "file:///var/lib/hythe/registry/store"
        );
        assert_eq!(
            config.database.url.expose(),
            "sqlite:///var/lib/hythe/registry/registry.db"
        );
        assert_eq!(config.rules.manifest_bytes, 4 * 1024 * 1024);
    }

    #[test]
    fn flags_win_over_the_environment_and_it_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.toml");
        std::fs::write(
            &file,
            "listen = \"127.0.0.1:1\"\n[gc]\ngrace_seconds = 1\ninterval_seconds = 0\n",
        )
        .unwrap();
        let sources = Sources {
            file: Some(file),
            flags: vec![("listen", "127.0.0.1:3".to_owned())],
        };
        let environment = [
            ("HYTHE_LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
            ("HYTHE_GC_GRACE_SECONDS".to_owned(), "2".to_owned()),
            ("HYTHE_UNRELATED".to_owned(), "x".to_owned()),
        ];
        let config = Config::load_with(&sources, environment.into_iter()).unwrap();
        assert_eq!(config.http.listen.port(), 3);
        assert_eq!(config.jobs.gc_grace, Duration::from_secs(2));
        assert_eq!(config.jobs.gc_interval, None);
    }

    #[test]
    fn an_address_that_others_reach_has_tls_or_needs_a_word() {
        for listen in ["0.0.0.0:5000", "[::]:5000", "192.0.2.1:5000"] {
            let config = load(&[("listen", listen)], &[]).unwrap();
            assert!(matches!(config.http.tls, Some(TlsConfig::Made { .. })));
            assert!(!config.auth.may_be_open);
            let error = load(&[("listen", listen), ("tls.mode", "off")], &[]).unwrap_err();
            assert!(
                error.to_string().contains("--allow-insecure-listen"),
                "{error}"
            );
            let config = load(
                &[("listen", listen)],
                &[("HYTHE_ALLOW_INSECURE_LISTEN", "true")],
            )
            .unwrap();
            assert!(config.http.tls.is_none() && config.auth.may_be_open);
        }
        let near = load(&[("listen", "[::1]:0")], &[]).unwrap();
        assert!(near.http.tls.is_none() && near.auth.may_be_open);
        let near = load(&[("listen", "[::1]:0"), ("tls.mode", "on")], &[]).unwrap();
        assert!(near.http.tls.is_some());
    }

    #[test]
    fn a_certificate_goes_with_its_key() {
        let given = [("tls.certificate", "/c.pem"), ("tls.key", "/k.pem")];
        let config = load(&given, &[]).unwrap();
        assert!(matches!(config.http.tls, Some(TlsConfig::Given { .. })));
        for wrong in [
            vec![given[0]],
            vec![given[1]],
            vec![given[0], given[1], ("tls.mode", "off")],
            vec![("tls.mode", "maybe")],
            vec![("tls.mode", "on"), ("tls.names", "a b")],
            vec![("external_url", "ftp://x")],
            vec![("auth.access_token_seconds", "5")],
            vec![("auth.service", "a\"b")],
        ] {
            load(&wrong, &[]).unwrap_err();
        }
    }

    #[test]
    fn wrong_values_say_where_they_came_from() {
        for (flags, environment, expected) in [
            (
                vec![("listen", "nonsense")],
                vec![],
                "listen: \"nonsense\" is not an address",
            ),
            (vec![("storage", "ftp://x")], vec![], "storage: \"ftp\""),
            (
                vec![("database", "mysql://u:p@h/d")],
                vec![],
                "database: \"mysql\"",
            ),
            (
                vec![],
                vec![("HYTHE_GC_GRACE_SECONDS", "soon")],
                "HYTHE_GC_GRACE_SECONDS: \"soon\"",
            ),
            (
                vec![("no_such_key", "1")],
                vec![],
                "--no-such-key: no such setting",
            ),
        ] {
            let error = load(&flags, &environment).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains("u:p"), "a password in {error}");
        }
    }

    #[test]
    fn an_unknown_key_in_the_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.toml");
        std::fs::write(&file, "[limits]\nmanifest_byte = 1\n").unwrap();
        let sources = Sources {
            file: Some(file),
            flags: Vec::new(),
        };
        let error = Config::load_with(&sources, std::iter::empty())
            .unwrap_err()
            .to_string();
        assert!(error.contains("manifest_byte"), "{error}");
    }

    #[test]
    fn a_replica_is_a_store_or_a_registry() {
        let replica = |url| load(&[("scrub.replica", url)], &[("AWS_REGION", "here")]);
        let config = replica("s3://copy/of/it").unwrap();
        let Some(ReplicaConfig::Store(store)) = config.scrub.replica else {
            panic!("{:?}", config.scrub.replica)
        };
        // The options of the store are those of its replica, unless said otherwise.
        assert_eq!(store.options["aws_region"].expose(), "here");
        let config = replica("http://other:5000/").unwrap();
        let Some(ReplicaConfig::Registry {
            host, plain_http, ..
        }) = config.scrub.replica
        else {
            panic!("{:?}", config.scrub.replica)
        };
        assert_eq!((host.as_str(), plain_http), ("other:5000", true));
        for wrong in ["ftp://x", "https://x/path", "https://me@x", "nonsense"] {
            let error = replica(wrong).unwrap_err().to_string();
            assert!(error.starts_with("scrub.replica: "), "{error}");
        }
    }

    #[test]
    fn policies_are_lists_also_in_the_environment() {
        let set = |name, value| load(&[], &[(name, value)]);
        let quotas = r#"[{ repositories = "team/**", bytes = 1_000 }]"#;
        let config = set("HYTHE_QUOTAS", quotas).unwrap();
        assert_eq!(config.rules.policies.quotas[0].bytes, 1000);
        let kept = r#"[{ repositories = "**", tags = "pr-*", keep_last = 3 }]"#;
        let config = set("HYTHE_RETENTION", kept).unwrap();
        assert_eq!(config.rules.policies.retention[0].keep_last, Some(3));
        for (name, wrong, expected) in [
            ("HYTHE_QUOTAS", "much", "HYTHE_QUOTAS: \"much\" is no list"),
            (
                "HYTHE_QUOTAS",
                "[{ repositories = \"A\", bytes = 1 }]",
                "\"A\" is no pattern",
            ),
            (
                "HYTHE_QUOTAS",
                "[{ repositories = \"a\", byte = 1 }]",
                "byte",
            ),
            (
                "HYTHE_RETENTION",
                "[{ repositories = \"a\" }]",
                "says what to keep",
            ),
            (
                "HYTHE_IMMUTABLE_TAGS",
                "[{ repositories = \"a\", tags = \"/\" }]",
                "\"/\" is no",
            ),
        ] {
            let error = set(name, wrong).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        let set = |value| load(&[], &[("HYTHE_TRUSTED_PROXIES", value)]);
        assert!(load(&[], &[]).unwrap().http.trusted_proxies.is_empty());
        let config = set(r#"["127.0.0.1", "10.0.0.0/8", "::1"]"#).unwrap();
        let texts = config.http.trusted_proxies.iter().map(ToString::to_string);
        let texts: Vec<String> = texts.collect();
        assert_eq!(texts, ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]);
        let error = set(r#"["proxy.example.com"]"#).unwrap_err().to_string();
        assert!(
            error.starts_with("trusted_proxies: \"proxy.example.com\""),
            "{error}"
        );
    }

    #[test]
    fn a_collector_is_told_its_path() {
        let collector = |url| {
            load(&[("telemetry.otlp_endpoint", url)], &[])
                .map(|config| config.telemetry.otlp_endpoint.unwrap().to_string())
        };
        assert_eq!(
            collector("http://c:4318").unwrap(),
            "http://c:4318/v1/traces"
        );
        assert_eq!(collector("https://c/otlp").unwrap(), "https://c/otlp");
        collector("c:4317").unwrap_err();
    }

    #[test]
    fn store_credentials_come_from_the_stores_own_variables_and_stay_hidden() {
        let config = load(
            &[("storage", "s3://bucket/p")],
            &[("AWS_SECRET_ACCESS_KEY", "hush")],
        )
        .unwrap();
        assert_eq!(
            config.storage.options["aws_secret_access_key"].expose(),
            "hush"
        );
        assert!(!format!("{config:?}").contains("hush"));
    }
}
