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
    let opened = host.curl(&["--request", "POST", &server.url("/v2/large/blobs/uploads/")]);
    assert_eq!(opened.status, 202, "{opened:?}");
    let location = &opened.headers["location"];
    let session = match location.strip_prefix('/') {
        Some(_) => server.url(location),
        None => location.clone(),
    };
    let separator = if session.contains('?') { '&' } else { '?' };
    shell(&format!(
        "{source} | curl --silent --show-error --fail --upload-file - \
         --header 'Content-Type: application/octet-stream' \
         '{session}{separator}digest=sha256:{digest}'"
    ));
    let pushed_kib = peak_kib(&server);
    let blob = server.url(&format!("/v2/large/blobs/sha256:{digest}"));
    let pulled = shell(&format!(
        "curl --silent --show-error --fail '{blob}' | sha256sum | cut -d ' ' -f 1"
    ));
    assert_eq!(pulled, digest);
    let pulled_kib = peak_kib(&server);
    println!(
        "{bytes} bytes: peak of {pushed_kib} KiB after the push, {pulled_kib} KiB after the pull"
    );
    assert!(
        pulled_kib < PEAK_KIB,
        "the server had {pulled_kib} KiB at its peak"
    );
}

fn peak_kib(server: &Server<'_>) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process_id()));
    let status = status.expect("the server lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.expect("a peak").parse().expect("a number of KiB")
}
