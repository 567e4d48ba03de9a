//! A blob far larger than the server's memory goes in and out through a few buffers.
//!
//! `HYTHE_LARGE_BLOB_BYTES` says how large it is; the figures are in the test's output.

use std::fs;

use hythe_tests::{CommandExt as _, Host, Server};

const PEAK_KIB: u64 = 100 * 1024;

#[test]
fn memory_does_not_grow_with_a_blob() {
    let bytes: u64 = std::env::var("HYTHE_LARGE_BLOB_BYTES")
        .map_or(512 << 20, |text| text.parse().expect("a number of bytes"));
    let host = Host::new();
    let server = Server::start(&host);
    let shell = |script: &str| {
        let mut command = host.command("bash");
        command.args(["-o", "pipefail", "-ec", script]);
        command.finish().ok().text()
    };
    let source = format!("head -c {bytes} /dev/zero");
    let digest = shell(&format!("{source} | sha256sum | cut -d ' ' -f 1"));
    let put = |repository: &str, source: &str, what: &str| {
        let at = upload(&host, &server, repository);
        shell(&format!(
            "{source} curl --silent --show-error --fail --upload-file {what} \
             --header 'Content-Type: application/octet-stream' '{at}digest=sha256:{digest}'"
        ));
        peak_kib(&server)
    };
    let pushed_kib = put("large", &format!("{source} |"), "-");
    // One whose length is known before it comes goes another way.
    let directory = tempfile::tempdir().expect("a directory");
    let sparse = directory.path().join("sparse").display().to_string();
    let pushed_at_length_kib = put(
        "long",
        &format!("truncate --size {bytes} {sparse};"),
        &sparse,
    );
    // Other requests may come over the same connection meanwhile.
    put("shared", "", &format!("{sparse} --http2-prior-knowledge"));
    let blob = server.url(&format!("/v2/large/blobs/sha256:{digest}"));
    let pulled = shell(&format!(
        "curl --silent --show-error --fail '{blob}' | sha256sum | cut -d ' ' -f 1"
    ));
    assert_eq!(pulled, digest);
    let pulled_kib = peak_kib(&server);
    println!(
        "{bytes} bytes: peak of {pushed_kib} KiB after a push in chunks, {pushed_at_length_kib} KiB \
         after one of known length, {pulled_kib} KiB after the pull"
    );
    assert!(
        pulled_kib < PEAK_KIB,
        "the server had {pulled_kib} KiB at its peak"
    );
}

/// Where a blob can be put; the digest is to be added.
fn upload(host: &Host, server: &Server<'_>, repository: &str) -> String {
    let uploads = server.url(&format!("/v2/{repository}/blobs/uploads/"));
    let opened = host.curl(&["--request", "POST", &uploads]);
    assert_eq!(opened.status, 202, "{opened:?}");
    let location = &opened.headers["location"];
    let session = match location.strip_prefix('/') {
        Some(_) => server.url(location),
        None => location.clone(),
    };
    let separator = if session.contains('?') { '&' } else { '?' };
    format!("{session}{separator}")
}

fn peak_kib(server: &Server<'_>) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process_id()));
    let status = status.expect("the server lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.expect("a peak").parse().expect("a number of KiB")
}
