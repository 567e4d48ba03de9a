//! The client against the registry that most people run: Debian's docker-registry, with a
//! password. Skipped, and said so, where it is not installed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use hythe_oci::client::{
    BlobContent, Client, ClientConfig, ClientError, Credentials, RemoteRepository, Secret, Sink,
};
use hythe_oci::{
    Descriptor, Digest, DigestHasher, ImageReference, Manifest, Reference, media_type,
};

/// A certificate of a server, and one of an authority, which `openssl req -x509` makes unasked.
const SERVER: &str = "CA:FALSE";
const AUTHORITY: &str = "CA:TRUE";

/// `robot:s3cret`, made by htpasswd.
const HTPASSWD: &str = "robot:$2b$04$CLptmjKwbKOYJ5GSexfh6.6BPm1g3Ayv2hgGBMPevBbGcFKEmsSxq\n";

/// A running registry; stopped when dropped.
struct DockerRegistry {
    process: Child,
    host: String,
    directory: tempfile::TempDir,
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl DockerRegistry {
    /// Plain http on loopback. `None`, and a line that says so, where it is not installed.
    fn start() -> Option<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), None)
    }

    /// https with a certificate that vouches for itself, made with these `constraints`.
    #[expect(
        clippy::print_stdout,
        reason = "a test that does nothing has to say so"
    )]
    fn start_at(address: IpAddr, constraints: Option<&str>) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let free = TcpListener::bind((address, 0)).unwrap();
        let host = free.local_addr().unwrap().to_string();
        drop(free);
        fs::write(path("htpasswd"), HTPASSWD).unwrap();
        let tls = if let Some(constraints) = constraints {
            make_certificate(directory.path(), address, constraints);
            let [certificate, key] = [path("tls.crt"), path("tls.key")];
            let [certificate, key] = [certificate.display(), key.display()];
            format!(", tls: {{certificate: {certificate}, key: {key}}}")
        } else {
            String::new()
        };
        let config = format!(
            "version: 0.1\n\
             log: {{level: error}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '{host}'{tls}}}\n\
             auth: {{htpasswd: {{realm: r, path: {}}}}}\n",
            path("data").display(),
            path("htpasswd").display(),
        );
        fs::write(path("config.yml"), config).unwrap();
        let started = Command::new("docker-registry")
            .arg("serve")
            .arg(path("config.yml"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(path("log")).unwrap())
            .spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                println!("SKIPPED: docker-registry is not installed (apt-get install it)");
                return None;
            }
            Err(error) => panic!("docker-registry: {error}"),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(&host).is_err() {
            let log = fs::read_to_string(path("log")).unwrap();
            let is_alive = process.try_wait().unwrap().is_none();
            let is_early = Instant::now() < deadline;
            assert!(
                is_alive && is_early,
                "docker-registry does not listen: {log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self {
            process,
            host,
            directory,
        })
    }

    /// A directory in docker's layout by which the registry's certificate is trusted.
    fn vouch(&self) -> PathBuf {
        let certificates = self.directory.path().join("certs.d");
        let for_host = certificates.join(&self.host);
        fs::create_dir_all(&for_host).unwrap();
        fs::copy(
            self.directory.path().join("tls.crt"),
            for_host.join("ca.crt"),
        )
        .unwrap();
        certificates
    }

    fn repository(&self, name: &str, credentials: Credentials) -> RemoteRepository {
        self.repository_for(ClientConfig::default(), name, credentials)
    }

    fn repository_for(
        &self,
        config: ClientConfig,
        name: &str,
        credentials: Credentials,
    ) -> RemoteRepository {
        let image = ImageReference::parse(&format!("{}/{name}", self.host), "docker.io").unwrap();
        Client::new(config).unwrap().repository(&image, credentials)
    }
}

/// Makes `tls.crt`, which nobody but itself vouches for, and `tls.key`.
fn make_certificate(directory: &Path, address: IpAddr, constraints: &str) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=hythe-test",
            "-keyout",
            "tls.key",
            "-out",
            "tls.crt",
        ])
        .arg("-addext")
        .arg(format!("subjectAltName=IP:{address}"))
        .args([
            "-addext",
            &format!("basicConstraints=critical,{constraints}"),
        ])
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("openssl: {error}"));
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

/// An address of this machine that is not loopback. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().unwrap().ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

fn robot() -> Credentials {
    Credentials::Basic {
        user: "robot".into(),
        password: Secret::new("s3cret"),
    }
}

fn content(bytes: &[u8]) -> impl Fn() -> BlobContent + Send + Sync {
    let parts: Vec<Bytes> = bytes.chunks(1 << 16).map(Bytes::copy_from_slice).collect();
    move || stream::iter(parts.clone().into_iter().map(Ok)).boxed()
}

fn described(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
}

/// Pushes an image of one config and one layer; returns its manifest's bytes.
async fn push(repository: &RemoteRepository, layer: &[u8], tags: &[&str]) -> Vec<u8> {
    let config = b"{}";
    let config_descriptor = described(media_type::OCI_CONFIG, config);
    let layer_descriptor = described(media_type::OCI_LAYER, layer);
    for (descriptor, bytes) in [
        (&config_descriptor, &config[..]),
        (&layer_descriptor, layer),
    ] {
        assert!(!repository.has_blob(descriptor).await.unwrap());
        repository
            .upload_blob(descriptor, content(bytes))
            .await
            .unwrap();
        assert!(repository.has_blob(descriptor).await.unwrap());
    }
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": config_descriptor,
        "layers": [layer_descriptor],
    });
    let manifest = manifest.to_string().into_bytes();
    for tag in tags {
        let tag: Reference = tag.parse().unwrap();
        let bytes = manifest.clone().into();
        repository
            .put_manifest(&tag, media_type::OCI_MANIFEST, bytes)
            .await
            .unwrap();
    }
    manifest
}

