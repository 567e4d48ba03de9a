//! The agent's API on TCP: for those whose certificate its authority signed, and nobody else.

use std::process::{Command, Stdio};

use hythe_tests::{Agent, AgentOptions, CommandExt as _, Host, SHORT, Server, eventually};
use tempfile::TempDir;

use crate::push_busybox;

const ADDRESS: &str = "127.0.0.1:2376";

/// An authority, and certificates that it signed, made with openssl as docker's guide does.
struct Authority {
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let directory = TempDir::with_prefix("hythe-tls-").expect("a temporary directory");
        let authority = Self { directory };
        let (key, certificate) = (authority.path("ca-key.pem"), authority.path("ca.pem"));
        openssl(&["ecparam", "-genkey", "-name", "prime256v1", "-out", &key]);
        let request = [
            "req",
            "-x509",
            "-new",
            "-days",
            "2",
            "-subj",
            "/CN=authority",
        ];
        openssl(&[&request[..], &["-key", &key, "-out", &certificate]].concat());
        authority
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Writes `NAME.pem` and `NAME-key.pem`; `usage` is `serverAuth` or `clientAuth`.
    fn sign(&self, name: &str, usage: &str) {
        let [key, request, certificate, extensions] =
            ["-key.pem", ".csr", ".pem", ".ext"].map(|end| self.path(&format!("{name}{end}")));
        let said = format!("subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n");
        std::fs::write(&extensions, said).expect("the extensions are written");
        openssl(&["ecparam", "-genkey", "-name", "prime256v1", "-out", &key]);
        let subject = format!("/CN={name}");
        openssl(&[
            "req", "-new", "-key", &key, "-subj", &subject, "-out", &request,
        ]);
        let (ca, ca_key) = (self.path("ca.pem"), self.path("ca-key.pem"));
        let signing = [
            "x509",
            "-req",
            "-days",
            "2",
            "-CAcreateserial",
            "-in",
            &request,
        ];
        let by = ["-CA", &ca, "-CAkey", &ca_key];
        let to = ["-extfile", &extensions, "-out", &certificate];
        openssl(&[&signing[..], &by, &to].concat());
    }
}

#[track_caller]
fn openssl(words: &[&str]) {
    Command::new("openssl").args(words).finish().ok();
}

/// Docker over TCP, with the certificate `name` and the server's authority from `ours`.
fn docker(host: &Host, ours: &Authority, theirs: &Authority, name: &str) -> Command {
    let mut command = host.command("docker");
    command
        .env("DOCKER_CONFIG", ours.path("docker-config"))
        .env_remove("DOCKER_HOST")
        .args(["-H", &format!("tcp://{ADDRESS}"), "--tlsverify"])
        .args(["--tlscacert", &ours.path("ca.pem")])
        .args(["--tlscert", &theirs.path(&format!("{name}.pem"))])
        .args(["--tlskey", &theirs.path(&format!("{name}-key.pem"))]);
    command
}

fn agent_options(authority: &Authority) -> AgentOptions {
    let mut arguments = vec!["--tcp".to_owned(), format!("tcp://{ADDRESS}")];
    for (flag, file) in [
        ("--tlscacert", "ca.pem"),
        ("--tlscert", "agent.pem"),
        ("--tlskey", "agent-key.pem"),
    ] {
        arguments.extend([flag.to_owned(), authority.path(file)]);
    }
    AgentOptions {
        arguments,
        ..AgentOptions::default()
    }
}

