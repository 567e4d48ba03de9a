//! The registry dies by `kill -9` in the middle of an upload.

use std::io::Write as _;
use std::process::Stdio;

use hythe_tests::{CommandExt as _, Host, SHORT, Server, eventually, sha256_digest};

use crate::push_busybox;

#[test]
fn no_half_blob_is_visible_and_what_was_acknowledged_is_intact() {
    let host = Host::new();
    let mut server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let blob: Vec<u8> = (0..8 << 20).map(|_| rand::random()).collect();
    let digest = sha256_digest(&blob);

    let upload = upload_url(&host, &server);
    let url = format!(
        "{upload}{}digest={digest}",
        if upload.contains('?') { '&' } else { '?' }
    );
    let mut client = host
        .command("curl")
        .args([
            "--silent",
            "--request",
            "PUT",
            "--upload-file",
            "-",
            "--header",
        ])
        .args(["Content-Type: application/octet-stream", "--header"])
        .args([
            &format!("Content-Length: {}", blob.len()),
            "--header",
            "Expect:",
            &url,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("curl starts");
    let before = bytes_below(&server.data());
    let mut stdin = client.stdin.take().expect("stdin is piped");
    stdin
        .write_all(&blob[..5 << 20])
        .expect("the server takes the first part");
    eventually("a part of the upload has reached the disk", SHORT, || {
        (bytes_below(&server.data()) > before + (1 << 20)).then_some(())
    });
    server.kill_dash_nine();
    drop(stdin);
    client.wait().expect("curl ends");
    server.restart();

    let half = host.curl(&[
        "--head",
        &server.url(&format!("/v2/busybox/blobs/{digest}")),
    ]);
    assert_eq!(half.status, 404, "{half:?}");
    host.command("skopeo")
        .args([
            "inspect",
            "--tls-verify=false",
            &format!("docker://{image}"),
        ])
        .finish()
        .ok();

    let whole = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(whole.path(), &blob).expect("the blob is written");
    let upload = upload_url(&host, &server);
    let url = format!(
        "{upload}{}digest={digest}",
        if upload.contains('?') { '&' } else { '?' }
    );
    let path = whole.path().to_str().expect("a UTF-8 path");
    let octets = "Content-Type: application/octet-stream";
    let again = host.curl(&[
        "--request",
        "PUT",
        "--upload-file",
        path,
        "--header",
        octets,
        &url,
    ]);
    assert_eq!(again.status, 201, "{again:?}");
    let back = host.curl(&[&server.url(&format!("/v2/busybox/blobs/{digest}"))]);
    assert!(
        back.status == 200 && back.body == blob,
        "the blob comes back whole"
    );
}

#[track_caller]
fn upload_url(host: &Host, server: &Server<'_>) -> String {
    let answer = host.curl(&[
        "--request",
        "POST",
        &server.url("/v2/busybox/blobs/uploads/"),
    ]);
    assert_eq!(answer.status, 202, "{answer:?}");
    let location = &answer.headers["location"];
    if location.starts_with('/') {
        server.url(location)
    } else {
        location.clone()
    }
}

fn bytes_below(directory: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    let sizes = entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => bytes_below(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        });
    sizes.sum()
}
