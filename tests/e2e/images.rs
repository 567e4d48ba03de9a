//! Every image command with its options: the real docker command line, and ours beside it.

use hythe_tests::{
    Agent, AgentOptions, CommandExt as _, Finished, Host, ImageBuilder, Layer, Layout, Server,
};
use hythe_tests::{SHORT, TarBuilder, busybox, docker_is_recent, eventually};
use serde_json::{Value, json};

use crate::{push, push_busybox};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Bytes of the file that only [`child`] has.
const OWN_BYTES: usize = 20_000;

/// Younger than busybox, on its layer, and labelled.
fn child() -> Layout {
    let tar = TarBuilder::new().file("own", 0o644, &vec![7; OWN_BYTES]);
    ImageBuilder::new()
        .layer(Layer::new(busybox().layer_tar(0)))
        .layer(Layer::new(tar.finish()))
        .created("2024-06-01T00:00:00Z")
        .config(json!({"Cmd": ["sh"], "Env": ["PATH=/bin"], "Labels": {"tier": "front"}}))
        .write_temporary()
}

/// What both command lines say to the same question, which is the same.
#[track_caller]
fn both(agent: &Agent<'_>, words: &[&str]) -> Finished {
    let docker = agent.docker(words).finish();
    let hythe = agent.hythe(words).finish();
    assert_eq!(hythe.code, docker.code, "{hythe:?}{docker:?}");
    assert_eq!(hythe.text(), docker.text(), "{hythe:?}{docker:?}");
    docker
}

#[track_caller]
fn id_of(agent: &Agent<'_>, image: &str) -> String {
    let words = ["image", "inspect", "-f", "{{.Id}}", image];
    agent.docker(&words).finish().ok().text()
}

/// The lines that both say, sorted: docker lists the repositories of one image as its map has them.
#[track_caller]
fn both_lists(agent: &Agent<'_>, words: &[&str]) -> Vec<String> {
    let sorted = |list: Finished| {
        let mut lines = list.ok().lines();
        lines.sort();
        lines
    };
    let docker = sorted(agent.docker(words).finish());
    assert_eq!(sorted(agent.hythe(words).finish()), docker, "{words:?}");
    docker
}

/// `REPOSITORY:TAG` of a list, sorted.
#[track_caller]
fn names(agent: &Agent<'_>, words: &[&str]) -> Vec<String> {
    let format = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
    both_lists(agent, &[&format[..], words].concat())
}

fn short(digest: &str) -> &str {
    let hex = digest.strip_prefix("sha256:").expect("a sha256");
    &hex[..12]
}

#[test]
fn pulls_are_told_as_docker_tells_them() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let layout = child();
    let young = push(&host, &server, &layout, "team/child:1");
    let [shared, own] = [0, 1].map(|n| layout.layer_digests()[n].clone());

    for ours in [false, true] {
        let agent = Agent::start(&host);
        let call = |words: &[&str]| {
            let mut command = if ours {
                agent.hythe(words)
            } else {
                agent.docker(words)
            };
            command.finish()
        };
        let said = call(&["pull", &image]).ok().lines();
        let digest = format!("Digest: {}", busybox().manifest_digest);
        for line in [
            "1: Pulling from busybox".to_owned(),
            format!("{}: Pulling fs layer", short(&shared)),
            format!("{}: Verifying Checksum", short(&shared)),
            format!("{}: Download complete", short(&shared)),
            format!("{}: Pull complete", short(&shared)),
            digest.clone(),
            format!("Status: Downloaded newer image for {image}"),
            image.clone(),
        ] {
            assert!(said.contains(&line), "{line}: {said:#?}");
        }
        let said = call(&["pull", &image]).ok().lines();
        let current = format!("Status: Image is up to date for {image}");
        assert_eq!(
            said,
            ["1: Pulling from busybox", &digest, &current, &image],
            "nothing of layers"
        );
        let said = call(&["pull", &young]).ok().lines();
        for (layer, words) in [(&shared, "Already exists"), (&own, "Pull complete")] {
            let line = format!("{}: {words}", short(layer));
            assert!(said.contains(&line), "{line}: {said:#?}");
        }
        assert_eq!(call(&["pull", "-q", &young]).ok().text(), young);
        if ours {
            // Older command lines of docker's do not have it.
            call(&["push", "--platform", "linux/mips64le", &image])
                .fails_with(1)
                .fails_saying("does not provide the specified platform (linux/mips64le)");
        }

        // By digest: without a tag, and beside one.
        call(&["rmi", &image, &young]).ok();
        let by_digest = format!(
            "{}@{}",
            image.trim_end_matches(":1"),
            busybox().manifest_digest
        );
        let said = call(&["pull", &by_digest]).ok().text();
        assert!(said.contains("Pulling from busybox"), "{said}");
        let listed = call(&[
            "images",
            "--digests",
            "--format",
            "{{.Repository}} {{.Tag}} {{.Digest}}",
        ]);
        assert_eq!(
            listed.ok().text(),
            format!(
                "{} <none> {}",
                image.trim_end_matches(":1"),
                busybox().manifest_digest
            )
        );
        call(&["run", "--rm", &by_digest, "true"]).ok();
        let wrong = format!("{}@sha256:{}", image.trim_end_matches(":1"), "0".repeat(64));
        for nosuch in [
            "127.0.0.1:5000/nosuch:1",
            "127.0.0.1:5000/busybox:9",
            &wrong,
        ] {
            call(&["pull", nosuch]).fails_with(1).fails_saying("not");
        }
        call(&["pull", "UPPER"])
            .fails_with(1)
            .fails_saying("must be lowercase");
        call(&["pull", "127.0.0.1:1/x"])
            .fails_with(1)
            .fails_saying("127.0.0.1:1");
    }

    // On a terminal the lines are redrawn.
    let agent = Agent::start(&host);
    let shown = agent.docker_on_terminal(&["pull", &image]).finish();
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.text().contains("Pull complete"), "{shown:?}");
}

