//! Over HTTPS, with accounts: every client logs in, does what it may, and is told in words why it
//! may not do the rest.

use std::fs;
use std::path::Path;

use hythe_tests::{Agent, CommandExt as _, Finished, Host, PrivateEtc, Server, ServerOptions};
use hythe_tests::{SHORT, busybox, eventually};
use tempfile::TempDir;

use crate::registry_admin::registry;

/// No client takes this for a registry that it may talk to without TLS.
const IP: &str = "10.9.8.7";
const PASSWORD: &str = "correct horse battery";

/// A registry with its own authority, and the accounts that tests need.
struct Registry<'host> {
    host: &'host Host,
    server: Server<'host>,
    etc: PrivateEtc,
    authority: String,
}

impl<'host> Registry<'host> {
    fn start(host: &'host Host) -> Self {
        host.command("ip")
            .args(["address", "add", &format!("{IP}/32"), "dev", "lo"])
            .finish()
            .ok();
        let options = ServerOptions {
            listen: Some(IP),
            has_tls: true,
            ..ServerOptions::default()
        };
        let etc = PrivateEtc::new();
        let server = Server::not_started(host, &options);
        let authority = registry(&server, &["ca", "--listen", &server.address()])
            .ok()
            .text();
        let mut made = Self {
            host,
            server,
            etc,
            authority: authority + "\n",
        };
        made.admin(&["user", "add", "root", "--password-stdin"]);
        made.admin(&["grant", "add", "user:root", "admin", "**"]);
        made.admin(&["user", "add", "alice", "--password-stdin"]);
        made.admin(&["grant", "add", "user:alice", "pull,push", "team/**"]);
        made.server.restart();
        for directory in ["docker/certs.d", "containers/certs.d"] {
            let path = format!("/etc/{directory}/{}/ca.crt", made.address());
            made.etc.write(&path, &made.authority);
        }
        made
    }

    fn address(&self) -> String {
        self.server.address()
    }

    /// `hythe registry …` on its stores; what it prints.
    #[track_caller]
    fn admin(&self, words: &[&str]) -> String {
        std::process::Command::new(hythe_tests::hythe_binary())
            .args(["registry", "--data"])
            .arg(self.server.data())
            .args(words)
            .finish_with_input(PASSWORD.as_bytes())
            .ok()
            .text()
    }

    /// A file with the authority, for clients that are told of it.
    fn authority_file(&self) -> String {
        format!("/etc/docker/certs.d/{}/ca.crt", self.address())
    }

    fn curl(&self, options: &[&str], path: &str) -> hythe_tests::Response {
        let (file, url) = (self.authority_file(), self.server.url(path));
        let mut words = vec!["--cacert", &file];
        words.extend_from_slice(options);
        words.push(&url);
        self.host.curl(&words)
    }

    /// Puts busybox there with skopeo.
    #[track_caller]
    fn push_as(&self, user: &str, secret: &str, name: &str) -> Finished {
        self.host
            .command("skopeo")
            .args(["copy", "--insecure-policy", "--quiet", "--dest-creds"])
            .arg(format!("{user}:{secret}"))
            .arg(busybox().transport())
            .arg(format!("docker://{}/{name}", self.address()))
            .finish()
    }

    #[track_caller]
    fn pull_as(&self, user: &str, secret: &str, name: &str) -> Finished {
        let directory = TempDir::new().expect("a temporary directory");
        self.host
            .command("skopeo")
            .args(["copy", "--insecure-policy", "--quiet", "--src-creds"])
            .arg(format!("{user}:{secret}"))
            .arg(format!("docker://{}/{name}", self.address()))
            .arg(format!("dir:{}", directory.path().display()))
            .finish()
    }
}

