//! Names, lists, `inspect` and `history`.

use super::*;

#[test]
fn names_are_given_and_taken_as_dockers() {
    let host = Host::new();
    let server = Server::start(&host);
    let (agent, image, young) = agent_with_both(&host, &server);
    let docker = |words: &[&str]| agent.docker(words).finish();
    let (old_id, young_id) = (id_of(&agent, &image), id_of(&agent, &young));
    let repository = image.trim_end_matches(":1");
    let by_digest = format!("{repository}@{}", busybox().manifest_digest);

    // tag: by name, digest and id; moves a name; a bad one is told.
    docker(&["tag", &image, "box:1"]).ok();
    docker(&["tag", &by_digest, "box:2"]).ok();
    agent
        .hythe(&["tag", short(&old_id), "team/box"])
        .finish()
        .ok();
    assert_eq!(id_of(&agent, "team/box:latest"), old_id);
    docker(&["tag", &young, "box:2"]).ok();
    assert_eq!(id_of(&agent, "box:2"), young_id);
    for (words, why) in [
        (["tag", "nosuch", "x:1"], "No such image: nosuch"),
        (["tag", &image, "UPPER:1"], "invalid reference format"),
        (["tag", &image, "x:bad tag"], "invalid"),
    ] {
        docker(&words).fails_with(1).fails_saying(why);
        agent.hythe(&words).finish().fails_with(1);
    }

    // rmi by tag takes a name away; by id only what has one name, or by force.
    let said = docker(&["rmi", "box:1"]).ok().text();
    assert_eq!(said, "Untagged: box:1");
    docker(&["rmi", short(&old_id)])
        .fails_with(1)
        .fails_saying("(must be forced) - image is referenced in multiple repositories");
    docker(&["rmi", "nosuch"])
        .fails_with(1)
        .fails_saying("No such image: nosuch");
    agent.hythe(&["rmi", "nosuch"]).finish().fails_with(1);
    assert_eq!(both(&agent, &["rmi", "-f", "nosuch"]).ok().text(), "");
    let said = docker(&["rmi", &by_digest]).ok().text();
    assert_eq!(said, format!("Untagged: {by_digest}"));
    assert_eq!(id_of(&agent, &image), old_id);

    // A container keeps its image: stopped unless forced, running in any case.
    docker(&["run", "-d", "--name", "user", "team/box", "sleep", "1000"]).ok();
    docker(&["rmi", &image]).ok();
    docker(&["rmi", "team/box"])
        .fails_with(1)
        .fails_saying("must force");
    docker(&["rmi", "-f", &old_id])
        .fails_with(1)
        .fails_saying("(cannot be forced) - image is being used by running container");
    docker(&["stop", "-t", "0", "user"]).ok();
    docker(&["rmi", &old_id])
        .fails_with(1)
        .fails_saying("(must be forced) - image is being used by stopped container");
    let said = agent.hythe(&["rmi", "-f", &old_id]).finish().ok().text();
    assert!(
        said.contains("Untagged: team/box:latest") && said.contains(&format!("Deleted: {old_id}")),
        "{said}"
    );
    // What it stands on is still there, and goes with it.
    docker(&["start", "user"]).ok();
    docker(&["exec", "user", "true"]).ok();
    docker(&["rm", "-f", "user"]).ok();

    // The layer that both had stays; the last name takes everything along, children first.
    docker(&["run", "--rm", "box:2", "true"]).ok();
    docker(&["create", "--name", "made", "box:2"]).ok();
    let derived = docker(&["commit", "-m", "on it", "made", "derived:1"])
        .ok()
        .text();
    docker(&["rm", "made"]).ok();
    docker(&["rmi", "-f", &young_id])
        .fails_with(1)
        .fails_saying("(cannot be forced) - image has dependent child images");
    docker(&["rmi", "box:2", &young]).ok();
    assert_eq!(names(&agent, &[]), ["derived:1"]);
    let said = docker(&["rmi", "--no-prune", "derived:1"]).ok().text();
    assert!(said.contains(&format!("Deleted: {derived}")), "{said}");
    docker(&["image", "prune", "-f"]).ok();
    assert_eq!(docker(&["images", "-aq"]).ok().text(), "");
    let layers = std::fs::read_dir(agent.data().join("images/layers/sha256")).expect("layers");
    assert_eq!(layers.count(), 0);
}

