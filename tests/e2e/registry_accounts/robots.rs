//! Accounts for programs, and what is not served without any.

use hythe_tests::{CommandExt as _, Host, SHORT, Server, ServerOptions, eventually};
use tempfile::TempDir;

use super::{IP, PASSWORD, Registry};

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
    // A push that is under way when the server hears of it ends with less to say.
    eventually("the token is no longer good", SHORT, || {
        let refused = registry.push_as("ci", token, "ci/app:2");
        refused.error_text().contains("was revoked").then_some(())
    });
    let short = registry.admin(&["token", "add", "ci", "--label", "short", "--expires", "0s"]);
    eventually("the token has expired", SHORT, || {
        let refused = registry.push_as("ci", &short, "ci/app:2");
        refused.error_text().contains("expired").then_some(())
    });
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

#[test]
fn who_wants_it_open_says_so_and_is_warned() {
    let host = Host::new();
    let options = ServerOptions {
        listen: Some("0.0.0.0"),
        arguments: &["--allow-insecure-listen"],
        ..ServerOptions::default()
    };
    let server = Server::start_as(&host, &options);
    let log = server.log();
    for warning in [
        "plain HTTP: passwords",
        "there are no accounts: whoever reaches",
    ] {
        assert!(log.contains(warning), "{warning}: {log}");
    }
}