#[test]
fn docker_logs_in_pushes_and_pulls_through_the_agent() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let address = registry.address();
    registry.push_as("root", PASSWORD, "team/base:1").ok();
    registry.push_as("root", PASSWORD, "secret/base:1").ok();
    let agent = Agent::start(&host);
    let login = |user: &str, secret: &str| {
        agent
            .docker(&["login", "--username", user, "--password-stdin", &address])
            .finish_with_input(secret.as_bytes())
    };
    let base = format!("{address}/team/base:1");
    agent
        .docker(&["pull", &base])
        .finish()
        .fails_saying("authentication required");
    login("alice", "wrong password").fails_saying("wrong user name or password");
    let said = login("alice", PASSWORD).ok();
    assert!(said.text().contains("Login Succeeded"), "{said:?}");

    agent.docker(&["pull", "--quiet", &base]).finish().ok();
    let mine = format!("{address}/team/mine:1");
    agent.docker(&["tag", &base, &mine]).finish().ok();
    agent.docker(&["push", "--quiet", &mine]).finish().ok();
    registry.pull_as("alice", PASSWORD, "team/mine:1").ok();

    let theirs = format!("{address}/other/mine:1");
    agent.docker(&["tag", &base, &theirs]).finish().ok();
    agent
        .docker(&["push", &theirs])
        .finish()
        .fails_saying("forbidden");
    agent
        .docker(&["pull", &format!("{address}/secret/base:1")])
        .finish()
        .fails_saying("alice may not pull secret/base");

    // Our own command line, with the same file of credentials; who logs out is nobody again.
    agent.hythe(&["pull", "--quiet", &mine]).finish().ok();
    agent.docker(&["logout", &address]).finish().ok();
    agent
        .hythe(&["pull", &mine])
        .finish()
        .fails_saying("authentication required");
    agent
        .hythe(&["login", "--username", "alice", "--password-stdin", &address])
        .finish_with_input(PASSWORD.as_bytes())
        .ok();
    agent.docker(&["pull", "--quiet", &mine]).finish().ok();
}

#[test]
fn podman_skopeo_and_oras_log_in() {
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

    let program = "\
import os, sys, oras.client
address, path = sys.argv[1], sys.argv[2]
os.chdir(path)
client = oras.client.OrasClient(hostname=address, tls_verify=os.environ['CA'])
client.login(username='alice', password=os.environ['SECRET'], tls_verify=True)
open('a.txt', 'w').write('hello')
client.push(target=address + '/team/files:1', files=['a.txt'])
os.remove('a.txt')
client.pull(target=address + '/team/files:1', outdir=path)
assert open('a.txt').read() == 'hello'
";
    host.command(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/oras/bin/python"
    ))
    .args(["-c", program, &address])
    .arg(directory.path())
    .env("CA", registry.authority_file())
    .env("REQUESTS_CA_BUNDLE", registry.authority_file())
    .env("SECRET", PASSWORD)
    .env("HOME", directory.path())
    .finish()
    .ok();
}

#[test]
fn a_robot_does_what_it_may_until_its_token_is_revoked() {
    let host = Host::new();
    let registry = Registry::start(&host);
    registry.push_as("root", PASSWORD, "team/base:1").ok();
    registry.admin(&["robot", "add", "ci"]);
    registry.admin(&["grant", "add", "robot:ci", "push", "ci/*"]);
    let made: serde_json::Value = serde_json::from_str(&registry.admin(&[
        "token", "add", "ci", "--label", "nightly", "--format", "json",
    ]))
    .expect("JSON");
    let secret = made["secret"].as_str().expect("a secret");
    let token = eventually("the server knows the robot", SHORT, || {
        let answer = registry.curl(&["--user", &format!("ci:{secret}")], "/v2/");
        (answer.status == 200).then_some(secret)
    });
    registry.push_as("ci", token, "ci/app:1").ok();
    registry
        .push_as("ci", token, "ci/deep/app:1")
        .fails_saying("403 (Forbidden)");
    registry
        .pull_as("ci", token, "team/base:1")
        .fails_saying("ci may not pull");
    registry
        .pull_as("ci", token, "ci/app:1")
        .fails_saying("ci may not pull");
    let delete = ["--request", "DELETE", "--user", &format!("ci:{token}")];
    let answer = registry.curl(&delete, "/v2/ci/app/manifests/1");
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(
        answer.text().contains("ci may not delete ci/app"),
        "{answer:?}"
    );
    let lists = registry.curl(&["--user", &format!("ci:{token}")], "/v2/_catalog");
    assert_eq!(lists.json()["repositories"], serde_json::json!([]));
    assert!(
        !registry.server.log().contains(token),
        "a secret in the log"
    );

    registry.admin(&["token", "revoke", made["id"].as_str().expect("an id")]);
    eventually("the token is no longer good", SHORT, || {
        let refused = registry.push_as("ci", token, "ci/app:2");
        (refused.code != 0).then(|| refused.fails_saying("was revoked"))
    });
    let short = registry.admin(&["token", "add", "ci", "--label", "short", "--expires", "0s"]);
    eventually("the token has expired", SHORT, || {
        let refused = registry.push_as("ci", &short, "ci/app:2");
        refused.error_text().contains("expired").then_some(())
    });
    // Everything that was done is on record, with who did it.
    let log = registry.server.log();
    assert!(log.contains("ci/app"), "{log}");
}

