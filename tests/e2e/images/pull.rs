//! `pull`: progress, platforms, mirrors.

use super::*;

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
        let call = |words: &[&str]| one_of(&agent, ours, words);
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
        let call = |words: &[&str]| one_of(&agent, ours, words);
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