async fn download(repository: &RemoteRepository, descriptor: &Descriptor, known: &[u8]) -> Vec<u8> {
    let mut hasher = DigestHasher::new(descriptor.digest.algorithm());
    hasher.update(known);
    let mut content = known.to_vec();
    let sink = Sink {
        writer: &mut content,
        progress: &mut |_| {},
    };
    let offset = known.len() as u64;
    repository
        .download_blob(descriptor, hasher, offset, sink)
        .await
        .unwrap();
    content
}

#[tokio::test]
async fn what_is_pushed_comes_back() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let repository = registry.repository("team/app", robot());
    let layer: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let manifest = push(&repository, &layer, &["1", "2", "latest"]).await;

    let reference: Reference = "1".parse().unwrap();
    let fetched = repository.get_manifest(&reference).await.unwrap();
    assert_eq!(fetched.bytes, manifest);
    let head = repository.head_manifest(&reference).await.unwrap().unwrap();
    assert_eq!(head, described(media_type::OCI_MANIFEST, &manifest));
    let Manifest::Image(image) = fetched.manifest else {
        panic!("an image was pushed")
    };
    assert!(download(&repository, &image.layers[0], &[]).await == layer);
    assert!(download(&repository, &image.layers[0], &layer[..1_000_000]).await == layer);

    let tags = repository.list_tags().await.unwrap();
    let mut tags: Vec<&str> = tags.iter().map(hythe_oci::Tag::as_str).collect();
    // This registry promises no order.
    tags.sort_unstable();
    assert_eq!(tags, ["1", "2", "latest"]);

    let other = registry.repository("team/other", robot());
    assert!(
        other
            .mount_blob(&image.layers[0], repository.name())
            .await
            .unwrap()
    );
    assert!(other.has_blob(&image.layers[0]).await.unwrap());
    let nowhere = "team/nowhere".parse().unwrap();
    let unknown = described(media_type::OCI_LAYER, b"unknown");
    assert!(!other.mount_blob(&unknown, &nowhere).await.unwrap());
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_words() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let repository = registry.repository("team/app", robot());
    let reference: Reference = "missing".parse().unwrap();
    let error = repository.get_manifest(&reference).await.unwrap_err();
    assert!(matches!(error, ClientError::NotFound { .. }), "{error}");
    let start = format!("{}/team/app:missing: manifest unknown", registry.host);
    assert!(error.to_string().starts_with(&start), "{error}");
    assert_eq!(repository.head_manifest(&reference).await.unwrap(), None);

    let wrong = Descriptor::new("x", Digest::of(b"else"), 4);
    let error = repository
        .upload_blob(&wrong, content(b"this"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("digest invalid"), "{error}");

    for credentials in [
        Credentials::None,
        Credentials::Basic {
            user: "robot".into(),
            password: Secret::new("guess"),
        },
    ] {
        let client = Client::new(ClientConfig::default()).unwrap();
        let error = client
            .login(&registry.host, &credentials)
            .await
            .unwrap_err();
        assert!(matches!(error, ClientError::Unauthorized { .. }), "{error}");
        client.login(&registry.host, &robot()).await.unwrap();
    }
}

#[tokio::test]
async fn on_this_machine_nobody_needs_to_vouch() {
    let Some(registry) = DockerRegistry::start_at(Ipv4Addr::LOCALHOST.into(), Some(AUTHORITY))
    else {
        return;
    };
    let repository = registry.repository("team/app", robot());
    let manifest = push(&repository, &vec![7; 2_000_000], &["1"]).await;
    let reference: Reference = "1".parse().unwrap();
    let fetched = repository.get_manifest(&reference).await.unwrap();
    assert_eq!(fetched.bytes, manifest);
}

#[tokio::test]
async fn elsewhere_somebody_vouches_or_a_setting_says_otherwise() {
    let Some(address) = own_address() else {
        println!("SKIPPED: this machine has no address but loopback");
        return;
    };
    let Some(registry) = DockerRegistry::start_at(address, Some(SERVER)) else {
        return;
    };
    let reference: Reference = "1".parse().unwrap();
    let with = |config| registry.repository_for(config, "team/app", robot());

    let error = with(ClientConfig::default())
        .get_manifest(&reference)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");

    let certificates = registry.vouch();
    let vouched = with(ClientConfig {
        certificate_directories: vec![certificates],
        ..ClientConfig::default()
    });
    let manifest = push(&vouched, &vec![9; 1_000_000], &["1"]).await;

    for insecure in [registry.host.clone(), format!("{address}/32")] {
        let told = with(ClientConfig {
            insecure_registries: vec![insecure],
            ..ClientConfig::default()
        });
        assert_eq!(told.get_manifest(&reference).await.unwrap().bytes, manifest);
    }
}

#[tokio::test]
async fn an_authority_in_a_servers_place_is_explained() {
    let Some(address) = own_address() else {
        println!("SKIPPED: this machine has no address but loopback");
        return;
    };
    let Some(registry) = DockerRegistry::start_at(address, Some(AUTHORITY)) else {
        return;
    };
    let config = ClientConfig {
        certificate_directories: vec![registry.vouch()],
        ..ClientConfig::default()
    };
    let repository = registry.repository_for(config, "team/app", robot());
    let error = repository.list_tags().await.unwrap_err();
    assert!(
        error.to_string().contains("basicConstraints=CA:FALSE"),
        "{error}"
    );
}