#[test]
fn nothing_is_served_openly_where_others_can_reach_it() {
    let host = Host::new();
    host.command("ip")
        .args(["address", "add", &format!("{IP}/32"), "dev", "lo"])
        .finish()
        .ok();
    let directory = TempDir::new().expect("a temporary directory");
    host.command(hythe_tests::hythe_binary())
        .args(["server", "--listen", &format!("{IP}:5000"), "--data"])
        .arg(directory.path())
        .finish()
        .fails_saying("refusing to serve without accounts");
}

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
    fs::write(path("big"), vec![7_u8; 8 << 20]).expect("a file");
    let digest = hythe_tests::sha256_digest(&vec![7_u8; 8 << 20]);
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
    let pulls: Vec<_> = (0..50)
        .map(|number| {
            host.command("curl")
                .args(["--silent", "--show-error", "--fail", "--noproxy", "*"])
                .args(["--insecure", "--limit-rate", "2M", "--output"])
                .args([&path(&format!("pull-{number}")), &blob])
                .spawn()
                .expect("curl starts")
        })
        .collect();
    let before = shown().expect("a certificate");
    certificate(&host, directory.path());
    eventually("new connections see the new certificate", SHORT, || {
        shown().filter(|now| *now != before)
    });
    for (number, mut pull) in pulls.into_iter().enumerate() {
        assert!(pull.wait().expect("curl ends").success(), "pull {number}");
        let pulled = fs::metadata(path(&format!("pull-{number}"))).expect("a file");
        assert_eq!(pulled.len(), 8 << 20);
    }
    // What cannot be used is not used.
    let now = shown().expect("a certificate");
    fs::write(&file, "rubbish").expect("a file");
    eventually("the registry says so", SHORT, || {
        server.log().contains("cannot be used").then_some(())
    });
    assert_eq!(shown().expect("a certificate"), now);
}

#[test]
fn wrong_logins_do_not_hold_up_pulls() {
    let host = Host::new();
    let registry = Registry::start(&host);
    registry.push_as("root", PASSWORD, "team/base:1").ok();
    let file = registry.authority_file();
    let url = registry.server.url("/v2/team/base/manifests/1");
    // One connection, many requests: what is measured is the server.
    let requests = |url: &str, count: usize| {
        format!("url = \"{url}\"\noutput = \"/dev/null\"\n").repeat(count)
    };
    let config = requests(&url, 200);
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
    pull();
    let alone = pull();
    host.command("ip")
        .args(["address", "add", "10.9.8.8/32", "dev", "lo"])
        .finish()
        .ok();
    let guesses = requests(&registry.server.url("/v2/"), 2000);
    let mut guessing = host
        .command("curl")
        .args(["--silent", "--noproxy", "*", "--interface", "10.9.8.8"])
        .args([
            "--rate",
            "100/s",
            "--cacert",
            &file,
            "--user",
            "alice:guess",
        ])
        .args(["--config", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("curl starts");
    let mut input = guessing.stdin.take().expect("its input");
    std::io::Write::write_all(&mut input, guesses.as_bytes()).expect("curl reads");
    drop(input);
    let beside = eventually("guesses are refused as too many", SHORT, || {
        let beside = pull();
        registry
            .server
            .log()
            .contains("status=429")
            .then_some(beside)
    });
    guessing.kill().expect("curl can be ended");
    guessing.wait().expect("curl ends");
    assert!(
        beside < alone * 5 + std::time::Duration::from_millis(500),
        "{beside:?} beside guesses, {alone:?} alone"
    );
}
