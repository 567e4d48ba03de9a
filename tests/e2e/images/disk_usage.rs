//! `system df` and `image prune`.

use super::*;

#[test]
fn disk_usage_counts_shared_layers_once_and_prune_frees_it() {
    let host = Host::new();
    let server = Server::start(&host);
    let (agent, image, young) = agent_with_both(&host, &server);
    let docker = |words: &[&str]| agent.docker(words).finish();
    let size = |image: &str| -> u64 {
        let words = ["image", "inspect", "-f", "{{.Size}}", image];
        docker(&words).ok().text().parse().expect("a number")
    };
    let (old, both_layers) = (size(&image), size(&young));
    assert_eq!(files_size(&agent), both_layers, "as the file system counts");

    let usage = agent.api("/v1.43/system/df", &[]).json();
    assert_eq!(usage["LayersSize"], both_layers);
    let images = usage["Images"].as_array().expect("images");
    for one in images {
        assert_eq!(one["SharedSize"], old, "{one}");
        assert_eq!(one["Containers"], 0, "{one}");
    }
    let line = |words: &[&str]| {
        let format = "{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}";
        let words = [&["system", "df", "--format", format], words].concat();
        both(&agent, &words).ok().lines().remove(0)
    };
    let total = human(both_layers, 4);
    assert_eq!(line(&[]), format!("Images 2 0 {total} {total} (100%)"));
    docker(&["create", "--name", "user", "-v", "/kept", &young]).ok();
    // The command lines take a shared layer for one that nobody uses.
    let free = human(both_layers - OWN_BYTES as u64, 4);
    assert_eq!(line(&[]), format!("Images 2 1 {total} {free} (99%)"));
    // The age of the container, in seconds, may pass from one number to the next in between.
    let words = ["system", "df", "-v"];
    let verbose = eventually("both say the same", SHORT, || {
        let ours = agent.hythe(&words).finish().ok().text();
        let is_same =
            !docker_is_recent("system df -v, to the letter") || docker(&words).ok().text() == ours;
        is_same.then_some(ours)
    });
    for words in ["SHARED SIZE", "UNIQUE SIZE", &human(old, 4), "20kB"] {
        assert!(verbose.contains(words), "{words}: {verbose}");
    }

    let format = "{{range .Images}}{{.UniqueSize}} {{end}}{{range .Containers}}{{.Names}} {{.LocalVolumes}} {{end}}{{len .Volumes}}{{len .BuildCache}}";
    let words = ["system", "df", "-v", "--format", format];
    let said = if docker_is_recent("system df -v --format") {
        both(&agent, &words)
    } else {
        agent.hythe(&words).finish()
    };
    let said = said.ok().text();
    assert!(said.ends_with("user 1 10"), "{said}");

    // prune: without a name only; with -a all that no container needs; filters.
    docker(&["tag", &young, &image]).ok();
    let said = docker(&["image", "prune", "-f", "--filter", "until=2023-01-01"]).ok();
    assert_eq!(said.text(), "Total reclaimed space: 0B");
    let said = docker(&["image", "prune", "-f", "--filter", "label=tier"]).ok();
    assert_eq!(said.text(), "Total reclaimed space: 0B");
    let id = busybox().image_id;
    let said = docker(&["image", "prune", "-f"]).ok().text();
    assert!(said.contains(&format!("deleted: {id}")), "{said}");
    assert!(said.contains("Total reclaimed space: 0B"), "{said}");
    let said = agent.hythe(&["image", "prune", "-af"]).finish().ok().text();
    assert!(!said.contains("deleted"), "a container needs it: {said}");
    docker(&["rm", "-v", "user"]).ok();
    docker(&["image", "prune", "-af", "--filter", "label!=tier"]).ok();
    assert_eq!(names(&agent, &[]).len(), 2);
    let said = agent.hythe(&["image", "prune", "-af"]).finish().ok().text();
    assert!(
        said.contains(&format!("Total reclaimed space: {total}")),
        "{said}"
    );
    docker(&["image", "prune", "-f", "--filter", "nosuch=1"]).fails_with(1);
    assert_eq!(files_size(&agent), 0);
    assert_eq!(agent.api("/v1.43/system/df", &[]).json()["LayersSize"], 0);
}

/// Bytes of the files of all unpacked layers, of each file once.
fn files_size(agent: &Agent<'_>) -> u64 {
    let script = "find \"$1\"/images/layers -path '*/diff/*' -type f -printf '%i %s\\n' |
        sort -u | awk '{sum += $2} END {print sum + 0}'";
    std::process::Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(agent.data())
        .finish()
        .ok()
        .text()
        .parse()
        .expect("a number")
}
