//! What was done, as lines of JSON: in the log, and in a file of its own.

use std::fs;

use hythe_tests::{Host, SHORT, eventually};
use serde_json::Value;
use tempfile::TempDir;

use super::{PASSWORD, Registry};

/// The lines of a text that are audit records.
fn records(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|error| {
            panic!("{error}: {line}");
        });
        record
    });
    lines.filter(|one| one["target"] == "hythe_audit").collect()
}

#[test]
fn records_are_lines_of_json() {
    let host = Host::new();
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("audit.log");
    let environment = vec![("HYTHE_AUDIT_LOG".to_owned(), path.display().to_string())];
    // Nothing but warnings is logged, and records are kept all the same.
    let arguments = [
        "--log-format",
        "json",
        "--log-level",
        "warn,hythe_audit=info",
    ];
    let registry = Registry::start_with(&host, environment, &arguments);
    registry.push_as("alice", PASSWORD, "team/base:1").ok();
    registry.push_as("alice", "wrong password", "team/base:2");

    let rotated = directory.path().join("audit.log.1");
    fs::rename(&path, &rotated).expect("it can be rotated");
    let delete = [
        "--request",
        "DELETE",
        "--user",
        &format!("alice:{PASSWORD}"),
    ];
    let answer = registry.curl(&delete, "/v2/team/base/manifests/1");
    assert_eq!(answer.status, 403, "{answer:?}");

    let read = |path: &std::path::Path| fs::read_to_string(path).unwrap_or_default();
    let before = records(&read(&rotated));
    let after = eventually("the next record is in a new file", SHORT, || {
        let found = records(&read(&path));
        (!found.is_empty()).then_some(found)
    });
    let find = |records: &[Value], actor: &str, action: &str| {
        let found = records
            .iter()
            .find(|one| one["actor"] == actor && one["action"] == action);
        let found = found.unwrap_or_else(|| panic!("{actor} {action}: {records:?}"));
        found.clone()
    };
    // Those who work on the registry's own stores are on record in the same place.
    assert_eq!(find(&before, "(operator)", "add user")["subject"], "root");
    let push = find(&before, "alice", "push");
    assert_eq!(push["subject"], "team/base:1");
    assert_eq!(push["address"], super::IP);
    assert_eq!(push["outcome"], "done");
    let digest = hythe_tests::busybox().manifest_digest;
    assert_eq!(push["digest"], digest);
    let login = find(&before, "alice", "log in");
    assert_eq!(login["outcome"], "wrong user name or password");
    let refused = find(&after, "alice", "delete");
    assert_eq!(refused["outcome"], "alice may not delete team/base");

    let log = registry.server.log();
    assert_eq!(find(&records(&log), "alice", "push")["id"], push["id"]);
    for text in [log, read(&path), read(&rotated)] {
        assert!(
            !text.contains(PASSWORD) && !text.contains("wrong password"),
            "{text}"
        );
    }
}
