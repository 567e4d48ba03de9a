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
