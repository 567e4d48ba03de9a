//! `hythe registry …` on the stores of a server that is running, or is not there yet.

use std::path::PathBuf;

use hythe_tests::{CommandExt as _, Finished, Host, Server, hythe_binary};

use crate::push_busybox;

pub(crate) fn registry(server: &Server<'_>, words: &[&str]) -> Finished {
    std::process::Command::new(hythe_binary())
        .args(["registry", "--data"])
        .arg(server.data())
        .args(words)
        .finish()
}

/// Every finished segment in the server's store.
pub(crate) fn segments(server: &Server<'_>) -> Vec<PathBuf> {
    let blobs = server.data().join("store/blobs");
    let folders = std::fs::read_dir(blobs).expect("the store's folders");
    let files = folders.flat_map(|folder| {
        let folder = folder.expect("a folder").path();
        std::fs::read_dir(folder).expect("its files")
    });
    files.map(|file| file.expect("a file").path()).collect()
}

#[test]
fn a_check_says_what_is_missing_and_which_tags_it_hurts() {
    let host = Host::new();
    let server = Server::start(&host);
    push_busybox(&host, &server);
    registry(&server, &["check"]).ok();

    let victim = segments(&server).pop().expect("a blob was pushed");
    std::fs::rename(&victim, server.data().join("elsewhere")).expect("it can be moved");
    let found = registry(&server, &["check"]).fails_with(1);
    assert!(found.text().contains("is missing"), "{found:?}");
    assert!(found.text().contains("busybox (1)"), "{found:?}");
    let found = registry(&server, &["check", "--format", "json"]).fails_with(1);
    let problems: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    assert_eq!(problems[0]["problem"], "missing_object", "{problems}");
    assert_eq!(
        problems[0]["holder"]["blob"]["hurts"][0]["tags"][0], "1",
        "{problems}"
    );
    std::fs::rename(server.data().join("elsewhere"), &victim).expect("it can be moved back");

    std::fs::write(&victim, b"short").expect("it can be overwritten");
    let found = registry(&server, &["check"]).fails_with(1);
    assert!(found.text().contains("5 bytes instead of"), "{found:?}");
}

#[test]
fn a_check_of_nothing_makes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let found = std::process::Command::new(hythe_binary())
        .args(["registry", "check", "--data"])
        .arg(&data)
        .finish()
        .fails_with(1);
    assert!(found.text().contains("there is no database"), "{found:?}");
    assert!(!data.exists(), "the check made {}", data.display());
}

#[test]
fn a_collection_by_hand_explains_itself_first() {
    let host = Host::new();
    let server = Server::start(&host);
    let digest = {
        let content = b"nothing will lead here";
        let digest = hythe_tests::sha256_digest(content);
        let url = server.url(&format!("/v2/loose/blobs/uploads/?digest={digest}"));
        let octets = "Content-Type: application/octet-stream";
        let body = String::from_utf8_lossy(content).into_owned();
        let pushed = host.curl(&["-X", "POST", "-H", octets, "--data-binary", &body, &url]);
        assert_eq!(pushed.status, 201, "{pushed:?}");
        digest
    };
    let young = registry(&server, &["gc", "--dry-run"]).ok();
    assert!(young.text().contains("0 things to remove"), "{young:?}");

    let at_once = |words: &[&str]| {
        std::process::Command::new(hythe_binary())
            .env("HYTHE_GC_GRACE_SECONDS", "0")
            .args(["registry", "gc", "--data"])
            .arg(server.data())
            .args(words)
            .finish()
            .ok()
    };
    let explained = at_once(&["--dry-run"]);
    let reason = format!("blob {digest} in loose: no manifest there uses it");
    assert!(explained.text().contains(&reason), "{explained:?}");
    let blob = server.url(&format!("/v2/loose/blobs/{digest}"));
    assert_eq!(host.curl(&[&blob]).status, 200, "a dry run removes nothing");

    let told = at_once(&["--format", "json"]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(told["links"], 1, "{told}");
    assert_eq!(told["blobs"], 1, "{told}");
    assert_eq!(host.curl(&[&blob]).status, 404, "it is gone");
}