#[test]
fn the_platform_that_is_asked_for_is_pulled() {
    let host = Host::new();
    let server = Server::start(&host);
    push(&host, &server, &child(), "multi:own");
    let foreign = ImageBuilder::new()
        .layer(Layer::new(
            TarBuilder::new().file("arm", 0o644, b"arm").finish(),
        ))
        .architecture("s390x")
        .write_temporary();
    push(&host, &server, &foreign, "multi:foreign");
    let entry = |layout: &Layout, architecture: &str| {
        let path = layout
            .path
            .join("blobs")
            .join(layout.manifest_digest.replace(':', "/"));
        let size = std::fs::metadata(path).expect("the manifest").len();
        json!({
            "mediaType": MANIFEST, "digest": layout.manifest_digest, "size": size,
            "platform": {"os": "linux", "architecture": architecture},
        })
    };
    let host_architecture = host
        .command("dpkg")
        .arg("--print-architecture")
        .finish()
        .ok()
        .text();
    let own = child();
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [entry(&foreign, "s390x"), entry(&own, &host_architecture)],
    });
    let put = host.curl(&[
        "--request",
        "PUT",
        "--header",
        &format!("Content-Type: {INDEX}"),
        "--data-binary",
        &index.to_string(),
        &server.url("/v2/multi/manifests/1"),
    ]);
    assert_eq!(put.status, 201, "{put:?}");

    let image = format!("{}/multi:1", server.address());
    for ours in [false, true] {
        let agent = Agent::start(&host);
        let call = |words: &[&str]| {
            let mut command = if ours {
                agent.hythe(words)
            } else {
                agent.docker(words)
            };
            command.finish()
        };
        call(&["pull", "-q", &image]).ok();
        assert_eq!(id_of(&agent, &image), own.image_id);
        call(&["pull", "-q", "--platform", "linux/s390x", &image]).ok();
        assert_eq!(id_of(&agent, &image), foreign.image_id);
        let shown = both(
            &agent,
            &[
                "image",
                "inspect",
                "-f",
                "{{.Os}}/{{.Architecture}}",
                &image,
            ],
        );
        assert_eq!(shown.ok().text(), "linux/s390x");
        call(&["pull", "--platform", "linux/mips64le", &image])
            .fails_with(1)
            .fails_saying("no matching manifest for linux/mips64le");
        call(&["pull", "--platform", "a/b/c/d", &image]).fails_with(1);
        // The other one lost its name and stays until it is pruned.
        assert_eq!(
            names(&agent, &["-f", "dangling=true"]).len(),
            1,
            "{:?}",
            both(&agent, &["images", "-a", "--digests"])
        );
    }
}

#[test]
fn mirrors_of_a_registry_are_asked_first_and_in_order() {
    let host = Host::new();
    let mirror = Server::start_at(&host, 5001, &[]);
    push_busybox(&host, &mirror);
    // The registry itself is not there, nor is its first mirror.
    let of = |url: &str| {
        [
            "--registry-mirror".to_owned(),
            format!("127.0.0.1:5000={url}"),
        ]
    };
    let arguments = [of("http://127.0.0.1:1"), of(&mirror.url(""))].concat();
    let agent = Agent::start_with(
        &host,
        AgentOptions {
            arguments,
            ..AgentOptions::default()
        },
    );
    let image = "127.0.0.1:5000/busybox:1";
    agent.docker(&["pull", image]).finish().ok();
    assert_eq!(id_of(&agent, image), busybox().image_id);
    // Another registry's images are not asked for there.
    agent
        .docker(&["pull", "127.0.0.1:1/busybox:1"])
        .finish()
        .fails_with(1);
}

