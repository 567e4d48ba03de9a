//! What is no image goes through as well: files of oras, a Helm chart, an index of images.

use std::fs;
use std::process::Command;

use hythe_tests::{CommandExt as _, Finished, Host, Response, Server, sha256_digest};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::push_busybox;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A program for the Python that has oras, which `tests/run` installs.
pub(crate) fn oras_command(host: &Host, program: &str) -> Command {
    let python = std::env::var("HYTHE_TEST_ORAS").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../target/oras/bin/python").to_owned()
    });
    let mut command = host.command(python);
    command.args(["-c", program]);
    command
}

fn oras(host: &Host, program: &str, arguments: &[&str]) -> Finished {
    oras_command(host, program).args(arguments).finish()
}

#[test]
fn oras_pushes_and_pulls_files() {
    const PROGRAM: &str = r#"
import os, sys
import oras.client
address, directory = sys.argv[1:]
os.chdir(directory)
client = oras.client.OrasClient(hostname=address, insecure=True)
target = f"{address}/team/files:1"
answer = client.push(target=target, files=["a.txt:text/plain", "b.bin:application/vnd.example"],
                     manifest_annotations={"org.example": "yes"})
assert answer.status_code == 201, answer
os.mkdir("back")
client.pull(target=target, outdir="back")
assert client.get_tags(target) == ["1"], client.get_tags(target)
image = client.get_manifest(f"{address}/busybox:1")
assert image["layers"], image
client.pull(target=f"{address}/busybox:1", outdir="image")
"#;
    let host = Host::new();
    let server = Server::start(&host);
    push_busybox(&host, &server);
    let directory = TempDir::new().expect("a temporary directory");
    let bytes: Vec<u8> = (0..3 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    fs::write(directory.path().join("a.txt"), "a text").expect("a file");
    fs::write(directory.path().join("b.bin"), &bytes).expect("a file");

    let path = directory.path().to_str().expect("a UTF-8 path");
    oras(&host, PROGRAM, &[&server.address(), path]).ok();

    let back = directory.path().join("back");
    assert_eq!(
        fs::read(back.join("a.txt")).expect("it came back"),
        b"a text"
    );
    assert!(fs::read(back.join("b.bin")).expect("it came back") == bytes);
    let manifest = get(&host, &server, "team/files/manifests/1").json();
    assert_eq!(manifest["annotations"]["org.example"], "yes");
}

/// As `helm push` leaves it: its own media types, a provenance file, spaces of its own.
#[test]
fn a_helm_chart_survives_byte_for_byte() {
    const PROGRAM: &str = r#"
import sys
import oras.client
address, directory = sys.argv[1:]
client = oras.client.OrasClient(hostname=address, insecure=True)
client.pull(target=f"{address}/charts/demo:0.1.0", outdir=directory)
"#;
    let host = Host::new();
    let server = Server::start(&host);
    let config = br#"{"name":"demo","version":"0.1.0","apiVersion":"v2","type":"application"}"#;
    let chart: Vec<u8> = (0..40_000).map(|_| rand::random()).collect();
    let provenance = b"-----BEGIN PGP SIGNED MESSAGE-----\n";
    let descriptor = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": push_blob(&host, &server, "charts/demo", bytes), "size": bytes.len()});
    let mut content = descriptor(
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
        &chart,
    );
    content["annotations"] = json!({"org.opencontainers.image.title": "demo-0.1.0.tgz"});
    let mut signed = descriptor(
        "application/vnd.cncf.helm.chart.provenance.v1.prov",
        provenance,
    );
    signed["annotations"] = json!({"org.opencontainers.image.title": "demo-0.1.0.tgz.prov"});
    let manifest = serde_json::to_string_pretty(&json!({
        "schemaVersion": 2,
        "config": descriptor("application/vnd.cncf.helm.config.v1+json", config),
        "layers": [content, signed],
        "annotations": {"org.opencontainers.image.title": "demo", "org.opencontainers.image.version": "0.1.0"},
    }))
    .expect("JSON");
    put_manifest(
        &host,
        &server,
        "charts/demo/manifests/0.1.0",
        IMAGE,
        &manifest,
    );

    let back = get(&host, &server, "charts/demo/manifests/0.1.0");
    assert_eq!(back.text(), manifest);
    assert_eq!(back.headers["content-type"], IMAGE);
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().to_str().expect("a UTF-8 path");
    oras(&host, PROGRAM, &[&server.address(), path]).ok();
    let read = |name: &str| fs::read(directory.path().join(name)).expect("it came back");
    assert!(read("demo-0.1.0.tgz") == chart);
    assert_eq!(read("demo-0.1.0.tgz.prov"), provenance);
}

/// buildah makes two images, names them in an index, and pushes all of it.
#[test]
fn buildah_pushes_an_index_and_pulls_an_image_of_it() {
    let host = Host::new();
    let server = Server::start(&host);
    let directory = TempDir::new().expect("a temporary directory");
    let at = |name: &str| directory.path().join(name);
    let policy = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;
    fs::write(at("policy.json"), policy).expect("a policy");
    let buildah = |words: &[&str]| {
        let mut command = host.command("buildah");
        command
            .arg("--root")
            .arg(at("root"))
            .arg("--runroot")
            .arg(at("run"));
        command.args(["--storage-driver", "vfs"]);
        command.args(words).finish().ok()
    };
    let policy = at("policy.json");
    let policy = policy.to_str().expect("a UTF-8 path");
    buildah(&["manifest", "create", "list"]);
    for architecture in ["amd64", "arm64"] {
        fs::write(at("file"), architecture).expect("a file");
        let file = at("file");
        let container = buildah(&["from", "scratch"]).text();
        buildah(&[
            "copy",
            &container,
            file.to_str().expect("a UTF-8 path"),
            "/file",
        ]);
        buildah(&["config", "--arch", architecture, &container]);
        buildah(&[
            "commit",
            "--signature-policy",
            policy,
            "--rm",
            &container,
            architecture,
        ]);
        let local = format!("containers-storage:localhost/{architecture}");
        buildah(&["manifest", "add", "list", &local]);
    }
    let target = format!("docker://{}/team/list:1", server.address());
    let push = [
        "manifest",
        "push",
        "--all",
        "--tls-verify=false",
        "--format",
        "oci",
    ];
    buildah(&[&push[..], &["--signature-policy", policy, "list", &target]].concat());

    let index = get(&host, &server, "team/list/manifests/1");
    assert_eq!(index.headers["content-type"], INDEX);
    let index: Value = index.json();
    let children = index["manifests"].as_array().expect("an index");
    assert_eq!(children.len(), 2, "{index}");
    for child in children {
        let digest = child["digest"].as_str().expect("a digest");
        let manifest = get(&host, &server, &format!("team/list/manifests/{digest}"));
        assert_eq!(sha256_digest(&manifest.body), digest);
    }
    buildah(&["rmi", "--all", "--force"]);
    let image = format!("{}/team/list:1", server.address());
    buildah(&[
        "pull",
        "--tls-verify=false",
        "--signature-policy",
        policy,
        "--arch",
        "arm64",
        &image,
    ]);
}

#[track_caller]
fn get(host: &Host, server: &Server<'_>, path: &str) -> Response {
    let accept = format!("Accept: {IMAGE}, {INDEX}");
    let url = server.url(&format!("/v2/{path}"));
    let answer = host.curl(&[&url, "--header", &accept]);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

#[track_caller]
fn push_blob(host: &Host, server: &Server<'_>, repository: &str, bytes: &[u8]) -> String {
    let digest = sha256_digest(bytes);
    let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    send(
        host,
        "POST",
        &server.url(&path),
        "application/octet-stream",
        bytes,
    );
    digest
}

#[track_caller]
fn put_manifest(host: &Host, server: &Server<'_>, path: &str, kind: &str, manifest: &str) {
    let url = server.url(&format!("/v2/{path}"));
    send(host, "PUT", &url, kind, manifest.as_bytes());
}

#[track_caller]
fn send(host: &Host, method: &str, url: &str, kind: &str, body: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), body).expect("the body is written");
    let body = format!("@{}", file.path().display());
    let kind = format!("Content-Type: {kind}");
    let answer = host.curl(&[
        "--request",
        method,
        "--data-binary",
        &body,
        "--header",
        &kind,
        url,
    ]);
    assert_eq!(answer.status, 201, "{answer:?}");
}
