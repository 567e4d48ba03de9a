//! skopeo and podman push and pull through the registry; bytes and digests stay what they were.

use std::fs;
use std::path::Path;

use hythe_tests::{CommandExt as _, Host, Layout, Server, debian_nginx, sha256_digest};
use tempfile::TempDir;

use crate::push;

#[test]
fn skopeo_pushes_and_pulls_back_identical_bytes() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = debian_nginx();
    let reference = push(&host, &server, &image, "nginx:1");

    assert_eq!(
        digest_on_the_registry(&host, &server, "nginx", "1"),
        image.manifest_digest
    );

    let back = TempDir::new().expect("a temporary directory");
    host.command("skopeo")
        .args([
            "copy",
            "--insecure-policy",
            "--src-tls-verify=false",
            "--quiet",
        ])
        .arg(format!("docker://{reference}"))
        .arg(format!("oci:{}", back.path().display()))
        .finish()
        .ok();
    assert_same_blobs(&image.path, back.path());
    assert_eq!(
        Layout::open(back.path()).manifest_digest,
        image.manifest_digest
    );
}

#[test]
fn podman_pushes_and_the_digest_is_the_same_on_both_sides() {
    let host = Host::new();
    let server = Server::start(&host);
    let storage = PodmanStorage::new();
    let image = debian_nginx();

    let id = storage
        .podman(&host, &["pull", "--quiet", &image.transport()])
        .ok()
        .text();
    let reference = format!("{}/team/nginx:1", server.address());
    let digest_file = storage.directory.path().join("digest");
    let digest_file_option = format!("--digestfile={}", digest_file.display());
    storage
        .podman(
            &host,
            &[
                "push",
                "--tls-verify=false",
                &digest_file_option,
                &id,
                &reference,
            ],
        )
        .ok();

    let pushed = fs::read_to_string(&digest_file).expect("podman wrote the digest");
    assert_eq!(
        digest_on_the_registry(&host, &server, "team/nginx", "1"),
        pushed.trim()
    );

    storage.podman(&host, &["rmi", "--all", "--force"]).ok();
    let pulled = storage
        .podman(
            &host,
            &["pull", "--quiet", "--tls-verify=false", &reference],
        )
        .ok();
    assert_eq!(pulled.text(), id, "the image ID survives the round trip");
}

#[test]
fn an_image_is_pulled_by_digest_and_its_tags_are_listed() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = hythe_tests::busybox();
    for tag in ["b", "a", "c"] {
        push(&host, &server, &image, &format!("deep/er/busybox:{tag}"));
    }
    let tags = host.curl(&[&server.url("/v2/deep/er/busybox/tags/list")]);
    assert_eq!(
        tags.json(),
        serde_json::json!({"name": "deep/er/busybox", "tags": ["a", "b", "c"]})
    );

    let manifest = host.curl(&[
        &server.url(&format!(
            "/v2/deep/er/busybox/manifests/{}",
            image.manifest_digest
        )),
        "--header",
        "Accept: application/vnd.oci.image.manifest.v1+json",
    ]);
    assert_eq!(manifest.status, 200, "{manifest:?}");
    assert_eq!(sha256_digest(&manifest.body), image.manifest_digest);
}

/// What HEAD says the digest of a tag is.
#[track_caller]
fn digest_on_the_registry(host: &Host, server: &Server<'_>, name: &str, tag: &str) -> String {
    let answer = host.curl(&[
        "--head",
        &server.url(&format!("/v2/{name}/manifests/{tag}")),
    ]);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.headers["docker-content-digest"].clone()
}

fn assert_same_blobs(left: &Path, right: &Path) {
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path.join("blobs/sha256")).expect("blobs");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(left), names(right));
    for name in names(left) {
        let read = |path: &Path| fs::read(path.join("blobs/sha256").join(&name)).expect("a blob");
        assert!(read(left) == read(right), "blob {name} differs");
    }
}

/// podman with a store of its own, so that the machine's is left alone.
pub(crate) struct PodmanStorage {
    directory: TempDir,
}

impl PodmanStorage {
    pub(crate) fn new() -> Self {
        Self {
            directory: TempDir::new().expect("a temporary directory"),
        }
    }

    pub(crate) fn podman(&self, host: &Host, arguments: &[&str]) -> hythe_tests::Finished {
        let at = |name: &str| self.directory.path().join(name);
        fs::write(
            at("policy.json"),
            r#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
        )
        .expect("a policy");
        let mut command = host.command("podman");
        command
            .arg("--root")
            .arg(at("root"))
            .arg("--runroot")
            .arg(at("run"));
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]);
        command.arg(arguments[0]);
        if matches!(arguments[0], "pull" | "push") {
            command.arg("--signature-policy").arg(at("policy.json"));
        }
        command.args(&arguments[1..]).finish()
    }
}
