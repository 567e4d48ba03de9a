//! Over HTTPS, with accounts: every client logs in, does what it may, and is told in words why it
//! may not do the rest.

mod audit;
mod clients;
mod connections;
mod docker;
mod identities;
mod load;
mod refusals;
mod robots;

use hythe_tests::{CommandExt as _, Finished, Host, PrivateEtc, Server, ServerOptions, busybox};
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
    environment: Vec<(String, String)>,
}

impl<'host> Registry<'host> {
    fn start(host: &'host Host) -> Self {
        Self::start_with(host, Vec::new(), &[])
    }

    /// With settings of the test's own.
    fn start_with(
        host: &'host Host,
        environment: Vec<(String, String)>,
        arguments: &[&str],
    ) -> Self {
        host.command("ip")
            .args(["address", "add", &format!("{IP}/32"), "dev", "lo"])
            .finish()
            .ok();
        let options = ServerOptions {
            listen: Some(IP),
            has_tls: true,
            environment: environment.clone(),
            arguments,
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
            environment,
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
            .envs(self.environment.iter().cloned())
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

    /// Pulls with skopeo, which verifies every digest.
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

/// A program for the Python that has oras; its first argument is the registry's address.
fn oras(registry: &Registry<'_>, program: &str, arguments: &[&str]) -> Finished {
    let home = TempDir::new().expect("a temporary directory");
    let address = registry.address();
    crate::registry_artifacts::oras_command(registry.host, program)
        .arg(&address)
        .args(arguments)
        .env("REQUESTS_CA_BUNDLE", registry.authority_file())
        .env("HOME", home.path())
        .finish()
}