#[test]
fn docker_with_a_certificate_works_over_tcp() {
    let (host, ours) = (Host::new(), Authority::new());
    ours.sign("agent", "serverAuth");
    ours.sign("client", "clientAuth");
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let _agent = Agent::start_with(&host, agent_options(&ours));
    let docker = |words: &[&str]| {
        let mut command = docker(&host, &ours, &ours, "client");
        command.args(words);
        command
    };

    docker(&["pull", "-q", &image]).finish().ok();
    let script = "echo out; echo err >&2; exit 3";
    let run = docker(&["run", "--rm", &image, "sh", "-c", script]).finish();
    let run = run.fails_with(3);
    assert_eq!((run.text(), run.error_text()), ("out".into(), "err".into()));

    // Input far larger than any buffer, its end told by the client, and all of it back.
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let cat = docker(&["run", "--rm", "-i", &image, "cat"])
        .finish_with_input(&sent)
        .ok();
    assert!(cat.stdout == sent, "{} bytes came back", cat.stdout.len());

    docker(&["run", "-d", "--name", "stays", &image, "sleep", "1000"])
        .finish()
        .ok();
    let exec = docker(&["exec", "-i", "stays", "cat"]).finish_with_input(b"hello");
    assert_eq!(exec.ok().text(), "hello");

    // A client that is killed ends its stream; the API goes on.
    let mut follower = docker(&["logs", "-f", "stays"])
        .stdout(Stdio::null())
        .spawn()
        .expect("docker starts");
    follower.kill().expect("docker can be killed");
    follower.wait().expect("docker can be waited for");
    docker(&["kill", "stays"]).finish().ok();
    assert_eq!(docker(&["wait", "stays"]).finish().ok().text(), "137");
}

#[test]
fn without_a_certificate_of_the_authority_nobody_is_let_in() {
    let (host, ours, strangers) = (Host::new(), Authority::new(), Authority::new());
    ours.sign("agent", "serverAuth");
    ours.sign("client", "clientAuth");
    strangers.sign("client", "clientAuth");
    let agent = Agent::start_with(&host, agent_options(&ours));
    let ca = ours.path("ca.pem");
    let url = format!("https://{ADDRESS}/_ping");
    let curl = |words: &[&str]| {
        let mut command = host.command("curl");
        command.args(["--silent", "--show-error", "--max-time", "30"]);
        command.args(["--noproxy", "*"]).args(words).finish()
    };
    let shows = |name: &str, of: &Authority| {
        [
            "--cert".to_owned(),
            of.path(&format!("{name}.pem")),
            "--key".to_owned(),
            of.path(&format!("{name}-key.pem")),
        ]
    };

    let [a, b, c, d] = shows("client", &ours);
    let answer = curl(&["--cacert", &ca, &a, &b, &c, &d, &url]).ok();
    assert_eq!(answer.text(), "OK");
    curl(&["--cacert", &ca, &url]).fails_saying("certificate");
    let [a, b, c, d] = shows("client", &strangers);
    curl(&["--cacert", &ca, &a, &b, &c, &d, &url]).fails_saying("alert");
    // A server's certificate is none for clients.
    let [a, b, c, d] = shows("agent", &ours);
    curl(&["--cacert", &ca, &a, &b, &c, &d, &url]).fails_saying("alert");
    let plain = curl(&[&format!("http://{ADDRESS}/_ping")]);
    assert!(plain.code != 0 && !plain.text().contains("OK"), "{plain:?}");
    docker(&host, &ours, &strangers, "client")
        .arg("info")
        .finish()
        .fails_saying("tls:");
    eventually("refusals are logged", SHORT, || {
        (agent.log().matches("client not let in").count() >= 4).then_some(())
    });
}

#[test]
fn tcp_without_certificates_is_refused_at_the_start() {
    let (host, ours) = (Host::new(), Authority::new());
    let directory = TempDir::new().expect("a temporary directory");
    let start = |words: &[&str]| {
        let socket = directory.path().join("hythe.sock");
        host.command(hythe_tests::hythe_binary())
            .args(["agent", "--socket"])
            .arg(&socket)
            .arg("--data")
            .arg(directory.path().join("data"))
            .args(["--tcp", ADDRESS])
            .args(words)
            .finish()
    };
    start(&[]).fails_saying("tls-ca-cert");
    let (ca, key) = (ours.path("ca.pem"), ours.path("ca-key.pem"));
    // A key where certificates are wanted.
    let wrong = start(&["--tlscacert", &ca, "--tlscert", &key, "--tlskey", &key]);
    wrong.fails_saying("holds no certificate");
    assert!(!directory.path().join("hythe.sock").exists());
}
