//! What each client shows to a person who is not let in: why, in the registry's words wherever
//! the client passes them on.

use hythe_tests::{Agent, CommandExt as _, Finished, Host, SHORT, eventually};
use tempfile::TempDir;

use super::{PASSWORD, Registry, oras};
use crate::registry_clients::PodmanStorage;
use crate::registry_containerd::Containerd;

/// Secrets of alice that are good for less than she is.
struct Secrets {
    expired: String,
    revoked: String,
    /// For pulls alone.
    small: String,
}

impl Secrets {
    fn make(registry: &Registry<'_>) -> Self {
        let add = |more: &[&str]| registry.admin(&[&["token", "add", "alice"], more].concat());
        let expired = add(&["--label", "old", "--expires", "0s"]);
        let revoked = add(&["--label", "gone", "--format", "json"]);
        let revoked: serde_json::Value = serde_json::from_str(&revoked).expect("JSON");
        let text = |name: &str| revoked[name].as_str().expect("a text").to_owned();
        registry.admin(&["token", "revoke", &text("id")]);
        let small = add(&["--label", "small", "--scope", "repository:team/**:pull"]);
        eventually("the server knows all of them", SHORT, || {
            let user = format!("alice:{small}");
            let answer = registry.curl(&["--user", &user], "/v2/team/base/tags/list");
            (answer.status == 200).then_some(())
        });
        Self {
            expired,
            revoked: text("secret"),
            small,
        }
    }

