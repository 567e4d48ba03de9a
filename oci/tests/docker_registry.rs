//! The client against the registry that most people run: Debian's docker-registry, with a
//! password. Skipped, and said so, where it is not installed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
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

/// `robot:s3cret`, made by htpasswd.
const HTPASSWD: &str = "robot:$2b$04$CLptmjKwbKOYJ5GSexfh6.6BPm1g3Ayv2hgGBMPevBbGcFKEmsSxq\n";

/// A running registry; stopped when dropped.
struct DockerRegistry {
    process: Child,
    host: String,
    _directory: tempfile::TempDir,
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl DockerRegistry {
    /// `None` where the program is not installed.
    fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let host = free.local_addr().unwrap().to_string();
        drop(free);
        fs::write(path("htpasswd"), HTPASSWD).unwrap();
        let config = format!(
            "version: 0.1\n\
             log: {{level: error}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: {host}}}\n\
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
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
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
            _directory: directory,
        })
    }

    fn repository(&self, name: &str, credentials: Credentials) -> RemoteRepository {
        let image = ImageReference::parse(&format!("{}/{name}", self.host), "docker.io").unwrap();
        let client = Client::new(ClientConfig::default()).unwrap();
        client.repository(&image, credentials)
    }
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
        println!("SKIPPED: docker-registry is not installed (apt-get install docker-registry)");
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
        println!("SKIPPED: docker-registry is not installed (apt-get install docker-registry)");
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