#[test]
fn lists_and_details_are_dockers() {
    let host = Host::new();
    let server = Server::start(&host);
    let (agent, image, young) = agent_with_both(&host, &server);
    let docker = |words: &[&str]| agent.docker(words).finish();
    docker(&["tag", &image, "box:1"]).ok();
    let (old_id, young_id) = (id_of(&agent, &image), id_of(&agent, &young));

    let all = names(&agent, &[]);
    assert_eq!(all, [image.clone(), young.clone(), "box:1".to_owned()]);
    let ids = |words: &[&str]| {
        let list = ["images", "-q", "--no-trunc"];
        both(&agent, &[&list[..], words].concat()).ok().lines()
    };
    // Newest first.
    assert_eq!(ids(&[]), [&young_id[..], &old_id, &old_id]);
    assert_eq!(
        both(&agent, &["images", "-q", "box"]).ok().text(),
        short(&old_id)
    );
    for (filter, expected) in [
        ("reference=box", &[&old_id][..]),
        ("reference=box:*", &[&old_id]),
        ("reference=*/team/*", &[&young_id]),
        ("reference=127.0.0.1:5000/*/*:1", &[&young_id]),
        ("reference=nosuch", &[]),
        ("label=tier", &[&young_id]),
        ("label=tier=front", &[&young_id]),
        ("label=tier=back", &[]),
        ("dangling=true", &[]),
        ("until=2024-03-01T00:00:00Z", &[&old_id, &old_id]),
    ] {
        let found = ids(&["-f", filter]);
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter}");
    }
    assert_eq!(ids(&["-f", &format!("since={image}")]), [&young_id[..]]);
    assert_eq!(
        ids(&["-f", &format!("before={young}")]),
        [&old_id[..], &old_id]
    );
    for bad in ["nosuch=1", "dangling=perhaps", "before=nosuch"] {
        docker(&["images", "-f", bad]).fails_with(1);
        agent.hythe(&["images", "-f", bad]).finish().fails_with(1);
    }
    let table = both_lists(&agent, &["images", "--digests", "--no-trunc"]).join("\n");
    for column in ["REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"] {
        assert!(table.contains(column), "{table}");
    }
    assert!(table.contains(&busybox().manifest_digest), "{table}");

    // A name that moved on leaves an image without one.
    docker(&["create", "--name", "kept", "box:1"]).ok();
    docker(&["commit", "kept", "moving:1"]).ok();
    let dangling = id_of(&agent, "moving:1");
    docker(&["commit", "-m", "again", "kept", "moving:1"]).ok();
    docker(&["rm", "kept"]).ok();
    assert_eq!(ids(&["-f", "dangling=true"]), [&dangling[..]]);
    assert!(names(&agent, &[]).contains(&"<none>:<none>".to_owned()));
    assert!(!ids(&["-f", "dangling=false"]).contains(&dangling));

    // inspect and history
    let words = ["image", "inspect", &young, "box:1"];
    // Older clients show fields that the engine does not send.
    let seen = if docker_is_recent("image inspect, to the letter") {
        both(&agent, &words)
    } else {
        agent.hythe(&words).finish()
    };
    let seen: Value = serde_json::from_slice(&seen.ok().stdout).expect("JSON");
    assert_eq!(seen[0]["Id"], young_id);
    assert_eq!(seen[0]["RepoTags"], json!([young]));
    assert_eq!(seen[0]["Config"]["Labels"]["tier"], "front");
    assert_eq!(seen[0]["Created"], "2024-06-01T00:00:00Z");
    assert_eq!(
        seen[0]["RootFS"]["Layers"].as_array().map(Vec::len),
        Some(2)
    );
    let sizes = [0, 1].map(|n| seen[n]["Size"].as_u64().expect("a size"));
    assert_eq!(sizes[0], sizes[1] + OWN_BYTES as u64);
    docker(&["image", "inspect", "nosuch"])
        .fails_with(1)
        .fails_saying("No such image: nosuch");
    let history = both(
        &agent,
        &[
            "history",
            "--format",
            "{{.ID}} {{.CreatedBy}} {{.Size}}",
            &young,
        ],
    );
    assert_eq!(
        history.ok().lines(),
        [
            format!("{} test 20kB", short(&young_id)),
            format!("<missing> test {}", human(sizes[1], 3))
        ]
    );
    let plain = both(
        &agent,
        &[
            "history",
            "-H=false",
            "--no-trunc",
            "--format",
            "{{.ID}} {{.Size}} {{.CreatedAt}}",
            &young,
        ],
    );
    assert!(
        plain.ok().lines()[0].starts_with(&format!("{young_id} {OWN_BYTES} ")),
        "the size as it is"
    );
    assert_eq!(
        both(&agent, &["history", "-q", &young]).ok().lines(),
        [short(&young_id), "<missing>"]
    );
    both(&agent, &["history", "nosuch"]).fails_with(1);
}

/// The tree of docker's command line, for which it asks for each image's manifests.
#[test]
fn the_tree_has_a_row_for_each_image() {
    if !docker_is_recent("docker images --tree") {
        return;
    }
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    agent.docker(&["pull", "-q", &image]).finish().ok();
    // The last one of an image: that of its platform.
    let row = || {
        let tree = agent.docker(&["images", "--tree"]).finish().ok();
        let lines = tree.lines();
        let at = lines.iter().position(|line| line.starts_with(&image));
        let at = at.unwrap_or_else(|| panic!("no row of {image}: {lines:?}"));
        (lines[at].clone(), lines[at + 1].clone())
    };
    let id = id_of(&agent, &image);
    let (of_image, of_platform) = row();
    assert!(of_image.contains(short(&id)), "{of_image}");
    assert!(!of_image.contains(" 0B"), "{of_image}");
    assert!(!of_image.trim_end().ends_with('U'), "{of_image}");
    let manifest = busybox().manifest_digest.clone();
    assert!(of_platform.contains("linux/"), "{of_platform}");
    assert!(of_platform.contains(short(&manifest)), "{of_platform}");

    agent.docker(&["create", &image]).finish().ok();
    assert!(row().0.trim_end().ends_with('U'), "{:?}", row());
    let query = "/v1.50/images/json?manifests=1";
    let listed = agent.api(query, &[]).json();
    let summary = &listed[0]["Manifests"][0];
    let containers = summary["ImageData"]["Containers"].as_array();
    assert_eq!(containers.map(Vec::len), Some(1), "{summary}");
    let size = |pointer: &str| summary.pointer(pointer).and_then(Value::as_i64);
    let (content, unpacked) = (size("/Size/Content"), size("/ImageData/Size/Unpacked"));
    assert!(content > size("/Descriptor/size"), "{summary}");
    assert_eq!(
        size("/Size/Total"),
        content.zip(unpacked).map(|(a, b)| a + b)
    );
    // Clients of before it do not ask, or are not told.
    let listed = agent.api("/v1.46/images/json?manifests=1", &[]).json();
    assert!(listed[0].get("Manifests").is_none(), "{listed}");
}
