//! What goes on beside others: a certificate is changed, somebody guesses passwords.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

use hythe_tests::{CommandExt as _, Host, SHORT, Server, ServerOptions, eventually};
use tempfile::TempDir;

use super::{PASSWORD, Registry};

/// A certificate for this host that signs itself, and its key.
fn certificate(host: &Host, directory: &Path) {
    let path = |name: &str| directory.join(name).display().to_string();
    host.command("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
        .args([
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-subj",
            "/CN=registry",
        ])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", &path("new-key.pem"), "-out", &path("new.pem")])
        .finish()
        .ok();
    for (new, name) in [("new-key.pem", "key.pem"), ("new.pem", "certificate.pem")] {
        fs::rename(path(new), path(name)).expect("it is put in place");
    }
}

#[test]
fn a_certificate_is_changed_under_pulls_that_run() {
    let host = Host::new();
    let directory = TempDir::new().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    certificate(&host, directory.path());
    let (file, key) = (path("certificate.pem"), path("key.pem"));
    let options = ServerOptions {
        listen: Some("127.0.0.1"),
        has_tls: true,
        arguments: &["--tls-certificate", &file, "--tls-key", &key],
        ..ServerOptions::default()
    };
    let server = Server::start_as(&host, &options);
    // More than the kernel's buffers hold, so that no pull ends before somebody reads it.
    let content = vec![7_u8; 12 << 20];
    fs::write(path("big"), &content).expect("a file");
    let digest = hythe_tests::sha256_digest(&content);
    let data = format!("@{}", path("big"));
    let upload = server.url(&format!("/v2/big/blobs/uploads/?digest={digest}"));
    let pushed = host.curl(&["--insecure", "--data-binary", &data, &upload]);
    assert_eq!(pushed.status, 201, "{pushed:?}");

    let shown = || {
        let asked = host
            .command("openssl")
            .args(["s_client", "-showcerts", "-connect", &server.address()])
            .finish()
            .text();
        let begin = asked.find("-----BEGIN CERTIFICATE-----");
        let end = asked.find("-----END CERTIFICATE-----");
        begin
            .zip(end)
            .map(|(begin, end)| asked[begin..end].to_owned())
    };
    let blob = server.url(&format!("/v2/big/blobs/{digest}"));
    let mut pulls: Vec<_> = ["--http1.1", "--http2"]
        .iter()
        .cycle()
        .take(50)
        .map(|version| {
            host.command("curl")
                .args(["--silent", "--show-error", "--fail", "--noproxy", "*"])
                .args(["--insecure", version, &blob])
                .stdout(Stdio::piped())
                .spawn()
                .expect("curl starts")
        })
        .collect();
    // Each of them is under way, and waits for us.
    for pull in &mut pulls {
        let mut first = [0];
        let output = pull.stdout.as_mut().expect("its output");
        output.read_exact(&mut first).expect("the first byte");
    }
    let before = shown().expect("a certificate");
    certificate(&host, directory.path());
    eventually("new connections see the new certificate", SHORT, || {
        shown().filter(|now| *now != before)
    });
    for (number, mut pull) in pulls.into_iter().enumerate() {
        assert_eq!(
            pull.try_wait().expect("it can be asked"),
            None,
            "pull {number}"
        );
        let mut rest = Vec::new();
        let output = pull.stdout.as_mut().expect("its output");
        output.read_to_end(&mut rest).expect("all of it");
        assert!(rest == content[1..], "pull {number}: {} bytes", rest.len());
        assert!(pull.wait().expect("curl ends").success(), "pull {number}");
    }
    // What cannot be used is not used.
    let now = shown().expect("a certificate");
    fs::write(&file, "rubbish").expect("a file");
    eventually("the registry says so", SHORT, || {
        server.log().contains("cannot be used").then_some(())
    });
    assert_eq!(shown().expect("a certificate"), now);
}

/// A hundred wrong logins a second, from an address of their own, until it is dropped.
struct Guesses(std::process::Child);

impl Guesses {
    fn begin(registry: &Registry<'_>) -> Self {
        const ADDRESS: &str = "10.9.8.8";
        registry
            .host
            .command("ip")
            .args(["address", "add", &format!("{ADDRESS}/32"), "dev", "lo"])
            .finish()
            .ok();
        let mut child = registry
            .host
            .command("curl")
            .args(["--silent", "--noproxy", "*", "--interface", ADDRESS])
            .args(["--rate", "100/s", "--user", "alice:guess", "--config", "-"])
            .args(["--cacert", &registry.authority_file()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("curl starts");
        // More than any machine needs for the pulls beside them.
        let all = requests(&registry.server.url("/v2/"), 20_000);
        let mut input = child.stdin.take().expect("its input");
        std::io::Write::write_all(&mut input, all.as_bytes()).expect("curl reads");
        Self(child)
    }
}

impl Drop for Guesses {
    fn drop(&mut self) {
        self.0.kill().expect("curl can be ended");
        self.0.wait().expect("curl ends");
    }
}

/// What curl reads to ask so often over one connection.
fn requests(url: &str, count: usize) -> String {
    format!("url = \"{url}\"\noutput = \"/dev/null\"\n").repeat(count)
}

/// What is compared is the quickest of several: whatever else a busy machine does makes some of
/// them longer, and none shorter.
#[test]
fn wrong_logins_do_not_hold_up_pulls() {
    let host = Host::new();
    let registry = Registry::start(&host);
    registry.push_as("root", PASSWORD, "team/base:1").ok();
    let file = registry.authority_file();
    let url = registry.server.url("/v2/team/base/manifests/1");
    // The login that is guessed is the one that pulls.
    let config = requests(&url, 100);
    let pull = || {
        let begun = std::time::Instant::now();
        host.command("curl")
            .args(["--silent", "--show-error", "--fail", "--noproxy", "*"])
            .args(["--cacert", &file, "--user", &format!("alice:{PASSWORD}")])
            .args(["--config", "-"])
            .finish_with_input(config.as_bytes())
            .ok();
        begun.elapsed()
    };
    let quickest = || (0..6).map(|_| pull()).min().expect("several");
    let refused = || {
        let log = registry.server.log();
        log.lines()
            .filter(|line| line.contains("client=10.9.8.8:"))
            .count()
    };
    pull();
    let before = quickest();
    let guesses = Guesses::begin(&registry);
    eventually("guesses are refused as too many", SHORT, || {
        registry.server.log().contains("status=429").then_some(())
    });
    let already = refused();
    let beside = quickest();
    let meanwhile = refused() - already;
    drop(guesses);
    let after = quickest();
    let alone = before.max(after);
    eprintln!("{alone:?} alone, {beside:?} beside {meanwhile} guesses");
    assert!(meanwhile > 0, "nobody guessed any more");
    assert!(
        beside < alone * 2,
        "{beside:?} beside guesses, {alone:?} alone"
    );
    // The first of them cost a check each; that somebody is right is seen beside those too.
    registry.pull_as("alice", PASSWORD, "team/base:1").ok();
}