#[test]
fn pushes_send_what_is_missing_only() {
    let host = Host::new();
    let server = Server::start(&host);
    let layout = child();
    let image = push(&host, &server, &layout, "team/child:1");
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();
    let hythe = |words: &[&str]| agent.hythe(words).finish();
    let [shared, own] = [0, 1].map(|n| short(&layout.layer_digests()[n]).to_owned());
    docker(&["pull", "-q", &image]).ok();

    // To where it is, to where it is not, and to another registry, which has nothing of it.
    let said = docker(&["push", &image]).ok();
    let refers = format!(
        "The push refers to repository [{}/team/child]",
        server.address()
    );
    for line in [
        refers.clone(),
        format!("{shared}: Layer already exists"),
        format!("{own}: Layer already exists"),
    ] {
        assert!(said.lines().contains(&line), "{line}: {said:?}");
    }
    let last = said.lines().pop().expect("a last line");
    let expected = format!("1: digest: {} size: ", layout.manifest_digest);
    assert!(last.starts_with(&expected), "{last}");
    let mounted = format!("{}/elsewhere/child:1", server.address());
    docker(&["tag", &image, &mounted]).ok();
    let said = docker(&["push", &mounted]).ok();
    assert!(said.text().contains("Mounted from"), "{said:?}");
    assert!(said.text().contains(&layout.manifest_digest), "{said:?}");

    let second = Server::start_at(&host, 5001, &[]);
    let there = format!("{}/child", second.address());
    for tag in ["1", "2", "latest"] {
        docker(&["tag", &image, &format!("{there}:{tag}")]).ok();
    }
    let said = docker(&["push", &format!("{there}:1")]).ok();
    assert!(said.text().contains(&format!("{own}: Pushed")), "{said:?}");
    assert_eq!(
        docker(&["push", "-q", &there]).ok().text(),
        format!("{there}:latest")
    );
    let said = hythe(&["push", "-a", &there]).ok().text();
    for tag in ["1", "2", "latest"] {
        assert!(said.contains(&format!("{tag}: digest: ")), "{said}");
    }
    docker(&["push", "-a", &there]).ok();
    let tags = host.curl(&[&second.url("/v2/child/tags/list")]).json();
    assert_eq!(tags["tags"], json!(["1", "2", "latest"]));

    for (words, why) in [
        (
            &["push", "nosuch:1"][..],
            "An image does not exist locally with the tag: nosuch",
        ),
        (
            &["push", "-a", "nosuch"],
            "An image does not exist locally with the tag: nosuch",
        ),
    ] {
        docker(words).fails_with(1).fails_saying(why);
        hythe(words).fails_with(1).fails_saying(why);
    }
    docker(&["tag", &image, "127.0.0.1:1/x:1"]).ok();
    docker(&["push", "127.0.0.1:1/x:1"])
        .fails_with(1)
        .fails_saying("127.0.0.1:1");
}

#[test]
fn names_are_given_and_taken_as_dockers() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let young = push(&host, &server, &child(), "team/child:1");
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();
    docker(&["pull", "-q", &image]).ok();
    docker(&["pull", "-q", &young]).ok();
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
    let image = push_busybox(&host, &server);
    let young = push(&host, &server, &child(), "team/child:1");
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();
    docker(&["pull", "-q", &image]).ok();
    docker(&["pull", "-q", &young]).ok();
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

/// Docker's `units.HumanSizeWithPrecision`: lists of images have 3 digits, disk usage 4.
fn human(bytes: u64, precision: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "sizes of small images")]
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1000.0 {
        size /= 1000.0;
        unit += 1;
    }
    let digits = precision
        - if size >= 100.0 {
            3
        } else {
            1 + usize::from(size >= 10.0)
        };
    let text = format!("{size:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{}", ["B", "kB", "MB", "GB"][unit])
}

#[test]
fn disk_usage_counts_shared_layers_once_and_prune_frees_it() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let young = push(&host, &server, &child(), "team/child:1");
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();
    docker(&["pull", "-q", &image]).ok();
    docker(&["pull", "-q", &young]).ok();
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
