//! Clients that talk to the registry themselves.

use hythe_tests::{CommandExt as _, Host, sha256_digest};
use serde_json::json;
use tempfile::TempDir;

use super::{PASSWORD, Registry, oras};
use crate::registry_containerd::Containerd;

#[test]
fn podman_and_skopeo_log_in() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let address = registry.address();
    registry.push_as("alice", PASSWORD, "team/base:1").ok();
    registry.pull_as("alice", PASSWORD, "team/base:1").ok();
    registry
        .push_as("alice", "wrong password", "team/base:1")
        .fails_saying("wrong user name or password");
    registry
        .push_as("alice", PASSWORD, "other/base:1")
        .fails_saying("403 (Forbidden)");

    let storage = crate::registry_clients::PodmanStorage::new();
    let directory = TempDir::new().expect("a temporary directory");
    let auth_file = directory.path().join("auth.json");
    let auth = format!("--authfile={}", auth_file.display());
    let said = host
        .command("podman")
        .args([
            "login",
            &auth,
            "--username=alice",
            "--password-stdin",
            &address,
        ])
        .finish_with_input(PASSWORD.as_bytes())
        .ok();
    assert!(said.text().contains("Login Succeeded"), "{said:?}");
    let base = format!("{address}/team/base:1");
    storage
        .podman(&host, &["pull", "--quiet", &auth, &base])
        .ok();
    let copy = format!("{address}/team/copy:1");
    storage
        .podman(&host, &["push", "--quiet", &auth, &base, &copy])
        .ok();
    // What is found is what may be pulled.
    registry.push_as("root", PASSWORD, "secret/base:1").ok();
    let found = host
        .command("podman")
        .args(["search", &auth, "--format", "{{.Name}}"])
        .arg(format!("{address}/base"))
        .finish()
        .ok();
    assert_eq!(found.lines(), [format!("{address}/team/base")]);
    host.command("podman")
        .args([
            "login",
            &auth,
            "--username=alice",
            "--password-stdin",
            &address,
        ])
        .finish_with_input(b"wrong password")
        .fails_saying("invalid username/password");
}

#[test]
fn containerd_pulls_and_pushes_with_a_login() {
    let host = Host::new();
    let registry = Registry::start(&host);
    registry.push_as("root", PASSWORD, "team/base:1").ok();
    let authority = registry.authority_file();
    let containerd = Containerd::start(&host, &registry.server, Some(&authority));
    let user = format!("alice:{PASSWORD}");
    let [base, copy] = ["base", "copy"].map(|name| format!("{}/team/{name}:1", registry.address()));
    let pull = ["--snapshotter", "native", "--user", &user];
    containerd
        .images("pull", &[&pull[..], &[&base]].concat())
        .ok();
    containerd.ctr(&["images", "tag", &base, &copy]).ok();
    containerd.images("push", &["--user", &user, &copy]).ok();
    for name in [&base, &copy] {
        containerd.ctr(&["images", "rm", "--sync", name]).ok();
    }
    containerd
        .images("pull", &[&pull[..], &[&copy]].concat())
        .ok();
}

#[test]
fn oras_pushes_and_pulls_with_a_login() {
    const PROGRAM: &str = "\
import os, sys, oras.client
address, path, secret = sys.argv[1:]
os.chdir(path)
client = oras.client.OrasClient(hostname=address)
client.login(username='alice', password=secret, tls_verify=True)
open('a.txt', 'w').write('hello')
client.push(target=address + '/team/files:1', files=['a.txt'])
os.remove('a.txt')
client.pull(target=address + '/team/files:1', outdir=path)
assert open('a.txt').read() == 'hello'
";
    let host = Host::new();
    let registry = Registry::start(&host);
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().display().to_string();
    oras(&registry, PROGRAM, &[&path, PASSWORD]).ok();
}

/// As `helm push` does it, request by request; what is there afterwards is pulled with oras.
#[test]
fn a_helm_chart_is_pushed_with_a_login() {
    const PROGRAM: &str = "\
import sys, oras.client
address, path, secret = sys.argv[1:]
client = oras.client.OrasClient(hostname=address)
client.login(username='alice', password=secret, tls_verify=True)
client.pull(target=address + '/team/charts/demo:0.1.0', outdir=path)
";
    let host = Host::new();
    let registry = Registry::start(&host);
    let (chart, config) = (b"\x1f\x8b a chart".to_vec(), br#"{"name":"demo"}"#.to_vec());
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("body");
    // `helm registry login` keeps the password; each push buys a token for its repository.
    let scope = "repository:team/charts/demo:pull,push";
    let basic = ["--user", &format!("alice:{PASSWORD}")];
    let token = registry.curl(&basic, &format!("/token?service=hythe&scope={scope}"));
    let token = token.json()["token"].as_str().expect("a token").to_owned();
    let bearer = format!("Authorization: Bearer {token}");
    let send = |method: &str, path: &str, kind: &str, body: &[u8]| {
        std::fs::write(&file, body).expect("a body");
        let (body, kind) = (
            format!("@{}", file.display()),
            format!("Content-Type: {kind}"),
        );
        let words = [
            "--request",
            method,
            "--data-binary",
            &body,
            "--header",
            &kind,
        ];
        registry.curl(&[&words[..], &["--header", &bearer]].concat(), path)
    };
    let blob = |media_type: &str, body: &[u8], title: Option<&str>| {
        let digest = sha256_digest(body);
        let there = format!("/v2/team/charts/demo/blobs/{digest}");
        let head = registry.curl(&["--head", "--header", &bearer], &there);
        assert_eq!(head.status, 404, "{head:?}");
        let begun = send(
            "POST",
            "/v2/team/charts/demo/blobs/uploads/",
            "text/plain",
            b"",
        );
        assert_eq!(begun.status, 202, "{begun:?}");
        let location = format!("{}?digest={digest}", begun.headers["location"]);
        let done = send("PUT", &location, "application/octet-stream", body);
        assert_eq!(done.status, 201, "{done:?}");
        let mut descriptor =
            json!({ "mediaType": media_type, "digest": digest, "size": body.len() });
        if let Some(title) = title {
            descriptor["annotations"] = json!({ "org.opencontainers.image.title": title });
        }
        descriptor
    };
    let image = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "config": blob("application/vnd.cncf.helm.config.v1+json", &config, None),
        "layers": [blob(
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            &chart,
            Some("demo-0.1.0.tgz"),
        )],
    });
    let manifest = manifest.to_string();
    let path = "/v2/team/charts/demo/manifests/0.1.0";
    let pushed = send("PUT", path, image, manifest.as_bytes());
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let elsewhere = send("POST", "/v2/charts/demo/blobs/uploads/", "text/plain", b"");
    assert_eq!(elsewhere.status, 403, "{elsewhere:?}");
    assert!(
        elsewhere.text().contains("alice may not push charts/demo"),
        "{elsewhere:?}"
    );

    let back = directory.path().join("back");
    oras(&registry, PROGRAM, &[&back.display().to_string(), PASSWORD]).ok();
    assert!(std::fs::read(back.join("demo-0.1.0.tgz")).expect("it came back") == chart);
}