    /// What a person reads of those that are good for nothing, and of a wrong password.
    fn useless(&self) -> [(&str, &'static str); 3] {
        [
            ("wrong password", "wrong user name or password"),
            (&self.expired, "has expired; make another one"),
            (&self.revoked, "was revoked"),
        ]
    }
}

const SMALL: &str = "this API token of alice may not push team/mine";

fn prepared(host: &Host) -> (Registry<'_>, Secrets) {
    let registry = Registry::start(host);
    registry.push_as("root", PASSWORD, "team/base:1").ok();
    let secrets = Secrets::make(&registry);
    (registry, secrets)
}

#[test]
fn docker_says_why() {
    let host = Host::new();
    let (registry, secrets) = prepared(&host);
    let agent = Agent::start(&host);
    let address = registry.address();
    let [base, mine] = ["base", "mine"].map(|name| format!("{address}/team/{name}:1"));
    let login = |secret: &str| {
        agent
            .docker(&["login", "--username", "alice", "--password-stdin", &address])
            .finish_with_input(secret.as_bytes())
    };
    login(PASSWORD).ok();
    agent.docker(&["pull", "--quiet", &base]).finish().ok();
    agent.docker(&["tag", &base, &mine]).finish().ok();
    for (secret, why) in secrets.useless() {
        login(secret).fails_with(1).fails_saying(why);
        // A login that was good once, as a file of credentials may hold it.
        let file = docker_config(&address, secret);
        for words in [["pull", &base], ["push", &mine], ["search", &base]] {
            for mut command in [agent.docker(&words), agent.hythe(&words)] {
                command
                    .env("DOCKER_CONFIG", file.path())
                    .finish()
                    .fails_with(1)
                    .fails_saying(why);
            }
        }
    }
    login(&secrets.small).ok();
    agent.docker(&["pull", "--quiet", &base]).finish().ok();
    for mut push in [
        agent.docker(&["push", &mine]),
        agent.hythe(&["push", &mine]),
    ] {
        push.finish().fails_with(1).fails_saying(SMALL);
    }
}

/// A configuration of docker's with one login.
fn docker_config(address: &str, secret: &str) -> TempDir {
    use base64::Engine as _;
    let pair = base64::prelude::BASE64_STANDARD.encode(format!("alice:{secret}"));
    let config = serde_json::json!({ "auths": { address: { "auth": pair } } });
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("config.json");
    std::fs::write(path, config.to_string()).expect("a file");
    directory
}

#[test]
fn podman_and_skopeo_say_why() {
    let host = Host::new();
    let (registry, secrets) = prepared(&host);
    let address = registry.address();
    let [base, mine] = ["base", "mine"].map(|name| format!("{address}/team/{name}:1"));
    let storage = PodmanStorage::new();
    let with = |secret: &str| format!("--creds=alice:{secret}");
    let good = with(PASSWORD);
    storage
        .podman(&host, &["pull", "--quiet", &good, &base])
        .ok();
    for (secret, why) in secrets.useless() {
        let creds = with(secret);
        let pull = ["pull", "--quiet", &creds, &base];
        storage.podman(&host, &pull).fails_saying(why);
        let push = ["push", "--quiet", &creds, &base, &mine];
        storage.podman(&host, &push).fails_saying(why);
        registry
            .pull_as("alice", secret, "team/base:1")
            .fails_saying(why);
        registry
            .push_as("alice", secret, "team/mine:1")
            .fails_saying(why);
        // These two keep the registry's words to themselves when they log in.
        for program in ["podman", "skopeo"] {
            host.command(program)
                .args(["login", "--username=alice", "--password-stdin", &address])
                .finish_with_input(secret.as_bytes())
                .fails_saying("invalid username/password");
        }
    }
    let creds = with(&secrets.small);
    let push = ["push", "--quiet", &creds, &base, &mine];
    storage.podman(&host, &push).fails_saying(SMALL);
    registry
        .push_as("alice", &secrets.small, "team/mine:1")
        .fails_saying(SMALL);
    // Who may not even ask what is there is told by an answer to HEAD, which has no words.
    let elsewhere = format!("{address}/other/mine:1");
    storage
        .podman(&host, &["push", "--quiet", &good, &base, &elsewhere])
        .fails_saying("other/mine")
        .fails_saying("403 (Forbidden)");
}

#[test]
fn containerd_says_what_it_was_answered() {
    let host = Host::new();
    let (registry, secrets) = prepared(&host);
    let authority = registry.authority_file();
    let containerd = Containerd::start(&host, &registry.server, Some(&authority));
    let [base, mine] = ["base", "mine"].map(|name| format!("{}/team/{name}:1", registry.address()));
    let pull = |secret: &str| {
        let user = format!("alice:{secret}");
        containerd.images("pull", &["--snapshotter", "native", "--user", &user, &base])
    };
    let push = |secret: &str| -> Finished {
        let user = format!("alice:{secret}");
        containerd.images("push", &["--user", &user, &mine])
    };
    pull(PASSWORD).ok();
    containerd.ctr(&["images", "tag", &base, &mine]).ok();
    for (secret, _) in secrets.useless() {
        for refused in [pull(secret), push(secret)] {
            refused
                .fails_saying("failed to authorize")
                .fails_saying("401 Unauthorized");
        }
    }
    pull(&secrets.small).ok();
    push(&secrets.small).fails_saying("403 Forbidden");
}

/// The Python client has words of its own for a login that is refused, and tries it for minutes.
#[test]
fn oras_says_why() {
    const PROGRAM: &str = "\
import os, sys, time, oras.client
time.sleep = lambda seconds: None
address, path, secret, target = sys.argv[1:]
os.chdir(path)
client = oras.client.OrasClient(hostname=address)
client.login(username='alice', password=secret, tls_verify=True)
open('a.txt', 'w').write('pushed by nobody')
client.push(target=address + target, files=['a.txt'])
";
    let host = Host::new();
    let (registry, secrets) = prepared(&host);
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().display().to_string();
    oras(&registry, PROGRAM, &[&path, PASSWORD, "/other/mine:1"])
        .fails_saying("alice may not push other/mine");
    for (secret, _) in secrets.useless() {
        oras(&registry, PROGRAM, &[&path, secret, "/team/mine:1"])
            .fails_saying("Please use basic auth with a username or password");
    }
}
